#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Take persistent memory away, or have it fail, under live memory regions: the
# selftests that need a namespace of their own on each file system, then remote
# writes by perftest while the driver is unbound. TAP on stdout.
#
#   remove-namespace.sh SELFTESTS
#
# SELFTESTS is the folder with the built selftests. What is on /dev/pmem0 is lost:
# only for a machine that is thrown away afterwards. Nothing may be mounted on DIR.
set -u

. "$(dirname "$0")/traffic.sh"
driver=/sys/bus/nd/drivers/nd_pmem
number=0 failed=0

result()	# VERDICT NAME
{
	number=$((number + 1))
	echo "$1 $number $2"
	[ "$1" = ok ] || failed=$((failed + 1))
}

check()	# NAME COMMAND...
{
	local name=$1
	shift
	if "$@" > /dev/null 2>&1; then
		result ok "$name"
	else
		result "not ok" "$name"
	fi
}

# A namespace that is made anew has forgotten which pages failed.
make_file_system()	# MKFS-COMMAND [MOUNT-OPTION]
{
	ndctl create-namespace -f -m fsdax -e namespace0.0 &&
		$1 /dev/pmem0 && mount -o "${2-dax=always}" /dev/pmem0 "$DIR"
}

# Results of a program are numbered anew, all else it says is comment.
selftest()	# NAME PROGRAM
{
	local line status failed_before=$failed
	"$selftests/$2" > /tmp/selftest 2>&1
	status=$?
	while IFS= read -r line; do
		if [[ $line =~ ^(ok|not\ ok)\ [0-9]+\ (.*) ]]; then
			result "${BASH_REMATCH[1]}" "$1: ${BASH_REMATCH[2]}"
		elif [[ ! $line =~ ^(TAP\ version|1\.\.) ]]; then
			echo "# ${line#\# }"
		fi
	done < /tmp/selftest
	[ $status = 0 ] || [ $failed != $failed_before ] ||
		result "not ok" "$1: $2 ended with status $status"
}

on_file_system()	# NAME MKFS-COMMAND [MOUNT-OPTION]
{
	check "$1 is mounted" make_file_system "${@:2}"
	DAX_RETARGET_POISON=1 selftest "$1" poison
	DAX_RETARGET_REMOVE=1 selftest "$1" removal
	check "$1 is unmounted" umount "$DIR"
}

at_rest()
{
	[ "$(stat_of pins) $(stat_of pages_pinned) $(stat_of scratch_pages)" = "0 0 0" ]
}

# The application is somebody else's program, and ends after the memory did.
under_perftest()
{
	local before device
	before=$(stat_of pages_retargeted)
	head -c 32M /dev/zero > "$DIR/file"
	traffic "$DIR/file" 30
	check "perftest: the file is registered" within 30 is_pinned
	sleep 2

	umount -l "$DIR"
	# A namespace with a memmap is bound as a pfn device.
	device=$(basename "$(readlink -f /sys/class/block/pmem0/device)")
	echo "$device" > $driver/unbind
	check "perftest: the namespace is gone" test ! -e /dev/pmem0
	check "perftest: all pages were taken back" \
		test $(($(stat_of pages_retargeted) - before)) = "$(stat_of pages_pinned)"
	check "perftest: the traffic goes on" traffic_goes_on
	check "perftest: and ends without an error" traffic_ended_well
	check "perftest: nothing is left" at_rest
	echo "$device" > $driver/bind
	check "perftest: the namespace is back" within 10 mount -o dax=always /dev/pmem0 "$DIR"
	check "perftest: and the file" test "$(stat -c %s "$DIR/file")" = 33554432
	umount "$DIR"
}

if [ $# != 1 ] || [ ! -x "$1/removal" ]; then
	echo "Usage: $0 SELFTESTS, see the head of this file" >&2
	exit 1
fi
selftests=$(realpath "$1")

echo "TAP version 13"
on_file_system "XFS" "mkfs.xfs -q -f -m rmapbt=0"
on_file_system "XFS with rmapbt" "mkfs.xfs -q -f -m rmapbt=1"
on_file_system "ext4" "mkfs.ext4 -q -F -b 4096"
on_file_system "ext2" "mkfs.ext2 -q -F -b 4096" dax
check "XFS for perftest is mounted" make_file_system "mkfs.xfs -q -f"
under_perftest
echo "1..$number"
exit $((failed > 0))
