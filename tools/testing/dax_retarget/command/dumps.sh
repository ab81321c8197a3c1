# SPDX-License-Identifier: GPL-2.0-only
#
# Pins come and go while they are listed and revoked.
# shellcheck shell=bash disable=SC2154

# Until END, processes with 500 regions are killed, one after the other.
kill_owners()	# END
{
	local victim
	while [ $SECONDS -lt "$1" ]; do
		"$TOOLS/many_regions" "$DEVICE" 500 "$DIR/many" < <(sleep 100) > "$WORK/victim" 2>&1 &
		victim=$!
		within 20 grep -qs ready "$WORK/victim"
		kill -9 $victim
		wait $victim 2> /dev/null
		: > "$WORK/victim"
		echo >> "$WORK/deaths"
	done
}

dumps_while_owners_die()
{
	local bad=0 lists=0 killer end=$((SECONDS + 20))
	make_file many 4M
	kill_owners $end > /dev/null 2>&1 &
	killer=$!
	while [ $SECONDS -lt $end ]; do
		"$D" list --json > "$WORK/list" 2> "$WORK/err" || bad=$((bad + 1))
		[ "$(json 'len(data) == len({p["id"] for p in data})' < "$WORK/list")" = True ] || bad=$((bad + 1))
		"$D" revoke --mount "$DIR" > /dev/null 2>&1
		lists=$((lists + 1))
	done
	wait $killer
	same "owners die while pins are listed and revoked ($lists lists, $(lines "$WORK/deaths") deaths)" 0 $bad
	check "none is left" within 20 none_left
}

is_ending()
{
	"$D" list --json | grep -q '"ending"'
}

dump_of_ending_pin()
{
	local delay=$test_switches/delay_ms/detached
	if [ ! -e $delay ]; then
		ktap_skip "a pin that ends is listed as such" "no CONFIG_DAX_RETARGET_TEST"
		return
	fi
	make_file file 64K
	regions 1 "$DIR/file"
	echo 60000 > $delay
	exec 9>&-
	check "a pin that ends is listed as such" within 50 is_ending
	echo 0 > $delay
	wait "$holder"
	check "none is left" within 20 none_left
}

group_dumps()
{
	dumps_while_owners_die
	dump_of_ending_pin
}
