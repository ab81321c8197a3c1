#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel's own test of what long-term pins may be of, gup_longterm, says the
# same with the feature on as with it off, on a DAX file system too.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

for mode in off on; do
	# Its status tells of tests that a kernel of this configuration fails anyway.
	guarded "$VM/run" --append "dax_retarget=$mode" \
		'cd /mnt && /image/selftests/mm/gup_longterm | grep -E "^(not )?ok"; exit 0' \
		> "$LOGS/gup-longterm-$mode"
done
[ -s "$LOGS/gup-longterm-off" ] || die "gup_longterm said nothing"
diff "$LOGS/gup-longterm-off" "$LOGS/gup-longterm-on"
