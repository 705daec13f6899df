// cp, diff and export against what docker documents, on real containers: running and stopped ones,
// hostile links, mounts, owners, and what is left when somebody is killed in the middle.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/integration/on_terminal.h"
#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;

struct FilesTest : SharedNodeTest {
    void SetUp() override {
        here = node->dir() + "/here";
        fs::create_directory(here);
    }
    void TearDown() override {
        SharedNodeTest::TearDown();
        fs::remove_all(here);
        EXPECT_TRUE(eventually([] { return helpers() == 0; }));
    }

    static bool is_helper(const fs::path& process) {
        const std::string parent = "PPid:\t" + std::to_string(node->pid()) + "\n";
        return trimmed(read_text(process / "comm")) == "noded-files" &&
               read_text(process / "status").find(parent) != std::string::npos;
    }
    static size_t helpers() {
        size_t found = 0;
        for (const auto& entry : fs::directory_iterator("/proc")) found += is_helper(entry.path());
        return found;
    }
    /// One that has begun to read its archive.
    static bool copies() {
        for (const auto& entry : fs::directory_iterator("/proc"))
            if (is_helper(entry.path()) && fs::exists(entry.path() / "fd/5")) return true;
        return false;
    }
    std::string at(const std::string& path) const { return here + "/" + path; }
    void put(const std::string& path, const std::string& text) const {
        std::ofstream(at(path)) << text;
    }
    static void box(const std::string& name, std::vector<std::string> more = {},
                    const std::string& script = "sleep 1000") {
        std::vector<std::string> words = {"run", "-d", "--name", name};
        words.insert(words.end(), more.begin(), more.end());
        words.insert(words.end(), {"busybox", "sh", "-c", script});
        node->ok(words);
    }
    static std::string in(const std::string& name, const std::string& script) {
        return node->ok({"exec", name, "sh", "-c", script});
    }
    static std::string error_of(const std::vector<std::string>& words) {
        const Ran ran = node->nodectl(words);
        EXPECT_EQ(ran.exit_code, 1) << words[0];
        return trimmed(ran.err);
    }
    /// Once its script came so far.
    static bool has(const std::string& name, const std::string& path) {
        return eventually(
            [&] { return node->nodectl({"exec", name, "ls", "-d", path}).exit_code == 0; });
    }

    std::string here;
};

TEST_F(FilesTest, diff_shows_dockers_letters_while_it_runs_and_after) {
    box("dd", {},
        "echo x >>/etc/passwd; rm /etc/group; mkdir -p /srv/www; echo y >/srv/www/f; "
        "rm -rf /home; mkdir /home; touch /ready; sleep 1000");
    ASSERT_TRUE(has("dd", "/ready"));
    const std::string running = node->ok({"diff", "dd"});
    for (const char* line : {"C /etc", "C /etc/passwd", "D /etc/group", "A /srv/www/f", "A /ready"})
        EXPECT_NE(("\n" + running + "\n").find("\n" + std::string(line) + "\n"), std::string::npos)
            << line << " in\n" << running;
    EXPECT_EQ(running.find("/proc"), std::string::npos) << running;
    node->ok({"stop", "-t", "0", "dd"});
    EXPECT_EQ(node->ok({"container", "diff", "dd"}), running);
    node->ok({"create", "--name", "untouched", "busybox", "true"});
    EXPECT_EQ(node->ok({"diff", "untouched"}), "");
    EXPECT_NE(error_of({"diff", "nobody"}).find("No such container: nobody"), std::string::npos);
}

