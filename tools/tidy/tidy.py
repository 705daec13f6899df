#!/usr/bin/python3
"""Tidy, our linter: the limits and layers of STYLE.md, checked over the whole source tree.

Sizes, columns, opening comments, left-over notes, who may include whom, and the skeleton of a
plugin folder. Runs as a Bazel test (//tools/tidy:tidy_test) and by hand. A function or file that is
proven to be better long stands in ratchet.txt with its length, which may shrink and never grow.

usage: tools/tidy/tidy.py [ROOT]
"""
import os
import pathlib
import re
import sys
from typing import NamedTuple

FUNCTION_LINES_MAX = 70
SOURCE_LINES_MAX = 1000
HEADER_LINES_MAX = 400
ABI_LINES_MAX = 799
COLUMNS_MAX = 100

TOP_FOLDERS = ("agent", "plugins", "bpf", "ipc", "schemas", "bench", "tools", "tests", "ops", ".ci")
CODE = (".h", ".cc", ".c")
COLUMNS_IN = CODE + (".capnp", ".py", ".bzl")
PLUGIN_SKELETON = ("README.md", "plugin.cc", "state.h", "decide.cc", "fold.cc", "react.cc",
                   "reconcile.cc")
# What in plugins/ has no such skeleton: the contract, its comfort, and the stranger's one in C.
NOT_SKELETON = ("abi", "sdk", "example")

# Below agent/ a folder sees its own rank and lower ones; limits.h has none.
AGENT_RANKS = {"base": 0, "core": 1, "log": 1, "reactor": 1, "host": 2, "rpc": 3, "pub": 3,
               "past": 3}
IMPURE = re.compile(r"<(chrono|ctime|time\.h|random|unistd\.h|thread|sys/.*)>")

# Spelled in two halves so that this file does not find itself.
NOTES = re.compile(r"\b(TO" + "DO|FIX" + "ME|X" + r"XX)\b")
HOMES = re.compile(r"(/ho" + r"me/[a-z][\w.-]*/|/Us" + r"ers/[A-Za-z][\w.-]*/|/ro" + r"ot/\.)")
INCLUDE = re.compile(r'^\s*#\s*include\s*("[^"]+"|<[^>]+>)')


class Finding(NamedTuple):
    rule: str
    path: str
    line: int
    name: str   # of the function, or of the include; empty for the file itself
    value: int  # what was measured; 0 where nothing is
    message: str


# --- Function lengths ------------------------------------------------------------------------

TOKENS = re.compile(
    r'R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'"
    r"|//[^\n]*|/\*.*?\*/"
    r"|^[ \t]*\#(?:\\\n|[^\n])*", re.S | re.M)


def blank_out(text):
    """`text` without comments, literals and preprocessor lines, its line breaks as they were."""
    def replace(match):
        token = match.group(0)
        lines = "\n" * token.count("\n")
        return '""' + lines if token[0] in "R\"'" else " " + lines
    return TOKENS.sub(replace, text)


# After the parameter list of a function and before its body.
TAIL = re.compile(r"\)\s*((const|noexcept|override|final|mutable|try|&|&&)\b\s*|\[\[[\w:]+\]\]\s*"
                  r"|&{1,2}\s*|noexcept\s*\([^{}]*\)\s*|->\s*[^;{}()]*|requires\b[^;{}]*)*$")
INITIALISERS = re.compile(r"\)\s*(noexcept\s*)?:[^:]")
LABELS = re.compile(r"\s*((public|private|protected)\s*:(?!:)\s*)*")
SCOPE = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b")


def kind_of_brace(head):
    """What the `{` after `head` opens outside of functions.

    "function", "scope" (a namespace, a class), "member" (a brace in a constructor's list), "value".
    """
    head = head.rstrip()
    if INITIALISERS.search(head):
        return "member" if re.search(r"[\w>]$", head) else "function"
    if TAIL.search(head) and "(" in head:
        return "function"
    return "scope" if SCOPE.search(head) else "value"


def name_of(head):
    match = re.search(r"\b(?:TEST|TEST_F|TEST_P|BENCHMARK_F)\s*\(\s*(\w+)\s*,\s*(\w+)", head)
    if match:
        return ".".join(match.groups())
    match = re.search(r"([~\w:]+|operator\s*\S{1,3})\s*\(", head)
    return match.group(1) if match else "?"


