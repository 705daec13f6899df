// The logs of containers, end to end: rotation, the ways to read them, and kills of the shim and of
// noded while they are written.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

struct ContainerLogTest : SharedNodeTest {
    /// Runs a script to its end with a log of `files` files of `size`.
    static std::string run(const std::string& size, const std::string& files,
                           const std::string& script) {
        const Ran ran = node->nodectl({"run", "--log-opt", "max-size=" + size, "--log-opt",
                                       "max-file=" + files, "--name", "lo", "busybox", "sh", "-c",
                                       script});
        EXPECT_EQ(ran.exit_code, 0) << ran.err.substr(0, 1000);
        return ran.out;
    }
    static std::string logs(Words options) {
        options.insert(options.begin(), "logs");
        options.push_back("lo");
        const Ran ran = node->nodectl(options);
        EXPECT_EQ(ran.exit_code, 0);
        EXPECT_EQ(ran.err, "");
        return ran.out;
    }
    /// As who wrote a reader from LOG.md alone reads it.
    static std::string read_by_the_page() {
        const Ran ran = run_program({"/usr/bin/env", "python3",
                                     built("tools/examples/read_files.py"), "output",
                                     node->ok({"inspect", "-f", "{{.LogPath}}", "lo"})});
        EXPECT_EQ(ran.exit_code, 0) << ran.err;
        return ran.out;
    }
    static std::vector<fs::path> files() {
        std::vector<fs::path> found;
        for (const auto& entry : fs::directory_iterator(node->ok({"inspect", "-f", "{{.LogPath}}",
                                                                  "lo"})))
            found.push_back(entry.path());
        return found;
    }
    static pid_t shim_of(const std::string& container) {
        const std::string pid = node->ok({"inspect", "-f", "{{.State.Pid}}", container});
        const std::string status = read_text("/proc/" + pid + "/status");
        return atoi(status.c_str() + status.find("PPid:") + 5);
    }
};

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
        lines.push_back(text.substr(at, end - at));
        at = end;
    }
    return lines;
}

std::string numbers(int from, int to) {
    std::string text;
    for (int i = from; i <= to; ++i) text += std::to_string(i) + "\n";
    return text;
}

