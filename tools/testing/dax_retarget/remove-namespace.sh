#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Remove persistent memory under live memory regions, or let it fail: the selftests
# that need a namespace of their own on each file system, then remote writes by
# perftest while the driver is unbound. TAP on stdout.
#
#   remove-namespace.sh SELFTESTS
#
# SELFTESTS is the folder with the built selftests. All data on /dev/pmem0 is lost,
# and pages that fail stay lost until the machine is booted again. Nothing may be
# mounted on DIR.
set -u

. "$(dirname "$0")/traffic.sh"
driver=/sys/bus/nd/drivers/nd_pmem

# A new namespace has no record of the pages that failed.
make_file_system()	# TYPE [MKFS-OPTION...]
{
	ndctl create-namespace -f -m fsdax -e namespace0.0 &&
		"mkfs.$1" -q "${@:2}" /dev/pmem0 &&
		mount -o "$(dax_option "$1")" /dev/pmem0 "$DIR"
}

on_file_system()	# NAME TYPE [MKFS-OPTION...]
{
	check "$1 is mounted" make_file_system "${@:2}"
	DAX_RETARGET_POISON=1 ktap_run "$1" "$selftests/poison"
	DAX_RETARGET_REMOVE=1 ktap_run "$1" "$selftests/removal" "${ways[@]}"
	check "$1 is unmounted" umount "$DIR"
}

# The application knows nothing of the removal, and ends after it.
under_perftest()
{
	local before device
	before=$(stat_of pages_retargeted)
	head -c 32M /dev/zero > "$DIR/file"
	traffic "$DIR/file" 30
	check "perftest: the file is registered" within 30 is_pinned
	sleep 2

	umount -l "$DIR"
	# The driver is bound to a pfn device if the namespace has its struct pages.
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
. "$selftests/lib.sh"

ktap_print_header
ways=()
on_file_system "XFS with rmapbt" xfs -f -m rmapbt=1
# The other ways to remove memory differ in what is above the file system, or below.
ways=(-v unbind -v disable_namespace_unmounted)
on_file_system "XFS" xfs -f -m rmapbt=0
on_file_system "ext4" ext4 -F -b 4096
on_file_system "ext2" ext2 -F -b 4096
check "XFS for perftest is mounted" make_file_system xfs -f
under_perftest
ktap_end
