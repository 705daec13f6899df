// Boots a second kernel, User-mode Linux, runs a program of GoogleTest cases in it and reports each
// case as its own.
//
// The guest has the host's file tree as its read-only root, so the freshly built program runs as it
// is; guest-init is its first process. It runs in a pid namespace whose end is the end of every
// process of it, and that namespace ends with this program, however that ends. What it leaves on
// disk stands in one directory that is removed. A case passes if the console says so; what the
// guest printed between the case's start and its end is the message.
//
// usage: vm_test GUEST-PROGRAM [INIT]      a path below the runfiles; as root, by bazel test. INIT
// is what guest-init becomes, a path of the host's.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

/// The tests in the guest have this long; booting takes a second, power-off too.
constexpr int kGuestSeconds = 200;
constexpr int kBootSeconds = 40;
/// What no console prints: reading goes on until every process of the guest is gone.
const std::string kEnd(1, '\0');
constexpr const char* kNoComplaint = "guest: the tests ended with status 0";

/// One boot for all cases.
class Guest : public testing::Environment {
public:
    Guest(std::string program, std::string init)
        : program_(std::move(program)), init_(std::move(init)) {}
    void SetUp() override;
    void TearDown() override { std::filesystem::remove_all(dir_); }
    const std::string& console() const { return console_; }

private:
    std::vector<std::string> command() const;

    std::string program_;
    std::string init_;
    std::string dir_;
    std::string console_;
};

std::vector<std::string> Guest::command() const {
    // What the kernel does not know itself becomes the environment of the first process.
    return {"/bin/sh",
            "-c",
            "exec \"$@\" 2>&1",
            "sh",
            "/usr/bin/setpriv",
            "--pdeathsig",
            "KILL",
            "/usr/bin/unshare",
            "--pid",
            "--mount-proc",
            "--kill-child",
            "/usr/bin/linux.uml",
            "mem=1G",
            "root=/dev/root",
            "rootfstype=hostfs",
            "rootflags=/",
            "ro",
            "ubd0=" + dir_ + "/disk",
            "con=null",
            "con0=null,fd:1",
            "quiet",
            "loglevel=1",
            "uml_dir=" + dir_ + "/uml",
            "init=" + built("tests/vm/guest-init"),
            "GUEST_PROGRAM=" + built(program_),
            "GUEST_INIT=" + init_,
            "GUEST_SECONDS=" + std::to_string(kGuestSeconds),
            "GUEST_BUSYBOX=" + dir_ + "/busybox.tar",
            "TEST_SRCDIR=" + std::string(getenv("TEST_SRCDIR"))};
}

void Guest::SetUp() {
    char folder[] = "/tmp/noded-vm-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    dir_ = folder;
    // Its four hundred short processes take a second here and fifteen in the guest.
    const Ran made = run_program({built("ops/busybox-rootfs"), dir_ + "/busybox.tar"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    // A file system that can map ids, which a tmpfs of this kernel cannot; it is a real disk to it.
    const Ran formatted =
        run_program({"/sbin/mke2fs", "-q", "-t", "ext4", "-F", dir_ + "/disk", "128m"});
    ASSERT_EQ(formatted.exit_code, 0) << formatted.err;
    // The end of the scope kills what does not end by itself in this time.
    Running machine(command());
    machine.close_input();
    machine.read_until(kEnd, kBootSeconds + kGuestSeconds);
    console_ = machine.out();
    std::erase(console_, '\r');  // it is a terminal to the guest
}

/// Made by run(), owned by GoogleTest.
Guest* guest = nullptr;

/// What the guest's console says of one case.
class GuestCase : public testing::Test {
public:
    explicit GuestCase(std::string name) : name_(std::move(name)) {}
    void TestBody() override;

private:
    std::string name_;
};

void GuestCase::TestBody() {
    const std::string& console = guest->console();
    if (console.find("[       OK ] " + name_ + " (") != std::string::npos) return;
    const size_t begin = console.find("[ RUN      ] " + name_ + "\n");
    const size_t end = console.find("[  FAILED  ] " + name_ + " (");
    if (begin == std::string::npos) FAIL() << "did not run; the console:\n" << console;
    FAIL() << (end == std::string::npos ? "did not end" : "failed in the guest") << ":\n"
           << console.substr(begin, end == std::string::npos ? end : end - begin);
}

/// What belongs to no case: the guest booted and ended in time, and its node left nothing.
TEST(Guest, comes_to_its_end_without_a_complaint) {
    EXPECT_NE(guest->console().find(kNoComplaint), std::string::npos) << guest->console();
}

/// "Suite.\n  fact_one\n  fact_two\n", after a line of GoogleTest's own.
size_t register_cases(const std::string& list) {
    size_t count = 0;
    std::string suite;
    std::istringstream lines(list);
    for (std::string line; std::getline(lines, line);) {
        if (line.ends_with('.')) suite = line.substr(0, line.size() - 1);
        if (!line.starts_with("  ") || suite.empty()) continue;
        const std::string name = line.substr(2);
        auto make = [full = suite + "." + name] { return new GuestCase(full); };
        testing::RegisterTest(suite.c_str(), name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                              std::move(make));
        ++count;
    }
    return count;
}

int run(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (argc < 2 || argc > 3 || getenv("TEST_SRCDIR") == nullptr) {
        fprintf(stderr, "usage: vm_test GUEST-PROGRAM [INIT], by bazel test\n");
        return 2;
    }
    guest = new Guest(argv[1], argc > 2 ? argv[2] : "");
    testing::AddGlobalTestEnvironment(guest);
    const Ran listed = run_program({built(argv[1]), "--gtest_list_tests"});
    if (listed.exit_code != 0 || register_cases(listed.out) == 0) {
        fprintf(stderr, "list the tests of %s: status %d, %s%s\n", argv[1], listed.exit_code,
                listed.out.c_str(), listed.err.c_str());
        return 2;
    }
    return RUN_ALL_TESTS();
}

}  // namespace
}  // namespace noded::test

int main(int argc, char** argv) { return noded::test::run(argc, argv); }
