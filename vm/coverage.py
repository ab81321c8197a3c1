#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Add the counters of several guests up, print what was reached of each of our
files, and compare the rest with a list of explained lines.

    coverage.py BUILD EXPLAINED COUNTERS

BUILD is the folder of the kernel build, in COUNTERS is what the guests left. In
EXPLAINED, a line that ends with a colon names a file; one that begins with '#' says
why the lines below it, up to the next such, are not reached; all others are source
lines, without their indentation. TAP on stdout; status 1 for a line that is
neither reached nor explained, or explained but reached or gone, and for a file of
ours that was built and counts nothing.
"""

import collections
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

# Those that only tests have
NOT_COUNTED = ("_kunit.c", "dax_retarget/test.c")


def reached(build, tree, counters, ours):
    """{file: {line number: times}}, over all guests; files as in the tree"""
    lines = collections.defaultdict(collections.Counter)

    def count(path):
        out = subprocess.run(["gcov", "--json-format", "--stdout", path],
                             cwd=build, check=True, capture_output=True).stdout
        for file in json.loads(out)["files"]:
            source = build.joinpath(file["file"]).resolve()
            if source.is_relative_to(tree):
                found = lines[str(source.relative_to(tree))]
                for line in file["lines"]:
                    found[line["line_number"]] += line["count"]

    with tempfile.TemporaryDirectory() as work:
        # What was built, though no guest may have counted it
        for file in ours:
            notes = build.joinpath(file).with_suffix(".gcno")
            if notes.exists():
                here = pathlib.Path(work, file)
                here.parent.mkdir(parents=True, exist_ok=True)
                count(shutil.copy(notes, here.parent))
        for gcda in counters.rglob("*.gcda"):
            # The guest knows the place of the build by its absolute path
            name = str(gcda).split(f"/{build.name}/", 1)[1]
            here = pathlib.Path(work, name)
            here.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(build.joinpath(name).with_suffix(".gcno"), here.parent)
            count(shutil.copy(gcda, here))
    return lines


def read_explained(path):
    """{file: [[source line, reason]]}"""
    explained = collections.defaultdict(list)
    file = reason = None
    for line in path.read_text().splitlines():
        text = line.strip()
        if line.startswith("#"):
            reason = text
        elif text.endswith(":") and line == text and "/" in text:
            file = text[:-1]
        elif text:
            explained[file].append([text, reason])
    return explained


def ranges(numbers):
    """1, 2, 3, 7 as 1-3,7"""
    parts = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(f"{a}-{b}" if b > a else str(a) for a, b in parts)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    explained = read_explained(pathlib.Path(sys.argv[2]))
    tree = next(line.split()[-1] for line in build.joinpath("Makefile").read_text().splitlines()
                if line.startswith("include "))
    tree = pathlib.Path(tree).resolve().parent
    ours = tree.joinpath(".git/overlay").read_text().splitlines()
    lines = reached(build, tree, pathlib.Path(sys.argv[3]), ours)

    print(f"# {'file':<44} {'lines':>6} {'reached':>8}      not reached")
    tests = []
    total = hit = 0
    for file in ours:
        if file.endswith(NOT_COUNTED):
            continue
        built = build.joinpath(file)
        if built.with_suffix(".o").exists() and not built.with_suffix(".gcno").exists():
            tests.append((False, f"{file}: built, but counts nothing"))
        if not lines.get(file):
            continue
        counts = lines[file]
        missed = [number for number, count in counts.items() if not count]
        total += len(counts)
        hit += len(counts) - len(missed)
        share = 100 * (len(counts) - len(missed)) / len(counts)
        print(f"# {file:<44} {len(counts):>6} {share:>7.1f}%      {ranges(missed)}")

        source = tree.joinpath(file).read_text().splitlines()
        left = explained.pop(file, [])
        for number in sorted(missed):
            text = source[number - 1].strip()
            entry = next((e for e in left if e[0] == text), None)
            if entry:
                left.remove(entry)
            else:
                tests.append((False, f"{file}:{number} is not reached: {text}"))
        for text, _ in left:
            tests.append((False, f"{file}: explained, but reached or gone: {text}"))
        if not any(name.startswith(file + ":") for _, name in tests):
            tests.append((True, f"{file}: each line is reached or explained"))
    for file in explained:
        tests.append((False, f"{file}: explained, but not ours or not built"))
    share = 100 * hit / total if total else 0
    print(f"# {'all':<44} {total:>6} {share:>7.1f}%")
    if not total:
        tests.append((False, "the guests counted nothing"))
    for number, (good, name) in enumerate(tests, 1):
        print(f"{'ok' if good else 'not ok'} {number} coverage: {name}")
    print(f"1..{len(tests)}")
    return not all(good for good, _ in tests)


sys.exit(main())
