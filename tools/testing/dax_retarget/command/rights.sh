# SPDX-License-Identifier: GPL-2.0-only
#
# What a user without privilege sees, and may do.
# shellcheck shell=bash disable=SC2154

# Print how many pins root sees through a socket that USER has opened.
pins_by_socket_of()	# USER
{
	python - "$1" <<-'PYTHON'
	import os, sys
	from netlink import NLM_F_DUMP, PIN_GET, family_id, new_socket, request
	os.seteuid(int(sys.argv[1]))
	sock = new_socket()
	os.seteuid(0)
	sock.send(request(family_id(sock), PIN_GET, NLM_F_DUMP))
	print(sock.recv(65536).count(b'many_regions'))
	PYTHON
}

# Counters of devices tell of the pins of others.
counters_are_hidden()
{
	local numbers='("pins", "pinned", "lost", "retargets", "flushes", "scratch_pages", "table_pages")'
	as_nobody "$D" stats > "$WORK/stats" 2> "$WORK/err"
	same "stats are for all" 0 $?
	same "but not what devices have" 7 "$(grep -c ' -$' "$WORK/stats")"
	check "and say why" grep -q CAP_SYS_ADMIN "$WORK/err"
	as_nobody "$D" stats --json > "$WORK/stats" 2> /dev/null
	check "such stats: JSON is valid" valid stats "$WORK/stats"
	same "and has the numbers of events alone" "['enabled', 'events', 'events_lost']" \
		"$(json 'sorted(data)' < "$WORK/stats")"
	as_nobody "$D" devices > "$WORK/devices" 2> "$WORK/err"
	same "devices are for all, too" "0 " "$? $(cat "$WORK/err")"
	check "without numbers" grep -q "$DEVICE .* all  *scratch  *-  *-  *-  *-  yes" "$WORK/devices"
	as_nobody "$D" devices --json > "$WORK/devices"
	check "such devices: JSON is valid" valid devices "$WORK/devices"
	same "and has no number" "(True, False)" \
		"$(json "(len(data) > 0, any(n in d for d in data for n in $numbers))" < "$WORK/devices")"
	same "root sees the numbers" True \
		"$("$D" devices --json | json "all(n in d for d in data for n in $numbers)")"
}

group_rights()
{
	make_file file 64K
	make_file own 64K
	chmod 666 "$DIR/own"
	chmod 755 "$DIR"
	chmod 777 "$WORK"
	regions -w 1 "$DIR/file"
	hold_as_nobody "$DIR/own"
	within 20 grep -q . "$WORK/own.log"
	if ! grep -q ready "$WORK/own.log"; then
		ktap_skip "an own region" "$(cat "$WORK/own.log")"
	else
		same "a user sees his own" "[('many_regions', 65534)]" \
			"$(as_nobody "$D" list --json | json '[(p["comm"], p["uid"]) for p in data]')"
	fi
	same "but neither path nor IOVA" "[(False, False)]" \
		"$(as_nobody "$D" list --json | json '[("path" in r, "iova" in r) for p in data for r in p["ranges"]]')"
	# Another user may have made root write to a socket and read the answer.
	same "nor root's, by a socket that root only writes to" 0 "$(pins_by_socket_of 65534)"
	check "which it may read by one of its own" [ "$(pins_by_socket_of 0)" -gt 0 ]
	same "root sees all" "[0, 65534]" "$("$D" list --json | json 'sorted(p["uid"] for p in data)')"
	as_nobody "$D" revoke --file "$DIR/file" 2> "$WORK/err"
	same "revoke of another's: status 4" 4 $?
	same "and says why" "dax-retarget: revoke: Operation not permitted" "$(cat "$WORK/err")"
	as_nobody "$D" revoke --file "$DIR/own" 2> /dev/null
	same "revoke of the own: status 4" 4 $?
	same "nothing was taken" "[0, 0]" "$("$D" list --json | json '[p["lost"] for p in data]')"
	as_nobody "$D" monitor --timeout 1 2> "$WORK/err"
	same "monitor: status 4" 4 $?
	check "and says why" grep -q CAP_SYS_ADMIN "$WORK/err"
	counters_are_hidden
	kill "$user" 2> /dev/null
	let_go
	wait "$user" 2> /dev/null
	ktap_test_pass "ended"
}
