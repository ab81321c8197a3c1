#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Page-cache equivalence on each file system: make it twice, with DAX and without,
# run the program "equivalence" on the two and a tmpfs, unmount, and have the file
# systems checked. One TAP stream.
#
# What was on the two block devices is lost. If the first was mounted, it is
# mounted again at the end: a new file system of the same type.
set -euo pipefail

usage()
{
	cat <<USAGE
Usage: equivalence.sh [--fs xfs|ext4|ext2]... [--matrix] [--random STEPS]
                      [--seed SEED] [--replay SEQUENCE] [--block DEVICE]
                      [--block2 DEVICE]

  --fs        file system to test; may be repeated (all three)
  --block     for the file system with DAX: a block device, or an NVDIMM
              namespace such as namespace1.0, which is made one of mode fsdax
  --block2    for the reference
  others      see equivalence --help

Needs root. From the environment:
  DAX_RETARGET_BLOCK, DAX_RETARGET_BLOCK2	as --block and --block2
  DAX_RETARGET_DEV				RDMA device (the first)
  DAX_RETARGET_STEPS, DAX_RETARGET_SEED		as --random and --seed
USAGE
}

cd "$(dirname "$0")"
file_systems=() arguments=() number=0 failed=0 folder='' mounted=()
block=${DAX_RETARGET_BLOCK:-} block2=${DAX_RETARGET_BLOCK2:-}

while [ $# -gt 0 ]; do
	case $1 in
	-h|--help) usage; exit 0 ;;
	--matrix) arguments+=("$1"); shift; continue ;;
	--fs|--block|--block2|--random|--seed|--replay)
		[ $# -ge 2 ] || { usage >&2; exit 1; } ;;
	*) usage >&2; exit 1 ;;
	esac
	case $1 in
	--fs)
		case $2 in xfs|ext4|ext2) ;; *) usage >&2; exit 1 ;; esac
		file_systems+=("$2") ;;
	--block) block=$2 ;;
	--block2) block2=$2 ;;
	*) arguments+=("$1" "$2") ;;
	esac
	shift 2
done
[ ${#file_systems[@]} -gt 0 ] || file_systems=(xfs ext4 ext2)

skip_all()
{
	echo "1..0 # SKIP $*"
	exit 4
}

result()	# VERDICT TEXT
{
	number=$((number + 1))
	echo "$1 $number $2"
	[ "$1" = ok ] || failed=$((failed + 1))
}

# Results of the program are numbered anew, all else it says is comment.
report()	# FILE-SYSTEM < OUTPUT
{
	local line
	while IFS= read -r line; do
		if [[ $line =~ ^(ok|not\ ok)\ [0-9]+\ (.*) ]]; then
			result "${BASH_REMATCH[1]}" "$1: ${BASH_REMATCH[2]}"
		elif [[ $line =~ ^1\.\.0\ (#\ SKIP.*) ]]; then
			result ok "$1 ${BASH_REMATCH[1]}"
		elif [[ ! $line =~ ^(TAP\ version|1\.\.|#\ Totals) ]]; then
			echo "# ${line#\# }"
		fi
	done
}

# The block device of a namespace, which is made fsdax if it is not.
resolve()	# DEVICE
{
	local mode device
	if [ -b "$1" ]; then
		echo "$1"
		return
	fi
	case $1 in namespace*) ;; *) return 1 ;; esac
	mode=$(ndctl list -i -n "$1" | sed -n 's/.*"mode":"\([a-z]*\)".*/\1/p')
	[ "$mode" = fsdax ] ||
		ndctl create-namespace -f -m fsdax -e "$1" > /dev/null 2>&1
	device=$(ndctl list -n "$1" | sed -n 's/.*"blockdev":"\([^"]*\)".*/\1/p')
	[ -n "$device" ] && echo "/dev/$device"
}

# Exchange-range is off by default, and older programs do not know it; but it is
# no more than a bit of the superblock.
exchange_bit()	# on|off DEVICE
{
	local features
	features=$(xfs_db -x -c 'sb 0' -c 'print features_incompat' "$2" 2> /dev/null |
		sed -n 's/^features_incompat = //p')
	case $1 in
	on) features=$((features | 0x40)) ;;
	off) features=$((features & ~0x40)) ;;
	esac
	features=$(printf 0x%x "$features")
	xfs_db -x -c 'sb 0' -c "write -d features_incompat $features" "$2"
}

make_file_system()	# TYPE DEVICE
{
	case $1 in
	xfs) mkfs.xfs -q -f -d size="$size" "$2" ;;
	ext4) mkfs.ext4 -q -F -b 4096 "$2" $((size / 1024))k ;;
	# Little space: there is no fallocate() to fill it
	ext2) mkfs.ext2 -q -F -b 4096 "$2" 96M ;;
	esac
}

check_file_system()	# TYPE DEVICE
{
	case $1 in
	xfs)
		exchange_bit off "$2"
		xfs_repair -n "$2" ;;
	*) e2fsck -fn "$2" ;;
	esac
}

