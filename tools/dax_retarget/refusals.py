#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Print the words for the reasons of a refusal as a C header.

The words are those of the enum "refusal" in the specification of the netlink
family, so that the kernel, the command and the documents say the same.

    refusals.py Documentation/netlink/specs/dax-retarget.yaml
"""

import sys

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

#define DAX_RETARGET_REFUSALS"""


def main(path):
    with open(path, encoding="utf-8") as spec:
        definitions = yaml.safe_load(spec)["definitions"]
    entries = next(d["entries"] for d in definitions if d["name"] == "refusal")
    print(HEADER, end="")
    for number, entry in enumerate(entries):
        name = "DAX_RETARGET_REFUSAL_" + entry["name"].upper().replace("-", "_")
        print(f'{"," if number else ""} \\\n\t{{ {name}, \\\n\t  "{entry["doc"]}" }}', end="")
    print("\n\n#endif /* _LINUX_DAX_RETARGET_REFUSALS_H */")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
