#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The administrator's command, dax-retarget, and the netlink family under it,
# with real RDMA programs. Runs after engine-nics.sh, as root, with file system
# DIR for the tests alone. TAP on stdout.
#
#   command.sh [GROUP...]
#
# Groups: list events json rights namespaces dumps storm traffic ynl path fuzz
# faults sanitize valgrind trace doctor; and last, as the machine is to be thrown
# away afterwards, umount, remove.
#
# TOOLS is the folder with the command, its schema files and the helpers.
set -u

HERE=$(realpath "$(dirname "$0")")
. "$HERE/traffic.sh"
TOOLS=${TOOLS:-/image/tools}
D=$TOOLS/dax-retarget
WORK=$(mktemp -d)
FUZZ=${FUZZ:-100000}
number=0 failed=0

ok()	# NAME
{
	number=$((number + 1))
	echo "ok $number $1"
}

not_ok()	# NAME [WHY]
{
	number=$((number + 1))
	failed=$((failed + 1))
	echo "not ok $number $1"
	[ -z "${2-}" ] || sed 's/^/# /' <<< "$2"
}

check()	# NAME COMMAND...
{
	local name=$1
	shift
	# Not in a subshell, which cannot wait for our children
	if "$@" > "$WORK/check" 2>&1; then
		ok "$name"
	else
		not_ok "$name" "$* failed: $(cat "$WORK/check")"
	fi
}

same()	# NAME EXPECTED SEEN
{
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "expected: $2
seen: $3"; fi
}

skip()	# NAME WHY
{
	number=$((number + 1))
	echo "ok $number $1 # SKIP $2"
}

# A Python expression over the JSON on stdin, which is in "data".
json()	# EXPRESSION
{
	python3 -c 'import json, sys
data = json.load(sys.stdin)
print('"$1"')'
}

# Lines of JSON, as a list.
json_lines()	# FILE EXPRESSION
{
	python3 -c 'import json, sys
data = [json.loads(line) for line in open(sys.argv[1])]
print('"$2"')' "$1"
}

valid()	# SCHEMA FILE [lines]
{
	python3 - "$TOOLS/schema/$1.json" "$2" "${3-}" <<-'PYTHON'
	import json, jsonschema, sys
	schema = json.load(open(sys.argv[1]))
	jsonschema.Draft7Validator.check_schema(schema)
	with open(sys.argv[2]) as f:
	    for value in map(json.loads, f) if sys.argv[3] else [json.load(f)]:
	        jsonschema.Draft7Validator(schema).validate(value)
	PYTHON
}

seconds()	# COMMAND...: how long it takes; its output goes to $WORK/timed
{
	local start=$EPOCHREALTIME
	"$@" > "$WORK/timed" 2>&1
	python3 -c "print(round($EPOCHREALTIME - $start, 3))"
}

make_file()	# NAME SIZE
{
	rm -f "$DIR/$1"
	head -c "$2" /dev/zero > "$DIR/$1"
}

# regions [-w] NUMBER FILE...: a process that holds them, until let_go.
regions()
{
	local whole=()
	if [ "$1" = -w ]; then whole=(-w); shift; fi
	local nr=$1
	shift
	rm -f "$WORK/go"
	mkfifo "$WORK/go"
	"$TOOLS/many_regions" "${whole[@]}" "$DEVICE" "$nr" "$@" < "$WORK/go" > "$WORK/regions" 2>&1 &
	holder=$!
	exec 9> "$WORK/go"
	within 120 grep -qs ready "$WORK/regions" || {
		echo "# many_regions: $(cat "$WORK/regions")"
		return 1
	}
}

let_go()
{
	exec 9>&-
	wait "$holder"
}

none_left()
{
	[ "$("$D" list --json | tr -d '[:space:]')" = "[]" ] && [ "$(stat_of pins)" = 0 ]
}

# How many listen to generic netlink's events.
listeners()
{
	awk '$2 == 16 && $4 != "00000000"' /proc/net/netlink | wc -l
}

more_listen()	# BEFORE
{
	[ "$(listeners)" -gt "$1" ]
}

monitor()	# FILE OPTION...: start it, wait until it listens
{
	local file=$1 before
	shift
	before=$(listeners)
	"$D" monitor --json "$@" > "$file" 2> "$file.err" &
	watcher=$!
	within 20 more_listen "$before" ||
		echo "# the monitor does not listen: $(cat "$file.err")"
}

lines()	# FILE
{
	wc -l < "$1"
}

has_lines()	# FILE NUMBER
{
	[ "$(lines "$1")" -ge "$2" ]
}

