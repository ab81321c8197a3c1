#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What a machine does between two power cuts: check what the last one left of the
# file system, then work until the next one. See fsynced.c for the work. TAP on
# stdout, then a line "working", and among it a line for each promise.
#
#   power-cut.sh SELFTESTS PROMISES BOOT SEED [last]
#
# SELFTESTS is the folder with the built selftests, PROMISES a file with what was
# promised before the cut: if it is not there, there was none. BOOT is the number
# of the boot. With "last", it does not work any more. The file system at DIR,
# which is mounted, is emptied.
set -u

DIR=${DIR:-/mnt}
stats=/sys/kernel/debug/dax_retarget/stats
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

# All that was counted since boot, not only what is there now.
nothing_registered()
{
	[ -r $stats ] && ! grep -v ' 0$' $stats | sed 's/^/# /' | grep .
}

log_replayed()
{
	dmesg | grep -E 'XFS .*: Ending recovery|EXT4-fs .*: (recovery complete|.*orphan)' |
		sed 's/^/# /' | grep .
}

# As results of our own
promises_kept()
{
	local line status=1
	while IFS= read -r line; do
		case $line in
		ok\ *) result 0 "${line#ok * }"; status=0 ;;
		not\ ok\ *) result 1 "${line#not ok * }" ;;
		\#*) echo "$line" ;;
		esac
	done < <(DAX_RETARGET_DIR=$DIR "$selftests/fsynced" check "$promises" 2>&1)
	return $status
}

file_system_clean()
{
	local source type options
	read -r source type options < <(findmnt -nro SOURCE,FSTYPE,OPTIONS "$DIR")
	umount "$DIR" || return
	case $type in
	xfs) xfs_repair -n "$source" ;;
	*) e2fsck -fn "$source" ;;
	esac > /tmp/fsck.log 2>&1 || { sed 's/^/# /' /tmp/fsck.log; return 1; }
	mount -t "$type" -o "$options" "$source" "$DIR"
}

if [ $# -lt 4 ] || [ ! -x "$1/fsynced" ]; then
	echo "Usage: $0 SELFTESTS PROMISES BOOT SEED [last], see the head of this file" >&2
	exit 1
fi
selftests=$1 promises=$2 boot=$3 seed=$4

nothing_registered
result $? "nothing is registered after boot"
if [ -e "$promises" ]; then
	log_replayed
	result $? "the log was replayed"
	promises_kept
	result $? "the promises were checked"
	file_system_clean
	result $? "the file system is clean"
fi
echo "1..$number"
[ $failed = 0 ] || exit 1
[ "${5-}" != last ] || exit 0

"$(dirname "$0")/engine-nics.sh" > /dev/null || exit
rm -rf "$DIR/dax_retarget.test"
if [ -n "${DAX_RETARGET_BREAK-}" ]; then
	echo "$DAX_RETARGET_BREAK" > /sys/kernel/debug/dax_retarget/break
fi
DAX_RETARGET_DIR=$DIR exec "$selftests/fsynced" work "$boot" "$seed"
