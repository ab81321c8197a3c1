# SPDX-License-Identifier: GPL-2.0-only
#
# The command, built with the sanitizers of addresses, leaks and undefined behaviour.
# shellcheck shell=bash disable=SC2154

# The command may fail, but not by a signal or a sanitizer.
is_sane()	# COMMAND...
{
	local log=$WORK/sanitizers status
	"$@" > "$log" 2>&1
	status=$?
	head -n 15 "$log"
	[ $status -lt 5 ] && ! grep -q 'Sanitizer\|runtime error' "$log"
}

group_sanitize()
{
	local S=$TOOLS/dax-retarget-sanitized D=$TOOLS/dax-retarget-sanitized verb
	if [ ! -x "$S" ]; then
		ktap_skip "sanitizers" "not built"
		return
	fi
	export ASAN_OPTIONS=exitcode=99:detect_leaks=1 UBSAN_OPTIONS=exitcode=99:print_stacktrace=1
	make_file one 64K
	make_file two 64K
	regions -w 50 "$DIR/one" "$DIR/two"
	for verb in "list" "list -v" "list --json" "list -b -f $DIR/one" "list -d $DEVICE" "devices" \
		    "devices --all --json" "stats" "stats --json" "top -b -n 2 -d 0.5" "top -n 1" \
		    "doctor" "doctor --json $DEVICE $DIR/one /etc/passwd nonsense" \
		    "revoke -f $DIR/one -o 4K -l 4K" "revoke -d $DEVICE --json" "revoke -i 999999" \
		    "revoke -p $holder" "monitor -t 1" "list --nonsense" "nonsense" "--help" "list --help"; do
		# shellcheck disable=SC2086
		check "sanitized: $verb" is_sane "$S" $verb
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