group_list()
{
	local nr took
	make_file many 4M
	for nr in 1 100 10000; do
		regions $nr "$DIR/many"
		took=$(seconds "$D" list --json)
		cp "$WORK/timed" "$WORK/list"
		echo "# list of $nr pins: $took s; as a table $(seconds "$D" list) s"
		same "$nr regions: complete" $nr "$(json 'len(data)' < "$WORK/list")"
		same "$nr regions: sorted and unique" True \
			"$(json 'all(a["id"] < b["id"] for a, b in zip(data, data[1:]))' < "$WORK/list")"
		same "$nr regions: a line each, and one of headings" $((nr + 1)) "$(lines "$WORK/timed")"
		check "$nr regions: JSON is valid" valid list "$WORK/list"
		rdma -j resource show mr > "$WORK/rdma"
		same "$nr regions: handle is mrn of 'rdma resource'" \
			"$(json 'sorted(mr["mrn"] for mr in data)' < "$WORK/rdma" | md5sum)" \
			"$(json 'sorted(pin.get("handle", -1) for pin in data)' < "$WORK/list" | md5sum)"
		same "$nr regions: all of one process" "$nr" \
			"$("$D" list --pid $holder --json | json 'len(data)')"
		let_go
		check "$nr regions: none is left" within 20 none_left
	done

	make_file one 64K
	make_file two 64K
	regions -w 1 "$DIR/one" "$DIR/two"
	"$D" list --json > "$WORK/list"
	same "a region of two files has two ranges" "[['$DIR/one', 65536], ['$DIR/two', 65536]]" \
		"$(json '[[r["file"], r["length"]] for r in data[0]["ranges"]]' < "$WORK/list")"
	same "--file" 1 "$("$D" list --file "$DIR/two" --json | json 'len(data[0]["ranges"])')"
	same "--mount" 2 "$("$D" list --mount "$DIR" --json | json 'len(data[0]["ranges"])')"
	same "--mount of another file system" 0 "$("$D" list --mount / --json | json 'len(data)')"
	same "--device of the RDMA device" 1 "$("$D" list -d "$DEVICE" --json | json 'len(data)')"
	pci=$(json 'data[0]["device"]' < "$WORK/list")
	same "--device of the PCI device" 1 "$("$D" list -d "$pci" --json | json 'len(data)')"
	same "--device of another" 0 "$("$D" list -d nonsense --json | json 'len(data)')"
	rm "$DIR/two"
	same "an unlinked file has no name" "['$DIR/one', None]" \
		"$("$D" list --json | json '[r.get("file") for r in data[0]["ranges"]]')"
	"$D" list | sed 's/^/# /'
	let_go

	# More of them than a message of the kernel has room for
	local i parts=() device expected=()
	for i in {1..100}; do
		make_file "part$i" 8K
		parts+=("$DIR/part$i")
	done
	regions -w 4 "${parts[@]}"
	"$D" list --json > "$WORK/list"
	same "four regions of 100 files have 100 ranges each" \
		"$(for i in {1..4}; do printf "'%s'\n" "${parts[@]}"; done)" \
		"$(json '"\n".join(repr(r["file"]) for pin in data for r in pin["ranges"])' < "$WORK/list")"
	let_go
	rm "${parts[@]}"
	for device in /sys/bus/pci/devices/*; do
		[ ! -e "$device/driver" ] || expected+=("${device##*/}")
	done
	same "all ${#expected[@]} devices with a driver are listed" "$(printf '%s\n' "${expected[@]}" | sort)" \
		"$("$D" devices --all --json | json '"\n".join(sorted(d["name"] for d in data))')"

	local ugly=$'\e[31mred\n\xff\xe4'
	make_file "$ugly" 4K
	regions 1 "$DIR/$ugly"
	"$D" list > "$WORK/table"
	same "a name with control characters stays on its line" 2 "$(lines "$WORK/table")"
	check "and does not reach the terminal" sh -c "! grep -q $'\\033' '$WORK/table'"
	"$D" list --json > "$WORK/list"
	check "a name that is no UTF-8: JSON is valid" valid list "$WORK/list"
	let_go
	rm -f "$DIR/$ugly"
}

# The reasons and bytes of what the monitor saw: expected are "REASON:BYTES ..."
events_are()	# NAME EXPECTED
{
	# All of them, and time for more
	within 20 has_lines "$WORK/events" "$(wc -w <<< "$2")"
	sleep 1
	kill -TERM $watcher
	wait $watcher
	same "$1: monitor ends with status 0" 0 $?
	same "$1: events" "$2" \
		"$(json_lines "$WORK/events" '" ".join("%s:%d" % (e["reason"], e["taken"]) if "reason" in e else "LOST" for e in data)')"
	check "$1: JSON is valid" valid monitor "$WORK/events" lines
}

