// Containers whose root is not the host's: what they see, what the host sees of them, and that the
// verbs on their files speak the container's ids.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kFirst = 234567;

struct stat look(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
    return info;
}

struct UsernsTest : testing::Test {
    static void SetUpTestSuite() {
        node = new TestNode;
        configure("host", std::to_string(kFirst) + ":65536");
        node->start({"--config", config()});
        node->import_busybox();
    }
    static void TearDownTestSuite() {
        delete node;
        node = nullptr;
    }
    void TearDown() override { node->expect_nothing_left(); }

    static std::string config() { return node->dir() + "/noded.json"; }
    static void configure(const std::string& userns, const std::string& ids) {
        std::ofstream(config()) << R"({"plugins": {"container": {"userns": ")" << userns
                                << R"(", "usernsIds": ")" << ids << "\"}}}";
    }
    static Ran run(std::vector<std::string> options, const std::string& script) {
        std::vector<std::string> all = {"run", "--rm", "--userns", "remap"};
        all.insert(all.end(), options.begin(), options.end());
        all.insert(all.end(), {"busybox", "sh", "-c", script});
        return node->nodectl(all);
    }
    static std::string inspect(const std::string& name, const std::string& field) {
        return node->ok({"inspect", "--format", "{{" + field + "}}", name});
    }

    inline static TestNode* node = nullptr;
};

TEST_F(UsernsTest, root_of_a_container_is_not_root_of_the_host) {
    node->ok({"run", "-d", "--name", "own", "--userns", "remap", "busybox", "sleep", "1000"});
    const std::string process = "/proc/" + inspect("own", ".State.Pid");
    EXPECT_EQ(look(process).st_uid, kFirst);
    EXPECT_EQ(look(process).st_gid, kFirst);
    EXPECT_NE(fs::read_symlink(process + "/ns/user"), fs::read_symlink("/proc/self/ns/user"));
    EXPECT_EQ(node->ok({"exec", "own", "id", "-u"}), "0");
    EXPECT_EQ(node->ok({"exec", "own", "sh", "-c", "echo $(cat /proc/self/uid_map)"}),
              "0 " + std::to_string(kFirst) + " 65536");
    EXPECT_EQ(node->ok({"exec", "-u", "1000:7", "own", "sh", "-c", "id -u; id -g"}), "1000\n7");
    EXPECT_EQ(inspect("own", ".HostConfig.UsernsMode"), "remap");
    // Files of the host's root are nobody's to it, and it has no rights over them.
    EXPECT_NE(
        node->nodectl({"exec", "own", "sh", "-c", "echo 1 > /proc/sys/kernel/panic"}).exit_code, 0);
    node->ok({"rm", "-f", "own"});
}

TEST_F(UsernsTest, what_every_container_has_belongs_to_its_root) {
    const Ran ran = run({"--tmpfs", "/scratch", "--tmpfs", "/of-5:uid=5,gid=6"},
                        "for f in / /bin /bin/busybox /dev /dev/null /dev/pts /dev/mqueue /dev/shm "
                        "/proc /sys /scratch /of-5; do stat -c '%n %u:%g' $f; done");
    EXPECT_EQ(ran.out,
              "/ 0:0\n/bin 0:0\n/bin/busybox 0:0\n/dev 0:0\n/dev/null 0:0\n/dev/pts 0:0\n"
              "/dev/mqueue 0:0\n/dev/shm 0:0\n/proc 65534:65534\n/sys 65534:65534\n/scratch 0:0\n"
              "/of-5 5:6\n")
        << ran.err;
}

