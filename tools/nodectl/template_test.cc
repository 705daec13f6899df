// Tests of the template evaluator: docker's documented --format examples, and the messages for
// wrong ones.
#include "tools/nodectl/template.h"

#include <gtest/gtest.h>

namespace noded::nodectl {
namespace {

const Json& data() {
    static const Json value = {
        {"ID", "3f2a"},
        {"Names", "web"},
        {"Empty", ""},
        {"None", nullptr},
        {"Size", 42},
        {"State", {{"Status", "running"}, {"Running", true}, {"ExitCode", 0}}},
        {"Env", {"A=1", "B=2"}},
        {"Labels", {{"tier", "front"}, {"team", "x"}}},
        {"Nothing", Json::array()},
    };
    return value;
}

std::string render(const std::string& text) {
    auto compiled = Template::parse(text);
    if (!compiled) return "ERROR " + compiled.error().message;
    auto out = compiled->render(data(), Json{{"Label", {{"tier", "front"}}}});
    return out ? *out : "ERROR " + out.error().message;
}

TEST(Template, text_and_fields_are_copied) {
    EXPECT_EQ(render("{{.ID}}\t{{.Names}}!"), "3f2a\tweb!");
    EXPECT_EQ(render("{{ .State.Status }}"), "running");
    EXPECT_EQ(render("{{.Size}} {{.State.Running}} {{.None}}"), "42 true <no value>");
}

TEST(Template, values_look_as_go_prints_them) {
    EXPECT_EQ(render("{{.Env}}"), "[A=1 B=2]");
    EXPECT_EQ(render("{{.Labels}}"), "map[tier:front team:x]");
}

TEST(Template, json_prints_the_data_without_the_methods) {
    EXPECT_EQ(render("{{json .Env}}"), "[\"A=1\",\"B=2\"]");
    EXPECT_EQ(render("{{json .}}"), to_line(data()));
    EXPECT_EQ(render("{{.Env | json}}"), "[\"A=1\",\"B=2\"]");
}

TEST(Template, a_method_takes_its_argument) {
    EXPECT_EQ(render("{{.Label \"tier\"}}"), "front");
    EXPECT_EQ(render("<{{.Label \"other\"}}>"), "<>");
}

TEST(Template, if_takes_the_branch_of_the_first_true_condition) {
    EXPECT_EQ(render("{{if .State.Running}}up{{else}}down{{end}}"), "up");
    EXPECT_EQ(
        render("{{if .Empty}}a{{else if .State.ExitCode}}b{{else if .Size}}c{{else}}d{{end}}"),
        "c");
    EXPECT_EQ(render("{{if not .Nothing}}none{{end}}"), "none");
    EXPECT_EQ(render("{{if and .ID (eq .Size 42)}}yes{{end}}"), "yes");
}

TEST(Template, range_goes_over_lists_and_maps) {
    EXPECT_EQ(render("{{range .Env}}<{{.}}>{{end}}"), "<A=1><B=2>");
    EXPECT_EQ(render("{{range $i, $e := .Env}}{{$i}}={{$e}};{{end}}"), "0=A=1;1=B=2;");
    EXPECT_EQ(render("{{range $k, $v := .Labels}}{{$k}}:{{$v}} {{end}}"), "tier:front team:x ");
    EXPECT_EQ(render("{{range .Nothing}}x{{else}}empty{{end}}"), "empty");
    EXPECT_EQ(render("{{range .Env}}{{$.ID}} {{end}}"), "3f2a 3f2a ");
}

TEST(Template, with_moves_the_dot_and_variables_end_with_their_block) {
    EXPECT_EQ(render("{{with .State}}{{.Status}}{{end}}"), "running");
    EXPECT_EQ(render("{{with .Empty}}x{{else}}{{.ID}}{{end}}"), "3f2a");
    EXPECT_EQ(render("{{$x := .ID}}{{$x}}"), "3f2a");
    EXPECT_EQ(render("{{if $x := .ID}}{{$x}}{{end}}{{$x}}"),
              "ERROR template parsing error: template: :1:31: executing \"\" at <$x>: undefined "
              "variable \"$x\"");
}

TEST(Template, functions_do_what_dockers_do) {
    EXPECT_EQ(render("{{join .Env \", \"}}"), "A=1, B=2");
    EXPECT_EQ(render("{{upper .Names}} {{lower \"AbC\"}} {{title \"ab cd\"}}"), "WEB abc Ab Cd");
    EXPECT_EQ(render("{{title \"/ab-cd e_f\"}}"), "/Ab-Cd E_f");
    EXPECT_EQ(render("{{html \"<a href='x'>&\" 1}} {{js \"a'<\\n\"}} {{urlquery \"a b/é\"}}"),
              "&lt;a href=&#39;x&#39;&gt;&amp;1 a\\'\\u003C\\u000A a+b%2F%C3%A9");
    EXPECT_EQ(render("{{index .Env 1}} {{index .Labels \"tier\"}} {{index .Labels \"none\"}}."),
              "B=2 front .");
    EXPECT_EQ(render("{{len .Env}} {{len .Names}}"), "2 3");
    EXPECT_EQ(render("{{printf \"%s is %d, %5.1f%% %q %v\" .Names .Size 1.25 .ID .Env}}"),
              "web is 42,   1.2% \"3f2a\" [A=1 B=2]");
    EXPECT_EQ(render("{{index (split \"a/b/c\" \"/\") 1}}"), "b");
    EXPECT_EQ(render("{{truncate .Names 2}}|{{pad .ID 1 2}}|{{println .ID .Size}}"),
              "we| 3f2a  |3f2a 42\n");
    EXPECT_EQ(render("{{.Names | upper | printf \"%s-%s\" \"x\"}}"), "x-WEB");
    EXPECT_EQ(render("{{ne .Size 1}} {{lt .Size 43}} {{ge .Size 43}} {{eq .ID \"a\" \"3f2a\"}}"),
              "true true false true");
    EXPECT_EQ(render("{{or .Empty .ID}} {{and .ID .Size}}"), "3f2a 42");
}

TEST(Template, printf_has_width_and_precision_in_characters) {
    EXPECT_EQ(render("{{printf \"%-6s|%6s|%.2s\" .ID .ID .ID}}"), "3f2a  |  3f2a|3f");
    EXPECT_EQ(render("{{printf \"%-3s|%.1s\" \"é\" \"éa\"}}"), "é  |é");
    EXPECT_EQ(render("{{printf \"%05d %+d %x %X %o %b\" .Size .Size 255 255 8 5}}"),
              "00042 +42 ff FF 10 101");
    EXPECT_EQ(render("{{printf \"%06.2f %g\" 1.5 1.5}}"), "001.50 1.5");
    EXPECT_EQ(render("{{printf \"%x\" .ID}} {{printf \"%d\" .ID}} {{printf \"%s\"}}"),
              "33663261 %!d(string=3f2a) %!s(MISSING)");
    const std::string wide = render("{{printf \"%1000s\" .ID}}");
    EXPECT_EQ(wide.size(), 1000u);
    EXPECT_NE(render("{{printf \"%99999s\" .ID}}").find("bad format"), std::string::npos);
}

TEST(Template, a_variable_is_assigned_to_where_it_was_made) {
    EXPECT_EQ(render("{{$x := 1}}{{range .Env}}{{$x = .}}{{end}}{{$x}}"), "B=2");
    EXPECT_EQ(render("{{$x := 1}}{{if .ID}}{{$x := 2}}{{$x}}{{end}}{{$x}}"), "21");
    EXPECT_NE(render("{{$y = 1}}").find("undefined variable \"$y\""), std::string::npos);
}

TEST(Template, a_loop_can_be_left_and_a_turn_skipped) {
    EXPECT_EQ(render("{{range $i, $e := .Env}}{{if $i}}{{break}}{{end}}{{$e}};{{end}}!"), "A=1;!");
    EXPECT_EQ(render("{{range $i, $e := .Env}}{{if not $i}}{{continue}}{{end}}{{$e}};{{end}}!"),
              "B=2;!");
    EXPECT_EQ(render("{{range .Env}}{{range $.Env}}{{break}}{{end}}x{{end}}"), "xx");
    EXPECT_NE(render("{{break}}").find("{{break}} outside {{range}}"), std::string::npos);
}

TEST(Template, headers_are_not_changed_with_what_is_below_them) {
    const auto text =
        Template::parse("{{lower .ID}} {{truncate .ID 3}} {{json .Names}} {{len .ID}}");
    const auto headers = text->render_headers({{"ID", "CONTAINER ID"}, {"Names", "NAMES"}}, {});
    ASSERT_TRUE(headers) << headers.error().message;
    EXPECT_EQ(*headers, "CONTAINER ID CONTAINER ID NAMES 12");
}

TEST(Template, a_slice_is_a_part_of_a_text_or_a_list) {
    EXPECT_EQ(render("{{slice .ID 1 3}} {{slice .ID 2}} {{slice .Names}}"), "f2 2a web");
    EXPECT_EQ(render("{{json (slice .Env 1)}} {{slice .Env 0 0}}"), "[\"B=2\"] []");
    EXPECT_NE(render("{{slice .ID 5}}").find("error calling slice: index out of range: 5"),
              std::string::npos);
    EXPECT_NE(render("{{slice .ID -1}}").find("index out of range: -1"), std::string::npos);
    EXPECT_NE(render("{{slice .ID 3 1}}").find("invalid slice index: 3 > 1"), std::string::npos);
    EXPECT_NE(render("{{slice .Size}}").find("can't slice item of type"), std::string::npos);
}

TEST(Template, dashes_trim_and_comments_vanish) {
    EXPECT_EQ(render("a  {{- .ID -}}  b"), "a3f2ab");
    EXPECT_EQ(render("a{{/* }} is fine here */}}b"), "ab");
    EXPECT_EQ(render("{{\"}}\"}}"), "}}");
}

TEST(Template, a_field_that_is_not_there_is_an_error_as_in_docker) {
    EXPECT_EQ(render("{{.Foo}}"),
              "ERROR template parsing error: template: :1:2: executing \"\" at <.Foo>: map has no "
              "entry for key \"Foo\"");
    EXPECT_EQ(render("{{.Names.Foo}}"),
              "ERROR template parsing error: template: :1:2: executing \"\" at <.Names.Foo>: "
              "can't evaluate field Foo in type string");
    EXPECT_EQ(render("{{.None.Foo}}"),
              "ERROR template parsing error: template: :1:2: executing \"\" at <.None.Foo>: "
              "nil pointer evaluating interface {}.Foo");
}

TEST(Template, broken_templates_are_refused) {
    const std::string start = "ERROR template parsing error: template: :1:";
    EXPECT_EQ(render("{{.ID"), start + " unclosed action");
    EXPECT_EQ(render("{{if .ID}}x"), start + "11: unexpected EOF");
    EXPECT_EQ(render("{{end}}"), start + "2: unexpected {{end}} or {{else}}");
    EXPECT_EQ(render("{{foo .ID}}"), start + " function \"foo\" not defined");
    EXPECT_EQ(render("{{if false}}{{.ID | foo}}{{end}}"), start + " function \"foo\" not defined");
    EXPECT_EQ(render("{{upper}}"),
              start + "2: executing \"\" at <upper>: wrong number of args for upper");
    EXPECT_EQ(render("{{.ID | }}"), start + "2: missing value for command");
    EXPECT_EQ(render("{{(.ID}}"), start + "2: unclosed left paren");
    EXPECT_EQ(render("{{\"a}}"), start + " unclosed action");
    EXPECT_EQ(
        render("{{index .Env 9}}"),
        start + "2: executing \"\" at <index .Env 9>: error calling index: index out of range: 9");
    EXPECT_EQ(render("{{#}}"), start + "2: unexpected \"#\" in template");
}

TEST(Template, deep_nesting_is_refused_and_not_a_crash) {
    std::string brackets = "{{" + std::string(100'000, '(') + "}}";
    EXPECT_NE(render(brackets).find("too deeply nested"), std::string::npos);
    std::string blocks;
    for (int i = 0; i < 100'000; i++) blocks += "{{if .ID}}";
    EXPECT_NE(render(blocks).find("too deeply nested"), std::string::npos);
}

TEST(Template, null_and_what_is_left_out_look_as_dockers_types_make_them_look) {
    const Json data = {{"Init", nullptr}, {"CapAdd", nullptr}, {"Labels", nullptr}};
    const auto text =
        Template::parse("{{.Init}} {{.CapAdd}} {{.Labels}} {{.Tmpfs}} {{.Healthcheck}}"
                        "{{if .Health}}x{{end}} {{json .Init}}")
            ->render(data);
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_EQ(*text, "<nil> [] map[] map[] <nil> null");
    const auto wrong = Template::parse("{{.State.Health.Status}}")->render({{"State", data}});
    ASSERT_FALSE(wrong);
    EXPECT_NE(wrong.error().message.find("map has no entry for key \"Health\""),
              std::string::npos);
}

}  // namespace
}  // namespace noded::nodectl
