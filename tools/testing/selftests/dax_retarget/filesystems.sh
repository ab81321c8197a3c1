#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of DAX retarget on file systems that have to be made for them: with the
# DAX attribute, with quota, with features that mkfs does not offer, of other
# types, and on top of device mapper.
#
#   filesystems.sh [SECTION...]
#
# DAX_RETARGET_SPARE names the block device to use, of a namespace in fsdax mode.
# DAX_RETARGET_SPARE2, if set, becomes the realtime device of an XFS. All data on
# both is lost. Needs root and an RDMA device.
set -uo pipefail

cd "$(dirname "$0")" || exit 1
. ./lib.sh
device=${DAX_RETARGET_SPARE:-}
mapper=dax_retarget_test
tracing=/sys/kernel/tracing
events=$tracing/instances/$mapper
mnt=$(mktemp -d) || exit 1
output=$(mktemp) || exit 1

# A file of the mount may still be about to be closed, so umount tries again.
put_away()
{
	for _ in 1 2 3 4 5; do
		mountpoint -q "$mnt" || break
		umount "$mnt" 2> /dev/null || sleep 1
	done
	if dmsetup info $mapper > /dev/null 2>&1; then
		dmsetup remove --noudevsync --retry $mapper > /dev/null 2>&1
	fi
}

finish()
{
	put_away
	rmdir "$mnt" "$events" 2> /dev/null
	rm -rf "$output" "$output.d"
}
trap finish EXIT

# Make a file system and mount it.
make()		# NAME TYPE OPTIONS [MKFS-ARGUMENT...]
{
	local name=$1 type=$2 options=$3
	shift 3
	if ! command -v "mkfs.$type" > /dev/null; then
		ktap_skip "$name" "no mkfs.$type"
	elif ! grep -qw "$type" /proc/filesystems; then
		ktap_skip "$name" "no $type in the kernel"
	elif ! "mkfs.$type" "$@" > "$output" 2>&1 ||
	     ! mount -t "$type" -o "$options" "$device" "$mnt" > "$output" 2>&1; then
		ktap_comment < "$output"
		ktap_test_fail "$name: cannot be made"
	else
		return 0
	fi
	return 1
}

xfs=(-q -f)
ext4=(-q -F -b 4096)

# Run a program on the file system.
run()		# NAME PROGRAM [ARGUMENT...]
{
	local name="$1: $2"
	shift

	DAX_RETARGET_DIR=$mnt DAX_RETARGET_UMOUNT=1 ktap_run "$name" "./$1" "${@:2}"
}

# A registration fails with the error of a kernel without pins, and the trace says
# why.
refused()	# NAME REASON [OPTION] FILE
{
	local name=$1 reason=$2 event=events/dax_retarget/dax_pin_refused
	shift 2

	mkdir -p "$events" && echo 1 > "$events/$event/enable" && echo > "$events/trace"
	same "$name: refused" EOPNOTSUPP "$(./register "$@" 2>&1)"
	echo 0 > "$events/$event/enable"
	check "$name: the trace says why" trace_says "$reason"
}

trace_says()	# REASON
{
	grep -q "reason=\"$1\"" "$events/trace" && return
	echo "expected: $1"
	grep dax_pin_refused "$events/trace"
	return 1
}

section_attribute()
{
	if make "XFS, dax=inode" xfs dax=inode "${xfs[@]}" "$device"; then
		run "XFS, dax=inode" attribute
		put_away
	fi
	if make "ext4, dax=inode" ext4 dax=inode "${ext4[@]}" "$device"; then
		run "ext4, dax=inode" attribute
		put_away
	fi
}

section_quota()
{
	if make "XFS with quota" xfs dax=always,uquota "${xfs[@]}" "$device"; then
		run "XFS with quota" quota
		run "XFS with quota" reuse
		put_away
	fi
	if make "ext4 with quota" ext4 dax=always,usrquota "${ext4[@]}" \
		-O quota -E quotatype=usrquota "$device"; then
		run "ext4 with quota" quota
		run "ext4 with quota" reuse
		put_away
	fi
}

# XFS with reverse mapping swaps extents one by one. Exchange of ranges is a feature
# that old programs do not know, so the test sets its bit by hand.
section_exchange()
{
	local name="XFS that exchanges ranges"

	make "$name" xfs dax=always "${xfs[@]}" -m rmapbt=1 "$device" || return
	# XFS of 6.12 shuts such a file system down if the file is reflinked, with or
	# without pins.
	run "XFS with reverse mapping" exchange -r exchange.plain.swap_extents
	put_away
	if ! xfs_exchange_range on "$device" > "$output" 2>&1 ||
	   ! mount -t xfs -o dax=always "$device" "$mnt"; then
		ktap_skip "$name" "xfs_db or the kernel cannot"
		return
	fi
	run "$name" exchange -r exchange.plain.exchange_range \
		-r exchange.shared.exchange_range
	put_away
}

