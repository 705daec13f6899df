// A container of noci's for tests: the real program, a bundle with busybox, and a check that no
// process, cgroup, mount or folder is left. Each test has a root and a bundle of its own.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/integration/test_node.h"

namespace noded::test {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class Noci : public ::testing::Test {
protected:
    static void SetUpTestSuite() {
        image_ = folder("/noded-test-noci-rootfs-XXXXXX");
        // Whoever boots a guest for these tests has made it already.
        const char* made = getenv("GUEST_BUSYBOX");
        if (made != nullptr) {
            fs::copy_file(made, image_ + "/rootfs.tar");
            return;
        }
        const Ran ran = run_program({built("ops/busybox-rootfs"), image_ + "/rootfs.tar"});
        ASSERT_EQ(ran.exit_code, 0) << ran.err;
    }
    static void TearDownTestSuite() { fs::remove_all(image_); }

    void SetUp() override {
        base_ = folder("/noded-test-noci-XXXXXX");
        root_ = base_ + "/root";
        bundle_ = base_ + "/bundle";
        fs::create_directories(bundle_ + "/rootfs");
        ASSERT_EQ(run_program({"/usr/bin/tar", "-xf", image_ + "/rootfs.tar", "-C",
                               bundle_ + "/rootfs"})
                      .exit_code,
                  0);
        ASSERT_EQ(noci({"spec", "--bundle", bundle_}).exit_code, 0);
        id_ = "noci-test-" + std::to_string(getpid()) + "-" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
        config_ = read_json(bundle_ + "/config.json");
        config_["process"]["terminal"] = false;
        config_["linux"]["cgroupsPath"] = "/" + id_;
    }

    void TearDown() override {
        ASSERT_FALSE(id_.empty());
        noci({"delete", "--force", id_});
        EXPECT_TRUE(!fs::exists(root_) || fs::is_empty(root_)) << "state is left in " << root_;
        expect_no_cgroup("at the end");
        std::ifstream mounts("/proc/self/mounts");
        const std::string text(std::istreambuf_iterator<char>(mounts), {});
        EXPECT_EQ(text.find(base_), std::string::npos) << "a mount is left";
        fs::remove_all(base_);
    }

    static std::string folder(const std::string& name) {
        // Only a guest of tests/vm says where: its /tmp can not be written.
        const char* parent = getenv("TMPDIR");
        std::string path = (parent != nullptr ? parent : "/tmp") + name;
        if (mkdtemp(path.data()) == nullptr) abort();
        return path;
    }
    static std::string program() { return built("plugins/container/noci/noci"); }
    void expect_no_cgroup(const std::string& when) const {
        for (const char* tree : {"memory/", "pids/", "unified/", ""})
            EXPECT_FALSE(fs::exists(std::string("/sys/fs/cgroup/") + tree + id_)) << when;
    }
    static Json read_json(const std::string& path) {
        std::ifstream in(path);
        return Json::parse(in, nullptr, false);
    }
    void write_config() { std::ofstream(bundle_ + "/config.json") << config_.dump(); }

    void command(const std::string& script) {
        config_["process"]["args"] = {"/bin/sh", "-c", script};
        write_config();
    }
    Ran noci(std::vector<std::string> words, const std::string& input = "") {
        words.insert(words.begin(), {program(), "--root", root_});
        return run_program(words, input);
    }
    /// For what leaves a process behind, which keeps the streams that it was given.
    Ran detached(const std::vector<std::string>& words) {
        std::string line = "exec " + program() + " --root " + root_;
        for (const std::string& word : words) line += " '" + word + "'";
        Ran ran =
            run_program({"/bin/sh", "-c", line + " </dev/null >/dev/null 2>" + base_ + "/err"});
        std::ifstream in(base_ + "/err");
        ran.err.assign(std::istreambuf_iterator<char>(in), {});
        return ran;
    }
    Ran run(const std::string& script) {
        command(script);
        return noci({"run", "--bundle", bundle_, id_});
    }
    Json state() { return Json::parse(noci({"state", id_}).out, nullptr, false); }
    bool wait_for(const std::string& status) {
        for (int i = 0; i < 500; ++i, usleep(10'000))
            if (state().value("status", "") == status) return true;
        return false;
    }

    static inline std::string image_;
    std::string base_, root_, bundle_, id_;
    Json config_;
};

}  // namespace noded::test
