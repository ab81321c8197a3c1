# SPDX-License-Identifier: GPL-2.0-only
#
# What the groups of command.sh share: files and regions to look at, the monitor in
# the background, and looks into JSON.
# shellcheck shell=bash disable=SC2034

# shellcheck source=../traffic.sh
. "$HERE/traffic.sh"
TOOLS=${TOOLS:-/image/tools}
SELFTESTS=${SELFTESTS:-/image/selftests/dax_retarget}
# shellcheck source=../../selftests/dax_retarget/lib.sh
. "$SELFTESTS/lib.sh"

D=$TOOLS/dax-retarget
WORK=$(mktemp -d)

# Python with the modules of this folder, into which it writes nothing.
python()	# ARGUMENT...
{
	PYTHONPATH=$HERE PYTHONDONTWRITEBYTECODE=1 python3 "$@"
}

# Print a Python expression over the JSON on stdin, which is in "data".
json()		# EXPRESSION < JSON
{
	python3 -c 'import json, sys
data = json.load(sys.stdin)
print('"$1"')'
}

# The same over a file with a JSON value on each line; "data" is the list of them.
json_lines()	# FILE EXPRESSION
{
	python3 -c 'import json, sys
data = [json.loads(line) for line in open(sys.argv[1])]
print('"$2"')' "$1"
}

valid()		# SCHEMA FILE [lines]
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

lines()		# FILE
{
	wc -l < "$1"
}

has_lines()	# FILE NUMBER
{
	[ "$(lines "$1")" -ge "$2" ]
}

# Print how long a command takes; its output goes to $WORK/timed.
seconds()	# COMMAND...
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

# Start a process that holds regions until let_go, see many_regions.c.
regions()	# [-u] [-w] NUMBER FILE...
{
	local options=()
	while [[ $1 = -* ]]; do
		options+=("$1")
		shift
	done
	rm -f "$WORK/go"
	mkfifo "$WORK/go"
	"$TOOLS/many_regions" "${options[@]}" "$DEVICE" "$@" < "$WORK/go" > "$WORK/regions" 2>&1 &
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

as_nobody()	# COMMAND...
{
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

# Start a process that holds a region as another user until it is killed; its
# number is in "user". It does not get the FIFO that ends the other regions.
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

# Print how many sockets listen to events of generic netlink.
listeners()
{
	awk '$2 == 16 && $4 != "00000000"' /proc/net/netlink | wc -l
}

more_listen()	# BEFORE
{
	[ "$(listeners)" -gt "$1" ]
}

# Start the monitor, and wait until it listens.
monitor()	# FILE OPTION...
{
	local file=$1 before
	shift
	before=$(listeners)
	"$D" monitor --json "$@" > "$file" 2> "$file.err" &
	watcher=$!
	within 20 more_listen "$before" ||
		echo "# the monitor does not listen: $(cat "$file.err")"
}

# End the monitor, and compare what it saw with EXPECTED: "REASON:BYTES ...".
events_are()	# NAME EXPECTED
{
	# After the events that are expected, there is time for more.
	within 20 has_lines "$WORK/events" "$(wc -w <<< "$2")"
	sleep 1
	kill -TERM $watcher
	wait $watcher
	same "$1: monitor ends with status 0" 0 $?
	same "$1: events" "$2" \
		"$(json_lines "$WORK/events" '" ".join("%s:%d" % (e["reason"], e["taken"]) if "reason" in e else "LOST" for e in data)')"
	check "$1: JSON is valid" valid monitor "$WORK/events" lines
}
