# SPDX-License-Identifier: GPL-2.0-only
#
# Remote writes into a file by perftest, and what the kernel says meanwhile. To be
# sourced by scripts of this folder. DEVICE is the RDMA device, ADDRESS its IP
# address, DIR a folder on the DAX file system.
# shellcheck shell=bash disable=SC2034

DEVICE=${DEVICE:-rxe0}
ADDRESS=${ADDRESS:-10.0.0.1}
DIR=${DIR:-/mnt}
STATS=/sys/kernel/debug/dax_retarget/stats
server_log=/tmp/traffic.server
client_log=/tmp/traffic.client

stat_of()	# NAME
{
	awk -v name="$1" '$1 == name { print $2 }' $STATS
}

# Nothing is pinned, and no device has scratch pages.
at_rest()
{
	[ "$(stat_of pins) $(stat_of pages_pinned) $(stat_of scratch_pages)" = "0 0 0" ]
}

# Repeat a command until it succeeds.
within()	# SECONDS COMMAND...
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

listening()
{
	ss -ltn | grep -q ':18515 '
}

# Start remote writes into the first 128 KiB of a file. On kernels that check much, and
# are slow, they go on for four times as long.
traffic()	# FILE SECONDS
{
	local seconds=$2

	[ ! -e /sys/kernel/debug/kmemleak ] || seconds=$((seconds * 4))
	ib_write_bw -d "$DEVICE" -s 65536 -D "$seconds" --mmap="$1" > $server_log 2>&1 &
	server=$!
	within 30 listening
	ib_write_bw -d "$DEVICE" -s 65536 -D "$seconds" "$ADDRESS" > $client_log 2>&1 &
	client=$!
}

traffic_goes_on()
{
	kill -0 $server && kill -0 $client
}

traffic_ended_well()
{
	wait $client && wait $server && grep -q '^ *65536 ' $client_log
}

# More pages are pinned than BEFORE, or than none.
is_pinned()	# [BEFORE]
{
	[ "$(stat_of pages_pinned)" -gt "${1-0}" ]
}
