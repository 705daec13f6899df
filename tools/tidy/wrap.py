#!/usr/bin/python3
"""Wraps comments that are longer than the column limit; code is left as it is. Run by hand.

A paragraph of whole-line comments is filled anew if one of its lines is too long; a comment behind
code that makes the line too long moves above it. Lists, tables and indented text inside a comment
are left alone.

usage: tools/tidy/wrap.py FILE...
"""
import re
import sys
import textwrap

from tidy import COLUMNS_MAX

WHOLE = re.compile(r"^(?P<lead>\s*(?://[/!]?|#|\*)) (?P<text>\S.*)$")
BEHIND = re.compile(r"^(?P<indent>\s*)(?P<code>\S.*?)\s+(?P<mark>//[/!]?|#)<? (?P<text>[^\"]*)$")
BLOCK = re.compile(r"^(?P<indent>\s*)(?P<code>[^\s/].*?)?\s*/\* (?P<text>.*) \*/$")
LIST = re.compile(r"^([-*|]|\d+\.|@\w)")


def fill(lead, text):
    return fill_block(lead + " ", lead + " ", text, COLUMNS_MAX)


def fill_block(first, next, text, columns):
    return textwrap.wrap(text, columns, initial_indent=first, subsequent_indent=next,
                         break_long_words=False, break_on_hyphens=False)


def wrap_paragraph(lines):
    """`lines` are whole-line comments with one lead."""
    if all(len(line) <= COLUMNS_MAX for line in lines):
        return lines
    lead = WHOLE.match(lines[0]).group("lead")
    return fill(lead, " ".join(WHOLE.match(line).group("text") for line in lines))


def wrap_line(line):
    if len(line) <= COLUMNS_MAX:
        return [line]
    if match := BLOCK.match(line):
        indent = match["indent"]
        lines = fill_block(indent + "/* ", indent + " * ", match["text"], COLUMNS_MAX - 3)
        lines[-1] += " */"
        return lines + ([indent + match["code"]] if match["code"] else [])
    match = BEHIND.match(line)
    if not match:
        return [line]
    return fill(match["indent"] + match["mark"], match["text"]) + [match["indent"] + match["code"]]


def wrap(text):
    result, paragraph = [], []

    def close():
        if paragraph:
            result.extend(wrap_paragraph(paragraph))
            paragraph.clear()

    for line in text.split("\n"):
        match = WHOLE.match(line)
        if not match:
            close()
            result.extend(wrap_line(line))
            continue
        lead_changed = paragraph and WHOLE.match(paragraph[0])["lead"] != match["lead"]
        if lead_changed or LIST.match(match["text"]):
            close()
        paragraph.append(line)
    close()
    return "\n".join(result)


if __name__ == "__main__":
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            before = file.read()
        after = wrap(before)
        if after != before:
            with open(path, "w", encoding="utf-8") as file:
                file.write(after)
            print(f"wrapped {path}")
