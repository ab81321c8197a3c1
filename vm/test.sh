#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Some selftests in one guest: what a developer runs between two edits.
#
#   test.sh [--fs TYPE] [--mode MODE] [--arguments ARGUMENTS] [--limit SECONDS]
#           [TEST...]
#
# TEST is a test that run.sh of tools/testing/selftests/dax_retarget knows. Those that
# overwrite block devices, unmount or make memory fail may do so here, as the guest
# is thrown away. ARGUMENTS are for one test, which then runs alone.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

types=(xfs ext4 ext2 none)
fs=xfs mode=on arguments='' limit=1800

mapfile -t existing < <("$TOP/tools/testing/selftests/dax_retarget/run.sh" --list)

list()
{
	say "tests: ${existing[*]}"
	say "FS:    ${types[*]}"
	say "MODE:  ${!MODES[*]}"
}

wrong()
{
	say "${0##*/}: $*"
	list
	exit 2
}

one_of()	# VALUE WORD...
{
	local value=$1
	shift
	printf '%s\n' "$@" | grep -qxF -- "$value"
}

while [ $# -gt 0 ]; do
	case $1 in
	--fs|--mode|--arguments|--limit) [ $# -ge 2 ] || wrong "$1 needs a value" ;;
	-*) wrong "unknown option $1" ;;
	*) break ;;
	esac
	case $1 in
	--fs) fs=$2 ;;
	--mode) mode=$2 ;;
	--arguments) arguments=$2 ;;
	--limit) limit=$2 ;;
	esac
	shift 2
done
[ $# -gt 0 ] || wrong "which test? For example: make test T=truncate"
for name in "$@"; do
	one_of "$name" "${existing[@]}" || wrong "T=$name: no such test"
done
one_of "$fs" "${types[@]}" || wrong "FS=$fs: no such file system here"
one_of "$mode" "${!MODES[@]}" || wrong "MODE=$mode: no such mode"
[ -z "$arguments" ] || [ $# = 1 ] || wrong "ARGS=$arguments: for one test only"

guarded "$VM/setup.sh"

steps=(nics)
options=(--nvdimm 512M)
# Only scripts make file systems of their own.
case "$*" in
*.sh*)
	steps+=('spare 1' 'spare 2')
	options+=(--nvdimm 512M --nvdimm 512M)
	;;
*)
	steps+=(devdax)
	options+=(--nvdimm 64M)
	;;
esac
allowed='DAX_RETARGET_UMOUNT=1 DAX_RETARGET_EMERGENCY=1 DAX_RETARGET_POISON=1 DAX_RETARGET_REMOVE=1'
allowed+=" NICS='bash /share/engine-nics.sh'"
case "$* " in
*machine_check*)
	options+=(--qemu "$INTEL_CPU" --beside "$VM/memory-errors.sh")
	steps+=('memory_errors')
	;;
esac
case "$* " in
*controls.sh*) options+=(--allow 'WARNING:.*retarget') ;;
stress*) options+=(--allow 'EXT4-fs warning.*: error -5 ') ;;
esac
if [ -n "$arguments" ]; then
	steps+=("$allowed selftest $1 $arguments")
else
	steps+=("$allowed selftests $*")
fi
guarded "$VM/run" --share "$BENCH" --fs "$fs" --append "${MODES[$mode]}" --limit "$limit" \
	"${options[@]}" "$(guest_script "$mode" "${steps[@]}")"
