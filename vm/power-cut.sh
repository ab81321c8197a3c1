#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Cut the power of a guest at random points of its work with registered files,
# boot it again from the same persistent memory, and see that nothing is lost
# that was synced, that nothing is registered, and that the file system is clean.
#
# The power is cut by SIGKILL to QEMU. The NVDIMM is a file on the host, mapped:
# all that CPU and devices of the guest have stored by then is in it, also what
# would still be in the caches of a real CPU. So this is a machine whose caches
# belong to the persistence domain (eADR). What it tests is the state of the file
# system: that an allocation, a size or a name that was synced with device-written
# data is on the medium, that freed blocks and deleted inodes under registrations
# are recovered, and that no device wrote to blocks that were freed. That caches
# are written back where they have to be is the subject of the selftest
# durability.c.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

usage()
{
	cat <<USAGE
Usage: vm/power-cut.sh [option...]

Cut the power of a guest under stress, boot it again, check. TAP on stdout.

  --cuts N      how many times (default 100)
  --seed SEED   of the times of the cuts and of the work (default: a new one)
  --fs TYPE     xfs or ext4 (default: in turn)
  --controls    instead, have the guest promise what it has not synced, or the
                kernel leave its hooks out: the checks have to fail

The persistent memory and the last output of a guest that failed are kept.
USAGE
}

# When the power is cut, in ms of work
earliest=2000 latest=20000

cuts=100 seed=$RANDOM types=(xfs ext4) controls=''
while [ $# -gt 0 ]; do
	case $1 in
	-h|--help) usage; exit 0 ;;
	--controls) controls=1; shift; continue ;;
	--cuts|--seed|--fs) [ $# -ge 2 ] || die "$1 needs a value" ;;
	*) usage >&2; die "unknown option $1" ;;
	esac
	case $1 in
	--cuts) cuts=$2 ;;
	--seed) seed=$2 ;;
	--fs) types=("$2") ;;
	esac
	shift 2
done
[[ $cuts =~ ^[1-9][0-9]*$ ]] || die "--cuts $cuts: not a number"
[[ $seed =~ ^[0-9]+$ ]] || die "--seed $seed: not a number"
[[ ${types[*]} =~ ^(xfs|ext4|xfs ext4)$ ]] || die "--fs ${types[*]}: neither xfs nor ext4"
# So that several can run at a time
work=$CACHE/power-cut/$(IFS=-; echo "${types[*]}")${controls:+-controls}

finish()
{
	jobs -p | xargs -r kill 2>/dev/null || true
	wait
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir -p "$work"
exec {lock}<"$work"
flock -n "$lock" || die "$work: in use by another run"
rm -rf "${work:?}"/*

number=0 failed=0 boots=0 done=0 records=0 files=0 deleted=0
declare -A last_cut=()	# of each type of file system

result()	# VERDICT NAME
{
	number=$((number + 1))
	echo "$1 $number $2"
	[ "$1" = ok ] || failed=$((failed + 1))
}

pause()		# SECONDS; a signal ends it
{
	sleep "$1" {lock}<&- &
	wait $!
}

# The guest may end before it works.
await_work()	# OUTPUT
{
	until grep -qs '^working' "$1"; do
		kill -0 "$guest" 2>/dev/null || return 1
		pause 0.2
	done
}

# Those that left the guest whole
promises()	# OUTPUT
{
	local line
	while read -r line; do
		case $line in record\ *|file\ *|gone\ *) echo "$line" ;; esac
	done < "$1"
}

# boot TYPE SECONDS [VARIABLE=VALUE...]: have the guest check what there is, then
# work, and cut its power after SECONDS of that. With "last" it ends after the
# check. Leaves $status, which is 137 after a cut.
boot()
{
	local type=$1 seconds=$2 dir=$work/$1 script guest
	shift 2
	boots=$((boots + 1))
	mkdir -p "$dir/nvdimm"
	rm -f "$dir"/{output,qemu.pid}
	script="$* ./power-cut.sh /image/selftests/dax_retarget /run/vm/promises"
	script+=" $boots $((seed + boots)) $seconds"

	# Not guarded(), so that it is this process that is waited for.
	setpriv --pdeathsig TERM "$VM/run" --fs "$type" --append dax_retarget=on \
		--share "$BENCH" --dir "$dir" --keep "$dir/nvdimm" \
		--qemu "-pidfile $dir/qemu.pid" "${run_options[@]}" \
		"$script" > /dev/null 2> "$dir/errors" {lock}<&- &
	guest=$!
	if [ "$seconds" != last ] && await_work "$dir/output"; then
		pause "$seconds"
		! kill -0 "$guest" 2>/dev/null || kill -KILL "$(cat "$dir/qemu.pid")" || true
	fi
	status=0
	wait "$guest" || status=$?
	[ $status != 137 ] || promises "$dir/output" > "$dir/promises"
}

# All but the promises, as comment
show()		# TYPE
{
	grep -vsE '^(record|file|gone) ' "$work/$1/output" | sed 's/^#* */# /'
	sed 's/^/# /' "$work/$1/errors"
}

