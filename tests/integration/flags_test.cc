// What is wrong on the command line of run: each flag with a wrong type, out of range, in conflict
// with another one. The sentences are those that docker's client and daemon say, word for word
// where both know the flag; the exit code is 125, as docker's, and nothing is left of the
// container.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/test_node.h"
#include "tests/integration/text.h"

namespace noded::test {
namespace {

struct Case {
    std::vector<std::string> flags;
    const char* sentence;
};

struct FlagsTest : SharedNodeTest {
    static Ran run(const std::vector<std::string>& flags) {
        std::vector<std::string> all = {"run", "--rm"};
        all.insert(all.end(), flags.begin(), flags.end());
        all.insert(all.end(), {"busybox", "true"});
        return node->nodectl(all);
    }
    static void expect_refused(const std::vector<Case>& cases) {
        for (const Case& wrong : cases) {
            const Ran ran = run(wrong.flags);
            std::string shown;
            for (const std::string& word : wrong.flags) shown += word + " ";
            EXPECT_EQ(ran.exit_code, 125) << shown << ran.err;
            EXPECT_NE(ran.err.find(wrong.sentence), std::string::npos) << shown << "\n" << ran.err;
        }
        EXPECT_EQ(node->ok({"ps", "-aq"}), "");
    }
};

TEST_F(FlagsTest, wrong_types_are_refused_in_the_words_of_dockers_client) {
    expect_refused({
        {{"-m", "abc"}, "invalid argument \"abc\" for \"-m, --memory\" flag: invalid size: 'abc'"},
        {{"-m", "-1"}, "invalid argument \"-1\" for \"-m, --memory\" flag: invalid size: '-1'"},
        {{"-m", "NaN"}, "invalid size: 'NaN'"},
        {{"--memory-swap", "x"}, "for \"--memory-swap\" flag: invalid size: 'x'"},
        {{"--memory-reservation", "x"}, "for \"--memory-reservation\" flag: invalid size: 'x'"},
        {{"--shm-size", "-1"}, "for \"--shm-size\" flag: invalid size: '-1'"},
        {{"--cpus", "x"},
         "invalid argument \"x\" for \"--cpus\" flag: failed to parse x as a rational number"},
        {{"-c", "many"},
         "for \"-c, --cpu-shares\" flag: strconv.ParseInt: parsing \"many\": invalid syntax"},
        {{"--cpu-quota", "x"},
         "for \"--cpu-quota\" flag: strconv.ParseInt: parsing \"x\": invalid syntax"},
        {{"--pids-limit", "99999999999999999999"},
         "strconv.ParseInt: parsing \"99999999999999999999\": value out of range"},
        {{"--blkio-weight", "x"},
         "for \"--blkio-weight\" flag: strconv.ParseUint: parsing \"x\": invalid syntax"},
        {{"--blkio-weight", "70000"}, "strconv.ParseUint: parsing \"70000\": value out of range"},
        {{"--oom-score-adj", "x"}, "strconv.ParseInt: parsing \"x\": invalid syntax"},
        {{"--init=maybe"},
         "invalid argument \"maybe\" for \"--init\" flag: strconv.ParseBool: parsing \"maybe\": "
         "invalid syntax"},
        {{"--privileged=2"}, "for \"--privileged\" flag: strconv.ParseBool: parsing \"2\""},
        {{"--device-read-bps", "x"},
         "invalid argument \"x\" for \"--device-read-bps\" flag: bad format: x"},
        {{"--device-read-bps", "/dev/vda:-1"},
         "invalid rate for device: /dev/vda:-1. The correct format is "
         "<device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and "
         "can be kb, mb, or gb"},
        {{"--device-write-iops", "rel:5"},
         "for \"--device-write-iops\" flag: bad format for device path: rel:5"},
        {{"--ulimit", "nofile"},
         "invalid argument \"nofile\" for \"--ulimit\" flag: invalid ulimit argument: nofile"},
        {{"--ulimit", "nofile=a"}, "strconv.ParseInt: parsing \"a\": invalid syntax"},
        {{"--ulimit", "nofile=1:2:3"},
         "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`"},
        {{"--sysctl", "a=b"},
         "invalid argument \"a=b\" for \"--sysctl\" flag: sysctl 'a=b' is not allowed"},
        {{"-e", "=x"},
         "invalid argument \"=x\" for \"-e, --env\" flag: invalid environment variable: =x"},
        {{"-l", "=x"},
         "invalid argument \"=x\" for \"-l, --label\" flag: invalid label '=x': empty "
         "name"},
        {{"--health-interval", "x"},
         "invalid argument \"x\" for \"--health-interval\" flag: time: invalid duration \"x\""},
        {{"--nope"}, "unknown flag: --nope"},
        {{"-Z"}, "unknown shorthand flag: 'Z' in -Z"},
    });
}

TEST_F(FlagsTest, mounts_and_devices_that_cannot_be_are_refused) {
    expect_refused({
        {{"--device", "rel"}, "rel is not an absolute path"},
        {{"--device", "/dev/null:/x:q"}, "bad mode specified: q"},
        {{"--device", "/dev/no-such"}, "/dev/no-such"},
        {{"--device-cgroup-rule", "bad"}, "invalid device cgroup format 'bad'"},
        {{"--tmpfs", "rel"}, "invalid mount path: 'rel' mount path must be absolute"},
        {{"--tmpfs", "/x:foo"}, "unknown option foo"},
        {{"-v", "/a:b"},
         "invalid volume specification: '/a:b': invalid mount config for type \"bind\": invalid "
         "mount path: 'b' mount path must be absolute"},
        {{"-v", "/a:/b:zz"}, "invalid mode: zz"},
        {{"-v", "/a:/b:ro,rw"}, "invalid mode: ro,rw"},
        {{"-v", ":/b"}, "invalid spec: :/b: empty section between colons"},
        {{"-v", "/a:/"},
         "invalid volume specification: '/a:/': invalid mount config for type \"bind\": invalid "
         "specification: destination can't be '/'"},
        {{"-v", "/tmp:/bin/busybox"}, "Are you trying to mount a directory onto a file"},
        {{"-v", "/etc/passwd:/tmp"}, "on /tmp: not a directory: Are you trying to mount"},
        {{"--mount", "type=bind,source=/a"},
         "invalid argument \"type=bind,source=/a\" for \"--mount\" flag: target is required"},
        {{"--mount", "type=bind,source=/no/such,target=/x"},
         "invalid mount config for type \"bind\": bind source path does not exist: /no/such"},
        {{"--mount", "type=foo,target=/x"},
         "invalid mount config for type \"foo\": mount type unknown"},
        {{"--mount", "foo"},
         "invalid argument \"foo\" for \"--mount\" flag: invalid field 'foo' must be a key=value "
         "pair"},
        {{"--mount", "type=bind,\"source=/a,target=/x"},
         "extraneous or missing \" in quoted-field"},
        {{"--mount", "type=bind,source=\"/a\",target=/x"}, "bare \" in non-quoted field"},
        {{"--mount", "type=bind,source=/tmp,target=/b,volume-nocopy"},
         "cannot mix 'volume-*' options with mount type 'bind'"},
        {{"--mount", "type=tmpfs,source=/a,target=/b"},
         "invalid mount config for type \"tmpfs\": field Source must not be specified"},
        {{"--mount", "type=bind,source=rel,target=/b"},
         "invalid mount config for type \"bind\": invalid mount path: 'rel' mount path must be "
         "absolute"},
        {{"--mount", "type=tmpfs,target=/b,tmpfs-size=x"}, "invalid value for tmpfs-size: x"},
        {{"--mount", "type=tmpfs,target=/b,tmpfs-mode=9"}, "invalid value for tmpfs-mode: 9"},
        {{"--mount", "type=bind,source=/tmp,target=/b,tmpfs-size=1"},
         "cannot mix 'tmpfs-*' options with mount type 'bind'"},
        {{"--mount", "type=bind,source=/tmp,target=/b,bind-propagation=far"},
         "invalid mount config for type \"bind\": invalid propagation mode: far"},
        {{"--mount", "type=bind,source=/tmp,target=/b,readonly=maybe"},
         "invalid value for readonly: maybe"},
    });
}

TEST_F(FlagsTest, values_out_of_range_are_refused) {
    expect_refused({
        {{"-m", "1k"}, "Minimum memory limit allowed is 6MB"},
        {{"--memory-reservation", "1m"}, "Minimum memory reservation allowed is 6MB"},
        {{"--memory-reservation", "2g", "-m", "1g"},
         "Minimum memory limit can not be less than memory reservation limit, see usage"},
        {{"--memory-swap", "10m", "-m", "20m"},
         "Minimum memoryswap limit should be larger than memory limit, see usage"},
        {{"--cpus", "-1"}, "Range of CPUs is from 0.01 to "},
        {{"--cpus", "0.001"}, "Range of CPUs is from 0.01 to "},
        {{"--cpus", "1000"}, " CPUs available"},
        {{"-c", "1"}, "CPU shares must be between 2 and 262144"},
        {{"--cpu-quota", "5"}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"},
        {{"--cpu-period", "5"},
         "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"},
        {{"--cpuset-cpus", "a"}, "Invalid value a for cpuset cpus: invalid format: a"},
        {{"--cpuset-cpus", "999"}, "Requested CPUs are not available - requested 999, available: "},
        {{"--cpuset-mems", "z"}, "Invalid value z for cpuset mems: invalid format: z"},
        {{"--cpuset-mems", "999"}, "Requested memory nodes are not available - requested 999"},
        {{"--blkio-weight", "5"}, "Range of blkio weight is from 10 to 1000"},
        {{"--ulimit", "x=1"}, "invalid ulimit type: x"},
        {{"--ulimit", "nofile=5:1"},
         "ulimit soft limit must be less than or equal to hard limit: 5 > 1"},
        {{"--ulimit", "nofile=9999999999"},
         "set the limit nofile to 9999999999: EPERM: noded has "},
        {{"--cap-add", "FLY"}, "invalid CapAdd: unknown capability: \"CAP_FLY\""},
        {{"--cap-drop", "cap_fly"}, "invalid CapDrop: unknown capability: \"CAP_FLY\""},
        {{"--oom-score-adj", "5000"},
         "Invalid value 5000, range for oom score adj is [-1000, 1000]"},
        {{"--security-opt", "what"}, "Invalid --security-opt: \"what\""},
        {{"--security-opt", "seccomp=/no/such"}, "opening seccomp profile (/no/such) failed: open"},
        {{"--restart", "on-failure:x", "--rm=false"},
         "invalid restart policy format: maximum retry count must be an integer"},
        {{"--stop-signal", "FOO"}, "Invalid signal: FOO"},
        {{"-h", std::string(70, 'a')}, "the hostname has 70 bytes"},
        {{"--name", "bad/name"},
         "Invalid container name (bad/name), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
        {{"-u", "nouser"}, "unable to find user nouser: no matching entries in passwd file"},
        {{"-u", "99999999999"}, "uids and gids must be in range 0-2147483647"},
        {{"-u", "-5"}, "uids and gids must be in range 0-2147483647"},
        {{"-u", "root:nogroup2"},
         "unable to find group nogroup2: no matching entries in group file"},
        {{"--group-add", "nope"}, "nable to find group nope: no matching entries in group file"},
        {{"-w", "rel"}, "the working directory 'rel' is invalid, it needs to be an absolute path"},
        {{"--env-file", "/no/such"}, "open /no/such"},
        {{"--label-file", "/no/such"}, "open /no/such"},
        {{"--log-opt", "max-size=x"}, "invalid size: 'x'"},
        {{"--log-opt", "max-file=0"}, "max-file cannot be less than 1"},
        {{"--log-opt", "foo=1"}, "unknown log opt 'foo' for log driver local"},
        {{"--health-interval", "1us"}, "Interval in Healthcheck cannot be less than 1ms"},
        {{"--health-retries", "-1"}, "--health-retries cannot be negative"},
        {{"--health-timeout", "-1s"}, "--health-timeout cannot be negative"},
    });
}

TEST_F(FlagsTest, what_contradicts_is_refused) {
    expect_refused({
        {{"--memory-swap", "1m"},
         "You should always set the Memory limit when using Memoryswap limit, see usage"},
        {{"--cpus", "1", "--cpu-quota", "5000"},
         "Conflicting options: Nano CPUs and CPU Quota cannot both be set"},
        {{"--cpus", "1", "--cpu-period", "5000"},
         "Conflicting options: Nano CPUs and CPU Period cannot both be set"},
        {{"--restart", "always"}, "Conflicting options: --restart and --rm"},
        {{"--restart", "always:3", "--rm=false"},
         "maximum retry count cannot be used with restart policy 'always'"},
        {{"--health-cmd", "x", "--no-healthcheck"},
         "--no-healthcheck conflicts with --health-* options"},
        {{"--uts", "host", "-h", "x"}, "conflicting options: hostname and the UTS mode"},
        {{"--uts", "host", "--domainname", "x"},
         "conflicting options: domainname and the UTS mode"},
        {{"--network", "host", "--sysctl", "net.ipv4.ip_forward=1"},
         "sysctl \"net.ipv4.ip_forward\" not allowed in host network namespace"},
        {{"--ipc", "host", "--sysctl", "kernel.msgmax=1"}, "kernel.msgmax"},
    });
}

TEST_F(FlagsTest, what_docker_has_and_this_node_has_not_is_refused_with_a_reason) {
    expect_refused({
        {{"-p", "80:80"}, "--publish: this node has no network of its own: --network host gives"},
        {{"-P"}, "--publish-all: this node has no network of its own"},
        {{"--expose", "80"}, "--expose: this node has no network"},
        {{"--dns", "1.1.1.1"}, "--dns: this node leaves names to /etc/hosts and /etc/resolv.conf"},
        {{"--add-host", "a:1.2.3.4"}, "--add-host: this node leaves names"},
        {{"--volumes-from", "x"}, "--volumes-from: volumes of this node are"},
        {{"--gpus", "all"}, "--gpus: this node knows no GPUs"},
        {{"--pull", "always"}, "--pull always: this node knows no registry"},
        {{"--pull", "often"}, "invalid pull option: 'often': must be one of"},
        {{"--log-driver", "syslog"}, "logger: no log driver named 'syslog' is registered"},
        {{"--platform", "linux/s390x"}, "platform linux/s390x does not match that of this node"},
        {{"--isolation", "hyperv"}, "invalid isolation 'hyperv'"},
        {{"--runtime", "runsc"}, "unknown or invalid runtime name: runsc"},
    });
}

TEST_F(FlagsTest, a_file_of_variables_is_read_as_docker_reads_it) {
    const std::string file = node->dir() + "/variables";
    const auto with = [&](const std::string& text) {
        std::ofstream(file, std::ios::binary) << text;
        return node->nodectl({"run", "--rm", "--env-file", file, "busybox", "sh", "-c",
                              "echo $A-$B-$C"});
    };
    EXPECT_EQ(with("\xEF\xBB\xBF" "A=1\r\n# C=3\n\n  B=2 x\nC\n").out, "1-2 x-\n");
    EXPECT_TRUE(says(with("A B=1\n").err, "variable 'A B' contains whitespaces"));
    EXPECT_TRUE(says(with("=1\n").err, "no variable name on line '=1'"));
    const Ran binary = with("A=1\nB=\xFF\n");
    EXPECT_EQ(binary.exit_code, 125);
    EXPECT_TRUE(says(binary.err, "contains invalid utf8 bytes at line 2")) << binary.err;
    const Ran zero = with(std::string("A=1\nB=2\0more\n", 13));
    EXPECT_EQ(zero.exit_code, 125);
    EXPECT_TRUE(says(zero.err, "contains a zero byte at line 2")) << zero.err;
    std::filesystem::remove(file);
}

TEST_F(FlagsTest, a_volume_may_be_named_from_where_one_stands) {
    const std::string folder = node->dir() + "/here";
    std::filesystem::create_directory(folder);
    std::ofstream(folder + "/file") << "found";
    const std::string script =
        "cd " + folder + " && exec " + node->command({})[0] + " --host " +
        "unix:" + node->runtime_dir() +
        "/noded.sock run --rm -v ./:/x -v ../here/file:/y busybox cat /x/file /y";
    EXPECT_EQ(run_program({"/bin/sh", "-c", script}).out, "foundfound");
    std::filesystem::remove_all(folder);
}

TEST_F(FlagsTest, a_file_for_the_id_is_made_before_the_container) {
    const std::string file = node->dir() + "/cid";
    expect_refused({{{"--cidfile", "/no/such/folder/cid"},
                     "failed to create the container ID file: open /no/such/folder/cid"}});
    EXPECT_EQ(run({"--cidfile", file, "-m", "1k"}).exit_code, 125);
    EXPECT_FALSE(std::filesystem::exists(file));
    EXPECT_EQ(run({"--cidfile", file}).exit_code, 0);
    EXPECT_EQ(read_text(file).size(), 64u);
    expect_refused({{{"--cidfile", file}, "container ID file found, make sure the other container "
                                          "isn't running or delete "}});
    std::filesystem::remove(file);
}

TEST_F(FlagsTest, sizes_and_fractions_are_read_as_docker_reads_them) {
    node->ok({"create", "--name", "read", "-m", "10 m", "--cpus", "1/4", "busybox", "true"});
    EXPECT_EQ(
        node->ok({"inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}", "read"}),
        "10485760 250000000");
    EXPECT_TRUE(says(node->nodectl({"create", "--cpus", "1/0", "busybox", "true"}).err,
                     "failed to parse 1/0 as a rational number"));
    EXPECT_EQ(node->ok({"run", "--rm", "--tmpfs", "/t", "busybox", "sh", "-c",
                        "df /t | tail -1 | cut -d' ' -f1"}),
              "tmpfs");
}

TEST_F(FlagsTest, inspect_tells_of_mounts_and_folders_as_docker_does) {
    node->ok({"create", "--name", "one", "--tmpfs", "/a", "--tmpfs", "/b:size=64k,exec", "--mount",
              "type=tmpfs,target=/c,tmpfs-size=1m,tmpfs-mode=700", "busybox", "true"});
    EXPECT_EQ(node->ok({"inspect", "-f",
                        "{{json .HostConfig.Tmpfs}} {{json .HostConfig.Mounts}}", "one"}),
              "{\"/a\":\"\",\"/b\":\"size=64k,exec\"} [{\"Type\":\"tmpfs\",\"Target\":\"/c\","
              "\"TmpfsOptions\":{\"SizeBytes\":1048576,\"Mode\":448}}]");
    EXPECT_EQ(node->ok({"inspect", "-f", "{{range .Mounts}}{{.Type}} {{.Destination}}{{end}}",
                        "one"}),
              "tmpfs /c");
    EXPECT_EQ(node->ok({"inspect", "-f", "[{{.Config.WorkingDir}}]", "one"}), "[]");
    node->ok({"rm", "one"});
    node->ok({"run", "-d", "--name", "one", "-w", "/", "--health-cmd", "pwd", "busybox", "sleep",
              "1000"});
    EXPECT_EQ(node->ok({"inspect", "-f", "[{{.Config.WorkingDir}}]", "one"}), "[/]");
    node->ok({"rm", "-f", "one"});
    node->ok({"run", "-d", "--name", "one", "busybox", "sleep", "1000"});
    EXPECT_EQ(node->ok({"exec", "one", "pwd"}), "/");
    EXPECT_EQ(node->ok({"run", "--rm", "busybox", "pwd"}), "/");
}

TEST_F(FlagsTest, inspect_tells_who_was_attached_as_docker_does) {
    const std::string format = "{{.Config.AttachStdin}} {{.Config.AttachStdout}} "
                               "{{.Config.AttachStderr}} {{.Config.OpenStdin}} "
                               "{{.Config.StdinOnce}}";
    const auto attached = [&](const std::vector<std::string>& words) {
        std::vector<std::string> all = words;
        all.insert(all.begin() + 1, {"--name", "one"});
        all.insert(all.end(), {"busybox", "true"});
        node->ok(all);
        const std::string said = node->ok({"inspect", "-f", format, "one"});
        node->ok({"rm", "-f", "one"});
        return said;
    };
    EXPECT_EQ(attached({"run"}), "false true true false false");
    EXPECT_EQ(attached({"run", "-i"}), "true true true true true");
    EXPECT_EQ(attached({"run", "-d"}), "false false false false false");
    EXPECT_EQ(attached({"run", "-di"}), "false false false true false");
    EXPECT_EQ(attached({"run", "-a", "stderr"}), "false false true false false");
    EXPECT_EQ(attached({"create"}), "false true true false false");
    EXPECT_EQ(attached({"create", "-i", "-a", "stdin"}), "true false false true true");
}

TEST_F(FlagsTest, cpus_that_are_not_there_are_refused_before_anything_is_made) {
    const char* sentence = "Requested CPUs are not available - requested 0,999, available: ";
    const Ran made = node->nodectl({"create", "--cpuset-cpus", "0,999", "busybox", "true"});
    EXPECT_EQ(made.exit_code, 125);
    EXPECT_TRUE(says(made.err, sentence)) << made.err;
    EXPECT_EQ(node->ok({"ps", "-aq"}), "");
    node->ok({"create", "--name", "one", "busybox", "true"});
    const Ran updated = node->nodectl({"update", "--cpuset-cpus", "0,999", "one"});
    EXPECT_EQ(updated.exit_code, 1);
    EXPECT_TRUE(says(updated.err, sentence)) << updated.err;
    EXPECT_EQ(node->ok({"inspect", "-f", "[{{.HostConfig.CpusetCpus}}]", "one"}), "[]");
    node->ok({"update", "--cpuset-cpus", "0", "one"});
    node->ok({"start", "-a", "one"});
}

TEST_F(FlagsTest, what_docker_takes_is_taken) {
    const std::vector<std::vector<std::string>> right = {
        {"--pids-limit", "-7"},   {"--pids-limit", "0"},
        {"--oom-score-adj", "+5"},
        {"--init=T"},             {"--security-opt", "label=disable"},
        {"--tmpfs", "/x:exec,size=64k"}, {"--security-opt", "apparmor=unconfined"},
        {"-h", "bad_host"},       {"--cpuset-cpus", "0"},
        {"--memory-swap", "-1", "-m", "20m"},
        {"--mount", "TYPE=Bind,\"source=/tmp\",target=/x"},
        {"--mount", "type=volume,\"dst=/a,\"\"b\",volume-nocopy"},
        {"--pull", "never"},      {"--pull=missing"},
        {"--log-driver", "json-file"},
        {"--platform", "linux"},  {"--isolation", "default"},
        {"--disable-content-trust"}, {"-q"}};
    for (const auto& flags : right) {
        const Ran ran = run(flags);
        EXPECT_EQ(ran.exit_code, 0) << flags[0] << ran.err;
    }
}

}  // namespace
}  // namespace noded::test
