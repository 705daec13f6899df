// Volumes that an image declares, and those of -v PATH and --mount type=volume: folders of the
// container that begin with what the image has there and go with it.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

struct VolumeTest : SharedNodeTest {
    /// Busybox with /data, which is 7:8's, mode 0750, and declared with /new/deep, which is not
    /// there.
    static void SetUpTestSuite() {
        SharedNodeTest::SetUpTestSuite();
        node->ok({"run", "--name", "prep", "busybox", "sh", "-c",
                  "mkdir -p /data/sub && echo a >/data/a && ln -s a /data/l && ln /data/a "
                  "/data/hard && chown -R 7:8 /data && chmod 750 /data && chmod 4711 /data/a"});
        node->ok({"commit", "-c", "VOLUME /data /new/deep", "prep", "vimg"});
        node->ok({"rm", "prep"});
    }
    static std::string inspected(const std::string& name, const std::string& format) {
        return node->ok({"inspect", "-f", format, name});
    }
    static std::string source_of(const std::string& name, const std::string& target) {
        return inspected(name, "{{range .Mounts}}{{if eq .Destination \"" + target +
                                   "\"}}{{.Source}}{{end}}{{end}}");
    }
    static std::string in(Words options, const std::string& script, const char* image = "vimg") {
        Words words = {"run", "--rm"};
        words.insert(words.end(), options.begin(), options.end());
        words.insert(words.end(), {image, "sh", "-c", script});
        return node->ok(words);
    }
};

TEST_F(VolumeTest, what_the_image_declares_begins_with_what_it_has_there) {
    const std::string look = "stat -c '%u:%g %a' /data /data/a /new/deep; readlink /data/l; "
                             "cat /data/a; stat -c %h /data/a";
    const std::string wanted = "7:8 750\n7:8 4711\n0:0 755\na\na\n2";
    EXPECT_EQ(in({}, look), wanted);
    EXPECT_EQ(in({}, "grep -c -E ' (/data|/new/deep) ' /proc/mounts"), "2");
    EXPECT_EQ(in({"--read-only"}, "echo b >/data/b && echo c >/new/deep/c && cat /data/b"), "b");
    EXPECT_EQ(in({"-u", "7"}, "touch /data/mine && stat -c %u /data/mine"), "7");
}