group_events()
{
	local id before i
	make_file file 64K
	monitor "$WORK/events"
	regions -w 1 "$DIR/file"
	truncate -s 48K "$DIR/file"
	fallocate --punch-hole --offset 4096 --length 8192 "$DIR/file"
	"$D" revoke --file "$DIR/file" --offset 16K --length 1 > /dev/null
	"$D" revoke --file "$DIR/file" --offset 16K --length 1 > "$WORK/again"
	grep -q '^0 ' "$WORK/again" || echo "# second revoke: $(cat "$WORK/again")"
	"$D" revoke --pid $holder --file "$DIR/file" --offset 20K --length 4K > /dev/null
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

	make_file file 64K
	monitor "$WORK/events"
	regions -w 1 "$DIR/file"
	# The mapping keeps the inode: it has to go for the last close
	let_go
	events_are "the end of a region is no event" ""

	make_file file 64K
	monitor "$WORK/events"
	python3 - "$DEVICE" "$DIR/file" <<-'PYTHON'
	import ctypes, mmap, os, sys
	import pyverbs.enums as e
	from pyverbs.device import Context
	from pyverbs.mr import MR
	from pyverbs.pd import PD
	libc = ctypes.CDLL(None, use_errno=True)
	libc.mmap.restype = ctypes.c_void_p
	libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
	libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
	fd = os.open(sys.argv[2], os.O_RDWR)
	at = libc.mmap(None, 65536, 3, mmap.MAP_SHARED, fd, 0)
	pd = PD(Context(name=sys.argv[1]))
	mr = MR(pd, 65536, e.IBV_ACCESS_LOCAL_WRITE, address=at)
	libc.munmap(at, 65536)
	os.unlink(sys.argv[2])
	os.close(fd)
	mr.close()
	PYTHON
	events_are "the last close of an unlinked file" "evict:65536"

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
	same "a line for people" 1 "$(grep -c "truncate: 4K taken from $DEVICE mr .* of many_regions\[$holder\], 4K+4K of $DIR/file" "$WORK/text")"
	sed 's/^/# /' "$WORK/text"
	kill -INT $watcher
	wait $watcher
	same "SIGINT: status 0" 0 $?
	before=$(listeners)
	"$D" monitor --json --timeout 60 > >(head -n 1 > /dev/null) 2> "$WORK/err" & watcher=$!
	within 20 more_listen "$before"
	# It learns of it from an event that comes when head has gone
	for ((i = 2; i < 16; i++)); do
		fallocate --punch-hole --offset $((i * 4096)) --length 4096 "$DIR/file"
		sleep 0.5
		kill -0 $watcher 2> /dev/null || break
	done
	check "without a reader it ends" within 5 sh -c "! kill -0 $watcher 2> /dev/null"
	wait $watcher
	same "status 0, and no complaint" "0 " "$? $(cat "$WORK/err")"
	let_go

	if [ -w /sys/devices/system/memory/hard_offline_page ]; then
		make_file file 64K
		regions -w 1 "$DIR/file"
		monitor "$WORK/events"
		# The kernel kills it, as it has the page mapped
		( python3 - "$DIR/file" || true ) 2> /dev/null <<-'PYTHON'
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
		events_are "memory failure" "memory-failure:4096"
		let_go
		rm "$DIR/file"
	else
		skip "memory failure" "the kernel has no hard_offline_page"
	fi
}

group_json()
{
	local verb
	make_file file 64K
	regions -w 2 "$DIR/file"
	for verb in list devices stats doctor; do
		"$D" $verb --json > "$WORK/$verb"
		check "$verb: JSON is valid" valid $verb "$WORK/$verb"
	done
	"$D" devices --all --json > "$WORK/devices"
	check "devices --all: JSON is valid" valid devices "$WORK/devices"
	same "stats count the same as the kernel's own" "$(stat_of pins) $(stat_of pages_pinned)" \
		"$("$D" stats --json | json '"%d %d" % (data["pins"], data["pinned"] / 4096)')"
	same "top shows it" 2 "$("$D" top --batch -n 1 | grep -c "^ *$holder  many_regions  root .* 2  *128K  *0  *0$")"
	"$D" top --batch -n 1 | sed 's/^/# /'
	for verb in '' list devices monitor stats top revoke doctor; do
		# shellcheck disable=SC2086
		check "$verb --help" "$D" $verb --help
		"$D" ${verb:+"$verb"} --nonsense 2> /dev/null
		same "$verb --nonsense: status 2" 2 $?
	done
	"$D" revoke 2> /dev/null
	same "revoke without selector: status 2" 2 $?
	"$D" revoke --id 1234567 2> /dev/null
	same "revoke without match: status 1" 1 $?
	"$D" list > /dev/full 2> /dev/null
	same "a full disk: status 1" 1 $?
	let_go
}

