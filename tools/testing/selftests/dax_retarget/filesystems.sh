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
# All that is on it is lost, and on DAX_RETARGET_SPARE2, which XFS takes as its
# realtime device, if it is there. Needs root and an RDMA device.
set -uo pipefail

cd "$(dirname "$0")" || exit 1
device=${DAX_RETARGET_SPARE:-}
mapper=dax_retarget_test
tracing=/sys/kernel/tracing
events=$tracing/instances/$mapper
mnt=$(mktemp -d) || exit 1
output=$(mktemp) || exit 1
number=0 failed=0

# A mount may still be busy with the end of what was in it.
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

result()	# VERDICT TEXT
{
	number=$((number + 1))
	echo "$1 $number $2"
	case $1 in not*) failed=$((failed + 1)) ;; esac
}

skip()		# NAME REASON
{
	result ok "$1 # SKIP $2"
}

# make NAME TYPE OPTIONS [MKFS-ARGUMENT...]: make a file system and mount it
make()
{
	local name=$1 type=$2 options=$3
	shift 3
	if ! command -v "mkfs.$type" > /dev/null; then
		skip "$name" "no mkfs.$type"
	elif ! grep -qw "$type" /proc/filesystems; then
		skip "$name" "no $type in the kernel"
	elif ! "mkfs.$type" "$@" > "$output" 2>&1 ||
	     ! mount -t "$type" -o "$options" "$device" "$mnt" > "$output" 2>&1; then
		sed 's/^/# /' "$output"
		result "not ok" "$name: cannot be made"
	else
		return 0
	fi
	return 1
}

xfs=(-q -f)
ext4=(-q -F -b 4096)

# run NAME PROGRAM [ARGUMENT...]: on the file system, as results of our own
run()
{
	local name="$1: $2" line before=$failed reported=$number status=0
	shift
	DAX_RETARGET_DIR=$mnt DAX_RETARGET_UMOUNT=1 "./$1" "${@:2}" > "$output" 2>&1 ||
		status=$?
	while IFS= read -r line; do
		if [[ $line =~ ^(ok|not\ ok)\ [0-9]+\ (.*) ]]; then
			result "${BASH_REMATCH[1]}" "$name: ${BASH_REMATCH[2]}"
		elif [[ $line =~ ^1\.\.0\ (#\ SKIP.*) ]]; then
			result ok "$name ${BASH_REMATCH[1]}"
		elif [[ ! $line =~ ^(TAP\ version|1\.\.) ]]; then
			echo "# ${line#\# }"
		fi
	done < "$output"
	if [ $number = "$reported" ] ||
	   { [ $status != 0 ] && [ $status != 4 ] && [ $failed = "$before" ]; }; then
		result "not ok" "$name: ended with status $status"
	fi
}

# refused NAME REASON [OPTION] FILE: the error is the one of a kernel without
# pins, and the trace says why
refused()
{
	local name=$1 reason=$2 error event=events/dax_retarget/dax_pin_refused
	shift 2

	mkdir -p "$events" && echo 1 > "$events/$event/enable" && echo > "$events/trace"
	error=$(./register "$@" 2>&1)
	echo 0 > "$events/$event/enable"
	if [ "$error" != EOPNOTSUPP ]; then
		echo "# expected: EOPNOTSUPP, seen: $error"
		result "not ok" "$name: refused"
		return
	fi
	result ok "$name: refused"
	if ! grep -q "reason=\"$reason\"" "$events/trace"; then
		echo "# expected: $reason"
		grep dax_pin_refused "$events/trace" | sed 's/^/# seen: /'
		result "not ok" "$name: the trace says why"
	else
		result ok "$name: the trace says why"
	fi
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

# Reverse mapping makes XFS swap extents one by one. Exchange of ranges is a
# feature that old programs do not know, so its bit is set by hand.
section_exchange()
{
	local name="XFS that exchanges ranges" features

	make "$name" xfs dax=always "${xfs[@]}" -m rmapbt=1 "$device" || return
	# With a reflinked file, 6.12 shuts an XFS like this down, pins or not.
	run "XFS with reverse mapping" reflink -r exchange.plain.swap_extents
	put_away
	features=$(xfs_db -r -c 'sb 0' -c 'p features_incompat' "$device" |
		   sed 's/.*= //')
	if ! xfs_db -x -c 'sb 0' -c "write -d features_incompat $((features | 0x40))" \
		"$device" > "$output" 2>&1 ||
	   ! mount -t xfs -o dax=always "$device" "$mnt"; then
		skip "$name" "xfs_db or the kernel cannot"
		return
	fi
	run "$name" reflink -r exchange.plain.exchange_range \
		-r exchange.shared.exchange_range
	put_away
}

# Mounted like this, XFS writes no block in place, so no file may be pinned.
section_always_cow()
{
	local name="XFS that always copies on write"
	local switch=/sys/kernel/debug/dax_retarget/break before status=0

	if [ ! -w $switch ]; then
		skip "$name" "no test switches (CONFIG_DAX_RETARGET_TEST)"
		return
	fi
	read -r before < $switch
	echo 0x10000 > $switch
	make "$name" xfs dax=always "${xfs[@]}" "$device" || status=$?
	echo "$before" > $switch
	[ $status = 0 ] || return
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

# With the realtime device on another namespace. It has no file with shared
# blocks, and gives blocks away in extents of one size.
section_realtime()
{
	local size name realtime=${DAX_RETARGET_SPARE2:-}

	if [ ! -b "$realtime" ]; then
		skip "XFS realtime" "set DAX_RETARGET_SPARE2 to another block device"
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
			result "not ok" "$name: files are not realtime"
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

# Small, since nothing can be allocated without being written
section_ext2()
{
	make "ext2" ext2 dax -q -F -b 4096 "$device" 48M || return
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
	if cmp -s "$output.d/file" "$mnt/file"; then
		result ok "EROFS: the file is what it should be"
	else
		result "not ok" "EROFS: the file is what it should be"
	fi
	refused "EROFS" "the file system did not opt in" --read-only "$mnt/file"
	put_away
}

# What is below may be moved by loading another table.
section_mapper()
{
	local type pmem=$device device options

	if ! command -v dmsetup > /dev/null; then
		skip "device mapper" "no dmsetup"
		return
	fi
	for type in xfs ext4; do
		options=("${xfs[@]}")
		[ $type = xfs ] || options=("${ext4[@]}")
		if ! dmsetup create $mapper --noudevsync --noudevrules --table \
			"0 $(blockdev --getsz "$pmem") linear $pmem 0" > "$output" 2>&1; then
			skip "device mapper" "$(tail -n 1 "$output")"
			return
		fi
		# There may be nobody who makes links to it.
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

echo "TAP version 13"
if [ ! -b "$device" ]; then
	echo "1..0 # SKIP set DAX_RETARGET_SPARE to a block device that may be overwritten"
	exit 4
fi
sections=("$@")
[ $# -gt 0 ] || sections=(attribute quota exchange always_cow repair boot_loader realtime ext2 erofs mapper)
for section in "${sections[@]}"; do
	"section_$section"
done
echo "1..$number"
echo "# Totals: pass:$((number - failed)) fail:$failed"
[ $failed = 0 ]
