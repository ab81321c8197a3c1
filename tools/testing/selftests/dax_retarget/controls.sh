#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Controls of the tests: the kernel leaves one step of the protocol out, and the
# test that claims to catch that has to fail, for the right reason: data of the
# device in a file that is not its, or a translation that leads there. With no
# step left out, the same test has to pass.
#
#   controls.sh [TEXT]
#
# With TEXT, only the controls run whose names contain it.
#
# While a step is left out, a device corrupts files: run this only on a file system
# that nobody needs. Needs CONFIG_DAX_RETARGET_TEST and CONFIG_DEBUG_VM. The kernel
# log then has warnings of dax_retarget_assert_gone(), dax_retarget_inode() and
# retarget_region_release(), which are intended. More controls run with
# DAX_RETARGET_UMOUNT, see run.sh, DAX_RETARGET_SPARE, see filesystems.sh, and
# DAX_RETARGET_BLOCK and DAX_RETARGET_BLOCK2, see equivalence.sh, and
# DAX_RETARGET_DIRTY_BITS, where the IOMMU has dirty bits, and DAX_RETARGET_REVOKE,
# where the kernel revokes regions. With DAX_RETARGET_CONSUMER,
# see lib_nic.c, some are of that consumer only.

cd "$(dirname "$0")" || exit 1
. ./lib.sh
only=${1-}
damaged='VICTIM DAMAGED at byte [0-9]* of [0-9]*: data of the device'
reachable='VICTIM REACHABLE by IOVA'

trap mend EXIT

# The test passes in the kernel as it is, and not only because all of it is skipped.
# A test of several controls passes once for all.
declare -A passed
passes()	# COMMAND...
{
	local output status=0

	[ -z "${passed[$*]-}" ] || return 0
	output=$("$@" 2>&1) || status=$?
	if [ $status != 0 ] || ! grep '^ok' <<< "$output" | grep -qv '# SKIP'; then
		echo "# $* does not pass with no step left out:"
		ktap_comment <<< "$output"
		return 1
	fi
	passed[$*]=1
}

# With step BREAK left out, the test fails and says REASON. What the step would
# have done is not waited for so long.
notices()	# BREAK REASON COMMAND...
{
	local break=$1 reason=$2 output status=0
	shift 2

	output=$(DAX_RETARGET_PATIENCE=10000 with_broken "$break" "$@" 2>&1) || status=$?
	if [ $status = 0 ] || ! grep -q "$reason" <<< "$output"; then
		echo "# $* did not notice, or noticed something else:"
		ktap_comment <<< "$output"
		return 1
	fi
	grep -om1 "$reason.*" <<< "$output" | ktap_comment
}

control()	# NAME BREAK REASON PROGRAM ARGUMENT...
{
	local name=$1 break=$2 reason=$3
	shift 3

	[[ $name = *"$only"* ]] || return
	if passes "./$1" "${@:2}" && notices "$break" "$reason" "./$1" "${@:2}"; then
		ktap_test_pass "$name"
	else
		ktap_test_fail "$name"
	fi
}

# The same while the dirty bits of an emulated IOMMU are relied on
tracked_control()	# NAME BREAK REASON PROGRAM ARGUMENT...
{
	[ -z "${DAX_RETARGET_DIRTY_BITS-}" ] ||
		DAX_RETARGET_TRACKS=1 with_broken distrust control "$@"
}

warned()	# FUNCTION
{
	dmesg | grep -q "WARNING.*$1"
}

# Without the hook of truncation, clear_inode() takes the pages back.
delete_without_truncation()
{
	with_broken truncate_dying ./reuse -v unlink > /dev/null 2>&1
}

ktap_print_header
if ! can_break; then
	ktap_skip_all "no test switches (root, CONFIG_DAX_RETARGET_TEST)"
	exit "$KSFT_SKIP"
fi
if ./reuse -v punch 2>&1 | grep -q '# SKIP'; then
	ktap_skip_all "no pins here"
	exit "$KSFT_SKIP"
