# SPDX-License-Identifier: GPL-2.0-only
#
# How a test run is put together from parts, each a program that speaks TAP, and
# its last line; sourced by those that run several.
# shellcheck shell=bash

results=$LOGS/${0##*/}.tap
bench=$TOP/tools/testing/dax_retarget

# What may be skipped, by its reason, a regular expression. A test that is skipped
# where it should run would hide for ever what it tests.
may_skip='^$'

# part NAME COMMAND...: run COMMAND, keep its TAP. That it ends well is a test
# too; where it fails since a test of its own did, that one is counted already.
part()
{
	# shellcheck disable=SC2034 # elapsed reads start
	local name=$1 status=0 start=$SECONDS tap=$results.part
	shift
	say "== $name"
	guarded "$@" | tee "$tap" || status=$?
	if [ $status = 0 ]; then
		echo "ok 1 $name ended well after $(elapsed SECONDS-start)"
	elif [ $status -ge 124 ] || ! grep -q '^not ok' "$tap"; then
		echo "not ok 1 $name ended with status $status"
	fi | tee -a "$tap"
	{ grep -E '^(ok .*|1\.\.0 )# SKIP' "$tap" || true; } | { grep -vE "$may_skip" || true; } |
		sed 's/^/not ok 1 skipped, and must not be: /; s/# SKIP/SKIP:/' | tee -a "$tap"
	cat "$tap" >> "$results"
}

# The second NVDIMM is for a device-dax namespace.
guest()	# NAME vm/run-argument...
{
	local name=$1
	shift
	part "guest, $name" "$VM/run" --share "$bench" --nvdimm 512M --nvdimm 64M "$@"
}

sum()
{
	awk '
	/^ok .*# SKIP/ || /^1\.\.0 # SKIP/ { skipped++; next }
	/^ok / { passed++ }
	/^(not ok|Bail out!)/ { failed++ }
	END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed > 0 }
	' "$results"
}