def functions(text):
    """Yields (name, first line, lines) of each function that is not inside another one."""
    text = blank_out(text)
    stack, head_start, body_depth, function = [], 0, None, None
    for match in re.finditer(r"[{};]", text):
        at, mark = match.start(), match.group(0)
        if mark == "{":
            kind = "body" if body_depth is not None else kind_of_brace(text[head_start:at])
            stack.append(kind)
            if kind in ("function", "value", "member"):
                body_depth = len(stack)
                function = text[head_start:at] if kind == "function" else None
                function_start = head_start
            elif kind == "scope":
                head_start = at + 1
        elif mark == "}" and stack:
            if body_depth == len(stack):
                if function is not None:
                    head = function_start + LABELS.match(function).end()
                    first = text.count("\n", 0, head) + 1
                    yield name_of(function), first, text.count("\n", head, at) + 1
                # What follows a brace initialiser in a constructor's list belongs to the same head.
                if stack[-1] == "function" or stack[-1] == "scope":
                    head_start = at + 1
                body_depth = None
            elif body_depth is None:
                head_start = at + 1
            stack.pop()
        elif mark == ";" and body_depth is None:
            head_start = at + 1


# --- Rules for one file: each yields findings ------------------------------------------------

def check_function_length(path, text):
    if not path.endswith(CODE):
        return
    for name, line, lines in functions(text):
        if lines > FUNCTION_LINES_MAX:
            yield Finding("function-length", path, line, name, lines,
                          f"{name} has {lines} lines, the limit is {FUNCTION_LINES_MAX}")


def check_file_length(path, text):
    lines = text.count("\n")
    limit = HEADER_LINES_MAX if path.endswith(".h") else SOURCE_LINES_MAX
    if path.endswith(CODE) and lines > limit:
        yield Finding("file-length", path, lines, "", lines,
                      f"{lines} lines, the limit is {limit}")


def check_columns(path, text):
    if not path.endswith(COLUMNS_IN):
        return
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > COLUMNS_MAX:
            yield Finding("columns", path, number, "", 0,
                          f"{len(line)} columns, the limit is {COLUMNS_MAX}")


def check_opening_comment(path, text):
    if not path.endswith(CODE) or path.endswith("_test.cc"):
        return
    if not text.lstrip().startswith(("//", "/*")):
        yield Finding("opening-comment", path, 1, "", 0,
                      "does not begin with a comment that says what it is and who calls it")