as_nobody()
{
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

# A region in the background as another user, until "user" is killed. It must not
# hold the FIFO that ends the other regions.
hold_as_nobody()	# FILE [COMMAND...]
{
	local file=$1
	shift
	: > "$WORK/own.log"
	(
		exec 9>&-
		exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@" \
			"$TOOLS/many_regions" -w "$DEVICE" 1 "$file" < <(exec sleep 1000)
	) > "$WORK/own.log" 2>&1 &
	user=$!
}

# How many pins root is told of by a socket that USER has opened
pins_by_socket_of()	# USER
{
	python3 -B -c '
import os, socket, struct, sys
sys.path.insert(0, sys.argv[1])
from fuzz_netlink import *
os.seteuid(int(sys.argv[2]))
sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
os.seteuid(0)
family = family_id(sock)
sock.send(message(family, NLM_F_REQUEST | NLM_F_DUMP, 2, struct.pack("BBH", PIN_GET, 1, 0)))
print(sock.recv(65536).count(b"many_regions"))
' "$HERE" "$1"
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
		skip "an own region" "$(cat "$WORK/own.log")"
	else
		same "a user sees his own" "[('many_regions', 65534)]" \
			"$(as_nobody "$D" list --json | json '[(p["comm"], p["uid"]) for p in data]')"
	fi
	same "but neither path nor IOVA" "[(False, False)]" \
		"$(as_nobody "$D" list --json | json '[("path" in r, "iova" in r) for p in data for r in p["ranges"]]')"
	# Who may have been made to write to a socket that is another's
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
	kill $user 2> /dev/null
	let_go
	wait $user 2> /dev/null
	ok "ended"
}

group_namespaces()
{
	make_file file 64K
	chmod 755 "$DIR"
	regions -w 1 "$DIR/file"
	same "in another pid namespace it has no pid" "[(False, 0)]" \
		"$(unshare --pid --fork --mount-proc "$D" list --json | json '[("pid" in p, p["uid"]) for p in data]')"
	unshare --net "$D" monitor --timeout 1 2> "$WORK/err" > /dev/null
	check "monitor in another network namespace warns" grep -q 'initial network namespace' "$WORK/err"
	if ! unshare --user --map-root-user true 2> /dev/null; then
		skip "user namespaces" "the kernel has none (CONFIG_USER_NS)"
		let_go
		return
	fi
	same "root of a user namespace is the same user, so sees it" "[(True, 0)]" \
		"$(unshare --user --map-root-user "$D" list --json | json '[("pid" in p, p["uid"]) for p in data]')"
	same "with a network namespace, too" "[(True, 0)]" \
		"$(unshare --user --map-root-user --net "$D" list --json | json '[("pid" in p, p["uid"]) for p in data]')"
	same "but not where the process is unknown" 0 \
		"$(unshare --user --map-root-user --pid --fork --mount-proc "$D" list --json | json 'len(data)')"
	unshare --user --map-root-user "$D" revoke --file "$DIR/file" 2> /dev/null
	same "but has nothing to revoke: status 1" 1 $?
	unshare --user --map-root-user "$D" monitor --timeout 1 2> /dev/null
	same "nor see events: status 4" 4 $?
	same "a user in a namespace sees nothing of others" 0 \
		"$(as_nobody unshare --user --map-root-user --pid --net --fork --mount-proc "$D" list --json | json 'len(data)')"
	let_go

	# The other way round: root sees the pins of a user namespace, and its uid
	chmod 666 "$DIR/file"
	hold_as_nobody "$DIR/file" unshare --user --map-root-user
	within 20 grep -q . "$WORK/own.log"
	if grep -q ready "$WORK/own.log"; then
		same "root sees it by its own numbers" "[65534]" "$("$D" list --json | json '[p["uid"] for p in data]')"
		check "and may revoke it" "$D" revoke --file "$DIR/file"
	else
		skip "a pin from a user namespace" "$(cat "$WORK/own.log")"
	fi
	kill $user 2> /dev/null
	wait $user 2> /dev/null
	check "none is left" within 10 none_left
}

group_dumps()
{
	local i bad=0 lists=0 deaths=0 end=$((SECONDS + 20))
	make_file many 4M
	(
		while [ $SECONDS -lt $end ]; do
			"$TOOLS/many_regions" "$DEVICE" 500 "$DIR/many" < <(sleep 100) > "$WORK/victim" 2>&1 &
			victim=$!
			within 20 grep -qs ready "$WORK/victim"
			kill -9 $victim
			wait $victim 2> /dev/null
			: > "$WORK/victim"
			echo >> "$WORK/deaths"
		done
	) > /dev/null 2>&1 &
	local killer=$!
	while [ $SECONDS -lt $end ]; do
		"$D" list --json > "$WORK/list" 2> "$WORK/err" || bad=$((bad + 1))
		[ "$(json 'len(data) == len({p["id"] for p in data})' < "$WORK/list")" = True ] || bad=$((bad + 1))
		"$D" revoke --mount "$DIR" > /dev/null 2>&1
		lists=$((lists + 1))
	done
	wait $killer
	deaths=$(lines "$WORK/deaths")
	same "owners die while pins are listed and revoked ($lists lists, $deaths deaths)" 0 $bad
	check "none is left" within 20 none_left

	local delay=/sys/kernel/debug/dax_retarget/delay_end_ms
	[ -e $delay ] || { skip "a pin that ends is listed as such" "no CONFIG_DAX_RETARGET_TEST"; return; }
	make_file file 64K
	regions 1 "$DIR/file"
	echo 60000 > $delay
	exec 9>&-
	is_ending() { "$D" list --json | grep -q '"ending"'; }
	check "a pin that ends is listed as such" within 50 is_ending
	echo 0 > $delay
	wait "$holder"
	check "none is left" within 20 none_left
}

# 1024 truncations by a page, each an event for each of 100 regions
shrink()
{
	python3 - "$DIR/many" <<-'PYTHON'
	import os, sys, time
	fd = os.open(sys.argv[1], os.O_RDWR)
	worst, start = 0, time.perf_counter()
	for page in range(1023, -1, -1):
	    before = time.perf_counter()
	    os.ftruncate(fd, page * 4096)
	    worst = max(worst, time.perf_counter() - before)
	print(round(time.perf_counter() - start, 3), round(worst * 1000, 1))
	PYTHON
}

group_storm()
{
	local alone slow lost seen total before
	make_file many 4M
	regions -w 100 "$DIR/many"
	alone=$(shrink)
	let_go

	make_file many 4M
	regions -w 100 "$DIR/many"
	total=$("$D" stats --json | json 'data["events"]')
	before=$(listeners)
	# It reads a line, then nothing until it is told
	mkfifo "$WORK/tell"
	"$D" monitor --json 2> "$WORK/err" > >(head -c 100 > "$WORK/first"; cat "$WORK/tell" > /dev/null; cat > "$WORK/rest") &
	watcher=$!
	within 20 more_listen "$before"
	slow=$(shrink)
	echo "# 1024 truncations (total s, worst ms), 100 events each: without reader $alone, with a slow one $slow"
	: > "$WORK/tell"
	# It gets what is in its socket, then finds out what is not
	within 60 grep -q events_lost "$WORK/rest"
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
	check "JSON is valid" valid monitor "$WORK/events" lines
	# It would wait for ever, as the reader is told only afterwards
	check "the file system was not delayed" python3 -c "
a, b = '$alone'.split(), '$slow'.split()
assert float(b[0]) < 10 * float(a[0]) + 20 and float(b[1]) < 20000"
	let_go
}

group_traffic()
{
	local before lost
	make_file file 1M
	head -c 1M /dev/urandom > "$DIR/file"
	traffic "$DIR/file" 25
	check "traffic: pinned" within 30 is_pinned
	sleep 2
	"$D" revoke --file "$DIR/file" --json > "$WORK/revoked"
	before=$(md5sum < "$DIR/file")
	same "all pages are taken" 32 "$(json 'data["pages"]' < "$WORK/revoked")"
	lost=$("$D" list --json | json 'data[0]["lost"]')
	same "the list tells" 131072 "$lost"
	check "the traffic goes on" traffic_goes_on
	sleep 3
	same "and reaches the file no more" "$before" "$(md5sum < "$DIR/file")"
	same "the file keeps its size and blocks" "1048576 2048" "$(stat -c '%s %b' "$DIR/file")"
	check "the traffic ends with status 0" traffic_ended_well
}

ynl()
{
	python3 "$TOOLS/ynl/cli.py" --spec "$TOOLS/specs/dax-retarget.yaml" --no-schema --output-json "$@"
}

group_ynl()
{
	make_file one 64K
	make_file two 64K
	regions -w 3 "$DIR/one" "$DIR/two"
	fallocate --punch-hole --offset 0 --length 4096 "$DIR/one"
	ynl --dump pin-get > "$WORK/ynl"
	"$D" list --json > "$WORK/list"
	same "YNL's client and list agree" \
		"$(json 'sorted((p["id"], p["device"], p["consumer"], p["handle"], p["pid"], p["comm"], p["access"], p["state"], p["pages"] * 4096, p["pages-retargeted"] * 4096, p["inode"], p["path"], p["offset"], p["length"], p["iova"]) for p in data)' < "$WORK/ynl")" \
		"$(json 'sorted((p["id"], p["device"], p["consumer"], p["handle"], p["pid"], p["comm"], p["access"], p["state"], p["size"], p["lost"], r["inode"], r["path"], r["offset"], r["length"], r["iova"]) for p in data for r in p["ranges"])' < "$WORK/list")"
	ynl --dump device-get > "$WORK/ynl"
	"$D" devices --all --json > "$WORK/devices"
	same "on devices, too" \
		"$(json 'sorted((d["name"], d["driver"], d.get("retargetable", False), d["pins"], d["bytes-pinned"], d["bytes-retargeted"], d["flushes"]) for d in data)' < "$WORK/ynl")" \
		"$(json 'sorted((d["name"], d["driver"], d["retargetable"], d["pins"], d["pinned"], d["lost"], d["flushes"]) for d in data)' < "$WORK/devices")"
	same "and on the status" "$(ynl --do status-get --json '{}' | json '(data.get("enabled", False), data["events"], data["events-lost"])')" \
		"$("$D" stats --json | json '(data["enabled"], data["events"], data["events_lost"])')"
	let_go
}

# A path as long as it gets must not keep others from being listed.
group_path()
{
	local part i deep
	part=$(printf 'd%.0s' {1..200})
	cd "$DIR" || return
	for ((i = 0; i < 19; i++)); do
		mkdir -p "$part" && cd "$part" || break
	done
	head -c 4096 /dev/zero > file
	# Its name is longer than one may give: from inside
	"$TOOLS/many_regions" "$DEVICE" 1 file < <(cd / && exec sleep 30) > "$WORK/deep" 2>&1 &
	deep=$!
	within 20 grep -q . "$WORK/deep"
	same "a path of 3800 bytes: list" 1 "$("$D" list --json | json 'len(data)')"
	# The client that asks without having asked anything before
	same "a path of 3800 bytes: a dump by a fresh socket" "1 0" "$(python3 - <<-'PYTHON'
	import socket, struct, sys
	sys.argv = ['x', '0']
	s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
	name = b'dax-retarget\0\0\0\0'
	s.send(struct.pack('IHHIIBBHHH', 20 + 20, 16, 1, 1, 0, 3, 1, 0, 17, 2) + name)
	d = s.recv(65536)[20:]
	while struct.unpack('HH', d[:4])[1] != 1:
	    d = d[struct.unpack('HH', d[:4])[0] + 3 & ~3:]
	family = struct.unpack('H', d[4:6])[0]
	s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
	s.send(struct.pack('IHHIIBBH', 20, family, 0x301, 1, 0, 1, 1, 0))
	messages, error = 0, None
	while error is None:
	    d = s.recv(65536)
	    while d:
	        length, kind = struct.unpack('IH', d[:6])
	        if kind == family:
	            messages += 1
	        else:
	            error = struct.unpack('i', d[16:20])[0]
	        d = d[length + 3 & ~3:]
	print(messages, error)
	PYTHON
	)"
	kill $deep
	wait $deep 2> /dev/null
	cd "$HERE" || return
	rm -rf "${DIR:?}/$part"
}

