#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The stress test has to fail when the kernel is broken. Runs after
# engine-nics.sh on a file system that is to be thrown away.
#
#   stress-controls.sh STRESS
set -u

switch=/sys/kernel/debug/dax_retarget/break
output=$(mktemp)
number=0 failed=0

control()	# NAME STEP
{
	number=$((number + 1))
	echo "$2" > $switch
	"$stress" --time 60 --seed 1 > "$output" 2>&1
	local status=$?
	echo 0 > $switch
	if [ $status = 1 ] && grep -q 'FAILED after' "$output"; then
		grep -m1 'FAILED after' "$output" | sed 's/^#* */# /'
		echo "ok $number stress: $1"
	else
		tail -n 20 "$output" | sed 's/^/# /'
		echo "not ok $number stress: $1: not noticed, or something else, status $status"
		failed=$((failed + 1))
	fi
}

stress=${1?the program}
[ -w $switch ] || { echo "stress-controls: no $switch: not root, or no CONFIG_DAX_RETARGET_TEST" >&2; exit 1; }
control "hook skipped" 1
control "flush left out" 2
echo "1..$number"
rm -f "$output"
exit $((failed > 0))
