#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Programs as users run them, with their memory in files on the DAX file system, while
# blocks are taken from the files. Runs after engine-nics.sh, as root, with file system
# DIR for the tests alone. TAP on stdout.
#
#   programs.sh [GROUP...]
#
#   rpma      a server and a client over librpma and libpmem, see programs/rpma.c
#   perftest  the programs of perftest, both ends of each
#   pyverbs   rdma-core's own tests, which have to say the same with all their memory
#             in a file as without; takes minutes, so only when it is named
#
# PROGRAMS is the folder with what is built from programs/, TOOLS the one with the
# command, SELFTESTS the one with the built selftests.
set -u

. "$(dirname "$0")/traffic.sh"
. "$(dirname "$0")/groups.sh"
TOOLS=${TOOLS:-/image/tools}
PROGRAMS=${PROGRAMS:-$TOOLS/programs}
SELFTESTS=${SELFTESTS:-/image/selftests/dax_retarget}
# shellcheck source=../selftests/dax_retarget/lib.sh
. "$SELFTESTS/lib.sh"

all=(rpma perftest)
on_demand=(pyverbs)
choose_groups "$@"
# Of rdma-core, as Debian installs them
pyverbs_tests=/usr/share/doc/rdma-core/tests
WORK=$(mktemp -d)

retargeted_more_than()	# BEFORE
{
	[ "$(stat_of pages_retargeted)" -gt "$1" ]
}

group_rpma()
{
	# The provider of rxe has no advice; see there
	ktap_run "rpma" env LD_PRELOAD="$PROGRAMS/advise_preload.so" \
		"$PROGRAMS/rpma" "$ADDRESS" "$DIR/server" "$DIR/client"
	check "rpma: nothing is left" at_rest
}

# Both ends of a program of perftest have their buffers in files.
perftest()	# PROGRAM OPTION...
{
	head -c 1M /dev/zero > "$DIR/server"
	head -c 1M /dev/zero > "$DIR/client"
	"$1" -d "$DEVICE" --mmap="$DIR/server" "${@:2}" > $server_log 2>&1 &
	server=$!
	within 30 listening
	"$1" -d "$DEVICE" --mmap="$DIR/client" "${@:2}" "$ADDRESS" > $client_log 2>&1 &
	client=$!
}

perftest_ends_well()
{
	local status=0

	wait $client || status=$?
	wait $server || status=$?
	tail -n 15 $server_log $client_log
	[ $status = 0 ] && grep -qE '^ *[0-9]+ +[0-9]+ ' $client_log
}

# A program of perftest that runs for some seconds; all of each file, or a page, is taken
# meanwhile, by the shell itself where it can: on a busy machine a program is late.
# Programs that measure how long a write takes look at the last byte of the buffer, and
# would never see it change.
under_perftest()	# PROGRAM punch|truncate OPTION...
{
	local before

	before=$(stat_of pages_retargeted)
	perftest "$1" "${@:3}"
	check "$1: both files are registered" within 60 is_pinned 1
	sleep 0.5
	case $2 in
	punch)
		fallocate -p -o 0 -l 4096 "$DIR/server"
		fallocate -p -o 0 -l 4096 "$DIR/client"
		;;
	truncate)
		: > "$DIR/server"
		: > "$DIR/client"
		;;
	esac
	check "$1: pages are taken ($2)" retargeted_more_than "$before"
	check "$1: ends without an error" perftest_ends_well
}

group_perftest()
{
	under_perftest ib_read_bw truncate -s 65536 -D 2
	under_perftest ib_send_bw truncate -s 65536 -D 2
	under_perftest ib_atomic_bw truncate -D 2
	under_perftest ib_write_lat punch -s 65536 -D 4
	under_perftest ib_read_lat truncate -s 65536 -D 2
	under_perftest ib_send_lat truncate -s 65536 -D 2
	under_perftest ib_atomic_lat truncate -D 2
	check "perftest: nothing is left" at_rest
}

# Names and results of the tests, one a line
pyverbs_run()	# FILE [VARIABLE=VALUE...]
{
	(cd "$WORK/tests" && env "${@:2}" python3 run_tests.py -v --dev "$DEVICE") > "$1.log" 2>&1
	sed -nE 's/^(test_[^ ]+ \([^)]*\)).*\.\.\. (ok|skipped|FAIL|ERROR).*/\1 \2/p' "$1.log" | sort > "$1"
}

group_pyverbs()
{
	local mapped

	mkdir "$WORK/tests" && cp "$pyverbs_tests"/*.py* "$WORK/tests" && gunzip "$WORK"/tests/*.gz
	# The others are for NICs of one kind
	rm -f "$WORK"/tests/test_{mlx5,efa,cuda}*
	pyverbs_run "$WORK/anonymous"
	echo 1 > /sys/kernel/tracing/events/dax_retarget/dax_pin_map/enable
	pyverbs_run "$WORK/file" LD_PRELOAD="$PROGRAMS/memory_preload.so" MEMORY_FILE="$DIR/memory"
	echo 0 > /sys/kernel/tracing/events/dax_retarget/dax_pin_map/enable
	mapped=$(grep -c ' dax_pin_map:' /sys/kernel/tracing/trace)
	echo "# $(grep -c ' ok$' "$WORK/file") of $(wc -l < "$WORK/file") tests ok, $mapped regions"
	check "pyverbs: tests ran" grep -q ' ok$' "$WORK/anonymous"
	check "pyverbs: with memory in a file" test "$mapped" -gt 50
	check "pyverbs: the same results in a file as without" diff "$WORK/anonymous" "$WORK/file"
	check "pyverbs: nothing is left" at_rest
}

run_groups
