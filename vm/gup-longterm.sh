#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel's own test of what long-term pins may be of, gup_longterm, says the
# same with the feature on as with it off, on a DAX file system too. TAP on stdout.
#   gup-longterm.sh LOG LOG: of two guests that ran it
set -euo pipefail

said()	# LOG
{
	grep '^# gup_longterm: ' "$1"
}

echo "1..1"
if difference=$(diff <(said "$1") <(said "$2")) && said "$1" > /dev/null; then
	echo "ok 1 gup_longterm: the same, $(said "$1" | wc -l) times"
else
	echo "not ok 1 gup_longterm: not the same, or nothing"
	sed 's/^/# /' <<< "$difference"
	exit 1
fi
