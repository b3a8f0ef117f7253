"""Worst stack of functions, from gcc's call graphs (-fcallgraph-info=su): stack.py NAME FOLDER FUNCTION...

A call through a pointer may go to any function of the same file that nobody calls by name: tables of actions are such.
"""
import glob
import os
import re
import sys

name, folder, wanted = sys.argv[1], sys.argv[2], sys.argv[3:]
frames, calls, files, by_name = {}, {}, {}, set()
for path in glob.glob(os.path.join(folder, "*.ci")):
    text = open(path).read()
    for title, label in re.findall(r'node: \{ title: "([^"]+)" label: "([^"]+)"', text):
        size = re.search(r"(\d+) bytes", label)
        if size:
            frames[title] = int(size.group(1))
            files.setdefault(path, set()).add(title)
    for source, target in re.findall(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', text):
        calls.setdefault(source, set()).add((target, path))
        by_name.add(target)


def short(title):
    return title.split(":")[-1]


tops = {}
for title in frames:
    tops.setdefault(short(title), title)
memo = {}


def depth(title, path):
    if title in memo:
        return memo[title]
    if title in path:
        return 0, ["(again)"]
    best, trail = 0, []
    for target, source in calls.get(title, ()):
        candidates = [target]
        if target == "__indirect_call":
            candidates = [t for t in files.get(source, ()) if t not in by_name and ":" in t]
        for candidate in candidates:
            candidate = candidate if candidate in frames else tops.get(short(candidate), candidate)
            if candidate in frames:
                below, its = depth(candidate, path | {title})
                if below > best:
                    best, trail = below, its
    memo[title] = frames[title] + best, [short(title)] + trail
    return memo[title]


for function in wanted:
    if function in tops:
        total, trail = depth(tops[function], frozenset())
        print("%-16s %-18s %5d bytes: %s" % (name, function, total, " > ".join(trail[:7])))