# vm/run looks at warnings.
kernel_errors()
{
	dmesg --level=emerg,alert,crit,err
}

group_fuzz()
{
	make_file file 64K
	regions -w 10 "$DIR/file"
	monitor "$WORK/events"
	kernel_errors > "$WORK/before"
	check "$FUZZ malformed messages: the kernel still answers" python3 "$HERE/fuzz_netlink.py" "$FUZZ" 1
	check "and as nobody" as_nobody python3 "$HERE/fuzz_netlink.py" $((FUZZ / 10)) 2
	kill $watcher
	wait $watcher
	same "the kernel's log has no error" "" \
		"$(kernel_errors | tail -n +$(($(lines "$WORK/before") + 1)) | head -n 5)"
	let_go
	check "none is left" within 10 none_left
}

group_faults()
{
	local injection=/sys/kernel/debug
	[ -d $injection/failslab ] || { skip "no memory for answers" "no CONFIG_FAILSLAB"; return; }
	echo N > $injection/failslab/ignore-gfp-wait
	echo 0 > $injection/failslab/verbose
	make_file file 64K
	regions -w 50 "$DIR/file"
	check "no memory for answers" python3 "$HERE/fuzz_netlink.py" --faults
	sed 's/^/# /' "$WORK/check"
	same "afterwards it lists as before" 50 "$("$D" list --json | json 'len(data)')"

	# They are sent by work items
	local lost worker
	events_lost() { "$D" stats --json | json 'data["events_lost"]'; }
	more_lost() { [ "$(events_lost)" -gt "$lost" ]; }
	lost=$(events_lost)
	monitor "$WORK/events"
	for worker in $(pgrep '^kworker/u'); do
		echo 1 > "/proc/$worker/make-it-fail"
	done 2> /dev/null
	echo Y > $injection/failslab/task-filter
	echo -1 > $injection/failslab/times
	echo 100 > $injection/failslab/probability
	truncate --size 32K "$DIR/file"
	within 20 more_lost
	sleep 1
	echo 0 > $injection/failslab/probability
	echo N > $injection/failslab/task-filter
	lost=$(($(events_lost) - lost))
	truncate --size 0 "$DIR/file"
	within 20 grep -q events_lost "$WORK/events"
	kill $watcher
	wait $watcher
	check "events there was no memory for are counted" test $lost -gt 0
	same "and the monitor says how many it missed" $lost \
		"$(json_lines "$WORK/events" 'sum(e.get("events_lost", 0) for e in data if "reason" not in e)')"
	let_go
	check "none is left" within 10 none_left
}

