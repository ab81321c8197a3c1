#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# One part of a test run, for check.sh: runs COMMAND with its output in LOG, adds its
# TAP to RESULTS, and how many seconds it took to TIMES. The output is shown when it
# ended, since another part may run meanwhile. What is skipped and does not match
# MAY_SKIP is a failure.
#   part.sh RESULTS TIMES LOG MAY_SKIP NAME COMMAND...
set -euo pipefail
. "$(dirname "$0")/lib.sh"

results=$1 times=$2 log=$3 may_skip=$4 name=$5 status=0
shift 5

say "$name ... (log: $log)"
guarded "$@" > "$log" 2>&1 || status=$?
took=$SECONDS

# That it ends well is a test too; where it fails since a test of its own did,
# that one is counted already.
if [ $status = 0 ]; then
	echo "ok 1 $name ended well after $(elapsed took)"
elif [ $status -ge 124 ] || ! grep -q '^not ok' "$log"; then
	echo "not ok 1 $name ended with status $status"
fi >> "$log"
skipped=$(grep -E '^(ok .*|1\.\.0 )# SKIP' "$log" | grep -vE "$may_skip" |
	sed 's/^/not ok 1 skipped, and must not be: /; s/# SKIP/SKIP:/') || true
[ -z "$skipped" ] || echo "$skipped" >> "$log"

exec {lock}>>"$results"
flock "$lock"
echo "$took $name" >> "$times"
{
	echo "== $name"
	cat "$log"
} | tee -a "$results"