def check_notes(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if match := NOTES.search(line):
            yield Finding("notes", path, number, "", 0,
                          f"{match.group(0)} left in the source: do it or file an issue")


def check_homes(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if match := HOMES.search(line):
            yield Finding("homes", path, number, "", 0,
                          f"{match.group(0)} is a place on somebody's own machine")


def agent_include_trouble(path, included):
    """A sentence if a file below agent/ may not include `included`, otherwise None."""
    if included.startswith("plugins/") and not included.startswith("plugins/abi/"):
        return "agent/ sees plugins/abi only, never a concrete plugin"
    own, other = (place.split("/")[1] for place in (path, included + "/"))
    if not included.startswith("agent/") or other not in AGENT_RANKS or own not in AGENT_RANKS:
        return None
    if AGENT_RANKS[other] > AGENT_RANKS[own]:
        return f"layers go one way: agent/{own} is below agent/{other}"
    return None


def plugin_include_trouble(path, included):
    """The same for a file below plugins/."""
    own = path.split("/")[1]
    if included.startswith("plugins/"):
        other = included.split("/")[1]
        allowed = {"abi": ("abi",), "sdk": ("abi", "sdk")}.get(own, ("abi", "sdk", own))
        if other not in allowed:
            return (f"plugins never see each other: plugins/{own} sees "
                    f"plugins/{' and plugins/'.join(allowed)} only")
    if included.startswith("agent/"):
        if own == "abi":
            return "plugins/abi stands alone"
        if not included.startswith("agent/base/"):
            return "a plugin sees nothing of agent/ but agent/base"
    return None


def is_pure(path):
    if path.endswith("_test.cc"):
        return False
    return bool(re.match(r"agent/core/|plugins/[^/]+/(decide|fold)\.cc$", path))


def check_includes(path, text):
    if not path.endswith(CODE):
        return
    for number, line in enumerate(text.split("\n"), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        spelled, included = match.group(1), match.group(1)[1:-1]
        troubles = []
        if path.startswith("agent/"):
            troubles.append(agent_include_trouble(path, included))
        if path.startswith("plugins/"):
            troubles.append(plugin_include_trouble(path, included))
        if is_pure(path) and (IMPURE.fullmatch(spelled) or included.startswith("agent/reactor/")):
            troubles.append("this file is pure: no clock, no descriptor, no randomness, no reactor")
        if included.startswith("liburing") and not path.startswith("agent/reactor/"):
            troubles.append("agent/reactor is the only folder that knows io_uring")
        for trouble in filter(None, troubles):
            yield Finding("layers", path, number, included, 0, f"includes {spelled}: {trouble}")


FILE_RULES = (check_function_length, check_file_length, check_columns, check_opening_comment,
              check_notes, check_homes, check_includes)


# --- Rules for the tree ----------------------------------------------------------------------

def check_abi_length(files):
    headers = (text for path, text in files.items() if re.fullmatch(r"plugins/abi/.*\.h", path))
    lines = sum(text.count("\n") for text in headers)
    if lines > ABI_LINES_MAX:
        yield Finding("abi-length", "plugins/abi", 0, "", 0,
                      f"all headers together have {lines} lines; the limit is {ABI_LINES_MAX}")


def check_skeleton(files):
    plugins = {path.split("/")[1] for path in files
               if re.fullmatch(r"plugins/[^/]+/.+\.(cc|h)", path)}
    for plugin in sorted(plugins.difference(NOT_SKELETON)):
        for name in PLUGIN_SKELETON:
            if f"plugins/{plugin}/{name}" not in files:
                yield Finding("skeleton", f"plugins/{plugin}", 0, name, 0,
                              f"has no {name}: every plugin folder has the same file names")


TREE_RULES = (check_abi_length, check_skeleton)


# --- The whole -------------------------------------------------------------------------------

def read_tree(root):
    """All text files below the fixed top-level folders and those at the top, path to content."""
    files = {}
    for folder, folders, names in os.walk(root):
        relative = os.path.relpath(folder, root)
        if relative == ".":
            folders[:] = [name for name in folders if name in TOP_FOLDERS]
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in names:
            path = os.path.normpath(os.path.join(relative, name))
            full = os.path.join(root, path)
            if os.path.islink(full) or not os.path.isfile(full):
                continue
            try:
                files[path] = pathlib.Path(full).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                pass  # not text, for example an old log kept as a test
    return files


def read_ratchet(text):
    """Lines `RULE PATH NAME LENGTH why`, NAME `-` for the file itself."""
    allowed = {}
    for line in text.split("\n"):
        if line.strip() and not line.startswith("#"):
            rule, path, name, value, _why = line.split(maxsplit=4)
            allowed[rule, path, "" if name == "-" else name] = int(value)
    return allowed


def check_tree(files, ratchet):
    """(findings, what shrank): sentences for both are printed by main."""
    findings, seen = [], {}
    for path, text in sorted(files.items()):
        for rule in FILE_RULES:
            findings.extend(rule(path, text))
    for rule in TREE_RULES:
        findings.extend(rule(files))
    kept = []
    for finding in findings:
        key = finding.rule, finding.path, finding.name
        seen[key] = max(seen.get(key, 0), finding.value)
        if finding.value == 0 or finding.value > ratchet.get(key, 0):
            kept.append(finding)
    shrank = [f"{' '.join(filter(None, key))} shrank from {value} to "
              f"{seen.get(key, 'below the limit')}: lower or remove its line in ratchet.txt"
              for key, value in ratchet.items() if seen.get(key, 0) < value]
    return kept, shrank


def main():
    here = pathlib.Path(os.path.realpath(__file__)).parent
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here.parent.parent
    if not (root / "WORKSPACE").exists():
        sys.exit(f"tidy: {root} holds no WORKSPACE: not the source tree")
    files = read_tree(root)
    ratchet = read_ratchet((here / "ratchet.txt").read_text(encoding="utf-8"))
    findings, shrank = check_tree(files, ratchet)
    for finding in findings:
        print(f"{finding.path}:{finding.line}: [{finding.rule}] {finding.message}")
    for sentence in shrank:
        print(f"tidy: {sentence}")
    print(f"tidy: {len(files)} files, {len(findings)} findings")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