group_sanitize()
{
	local S=$TOOLS/dax-retarget-sanitized D=$TOOLS/dax-retarget-sanitized log=$WORK/sanitizers verb
	[ -x "$S" ] || { skip "sanitizers" "not built"; return; }
	export ASAN_OPTIONS=exitcode=99:detect_leaks=0 UBSAN_OPTIONS=exitcode=99:print_stacktrace=1
	make_file one 64K
	make_file two 64K
	regions -w 50 "$DIR/one" "$DIR/two"
	for verb in "list" "list -v" "list --json" "list -b -f $DIR/one" "list -d $DEVICE" "devices" \
		    "devices --all --json" "stats" "stats --json" "top -b -n 2 -d 0.5" "top -n 1" \
		    "doctor" "doctor --json $DEVICE $DIR/one /etc/passwd nonsense" \
		    "revoke -f $DIR/one -o 4K -l 4K" "revoke -d $DEVICE --json" "revoke -i 999999" \
		    "revoke -p $holder" "monitor -t 1" "list --nonsense" "nonsense" "--help" "list --help"; do
		# shellcheck disable=SC2086
		"$S" $verb > "$log" 2>&1
		status=$?
		if [ $status -lt 5 ] && ! grep -q 'Sanitizer\|runtime error' "$log"; then
			ok "sanitized: $verb (status $status)"
		else
			not_ok "sanitized: $verb" "status $status: $(head -n 15 "$log")"
		fi
	done
	monitor "$WORK/events" --count 40
	fallocate --punch-hole --offset 0 --length 4096 "$DIR/two"
	fallocate --punch-hole --offset 8192 --length 4096 "$DIR/two"
	"$D" list > /dev/null
	truncate -s 0 "$DIR/two"
	sleep 1
	kill $watcher 2> /dev/null
	wait $watcher
	same "sanitized: monitor" "0 " "$? $(grep -a Sanitizer "$WORK/events.err")"
	let_go
}

