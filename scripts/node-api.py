#!/usr/bin/env python3
"""Writes docs/node-api.md from the comments of the headers that firmware includes; --check: says whether it is up to date.

A comment belongs to the declarations after it, up to the next empty line: one comment may speak of several functions.
"""
import os
import re
import sys

root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
TOP = """# The node's API

Made by `scripts/node-api.py` from the headers' comments; a test keeps it so. The first part is RainMaker's, in
`src/rmaker/include`, after ESP RainMaker's component esp_rainmaker 1.16 and the device specification that was made from
it; the second is ESP-IDF's, in `src/esp/include`, as far as the Linux stand-in has it, after ESP-IDF 5.5 (with what came in
6). Each function returns `ESP_OK` unless its text names something else. Strings that a function takes are read before it
returns; strings that it gives belong to the callee, unless its text says otherwise. Where behaviour differs from the
originals, `docs/differences.md` says how and why.
"""


def comment(text):
    lines = [re.sub(r"^\s*\*? ?", "", line) for line in text[2:-2].strip().split("\n")]
    return "\n".join(line.rstrip() for line in lines).strip()


def pieces(text):
    """Comments, declarations and empty lines of a header, in order."""
    at = 0
    while at < len(text):
        if text.startswith("/*", at):
            end = text.index("*/", at) + 2
            yield "comment", comment(text[at:end])
            at = end
            continue
        if text[at] == "#":
            end = at
            while text[end] != "\n" or text[end - 1] == "\\":
                end += 1
            define = re.match(r"#define (\w+)[ ]+([^\\]+?)\s*(/\*(.*)\*/)?\s*$", text[at:end])
            if define:
                yield "define", text[at:end].strip()
            at = end
            continue
        if text.startswith("\n\n", at):
            yield "gap", ""
        if text[at].isspace():
            at += 1
            continue
        end, depth = at, 0
        while depth > 0 or text[end] not in ";}":
            if text.startswith("/*", end):
                end = text.index("*/", end) + 2
                continue
            depth += {"{": 1, "(": 1, "}": -1, ")": -1}.get(text[end], 0)
            end += 1
        declaration = text[at:end + 1].strip()
        end += 1
        trailing = re.match(r"[ \t]*/\*.*?\*/", text[end:])
        if trailing:
            declaration += " " + trailing.group(0).strip()
            end += trailing.end()
        if declaration not in ("}", ";"):
            yield "declaration", declaration
        at = end


def write_header(path, name, out):
    text = open(path).read()
    text = re.sub(r"#ifdef __cplusplus\n.*?\n#endif\n", "", text, flags=re.S)
    note, title, group = "", False, []

    def flush():
        if group:
            out.append("```c\n%s\n```\n" % "\n".join(group))
            if note:
                out.append(note + "\n")
            group.clear()

    for kind, what in pieces(text):
        if not title:
            if kind == "comment":
                head, _, rest = what.partition(" - ")
                out.append("## %s\n" % name)
                first = rest if head.endswith(name) or head.endswith(os.path.basename(name)) else what
                out.append(first[:1].upper() + first[1:] + "\n")
                title = True
            continue
        if kind == "comment":
            flush()
            note = "" if what.startswith("---") else what
        elif kind == "gap":
            flush()
            note = ""
        elif kind == "define":
            if not what.startswith("#define PLUVIO_"):
                group.append(what)
        elif not what.startswith(("extern \"C\"", "ESP_EVENT_DECLARE", "static inline", "struct ifreq")):
            group.append(what)
    flush()


def write():
    out = [TOP]
    for part, heading in (("rmaker", "RainMaker"), ("esp", "ESP-IDF on Linux")):
        out.append("# %s\n" % heading)
        folder = os.path.join(root, "src", part, "include")
        names = [os.path.relpath(os.path.join(base, f), folder) for base, _, files in os.walk(folder) for f in files if f.endswith(".h")]
        for name in sorted(names):
            write_header(os.path.join(folder, name), name, out)
    return "\n".join(out)


path = os.path.join(root, "docs", "node-api.md")
text = write()
if sys.argv[1:] == ["--check"]:
    if open(path).read() != text:
        sys.exit("docs/node-api.md is not what the headers say: run scripts/node-api.py")
    print("docs/node-api.md is what the headers say")
else:
    open(path, "w").write(text)