TEST_F(FilesTest, a_file_and_a_folder_go_out_by_dockers_rules) {
    box("cc", {}, "mkdir -p /d/sub; echo one >/d/f; echo two >/d/sub/g; ln -s f /d/l; sleep 1000");
    ASSERT_TRUE(has("cc", "/d/l"));
    node->ok({"cp", "cc:/d/f", here});
    EXPECT_EQ(read_text(at("f")), "one\n");
    const Ran named = node->nodectl({"cp", "cc:/d/f", at("other")});
    EXPECT_EQ(read_text(at("other")), "one\n");
    // What was copied is said to people alone.
    EXPECT_EQ(named.err + named.out, "");
    OnTerminal told(node->command({"cp", "cc:/d/f", at("told")}), {});
    EXPECT_TRUE(told.has_drawn("Successfully copied ")) << told.drawn();
    EXPECT_EQ(told.exit_code(30), 0);
    OnTerminal quiet(node->command({"cp", "-q", "cc:/d/f", at("quiet")}), {});
    EXPECT_EQ(quiet.exit_code(30), 0);
    EXPECT_EQ(quiet.drawn(), "");
    node->ok({"cp", "-q", "cc:d", at("new")});  // does not exist: becomes the copy
    EXPECT_EQ(read_text(at("new/sub/g")), "two\n");
    node->ok({"cp", "cc:/d", at("new")});  // exists: gets it inside
    EXPECT_EQ(read_text(at("new/d/sub/g")), "two\n");
    fs::create_directory(at("content"));
    node->ok({"container", "cp", "cc:/d/.", at("content")});
    EXPECT_EQ(read_text(at("content/sub/g")), "two\n");
    node->ok({"cp", "cc:/d/l", at("link")});
    EXPECT_EQ(fs::read_symlink(at("link")), "f");
    node->ok({"cp", "-L", "cc:/d/l", at("followed")});
    EXPECT_FALSE(fs::is_symlink(at("followed")));
    EXPECT_EQ(read_text(at("followed")), "one\n");
    // As an archive it has the name that the link leads to.
    put("entry.tar", node->nodectl({"cp", "-L", "cc:/d/l", "-"}).out);
    EXPECT_EQ(run_program({"/usr/bin/tar", "tf", at("entry.tar")}).out, "f\n");
    put("entry.tar", node->nodectl({"cp", "cc:/d/l", "-"}).out);
    EXPECT_EQ(run_program({"/usr/bin/tar", "tf", at("entry.tar")}).out, "l\n");

    const std::string missing = error_of({"cp", "cc:/nope", here});
    EXPECT_NE(missing.find("Could not find the file /nope in container cc"), std::string::npos);
    EXPECT_NE(error_of({"cp", "cc:/d/f", at("no/")}).find("the destination directory must exist"),
              std::string::npos);
    EXPECT_NE(error_of({"cp", "cc:/d/f", at("no/x")}).find("does not exist"), std::string::npos);
    EXPECT_NE(error_of({"cp", "cc:/d", at("f")}).find("cannot copy a directory"),
              std::string::npos);
    EXPECT_NE(error_of({"cp", "cc:/d/f/", here}).find("not a directory"), std::string::npos);
    EXPECT_EQ(error_of({"cp", "cc:/d", "cc:/e"}),
              "Error: copying between containers is not supported");
    EXPECT_EQ(error_of({"cp", "a", "b"}), "Error: must specify at least one container source");
    EXPECT_NE(error_of({"cp", "nobody:/d", here}).find("No such container: nobody"),
              std::string::npos);
}

TEST_F(FilesTest, a_file_and_a_folder_go_in_by_the_same_rules) {
    box("cc");
    fs::create_directories(at("d/sub"));
    put("d/f", "one");
    put("d/sub/g", "two");
    fs::permissions(at("d/f"), fs::perms(0640));
    ASSERT_EQ(chown(at("d/f").c_str(), 1234, 5678), 0);
    node->ok({"cp", at("d/f"), "cc:/root/h"});
    EXPECT_EQ(in("cc", "cat /root/h; stat -c %u:%g:%a /root/h"), "one0:0:640");
    node->ok({"cp", "-a", at("d/f"), "cc:/root"});
    EXPECT_EQ(in("cc", "stat -c %u:%g /root/f"), "1234:5678");
    node->ok({"cp", at("d"), "cc:/new"});
    node->ok({"cp", at("d"), "cc:/new"});
    node->ok({"cp", at("d/."), "cc:/root"});
    EXPECT_EQ(in("cc", "cat /new/sub/g /new/d/sub/g /root/sub/g"), "twotwotwo");
    in("cc", "ln -s /root/h /toh; ln -s /root /tor");
    node->ok({"cp", at("d/sub/g"), "cc:/toh"});
    EXPECT_EQ(in("cc", "cat /root/h; readlink /toh"), "two/root/h");
    node->ok({"cp", at("d/sub/g"), "cc:/tor/"});
    EXPECT_EQ(in("cc", "cat /root/g"), "two");
    EXPECT_NE(error_of({"cp", at("d"), "cc:/root/h"}).find("cannot copy a directory"),
              std::string::npos);
    EXPECT_NE(error_of({"cp", at("d/f"), "cc:/no/x"})
                  .find("Could not find the file /no in container cc"),
              std::string::npos);
    EXPECT_NE(error_of({"cp", at("nope"), "cc:/"}).find("no such file or directory"),
              std::string::npos);
    // What the container has cannot be turned from a file into a folder.
    in("cc", "mkdir /x; echo >/x/d");
    EXPECT_NE(error_of({"cp", at("d"), "cc:/x"}).find("cannot overwrite non-directory"),
              std::string::npos);
}

