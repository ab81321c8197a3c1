#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Do the tests notice? Each control has the kernel leave one step of the
# protocol out and runs the test that claims to catch that. It passes if the
# test fails, and for the right reason: data of the device in a file that is not
# its, or a translation that leads there. Without the switch, the same test has
# to pass.
#
# While a switch is set, a device corrupts files: not for a file system that
# somebody needs. Needs CONFIG_DAX_RETARGET_TEST and CONFIG_DEBUG_VM; the kernel
# log then has one warning of dax_retarget_assert_gone() and one of
# dax_retarget_inode(), which are intended. More controls run with
# DAX_RETARGET_UMOUNT, see run.sh, DAX_RETARGET_SPARE, see filesystems.sh, and
# DAX_RETARGET_BLOCK and DAX_RETARGET_BLOCK2, see equivalence.sh.

cd "$(dirname "$0")" || exit 1
switches=/sys/kernel/debug/dax_retarget
damaged='VICTIM DAMAGED at byte [0-9]* of [0-9]*: data of the device'
reachable='VICTIM REACHABLE by IOVA'
number=0 failed=0

result()	# STATUS NAME
{
	number=$((number + 1))
	if [ "$1" = 0 ]; then
		echo "ok $number $2"
	else
		echo "not ok $number $2"
		failed=$((failed + 1))
	fi
}

# The kernel is whole again, however this ends.
mend()
{
	[ ! -w $switches/break ] || echo 0 > $switches/break
}
trap mend EXIT

# control NAME BREAK REASON PROGRAM ARGUMENT...
control()
{
	local name=$1 break=$2 reason=$3 output status
	shift 3

	output=$("./$1" "${@:2}" 2>&1)
	status=$?
	# Nor does it count if all of it was skipped
	if [ $status != 0 ] || ! grep '^ok' <<<"$output" | grep -qv '# SKIP'; then
		echo "# $* does not pass with nothing broken:"
		echo "# ${output//$'\n'/$'\n'# }"
		result 1 "$name"
		return
	fi

	echo "$break" > $switches/break
	output=$("./$1" "${@:2}" 2>&1)
	status=$?
	echo 0 > $switches/break
	if [ $status != 0 ] && grep -q "$reason" <<<"$output"; then
		grep -om1 "$reason.*" <<<"$output" | sed 's/^/# /'
		result 0 "$name"
	else
		echo "# $* did not notice, or noticed something else:"
		echo "# ${output//$'\n'/$'\n'# }"
		result 1 "$name"
	fi
}

echo "TAP version 13"
if [ ! -w $switches/break ]; then
	echo "1..0 # SKIP no test switches (root, CONFIG_DAX_RETARGET_TEST)"
	exit 4
fi
if ./reuse -v punch 2>&1 | grep -q '# SKIP'; then
	echo "1..0 # SKIP no pins here"
	exit 4
fi

control "hook skipped: punch"		1 "$damaged" reuse -v punch
dmesg | grep -q 'WARNING.*dax_retarget_assert_gone'
result $? "hook skipped: the kernel's own assertion (CONFIG_DEBUG_VM)"
# Without truncation's hook, the look at an inode that dies takes the pages back
echo 0x100000 > $switches/break
./reuse -v unlink > /dev/null 2>&1
result $? "hook skipped: truncation of a dying inode; clear_inode() takes its pages"
echo 0 > $switches/break
dmesg | grep -q 'WARNING.*dax_retarget_inode'
result $? "hook skipped: truncation of a dying inode; the kernel says so"
control "hook skipped: truncate"	1 "$damaged" reuse -v truncate
control "hook skipped: unlink"		1 "$damaged" reuse -v unlink
control "flush left out: punch"		2 "$damaged" reuse -v punch
control "flush left out: unlink"	2 "$damaged" reuse -v unlink
control "mark ignored"			4 "$damaged" window -t registered_but_not_mapped
control "end leaves the index early"	8 "$reachable" window -t ending
control "inodes shrink: drop_caches"	0x10 'PINNED INODE EVICTED' shrink -v drop_inodes
control "inodes shrink: reclaim"	0x10 'PINNED INODE EVICTED' shrink -v reclaim
control "blocks shared"			0x20 'CLONE DAMAGED' reflink -t refused_while_pinned
control "shared file is pinned"		0x8000 'BLOCKS MOVED' reflink -t neighbour_of_shared_block_is_not_pinned
control "blocks shared: race"		0x20 'a pinned file shares' reflink -t races_with_registration
control "no write-back: fsync"		0x40 'NOT WRITTEN BACK' durability -v fsync
control "no write-back: deregistration"	0x40 'NOT WRITTEN BACK' durability -t by_deregistration
control "no write-back: collapse"	0x40 'NOT WRITTEN BACK' durability -v collapse
control "pins ignored: fsync, no entry"	0x20000 'NOT WRITTEN BACK' durability -v none_fsync
control "file system not synced"	0x40000 'NOT WRITTEN BACK' durability -v syncfs_after_unmap
control "medium not flushed"		0x400000 'MEDIUM NOT FLUSHED' durability -v syncfs
control "medium not flushed: region ended"	0x400000 'MEDIUM NOT FLUSHED' durability \
	-t flushed_after_deregistration