fi

control "hook skipped: punch"		hook "$damaged" reuse -v punch
if [ -z "$only" ]; then
	ktap_test_result "hook skipped: the kernel's own assertion (CONFIG_DEBUG_VM)" \
		warned dax_retarget_assert_gone
	ktap_test_result "hook skipped: truncation of a dying inode; clear_inode() takes its pages" \
		delete_without_truncation
	ktap_test_result "hook skipped: truncation of a dying inode; the kernel says so" \
		warned dax_retarget_inode
fi
control "hook skipped: truncate"	hook "$damaged" reuse -v truncate
control "hook skipped: unlink"		hook "$damaged" reuse -v unlink
control "flush left out: punch"		flush "$damaged" reuse -v punch
control "flush left out: unlink"	flush "$damaged" reuse -v unlink
control "flush left out: all pages but one" flush_whole "$damaged" reuse -v punch
control "mark ignored"			marks "$damaged" window -t registered_but_not_mapped
control "end leaves the index early"	detach "$reachable" window -t ending
control "inodes shrink: drop_caches"	keep_inode 'PINNED INODE EVICTED' shrink -v drop_inodes
control "blocks shared"			refuse_sharing 'CLONE DAMAGED' reflink -t refused_while_pinned
control "shared file is pinned"		refuse_shared 'BLOCKS MOVED' reflink -t neighbour_of_shared_block_is_not_pinned
control "entry outlives sharing"		drop_entries 'CLONE DAMAGED' reflink -t entry_does_not_outlive_sharing
control "blocks shared: race"		refuse_sharing 'a pinned file shares' reflink -t races_with_registration
control "no write-back: fsync"		write_back 'NOT WRITTEN BACK' durability -v fsync
control "no write-back: deregistration"	write_back 'NOT WRITTEN BACK' durability -t by_deregistration
tracked_control "first level: dirty bit lost"	dirty 'NOT WRITTEN BACK' durability -t only_what_was_written
tracked_control "first level: no flush once clean"	dirty_flush 'NOT WRITTEN BACK' durability -t only_what_was_written
control "no write-back: collapse"	write_back 'NOT WRITTEN BACK' durability -v collapse
control "pins ignored: fsync, no entry"	sync_clean 'NOT WRITTEN BACK' durability -v none_fsync
control "file system not synced"	sync_super 'NOT WRITTEN BACK' durability -v syncfs_after_unmap
control "medium not flushed"		medium 'MEDIUM NOT FLUSHED' durability -v syncfs
control "medium not flushed: region ended"	medium 'MEDIUM NOT FLUSHED' durability \
	-t flushed_after_deregistration
control "write pins allow remount"	refuse_remount 'READ-ONLY FILE CHANGED' readonly -t refused_with_write_pin

# On a kernel that was booted with dax_retarget=revoke
[ -z "${DAX_RETARGET_REVOKE-}" ] ||
	control "regions that lost pages go on" tell_loss 'PEER GOES ON' revoked -t peer_gets_an_error

# These are of devices that VFIO or iommufd gives to the test.
case ${DAX_RETARGET_CONSUMER-rdma} in
type1)
	[ -z "${NICS-}" ] ||
		control "VFIO: a program starts its device again" stay_stopped 'DEVICE GOES ON: its program' \
			fail_closed -r fail_closed.flush_punch.the_device_is_stopped
	control "VFIO: mapped before hooks know it" live "$damaged" vfio -t in_use_while_it_is_mapped
	if [[ "VFIO: scratch is unpinned" = *"$only"* ]]; then
		with_broken owns ./vfio -t counts_as_locked_memory > /dev/null 2>&1
		ktap_test_result "VFIO: scratch is unpinned; the kernel says so" warned vfio_unmap_unpin
	fi ;;
iommufd)
	control "iommufd: mapped before hooks know it" live "$damaged" vfio -t in_use_while_it_is_mapped
	control "iommufd: old frames in a later page table" marks 'OLD BLOCK SEEN' \
		vfio -t page_tables_come_and_go ;;
