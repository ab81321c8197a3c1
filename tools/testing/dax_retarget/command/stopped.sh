# SPDX-License-Identifier: GPL-2.0-only
#
# A device that keeps pages that it has to lose is stopped, and the administrator is
# told. The selftest fail_closed has what stopping is.
# shellcheck shell=bash disable=SC2154

refuses_region()	# FILE
{
	"$TOOLS/many_regions" "$DEVICE" 1 "$1" < /dev/null > "$WORK/refused" 2>&1
	echo "status $?"
	cat "$WORK/refused"
	grep -q "not supported" "$WORK/refused"
}

verdict_is_stopped()	# NAME PCI-DEVICE
{
	same "$1" "[(False, 'stopped', False)]" \
		"$("$D" devices --json | json "[(d['retargetable'], d.get('refusal'), 'tracks_writes' in d) for d in data if d['name'] == '$2']")"
}

# FAILURE is a file in fail/ of the test switches.
device_stops()	# FAILURE PCI-DEVICE
{
	local switch=$test_switches/fail/$1
	make_file file 64K
	make_file another 64K
	regions -w 1 "$DIR/file"
	monitor "$WORK/events"
	"$D" monitor > "$WORK/text" & reader=$!
	within 10 grep -q waiting "$WORK/text"
	echo Y > "$switch"
	check "$1 fails: the file is truncated" truncate -s 0 "$DIR/file"
	echo N > "$switch"
	events_are "$1 fails" "truncate:65536 stopped:0"
	kill $reader
	wait $reader
	check "$1 fails: a line for people" \
		grep "stopped: device $2 under $DEVICE pin [0-9]* of many_regions\[$holder\], 0+64K of $DIR/file" "$WORK/text"
	ktap_comment < "$WORK/text"
	verdict_is_stopped "$1 fails: the list of devices says so" "$2"
	"$D" devices > "$WORK/table"
	check "$1 fails: and has no word on what a sync writes back" \
		grep "^$2 .* -  *[0-9].* no: the device was stopped" "$WORK/table"
	"$D" doctor "$DEVICE" > "$WORK/doctor" 2>&1
	same "$1 fails: doctor fails" 1 $?
	check "and says why" grep "FAIL .*the device was stopped" "$WORK/doctor"
	check "a stopped device has no new region" refuses_region "$DIR/another"
	let_go
	verdict_is_stopped "and stays stopped when its region has ended" "$2"

	rdma link delete "$DEVICE"
	echo "$2" > "/sys/bus/pci/devices/$2/driver/unbind"
	"$HERE/engine-nics.sh" > "$WORK/nics"
	check "bound anew, it qualifies" "$D" doctor "$2" "$DEVICE"
	regions -w 1 "$DIR/another"
	same "and has regions" 1 "$("$D" list --json | json 'len(data)')"
	let_go
}

group_stopped()
{
	local failure pci
	if [ ! -d $test_switches/fail ]; then
		ktap_skip "a stopped device" "no CONFIG_DAX_RETARGET_TEST"
		return
	fi
	pci=$(basename "$(readlink -f "/sys/class/infiniband/$DEVICE/device")")
	for failure in flush replace; do
		device_stops $failure "$pci"
	done
}
