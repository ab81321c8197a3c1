# SPDX-License-Identifier: GPL-2.0-only
#
# What the monitor says of each way to lose pages, and how it ends.
# shellcheck shell=bash disable=SC2154

events_of_taking_back()
{
	local id
	make_file file 64K
	monitor "$WORK/events"
	regions -w 1 "$DIR/file"
	truncate -s 48K "$DIR/file"
	fallocate --punch-hole --offset 4096 --length 8192 "$DIR/file"
	"$D" revoke --file "$DIR/file" --offset 16K --length 1 > /dev/null
	"$D" revoke --file "$DIR/file" --offset 16K --length 1 > "$WORK/again"
	grep -q '^0 ' "$WORK/again" || echo "# second revoke: $(cat "$WORK/again")"
	"$D" revoke --pid "$holder" --file "$DIR/file" --offset 20K --length 4K > /dev/null
	id=$("$D" list --json | json 'data[0]["id"]')
	"$D" revoke --id "$id" --file "$DIR/file" --offset 24K --length 4K > /dev/null
	"$D" revoke --device "$DEVICE" --file "$DIR/file" --offset 28K --length 4K > /dev/null
	"$D" revoke --mount "$DIR" --json > "$WORK/revoked"
	check "revoke: JSON is valid" valid revoke "$WORK/revoked"
	same "revoke of the rest" "{'pins': 1, 'pages': 6, 'bytes': 24576}" "$(json data < "$WORK/revoked")"
	rm "$DIR/file"
	let_go
	events_are "truncate, punch, revoke" \
		"truncate:16384 truncate:8192 revoke:4096 revoke:4096 revoke:4096 revoke:4096 revoke:24576"
	same "events name pin, process and region" "{(${id}, $holder)}" \
		"$(json_lines "$WORK/events" '{(e["id"], e["pid"]) for e in data}')"
}

events_at_the_end()
{
	make_file file 64K
	monitor "$WORK/events"
	regions -w 1 "$DIR/file"
	let_go
	events_are "the end of a region is no event" ""

	# A mapping keeps the inode, so this region has none.
	make_file file 64K
	monitor "$WORK/events"
	regions -u -w 1 "$DIR/file"
	exec 8< "$DIR/file"
	rm "$DIR/file"
	exec 8<&-
	events_are "the last close of an unlinked file" "evict:65536"
	let_go
}

monitor_ends()
{
	local before i
	monitor "$WORK/events" --timeout 2
	wait $watcher
	same "monitor --timeout ends with status 0" 0 $?
	make_file file 64K
	regions -w 1 "$DIR/file"
	monitor "$WORK/events" --count 1
	fallocate --punch-hole --offset 0 --length 4096 "$DIR/file"
	check "monitor --count ends by itself" within 10 sh -c "! kill -0 $watcher 2> /dev/null"
	"$D" monitor > "$WORK/text" & watcher=$!
	within 10 grep -q waiting "$WORK/text"
	fallocate --punch-hole --offset 4096 --length 4096 "$DIR/file"
	within 10 has_lines "$WORK/text" 2
	same "a line for people" 1 \
		"$(grep -c "truncate: 4K taken from $DEVICE pin [0-9]* of many_regions\[$holder\], 4K+4K of $DIR/file" "$WORK/text")"
	ktap_comment < "$WORK/text"
	kill -INT $watcher
	wait $watcher
	same "SIGINT: status 0" 0 $?
	before=$(listeners)
	"$D" monitor --json --timeout 60 > >(head -n 1 > /dev/null) 2> "$WORK/err" & watcher=$!
	within 20 more_listen "$before"
	# The monitor learns that head is gone when it writes the next event.
	for ((i = 2; i < 16; i++)); do
		fallocate --punch-hole --offset $((i * 4096)) --length 4096 "$DIR/file"
		sleep 0.5
		kill -0 $watcher 2> /dev/null || break
	done
	check "without a reader it ends" within 5 sh -c "! kill -0 $watcher 2> /dev/null"
	wait $watcher
	same "status 0, and no complaint" "0 " "$? $(cat "$WORK/err")"
	let_go
}

# The kernel kills a process that has the failed page mapped.
fail_first_page()	# FILE
{
	( python3 - "$1" || true ) 2> /dev/null <<-'PYTHON'
	import ctypes, mmap, os, sys
	fd = os.open(sys.argv[1], os.O_RDWR)
	m = mmap.mmap(fd, 65536)
	m[0] = 1
	address = ctypes.addressof(ctypes.c_char.from_buffer(m))
	with open('/proc/self/pagemap', 'rb') as f:
	    f.seek(address // 4096 * 8)
	    pfn = int.from_bytes(f.read(8), 'little') & (1 << 55) - 1
	with open('/sys/devices/system/memory/hard_offline_page', 'w') as f:
	    f.write(hex(pfn << 12))
	PYTHON
}

events_of_memory_failure()
{
	if [ ! -w /sys/devices/system/memory/hard_offline_page ]; then
		ktap_skip "memory failure" "the kernel has no hard_offline_page"
		return
	fi
	make_file file 64K
	regions -w 1 "$DIR/file"
	monitor "$WORK/events"
	fail_first_page "$DIR/file"
	events_are "memory failure" "memory-failure:4096"
	let_go
	rm "$DIR/file"
}

group_events()
{
	events_of_taking_back
	events_at_the_end
	monitor_ends
	events_of_memory_failure
}
