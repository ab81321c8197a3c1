# SPDX-License-Identifier: GPL-2.0-only
#
# A device that keeps pages that it has to lose is stopped, and the administrator is
# told. The selftest fail_closed has what stopping is.
# shellcheck shell=bash disable=SC2154

group_stopped()
{
	local pci switch=/sys/kernel/debug/dax_retarget/fail/replace
	pci=$(basename "$(readlink -f "/sys/class/infiniband/$DEVICE/device")")
	make_file file 64K
	regions -w 1 "$DIR/file"
	monitor "$WORK/events"
	check "an entry cannot be replaced" eval "echo 1 > $switch"
	check "the file is truncated" truncate -s 0 "$DIR/file"
	check "an event says that the device is stopped" \
		within 20 grep -q '"reason": *"stopped"' "$WORK/events"
	kill -TERM $watcher
	wait $watcher
	check "JSON is valid" valid monitor "$WORK/events" lines
	same "the list of devices says so" "['stopped']" \
		"$("$D" devices --json | json "[d.get('refusal') for d in data if d['name'] == '$pci']")"
	"$D" doctor "$DEVICE" > "$WORK/doctor" 2>&1
	same "doctor fails" 1 $?
	check "and says why" grep -q "FAIL .*stopped" "$WORK/doctor"
	[ ! -w "$switch" ] || echo 0 > "$switch"
	same "also when nothing fails any more" "['stopped']" \
		"$("$D" devices --json | json "[d.get('refusal') for d in data if d['name'] == '$pci']")"
	let_go
	rdma link delete "$DEVICE"
	echo "$pci" > "/sys/bus/pci/devices/$pci/driver/unbind"
	"$HERE/engine-nics.sh" > "$WORK/nics"
	check "bound anew, it qualifies" "$D" doctor "$DEVICE"
	regions -w 1 "$DIR/file"
	let_go
}
