#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Controls of the stress test: it has to fail while the kernel leaves a step out.
# Runs after engine-nics.sh on a file system that nobody needs. TAP on stdout.
#
#   stress-controls.sh STRESS
#
# STRESS is the program, in the folder with the built selftests.
set -u

control()	# NAME BREAK
{
	local status=0

	with_broken "$2" "$stress" --time 60 --seed 1 > "$output" 2>&1 || status=$?
	if [ $status = 1 ] && grep -q 'FAILED after' "$output"; then
		grep -m1 'FAILED after' "$output" | ktap_comment
		ktap_test_pass "stress: $1"
	else
		tail -n 20 "$output" | ktap_comment
		ktap_test_fail "stress: $1: not noticed, or something else, status $status"
	fi
}

stress=${1?the program}
. "$(dirname "$stress")/lib.sh"
trap mend EXIT
if ! can_break; then
	echo "stress-controls: no test switches: not root, or no CONFIG_DAX_RETARGET_TEST" >&2
	exit 1
fi

output=$(mktemp)
ktap_print_header
control "hook skipped" hook
control "flush left out" flush
rm -f "$output"
ktap_end