TEST_F(FilesTest, a_file_of_the_kernel_is_copied_with_what_it_tells) {
    box("box");
    node->ok({"cp", "box:/proc/1/limits", at("limits")});
    EXPECT_EQ(trimmed(read_text(at("limits"))), in("box", "cat /proc/1/limits"));
    in("box", ": > /empty");
    node->ok({"cp", "box:/empty", at("empty")});
    EXPECT_EQ(fs::file_size(at("empty")), 0u);
    node->ok({"cp", "/proc/sys/kernel/ostype", "box:/type"});
    EXPECT_EQ(in("box", "cat /type"), "Linux");
}

TEST_F(FilesTest, a_dash_is_the_archive_itself) {
    box("cc", {}, "mkdir /d; echo one >/d/f; sleep 1000");
    ASSERT_TRUE(has("cc", "/d/f"));
    const Ran out = node->nodectl({"cp", "cc:/d", "-"});
    EXPECT_EQ(out.exit_code, 0) << out.err;
    EXPECT_EQ(trimmed(run_program({"/bin/tar", "-t"}, out.out).out), "d/\nd/f");
    const Ran into = node->nodectl({"cp", "-", "cc:/root"}, out.out);
    EXPECT_EQ(into.exit_code, 0) << into.err;
    EXPECT_EQ(in("cc", "cat /root/d/f"), "one");
    const Ran wrong = node->nodectl({"cp", "-", "cc:/d/f"}, out.out);
    EXPECT_EQ(trimmed(wrong.err), "Error: destination \"cc:/d/f\" must be a directory");
    const Ran rubbish = node->nodectl({"cp", "-", "cc:/root"}, std::string(5000, 'x'));
    EXPECT_EQ(rubbish.exit_code, 1);
    EXPECT_NE(rubbish.err.find("archive"), std::string::npos) << rubbish.err;
    const Ran cut = node->nodectl({"cp", "-", "cc:/root"}, out.out.substr(0, 512 * 3 + 100));
    EXPECT_EQ(cut.exit_code, 1) << cut.err;
}

TEST_F(FilesTest, hostile_links_and_dots_lead_nowhere_outside) {
    const std::string secret = node->dir() + "/secret";
    std::ofstream(secret) << "of the host";
    box("evil", {},
        "ln -s " + node->dir() + " /out; ln -s ../../../../../../" + secret +
            " /up; ln -s /proc/1/root/proc /magic; mkdir /d; sleep 1000");
    ASSERT_TRUE(has("evil", "/d"));
    for (int round = 0; round < 2; ++round) {
        EXPECT_EQ(node->nodectl({"cp", "evil:/out/secret", at("got")}).exit_code, 1);
        EXPECT_EQ(node->nodectl({"cp", "-L", "evil:/up", at("got")}).exit_code, 1);
        EXPECT_EQ(node->nodectl({"cp", "evil:../.." + secret, at("got")}).exit_code, 1);
        EXPECT_FALSE(fs::exists(at("got")));
        put("f", "from outside");
        EXPECT_EQ(node->nodectl({"cp", at("f"), "evil:/out/secret"}).exit_code, 1);
        EXPECT_EQ(node->nodectl({"cp", at("f"), "evil:/up"}).exit_code, 1);
        EXPECT_EQ(read_text(secret), "of the host");
        EXPECT_EQ(node->nodectl({"cp", "evil:../../etc/passwd", at("inside")}).exit_code, 0);
        EXPECT_NE(read_text(at("inside")), read_text("/etc/passwd"));
        if (round == 0) node->ok({"stop", "-t", "0", "evil"});
    }
    // An archive with names that want out.
    put("x", "evil");
    const Ran tar = run_program({"/bin/tar", "-C", here, "-cP", "--transform=s,x,../x,", "x"});
    ASSERT_EQ(tar.exit_code, 0) << tar.err;
    const Ran refused = node->nodectl({"cp", "-", "evil:/d"}, tar.out);
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_NE(refused.err.find("it has \"..\" in it"), std::string::npos) << refused.err;
    EXPECT_EQ(node->ok({"diff", "evil"}).find("/x"), std::string::npos);
    fs::remove(secret);
}