TEST_F(UsernsTest, its_root_has_the_usual_rights_inside) {
    const Ran ran = run({"-h", "inside"},
                        "hostname; touch /made && chown 1000:1000 /made && stat -c %u /made; "
                        "echo x > /dev/null && echo null; head -c1 /dev/urandom | wc -c; "
                        "ping -c1 -w1 127.0.0.1 >/dev/null && echo ping; "
                        "kill -0 1 && echo kill; mkdir /run2 && rmdir /run2 && echo dir; "
                        "mknod /x c 1 3 2>/dev/null || echo no-mknod");
    EXPECT_EQ(ran.out, "inside\n1000\nnull\n1\nping\nkill\ndir\nno-mknod\n") << ran.err;
}

TEST_F(UsernsTest, a_terminal_and_standard_streams_belong_to_the_user) {
    const Ran ran = run({"-u", "1000"},
                        "echo out > /dev/stdout; echo err > /dev/stderr; id -u");
    EXPECT_EQ(ran.out, "out\n1000\n") << ran.err;
    EXPECT_EQ(ran.err, "err\n");
    const Ran terminal = run({"-t", "-u", "1000"}, "stat -c %u $(tty); echo on > /dev/stdout");
    EXPECT_EQ(terminal.out, "1000\r\non\r\n") << terminal.err;
}

TEST_F(UsernsTest, files_it_makes_belong_to_its_ids_on_the_host) {
    node->ok({"run", "--name", "maker", "--userns", "remap", "busybox", "sh", "-c",
              "touch /of-root; touch /of-user; chown 1000:1001 /of-user; chmod 700 /bin"});
    const std::string upper = inspect("maker", ".GraphDriver.Data.UpperDir");
    EXPECT_EQ(look(upper + "/of-root").st_uid, kFirst);
    EXPECT_EQ(look(upper + "/of-user").st_uid, kFirst + 1000);
    EXPECT_EQ(look(upper + "/of-user").st_gid, kFirst + 1001);
    EXPECT_EQ(look(upper + "/bin").st_uid, kFirst);  // copied up
    // The image's own files stay as they are.
    EXPECT_EQ(look(inspect("maker", ".GraphDriver.Data.LowerDir") + "/bin").st_uid, 0u);
    node->ok({"start", "-a", "maker"});
    EXPECT_EQ(look(upper).st_uid, kFirst);
    node->ok({"rm", "maker"});
}

TEST_F(UsernsTest, a_bind_keeps_its_owners) {
    const std::string folder = node->dir() + "/bound";
    fs::create_directories(folder);
    std::ofstream(folder + "/mine") << "host";
    ASSERT_EQ(chown((folder + "/mine").c_str(), 1000, 1000), 0);
    const Ran ran = run({"-v", folder + ":/bound", "-u", "1000"},
                        "stat -c %u:%g /bound/mine; echo more >> /bound/mine && echo written");
    EXPECT_EQ(ran.out, "1000:1000\nwritten\n") << ran.err;
    EXPECT_EQ(run({"-v", folder + ":/bound"}, "touch /bound/new && stat -c %u /bound/new").out,
              "0\n");
    EXPECT_EQ(look(folder + "/new").st_uid, 0u);
    // What is missing there is made as its root would.
    EXPECT_EQ(run({"-v", folder + ":/bound", "-w", "/bound/made/deep"}, "pwd; stat -c %u .").out,
              "/bound/made/deep\n0\n");
    EXPECT_EQ(look(folder + "/made/deep").st_uid, 0u);
    EXPECT_EQ(run({"-v", folder + ":/bound", "-v", folder + "/mine:/bound/file", "-v",
                   folder + "/made:/bound/sub"},
                  "cat /bound/file; ls /bound/sub")
                  .out,
              "hostmore\ndeep\n");
    EXPECT_EQ(look(folder + "/file").st_uid, 0u);
    // One whose file system cannot do that is refused with a sentence.
    const Ran proc = run({"-v", "/proc:/host-proc"}, "true");
    EXPECT_EQ(proc.exit_code, 125);
    EXPECT_NE(proc.err.find("map the ids of /proc"), std::string::npos) << proc.err;
    fs::remove_all(folder);
}