group_valgrind()
{
	local verb
	make_file file 64K
	regions -w 20 "$DIR/file"
	for verb in "list" "list --json" "devices" "stats --json" "top -b -n 1" "monitor -t 2" \
		    "doctor $DEVICE $DIR/file" "revoke -f $DIR/file -o 4K -l 4K"; do
		# Static objects of libnl and json-c stay, and are reachable
		# shellcheck disable=SC2086
		check "valgrind: $verb" valgrind -q --leak-check=full --errors-for-leak-kinds=definite,indirect \
			--error-exitcode=99 "$D" $verb
	done
	let_go
}

perf_events_in_use()
{
	[ -n "$(find /proc/[0-9]*/fd -lname '*perf_event*' -print -quit 2> /dev/null)" ]
}

# The lines of the administrator's guide, as they are there.
group_trace()
{
	local tool pattern line i tracing
	# What bpftrace takes from the headers or the BTF of a distribution's kernel
	local -x CPATH=$WORK/include
	mkdir -p "$CPATH/linux"
	cat > "$CPATH/linux/types.h" <<-HEADER
	typedef unsigned char u8, __u8;
	typedef unsigned short u16, __u16;
	typedef unsigned int u32, __u32;
	typedef unsigned long long u64, __u64;
	typedef signed int s32, __s32;
	typedef signed long long s64, __s64;
	typedef _Bool bool;
	typedef int pid_t;
	HEADER
	for tool in trace-cmd perf bpftrace; do
		line=$(sed -nE "s/^  # ($tool .*)/\1/p" "$TOOLS/dax-retarget.rst" | grep -v ib_write_bw)
		line=${line/sleep 60/sleep 20}
		make_file file 1M
		regions -w 1 "$DIR/file"
		( cd "$WORK" && exec timeout -s INT 100 bash -c "$line" ) > "$WORK/$tool" 2>&1 &
		tracer=$!
		tracing=0
		for ((i = 0; i < 100; i++)); do
			fallocate --punch-hole --offset $((i * 4096)) --length 4096 "$DIR/file"
			sleep 1
			kill -0 $tracer 2> /dev/null || break
			# trace-cmd ends by itself, the others are told when they have seen some
			perf_events_in_use && [ $((++tracing)) = 10 ] && kill -INT $tracer
		done
		wait $tracer
		case $tool in
		bpftrace) pattern='@pages\[.*\]: [1-9]' ;;
		*) pattern='dax_retarget_flush' ;;
		esac
		if grep -q "$pattern" "$WORK/$tool"; then
			ok "trace: $line"
		else
			not_ok "trace: $line" "$(tail -n 15 "$WORK/$tool")"
		fi
		let_go
	done
}

doctor_says()	# NAME TEXT ARGUMENT...
{
	local name=$1 text=$2 status
	shift 2
	"$D" doctor "$@" > "$WORK/doctor" 2>&1
	status=$?
	if [ $status = 1 ] && grep -q "FAIL .*$text" "$WORK/doctor"; then
		ok "doctor: $name"
	else
		not_ok "doctor: $name" "expected: $text; status $status
$(cat "$WORK/doctor")"
	fi
}

