// Tests of what nodectl takes from its own surroundings: environment, files, the table of verbs.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include "tools/nodectl/container_call.h"
#include "tools/nodectl/container_options.h"
#include "tools/nodectl/files.h"
#include "tools/nodectl/output.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

using Words = std::vector<std::string>;

TEST(Environment, a_variable_without_value_is_taken_from_nodectls_own_or_takes_the_images_away) {
    setenv("NODECTL_TEST_SET", "here", 1);
    unsetenv("NODECTL_TEST_UNSET");
    EXPECT_EQ(*collect_env({"A=1", "NODECTL_TEST_SET", "NODECTL_TEST_UNSET", "E="}, {}),
              (Words{"A=1", "NODECTL_TEST_SET=here", "NODECTL_TEST_UNSET", "E="}));
    EXPECT_FALSE(collect_env({"=x"}, {}));
}

TEST(Environment, a_file_has_one_variable_per_line) {
    EXPECT_EQ(*parse_env_lines("# comment\n\n  A=1\r\nB= two words \nC", "f"),
              (Words{"A=1", "B= two words ", "C"}));
    EXPECT_FALSE(parse_env_lines("A B=1\n", "f"));
    EXPECT_FALSE(parse_env_lines("=1\n", "f"));
}

TEST(Spec, an_empty_entrypoint_is_told_apart_from_none) {
    ContainerOptions options;
    capnp::MallocMessageBuilder message;
    auto spec = message.initRoot<schema::ContainerSpec>();
    options.entrypoint = "";
    options.labels = {"a=b=c", "only"};
    ASSERT_TRUE(options.fill(spec, {"busybox", "ls", "-l"}));
    EXPECT_TRUE(spec.getEntrypointSet());
    EXPECT_EQ(spec.getEntrypoint().size(), 0u);
    EXPECT_EQ(spec.getCommand().size(), 2u);
    EXPECT_STREQ(spec.getLabels()[0].getValue().cStr(), "b=c");
    EXPECT_STREQ(spec.getLabels()[1].getKey().cStr(), "only");
    EXPECT_EQ(spec.getStopTimeoutSeconds(), -1);
}

TEST(Spec, a_negative_stop_timeout_is_none_and_what_is_too_long_stays_so) {
    EXPECT_EQ(stop_seconds(std::nullopt), -1);
    EXPECT_EQ(stop_seconds(7), 7);
    for (const int64_t never : {int64_t{-1}, int64_t{-5}, INT64_MIN})
        EXPECT_EQ(stop_seconds(never), -2) << never;
    EXPECT_EQ(stop_seconds(int64_t{1} << 32), INT32_MAX);
}

class PipeFile {
public:
    explicit PipeFile(std::string_view text) {
        EXPECT_EQ(pipe(ends_), 0);
        write_all(ends_[1], text);
        close(ends_[1]);
    }
    ~PipeFile() { close(ends_[0]); }
    std::string path() const { return "/proc/self/fd/" + std::to_string(ends_[0]); }

private:
    int ends_[2];
};

TEST(Archive, a_pipe_is_copied_to_a_file_that_has_no_name) {
    const PipeFile pipe("archive bytes");
    const auto fd = open_archive(pipe.path());
    ASSERT_TRUE(fd) << fd.error().message;
    char bytes[32] = {};
    EXPECT_EQ(pread(fd->get(), bytes, sizeof bytes, 0), 13);
    EXPECT_STREQ(bytes, "archive bytes");
    EXPECT_EQ(lseek(fd->get(), 0, SEEK_CUR), 0);
}

TEST(Archive, what_is_no_file_is_refused) {
    EXPECT_EQ(open_archive("/nowhere/at/all").error().message,
              "open /nowhere/at/all: ENOENT (No such file or directory)");
    EXPECT_FALSE(open_archive("/"));
}

TEST(Verbs, no_spelling_is_taken_twice) {
    std::set<std::string> seen;
    for (const Verb& verb : verbs()) {
        std::string_view rest = verb.spellings;
        while (!rest.empty()) {
            const size_t comma = std::min(rest.find(','), rest.size());
            EXPECT_TRUE(seen.insert(std::string(rest.substr(0, comma))).second) << rest;
            rest.remove_prefix(std::min(comma + 1, rest.size()));
        }
    }
    EXPECT_TRUE(seen.contains("container ls"));
}

}  // namespace
}  // namespace noded::nodectl