control "write pins allow remount"	0x200 'READ-ONLY FILE CHANGED' readonly -t refused_with_write_pin

if [ -n "${DAX_RETARGET_UMOUNT-}" ]; then
	control "hook skipped: swap of extents" 1 'OLD BLOCK WRITTEN' reflink -r exchange.plain.swap_extents
	control "hook skipped: umount"		1 'OLD BLOCK WRITTEN' umount -t under_remote_writes
	control "hook skipped: lazy umount"	1 'OLD BLOCK WRITTEN' umount -t lazily
	control "hook skipped: recovery"	1 "$damaged" umount -r unlinked.lazily.victim_stays_intact
	control "hook skipped: shutdown"	1 "$damaged" umount -r unlinked.shutdown_log_flush.victim_stays_intact
	control "flush left out: umount"	2 "$damaged" umount -r unlinked.lazily.victim_stays_intact
fi

control "batches cross the segment boundary" 0x800 'FOREIGN BLOCK REACHABLE' huge -v run_across
DAX_RETARGET_POISON=1 control "memory failure not reported" 0x400 'NOT ANNOUNCED' poison -t of_unmapped_file
DAX_RETARGET_REMOVE=1 control "memory removed without a hook" 0x80 'REMOVED MEMORY REACHABLE' \
	removal -v unbind_caches_persist

# These overwrite a spare device
if [ -n "${DAX_RETARGET_SPARE-}" ]; then
	control "inodes shrink: DAX attribute"	0x10 'change_takes_no_page: Test failed' filesystems.sh attribute
	control "blocks shared: exchange"	0x20 'ETXTBSY' filesystems.sh exchange
	control "online repair takes no page"	0x1000 'REPAIR TOOK 0 of' filesystems.sh repair
	control "boot loader: not unmapped"	0x2000 'OLD BLOCK SEEN' filesystems.sh boot_loader
	control "DAX donor of extents"		0x80000 'DONATED BLOCKS WRITTEN' filesystems.sh attribute
fi

# These make the file systems anew
if [ -n "${DAX_RETARGET_BLOCK2-}" ]; then
	control "equivalence: hook skipped"	1 'DMA REACHED BLOCKS' \
		equivalence.sh --fs xfs --replay whole,write,punch:20480:8192
	control "equivalence: flush left out"	2 'DMA REACHED BLOCKS' \
		equivalence.sh --fs xfs --replay whole,write,punch:20480:8192
	control "equivalence: blocks shared"	0x20 'not refused' \
		equivalence.sh --fs xfs --replay whole,write,clone_out
	control "equivalence: inexact punch"	0x100 'NEEDLESS LOSS' \
		equivalence.sh --fs xfs --replay whole,write,punch:17384:11988
	control "equivalence: inexact collapse"	0x100 'NEEDLESS LOSS' \
		equivalence.sh --fs xfs --replay whole,write,collapse:20480:8192
	control "equivalence: partial block at the end" 0x4000 'DMA REACHED BLOCKS' \
		equivalence.sh --fs xfs --replay sparse,write,exchange_range:0:35768
	control "equivalence: ext4, hook skipped" 1 'DMA REACHED BLOCKS' \
		equivalence.sh --fs ext4 --replay whole,write,truncate:20480
	control "equivalence: ext2, hook skipped" 1 'NOT SAFE' \
		equivalence.sh --fs ext2 --replay whole,write,truncate:20480
	control "equivalence: random operations" 1 'the shortest sequence that fails' \
		equivalence.sh --fs ext4 --random 100 --seed 1
fi

echo "1..$number"
echo "# Totals: pass:$((number - failed)) fail:$failed"
[ $failed = 0 ]