TEST_F(ContainerLogTest, rotation_drops_the_oldest_whole_files_and_nothing_else) {
    run("200k", "3", "seq 1 100000");
    EXPECT_EQ(files().size(), 3u);
    for (const auto& file : files()) EXPECT_LE(fs::file_size(file), 200'000u);
    const auto lines = lines_of(logs({}));
    ASSERT_GT(lines.size(), 2 * 196608u / 7);
    const int first = 100000 - static_cast<int>(lines.size()) + 1;
    // The oldest file may begin in the middle of a number.
    EXPECT_EQ(logs({}), lines[0] + numbers(first + 1, 100000));
    for (const int tail : {1, 2, 9000, 10000, 15000, 20000})
        EXPECT_EQ(logs({"--tail", std::to_string(tail)}), numbers(100001 - tail, 100000));
    EXPECT_EQ(logs({"--tail", "1000000"}), logs({}));
    EXPECT_TRUE(read_by_the_page() == logs({}));
    EXPECT_EQ(logs({"--tail", "0"}), "");
}

TEST_F(ContainerLogTest, since_and_until_cut_where_the_time_stamps_say) {
    run("100k", "20", "for i in $(seq 1 60); do seq $((i * 1000)) $((i * 1000 + 999)); done");
    const auto stamped = lines_of(logs({"-t"}));
    ASSERT_EQ(stamped.size(), 60000u);
    std::vector<std::string> times;
    for (const std::string& line : stamped) times.push_back(line.substr(0, line.find(' ')));
    EXPECT_TRUE(std::ranges::is_sorted(times));
    EXPECT_NE(times.front(), times.back());
    const auto expected = [&](const std::string& since, const std::string& until) {
        std::string text;
        for (const std::string& line : stamped)
            if (line.substr(0, 30) >= since && line.substr(0, 30) <= until) text += line;
        return text;
    };
    for (const size_t at : {1u, 777u, 20000u, 31000u, 44444u, 59999u}) {
        const std::string& time = times[at];
        EXPECT_TRUE(logs({"-t", "--since", time}) == expected(time, "9")) << at;
        EXPECT_TRUE(logs({"-t", "--until", time}) == expected("", time)) << at;
        const auto until = lines_of(expected("", time));
        EXPECT_EQ(logs({"-t", "--until", time, "--tail", "1"}), until.back());
    }
    EXPECT_TRUE(logs({"-t", "--since", times[20000], "--until", times[31000]}) ==
                expected(times[20000], times[31000]));
}

TEST_F(ContainerLogTest, any_bytes_and_endless_lines_are_kept_as_they_are) {
    const std::string binary = run("10m", "5", "cat /bin/busybox; printf end");
    EXPECT_GT(binary.size(), 100'000u);
    EXPECT_TRUE(logs({}) == binary);
    EXPECT_TRUE(read_by_the_page() == binary);
    EXPECT_TRUE(binary.ends_with(logs({"--tail", "1"})));
    node->ok({"rm", "lo"});
    run("1m", "3", "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo after");
    EXPECT_EQ(logs({"--tail", "1"}), "after\n");
    const std::string rest = logs({"--tail", "2"});
    EXPECT_TRUE(rest.ends_with("x\nafter\n"));
    EXPECT_EQ(rest.find_first_not_of('x'), rest.size() - 7);
    EXPECT_GT(rest.size(), 1'800'000u);
    EXPECT_LT(rest.size(), 3'000'000u);
}

TEST_F(ContainerLogTest, who_follows_sees_every_line_across_rotations_and_a_kill_of_noded) {
    // Half a second and more behind would do no harm: 60 of 100 files are kept.
    node->ok({"run", "-d", "--log-opt", "max-size=64k", "--log-opt", "max-file=60", "--name", "lo",
              "busybox", "sh", "-c",
              "sleep 0.5; i=0; while [ $i -lt 100 ]; do seq $((i * 10000 + 100001)) "
              "$((i * 10000 + 110000)); i=$((i+1)); sleep 0.03; done"});
    Running all(node->command({"logs", "-f", "lo"}));
    Running slow(node->command({"logs", "-f", "--tail", "0", "lo"}));
    ASSERT_TRUE(all.read_until("300000\n"));
    node->kill();
    sleep_ms(100);
    node->start();
    const std::string expected = numbers(100001, 1100000);
    EXPECT_TRUE(all.wait().out == expected);
    EXPECT_LE(files().size(), 60u);
    // Nobody read from this one until now: it lost something and says how much.
    const Ran late = slow.wait();
    size_t lost = 0;
    for (size_t at = 0; (at = late.err.find('[', at)) != std::string::npos;)
        lost += strtoull(late.err.c_str() + ++at, nullptr, 10);
    EXPECT_EQ(late.out.size() + lost, expected.size()) << late.err;
    EXPECT_GT(lost, 0u);
    EXPECT_TRUE(late.out.ends_with("1099999\n1100000\n"));
}

TEST_F(ContainerLogTest, a_killed_shim_leaves_a_log_that_the_next_start_goes_on_with) {
    node->ok({"run", "-d", "--log-opt", "max-size=64k", "--log-opt", "max-file=100", "--name", "lo",
              "busybox", "sh", "-c", "[ -e /again ] && exec echo again; touch /again; yes"});
    ASSERT_TRUE(eventually([] { return files().size() > 4; }));
    ::kill(shim_of("lo"), SIGKILL);
    EXPECT_EQ(node->ok({"wait", "lo"}), "137");
    node->ok({"start", "-a", "lo"});
    const std::string log = logs({});
    ASSERT_TRUE(log.ends_with("again\n"));
    EXPECT_EQ(log.substr(0, log.size() - 6).find_first_not_of("y\n"), std::string::npos);
    // What was not whole any more when the shim died is cut, so the line may be open.
    EXPECT_TRUE(logs({"--tail", "1"}).ends_with("again\n"));
    EXPECT_LE(logs({"--tail", "1"}).size(), 7u);
}

TEST_F(ContainerLogTest, options_are_shown_and_bad_ones_refused_in_dockers_words) {
    run("1m", "3", "true");
    EXPECT_EQ(node->ok({"inspect", "-f", "{{json .HostConfig.LogConfig}}", "lo"}),
              R"({"Type":"local","Config":{"max-size":"1m","max-file":"3"}})");
    const std::pair<const char*, const char*> wrong[] = {
        {"max-size=x", "invalid size: 'x'"},
        {"max-size=0", "max-size must be a positive number"},
        {"max-size=9000t", "max-size cannot be more than"},
        {"max-file=x", "strconv.Atoi: parsing \"x\": invalid syntax"},
        {"max-file=0", "max-file cannot be less than 1"},
        {"max-file=129", "max-file cannot be more than 128"},
        {"colour=red", "unknown log opt 'colour' for log driver local"},
    };
    for (const auto& [option, message] : wrong) {
        const Ran ran = node->nodectl({"run", "--rm", "--log-opt", option, "busybox", "true"});
        EXPECT_EQ(ran.exit_code, 125) << option;
        EXPECT_NE(ran.err.find(message), std::string::npos) << ran.err;
    }
}

TEST_F(ContainerLogTest, folder_of_an_earlier_version_is_opened_and_its_file_is_told_of) {
    run("1m", "2", "echo now");
    const fs::path folder = node->ok({"inspect", "-f", "{{.LogPath}}", "lo"});
    fs::permissions(folder, fs::perms::owner_all);
    ASSERT_EQ(run_program({"/bin/sh", "-c", "echo before >'" + folder.string() + "/log'"})
                  .exit_code, 0);
    const Ran ran = node->nodectl({"logs", "lo"});
    EXPECT_EQ(ran.exit_code, 0);
    EXPECT_EQ(ran.out, "now\n");
    EXPECT_NE(ran.err.find("earlier version"), std::string::npos) << ran.err;
    // Who may use the socket but is not root reads it, too.
    EXPECT_EQ(fs::status(folder).permissions() & fs::perms::all, fs::perms(0755));
    node->ok({"rm", "lo"});
}

TEST_F(ContainerLogTest, logs_of_several_have_the_name_before_each_line) {
    const auto say = [](const std::string& name, const std::string& tier, const char* script) {
        node->ok({"run", "-d", "--name", name, "--label", "app=web", "--label", "tier=" + tier,
                  "busybox", "sh", "-c", script});
    };
    say("front", "f", "echo a; echo b; echo oops >&2");
    say("back-1", "b", "echo c; printf d");
    node->ok({"run", "-d", "--name", "other", "busybox", "echo", "x"});
    for (const char* name : {"front", "back-1", "other"}) node->ok({"wait", name});
    const Ran all = node->nodectl({"logs", "-l", "app=web"});
    EXPECT_EQ(all.exit_code, 0);
    EXPECT_EQ(all.out, "back-1  | c\nback-1  | d\nfront   | a\nfront   | b\n");
    EXPECT_EQ(all.err, "front   | oops\n");
    EXPECT_EQ(node->nodectl({"logs", "front", "other"}).out,
              "front  | a\nfront  | b\nother  | x\n");
    EXPECT_EQ(node->nodectl({"logs", "-l", "app=web", "-l", "tier=b", "other"}).out,
              "other   | x\nback-1  | c\nback-1  | d\n");
    EXPECT_EQ(node->nodectl({"logs", "--no-log-prefix", "-l", "app"}).out, "c\nda\nb\n");
    EXPECT_EQ(node->nodectl({"logs", "front"}).out, "a\nb\n");
    const Ran none = node->nodectl({"logs", "-l", "app=nothing"});
    EXPECT_EQ(none.exit_code, 0);
    EXPECT_EQ(none.out, "");
    EXPECT_NE(none.err.find("no container has such labels"), std::string::npos);
    EXPECT_EQ(node->nodectl({"logs"}).exit_code, 1);
    EXPECT_EQ(node->nodectl({"logs", "front", "nobody"}).exit_code, 1);
}

TEST_F(ContainerLogTest, logs_of_several_are_followed_until_all_have_ended) {
    for (const char* name : {"one", "two"})
        node->ok({"run", "-d", "--name", name, "--label", "app=web", "busybox", "sh", "-c",
                  "echo begin; cat /go 2>/dev/null; while [ ! -e /go ]; do usleep 10000; done; "
                  "echo end"});
    Running client(node->command({"logs", "-f", "-l", "app=web"}));
    ASSERT_TRUE(client.read_until("one  | begin\n"));
    ASSERT_TRUE(client.read_until("two  | begin\n"));
    node->kill();
    node->start();
    // The end of a container may kill the very command that brought it about: its status says
    // nothing.
    node->nodectl({"exec", "two", "touch", "/go"});
    ASSERT_TRUE(client.read_until("two  | end\n"));
    node->nodectl({"exec", "one", "touch", "/go"});
    const Ran ran = client.wait();
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_TRUE(ran.out.ends_with("one  | end\n")) << ran.out;
}

}  // namespace
}  // namespace noded::test