TEST_F(UsernsTest, a_copy_before_the_first_start_makes_places_to_mount_on_inside_a_bind) {
    const std::string outer = node->dir() + "/outer";
    const std::string inner = node->dir() + "/inner";
    fs::create_directories(outer);
    fs::create_directories(inner);
    std::ofstream(inner + "/given") << "given";
    node->ok({"create", "--name", "deep", "--userns", "remap", "-v", outer + ":/m", "-v",
              inner + ":/m/made/sub", "-v", inner + "/given:/m/made/file", "busybox", "cat",
              "/m/made/sub/copied", "/m/made/file"});
    const std::string out = node->dir() + "/out";
    node->ok({"cp", "deep:/m/made/sub/given", out});
    EXPECT_EQ(read_text(out), "given");
    node->ok({"cp", out, "deep:/m/made/sub/copied"});
    EXPECT_EQ(look(outer + "/made/sub").st_uid, 0u);
    EXPECT_EQ(look(outer + "/made/file").st_uid, 0u);
    EXPECT_EQ(look(inner + "/copied").st_uid, 0u);
    EXPECT_EQ(node->nodectl({"start", "-a", "deep"}).out, "givengiven");
    node->ok({"rm", "deep"});
    for (const std::string& path : {outer, inner, out}) fs::remove_all(path);
}

TEST_F(UsernsTest, a_copy_into_a_bind_has_the_owners_that_it_would_have_without_ids) {
    const std::string folder = node->dir() + "/bound";
    fs::create_directories(folder);
    const std::string source = node->dir() + "/given";
    fs::create_directories(source + "/deep");
    std::ofstream(source + "/deep/file") << "given";
    fs::create_symlink("file", source + "/deep/link");
    ASSERT_EQ(chown((source + "/deep/file").c_str(), 33, 34), 0);
    node->ok({"create", "--name", "bound", "--userns", "remap", "-v", folder + ":/b", "busybox",
              "sleep", "1000"});
    node->ok({"cp", "-a", source + "/.", "bound:/b/stopped"});
    node->ok({"start", "bound"});
    node->ok({"cp", "-a", source + "/.", "bound:/b/running"});
    node->ok({"cp", source + "/deep/file", "bound:/b/plain"});
    for (const char* state : {"/stopped", "/running"}) {
        const std::string deep = folder + state + "/deep";
        EXPECT_EQ(look(deep).st_uid, 0u) << state;
        EXPECT_EQ(look(deep + "/file").st_uid, 33u) << state;
        EXPECT_EQ(look(deep + "/file").st_gid, 34u) << state;
        EXPECT_EQ(look(deep + "/link").st_uid, 0u) << state;
    }
    EXPECT_EQ(look(folder + "/plain").st_uid, 0u);
    EXPECT_EQ(node->ok({"exec", "bound", "stat", "-c", "%u:%g", "/b/running/deep/file"}), "33:34");
    node->ok({"rm", "-f", "bound"});
    fs::remove_all(folder);
    fs::remove_all(source);
}

