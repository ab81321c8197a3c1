#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Add the counters of several guests up, print what was reached of each of our
files, and compare the rest with a list of explained lines.

    coverage.py BUILD EXPLAINED COUNTERS...

BUILD is the folder of the kernel build, each of COUNTERS what a guest left. In
EXPLAINED, a line that ends with a colon names a file; one that begins with '#' says
why the lines below it, up to the next such, are not reached; all others are source
lines, without their indentation. TAP on stdout; status 1 for a line that is
neither reached nor explained, or explained but reached or gone.
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


def reached(build, counters):
    """{file: {line number: times}}, over all guests"""
    lines = collections.defaultdict(collections.Counter)
    for folder in counters:
        with tempfile.TemporaryDirectory() as work:
            for gcda in pathlib.Path(folder).rglob("*.gcda"):
                # The guest knows the place of the build by its absolute path
                name = str(gcda.relative_to(folder)).split(build.name + "/", 1)[1]
                here = pathlib.Path(work, name)
                here.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(gcda, here)
                shutil.copy(build.joinpath(name).with_suffix(".gcno"), here.parent)
                out = subprocess.run(["gcov", "--json-format", "--stdout", here],
                                     cwd=build, check=True, capture_output=True).stdout
                for file in json.loads(out)["files"]:
                    for line in file["lines"]:
                        lines[file["file"]][line["line_number"]] += line["count"]
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
    build = pathlib.Path(sys.argv[1])
    explained = read_explained(pathlib.Path(sys.argv[2]))
    tree = next(line.split()[-1] for line in build.joinpath("Makefile").read_text().splitlines()
                if line.startswith("include "))
    tree = pathlib.Path(tree).parent
    ours = tree.joinpath(".git/overlay").read_text().splitlines()
    lines = reached(build, sys.argv[3:])

    print(f"# {'file':<44} {'lines':>6} {'reached':>8}      not reached")
    tests = []
    total = hit = 0
    for file in ours:
        found = [name for name in lines if name.endswith("/" + file) or name == file]
        if not found or file.endswith(NOT_COUNTED):
            continue
        counts = lines[found[0]]
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