TEST_F(FilesTest, a_stopped_container_has_files_and_no_mount_is_left) {
    const std::string before = mounts_below(node->dir());
    fs::create_directory(at("volume"));
    put("volume/inside", "of the volume");
    put("f", "in");
    node->ok({"create", "--name", "ss", "-v", at("volume") + ":/data/v", "busybox", "cat",
              "/root/f", "/data/v/f"});
    node->ok({"cp", at("f"), "ss:/root/f"});
    node->ok({"cp", at("f"), "ss:/data/v/f"});
    EXPECT_EQ(read_text(at("volume/f")), "in");
    node->ok({"cp", "ss:/data/v/inside", at("got")});
    EXPECT_EQ(read_text(at("got")), "of the volume");
    EXPECT_EQ(node->ok({"start", "-a", "ss"}), "inin");
    EXPECT_EQ(mounts_below(node->dir()), before);
    EXPECT_NE(node->ok({"diff", "ss"}).find("A /root/f"), std::string::npos);
}

TEST_F(FilesTest, mounts_of_a_running_container_are_seen_and_read_only_is_kept) {
    fs::create_directory(at("volume"));
    put("volume/inside", "of the volume");
    put("f", "in");
    box("mm", {"--read-only", "--tmpfs", "/t", "-v", at("volume") + ":/v", "-v",
              at("volume") + ":/ro:ro"});
    node->ok({"cp", at("f"), "mm:/t/f"});
    EXPECT_EQ(in("mm", "cat /t/f"), "in");
    node->ok({"cp", "mm:/v/inside", at("got")});
    EXPECT_EQ(read_text(at("got")), "of the volume");
    node->ok({"cp", at("f"), "mm:/v/f"});
    EXPECT_EQ(read_text(at("volume/f")), "in");
    EXPECT_EQ(error_of({"cp", at("f"), "mm:/root/f"}),
              "Error: container rootfs is marked read-only");
    EXPECT_EQ(error_of({"cp", at("f"), "mm:/ro/g"}), "Error: mounted volume is marked read-only");
    node->ok({"stop", "-t", "0", "mm"});
    EXPECT_EQ(error_of({"cp", at("f"), "mm:/root/f"}),
              "Error: container rootfs is marked read-only");
    EXPECT_EQ(error_of({"cp", at("f"), "mm:/ro/g"}), "Error: mounted volume is marked read-only");
    node->ok({"cp", at("f"), "mm:/v/h"});
    EXPECT_EQ(read_text(at("volume/h")), "in");
}

TEST_F(FilesTest, an_export_is_the_root_without_its_mounts) {
    fs::create_directory(at("volume"));
    put("volume/inside", "x");
    box("ee", {"-v", at("volume") + ":/v"}, "echo new >/new; rm /etc/group; sleep 1000");
    ASSERT_TRUE(has("ee", "/new"));
    for (int round = 0; round < 2; ++round) {
        node->ok({"export", "-o", at("e.tar"), "ee"});
        const std::string list =
            "\n" + run_program({"/bin/tar", "-tf", at("e.tar")}).out;
        EXPECT_NE(list.find("\nnew\n"), std::string::npos) << list;
        EXPECT_NE(list.find("\nbin/sh\n"), std::string::npos);
        EXPECT_NE(list.find("\nv/\n"), std::string::npos);
        EXPECT_EQ(list.find("/inside"), std::string::npos);
        EXPECT_EQ(list.find("etc/group\n"), std::string::npos);
        EXPECT_EQ(list.find("proc/1"), std::string::npos);
        EXPECT_EQ(node->nodectl({"container", "export", "ee"}).out.size(),
                  fs::file_size(at("e.tar")));
        if (round == 0) node->ok({"stop", "-t", "0", "ee"});
    }
    EXPECT_EQ(node->nodectl({"export", "-o", at("no/e.tar"), "ee"}).exit_code, 1);
    EXPECT_EQ(node->nodectl({"export", "-o", at("x.tar"), "nobody"}).exit_code, 1);
    EXPECT_FALSE(fs::exists(at("x.tar")));
}