unmount_all()
{
	local dir
	for dir in "${mounted[@]}"; do
		umount "$folder/$dir"
	done
	mounted=()
}

# As it was, however this ends.
finish()
{
	unmount_all || true
	rm -f "$folder.log"
	rmdir "$folder"/* "$folder" || true
	[ -z "${old_dir:-}" ] || {
		size=$(blockdev --getsize64 "$block")
		make_file_system "$old_type" "$block"
		mount -t "$old_type" -o "$old_options" "$block" "$old_dir"
	} > /dev/null
}

mount_one()	# NAME ARGUMENT...
{
	mount "${@:2}" "$folder/$1"
	mounted+=("$1")
}

mount_file_systems()	# TYPE
{
	local with=dax=always without=dax=never
	[ "$1" != ext2 ] || with=dax without=rw
	make_file_system "$1" "$block" && make_file_system "$1" "$block2" ||
		return
	if [ "$1" = xfs ]; then
		exchange_bit on "$block" && exchange_bit on "$block2" || return
	fi
	mount_one dax -t "$1" -o $with "$block" &&
		mount_one reference -t "$1" -o $without "$block2" &&
		mount_one tmpfs -t tmpfs -o size=256m,huge=never tmpfs
}

test_file_system()	# TYPE
{
	local before=$number failures=$failed status=0 device
	if ! mount_file_systems "$1" > "$folder.log" 2>&1; then
		sed 's/^/# /' "$folder.log"
		unmount_all
		result ok "$1 # SKIP cannot be made and mounted with DAX"
		return
	fi
	DAX_RETARGET_DIR=$folder/dax DAX_RETARGET_REFERENCE=$folder/reference \
	DAX_RETARGET_TMPFS=$folder/tmpfs \
		./equivalence "${arguments[@]}" > "$folder.log" 2>&1 || status=$?
	report "$1" < "$folder.log"
	if [ $number = "$before" ] ||
	   { [ $status != 0 ] && [ $status != 4 ] && [ $failed = "$failures" ]; }; then
		result "not ok" "$1: ended with status $status"
	fi
	unmount_all
	for device in "$block" "$block2"; do
		status=0
		check_file_system "$1" "$device" > "$folder.log" 2>&1 || status=$?
		if [ $status = 0 ]; then
			result ok "$1: $device is clean"
		else
			sed 's/^/# /' "$folder.log"
			result "not ok" "$1: $device is damaged (status $status)"
		fi
	done
}

echo "TAP version 13"
if [ -z "$block" ] || [ -z "$block2" ]; then
	skip_all "needs two block devices: set DAX_RETARGET_BLOCK and DAX_RETARGET_BLOCK2"
fi
block=$(resolve "$block") || skip_all "no such block device or namespace: $block"
block2=$(resolve "$block2") || skip_all "no such block device or namespace: $block2"
[ "$block" != "$block2" ] || skip_all "the two block devices are one"

read -r old_dir old_type old_options <<< \
	"$(findmnt -n -o TARGET,FSTYPE,OPTIONS -S "$block" | head -n 1)"
folder=$(mktemp -d)
trap finish EXIT
mkdir "$folder"/{dax,reference,tmpfs}
[ -z "$old_dir" ] || umount "$old_dir"
size=$(blockdev --getsize64 "$block")
size2=$(blockdev --getsize64 "$block2")
[ "$size" -le "$size2" ] || size=$size2

for type in "${file_systems[@]}"; do
	test_file_system "$type"
done
echo "1..$number"
echo "# Totals: pass:$((number - failed)) fail:$failed"
[ $failed = 0 ]