# Mounted like this, XFS writes no block in place, so no file may be pinned. XFS
# decides at the mount.
section_always_cow()
{
	local name="XFS that always copies on write"

	if ! can_break; then
		ktap_skip "$name" "no test switches (CONFIG_DAX_RETARGET_TEST)"
		return
	fi
	with_broken overwrite make "$name" xfs dax=always "${xfs[@]}" "$device" || return
	head -c 1M /dev/zero > "$mnt/file"
	refused "$name" "the file has, or may have, shared blocks" "$mnt/file"
	put_away
}

section_repair()
{
	if make "XFS, online repair" xfs dax=always "${xfs[@]}" -m rmapbt=1 "$device"; then
		run "XFS, online repair" repair -t nothing_to_repair -t rebuild
		put_away
	fi
}

# The realtime device is on another namespace. Its files share no blocks, and it
# allocates blocks in extents of one size.
section_realtime()
{
	local size name realtime=${DAX_RETARGET_SPARE2:-}

	if [ ! -b "$realtime" ]; then
		ktap_skip "XFS realtime" "set DAX_RETARGET_SPARE2 to another block device"
		return
	fi
	for size in 4k 16k; do
		name="XFS realtime, $size"
		make "$name" xfs "dax=always,rtdev=$realtime" "${xfs[@]}" \
			-m reflink=0,rmapbt=0 -r "rtdev=$realtime,extsize=$size" \
			"$device" || continue
		if xfs_io -c 'chattr +t' "$mnt" && touch "$mnt/file" &&
		   xfs_io -r -c lsattr "$mnt/file" | grep -q '^r'; then
			run "$name" truncate
			run "$name" reuse
		else
			ktap_test_fail "$name: files are not realtime"
		fi
		put_away
	done
}

section_boot_loader()
{
	if make "ext4, boot loader" ext4 dax=always "${ext4[@]}" "$device"; then
		run "ext4, boot loader" repair -t boot_loader_swap
		put_away
	fi
}

# The file system is small, since ext2 allocates blocks only as they are written.
section_ext2()
{
	make "ext2" ext2 "$(dax_option ext2)" -q -F -b 4096 "$device" 48M || return
	run "ext2" truncate
	run "ext2" reuse
	run "ext2" lifetime
	run "ext2" umount
	put_away
}

section_erofs()
{
	mkdir -p "$output.d"
	head -c 1M /dev/urandom > "$output.d/file"
	make "EROFS" erofs dax=always "$device" "$output.d" || return
	ktap_test_result "EROFS: the file is what it should be" \
		cmp -s "$output.d/file" "$mnt/file"
	refused "EROFS" "the file system did not opt in" --read-only "$mnt/file"
	put_away
}

# Device mapper moves the blocks below a file when it loads another table.
section_mapper()
{
	local type pmem=$device device options

	if ! command -v dmsetup > /dev/null; then
		ktap_skip "device mapper" "no dmsetup"
		return
	fi
	for type in xfs ext4; do
		options=("${xfs[@]}")
		[ $type = xfs ] || options=("${ext4[@]}")
		if ! dmsetup create $mapper --noudevsync --noudevrules --table \
			"0 $(blockdev --getsz "$pmem") linear $pmem 0" > "$output" 2>&1; then
			ktap_skip "device mapper" "$(tail -n 1 "$output")"
			return
		fi
		# udev makes links to it, and may not run.
		device=/dev/dm-$(dmsetup info -c --noheadings -o minor $mapper 2> "$output")
		if make "$type on device mapper" $type dax=always "${options[@]}" "$device"; then
			head -c 1M /dev/zero > "$mnt/file"
			refused "$type on device mapper" \
				"the file system is not directly on persistent memory" \
				"$mnt/file"
		fi
		put_away
	done
}

sections=("$@")
[ $# -gt 0 ] || sections=(attribute quota exchange always_cow repair boot_loader realtime ext2 erofs mapper)

ktap_print_header
if [ ! -b "$device" ]; then
	ktap_skip_all "set DAX_RETARGET_SPARE to a block device that may be overwritten"
	exit "$KSFT_SKIP"
fi
for section in "${sections[@]}"; do
	"section_$section"
done
ktap_end
