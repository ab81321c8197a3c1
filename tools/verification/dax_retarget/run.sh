#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Check the model of DAX retarget. See usage() below.
set -euo pipefail

usage()
{
	cat << 'END'
Usage: run.sh [--long] [REGEX]

Checks the model of DAX retarget, dax_retarget.pml, with spin. TAP on stdout:

  holds ...    the model with all its steps, all states within some bounds: no
               check fails, no task waits for ever
  ends ...     an operation that begins ends, however tasks are scheduled (weak
               fairness)
  reached ...  an event is possible, so that the checks see the event
  broken ...   a step left out or reordered gives the expected counterexample
  limit ...    a known property of the protocol that is not an error

  --long       wider bounds as well: some minutes and 2 GB of memory more
  REGEX        only tests whose names match, without "reached: all of the model",
               which needs the results of the others

Exits with 0 if all tests pass.
END
}

long=false wanted=
while [ $# -gt 0 ]; do
	case $1 in
	-h|--help)	usage; exit ;;
	--long)		long=true ;;
	-*)		usage >&2; exit 2 ;;
	*)		wanted=$1 ;;
	esac
	shift
done

for tool in spin gcc; do
	command -v $tool > /dev/null && continue
	echo "run.sh: there is no $tool: install the package $tool" >&2
	exit 2
done

model=$(cd "$(dirname "$0")" && pwd)/dax_retarget.pml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$model" .

# Tasks whose lines must all be reached. Not removal: its copy of hook() has lines
# for blocks that stay in a file, and removal lets no block stay.
tasks="truncate revoke pinner munmap entry flush_queue"

number=0 failed=0
begin()	# NAME
{
	[[ $1 =~ $wanted ]] || return 1
	number=$((number + 1))
	name=$1
}

pass()
{
	echo "ok $number $name"
}

fail()	# REASON
{
	failed=$((failed + 1))
	echo "not ok $number $name"
	echo "# $1"
	grep -Ei -m 10 'error|warning|pan:' log | sed 's/^/# /' || true
}

# Make the checker ./pan of the model
build()	# MACROS GCC-OPTION...
{
	local -a macros
	read -ra macros <<< "$1"
	shift
	rm -f pan pan.* ./*.trail
	spin "${macros[@]}" -a dax_retarget.pml > log 2>&1 &&
		gcc -w -DMEMLIM=3500 -DCOLLAPSE "$@" -o pan pan.c > log 2>&1
}

check()	# PAN-OPTION...
{
	nice ./pan "$@" > log 2>&1 || true
}

# Was the search complete, and without an error?
complete()
{
	grep -q 'errors: 0$' log &&
		! grep -Eqi 'max search depth too small|out of memory|not completed|MEMLIM|VECTORSZ|^error' log
}

states()
{
	awk '/states, stored/ { print $1; exit }' log
}

trail()
{
	sed -n 's/^pan:1:.*at depth \([0-9]*\)).*/\1/p' log
}

# Source lines that were not reached, except the ends of endless tasks
unreached()
{
	awk '/^unreached in/ { task = $4 }
	     /^\t.*, state/ && !/-end-/ {
		sub(/^.*:/, "", $1)
		print task, $1 + 0
	     }' log
}

holds()	# NAME MACROS
{
	begin "holds $1" || return 0
	build "$2" -O2 -DSAFETY -DNOCLAIM || { fail "cannot be built"; return; }
	check -m100000
	if ! complete; then
		fail "the model is wrong, or was not seen as a whole"
		return
	fi
	pass
	echo "# states $(states)"
	unreached | sort -u > "unreached-$number"
	for task in $tasks; do
		if grep -q "^unreached in proctype $task$" log; then
			echo $task
		fi
	done > "tasks-$number"
}

# Each line of the tasks is reached within some of the bounds above
all_reached()
{
	local task files line left=
	[ -z "$wanted" ] && begin "reached: all of the model" || return 0
	for task in $tasks; do
		files=$(grep -lx $task tasks-* 2> /dev/null | sed 's/tasks/unreached/') || true
		if [ -z "$files" ]; then
			left+=" all of $task"
			continue
		fi
		# shellcheck disable=SC2086 # several files
		for line in $(cat $files | awk -v task=$task -v n="$(wc -w <<< "$files")" \
				'$1 == task && ++seen[$2] == n { print $2 }'); do
			sed -n "${line}p" dax_retarget.pml | grep -q '/\* never \*/' ||
				left+=" $task:$line"
		done
	done
	: > log
	if [ -z "$left" ]; then pass; else fail "not reached:$left"; fi
}

