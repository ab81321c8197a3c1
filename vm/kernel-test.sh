#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# One of the kernel's own tests says the same with the feature on as with it off. TAP
# on stdout.
#   kernel-test.sh TEST LOG LOG: of two guests that ran it, see guest-lib.sh
set -euo pipefail

said()	# LOG
{
	grep "^# kernel test: $test: " "$1"
}

test=$1
echo "1..1"
if difference=$(diff <(said "$2") <(said "$3")) && said "$2" | grep -q ': ok'; then
	echo "ok 1 $test: the same, $(said "$2" | wc -l) times"
else
	echo "not ok 1 $test: not the same, or nothing"
	sed 's/^/# /' <<< "$difference"
	exit 1
fi
