# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel lacks memory for answers and events.
# shellcheck shell=bash disable=SC2154

answers_without_memory()
{
	python "$HERE/fuzz_netlink.py" --faults > "$WORK/faults" 2>&1
}

events_lost()
{
	"$D" stats --json | json 'data["events_lost"]'
}

more_lost()	# BEFORE
{
	[ "$(events_lost)" -gt "$1" ]
}

# Work items send the events, so allocations of the workers fail.
events_without_memory()
{
	local lost worker injection=/sys/kernel/debug/failslab
	lost=$(events_lost)
	monitor "$WORK/events"
	for worker in $(pgrep '^kworker/u'); do
		echo 1 > "/proc/$worker/make-it-fail"
	done 2> /dev/null
	echo Y > $injection/task-filter
	echo -1 > $injection/times
	echo 100 > $injection/probability
	truncate --size 32K "$DIR/file"
	within 20 more_lost "$lost"
	sleep 1
	echo 0 > $injection/probability
	echo N > $injection/task-filter
	lost=$(($(events_lost) - lost))
	truncate --size 0 "$DIR/file"
	within 20 grep -q events_lost "$WORK/events"
	kill $watcher
	wait $watcher
	check "events there was no memory for are counted" test "$lost" -gt 0
	same "and the monitor says how many it missed" "$lost" \
		"$(json_lines "$WORK/events" 'sum(e.get("events_lost", 0) for e in data if "reason" not in e)')"
}

group_faults()
{
	local injection=/sys/kernel/debug/failslab
	if [ ! -d $injection ]; then
		ktap_skip "no memory for answers" "no CONFIG_FAILSLAB"
		return
	fi
	echo N > $injection/ignore-gfp-wait
	echo 0 > $injection/verbose
	make_file file 64K
	regions -w 50 "$DIR/file"
	check "no memory for answers" answers_without_memory
	ktap_comment < "$WORK/faults"
	same "afterwards it lists as before" 50 "$("$D" list --json | json 'len(data)')"
	events_without_memory
	let_go
	check "none is left" within 10 none_left
}
