#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel's own tests of what long-term pins may be of, and of iommufd, say the
# same with the feature on as with it off. TAP on stdout.
#   kernel-tests.sh LOG LOG: of two guests that ran them
set -euo pipefail

said()	# LOG TEST
{
	grep "^# kernel test: $2: " "$1"
}

status=0
echo "1..2"
for test in gup_longterm iommufd; do
	if difference=$(diff <(said "$1" $test) <(said "$2" $test)) &&
	   said "$1" $test | grep -q ': ok'; then
		echo "ok 1 $test: the same, $(said "$1" $test | wc -l) times"
	else
		echo "not ok 1 $test: not the same, or nothing"
		sed 's/^/# /' <<< "$difference"
		status=1
	fi
done
exit $status
