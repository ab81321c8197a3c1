#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Run all tests of DAX retarget as one TAP stream, with a total.

usage()
{
	cat <<USAGE
Usage: run.sh [--expect on|off|pt|noengine] [--controls] [TEST...]

  --expect	what this machine should do, see refusal.c
  --controls	also break the kernel on purpose, see controls.sh
  TEST		only these programs

Needs root. From the environment:
  DAX_RETARGET_DIR	folder on a file system mounted with DAX (/mnt)
  DAX_RETARGET_DEV	RDMA device (the first)
  DAX_RETARGET_DEV2	another one (the second)
  DAX_RETARGET_RACES	number of races in race.c (20)
  DAX_RETARGET_UMOUNT	the folder may be unmounted and mounted again (not set)
  DAX_RETARGET_EMERGENCY	as may all others be made read-only, by SysRq (not set)

Not run, as they overwrite block devices or take memory away for good; each says
what it needs: equivalence.sh, filesystems.sh, poison, removal, huge.
USAGE
}

cd "$(dirname "$0")" || exit 1
expect=() controls='' tests=() number=0 passed=0 failed=0 skipped=0

while [ $# -gt 0 ]; do
	case $1 in
	--expect) expect=(--expect "$2"); shift ;;
	--controls) controls=1 ;;
	-h|--help) usage; exit 0 ;;
	-*) usage >&2; exit 1 ;;
	*) tests+=("$1") ;;
	esac
	shift
done
if [ ${#tests[@]} = 0 ]; then
	tests=(refusal truncate reuse largepage region lifetime scratch window
	       race reflink shrink readonly durability fail_nth security
	       umount)
	[ -z "$controls" ] || tests+=(controls.sh)
fi

result()	# VERDICT TEXT
{
	number=$((number + 1))
	echo "$1 $number $2"
	case $1,$2 in
	ok,*"# SKIP"*) skipped=$((skipped + 1)) ;;
	ok,*) passed=$((passed + 1)) ;;
	*) failed=$((failed + 1)) ;;
	esac
}

# Results of a program are numbered anew, all else it says is comment.
report()	# TEST < OUTPUT
{
	local line
	while IFS= read -r line; do
		if [[ $line =~ ^(ok|not\ ok)\ [0-9]+\ (.*) ]]; then
			result "${BASH_REMATCH[1]}" "$1: ${BASH_REMATCH[2]}"
		elif [[ $line =~ ^1\.\.0\ (#\ SKIP.*) ]]; then
			result ok "$1 ${BASH_REMATCH[1]}"
		elif [[ ! $line =~ ^(TAP\ version|1\.\.) ]]; then
			echo "# ${line#\# }"
		fi
	done
}

echo "TAP version 13"
output=$(mktemp)
trap 'rm -f "$output"' EXIT
for test in "${tests[@]}"; do
	arguments=()
	[ "$test" != refusal ] || arguments=("${expect[@]}")
	before=$failed reported=$number
	"./$test" "${arguments[@]}" > "$output" 2>&1
	status=$?
	report "$test" < "$output"
	# A program that fails says which test did, or did not get that far.
	if [ $number = $reported ] ||
	   { [ $status != 0 ] && [ $status != 4 ] && [ $failed = "$before" ]; }; then
		result "not ok" "$test: ended with status $status"
	fi
done
echo "1..$number"
echo "# $passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