/// A copy into `c` that waits for more of its archive.
struct HalfDone {
    HalfDone(const TestNode& node, const std::string& to) : client(node.command({"cp", "-", to})) {
        std::string archive(512 * 40, '\0');
        archive.replace(0, 4, "half");
        archive.replace(100, 7, "0000644");
        archive.replace(124, 11, "00001000000");
        archive.replace(156, 6, std::string("0\0\0\0\0\0", 6));
        archive.replace(257, 8, std::string("ustar\00000", 8));
        archive.replace(148, 8, "        ");
        unsigned sum = 0;
        for (int i = 0; i < 512; ++i) sum += static_cast<unsigned char>(archive[size_t(i)]);
        char digits[8];
        snprintf(digits, sizeof digits, "%06o", sum);
        archive.replace(148, 7, std::string(digits, 7));
        client.write(archive);
    }
    Running client;
};

TEST_F(FilesTest, a_copy_whose_client_is_killed_leaves_nothing) {
    box("cc");
    HalfDone half(*node, "cc:/root");
    ASSERT_TRUE(eventually([] { return copies(); }));
    sleep_ms(50);
    ::kill(half.client.pid(), SIGKILL);
    ASSERT_TRUE(eventually([] { return helpers() == 0; }));
    EXPECT_EQ(in("cc", "ls /root"), "");
}

TEST_F(FilesTest, a_removal_and_a_start_cut_a_copy_off_with_a_sentence) {
    node->ok({"create", "--name", "cc", "busybox", "ls", "/root"});
    {
        HalfDone half(*node, "cc:/root");
        ASSERT_TRUE(eventually([] { return copies(); }));
        sleep_ms(50);
        EXPECT_EQ(node->ok({"start", "-a", "cc"}), "");
        const Ran ran = half.client.wait();
        EXPECT_EQ(ran.exit_code, 1);
        EXPECT_EQ(ran.err, "Error: Container cc was started in the meantime\n");
    }
    HalfDone half(*node, "cc:/root");
    ASSERT_TRUE(eventually([] { return copies(); }));
    sleep_ms(50);
    node->ok({"rm", "cc"});
    const Ran ran = half.client.wait();
    EXPECT_EQ(ran.exit_code, 1);
    EXPECT_NE(ran.err.find("was removed in the meantime"), std::string::npos) << ran.err;
}

TEST_F(FilesTest, noded_killed_in_the_middle_takes_the_copy_along_and_nothing_stays) {
    box("rr");
    node->ok({"create", "--name", "ss", "busybox", "true"});
    const std::string before = mounts_below(node->dir());
    for (const char* to : {"rr:/root", "ss:/root"}) {
        HalfDone half(*node, to);
        ASSERT_TRUE(eventually([] { return copies(); }));
        sleep_ms(50);
        node->kill();
        const Ran ran = half.client.wait();
        EXPECT_EQ(ran.exit_code, 1);
        EXPECT_NE(ran.err.find("lost the connection to noded"), std::string::npos) << ran.err;
        node->start();
        const std::string name(to, 2);
        EXPECT_EQ(node->ok({"diff", name}).find("half"), std::string::npos);
    }
    EXPECT_EQ(mounts_below(node->dir()), before);
    EXPECT_EQ(in("rr", "ls /root"), "");
}

TEST_F(FilesTest, a_full_disk_is_told_and_leaves_nothing) {
    box("full", {"--tmpfs", "/t:size=64k"});
    put("large", std::string(1 << 20, 'x'));
    const std::string said = error_of({"cp", at("large"), "full:/t/large"});
    EXPECT_NE(said.find("ENOSPC"), std::string::npos) << said;
    EXPECT_EQ(in("full", "ls /t"), "");
}

// ---------------------------------------------------------------------------------------- commit

