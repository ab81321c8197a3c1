#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The tests on a kernel that watches itself: KASAN, kmemleak and the debugging of
# the DMA API, of objects and of page owners (VARIANT=debug), or KCSAN in our
# files (VARIANT=kcsan). What such a kernel reports, fails the guest.
set -euo pipefail
export VARIANT=${VARIANT:-debug}
. "$(dirname "$0")/lib.sh"
. "$VM/parts.sh"

# make check knows what may be skipped
may_skip=.
guarded "$VM/setup.sh"
: > "$results"

no_memory='EXT4-fs warning.*: error -5 '
engines='. ./engine-nics.sh > /dev/null &&'
selftests="$engines cd /image/selftests/dax_retarget &&"
devdax='ndctl create-namespace -f -m devdax -e namespace1.0 > /dev/null &&'
on='--append dax_retarget=on'

part "$VARIANT, KUnit" "$VM/kunit.sh"
for fs in xfs ext4; do
	guest "$VARIANT, $fs" $on --fs $fs --limit 1800 --memory 4G \
		"$devdax $selftests DAX_RETARGET_UMOUNT=1 DAX_RETARGET_EMERGENCY=1 ./run.sh --expect on"
done
guest "$VARIANT, memory fails and is removed" $on --fs none --limit 1800 --memory 4G \
	"$engines ./remove-namespace.sh /image/selftests/dax_retarget"
guest "$VARIANT, the command" $on --limit 1800 --memory 4G \
	"$engines ./command.sh list events rights namespaces dumps storm traffic path fuzz faults umount remove"
for fs in xfs ext4; do
	guest "$VARIANT, stress, $fs" $on --fs $fs --allow "$no_memory" --limit 900 --memory 4G \
		"$engines NICS='bash /share/engine-nics.sh' \
		/image/selftests/dax_retarget/stress.sh --time ${TIME:-120} --seed ${SEED:-1}"
done
# Where nothing was watched, it says little that nothing was found. KUnit shows none.
if [ "$VARIANT" = kcsan ]; then
	wait
	part "kcsan, each guest watched" \
		[ "$(grep -c '^# KCSAN setup_watchpoints: [1-9]' "$results")" = $((parts - 1)) ]
fi
sum
