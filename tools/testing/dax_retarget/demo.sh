#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The demonstration, on a machine with an RDMA device and a DAX file system:
#
#   demo.sh off	a registration of file memory is refused (kernel without
#			dax_retarget=on)
#   demo.sh on		it works, and the file system takes blocks back under it
#
# DEVICE is the RDMA device, ADDRESS its IP address, DIR a folder on the DAX file
# system with nothing else in it. The demonstration fills the file system, and
# empties it again. It checks each statement; the first that does not hold ends it.
set -euo pipefail

TRACE=/sys/kernel/tracing
. "$(dirname "$0")/traffic.sh"

heading()
{
	printf '\n== %s\n\n' "$*"
}

# Show a command, then run it.
show()
{
	printf '   $ %s\n' "$*"
	"$@" 2>&1 | sed 's/^/   /'
}

# A statement holds if the command succeeds.
check()	# STATEMENT COMMAND...
{
	local statement=$1
	shift
	if ! "$@" > /tmp/demo.check 2>&1; then
		printf ' X %s\n   NOT TRUE: %s\n' "$statement" "$*"
		sed 's/^/   /' /tmp/demo.check $server_log $client_log 2>&1
		exit 1
	fi
	printf ' - %s\n' "$statement"
}

# Register a file by the Python binding of the RDMA library, and print what
# ibv_reg_mr() says.
register()	# FILE
{
	python3 - "$DEVICE" "$1" <<-'PYTHON'
	import ctypes, mmap, sys
	import pyverbs.enums as e
	from pyverbs.device import Context
	from pyverbs.mr import MR
	from pyverbs.pd import PD
	from pyverbs.pyverbs_error import PyverbsRDMAError

	with open(sys.argv[2], 'r+b') as f:
	    memory = mmap.mmap(f.fileno(), 65536)
	address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
	pd = PD(Context(name=sys.argv[1]))
	try:
	    mr = MR(pd, 65536, e.IBV_ACCESS_LOCAL_WRITE | e.IBV_ACCESS_REMOTE_WRITE,
	            address=address)
	    print('ibv_reg_mr: a memory region, rkey', mr.rkey)
	    mr.close()
	except PyverbsRDMAError as error:
	    print('ibv_reg_mr: error', error.error_code)
	PYTHON
}

# Print the physical blocks of a file, one a line, in the order of the file.
blocks()	# FILE
{
	filefrag -v -b4096 "$1" | awk -F '[: .]+' '$2 ~ /^[0-9]+$/ {
		for (b = $5; b <= $6; b++) print b }'
}

bandwidth()
{
	awk '$1 == 65536 { printf "%s writes of 64 KiB, %s MB/s", $2, $4 }' $client_log
}

# Print how many microseconds a statement of Python takes on a file.
microseconds()	# FILE STATEMENT
{
	python3 - "$1" "$2" <<-'PYTHON'
	import ctypes, os, sys, time
	libc = ctypes.CDLL(None, use_errno=True)
	def punch(fd, offset, length):
	    if libc.fallocate(fd, 3, ctypes.c_long(offset), ctypes.c_long(length)):
	        raise OSError(ctypes.get_errno(), 'fallocate')
	fd = os.open(sys.argv[1], os.O_RDWR)
	code = compile(sys.argv[2], 'statement', 'exec')
	start = time.perf_counter()
	exec(code)
	print(round((time.perf_counter() - start) * 1e6))
	PYTHON
}

PATH=$PATH:/image/tools
cd "$DIR"
trap 'rm -f file filler rest victim unpinned' EXIT
case ${1-} in
off)
	heading "Without the feature: memory of a DAX file cannot be registered"
	show cat /proc/cmdline
	truncate -s 1M file
	echo "   \$ ib_write_bw -d $DEVICE -s 65536 --mmap=$DIR/file"
	traffic "$DIR/file" 3
	if wait $server; then echo "   it works"; fi
	kill $client 2> /dev/null || true
	grep MR $server_log | sed 's/^/   /'
	answer=$(register file)
	echo "   $answer   (in Python)"
	check "ibv_reg_mr() fails with 95, EOPNOTSUPP" \
		test "$answer" = "ibv_reg_mr: error 95"
	check "ib_write_bw cannot either" grep -q "Couldn't allocate MR" $server_log
	exit
	;;
on) ;;
*)
	sed -n '/^# /s/^# \?//p' "$0"
	exit 2
	;;
esac

pinned_before=$(stat_of pages_pinned)
echo 1 > $TRACE/events/dax_retarget/enable
echo > $TRACE/trace

