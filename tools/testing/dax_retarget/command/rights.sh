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
	check "stats are for all" as_nobody "$D" stats
	check "devices, too" as_nobody "$D" devices
	kill "$user" 2> /dev/null
	let_go
	wait "$user" 2> /dev/null
	ktap_test_pass "ended"
}
