#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Page-cache equivalence on each file system: make it twice, with DAX and without,
# run the program "equivalence" on the two and a tmpfs, unmount, and check the file
# systems. One TAP stream.
#
# All data on the two block devices is lost. If the first was mounted, a new file
# system of the same type is mounted there at the end.
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
. ./lib.sh
file_systems=() arguments=() folder='' mounted=()
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
	ktap_skip_all "$*"
	exit "$KSFT_SKIP"
}

# Print the block device of a namespace, which becomes one of mode fsdax.
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

make_file_system()	# TYPE DEVICE
{
	case $1 in
	xfs) mkfs.xfs -q -f -d size="$size" "$2" ;;
	ext4) mkfs.ext4 -q -F -b 4096 "$2" $((size / 1024))k ;;
	# Without fallocate(), a test takes long to fill more space.
	ext2) mkfs.ext2 -q -F -b 4096 "$2" 96M ;;
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

# Mount what was mounted before, however the script ends.
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
	local with without=dax=never
	with=$(dax_option "$1")
	[ "$1" != ext2 ] || without=rw
	make_file_system "$1" "$block" && make_file_system "$1" "$block2" ||
		return
	if [ "$1" = xfs ]; then
		xfs_exchange_range on "$block" && xfs_exchange_range on "$block2" || return
	fi
	mount_one dax -t "$1" -o $with "$block" &&
		mount_one reference -t "$1" -o $without "$block2" &&
		mount_one tmpfs -t tmpfs -o size=256m,huge=never tmpfs
}

is_clean()	# TYPE DEVICE
{
	[ "$1" != xfs ] || xfs_exchange_range off "$2"
	check_file_system "$1" "$2"
}

test_file_system()	# TYPE
{
	if ! mount_file_systems "$1" > "$folder.log" 2>&1; then
		ktap_comment < "$folder.log"
		unmount_all
		ktap_skip "$1" "cannot be made and mounted with DAX"
		return
	fi
	DAX_RETARGET_DIR=$folder/dax DAX_RETARGET_REFERENCE=$folder/reference \
	DAX_RETARGET_TMPFS=$folder/tmpfs \
		ktap_run "$1" ./equivalence "${arguments[@]}"
	unmount_all
	check "$1: $block is clean" is_clean "$1" "$block"
	check "$1: $block2 is clean" is_clean "$1" "$block2"
}

ktap_print_header
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
ktap_end
