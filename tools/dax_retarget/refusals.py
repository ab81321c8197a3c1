#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Print the words for the reasons of a refusal where they are needed.

The words are those of the enum "refusal" in the specification of the netlink
family, so that the kernel, the command and the documents use the same words.

    refusals.py SPECIFICATION               print the C header
    refusals.py --rst GUIDE SPECIFICATION   print the guide, with the words in its
                                            table of reasons
"""

import re
import sys
import textwrap

import yaml

HEADER = """\
/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The words for why pages cannot be pinned, from the enum "refusal" in
 * Documentation/netlink/specs/dax-retarget.yaml
 *
 * Made by tools/dax_retarget/refusals.py; do not edit.
 */
#ifndef _LINUX_DAX_RETARGET_REFUSALS_H
#define _LINUX_DAX_RETARGET_REFUSALS_H

"""


# A row of the guide's table: the name, the words, and what comes after
ROW = re.compile(r"(   \* - ``([a-z-]+)``\n     - )(?:.*\n)+?(?=     - )")


def constant(entry):
    return "DAX_RETARGET_REFUSAL_" + entry["name"].upper().replace("-", "_")


def macro(head, rows, separator=""):
    return f"#define {head} \\\n" + f"{separator} \\\n".join(rows) + "\n"


def print_header(entries):
    print(HEADER, end="")
    print("/* Value and words */")
    print(macro("DAX_RETARGET_REFUSALS",
                [f'\t{{ {constant(e)}, \\\n\t  "{e["doc"]}" }}' for e in entries], ","))
    print("/* Each value, for readers of trace events, which know no enum */")
    print(macro("DAX_RETARGET_REFUSAL_VALUES(X)",
                [f"\tX({constant(e)})" for e in entries]))
    print("#endif /* _LINUX_DAX_RETARGET_REFUSALS_H */")


def print_guide(entries, path):
    # "none" is no refusal
    words = {entry["name"]: entry["doc"] for entry in entries[1:]}
    with open(path, encoding="utf-8") as guide:
        text = guide.read()
    if [row[2] for row in ROW.finditer(text)] != list(words):
        sys.exit(f"{path}: the table has to have these rows: " + " ".join(words))

    def fill(row):
        return row[1] + "\n       ".join(textwrap.wrap(words[row[2]], 73)) + "\n"

    print(ROW.sub(fill, text), end="")


def main(arguments):
    with open(arguments[-1], encoding="utf-8") as spec:
        definitions = yaml.safe_load(spec)["definitions"]
    entries = next(d["entries"] for d in definitions if d["name"] == "refusal")
    if len(arguments) == 1:
        print_header(entries)
    else:
        print_guide(entries, arguments[1])


if __name__ == "__main__":
    if len(sys.argv) != 2 and (len(sys.argv) != 4 or sys.argv[1] != "--rst"):
        sys.exit(__doc__)
    main(sys.argv[1:])