TEST_F(UsernsTest, verbs_on_files_speak_its_ids) {
    const std::string place = node->dir() + "/copy";
    fs::create_directories(place);
    std::ofstream(place + "/in") << "in";
    ASSERT_EQ(chown((place + "/in").c_str(), 33, 34), 0);
    for (const char* state : {"stopped", "running"}) {
        const bool runs = std::string(state) == "running";
        node->ok({"run", "-d", "--name", "box", "--userns", "remap", "busybox", "sh", "-c",
                  "touch /made; chown 5:6 /made; " + std::string(runs ? "exec sleep 1000" : "")});
        if (runs)
            ASSERT_TRUE(eventually([] {
                return node->nodectl({"exec", "box", "test", "-e", "/made"}).exit_code == 0;
            }));
        else
            node->ok({"wait", "box"});
        EXPECT_EQ(node->ok({"diff", "box"}), "A /made") << state;
        node->ok({"cp", "-a", place + "/in", "box:/in"});
        node->ok({"cp", "-a", "box:/made", place + "/out"});
        EXPECT_EQ(look(place + "/out").st_uid, 5u) << state;
        EXPECT_EQ(look(place + "/out").st_gid, 6u) << state;
        const std::string upper = inspect("box", ".GraphDriver.Data.UpperDir");
        EXPECT_EQ(look(upper + "/in").st_uid, kFirst + 33) << state;
        node->ok({"export", "-o", place + "/all.tar", "box"});
        const Ran listed = run_program({"/bin/tar", "--numeric-owner", "-tvf", place + "/all.tar",
                                        "made", "in", "bin/busybox"});
        for (const char* owner : {" 5/6 ", " 33/34 ", " 0/0 "})
            EXPECT_NE(listed.out.find(owner), std::string::npos) << listed.out << listed.err;
        node->ok({"commit", "box", "committed"});
        EXPECT_EQ(node->ok({"run", "--rm", "committed", "stat", "-c", "%u:%g", "/made", "/in"}),
                  "5:6\n33:34");
        node->ok({"rm", "-f", "box"});
        node->ok({"rmi", "committed"});
        fs::remove(place + "/out");
    }
    fs::remove_all(place);
}

TEST_F(UsernsTest, it_lives_through_stop_start_and_a_killed_noded) {
    node->ok({"run", "-d", "--name", "long", "--userns", "remap", "busybox", "sleep", "1000"});
    node->kill();
    node->start({"--config", config()});
    EXPECT_EQ(node->ok({"exec", "long", "sh", "-c", "echo kept > /kept; id -u"}), "0");
    node->ok({"stop", "-t", "0", "long"});
    node->ok({"start", "long"});
    EXPECT_EQ(node->ok({"exec", "long", "cat", "/kept"}), "kept");
    node->ok({"rm", "-f", "long"});
}

TEST_F(UsernsTest, conflicts_are_refused_in_dockers_words) {
    const auto refused = [](std::vector<std::string> options, const std::string& why) {
        const Ran ran = run(std::move(options), "true");
        EXPECT_EQ(ran.exit_code, 125);
        EXPECT_NE(ran.err.find(why), std::string::npos) << ran.err;
    };
    refused({"--privileged"}, "privileged mode is incompatible with user namespaces");
    refused({"--network", "host"},
            "cannot share the host's network namespace when user namespaces are enabled");
    refused({"--pid", "host"},
            "cannot share the host PID namespace when user namespaces are enabled");
    refused({"--userns", "bogus"}, "--userns: invalid USER mode");
}

TEST_F(UsernsTest, the_configuration_says_it_for_all_and_a_container_may_stay_out) {
    const auto first_id = [](std::vector<std::string> options) {
        std::vector<std::string> all = {"run", "--rm"};
        all.insert(all.end(), options.begin(), options.end());
        all.insert(all.end(), {"busybox", "awk", "{print $2}", "/proc/self/uid_map"});
        return trimmed(node->nodectl(all).out);
    };
    EXPECT_EQ(first_id({}), "0");
    node->stop();
    configure("remap", std::to_string(kFirst) + ":65536");
    node->start({"--config", config()});
    EXPECT_EQ(first_id({}), std::to_string(kFirst));
    EXPECT_EQ(first_id({"--userns", "host"}), "0");
    EXPECT_EQ(first_id({"--userns", "host", "--privileged"}), "0");
    node->stop();
    configure("host", "no-such-user-at-all");
    node->start({"--config", config()});
    EXPECT_EQ(first_id({}), "0");
    const Ran none = run({}, "true");
    EXPECT_EQ(none.exit_code, 125);
    EXPECT_NE(none.err.find("no-such-user-at-all"), std::string::npos) << none.err;
    node->stop();
    configure("host", std::to_string(kFirst) + ":65536");
    node->start({"--config", config()});
}

}  // namespace
}  // namespace noded::test
