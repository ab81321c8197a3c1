#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Take the persistent memory away while a NIC writes to it: the driver of the
# namespace on DIR is unbound under a live memory region. TAP on stdout.
#
# Only for a machine that is thrown away afterwards: a kernel without this project,
# too, does not survive the unmount of a file system whose memory is gone. So the
# file is kept open until the machine ends.
set -u

. "$(dirname "$0")/traffic.sh"
driver=/sys/bus/nd/drivers/nd_pmem
number=0 failed=0

check()	# NAME COMMAND...
{
	local name=$1
	shift
	number=$((number + 1))
	if "$@" > /dev/null 2>&1; then
		echo "ok $number $name"
	else
		echo "not ok $number $name"
		failed=$((failed + 1))
	fi
}

at_rest()
{
	[ "$(stat_of pins) $(stat_of pages_pinned) $(stat_of scratch_pages)" = "0 0 0" ]
}

echo "TAP version 13"
head -c 32M /dev/zero > "$DIR/file"
sleep infinity < "$DIR/file" > /dev/null 2>&1 &
disown
traffic "$DIR/file" 15
check "the file is registered" within 30 is_pinned
sleep 2

umount -l "$DIR"
# A namespace with a memmap is bound as a pfn device.
for device in "$driver"/pfn*; do
	echo "${device##*/}" > $driver/unbind
done
check "the namespace is gone" test ! -e /dev/pmem0
check "all pages were taken back" test "$(stat_of pages_retargeted)" = "$(stat_of pages_pinned)"
check "the traffic goes on" traffic_goes_on
check "and ends without an error" traffic_ended_well
check "nothing is left" at_rest
echo "1..$number"
exit $((failed > 0))