ends()	# NAME MACROS FORMULA...
{
	local formula of=$1 defines=$2 built=
	shift 2
	for formula; do
		begin "ends $formula: $of" || continue
		if [ -z "$built" ]; then
			build "-DLIVENESS $defines" -O2 -DNFAIR=3 ||
				{ fail "cannot be built"; continue; }
			built=yes
		fi
		check -a -f -m1000000 -N "$formula"
		if complete; then
			pass
			echo "# states $(states)"
		else
			fail "it need not end, or not all was seen"
		fi
	done
}

# The shortest counterexample is of the expected kind
violates()	# NAME MACROS ERROR
{
	local found
	begin "$1" || return 0
	build "$2" -O0 -DSAFETY -DNOCLAIM -DBFS || { fail "cannot be built"; return; }
	check
	found=$(sed -n 's/^pan:1: \(.*\) (at depth .*/\1/p' log)
	case $found in
	"assertion violated ($3"*|"$3") ;;
	*)	fail "expected: $3, found: ${found:-nothing}"; return ;;
	esac
	pass
	echo "# ${4-$3}, trail $(trail) steps, states $(states)"
}

broken()	# STEP MACROS ERROR
{
	local name="broken BREAK_$1"
	[[ $2 != *NO_INV4* ]] || name+=", invariant 4 not checked"
	violates "$name" "-DBREAK_${1// / -D} $2" "$3"
}

# A step that another step makes up for
made_up_for()	# STEP MACROS
{
	begin "limit BREAK_$1 alone does no harm" || return 0
	build "-DBREAK_$1 $2" -O0 -DSAFETY -DNOCLAIM || { fail "cannot be built"; return; }
	check -m100000
	if complete; then
		pass
		echo "# states $(states)"
	else
		fail "it does"
	fi
}

never_ends()	# NAME MACROS FORMULA
{
	begin "$1" || return 0
	build "-DLIVENESS $2" -O0 -DNFAIR=3 || { fail "cannot be built"; return; }
	check -a -f -m1000000 -N "$3"
	if grep -q '^pan:1: acceptance cycle' log; then
		pass
		echo "# $3 does not hold, trail $(trail) steps, states $(states)"
	else
		fail "expected a cycle"
	fi
}

holds "three hooks" "-DREVOKES=1 -DREMOVALS=1 -DMUNMAPS=0"
holds "truncation, removal, munmap" "-DREMOVALS=1"
holds "two pins in a row, truncation, revocation, munmap" "-DROUNDS=2 -DREVOKES=1"
holds "two pages, two truncations, munmap" "-DPAGES=2 -DTRUNCATES=2"
holds "two pins at once, one IOVA, truncation" "-DPINS=2 -DMUNMAPS=0"
holds "the device writes for ever" "-DENDLESS_DEVICE"
if $long; then
	holds "three hooks, munmap" "-DREVOKES=1 -DREMOVALS=1"
	holds "two pages, truncation, revocation, munmap" "-DPAGES=2 -DREVOKES=1"
	holds "two pins at once, two IOVAs, truncation" "-DPINS=2 -DIOVAS=2 -DMUNMAPS=0"
	holds "two pins of different pages at once, truncation" \
		"-DPINS=2 -DMUNMAPS=0 -DSTRIDE=1 -DFILE_PAGES=2"
	holds "two pins at once, one IOVA, truncation, munmap" "-DPINS=2"
fi

ends "though the user never goes on" "" truncate_ends end_ends
ends "the user goes on" "-DSTALLS=0" register_ends
ends "two hooks" "-DREVOKES=1 -DTRUNCATES=1 -DMUNMAPS=0 -DSTALLS=0" revoke_ends truncate_ends
ends "the user goes on" "-DREMOVALS=1 -DTRUNCATES=0 -DSTALLS=0" removal_ends
ends "the device writes for ever" "-DENDLESS_DEVICE" truncate_ends end_ends
ends "punched for ever" "-DSTEADY -DMUNMAPS=0 -DSTALLS=0" register_ends end_ends truncate_ends

