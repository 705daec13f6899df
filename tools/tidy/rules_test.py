#!/usr/bin/python3
"""Tests of tidy itself: each rule fires on a small bad sample and is silent on the good one."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import tidy  # noqa: E402
import wrap  # noqa: E402

COMMENT = "// What it is.\n"


def rules(files, ratchet=None):
    """The names of the rules that fire on `files`, path to content."""
    return [finding.rule for finding in tidy.check_tree(files, ratchet or {})[0]]


def body(lines):
    """A function body of so many lines, braces apart."""
    return "{\n" + "    go();\n" * lines + "}\n"


class Functions(unittest.TestCase):
    def lengths(self, text):
        return {name: lines for name, _, lines in tidy.functions(text)}

    def test_a_function_is_measured_from_its_head_to_its_brace(self):
        self.assertEqual(self.lengths("int f(int a,\n      int b) " + body(3)), {"f": 6})

    def test_methods_inside_a_class_in_a_namespace_are_found(self):
        text = "namespace n {\nclass C final : public B {\npublic:\n    int m() const override " + \
            body(2) + "    int x_ = 0;\n};\n}\n"
        self.assertEqual(self.lengths(text), {"m": 4})

    def test_a_constructor_with_braced_initialisers_is_one_function(self):
        self.assertEqual(self.lengths("C::C(int a) : a_{a}, b_(a), c_{1} " + body(4)), {"C::C": 6})

    def test_what_follows_a_constructor_is_found(self):
        text = "C::C(int a) : a_{a} " + body(1) + "void g() " + body(2)
        self.assertEqual(self.lengths(text), {"C::C": 3, "g": 4})

    def test_braces_in_strings_comments_and_macros_do_not_count(self):
        text = '#define M \\\n  {{{\n' \
            'int f() {\n  // }\n  s = "}"; c = \'}\'; r = R"(})";\n}\nint g() ' + body(1)
        self.assertEqual(self.lengths(text), {"f": 4, "g": 3})

    def test_values_and_types_are_not_functions(self):
        text = "constexpr int a[] = {1, 2};\nstruct S {\n  int a{0};\n};\nenum class E { x };\n"
        self.assertEqual(self.lengths(text), {})

    def test_lambdas_and_loops_belong_to_their_function(self):
        text = "auto f() -> int {\n  for (;;) {\n    g([&] {\n    });\n  }\n}\n"
        self.assertEqual(self.lengths(text), {"f": 6})

    def test_a_gtest_case_is_named_by_suite_and_fact(self):
        self.assertEqual(self.lengths("TEST(Log, is_cut) " + body(1)), {"Log.is_cut": 3})


class Sizes(unittest.TestCase):
    def test_seventy_lines_pass_and_seventy_one_do_not(self):
        good, bad = COMMENT + "void f() " + body(68), COMMENT + "void f() " + body(69)
        self.assertEqual(rules({"agent/base/a.cc": good}), [])
        self.assertEqual(rules({"agent/base/a.cc": bad}), ["function-length"])

    def test_the_ratchet_allows_what_it_names_and_no_line_more(self):
        bad = {"agent/base/a.cc": COMMENT + "void f() " + body(78)}
        key = ("function-length", "agent/base/a.cc", "f")
        self.assertEqual(rules(bad, {key: 80}), [])
        self.assertEqual(rules(bad, {key: 79}), ["function-length"])

    def test_the_ratchet_says_what_shrank(self):
        key = ("function-length", "agent/base/a.cc", "f")
        _, shrank = tidy.check_tree({"agent/base/a.cc": COMMENT}, {key: 80})
        self.assertIn("shrank from 80", shrank[0])

    def test_a_ratchet_line_is_read_with_its_reason(self):
        read = tidy.read_ratchet("# note\nfile-length a/b.cc - 1200 one table\n")
        self.assertEqual(read, {("file-length", "a/b.cc", ""): 1200})

    def test_source_and_header_have_their_own_limits(self):
        self.assertEqual(rules({"ipc/a.h": "// x\n" * 400, "ipc/a.cc": "// x\n" * 1000}), [])
        self.assertEqual(rules({"ipc/a.h": "// x\n" * 401}), ["file-length"])
        self.assertEqual(rules({"ipc/a.cc": "// x\n" * 1001}), ["file-length"])

    def test_the_abi_headers_are_counted_together(self):
        headers = {"plugins/abi/a.h": "// x\n" * 399, "plugins/abi/b.h": "// x\n" * 400}
        self.assertEqual(rules(headers), [])
        headers["plugins/abi/c.h"] = "// x\n"
        self.assertEqual(rules(headers), ["abi-length"])

    def test_a_hundred_columns_pass_and_one_more_does_not(self):
        self.assertEqual(rules({"ipc/a.h": "// " + "x" * 97}), [])
        self.assertEqual(rules({"ipc/a.h": "// " + "x" * 98}), ["columns"])


class Words(unittest.TestCase):
    def test_a_file_begins_with_a_comment_and_a_test_need_not(self):
        self.assertEqual(rules({"ipc/a.cc": "#include <x>\n"}), ["opening-comment"])
        self.assertEqual(rules({"ipc/a_test.cc": "#include <x>\n"}), [])
        self.assertEqual(rules({"ipc/a.h": "/* What it is. */\n"}), [])

    def test_left_over_notes_are_found_and_mkdtemp_templates_are_not(self):
        for note in ("TO" "DO", "FIX" "ME", "XX" "X"):
            self.assertEqual(rules({"ipc/a.h": f"// {note}: later\n"}), ["notes"])
        self.assertEqual(rules({"ipc/a.h": '// "/tmp/a.XXXXXX"\n'}), [])

    def test_places_on_somebodys_machine_are_found(self):
        for place in ("/ho" "me/ann/noded", "/Us" "ers/Ann/noded", "/ro" "ot/.cache"):
            self.assertEqual(rules({"ops/a": f"cd {place}/x\n"}), ["homes"])
        self.assertEqual(rules({"ops/a": "root:x:0:0:root:/root:/bin/sh\n"}), [])


class Layers(unittest.TestCase):
    def expect(self, path, include, message):
        finding, = tidy.check_includes(path, f"{COMMENT}#include {include}\n")
        self.assertEqual((finding.rule, finding.line), ("layers", 2))
        self.assertIn(message, finding.message)

    def allow(self, path, include):
        self.assertEqual(list(tidy.check_includes(path, f"{COMMENT}#include {include}\n")), [])

    def test_the_daemon_sees_the_contract_and_no_plugin(self):
        self.allow("agent/host/a.cc", '"plugins/abi/plugin.h"')
        self.expect("agent/host/a.cc", '"plugins/sdk/plugin.h"', "never a concrete plugin")
        self.expect("agent/main.cc", '"plugins/container/state.h"', "never a concrete plugin")

    def test_the_daemons_layers_go_one_way(self):
        self.allow("agent/host/a.cc", '"agent/core/core.h"')
        self.allow("agent/main.cc", '"agent/rpc/server.h"')
        self.allow("agent/base/a.cc", '"agent/limits.h"')
        self.expect("agent/core/a.cc", '"agent/host/host.h"', "layers go one way")

    def test_plugins_do_not_see_each_other(self):
        self.allow("plugins/storage/a.cc", '"plugins/storage/state.h"')
        self.allow("plugins/storage/a.cc", '"plugins/sdk/plugin.h"')
        self.expect("plugins/storage/a.cc", '"plugins/container/state.h"', "never see each other")
        self.expect("plugins/sdk/a.h", '"plugins/container/state.h"', "never see each other")
        self.expect("plugins/abi/a.h", '"plugins/sdk/host.h"', "never see each other")

    def test_plugins_see_of_the_daemon_only_its_base(self):
        self.allow("plugins/storage/a.cc", '"agent/base/result.h"')
        self.expect("plugins/storage/a.cc", '"agent/core/core.h"', "nothing of agent/")
        self.expect("plugins/abi/a.h", '"agent/base/result.h"', "stands alone")

    def test_core_decide_and_fold_are_pure(self):
        for include in ("<chrono>", "<ctime>", "<random>", "<unistd.h>", "<sys/stat.h>",
                        '"agent/reactor/reactor.h"'):
            self.expect("agent/core/a.cc", include, "pure")
        self.expect("plugins/storage/decide.cc", "<random>", "pure")
        self.expect("plugins/storage/fold.cc", "<sys/mount.h>", "pure")
        self.allow("plugins/storage/react.cc", "<sys/mount.h>")
        self.allow("agent/core/core_test.cc", "<chrono>")

    def test_only_the_reactor_knows_io_uring(self):
        self.allow("agent/reactor/a.cc", "<liburing.h>")
        self.expect("agent/log/a.cc", "<liburing.h>", "only folder")
        self.expect("bench/log/a.cc", "<liburing.h>", "only folder")


class Skeleton(unittest.TestCase):
    def test_a_plugin_without_one_of_the_skeletons_files_is_named(self):
        files = {f"plugins/storage/{name}": COMMENT for name in tidy.PLUGIN_SKELETON}
        self.assertEqual(rules(files), [])
        del files["plugins/storage/fold.cc"]
        self.assertEqual(rules(files), ["skeleton"])

    def test_the_contract_the_kit_and_the_example_need_none(self):
        self.assertEqual(rules({f"plugins/{name}/a.h": COMMENT for name in tidy.NOT_SKELETON}), [])


class Wrap(unittest.TestCase):
    def test_a_long_paragraph_is_filled_and_a_short_one_is_left(self):
        long = "// " + "word " * 30 + "\n// and more"
        self.assertTrue(all(len(line) <= 100 for line in wrap.wrap(long).split("\n")))
        self.assertEqual(wrap.wrap(long).replace("\n// ", " ").split(),
                         long.replace("\n// ", " ").split())
        self.assertEqual(wrap.wrap("// a\n// b"), "// a\n// b")

    def test_a_long_comment_behind_code_moves_above_it(self):
        self.assertEqual(wrap.wrap("    int a;  ///< " + "x" * 90),
                         "    /// " + "x" * 90 + "\n    int a;")
        self.assertEqual(wrap.wrap("    int a;  /* " + "x" * 88 + " */"),
                         "    /* " + "x" * 88 + " */\n    int a;")

    def test_code_is_left_alone(self):
        code = 'f("// ' + "x" * 120 + '");'
        self.assertEqual(wrap.wrap(code), code)


if __name__ == "__main__":
    unittest.main()
