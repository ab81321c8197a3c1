#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The KUnit tests in a guest. Not on UML, which has no ZONE_DEVICE, hence no
# fsdax, and no IOMMU.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

log=$LOGS/kunit.log
guarded "$VM/run" --fs none --append 'dax_retarget=on kunit.enable=1' --limit 120 \
	'dmesg > /run/vm/kunit; cat /run/vm/kunit' > "$log" 2>&1 || {
	tail -n 20 "$log"
	die "the guest failed, see $log"
}

# Nested results count, the sums of the suites do not.
sed -nE 's/^\[ *[0-9.]+\]     ((not )?ok [0-9]+ .*)/\1/p; s/^\[ *[0-9.]+\]     (# .*(FAILED|EXPECT).*)/\1/p' "$log" |
	awk '/^# / { print; next } { n++; sub(/ok [0-9]+ /, "ok " n " KUnit: "); print }
	     /^not ok/ { failed++ } END { print "1.." n + 0; exit n == 0 || failed > 0 }'
