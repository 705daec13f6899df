// noci, the real program on the real kernel: a busybox bundle through each command, and what other
// engines rely on: exit codes, sentences, JSON.

#include <sstream>

#include "tests/integration/descriptor_receiver.h"
#include "tests/integration/noci_fixture.h"

namespace noded::test {
namespace {

TEST_F(Noci, run_hands_on_output_and_exit_status) {
    const Ran ran = run("echo out; echo err >&2; exit 7");
    EXPECT_EQ(ran.exit_code, 7) << ran.err;
    EXPECT_EQ(ran.out, "out\n");
    EXPECT_EQ(ran.err, "err\n");
}

TEST_F(Noci, a_container_is_created_started_killed_and_deleted) {
    command("sleep 100");
    const std::string pid_file = base_ + "/pid";
    const Ran created = detached({"create", "--bundle", bundle_, "--pid-file", pid_file, id_});
    ASSERT_EQ(created.exit_code, 0) << created.err;
    EXPECT_EQ(state()["status"], "created");
    std::string pid;
    std::ifstream(pid_file) >> pid;
    EXPECT_EQ(std::to_string(state()["pid"].get<int>()), pid);
    EXPECT_EQ(detached({"create", "--bundle", bundle_, id_}).exit_code, 1);

    ASSERT_EQ(noci({"start", id_}).exit_code, 0);
    EXPECT_EQ(state()["status"], "running");
    const Ran again = noci({"start", id_});
    EXPECT_EQ(again.exit_code, 1);
    EXPECT_NE(again.err.find("cannot start an already running container"), std::string::npos);
    const Ran too_early = noci({"delete", id_});
    EXPECT_EQ(too_early.exit_code, 1);
    EXPECT_NE(too_early.err.find("that is not stopped: running"), std::string::npos);

    ASSERT_EQ(noci({"kill", id_, "KILL"}).exit_code, 0);
    ASSERT_TRUE(wait_for("stopped"));
    EXPECT_EQ(state()["pid"], 0);
    EXPECT_EQ(noci({"delete", id_}).exit_code, 0);
    const Ran gone = noci({"state", id_});
    EXPECT_EQ(gone.exit_code, 1);
    EXPECT_NE(gone.err.find("container does not exist"), std::string::npos);
}

TEST_F(Noci, state_has_what_the_specification_names) {
    config_["annotations"] = {{"a.b", "c"}};
    command("sleep 100");
    ASSERT_EQ(detached({"run", "-d", "--bundle", bundle_, id_}).exit_code, 0);
    const Json is = state();
    EXPECT_EQ(is["ociVersion"], config_["ociVersion"]);
    EXPECT_EQ(is["id"], id_);
    EXPECT_EQ(is["bundle"], bundle_);
    EXPECT_EQ(is["rootfs"], bundle_ + "/rootfs");
    EXPECT_EQ(is["annotations"]["a.b"], "c");
    const Json list = Json::parse(noci({"list", "-f", "json"}).out, nullptr, false);
    ASSERT_EQ(list.size(), 1u);
    EXPECT_EQ(list[0]["id"], id_);
    EXPECT_EQ(list[0]["owner"], "root");
    EXPECT_EQ(noci({"list", "-q"}).out, id_ + "\n");
}

TEST_F(Noci, exec_runs_inside_with_its_own_options) {
    command("sleep 100");
    ASSERT_EQ(detached({"run", "-d", "--bundle", bundle_, id_}).exit_code, 0);
    EXPECT_EQ(noci({"exec", id_, "sh", "-c", "exit 3"}).exit_code, 3);
    EXPECT_EQ(noci({"exec", "-e", "A=b", "--cwd", "/tmp", id_, "sh", "-c", "echo $A $PWD"}).out,
              "b /tmp\n");
    EXPECT_EQ(noci({"exec", "-u", "1000:1001", "-g", "7", id_, "id"}).out,
              "uid=1000 gid=1001 groups=7\n");
    EXPECT_EQ(noci({"exec", id_, "cat", "/proc/1/comm"}).out, "sleep\n");
    const Ran missing = noci({"exec", id_, "nosuch"});
    EXPECT_EQ(missing.exit_code, 255);
    EXPECT_NE(missing.err.find("executable file not found in $PATH"), std::string::npos);
    std::ofstream(base_ + "/process.json")
        << R"({"cwd": "/bin", "args": ["/bin/pwd"], "user": {"uid": 0, "gid": 0}})";
    EXPECT_EQ(noci({"exec", "-p", base_ + "/process.json", id_}).out, "/bin\n");
}

TEST_F(Noci, a_process_of_exec_is_in_the_cgroups_of_the_container) {
    command("sleep 100");
    ASSERT_EQ(detached({"run", "-d", "--bundle", bundle_, id_}).exit_code, 0);
    ASSERT_EQ(detached({"exec", "-d", id_, "sleep", "77"}).exit_code, 0);
    const Json pids = Json::parse(noci({"ps", "-f", "json", id_}).out, nullptr, false);
    EXPECT_EQ(pids.size(), 2u);
    const Ran table = noci({"ps", id_});
    EXPECT_NE(table.out.find("sleep 100"), std::string::npos);
    EXPECT_NE(table.out.find("sleep 77"), std::string::npos);
    EXPECT_EQ(table.out.find("bazel"), std::string::npos);
}

TEST_F(Noci, pause_and_resume) {
    command("sleep 100");
    ASSERT_EQ(detached({"run", "-d", "--bundle", bundle_, id_}).exit_code, 0);
    ASSERT_EQ(noci({"pause", id_}).exit_code, 0);
    EXPECT_EQ(state()["status"], "paused");
    EXPECT_EQ(noci({"exec", id_, "true"}).exit_code, 255);
    ASSERT_EQ(noci({"resume", id_}).exit_code, 0);
    EXPECT_EQ(state()["status"], "running");
    const Ran again = noci({"resume", id_});
    EXPECT_EQ(again.exit_code, 1);
    EXPECT_NE(again.err.find("container not paused"), std::string::npos);
    // A paused one is deleted by force, too.
    ASSERT_EQ(noci({"pause", id_}).exit_code, 0);
    EXPECT_EQ(noci({"delete", "--force", id_}).exit_code, 0);
}

TEST_F(Noci, limits_are_set_changed_and_counted) {
    config_["linux"]["resources"]["pids"]["limit"] = 20;
    command("sleep 100");
    ASSERT_EQ(detached({"run", "-d", "--bundle", bundle_, id_}).exit_code, 0);
    const auto limit = [&] {
        for (const char* tree : {"/sys/fs/cgroup/pids/", "/sys/fs/cgroup/"}) {
            std::string text;
            if (std::ifstream(tree + id_ + "/pids.max") >> text) return text;
        }
        return std::string();
    };
    EXPECT_EQ(limit(), "20");
    ASSERT_EQ(noci({"update", "--pids-limit", "30", id_}).exit_code, 0);
    EXPECT_EQ(limit(), "30");
    ASSERT_EQ(noci({"update", "-r", "-", id_}, R"({"pids": {"limit": 40}})").exit_code, 0);
    EXPECT_EQ(limit(), "40");
    const Json event = Json::parse(noci({"events", "--stats", id_}).out, nullptr, false);
    EXPECT_EQ(event["type"], "stats");
    EXPECT_EQ(event["data"]["pids"]["current"], 1);
    EXPECT_EQ(event["data"]["pids"]["limit"], 40);
}

TEST_F(Noci, hooks_run_in_their_order_and_place) {
    const std::string log = base_ + "/log";
    const auto hook = [&](const std::string& word) {
        return Json{
            {{"path", "/bin/sh"},
             {"args",
              {"sh", "-c", "echo " + word + " $(grep -o '\"status\":\"[a-z]*\"') >> " + log}},
             {"env", {"PATH=/bin:/usr/bin"}}}};
    };
    for (const char* kind :
         {"prestart", "createRuntime", "createContainer", "poststart", "poststop"})
        config_["hooks"][kind] = hook(kind);
    config_["hooks"]["startContainer"] =
        Json{{{"path", "/bin/sh"}, {"args", {"sh", "-c", "cat > /tmp/started"}}}};
    config_["root"]["readonly"] = false;
    const Ran ran = run("grep -c created /tmp/started");
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_EQ(ran.out, "1\n");
    std::ifstream in(log);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    EXPECT_EQ(text,
              "prestart \"status\":\"creating\"\ncreateRuntime \"status\":\"creating\"\n"
              "createContainer \"status\":\"creating\"\npoststart \"status\":\"running\"\n"
              "poststop \"status\":\"stopped\"\n");
}

TEST_F(Noci, a_hook_that_fails_or_takes_too_long_leaves_no_container) {
    config_["hooks"]["createRuntime"] = Json{{{"path", "/bin/false"}}};
    const Ran failed = run("true");
    EXPECT_EQ(failed.exit_code, 1);
    EXPECT_NE(failed.err.find("error running createRuntime hook #0: exit status 1"),
              std::string::npos) << failed.err;
    config_["hooks"]["createRuntime"] =
        Json{{{"path", "/bin/sleep"}, {"args", {"sleep", "60"}}, {"timeout", 1}}};
    const Ran late = run("true");
    EXPECT_EQ(late.exit_code, 1);
    EXPECT_NE(late.err.find("timeout"), std::string::npos) << late.err;
    EXPECT_EQ(noci({"list", "-q"}).out, "");
}

TEST_F(Noci, a_poststart_hook_that_fails_ends_the_container) {
    command("sleep 100");
    config_["hooks"]["poststart"] = Json{{{"path", "/bin/false"}}};
    write_config();
    ASSERT_EQ(detached({"create", "--bundle", bundle_, id_}).exit_code, 0);
    const Ran started = noci({"start", id_});
    EXPECT_EQ(started.exit_code, 1);
    EXPECT_NE(started.err.find("error running poststart hook #0: exit status 1"),
              std::string::npos) << started.err;
    EXPECT_NE(noci({"state", id_}).err.find("container does not exist"), std::string::npos);
}

TEST_F(Noci, a_hook_without_an_environment_has_that_of_noci) {
    const std::string log = base_ + "/log";
    const auto hook = [&](const char* kind, Json environment) {
        Json one = {{"path", "/bin/sh"}, {"args", {"sh", "-c", "echo $WORD >> " + log}}};
        if (!environment.is_null()) one["env"] = std::move(environment);
        config_["hooks"][kind].push_back(one);
    };
    hook("prestart", nullptr);
    hook("prestart", {"WORD=own"});
    hook("prestart", Json::array());
    hook("createContainer", nullptr);
    command("true");
    const Ran ran = run_program({"/bin/sh", "-c",
                                 "WORD=outer exec plugins/container/noci/noci --root " + root_ +
                                     " run --bundle " + bundle_ + " " + id_});
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    std::ifstream in(log);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    EXPECT_EQ(text, "outer\nown\n\nouter\n");
}

TEST_F(Noci, mounts_are_as_their_options_say) {
    fs::create_directories(base_ + "/source/below");
    std::ofstream(base_ + "/source/file") << "content\n";
    config_["mounts"].push_back({{"destination", "/mnt/bound"},
                                 {"type", "bind"},
                                 {"source", base_ + "/source"},
                                 {"options", {"rbind", "rro", "nosuid", "rprivate"}}});
    config_["mounts"].push_back({{"destination", "/mnt/scratch"},
                                 {"type", "tmpfs"},
                                 {"source", "tmpfs"},
                                 {"options", {"size=64k", "noexec", "mode=700"}}});
    config_["root"]["readonly"] = false;
    const Ran ran = run(
        "cat /mnt/bound/file; touch /mnt/bound/x 2>/dev/null || echo read-only;"
        "grep ' /mnt/bound ' /proc/self/mountinfo | cut -d' ' -f6;"
        "grep ' /mnt/scratch ' /proc/self/mounts | cut -d' ' -f4; stat -c %a /mnt/scratch");
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_EQ(ran.out.substr(0, 18), "content\nread-only\n");
    EXPECT_NE(ran.out.find("ro,nosuid"), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("noexec"), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("\n700\n"), std::string::npos) << ran.out;
}

TEST_F(Noci, a_user_namespace_maps_ids_and_mounts) {
    config_["linux"]["namespaces"].push_back({{"type", "user"}});
    const Json map = Json{{{"containerID", 0}, {"hostID", 200000}, {"size", 65536}}};
    config_["linux"]["uidMappings"] = config_["linux"]["gidMappings"] = map;
    fs::create_directories(base_ + "/source");
    fs::create_directories(bundle_ + "/rootfs/mnt");
    fs::create_directories(bundle_ + "/rootfs/dev/shm");
    config_["mounts"].push_back({{"destination", "/mnt"},
                                 {"type", "bind"},
                                 {"source", base_ + "/source"},
                                 {"options", {"bind", "idmap"}}});
    const Ran ran = run("id -u; cat /proc/self/uid_map | tr -s ' '; touch /mnt/mine");
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_EQ(ran.out, "0\n 0 200000 65536\n");
    struct stat info {};
    ASSERT_EQ(stat((base_ + "/source/mine").c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, 0u) << "an idmapped mount writes the container's root as root";
}

TEST_F(Noci, a_user_namespace_has_devices_that_the_host_has_elsewhere) {
    config_["linux"]["namespaces"].push_back({{"type", "user"}});
    for (const char* map : {"uidMappings", "gidMappings"})
        config_["linux"][map] = Json{{{"containerID", 0}, {"hostID", 100000}, {"size", 1000}}};
    config_["linux"]["devices"] = Json{{{"path", "/dev/made/"},
                                        {"type", "c"},
                                        {"major", 1},
                                        {"minor", 3},
                                        {"fileMode", 0640},
                                        {"uid", 0},
                                        {"gid", 6}}};
    ASSERT_EQ(chmod(base_.c_str(), 0755), 0);
    const Ran ran = run("stat -c '%u:%g %a %t:%T' /dev/made; echo x > /dev/made && "
                        "grep -E ' /dev/(made|null) ' /proc/self/mountinfo | grep -c nosuid");
    EXPECT_EQ(ran.out, "0:6 640 1:3\n2\n") << ran.err;
}

TEST_F(Noci, capabilities_limits_and_flags_of_the_process) {
    config_["process"]["capabilities"] = {{"bounding", {"CAP_KILL", "CAP_CHOWN"}},
                                          {"effective", {"CAP_KILL"}},
                                          {"permitted", {"CAP_KILL"}},
                                          {"inheritable", {"CAP_KILL"}},
                                          {"ambient", {"CAP_KILL"}}};
    config_["process"]["user"] = {{"uid", 1000}, {"gid", 1000}, {"umask", 077}};
    config_["process"]["rlimits"] = Json{{{"type", "RLIMIT_NOFILE"}, {"soft", 100}, {"hard", 200}}};
    const Ran ran =
        run("grep -E 'Cap(Prm|Bnd|Amb)|NoNewPrivs' /proc/self/status | tr -d '\\t'; umask; "
            "ulimit -n; ulimit -Hn");
    EXPECT_EQ(ran.out,
              "CapPrm:0000000000000020\nCapBnd:0000000000000021\nCapAmb:0000000000000020\n"
              "NoNewPrivs:1\n0077\n100\n200\n")
        << ran.err;
}

TEST_F(Noci, seccomp_refuses_what_its_rules_say) {
    config_["linux"]["seccomp"] = {
        {"defaultAction", "SCMP_ACT_ALLOW"},
        {"architectures", {"SCMP_ARCH_X86_64"}},
        {"syscalls",
         Json{{{"names", {"mkdir", "mkdirat"}}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", 95}}}}};
    const Ran ran = run("mkdir /tmp/x");
    EXPECT_NE(ran.exit_code, 0);
    EXPECT_NE(ran.err.find("not supported"), std::string::npos) << ran.err;
}

TEST_F(Noci, what_is_wrong_is_told_before_anything_is_made) {
    const auto refused = [&](const std::string& sentence) {
        write_config();
        const Ran ran = noci({"run", "--bundle", bundle_, id_});
        EXPECT_EQ(ran.exit_code, 1);
        EXPECT_NE(ran.err.find(sentence), std::string::npos) << ran.err;
        EXPECT_FALSE(fs::exists(root_ + "/" + id_));
    };
    command("true");
    const Json good = config_;
    const auto with = [&](const char* pointer, Json value) {
        config_ = good;
        config_[Json::json_pointer(pointer)] = std::move(value);
    };
    with("/process/args", Json::array());
    refused("args must not be empty");
    with("/process/cwd", "relative");
    refused("Cwd must be an absolute path");
    with("/process/args", "sh");
    refused("process.args: cannot unmarshal string");
    with("/root/path", "nosuch");
    refused("invalid rootfs");
    with("/linux/namespaces/0/type", "nosuch");
    refused("namespace \\\"nosuch\\\" does not exist");
    with("/linux/sysctl", {{"kernel.nosuch", "1"}});
    refused("is not in a separate kernel namespace");
    with("/linux/seccomp", {{"defaultAction", "nosuch"}});
    refused("invalid action 'nosuch'");
    with("/linux/rootfsPropagation", "nosuch");
    refused("rootfsPropagation=nosuch is not supported");
    with("/ociVersion", "invalid");
    refused("is no version of the specification");
    with("/ociVersion", "2.0.0");
    refused("version 2.0.0 of the specification is not supported");
    with("/process/scheduler", {{"policy", "SCHED_DEADLINE"}, {"deadline", 20'000'000}});
    refused("`SCHED_DEADLINE` requires `runtime`");
    with("/linux/sysctl", {{"kernel.domainname", "one"}});
    config_["domainname"] = "other";
    refused("conflicts with the OCI");
    with("/linux/memoryPolicy", {{"mode", "MPOL_BIND"}, {"nodes", ""}});
    refused("memory policy mode requires at least one node but got 0");
    config_ = good;
    write_config();
    std::ofstream(bundle_ + "/config.json") << "{ not json";
    EXPECT_NE(noci({"run", "--bundle", bundle_, id_}).err.find("is not valid JSON"),
              std::string::npos);
    fs::remove(bundle_ + "/config.json");
    EXPECT_NE(noci({"run", "--bundle", bundle_, id_}).err.find(
                  "JSON specification file config.json not found"), std::string::npos);
    EXPECT_NE(noci({"run", "--bundle", bundle_, "a/b"}).err.find("not found"), std::string::npos);
    config_ = good;
    write_config();
    EXPECT_NE(noci({"run", "--bundle", bundle_, "a/b"}).err.find("invalid container ID format"),
              std::string::npos);
}

TEST_F(Noci, what_a_killed_create_has_made_is_deleted) {
    const auto deleted = [&](const std::string& when) {
        const Ran ran = noci({"delete", "--force", id_});
        EXPECT_EQ(ran.exit_code, 0) << when << ": " << ran.err;
        EXPECT_FALSE(fs::exists(root_ + "/" + id_)) << when;
        expect_no_cgroup(when);
    };
    config_["hooks"]["createRuntime"] =
        Json{{{"path", "/bin/sh"}, {"args", {"sh", "-c", "kill -9 $PPID"}}}};
    command("sleep 100");
    EXPECT_NE(detached({"create", "--bundle", bundle_, id_}).exit_code, 0);
    EXPECT_EQ(noci({"delete", id_ + "-other"}).exit_code, 1);
    deleted("by its hook");
    config_.erase("hooks");
    write_config();
    for (int rounds = 0; rounds < 40'000; rounds += 2000) {
        const std::string count = std::to_string(rounds);
        run_program({"/bin/sh", "-c",
                     "plugins/container/noci/noci --root " + root_ + " create --bundle " + bundle_ +
                         " " + id_ + " </dev/null >/dev/null 2>&1 & i=0; while [ $i -lt " + count +
                         " ]; do i=$((i + 1)); done; kill -9 $!; wait $!"});
        deleted("after " + count);
    }
}

TEST_F(Noci, one_id_may_be_made_and_removed_by_many_at_once) {
    command("sleep 100");
    const std::string noci_root = "plugins/container/noci/noci --root " + root_ + " ";
    const std::string life = "for i in 1 2 3 4 5; do " + noci_root + "create --bundle " + bundle_ +
                             " " + id_ + "; " + noci_root + "start " + id_ + "; " + noci_root +
                             "state " + id_ + "; " + noci_root + "kill " + id_ + " KILL; " +
                             noci_root + "delete --force " + id_ + "; done";
    run_program({"/bin/sh", "-c",
                 "for j in 1 2 3 4; do (" + life + ") </dev/null >/dev/null 2>&1 & done; wait"});
    const Ran last = noci({"delete", "--force", id_});
    EXPECT_EQ(last.exit_code, 0) << last.err;
    EXPECT_EQ(noci({"list", "-q"}).out, "");
}

TEST_F(Noci, a_container_with_a_damaged_state_is_told_of_and_can_be_deleted) {
    command("sleep 100");
    ASSERT_EQ(detached({"run", "-d", "--bundle", bundle_, id_}).exit_code, 0);
    std::ofstream(root_ + "/" + id_ + "/state.json") << "{\"id\": ";
    for (const char* verb : {"state", "start", "pause", "delete"}) {
        const Ran ran = noci({verb, id_});
        EXPECT_EQ(ran.exit_code, 1);
        EXPECT_NE(ran.err.find("state.json is not valid JSON"), std::string::npos) << ran.err;
    }
    EXPECT_TRUE(fs::exists("/sys/fs/cgroup/pids/" + id_));
    fs::create_directories(root_ + "/" + id_ + "/somebody/elses");
    const Ran ran = noci({"delete", "--force", id_});
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_NE(ran.err.find("what its configuration names is removed"), std::string::npos);
}

TEST_F(Noci, a_command_that_cannot_be_run_leaves_nothing) {
    config_["process"]["args"] = {"nosuch"};
    write_config();
    const Ran ran = detached({"create", "--bundle", bundle_, id_});
    EXPECT_EQ(ran.exit_code, 1);
    EXPECT_NE(ran.err.find("exec: \\\"nosuch\\\": executable file not found in $PATH"),
              std::string::npos) << ran.err;
    EXPECT_FALSE(fs::exists(root_ + "/" + id_));
}

TEST_F(Noci, hostile_links_lead_nowhere) {
    config_["root"]["readonly"] = false;
    fs::create_directories(base_ + "/outside");
    fs::create_directory_symlink(base_ + "/outside", bundle_ + "/rootfs/escape");
    config_["mounts"].push_back({{"destination", "/escape/made"},
                                 {"type", "tmpfs"},
                                 {"source", "tmpfs"},
                                 {"options", {"nodev"}}});
    const Ran ran = run("grep -c /made /proc/self/mounts");
    EXPECT_TRUE(fs::is_empty(base_ + "/outside"));
    EXPECT_EQ(ran.exit_code == 0 ? ran.out : "1\n", "1\n");
    fs::remove_all(bundle_ + "/rootfs/proc");
    fs::create_directory_symlink("/tmp", bundle_ + "/rootfs/proc");
    const Ran proc = run("true");
    EXPECT_EQ(proc.exit_code, 1);
    EXPECT_NE(proc.err.find("must be mounted on ordinary directory"), std::string::npos)
        << proc.err;
}

TEST_F(Noci, nothing_else_is_mounted_over_proc) {
    fs::create_directories(base_ + "/source");
    std::ofstream(base_ + "/source/meminfo") << "little\n";
    fs::create_symlink("proc/self", bundle_ + "/rootfs/link");
    const auto mount = [&](const char* target, const std::string& source) {
        config_["mounts"].push_back({{"destination", target},
                                     {"type", "bind"},
                                     {"source", source},
                                     {"options", {"bind"}}});
    };
    mount("/proc/meminfo", base_ + "/source/meminfo");
    const Ran good = run("cat /proc/meminfo");
    EXPECT_EQ(good.out, "little\n") << good.err;
    const Json before = config_["mounts"];
    for (const char* target : {"/proc/self/attr", "/proc/../proc/sys", "/link/attr"}) {
        config_["mounts"] = before;
        mount(target, base_ + "/source");
        const Ran ran = run("true");
        EXPECT_EQ(ran.exit_code, 1) << target;
        EXPECT_NE(ran.err.find("cannot be mounted because it is inside /proc"), std::string::npos)
            << ran.err;
    }
    config_["mounts"] = before;
    mount("/proc", base_ + "/source");
    EXPECT_NE(run("true").err.find("cannot be mounted because it is not of type proc"),
              std::string::npos);
}

TEST_F(Noci, the_log_is_what_engines_read_the_error_from) {
    command("true");
    const Ran ran = noci({"--log", base_ + "/log.json", "--log-format", "json", "start", id_});
    EXPECT_EQ(ran.exit_code, 1);
    const Json line = read_json(base_ + "/log.json");
    EXPECT_EQ(line["level"], "error");
    EXPECT_EQ(line["msg"], "container does not exist");
    EXPECT_EQ(ran.err, "container does not exist\n");
}

TEST_F(Noci, preserved_descriptors_are_the_containers_and_no_others) {
    command("ls /proc/self/fd | tr '\\n' ' '; cat <&3");
    write_config();
    std::ofstream(base_ + "/file") << "three\n";
    const Ran ran = run_program(
        {"/bin/sh", "-c",
         "exec 3<" + base_ + "/file 9</dev/null; exec plugins/container/noci/noci --root " + root_ +
             " run --preserve-fds 1 --bundle " + bundle_ + " " + id_});
    // The fourth is what ls reads the folder by.
    EXPECT_EQ(ran.out, "0 1 2 3 4 three\n") << ran.err;
}

TEST_F(Noci, any_number_of_paths_is_masked) {
    Json& masked = config_["linux"]["maskedPaths"];
    for (int i = 0; i < 200; ++i) {
        const std::string path = "/etc/secret-" + std::to_string(i);
        fs::create_directories(bundle_ + "/rootfs/etc");
        std::ofstream(bundle_ + "/rootfs" + path) << "secret\n";
        masked.push_back(path);
    }
    const Ran ran = run("cat /etc/secret-* | wc -c; ls /etc/secret-* | wc -l");
    EXPECT_EQ(ran.out, "0\n200\n") << ran.err;
}

TEST_F(Noci, mounts_among_the_hosts_leave_with_the_container) {
    Json& spaces = config_["linux"]["namespaces"];
    for (size_t i = 0; i < spaces.size(); ++i)
        if (spaces[i]["type"] == "mount") spaces.erase(i--);
    config_["linux"]["maskedPaths"] = config_["linux"]["readonlyPaths"] = Json::array();
    const Ran ran = run("readlink /proc/self/ns/mnt; touch /x 2>/dev/null || echo read-only");
    char own[64] = "";
    ASSERT_GT(readlink("/proc/self/ns/mnt", own, sizeof own - 1), 0);
    EXPECT_EQ(ran.out, std::string(own) + "\nread-only\n") << ran.err;
    // TearDown looks for mounts that are left.
}

TEST_F(Noci, a_container_of_one_process_is_possible) {
    config_["linux"]["resources"]["pids"]["limit"] = 1;
    const Ran ran = run("echo alone; true | true");
    EXPECT_EQ(ran.out, "alone\n") << ran.err;
    EXPECT_NE(ran.exit_code, 0);
}

TEST_F(Noci, the_cgroup_of_another_container_is_refused_and_left_alone) {
    command("sleep 100");
    ASSERT_EQ(detached({"run", "-d", "--bundle", bundle_, id_}).exit_code, 0);
    const Ran second = noci({"run", "--bundle", bundle_, id_ + "-2"});
    EXPECT_EQ(second.exit_code, 1);
    EXPECT_NE(second.err.find("container's cgroup is not empty: 1 process(es) found"),
              std::string::npos) << second.err;
    EXPECT_FALSE(fs::exists(root_ + "/" + id_ + "-2"));
    EXPECT_EQ(state()["status"], "running");
    EXPECT_EQ(noci({"exec", id_, "true"}).exit_code, 0);
}

TEST_F(Noci, who_calls_it_from_one_cpu_gets_a_container_on_all) {
    command("grep Cpus_allowed_list: /proc/self/status");
    write_config();
    const std::string line =
        " plugins/container/noci/noci --root " + root_ + " run --bundle " + bundle_ + " " + id_;
    const Ran all = run_program({"/bin/sh", "-c", "exec" + line});
    const Ran bound = run_program({"/bin/sh", "-c", "exec taskset -c 0" + line});
    EXPECT_EQ(bound.out, all.out) << bound.err;
}

TEST_F(Noci, mounts_are_listed_in_the_order_of_the_configuration) {
    fs::create_directories(base_ + "/source");
    const auto mount = [&](const char* target, const char* type, const std::string& source) {
        Json out = {{"destination", target}, {"type", type}, {"source", source}};
        if (type == std::string("bind")) out["options"] = {"rbind", "ro"};
        config_["mounts"].push_back(out);
    };
    mount("/tmp/a", "tmpfs", "tmpfs");
    mount("/tmp/b", "bind", base_ + "/source");
    config_["mounts"].back()["options"].push_back("shared");
    mount("/tmp/c", "tmpfs", "tmpfs");
    mount("/tmp/d", "bind", base_ + "/source");
    std::string order;
    for (const Json& one : config_["mounts"]) order += one["destination"].get<std::string>() + "\n";
    config_["root"]["readonly"] = false;
    const Ran ran = run("grep -oE ' (/proc|/dev|/dev/(pts|shm|mqueue)|/sys|/sys/fs/cgroup|/tmp/.) "
                        "[a-z,]* ' /proc/self/mountinfo | cut -d' ' -f2");
    EXPECT_EQ(ran.out, order) << ran.err;
}

/// Somebody without root's rights, with a copy of the program and a bundle of its own.
class NociRootless : public Noci {
protected:
    void SetUp() override {
        Noci::SetUp();
        fs::copy_file("plugins/container/noci/noci", base_ + "/noci");
        fs::remove(bundle_ + "/config.json");
        ASSERT_EQ(chmod(base_.c_str(), 0755), 0);
        ASSERT_EQ(run_program({"/bin/sh", "-c",
                               "mkdir " + base_ + "/own && chown -R 4242:4242 " + base_ +
                                   "/own " + bundle_}).exit_code, 0);
        ASSERT_EQ(own("spec --rootless").exit_code, 0);
        config_ = read_json(bundle_ + "/config.json");
        config_["process"]["terminal"] = false;
    }
    void TearDown() override {
        own("delete --force " + id_);
        Noci::TearDown();
    }
    Ran own(const std::string& words, const std::string& redirection = "") {
        return run_program({"/bin/sh", "-c",
                            "cd " + bundle_ +
                                " && exec setpriv --reuid=4242 --regid=4242 --clear-groups "
                                "--bounding-set=-all env XDG_RUNTIME_DIR=" +
                                base_ + "/own " + base_ + "/noci " + words + redirection});
    }
};

TEST_F(NociRootless, a_user_without_root_runs_a_container) {
    command("id -u; cat /proc/self/uid_map | tr -s ' '; hostname; touch /x; exit 5");
    const Ran ran = own("run " + id_);
    EXPECT_EQ(ran.exit_code, 5) << ran.err;
    EXPECT_EQ(ran.out, "0\n 0 4242 1\nnoci\n");
    EXPECT_NE(ran.err.find("Read-only file system"), std::string::npos) << ran.err;
}

TEST_F(NociRootless, it_is_entered_listed_and_deleted) {
    command("sleep 100");
    const Ran made = own("run -d " + id_, " </dev/null >/dev/null 2>&1");
    ASSERT_EQ(made.exit_code, 0);
    const Ran inside = own("exec " + id_ + " cat /proc/1/comm");
    EXPECT_EQ(inside.out, "sleep\n") << inside.err;
    EXPECT_EQ(own("list -q").out, id_ + "\n");
    EXPECT_EQ(own("kill " + id_ + " KILL").exit_code, 0);
    for (int i = 0; i < 500; ++i, usleep(10'000))
        if (own("state " + id_).out.find("\"stopped\"") != std::string::npos) break;
    const Ran deleted = own("delete " + id_);
    EXPECT_EQ(deleted.exit_code, 0) << deleted.err;
    EXPECT_TRUE(fs::is_empty(base_ + "/own/noci"));
}

TEST_F(NociRootless, what_it_may_not_have_is_told) {
    config_["linux"]["namespaces"] = Json{{{"type", "mount"}}, {{"type", "pid"}}};
    config_["linux"].erase("uidMappings");
    config_["linux"].erase("gidMappings");
    command("true");
    const Ran ran = own("run " + id_);
    EXPECT_EQ(ran.exit_code, 1);
    EXPECT_NE(ran.err.find("rootless container requires user namespaces"), std::string::npos)
        << ran.err;
}

/// With files of its own where uidmap's helpers look for who may map what.
TEST_F(NociRootless, more_ids_are_mapped_by_newuidmap_and_newgidmap) {
    const auto with = [&](const std::string& range) {
        std::ofstream(base_ + "/sub") << range;
        std::ofstream(base_ + "/passwd") << "root:x:0:0::/:/bin/sh\nnoci:x:4242:4242::/:/bin/sh\n";
        return run_program(
            {"/usr/bin/unshare", "-m", "/bin/sh", "-ec",
             "for f in subuid subgid; do mount --bind " + base_ + "/sub /etc/$f; done; "
             "mount --bind " + base_ + "/passwd /etc/passwd; cd " + bundle_ +
                 "; exec setpriv --reuid=4242 --regid=4242 --clear-groups env XDG_RUNTIME_DIR=" +
                 base_ + "/own " + base_ + "/noci run " + id_});
    };
    for (const char* maps : {"uidMappings", "gidMappings"})
        config_["linux"][maps].push_back({{"containerID", 1}, {"hostID", 200000}, {"size", 1000}});
    config_["process"]["user"] = {{"uid", 5}, {"gid", 6}};
    command("id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '");
    const Ran ran = with("noci:200000:1000\n");
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_EQ(ran.out, "5\n6\n 0 4242 1\n 1 200000 1000\n 0 4242 1\n 1 200000 1000\n");
    const Ran refused = with("noci:300000:1000\n");
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_NE(refused.err.find("newuidmap refused the id mappings of config.json"),
              std::string::npos) << refused.err;
    own("delete --force " + id_);
}

/// In a network namespace, which stands for the host's.
class NociDevices : public Noci {
protected:
    Ran in_network(const std::string& before, const std::string& after = "true") {
        write_config();
        return run_program({"/usr/bin/unshare", "-n", "/bin/sh", "-c",
                            before + " && plugins/container/noci/noci --root " + root_ +
                                " run --bundle " + bundle_ + " " + id_ + " && " + after});
    }
    static constexpr const char* kPair = "ip link add hostend type veth peer name other";
};

TEST_F(NociDevices, one_of_the_host_moves_with_its_addresses) {
    config_["linux"]["netDevices"] = {{"hostend", {{"name", "eth9"}}}, {"other", Json::object()}};
    command("ip -o addr show eth9; ip -o link show other | grep -c UP; "
            "[ -e /sys/class/net/hostend ] || echo renamed");
    const Ran ran = in_network(std::string(kPair) +
                                   " && ip addr add 10.9.8.7/24 dev hostend && "
                                   "ip addr add fd00:9::7/64 dev hostend nodad",
                               "! ip link | grep -qE 'hostend|eth9'");
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_NE(ran.out.find("10.9.8.7/24"), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("fd00:9::7/64"), std::string::npos) << ran.out;
    EXPECT_TRUE(ran.out.ends_with("1\nrenamed\n")) << ran.out;
}

TEST_F(NociDevices, one_that_cannot_move_is_told_of) {
    config_["linux"]["netDevices"] = {{"missing", {{"name", "eth9"}}}};
    command("true");
    const Ran missing = in_network("true");
    EXPECT_EQ(missing.exit_code, 1);
    EXPECT_NE(missing.err.find("move the network device missing into the container as eth9: find"),
              std::string::npos) << missing.err;
    config_["linux"]["netDevices"] = {{"hostend", {{"name", "lo"}}}};
    const Ran taken = in_network(kPair);
    EXPECT_EQ(taken.exit_code, 1);
    EXPECT_NE(taken.err.find("into the container as lo: move it"), std::string::npos) << taken.err;
    config_["linux"]["netDevices"] = {{"hostend", {{"name", "a/b"}}}};
    const Ran wrong = in_network(kPair);
    EXPECT_NE(wrong.err.find("invalid network device name"), std::string::npos) << wrong.err;
    config_["linux"]["netDevices"] = {{"hostend", Json::object()}};
    config_["linux"]["namespaces"] = Json{{{"type", "mount"}}, {{"type", "pid"}},
                                          {{"type", "uts"}}};
    EXPECT_NE(in_network(kPair).err.find(
                  "unable to move network devices without a private NET namespace"),
              std::string::npos);
}

TEST_F(Noci, without_cgroups_it_stays_in_those_of_its_caller) {
    command("cat /proc/self/cgroup");
    const std::vector<std::string> words = {"--cgroup-manager", "disabled", "run", "--bundle",
                                            bundle_, id_};
    const Ran ran = noci(words);
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_EQ(ran.out.find(id_), std::string::npos) << ran.out;
    config_["linux"]["resources"]["pids"]["limit"] = 20;
    write_config();
    const Ran limited = noci(words);
    EXPECT_EQ(limited.exit_code, 1);
    EXPECT_NE(limited.err.find("cannot set pids limit"), std::string::npos) << limited.err;
    const Ran wrong = noci({"--cgroup-manager", "nosuch", "list"});
    EXPECT_EQ(wrong.exit_code, 1);
    EXPECT_NE(wrong.err.find("it is one of cgroupfs, systemd and disabled"), std::string::npos);
    // Detached, there is no group to end it by.
    config_["linux"]["resources"].erase("pids");
    command("sleep 100");
    ASSERT_EQ(detached({"--cgroup-manager=disabled", "run", "-d", "--bundle", bundle_, id_})
                  .exit_code, 0);
    const int pid = state()["pid"].get<int>();
    EXPECT_EQ(noci({"ps", "-f", "json", id_}).out, "[" + std::to_string(pid) + "]\n");
    EXPECT_EQ(noci({"delete", "--force", id_}).exit_code, 0);
    EXPECT_NE(kill(pid, 0), 0);
}

TEST_F(Noci, a_configuration_may_have_another_name_and_the_log_a_prefix) {
    command("echo elsewhere");
    fs::rename(bundle_ + "/config.json", base_ + "/other.json");
    const Ran ran = noci({"--log", "file:" + base_ + "/log", "run", "--config",
                          base_ + "/other.json", "--bundle", bundle_, id_});
    EXPECT_EQ(ran.out, "elsewhere\n") << ran.err;
    EXPECT_TRUE(fs::exists(base_ + "/log"));
    const Ran missing = noci({"run", "--config", base_ + "/nosuch", "--bundle", bundle_, id_});
    EXPECT_NE(missing.err.find(base_ + "/nosuch not found"), std::string::npos) << missing.err;
}

TEST_F(Noci, a_regular_expression_names_several) {
    command("sleep 100");
    Json config = config_;
    for (const char* name : {"-a", "-b", "-other"}) {
        config_["linux"]["cgroupsPath"] = "/" + id_ + name;
        write_config();
        ASSERT_EQ(detached({"run", "-d", "--bundle", bundle_, id_ + name}).exit_code, 0);
    }
    config_ = config;
    ASSERT_EQ(noci({"kill", "--regex", "[-][ab]$", "KILL"}).exit_code, 0);
    const auto is_stopped = [&](const std::string& name) {
        return noci({"state", id_ + name}).out.find("\"stopped\"") != std::string::npos;
    };
    for (int i = 0; i < 500 && !(is_stopped("-a") && is_stopped("-b")); ++i) usleep(10'000);
    EXPECT_TRUE(is_stopped("-a") && is_stopped("-b"));
    EXPECT_FALSE(is_stopped("-other"));
    // What fails is told, the others are deleted.
    const Ran some = noci({"delete", "--regex", "."});
    EXPECT_EQ(some.exit_code, 1);
    EXPECT_NE(some.err.find("that is not stopped: running"), std::string::npos) << some.err;
    EXPECT_EQ(noci({"list", "-q"}).out, id_ + "-other\n");
    EXPECT_NE(noci({"delete", "--regex", "("}).err.find("invalid regular expression"),
              std::string::npos);
    EXPECT_EQ(noci({"delete", "--force", "--regex", "oth"}).exit_code, 0);
    EXPECT_EQ(noci({"list", "-q"}).out, "");
}

TEST_F(Noci, ids_may_begin_with_a_dot) {
    command("sleep 100");
    const std::string hidden = "." + id_;
    ASSERT_EQ(detached({"run", "-d", "--bundle", bundle_, hidden}).exit_code, 0);
    EXPECT_EQ(noci({"list", "-q"}).out, hidden + "\n");
    EXPECT_EQ(noci({"delete", "--force", hidden}).exit_code, 0);
}

/// A bind of what earlier mounts have put below the rootfs, with its ids mapped.
TEST_F(Noci, a_mapped_bind_from_the_rootfs_has_the_mounts_before_it) {
    fs::create_directories(base_ + "/source/below");
    std::ofstream(base_ + "/source/file") << "content\n";
    fs::create_directories(bundle_ + "/rootfs/mnt");
    fs::create_directories(bundle_ + "/rootfs/dev/shm");
    const Json map = Json{{{"containerID", 0}, {"hostID", 300000}, {"size", 65536}}};
    const std::string rootfs = bundle_ + "/rootfs";
    config_["mounts"].push_back({{"destination", "/mnt"},
                                 {"type", "bind"},
                                 {"source", base_ + "/source"},
                                 {"options", {"rbind"}}});
    config_["mounts"].push_back({{"destination", "/final"},
                                 {"type", "bind"},
                                 {"source", rootfs + "/mnt"},
                                 {"options", {"rbind"}},
                                 {"uidMappings", map},
                                 {"gidMappings", map}});
    config_["root"]["readonly"] = false;
    const Ran plain = run("cat /final/file; stat -c %u /mnt/file /final/file");
    EXPECT_EQ(plain.out, "content\n0\n300000\n") << plain.err;
    config_["linux"]["namespaces"].push_back({{"type", "user"}});
    config_["linux"]["uidMappings"] = config_["linux"]["gidMappings"] = map;
    // The container's root has no way to the rootfs by its path.
    ASSERT_EQ(chmod(base_.c_str(), 0700), 0);
    ASSERT_EQ(run_program({"/usr/bin/chown", "-R", "300000:300000", rootfs}).exit_code, 0);
    const Ran mapped = run("cat /final/file; stat -c %u /mnt/file /final/file");
    EXPECT_EQ(mapped.out, "content\n65534\n0\n") << mapped.err;
}

TEST_F(Noci, a_process_frozen_elsewhere_is_deleted_by_force) {
    const std::string tree = "/sys/fs/cgroup/freezer/";
    if (!fs::exists(tree + "cgroup.procs")) GTEST_SKIP() << "no freezer of cgroup v1 here";
    command("sleep 100");
    ASSERT_EQ(detached({"run", "-d", "--bundle", bundle_, id_}).exit_code, 0);
    const std::string elsewhere = tree + id_ + "-elsewhere";
    ASSERT_TRUE(fs::create_directory(elsewhere));
    std::ofstream(elsewhere + "/cgroup.procs") << state()["pid"].get<int>();
    std::ofstream(elsewhere + "/freezer.state") << "FROZEN";
    const Ran ran = noci({"delete", "--force", id_});
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    // The dead leave their group a moment after they are seen dead.
    for (int i = 0; i < 500 && rmdir(elsewhere.c_str()) != 0; ++i) usleep(10'000);
    EXPECT_FALSE(fs::exists(elsewhere));
}

TEST_F(Noci, an_annotation_names_who_gets_the_pidfd) {
    const std::string path = base_ + "/pidfd.sock";
    DescriptorReceiver receiver;
    ASSERT_TRUE(receiver.listen_at(path));
    config_["annotations"]["run.oci.pidfd_receiver"] = path;
    command("sleep 100");
    ASSERT_EQ(detached({"run", "-d", "--bundle", bundle_, id_}).exit_code, 0);
    const DescriptorReceiver::Received received = receiver.receive();
    ASSERT_TRUE(received.fd.valid());
    std::ifstream info("/proc/self/fdinfo/" + std::to_string(received.fd.get()));
    const std::string known(std::istreambuf_iterator<char>(info), {});
    EXPECT_NE(known.find("Pid:\t" + std::to_string(state()["pid"].get<int>()) + "\n"),
              std::string::npos) << known;
}

TEST_F(Noci, an_exec_enters_no_cgroup_above_the_containers) {
    command("sleep 100");
    ASSERT_EQ(detached({"run", "-d", "--bundle", bundle_, id_}).exit_code, 0);
    for (const char* path : {"..", "../x", "./a/../a"}) {
        const Ran ran = noci({"exec", "--cgroup", path, id_, "true"});
        EXPECT_EQ(ran.exit_code, 255) << path;
        EXPECT_NE(ran.err.find("`..` components are not allowed"), std::string::npos) << ran.err;
    }
    EXPECT_EQ(noci({"exec", "--cgroup", "/", id_, "true"}).exit_code, 0);
}

TEST_F(Noci, shares_of_caches_need_a_machine_that_has_them) {
    std::ifstream mounts("/proc/self/mounts");
    if (std::string(std::istreambuf_iterator<char>(mounts), {}).find(" resctrl ") !=
        std::string::npos)
        GTEST_SKIP() << "this one has";
    config_["linux"]["intelRdt"] = {{"l3CacheSchema", "L3:0=f"}};
    const Ran refused = run("true");
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_NE(refused.err.find("Intel RDT is not enabled"), std::string::npos) << refused.err;
    config_["linux"].erase("intelRdt");
    command("sleep 1000");
    ASSERT_EQ(detached({"run", "-d", "--bundle", bundle_, id_}).exit_code, 0);
    const Ran updated = noci({"update", "--l3-cache-schema", "L3:0=f", id_});
    EXPECT_EQ(updated.exit_code, 1);
    EXPECT_NE(updated.err.find("l3 cache schema is not enabled"), std::string::npos)
        << updated.err;
}

TEST_F(Noci, features_are_told) {
    const Json features = Json::parse(noci({"features"}).out, nullptr, false);
    EXPECT_EQ(features["ociVersionMin"], "1.0.0");
    EXPECT_EQ(features["ociVersionMax"], "1.3.0");
    EXPECT_TRUE(features["linux"]["netDevices"]["enabled"]);
    EXPECT_TRUE(features["linux"]["cgroup"]["systemd"]);
    EXPECT_FALSE(features["linux"]["cgroup"]["systemdUser"]);
    EXPECT_TRUE(features["linux"]["intelRdt"]["schemata"]);
    EXPECT_TRUE(features["linux"]["seccomp"]["enabled"]);
    EXPECT_EQ(features["hooks"].size(), 6u);
}

}  // namespace
}  // namespace noded::test