kept()		# TYPE KIND: how many promises of that kind were kept
{
	sed -nE "s/^ok [0-9]+ ([0-9]+) of [0-9]+ $2 are .*/\1/p" "$work/$1/output"
}

# Has the last boot gone as it should? Then the cut before it was checked.
judge()		# TYPE STATUS
{
	local type=$1 cut=${last_cut[$1]-} r f d

	# Without promises it was no test.
	if [ $status != "$2" ] || { [ $status = 137 ] && [ ! -s "$work/$type/promises" ]; }; then
		show "$type"
		result "not ok" "$type: ${cut:-new file system}: the boot after that: status $status"
		say "kept: $work/$type"
		return 1
	fi
	if [ -n "$cut" ]; then
		r=$(kept "$type" records)
		f=$(kept "$type" files)
		d=$(kept "$type" "deleted files")
		records=$((records + r)) files=$((files + f)) deleted=$((deleted + d))
		result ok "$type: $cut: $r records, $f files, $d deleted files"
	fi
}

cut_power()
{
	local cut type ms seconds
	RANDOM=$seed
	for ((cut = 1; cut <= cuts; cut++)); do
		type=${types[(cut - 1) % ${#types[@]}]}
		ms=$((earliest + RANDOM % (latest - earliest)))
		seconds=$((ms / 1000)).$(printf %03d $((ms % 1000)))
		boot "$type" "$seconds"
		judge "$type" 137 || return
		done=$cut
		last_cut[$type]="cut $cut after $seconds s"
	done
	for type in "${!last_cut[@]}"; do
		boot "$type" last
		judge "$type" 0 || return
	done
}

# control TYPE NAME REASON VARIABLE=VALUE...: a cut whose check has to fail
control()
{
	local type=$1 name="$1: $2" reason=$3
	shift 3
	rm -rf "${work:?}/$type"
	boot "$type" 8 "$@"
	[ $status != 137 ] || boot "$type" last
	if [ $status = 1 ] && grep -qE "$reason" "$work/$type/output"; then
		grep -m1 -E "$reason" "$work/$type/output"
		result ok "$name"
	else
		show "$type"
		result "not ok" "$name: not noticed, or something else, status $status"
	fi
}

echo "TAP version 13"
run_options=()
if [ -n "$controls" ]; then
	for type in "${types[@]}"; do
		control "$type" "promised without a sync" 'PROMISE BROKEN' DAX_RETARGET_NO_SYNC=1
		run_options=(--allow 'WARNING:.*dax_retarget_assert_gone')
		control "$type" "hooks skipped" 'STRAY DATA' DAX_RETARGET_BREAK=hook
		run_options=()
	done
else
	cut_power || true
	echo "# $done cuts in $(elapsed SECONDS), seed $seed. Synced and there: $records records," \
		"$files files; synced and gone: $deleted deleted files"
fi
echo "1..$number"
[ $failed = 0 ] || exit 1
rm -rf "${work:?}"/*
