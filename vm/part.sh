#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# One part of a test run, for parts.sh: runs COMMAND, and adds its TAP to RESULTS.
# Its output is shown when it ended, since another part may run meanwhile. MAY_SKIP
# is of parts.sh.
#   part.sh RESULTS MAY_SKIP NAME COMMAND...
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2034 # elapsed reads start
results=$1 may_skip=$2 name=$3 status=0 start=$SECONDS
shift 3
tap=$LOGS/part-$(tr -cs '[:alnum:]\n' - <<<"$name").log

say "$name ... (log: $tap)"
guarded "$@" > "$tap" 2>&1 || status=$?

# That it ends well is a test too; where it fails since a test of its own did,
# that one is counted already.
if [ $status = 0 ]; then
	echo "ok 1 $name ended well after $(elapsed SECONDS-start)"
elif [ $status -ge 124 ] || ! grep -q '^not ok' "$tap"; then
	echo "not ok 1 $name ended with status $status"
fi >> "$tap"
skipped=$(grep -E '^(ok .*|1\.\.0 )# SKIP' "$tap" | grep -vE "$may_skip" |
	sed 's/^/not ok 1 skipped, and must not be: /; s/# SKIP/SKIP:/') || true
[ -z "$skipped" ] || echo "$skipped" >> "$tap"

exec {lock}>>"$results"
flock "$lock"
{
	echo "== $name"
	cat "$tap"
} | tee -a "$results"