reached()	# EVENT MACROS
{
	violates "reached: $1" "-DREACHED=$1 $2" "(" "an example"
}

all_reached
reached writes_block ""
reached writes_scratch ""
reached flush_waits_for_write ""
reached marks_while_registering ""
reached maps_marked_page ""
reached second_hook_before_flush "-DREMOVALS=1 -DMUNMAPS=0"
reached hook_meets_unmapped ""
reached hook_meets_dead ""
reached iova_used_again "-DROUNDS=2"
reached translation_after_unmap ""
reached fault_waits_for_truncate "-DPAGES=2"
reached truncate_waits_for_pages ""
reached trims_marked_page "-DPAGES=2"
reached removal_takes_page "-DREMOVALS=1 -DMUNMAPS=0"

# The marks on pages that are being registered
broken MARK "" inv1_after_hook
broken PENDING_MARK "" inv1_after_hook
# The flush
broken FLUSH "" inv1_after_hook
broken FLUSH_FIRST "" inv1_after_hook
broken SECOND_HOOK "-DREMOVALS=1 -DMUNMAPS=0" inv1_after_hook
broken MAP_FLUSH "" inv1_after_hook
broken DRAIN "" inv4_translation_at_leave
broken DRAIN -DNO_INV4 inv1_
# The end
broken END_ORDER "" inv4_translation_at_leave
broken END_ORDER -DNO_INV4 inv1_
broken END_FLUSH "" inv4_translation_at_leave
broken END_FLUSH -DNO_INV4 inv1_
broken END_MUTEX "" inv6_replace_failed
broken SCRATCH_EARLY "" scratch_freed
broken HOOK_RWSEM "" domain_freed
broken IOVA_EARLY "-DPINS=2 -DTRUNCATES=0 -DMUNMAPS=0 -DSTRIDE=1 -DFILE_PAGES=2" \
	inv3_page_of_another
# Registration
broken REGISTER_AFTER_DROP "" inv4_unknown_at_drop
broken REGISTER_AFTER_DROP -DNO_INV4 inv1_
broken REGISTER_AFTER_GUP "" inv1_
broken KEEP_REFS "" "invalid end state"
broken MUTEX_GUP "" "invalid end state"
broken TRIM_MARKS "-DPAGES=2" inv3_scratch_without_hook
broken TRIM_ORDER "-DPAGES=2" inv3_scratch_without_hook
never_ends "broken BREAK_RESTART" \
	"-DBREAK_RESTART -DSTEADY -DMUNMAPS=0 -DSTALLS=0" register_ends
# Mapping
broken MAP_MUTEX "" inv1_after_hook
broken NOFS "" "invalid end state"
broken TOLD "" inv1_
# The hook
broken REPLACE "" inv2_translation_fault
broken RANGE "-DPAGES=2" inv3_scratch_without_hook
broken WINDOWS "-DPAGES=2" inv1_freed_block
broken LIVE_MARK "-DREVOKES=1 -DMUNMAPS=0" inv6_replace_failed
# Removal of the memory
broken REMOVE "-DREMOVALS=1 -DMUNMAPS=0" inv1_removed_memory
broken PGMAP_REF "-DREMOVALS=1 -DMUNMAPS=0" memmap_freed
broken DAX_LOCK "-DREMOVALS=1 -DMUNMAPS=0" memmap_freed
broken UNMAPPED_MARK "-DREMOVALS=1 -DMUNMAPS=0" memmap_freed
# The file system
broken FAULTS "" inv1_freed_block
broken LATE_HOOK "" inv1_freed_block
broken WAIT_LOCKED "-DPAGES=2" "invalid end state"
broken "LATE_ZAP BREAK_INDEX_LOCK" "" inv1_freed_block

made_up_for LATE_ZAP ""
made_up_for INDEX_LOCK ""
never_ends "limit removal waits for the user of a registration" "-DREMOVALS=1" removal_ends

echo "1..$number"
[ $failed = 0 ]
