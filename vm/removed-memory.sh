#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The control of "fs/dax: do not touch pages of memory that was removed": with
# its check left out, the removal of memory under an open file crashes the guest,
# in the function that the patch mends. TAP on stdout.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

run=$RUNS/removed-memory
log=$LOGS/removed-memory.log
rm -rf "$run"
status=0
guarded "$VM/run" --dir "$run" --share "$BENCH" --limit 300 --append "${MODES[on]}" \
	'. /run/vm/guest-lib.sh && nics && echo 1 > /sys/kernel/debug/dax_retarget/break/check_removed &&
	DAX_RETARGET_REMOVE=1 selftest removal -v unbind' > "$log" 2>&1 || status=$?
echo "1..1"
if [ $status = 125 ] && grep -q 'RIP: .*dax_disassociate_entry' "$run/kernel.log"; then
	echo "ok 1 control: entries of removed memory are looked at"
else
	echo "# status $status, not the crash that was expected; see $log"
	echo "not ok 1 control: entries of removed memory are looked at"
	exit 1
fi
