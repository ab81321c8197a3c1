#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What a machine does between two power cuts: check what the last one left of the
# file system, then work until the next one. See fsynced.c for the work. Prints
# TAP, then a line "working" and a line for each promise.
#
#   power-cut.sh SELFTESTS PROMISES BOOT SEED [last]
#
# SELFTESTS is the folder with the built selftests. PROMISES is a file with what
# was promised before the cut; without that file, there was no cut. BOOT is the
# number of the boot. With "last", the machine only checks. All files on the file
# system that is mounted at DIR are deleted.
#
# With DAX_RETARGET_BREAK, the kernel leaves the step of that name out while it
# works.
set -u

DIR=${DIR:-/mnt}
stats=/sys/kernel/debug/dax_retarget/stats

# The statistics count since boot, so regions that ended show as well.
nothing_registered()
{
	[ -r $stats ] && ! grep -v ' 0$' $stats
}

log_replayed()
{
	dmesg | grep -E 'XFS .*: Ending recovery|EXT4-fs .*: (recovery complete|.*orphan)'
}

# The results of the check are results of this script, under their own names.
report_promises()
{
	local line checked=1

	while IFS= read -r line; do
		case $line in
		ok\ *) ktap_test_pass "${line#ok * }"; checked=0 ;;
		not\ ok\ *) ktap_test_fail "${line#not ok * }" ;;
		\#*) echo "$line" ;;
		esac
	done < <(DAX_RETARGET_DIR=$DIR "$selftests/fsynced" check "$promises" 2>&1)
	ktap_test_result "the promises were checked" test $checked = 0
}

file_system_clean()
{
	local source type options
	read -r source type options < <(findmnt -nro SOURCE,FSTYPE,OPTIONS "$DIR")
	umount "$DIR" || return
	check_file_system "$type" "$source" || return
	mount -t "$type" -o "$options" "$source" "$DIR"
}

if [ $# -lt 4 ] || [ ! -x "$1/fsynced" ]; then
	echo "Usage: $0 SELFTESTS PROMISES BOOT SEED [last], see the head of this file" >&2
	exit 1
fi
selftests=$1 promises=$2 boot=$3 seed=$4
. "$selftests/lib.sh"

ktap_print_header
check "nothing is registered after boot" nothing_registered
if [ -e "$promises" ]; then
	check "the log was replayed" log_replayed
	report_promises
	check "the file system is clean" file_system_clean
fi
ktap_set_plan $((KTAP_TESTNO - 1))
ktap_print_totals
[ "$KTAP_CNT_FAIL" = 0 ] || exit 1
[ "${5-}" != last ] || exit 0

"$(dirname "$0")/engine-nics.sh" > /dev/null || exit
rm -rf "$DIR/dax_retarget.test"
export DAX_RETARGET_DIR=$DIR
${DAX_RETARGET_BREAK:+with_broken "$DAX_RETARGET_BREAK"} "$selftests/fsynced" work "$boot" "$seed"