TEST_F(VolumeTest, a_container_with_ids_of_its_own_has_them_in_its_volumes_too) {
    node->stop();
    const std::string config = node->dir() + "/config.json";
    std::ofstream(config) << R"({"plugins": {"container": {"usernsIds": "300000:65536"}}})";
    node->start({"--config", config});
    const std::string given = node->dir() + "/given-to-mapped";
    std::ofstream(given) << "given";
    node->ok({"create", "--name", "mapped", "--userns", "remap", "vimg", "sh", "-c",
              "stat -c '%u:%g %a' /data /data/a /new/deep /data/given-to-mapped; "
              "touch /new/deep/mine && sleep 1000"});
    node->ok({"cp", given, "mapped:/data"});
    node->ok({"start", "mapped"});
    EXPECT_TRUE(eventually([&] {
        return node->ok({"logs", "mapped"}) == "7:8 750\n7:8 4711\n0:0 755\n0:0 644";
    })) << node->ok({"logs", "mapped"});
    node->ok({"cp", given, "mapped:/new/deep/later"});
    EXPECT_EQ(node->ok({"exec", "mapped", "stat", "-c", "%u", "/new/deep/later"}), "0");
    struct stat info {};
    ASSERT_EQ(stat((source_of("mapped", "/data") + "/a").c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, 300007u);
    node->ok({"rm", "-f", "mapped"});
    node->stop();
    node->start();
}

TEST_F(VolumeTest, it_is_the_containers_own_through_all_its_runs_and_goes_with_it) {
    node->ok(
        {"run", "--name", "own", "vimg", "sh", "-c", "echo $$ >>/data/runs; wc -l </data/runs"});
    node->kill();
    node->start();
    EXPECT_EQ(node->ok({"start", "-a", "own"}), "2");
    const fs::path source = source_of("own", "/data");
    EXPECT_EQ(read_text(source / "a"), "a\n");
    struct stat above {};
    ASSERT_EQ(stat(source.parent_path().c_str(), &above), 0);
    EXPECT_EQ(above.st_mode & 0777, 0700u);
    EXPECT_EQ(node->ok({"diff", "own"}), "A /new\nA /new/deep");
    const std::string tar = node->dir() + "/own.tar";
    node->ok({"export", "-o", tar, "own"});
    EXPECT_EQ(read_text(tar).find("data/runs"), std::string::npos);
    EXPECT_EQ(node->ok({"commit", "own", "later"}).substr(0, 7), "sha256:");
    // Of the image that was made the files of the volume are no part, the declaration is.
    EXPECT_EQ(in({}, "ls /data", "later"), "a\nhard\nl\nsub");
    EXPECT_EQ(in({}, "grep -c ' /data ' /proc/mounts", "later"), "1");
    node->ok({"rm", "-v", "own"});
    EXPECT_TRUE(eventually([&] { return !fs::exists(source); }, 60));
    node->ok({"rmi", "later"});
}

TEST_F(VolumeTest, inspect_and_ps_show_it_as_docker_does) {
    node->ok({"create", "--name", "shown", "-v", "/x", "--mount", "type=volume,dst=/m,ro", "vimg",
              "true"});
    EXPECT_EQ(inspected("shown", "{{json .Config.Volumes}} {{json .HostConfig.Binds}} "
                                 "{{json .HostConfig.Mounts}}"),
              R"({"/data":{},"/new/deep":{},"/x":{}} null )"
              R"([{"Type":"volume","Target":"/m","ReadOnly":true}])");
    EXPECT_EQ(inspected("shown", "{{range .Mounts}}{{.Type}} {{.Destination}} {{.RW}} {{.Driver}} "
                                 "{{len .Name}};{{end}}"),
              "volume /x true local 64;volume /m false local 64;volume /data true local 64;"
              "volume /new/deep true local 64;");
    const std::string name = inspected("shown", "{{(index .Mounts 2).Name}}");
    EXPECT_EQ(node->ok({"ps", "-a", "--filter", "volume=/data", "--format", "{{.LocalVolumes}}"}),
              "4");
    EXPECT_EQ(node->ok({"ps", "-a", "--filter", "volume=" + name, "--format", "{{.Names}}"}),
              "shown");
    EXPECT_EQ(node->ok({"ps", "-a", "--filter", "volume=/no", "--format", "{{.Names}}"}), "");
}

TEST_F(VolumeTest, what_is_mounted_there_by_the_user_takes_its_place) {
    const fs::path folder = fs::path(node->dir()) / "bound";
    fs::create_directory(folder);
    std::ofstream(folder / "mine") << "x";
    EXPECT_EQ(in({"-v", folder.string() + ":/data/"}, "ls /data"), "mine");
    EXPECT_EQ(in({"--tmpfs", "/data"}, "ls /data"), "");
    EXPECT_EQ(in({"-v", folder.string() + ":/data/sub"}, "ls /data /data/sub"),
              "/data:\na\nhard\nl\nsub\n\n/data/sub:\nmine");
    EXPECT_EQ(in({"-v", "/etc"}, "cat /etc/group | head -n 1 && echo new >/etc/group", "busybox"),
              in({}, "head -n 1 /etc/group", "busybox"));
    EXPECT_EQ(in({"--mount", "type=volume,dst=/data,volume-nocopy=true"}, "ls /data"), "");
    fs::remove_all(folder);
}

TEST_F(VolumeTest, cp_sees_it_before_the_first_start_and_after) {
    std::ofstream(node->dir() + "/given") << "given";
    node->ok({"create", "--name", "filled", "vimg", "cat", "/data/given", "/data/a"});
    node->ok({"cp", node->dir() + "/given", "filled:/data/given"});
    EXPECT_EQ(read_text(source_of("filled", "/data") + "/given"), "given");
    EXPECT_EQ(node->ok({"start", "-a", "filled"}), "givena");
    node->ok({"cp", "filled:/data/given", node->dir() + "/got"});
    EXPECT_EQ(read_text(node->dir() + "/got"), "given");
}

TEST_F(VolumeTest, one_that_cannot_be_is_refused_and_leaves_nothing) {
    const std::pair<Words, const char*> kBad[] = {
        {{"-v", "/etc/passwd"}, "cannot mount volume over existing file, file exists /etc/passwd"},
        {{"-v", "name:/x"}, "this node has no named volumes"},
        {{"-v", "/"}, "invalid specification: destination can't be '/'"},
        {{"--mount", "type=volume,src=name,dst=/x"}, "this node has no named volumes"},
        {{"--mount", "src=name,dst=/x"}, "this node has no named volumes"},
        {{"--mount", "type=volume,dst=/x,volume-driver=nfs"}, "leave out volume-driver"},
        {{"--mount", "type=volume,dst=/x,volume-nocopy=x"}, "invalid value for volume-nocopy: x"},
        {{"--mount", "type=bind,src=/tmp,dst=/x,volume-nocopy=1"},
         "cannot mix 'volume-*' options with mount type 'bind'"},
        {{"-v", "/x", "-v", "/x"}, "Duplicate mount point: /x"},
    };
    for (const auto& [options, message] : kBad) {
        Words words = {"run", "--rm"};
        words.insert(words.end(), options.begin(), options.end());
        words.insert(words.end(), {"busybox", "true"});
        const Ran ran = node->nodectl(words);
        EXPECT_EQ(ran.exit_code, 125) << options[1];
        EXPECT_NE(ran.err.find(message), std::string::npos) << options[1] << ran.err;
    }
}

TEST_F(VolumeTest, a_start_goes_on_after_noded_was_killed_while_it_was_filled) {
    node->ok({"run", "--name", "prep", "busybox", "sh", "-c",
              "mkdir /big && for i in 1 2 3 4; do dd if=/dev/zero of=/big/$i bs=1M count=32 "
              "2>/dev/null; done"});
    node->ok({"commit", "-c", "VOLUME /big", "prep", "bigimg"});
    for (int wait_ms : {5, 20, 60, 120}) {
        Running client(node->command({"run", "-d", "--name", "big" + std::to_string(wait_ms),
                                      "bigimg", "sh", "-c", "ls -s /big | wc -l"}));
        sleep_ms(wait_ms);
        node->kill();
        client.wait();
        node->start();
        const std::string name = "big" + std::to_string(wait_ms);
        if (node->nodectl({"inspect", name}).exit_code != 0) continue;  // it never was
        EXPECT_TRUE(eventually([&] {
            return inspected(name, "{{.State.Status}} {{.State.ExitCode}}") == "exited 0" ||
                   inspected(name, "{{.State.Status}}") == "created";
        }, 60)) << inspected(name, "{{json .State}}");
        EXPECT_TRUE(eventually([&] { return node->nodectl({"logs", name}).out == "5\n"; }, 60))
            << inspected(name, "{{json .State}}");
    }
    for (const std::string& name : {"big5", "big20", "big60", "big120", "prep"})
        node->nodectl({"rm", "-f", name});
    node->ok({"rmi", "bigimg"});
}

}  // namespace
}  // namespace noded::test
