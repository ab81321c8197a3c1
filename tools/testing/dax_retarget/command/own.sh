# SPDX-License-Identifier: GPL-2.0-only
#
# Events of a user's own pins, for which the user needs no privilege.
# shellcheck shell=bash disable=SC2154

# Start a process of nobody's that holds a region of a new file.
hold_own()	# SIZE
{
	make_file own "$1"
	chmod 666 "$DIR/own"
	hold_as_nobody "$DIR/own"
	within 20 grep -q . "$WORK/own.log"
	owner=$("$D" list --json | json '[p["pid"] for p in data if p["uid"]][0]')
}

let_own_go()
{
	kill "$user"
	wait "$user" 2> /dev/null
}

# Start a monitor as nobody, and wait until it gets events of nobody's pin: pages of
# its file are punched until then.
own_monitor()	# [COMMAND...]
{
	local page=0
	: > "$WORK/own"
	(
		exec 9>&-
		exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@" \
			"$D" monitor --own --json
	) > "$WORK/own" 2> "$WORK/own.err" &
	own_watcher=$!
	until [ -s "$WORK/own" ] || [ $page = 60 ] || ! kill -0 "$own_watcher" 2> /dev/null; do
		fallocate --punch-hole --offset $((page++ * 4096)) --length 4096 "$DIR/own"
		sleep 0.5
	done
	[ -s "$WORK/own" ] || ktap_comment < "$WORK/own.err"
	before=$(lines "$WORK/own")
}

# End it when it has seen an event more, and leave what it has seen since in
# $WORK/own.new.
own_monitor_ends()	# NAME
{
	within 20 has_lines "$WORK/own" $((before + 1))
	sleep 1
	kill -TERM "$own_watcher" 2> /dev/null
	wait "$own_watcher"
	same "$1: ends with status 0" 0 $?
	tail -n +$((before + 1)) "$WORK/own" > "$WORK/own.new"
}

# Print the errors of 17 subscriptions of USER, and of one more after one has ended.
subscriptions_of()	# USER
{
	python - "$1" <<-'PYTHON'
	import errno, os, sys
	from netlink import NLMSG_ERROR, NLM_F_ACK, SUBSCRIBE, error_of, family_id, messages, new_socket, request
	def subscribe(sock):
	    sock.send(request(family, SUBSCRIBE, NLM_F_ACK))
	    while True:
	        for kind, flags, payload in messages(sock.recv(65536)):
	            if kind == NLMSG_ERROR:
	                return errno.errorcode.get(-error_of(payload), 'good')
	os.seteuid(int(sys.argv[1]))
	family = family_id(new_socket())
	socks = [new_socket() for i in range(17)]
	answers = [subscribe(sock) for sock in socks]
	print(answers.count('good'), answers[16], end=' ')
	socks.pop(0).close()
	print(subscribe(new_socket()), end=' ')
	os.seteuid(0)
	print(subscribe(socks[0]))
	PYTHON
}

who_sees_what()
{
	hold_own 1M
	own_monitor
	monitor "$WORK/all"
	truncate -s 32K "$DIR/file"
	truncate -s 960K "$DIR/own"
	within 20 has_lines "$WORK/all" 2
	own_monitor_ends "a user's monitor"
	kill -TERM "$watcher"
	wait "$watcher"
	let_own_go
	same "an administrator sees all" "[(0, True, True), (65534, True, True)]" \
		"$(json_lines "$WORK/all" '[(e["uid"], "path" in e, "iova" in e) for e in data]')"
	same "a user sees his own, and neither path nor IOVA" \
		"[(65534, False, False, $((before + 1)), $owner, 'truncate', 65536)]" \
		"$(json_lines "$WORK/own.new" '[(e["uid"], "path" in e, "iova" in e, e["event"], e["pid"], e["reason"], e["taken"]) for e in data]')"
	check "JSON is valid" valid monitor "$WORK/own" lines
}

# Of a reader that stands still; the socket of a user has little room.
what_is_lost()
{
	hold_own 4M
	own_monitor
	kill -STOP "$own_watcher"
	python3 - "$DIR/own" <<-'PYTHON'
	import os, sys
	for page in range(1023, 255, -1):
	    os.truncate(sys.argv[1], page * 4096)
	PYTHON
	# It says what was lost even if it is to end.
	kill -TERM "$own_watcher"
	kill -CONT "$own_watcher"
	own_monitor_ends "a slow reader"
	let_own_go
	echo "# $(json_lines "$WORK/own.new" 'sum("reason" in e for e in data), sum(e.get("events_lost", 0) for e in data)') events seen, lost"
	check "some were lost" grep -q events_lost "$WORK/own.new"
	same "all are accounted for" $((1024 - 256)) \
		"$(json_lines "$WORK/own.new" 'sum("reason" in e or e["events_lost"] for e in data)')"
	check "JSON is valid" valid monitor "$WORK/own" lines
}

# A network namespace is no obstacle; a pid namespace without the process is.
in_namespaces()
{
	hold_own 1M
	own_monitor unshare --user --map-root-user --net
	truncate -s 960K "$DIR/own"
	own_monitor_ends "in another network namespace"
	same "a user sees his own, by the numbers of the namespace" "[(0, $owner)]" \
		"$(json_lines "$WORK/own.new" '[(e["uid"], e["pid"]) for e in data]')"
	as_nobody unshare --user --map-root-user --pid --fork --mount-proc \
		"$D" monitor --own --timeout 3 > "$WORK/own" 2> "$WORK/own.err" &
	own_watcher=$!
	within 20 grep -q waiting "$WORK/own"
	truncate -s 900K "$DIR/own"
	wait "$own_watcher"
	same "nothing where the process is unknown" "0 waiting for events" "$? $(cat "$WORK/own" "$WORK/own.err")"
	let_own_go
}

# Readers come and go while events are sent.
readers_end()
{
	local i readers=()
	for ((i = 0; i < 20; i++)); do
		as_nobody timeout -s KILL 0.$((RANDOM % 5 + 2)) "$D" monitor --own > /dev/null 2>&1 &
		readers+=($!)
		fallocate --punch-hole --offset $((i * 4096)) --length 4096 "$DIR/own"
		sleep 0.05
	done
	wait "${readers[@]}"
	check "readers may die" "$D" stats
}

group_own()
{
	make_file file 64K
	chmod 755 "$DIR"
	regions -w 1 "$DIR/file"
	who_sees_what
	what_is_lost
	if unshare --user --map-root-user true 2> /dev/null; then
		in_namespaces
	else
		ktap_skip "user namespaces" "the kernel has none (CONFIG_USER_NS)"
	fi
	same "a user has 16 subscriptions, and none on root's behalf" "16 EUSERS good EPERM" \
		"$(subscriptions_of 65534)"
	hold_own 1M
	readers_end
	let_own_go
	let_go
	check "none is left" within 10 none_left
}