heading "With dax_retarget=on: ib_write_bw writes into a file"
show cat /proc/cmdline
head -c 32M /dev/zero > file
sync file
answer=$(register file)
echo "   $answer   (in Python)"
check "the registration succeeds" test "${answer%,*}" = "ibv_reg_mr: a memory region"
before=$(md5sum < file)
printf '   $ ib_write_bw -d %s -s 65536 -D 3 --mmap=%s/file\n' "$DEVICE" "$DIR"
traffic file 3
check "the traffic ends without an error" traffic_ended_well
echo "   $(bandwidth)"
check "the file has other content than before" test "$before" != "$(md5sum < file)"
check "nothing is left registered" test "$(stat_of pages_pinned)" = "$pinned_before"

heading "A hole is punched, and the file truncated, while the NIC writes to it"
head -c 32M /dev/zero > unpinned
head -c 32M /dev/zero > file
punch_unpinned=$(microseconds unpinned 'punch(fd, 65536, 4096)')
truncate_unpinned=$(microseconds unpinned 'os.ftruncate(fd, 0)')
rm unpinned

{ yes 'These blocks are mine now.' || true; } | head -c 64M > /tmp/demo.pattern

# Fill the file system, so that the truncation frees the only free blocks.
free=$(df -k --output=avail . | tail -n 1)
fallocate -l $((free - 64))K filler 2> /dev/null || fallocate -l $((free - 4096))K filler
head -c 1G /dev/zero 2> /dev/null > rest || true
blocks file > /tmp/demo.file

echo "   \$ ib_write_bw -d $DEVICE -s 65536 -D 60 --mmap=$DIR/file &"
traffic file 60
check "the file's pages are pinned" within 30 is_pinned "$pinned_before"
sleep 2
show dax-retarget list
dax-retarget monitor > /tmp/demo.monitor &
monitor=$!
sleep 1
retargeted=$(stat_of pages_retargeted)
punch_pinned=$(microseconds file 'punch(fd, 65536, 4096)')
echo "   punch of 4 KiB:       $punch_pinned us under the traffic, $punch_unpinned us on a file without"
check "the page was taken back from the NIC" \
	test "$(stat_of pages_retargeted)" = $((retargeted + 1))
truncate_pinned=$(microseconds file 'os.ftruncate(fd, 0)')
echo "   truncate to nothing:  $truncate_pinned us under the traffic, $truncate_unpinned us on a file without"
check "so were all others that the NIC could reach" \
	test $(($(stat_of pages_retargeted) - retargeted)) = "$(stat_of pages_pinned)"
check "neither waited for the NIC, which goes on for a minute" \
	test $((punch_pinned + truncate_pinned)) -lt 2000000
check "the traffic goes on" traffic_goes_on
sleep 1
kill $monitor
wait $monitor || true
echo "   \$ dax-retarget monitor"
sed 's/^/   /' /tmp/demo.monitor
check "an administrator is told of both" test "$(grep -c truncate /tmp/demo.monitor)" = 2

heading "The freed blocks become another file"
head -c 64M /tmp/demo.pattern > victim 2> /dev/null || true
size=$(stat -c %s victim)
head -c "$size" /tmp/demo.pattern > /tmp/demo.expected
sync victim
blocks victim > /tmp/demo.victim
# The NIC reaches the first 32 blocks of the file.
taken=$(comm -12 <(head -n 32 /tmp/demo.file | sort) <(sort /tmp/demo.victim) | wc -l)
echo "   by filefrag, $taken of the 32 blocks that the NIC was given are the victim's now"
check "blocks that the NIC goes on writing to have a new owner" test "$taken" -ge 16
check "the traffic still goes on" traffic_goes_on
check "the victim is intact" cmp victim /tmp/demo.expected
sleep 5
check "and again, five seconds later" cmp victim /tmp/demo.expected
check "the traffic ended without an error" traffic_ended_well
echo "   $(bandwidth)"
check "the victim is intact after all of it" cmp victim /tmp/demo.expected

heading "What the kernel says about it"
show cat $STATS
show grep -E ' (dax_pin_map|dax_retarget|dax_retarget_file|dax_retarget_flush|dax_pin_end):' $TRACE/trace |
	sed 's/^   .*\] [^ ]* */   /' | grep -v 'retargeted=0' | tail -n 8
for gauge in pins files pages_pinned scratch_pages table_pages; do
	check "$gauge is 0" test "$(stat_of $gauge)" = 0
done
echo 0 > $TRACE/events/dax_retarget/enable

heading "All statements hold."