struct CommitTest : FilesTest {
    void TearDown() override {
        node->expect_nothing_left();
        node->nodectl({"image", "prune", "-af"});
        node->import_busybox();
        FilesTest::TearDown();
    }
    static std::string config(const std::string& image, const std::string& format) {
        return node->ok({"image", "inspect", "-f", format, image});
    }
    /// That were asked for so far.
    static size_t commits() { return in_history("\"ContainerCommitRequested\""); }
    static size_t in_history(const std::string& what) {
        const std::string events = node->ok({"events", "-o", "json"});
        size_t count = 0;
        for (size_t at = 0; (at = events.find(what, at)) != events.npos; ++at) ++count;
        return count;
    }
};

TEST_F(CommitTest, the_image_has_the_changes_and_the_settings_of_the_container) {
    box("cc", {"-e", "OWN=1", "-w", "/srv", "--label", "a=b", "-u", "0"},
        "echo new >/new; rm /etc/group; rm -rf /home; mkdir /home; echo h >/home/h; "
        "ln /new /again; chown 12:34 /new; touch /ready; sleep 1000");
    ASSERT_TRUE(has("cc", "/ready"));
    const std::string id = node->ok({"commit", "-a", "me", "-m", "why", "-c", "ENV MORE=2", "-c",
                                     "CMD [\"cat\", \"/new\"]", "-c", "EXPOSE 80", "-c",
                                     "VOLUME /data", "-c", "ONBUILD RUN x", "cc", "mine:1"});
    EXPECT_TRUE(id.starts_with("sha256:") && id.size() == 71) << id;
    EXPECT_EQ(node->ok({"ps", "--format", "{{.Status}}"}).find("Paused"), std::string::npos);
    EXPECT_EQ(node->ok({"run", "--rm", "mine:1"}), "new");
    EXPECT_EQ(node->ok({"run", "--rm", "mine:1", "sh", "-c",
                        "echo $OWN$MORE; pwd; ls /home; ls /etc/group 2>/dev/null; "
                        "stat -c %u:%g:%h /again"}),
              "12\n/srv\nh\n12:34:2");
    EXPECT_EQ(config("mine:1", "{{.Author}} {{.Comment}} {{index .Config.Labels \"a\"}}"),
              "me why b");
    EXPECT_EQ(config("mine:1", "{{json .Config.ExposedPorts}}{{json .Config.Volumes}}"),
              "{\"80/tcp\":{}}{\"/data\":{}}");
    EXPECT_EQ(config("mine:1", "{{len .RootFS.Layers}}"), "2");
    // A container of the commit is changed and committed in its turn.
    node->ok({"create", "--name", "again", "mine:1"});
    EXPECT_EQ(node->ok({"inspect", "-f", "{{json .Config.ExposedPorts}}", "again"}),
              "{\"80/tcp\":{}}");
    put("f", "f");
    node->ok({"cp", at("f"), "again:/f"});
    node->ok({"container", "commit", "again", "mine:2"});
    EXPECT_EQ(node->ok({"run", "--rm", "mine:2", "cat", "/f", "/new"}), "fnew");
    EXPECT_EQ(config("mine:2", "{{len .RootFS.Layers}}"), "3");
}

TEST_F(CommitTest, the_image_has_the_health_check_and_the_volumes_of_the_container) {
    node->ok({"create", "--name", "cc", "--health-cmd", "test -e /up", "--health-interval", "7s",
              "-v", "/own", "-v", "/with blank", "--mount", "type=volume,dst=/not-declared",
              "busybox", "sleep", "1000"});
    node->ok({"commit", "-c", "VOLUME /more", "cc", "mine:1"});
    EXPECT_EQ(config("mine:1", "{{json .Config.Volumes}}"),
              R"({"/more":{},"/own":{},"/with blank":{}})");
    EXPECT_EQ(config("mine:1", "{{json .Config.Healthcheck}}"),
              R"({"Interval":7000000000,"Test":["CMD-SHELL","test -e /up"]})");
    EXPECT_EQ(node->ok({"run", "--rm", "mine:1", "stat", "-c", "%n", "/own", "/with blank"}),
              "/own\n/with blank");
    // What the container did not say is its image's.
    node->ok({"create", "--name", "again", "mine:1"});
    node->ok({"commit", "-c", "HEALTHCHECK NONE", "again", "mine:2"});
    EXPECT_EQ(config("mine:2", "{{json .Config.Healthcheck}}"), R"({"Test":["NONE"]})");
    node->ok({"commit", "again", "mine:3"});
    EXPECT_EQ(config("mine:3", "{{json .Config.Healthcheck}}"),
              R"({"Interval":7000000000,"Test":["CMD-SHELL","test -e /up"]})");
}

