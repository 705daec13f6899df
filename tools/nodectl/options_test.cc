// Tests of the option table: what docker's command line accepts is accepted, with the same meaning.
#include "tools/nodectl/options.h"

#include <gtest/gtest.h>

namespace noded::nodectl {
namespace {

using Words = std::vector<std::string>;

struct Bound {
    bool interactive = false;
    bool tty = false;
    bool proxy = true;
    std::string name;
    std::optional<std::string> entrypoint;
    std::optional<int64_t> timeout;
    Words env;

    std::vector<Option> table() {
        return {
            {'i', "interactive", &interactive, "", "stdin"},
            {'t', "tty", &tty, "", "tty"},
            {0, "sig-proxy", &proxy, "", "signals"},
            {'n', "name", &name, "string", "name"},
            {0, "entrypoint", &entrypoint, "string", "entrypoint"},
            {'T', "timeout", &timeout, "int", "seconds"},
            {'e', "env", &env, "list", "environment"},
            {0, "older", &name, "string", nullptr},
        };
    }
    Result<ParsedArguments> parse(const Words& words, Order order = Order::anywhere) {
        return parse_options(table(), words, order);
    }
    std::string error(const Words& words) {
        auto parsed = parse(words);
        return parsed ? "" : parsed.error().message;
    }
};

TEST(Options, letters_can_be_joined_and_the_last_one_takes_the_rest_as_value) {
    Bound bound;
    ASSERT_TRUE(bound.parse({"-itnweb"}));
    EXPECT_TRUE(bound.interactive);
    EXPECT_TRUE(bound.tty);
    EXPECT_EQ(bound.name, "web");
}

TEST(Options, a_value_follows_after_an_equals_sign_or_as_the_next_word) {
    Bound bound;
    ASSERT_TRUE(bound.parse({"-e", "A=1", "-eB=2", "-e=C=3", "--env=D=4", "--env", "E=5"}));
    EXPECT_EQ(bound.env, (Words{"A=1", "B=2", "C=3", "D=4", "E=5"}));
}

TEST(Options, a_flag_can_be_switched_off) {
    Bound bound;
    ASSERT_TRUE(bound.parse({"--sig-proxy=false"}));
    EXPECT_FALSE(bound.proxy);
}

TEST(Options, a_flag_does_not_take_the_next_word) {
    Bound bound;
    auto parsed = bound.parse({"--tty", "false"});
    ASSERT_TRUE(parsed);
    EXPECT_TRUE(bound.tty);
    EXPECT_EQ(parsed->positional, Words{"false"});
}

TEST(Options, an_empty_value_differs_from_no_value) {
    Bound bound;
    ASSERT_TRUE(bound.parse({}));
    EXPECT_FALSE(bound.entrypoint.has_value());
    ASSERT_TRUE(bound.parse({"--entrypoint="}));
    EXPECT_EQ(bound.entrypoint, "");
}

TEST(Options, options_of_the_users_command_are_left_alone) {
    Bound bound;
    auto parsed = bound.parse({"-t", "IMAGE", "ls", "-i", "--name", "x"}, Order::stops_early);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->positional, (Words{"IMAGE", "ls", "-i", "--name", "x"}));
    EXPECT_FALSE(bound.interactive);
    EXPECT_EQ(bound.name, "");
}

TEST(Options, other_verbs_take_options_after_their_arguments) {
    Bound bound;
    auto parsed = bound.parse({"web", "-i"});
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->positional, Words{"web"});
    EXPECT_TRUE(bound.interactive);
}

TEST(Options, two_dashes_end_the_options) {
    Bound bound;
    auto parsed = bound.parse({"-i", "--", "-t"});
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->positional, Words{"-t"});
    EXPECT_FALSE(bound.tty);
}

TEST(Options, one_dash_alone_is_an_argument) {
    Bound bound;
    auto parsed = bound.parse({"-"});
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->positional, Words{"-"});
}

TEST(Options, wrong_ones_are_refused_with_dockers_words) {
    Bound bound;
    EXPECT_EQ(bound.error({"--foo"}), "unknown flag: --foo");
    EXPECT_EQ(bound.error({"-ix"}), "unknown shorthand flag: 'x' in -ix");
    EXPECT_EQ(bound.error({"--name"}), "flag needs an argument: --name");
    EXPECT_EQ(bound.error({"-in"}), "flag needs an argument: 'n' in -in");
    EXPECT_EQ(bound.error({"-T", "abc"}),
              "invalid argument \"abc\" for \"-T, --timeout\" flag: strconv.ParseInt: parsing "
              "\"abc\": invalid syntax");
    EXPECT_EQ(bound.error({"--tty=maybe"}),
              "invalid argument \"maybe\" for \"-t, --tty\" flag: strconv.ParseBool: parsing "
              "\"maybe\": invalid syntax");
}

TEST(Options, numbers_are_written_as_in_go) {
    EXPECT_EQ(*parse_integer("+7"), 7);
    EXPECT_EQ(*parse_integer("0x1f"), 31);
    EXPECT_EQ(*parse_integer("010"), 8);
    EXPECT_EQ(*parse_integer("0"), 0);
    EXPECT_EQ(*parse_integer("-9223372036854775808"), INT64_MIN);
    for (const char* text : {"", "-", "+", "0x", "1.5", "1 ", "--1", "09", "1_0x"})
        EXPECT_FALSE(parse_integer(text)) << text;
    EXPECT_EQ(parse_integer("9223372036854775808").error().message,
              "strconv.ParseInt: parsing \"9223372036854775808\": value out of range");
}

TEST(Options, numbers_may_be_negative) {
    Bound bound;
    ASSERT_TRUE(bound.parse({"--timeout", "-1"}));
    EXPECT_EQ(bound.timeout, -1);
}

TEST(Options, help_is_there_without_being_asked_for) {
    Bound bound;
    auto parsed = bound.parse({"--help", "--foo"});
    ASSERT_TRUE(parsed);
    EXPECT_TRUE(parsed->help);
    EXPECT_TRUE(bound.parse({"-h"})->help);
}

TEST(Options, older_spellings_work_and_are_not_described) {
    Bound bound;
    ASSERT_TRUE(bound.parse({"--older", "x"}));
    EXPECT_EQ(bound.name, "x");
    const std::string text = describe_options(bound.table());
    EXPECT_EQ(text.find("older"), std::string::npos);
    EXPECT_NE(text.find("  -n, --name string         name\n"), std::string::npos) << text;
    EXPECT_NE(text.find("      --sig-proxy           signals\n"), std::string::npos) << text;
    EXPECT_LT(text.find("--name"), text.find("--sig-proxy")) << "by name, not as in the table";
}

}  // namespace
}  // namespace noded::nodectl