group_doctor()
{
	local pci type
	pci=$(basename "$(readlink -f /sys/class/dma/dma0chan0/device)")
	type=$(stat -f -c %T "$DIR")
	make_file file 64K
	case " $(cat /proc/cmdline) " in
	*' iommu=pt '*)
		doctor_says "iommu=pt" "passes DMA through"
		doctor_says "iommu=pt, of the device" "passed through\|no IOMMU translates" "$pci"
		return ;;
	*' dax_retarget=on '*) ;;
	*' dax_retarget='*)
		doctor_says "a nonsense mode" "dax_retarget=[a-z]*, which means nothing"
		return ;;
	*)
		doctor_says "parameter off" "was not turned on"
		"$D" list > "$WORK/list"
		same "list works with the parameter off" "0 1" "$? $(lines "$WORK/list")"
		return ;;
	esac

	check "doctor: a device that can" "$D" doctor "$pci"
	check "doctor: a file that can" "$D" doctor "$DIR/file"
	doctor_says "a file that is not DAX" "no DAX" /etc/passwd
	doctor_says "a file on tmpfs" "file system tmpfs" "$WORK/doctor"
	doctor_says "no such file" "No such file" "$DIR/nonsense"
	doctor_says "no regular file" "not a regular file" "$DIR"
	ip link add plain0 type dummy && ip link set plain0 up && ip address add 10.0.9.1/24 dev plain0 &&
		rdma link add plain type rxe netdev plain0
	doctor_says "plain rxe" "no DMA of its own" plain
	doctor_says "plain rxe among all" "no DMA of its own"
	rdma link delete plain
	if [ "$type" = xfs ]; then
		cp "$DIR/file" "$DIR/shared"
		xfs_io -c "reflink $DIR/file" "$DIR/shared" > "$WORK/reflink" 2>&1
		doctor_says "a reflinked file" "shares blocks" "$DIR/shared"
	fi
	ndctl create-namespace -f -m fsdax -e namespace1.0 > "$WORK/ndctl" 2>&1
	if [ -b /dev/pmem1 ] && dmsetup create line --table "0 $(blockdev --getsz /dev/pmem1) linear /dev/pmem1 0" 2> "$WORK/dm"; then
		dmsetup mknodes line	# udev would, where it runs
		mkdir -p /run/line
		mkfs.ext4 -q -F -b 4096 /dev/mapper/line && mount -o dax=always /dev/mapper/line /run/line
		head -c 64K /dev/zero > /run/line/file
		doctor_says "device mapper" "device mapper's line" /run/line/file
		umount /run/line
		dmsetup remove line
	else
		skip "doctor: device mapper" "no second namespace or no device mapper: $(cat "$WORK/ndctl" "$WORK/dm" 2> /dev/null | head -n 1)"
	fi
}

group_umount()
{
	make_file file 64K
	monitor "$WORK/events"
	python3 - "$DEVICE" "$DIR/file" "$WORK" <<-'PYTHON' &
	import ctypes, mmap, os, sys, time
	import pyverbs.enums as e
	from pyverbs.device import Context
	from pyverbs.mr import MR
	from pyverbs.pd import PD
	libc = ctypes.CDLL(None, use_errno=True)
	libc.mmap.restype = ctypes.c_void_p
	libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
	libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
	fd = os.open(sys.argv[2], os.O_RDWR)
	at = libc.mmap(None, 65536, 3, mmap.MAP_SHARED, fd, 0)
	pd = PD(Context(name=sys.argv[1]))
	mr = MR(pd, 65536, e.IBV_ACCESS_LOCAL_WRITE, address=at)
	libc.munmap(at, 65536)
	os.close(fd)
	open(sys.argv[3] + '/pinned', 'w').close()
	time.sleep(15)
	mr.close()
	PYTHON
	local owner=$! device type
	within 30 test -e "$WORK/pinned"
	device=$(findmnt -n -o SOURCE "$DIR")
	type=$(findmnt -n -o FSTYPE "$DIR")
	check "umount" umount "$DIR"
	"$D" list | sed 's/^/# /'
	same "the pin is there, the file is gone" "[(65536, True, None)]" \
		"$("$D" list --json | json '[(p["lost"], p["ranges"][0]["gone"], p["ranges"][0].get("file")) for p in data]')"
	events_are "umount" "evict:65536"
	mount -t "$type" -o "dax$([ "$type" = ext2 ] || echo "=always")" "$device" "$DIR"
	wait $owner
}

group_remove()
{
	local device
	make_file file 64K
	# The file system does not survive it, see remove-namespace.sh
	# shellcheck disable=SC2217
	sleep infinity < "$DIR/file" > /dev/null 2>&1 &
	disown
	regions -w 1 "$DIR/file"
	monitor "$WORK/events"
	umount -l "$DIR"
	for device in /sys/bus/nd/drivers/nd_pmem/pfn*; do
		[ "$(basename "$device")" != pfn1.0 ] || continue
		basename "$device" > /sys/bus/nd/drivers/nd_pmem/unbind
	done
	events_are "the namespace is removed" "remove:65536"
	let_go
}

groups=("$@")
[ ${#groups[@]} -gt 0 ] || groups=(list events json rights namespaces dumps storm traffic ynl path
	fuzz faults sanitize valgrind trace doctor umount remove)
echo "TAP version 13"
for group in "${groups[@]}"; do
	start=$SECONDS
	"group_$group"
	echo "# group $group: $((SECONDS - start)) s"
done
echo "1..$number"
rm -rf "$WORK"
exit $((failed > 0))