TEST_F(CommitTest, a_running_container_is_paused_meanwhile_unless_it_shall_not) {
    box("cc");
    const auto pauses = [] { return in_history("\"ContainerPaused\""); };
    const size_t before = pauses();
    node->ok({"commit", "cc"});
    EXPECT_EQ(pauses(), before + 1);
    EXPECT_EQ(node->ok({"inspect", "-f", "{{.State.Paused}}", "cc"}), "false");
    node->ok({"commit", "--pause=false", "cc"});
    EXPECT_EQ(pauses(), before + 1);
    // One that somebody paused stays paused.
    node->ok({"pause", "cc"});
    node->ok({"commit", "cc"});
    EXPECT_EQ(node->ok({"inspect", "-f", "{{.State.Paused}}", "cc"}), "true");
    node->ok({"unpause", "cc"});
}

TEST_F(CommitTest, what_cannot_be_is_refused_with_a_sentence_and_the_container_goes_on) {
    box("cc");
    EXPECT_NE(error_of({"commit", "nobody"}).find("No such container: nobody"), std::string::npos);
    EXPECT_NE(error_of({"commit", "cc", "UPPER:1"}).find("must be lowercase"), std::string::npos);
    EXPECT_NE(error_of({"commit", "-c", "FLY away", "cc"}).find("FLY"), std::string::npos);
    EXPECT_EQ(node->ok({"inspect", "-f", "{{.State.Paused}}", "cc"}), "false");
    EXPECT_EQ(node->nodectl({"commit"}).exit_code, 1);
}

TEST_F(CommitTest, one_that_noded_dies_in_is_done_again_and_the_container_goes_on) {
    box("cc", {},
        "dd if=/dev/zero of=/large bs=1M count=256 2>/dev/null; touch /ready; sleep 1000");
    ASSERT_TRUE(has("cc", "/ready"));
    // The node is that of all tests here: its history has the commits of others.
    const size_t before = commits();
    Running client(node->command({"commit", "cc", "late:1"}));
    ASSERT_TRUE(eventually([&] { return commits() > before; }));
    node->kill();
    client.wait();
    node->start();
    EXPECT_TRUE(eventually([] { return !node->ok({"images", "-q", "late:1"}).empty(); }, 60))
        << node->ok({"events"});
    EXPECT_TRUE(eventually(
        [] { return node->ok({"inspect", "-f", "{{.State.Paused}}", "cc"}) == "false"; }));
    EXPECT_EQ(node->ok({"run", "--rm", "late:1", "stat", "-c", "%s", "/large"}), "268435456");
}

// ----------------------------------------------------------------------------------------- sizes

TEST_F(FilesTest, sizes_count_what_the_container_wrote_and_its_image) {
    box("cc", {}, "dd if=/dev/zero of=/f bs=1000 count=3 2>/dev/null; touch /ready; sleep 1000");
    ASSERT_TRUE(has("cc", "/ready"));
    EXPECT_EQ(node->ok({"inspect", "-s", "-f", "{{.SizeRw}}", "cc"}), "3000");
    const std::string image = node->ok({"image", "inspect", "-f", "{{.Size}}", "busybox"});
    EXPECT_EQ(node->ok({"inspect", "-s", "-f", "{{.SizeRootFs}}", "cc"}),
              std::to_string(std::stoull(image) + 3000));
    const std::string list = node->ok({"ps", "-s"});
    EXPECT_NE(list.find("SIZE"), std::string::npos) << list;
    EXPECT_NE(list.find("3kB (virtual "), std::string::npos) << list;
    EXPECT_EQ(node->ok({"ps"}).find("SIZE"), std::string::npos);
    EXPECT_EQ(node->ok({"inspect", "cc"}).find("SizeRw"), std::string::npos);
}

}  // namespace
}  // namespace noded::test
