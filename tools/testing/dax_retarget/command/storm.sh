# SPDX-License-Identifier: GPL-2.0-only
#
# More events than the monitor can read.
# shellcheck shell=bash disable=SC2154

# Truncate a file page by page, 160 times, to one page. Each truncation is an event for
# each of 100 regions. Print the seconds of all and the milliseconds of the slowest.
shrink()
{
	python3 - "$DIR/many" <<-'PYTHON'
	import os, sys, time
	fd = os.open(sys.argv[1], os.O_RDWR)
	worst, start = 0, time.perf_counter()
	for page in range(160, 0, -1):
	    before = time.perf_counter()
	    os.ftruncate(fd, page * 4096)
	    worst = max(worst, time.perf_counter() - before)
	print(round(time.perf_counter() - start, 3), round(worst * 1000, 1))
	PYTHON
}

group_storm()
{
	local alone slow lost seen total before
	make_file many 644K
	regions -w 100 "$DIR/many"
	alone=$(shrink)
	let_go

	make_file many 644K
	regions -w 100 "$DIR/many"
	total=$("$D" stats --json | json 'data["events"]')
	before=$(listeners)
	# The reader reads a line, then nothing until it is told.
	mkfifo "$WORK/tell"
	"$D" monitor --json 2> "$WORK/err" > >(head -c 100 > "$WORK/first"; cat "$WORK/tell" > /dev/null; cat > "$WORK/rest") &
	watcher=$!
	within 20 more_listen "$before"
	slow=$(shrink)
	echo "# 160 truncations (total s, worst ms), 100 events each: without reader $alone, with a slow one $slow"
	: > "$WORK/tell"
	# The monitor gets what is in its socket, then finds out how many are not.
	within 60 grep -q events_lost "$WORK/rest"
	sleep 5
	# What the kernel could not send, the next event tells.
	truncate -s 0 "$DIR/many"
	sleep 5
	kill -TERM $watcher
	wait $watcher
	total=$(($("$D" stats --json | json 'data["events"]') - total))
	sleep 1
	cat "$WORK/first" "$WORK/rest" > "$WORK/events"
	seen=$(json_lines "$WORK/events" 'sum("reason" in e for e in data)')
	lost=$(json_lines "$WORK/events" 'sum(e.get("events_lost", 0) for e in data if "reason" not in e)')
	echo "# $total events: $seen seen, $lost reported lost; $("$D" stats --json | json 'data["events_lost"]') not sent by the kernel"
	check "some were lost" test "$lost" -gt 0
	same "all are accounted for" "$total" $((seen + lost))
	# A few are as good as all, which take half a minute.
	grep -m 1 -A 100 -B 100 events_lost "$WORK/events" > "$WORK/some"
	check "JSON is valid" valid monitor "$WORK/some" lines
	# A file system that waits for the reader waits for ever, as the reader is told
	# only after the truncations.
	check "the file system was not delayed" python3 -c "
a, b = '$alone'.split(), '$slow'.split()
assert float(b[0]) < 10 * float(a[0]) + 20 and float(b[1]) < 20000"
	let_go
}