esac

if [ -n "${DAX_RETARGET_UMOUNT-}" ]; then
	control "hook skipped: swap of extents" hook 'OLD BLOCK WRITTEN' exchange -r exchange.plain.swap_extents
	control "hook skipped: umount"		hook 'OLD BLOCK WRITTEN' umount -t under_remote_writes
	control "hook skipped: lazy umount"	hook 'OLD BLOCK WRITTEN' umount -t lazily
	control "hook skipped: recovery"	hook "$damaged" umount -r unlinked.lazily.victim_stays_intact
	control "hook skipped: shutdown"	hook "$damaged" umount -r unlinked.shutdown_log_flush.victim_stays_intact
	control "flush left out: umount"	flush "$damaged" umount -r unlinked.lazily.victim_stays_intact
fi

DAX_RETARGET_POISON=1 control "memory failure not reported" report_failure 'NOT ANNOUNCED' poison -t of_unmapped_file
[ -z "${DAX_RETARGET_MEMORY_ERROR-}" ] ||
	control "failed pages are written back" skip_failed 'FAILED PAGE WRITTEN BACK' \
		machine_check -v fsync
DAX_RETARGET_REMOVE=1 control "memory removed without a hook" remove 'REMOVED MEMORY REACHABLE' \
	removal -v unbind_caches_persist

# These overwrite a spare device.
if [ -n "${DAX_RETARGET_SPARE-}" ]; then
	control "inodes shrink: DAX attribute"	keep_inode 'change_takes_no_page: Test failed' filesystems.sh attribute
	control "blocks shared: exchange"	refuse_sharing 'ETXTBSY' filesystems.sh exchange
	control "online repair takes no page"	repair 'REPAIR TOOK 0 of' filesystems.sh repair
	control "boot loader: not unmapped"	unmap_boot_loader 'OLD BLOCK SEEN' filesystems.sh boot_loader
	control "DAX donor of extents"		refuse_donor 'DONATED BLOCKS WRITTEN' filesystems.sh attribute
fi

# These make the file systems anew.
if [ -n "${DAX_RETARGET_BLOCK2-}" ]; then
	control "equivalence: hook skipped"	hook 'DMA REACHED BLOCKS' \
		equivalence.sh --fs xfs --replay whole,write,punch:20480:8192
	control "equivalence: flush left out"	flush 'DMA REACHED BLOCKS' \
		equivalence.sh --fs xfs --replay whole,write,punch:20480:8192
	control "equivalence: blocks shared"	refuse_sharing 'not refused' \
		equivalence.sh --fs xfs --replay whole,write,clone_out
	control "equivalence: inexact punch"	exact 'NEEDLESS LOSS' \
		equivalence.sh --fs xfs --replay whole,write,punch:17384:11988
	control "equivalence: inexact collapse"	exact 'NEEDLESS LOSS' \
		equivalence.sh --fs xfs --replay whole,write,collapse:20480:8192
	control "equivalence: partial block at the end" exchange_tail 'DMA REACHED BLOCKS' \
		equivalence.sh --fs xfs --replay sparse,write,exchange_range:0:35768
	control "equivalence: ext4, hook skipped" hook 'DMA REACHED BLOCKS' \
		equivalence.sh --fs ext4 --replay whole,write,truncate:20480
	control "equivalence: ext2, hook skipped" hook 'NOT SAFE' \
		equivalence.sh --fs ext2 --replay whole,write,truncate:20480
	control "equivalence: random operations" hook 'the shortest sequence that fails' \
		equivalence.sh --fs ext4 --random 100 --seed 1
fi

# The last one: a region that is mapped with padding cannot be taken back, and its
# device is stopped.
control "batches cross the segment boundary" segment 'FOREIGN BLOCK REACHABLE' huge -v run_across

[ "$KTAP_TESTNO" -gt 1 ] || ktap_exit_fail_msg "no control has $only in its name"
ktap_end
