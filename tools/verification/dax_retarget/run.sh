#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Check the models of DAX retarget. See usage() below.
set -euo pipefail

usage()
{
	cat << 'END'
Usage: run.sh [--long] [REGEX]

Checks the models of DAX retarget, dax_retarget.pml, large_entries.pml, dirty.pml
and domains.pml, with spin. TAP on stdout:

  holds ...    a model with all its steps, all states within some bounds: no
               check fails, no task waits for ever
  ends ...     an operation that begins ends, however tasks are scheduled (weak
               fairness)
  reached ...  an event is possible, so that the checks see the event
  broken ...   a step left out or reordered gives the expected counterexample
  limit ...    a known property of the protocol that is not an error

  --long       wider bounds as well: some minutes and 2 GB of memory more
  REGEX        only tests whose names match, without "reached: all of ...", which
               needs the results of the others

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

models=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$models"/*.pml .

# The model that is checked, and its tasks whose lines must all be reached. Not
# removal: its copy of hook() has lines for blocks that stay in a file, and removal
# lets no block stay. Not the pinner of dirty.pml: its copy of write_back() has lines
# for a pin that is live, and the pinner writes back when the pin is not.
of()	# MODEL TASK...
{
	model=$1
	shift
	tasks=$*
}

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
	spin "${macros[@]}" -a "$model.pml" > log 2>&1 &&
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
		! grep -Eqi -e 'max search depth too small|out of memory|not completed' \
			-e 'MEMLIM|VECTORSZ|^error' log
}

states()
{
	awk '/states, stored/ { print $1; exit }' log
}

trail()
{
	sed -n 's/^pan:1:.*at depth \([0-9]*\)).*/\1/p' log
}

# Source lines that the macros leave in the model
lines()	# MACROS
{
	local -a macros
	read -ra macros <<< "$1"
	gcc -E -x c "${macros[@]}" "$model.pml" |
		awk '/^# / { n = $2; next } { if (NF) print n; n++ }' | sort -u
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

holds()	# NAME MACROS [GCC-OPTION], which pays where there are many states
{
	begin "holds $1" || return 0
	build "$2" "${3--O0}" -DSAFETY -DNOCLAIM || { fail "cannot be built"; return; }
	check -m100000
	if ! complete; then
		fail "the model is wrong, or was not seen as a whole"
		return
	fi
	pass
	echo "# states $(states)"
	lines "$2" > present
	for task in $tasks; do
		grep -q "^unreached in proctype $task$" log || continue
		unreached | awk -v task="$task" '$1 == task { print $2 }' |
			sort -u > left
		# Not reached now, and reached now
		cat left >> "$model-$task-left"
		comm -23 present left >> "$model-$task-reached"
	done
}

# Each line of the tasks is reached within some of the bounds above
all_reached()
{
	local task line left=
	[ -z "$wanted" ] && begin "reached: all of $model" || return 0
	for task in $tasks; do
		if [ ! -e "$model-$task-left" ]; then
			left+=" all of $task"
			continue
		fi
		for line in $(sort -u "$model-$task-left" |
				comm -23 - <(sort -u "$model-$task-reached")); do
			sed -n "${line}p" "$model.pml" | grep -q '/\* never \*/' ||
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
			build "-DLIVENESS $defines" -O0 -DNFAIR=3 ||
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
	[[ $2 != *NO_INV* ]] || name+=", invariant $(grep -o 'NO_INV.' <<< "$2" |
		sed 's/NO_INV//' | paste -sd ,) not checked"
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

reached()	# EVENT MACROS
{
	violates "reached: $1" "-DREACHED=$1 $2" "(" "an example"
}

of dax_retarget truncate revoke fsync unbind pinner munmap entry flush_queue

holds "three hooks" "-DREVOKES=1 -DREMOVALS=1" -O2
holds "truncation, munmap" "-DMUNMAPS=1"
holds "truncation, removal, fsync" "-DREMOVALS=1 -DFSYNCS=1" -O2
holds "truncation, unbinding" "-DUNBINDS=1"
holds "two pins in a row, two truncations" "-DROUNDS=2 -DTRUNCATES=2"
holds "two pages, two truncations" "-DPAGES=2 -DTRUNCATES=2"
holds "two pins at once, one IOVA, truncation" "-DPINS=2" -O2
holds "truncation, removal, the IOMMU fails" "-DREMOVALS=1 -DFAILURES"
holds "truncation, unbinding, the IOMMU fails" "-DUNBINDS=1 -DFAILURES"
holds "truncation, removal, the file system is frozen" "-DREMOVALS=1 -DFREEZE"
holds "the device writes for ever" "-DENDLESS_DEVICE"
if $long; then
	holds "three hooks, munmap" "-DREVOKES=1 -DREMOVALS=1 -DMUNMAPS=1" -O2
	holds "truncation, revocation, fsync" "-DREVOKES=1 -DFSYNCS=1" -O2
	holds "truncation, revocation, unbinding" "-DREVOKES=1 -DUNBINDS=1" -O2
	holds "truncation, revocation, the IOMMU fails" \
		"-DREVOKES=1 -DFAILURES" -O2
	holds "truncation, removal, unbinding" "-DREMOVALS=1 -DUNBINDS=1" -O2
	holds "two pins in a row, truncation, revocation" \
		"-DROUNDS=2 -DREVOKES=1" -O2
	holds "two pages, truncation, revocation" "-DPAGES=2 -DREVOKES=1" -O2
	holds "two pages, truncation, fsync, unbinding" \
		"-DPAGES=2 -DFSYNCS=1 -DUNBINDS=1" -O2
	holds "two pins at once, two IOVAs, truncation" "-DPINS=2 -DIOVAS=2" -O2
	holds "two pins of different pages at once, truncation" \
		"-DPINS=2 -DSTRIDE=1 -DFILE_PAGES=2" -O2
fi

ends "though the user never goes on" "" truncate_ends end_ends
ends "the user goes on" "-DSTALLS=0 -DFSYNCS=1" register_ends fsync_ends
ends "two hooks" "-DREVOKES=1 -DTRUNCATES=1 -DSTALLS=0" revoke_ends
ends "the user goes on" "-DREMOVALS=1 -DTRUNCATES=0 -DSTALLS=0" removal_ends
ends "the user goes on" "-DUNBINDS=1 -DSTALLS=0" unbind_ends
ends "the device writes for ever" "-DENDLESS_DEVICE" truncate_ends end_ends
ends "punched for ever" "-DSTEADY -DFAULTS=2 -DSTALLS=0" \
	register_ends end_ends truncate_ends

all_reached
# Events that no counterexample below has on its way
reached writes_scratch ""
reached flush_waits_for_write ""
reached applies_mark_twice ""
reached hook_skips_flush "-DREVOKES=1"
reached live_between_passes ""
reached iova_used_again "-DROUNDS=2"
reached fault_waits_for_truncate ""
reached removal_takes_page "-DREMOVALS=1"
reached unbind_unmaps "-DUNBINDS=1"
reached end_after_unbind "-DUNBINDS=1"

# The marks on pages that are being registered, and mapping
broken MARK "" inv1_after_hook
broken PENDING_MARK "" inv1_after_hook
broken PASS_MARK "" inv9_after_hook
broken PASS_MARK -DNO_INV9 inv1_after_hook
broken LIVE_EARLY "" inv6_replace_failed
broken LIVE_EARLY "-DNO_INV6 -DNO_INV9" inv1_after_hook
broken "LIVE_MUTEX BREAK_APPLY_MUTEX" "" inv1_after_hook
broken MARKS_FIRST "" inv1_after_hook
broken TOLD "" inv1_
broken MAP_FLUSH "" inv1_after_hook
broken MAP_MUTEX "" "invalid end state"
broken IDEMPOTENT "" inv6_replace_failed
# The flush
broken FLUSH "" inv1_after_hook
broken FLUSH_FIRST "" inv1_after_hook
broken DRAIN "" inv4_translation_at_leave
broken DRAIN -DNO_INV4 inv1_
broken SKIP_FLUSH "-DREVOKES=1" inv1_after_hook
broken SKIP_ORDER "-DREVOKES=1" inv1_after_hook
broken SKIP_COUNT "-DREVOKES=1" inv1_after_hook
# The hook
broken REPLACE "" inv2_translation_fault
broken RANGE "-DPAGES=2" inv3_scratch_without_hook
broken WINDOWS "-DPAGES=2" inv1_freed_block
broken WRITE_BACK_FIRST "" inv9_after_hook
broken MARK_FIRST "-DFSYNCS=1" inv9_fsync
broken LIVE_MARK "-DREMOVALS=1" memmap_freed
# The end
broken END_ORDER "" inv4_translation_at_leave
broken END_ORDER -DNO_INV4 inv1_
broken END_FLUSH "" inv4_translation_at_leave
broken END_FLUSH -DNO_INV4 inv1_
broken END_STATE "" inv1_after_hook
broken END_WRITE_BACK "-DFSYNCS=1" inv9_fsync
broken END_MUTEX "" inv6_replace_failed
broken SCRATCH_EARLY "" scratch_freed
broken HOOK_RWSEM "" domain_freed
broken IOVA_EARLY "-DPINS=2 -DTRUNCATES=0" scratch_of_another
# The device goes
broken UNBIND_WAIT "-DUNBINDS=1" domain_freed
broken HOOK_SRCU "-DUNBINDS=1" domain_freed
broken END_DEVICE "-DUNBINDS=1 -DTRUNCATES=0" domain_freed
# The IOMMU fails
broken STOP "-DFAILURES" inv4_translation_at_leave
broken STOP "-DFAILURES -DNO_INV4" inv1_
broken STOP_LATE "-DFAILURES -DREMOVALS=1" inv1_
broken STOP_DRAIN "-DFAILURES -DNO_INV4" inv1_
# Registration
broken INDEX_LOCK "" inv1_freed_block
broken LOOK_UP_FIRST "" inv1_
broken KEEP_REFS "" "invalid end state"
broken MUTEX_FAULT "-DTRUNCATES=2" "invalid end state"
broken RWSEM_FAULT "-DTRUNCATES=2" "invalid end state"
broken DAX_LOCK_FAULT "-DTRUNCATES=2 -DREMOVALS=1 -DFREEZE" "invalid end state"
broken TRIM_MARKS "" inv3_scratch_without_hook
broken TRIM_ORDER "-DTRUNCATES=2" inv3_scratch_without_hook
# Removal of the memory
broken REMOVE "-DREMOVALS=1" inv1_removed_memory
broken PGMAP_REF "-DREMOVALS=1" memmap_freed
broken DETACHED_MARK "-DREMOVALS=1" memmap_freed
# The file system
broken FAULTS "" inv1_freed_block
broken LATE_HOOK "" inv1_freed_block
broken LATE_ENTRY "" inv1_freed_block

made_up_for LIVE_MUTEX ""
made_up_for DAX_LOCK "-DREMOVALS=1"
never_ends "limit removal waits for the user of a registration" "-DREMOVALS=1" removal_ends
never_ends "limit a registration that is punched for ever has to give up" \
	"-DSTEADY -DSTALLS=0" register_ends
violates "limit blocks that are said to be freed, and are not" \
	"-DFREE_FAILS -DFSYNCS=1" inv9_fsync

of large_entries hook pinner hardware

holds "large entries, two hooks" ""
if $long; then
	holds "large entries, three hooks" "-DHOOKS=3" -O2
fi
all_reached
reached splits_under_another ""
reached whole_meets_table ""
reached skips_flush ""
reached live_between_passes ""
reached partly_marked ""

broken ROUND "" inv1_after_hook
broken WHOLE "" inv3_scratch_without_hook
broken FILL "" inv2_translation_fault
broken SPLIT_MARK "" inv6_replace_failed
broken SPLIT_RANGE "" inv6_replace_failed
broken BATCH "" inv6_replace_failed

made_up_for SPLIT_FLUSH ""
violates "limit translations of two sizes differ for a moment" \
	"-DREACHED=sizes_differ" "(" "an example"

of dirty sync hook unbind iommu device

holds "dirty bits, two syncs, hook" "-DHOOKS=1"
holds "dirty bits, two syncs, unbinding" "-DUNBINDS=1"
if $long; then
	holds "dirty bits, two syncs, hook, unbinding" "-DHOOKS=1 -DUNBINDS=1" -O2
	holds "dirty bits, two syncs, two hooks" "-DHOOKS=2" -O2
	holds "dirty bits, three syncs, hook" "-DSYNCS=3 -DHOOKS=1" -O2
fi
ends "dirty bits, the device writes for ever" "-DSYNCS=1 -DHOOKS=1" sync_ends
all_reached
reached writes_before_flush ""
reached waits_for_write ""
reached dirty_again ""
reached clears_scratch "-DHOOKS=1"
reached sync_of_detached ""
reached sync_of_unmapped "-DUNBINDS=1"
reached dirty_and_marked "-DHOOKS=1"

broken DIRTY_FLUSH "" inv9_fsync
broken CLEAR_LAST "" inv9_fsync
broken FLUSH_EARLY "" inv9_fsync
broken FLUSH_LATE "" inv9_fsync
broken SYNC_MUTEX "" inv9_fsync
broken TRACK_FLUSH "" inv9_fsync
broken EXCHANGE "-DSYNCS=0" inv9_end
broken HOOK_BIT "-DSYNCS=0 -DHOOKS=1" inv9_after_hook
broken END_BIT "-DSYNCS=0" inv9_end
broken DETACHED_EARLY "" inv9_fsync
broken UNMAPPED "-DSYNCS=0 -DUNBINDS=1" inv9_end

of domains hook consumer device

holds "domains, two hooks" "-DHOOKS=2"
holds "domains, two hooks, one of freed blocks" "-DHOOKS=1 -DFREES=1"
if $long; then
	holds "domains, three hooks" "-DHOOKS=2 -DFREES=1" -O2
fi
all_reached
reached maps_scratch ""
reached comes_between ""
reached comes_after ""
reached goes_under_hook ""
reached hook_meets_none ""

broken MARKS "" inv1_after_hook
broken LOOK_FIRST "" inv1_after_hook
broken BATCHES "" inv1_after_hook
broken COUNT_LATE "" inv1_after_hook
broken LIST_LATE "-DHOOKS=0 -DFREES=1" inv1_after_hook
broken LEAVE_FIRST "-DHOOKS=0 -DFREES=1" inv1_after_hook
broken GO_FLUSH "-DHOOKS=0 -DFREES=1" inv1_after_hook
broken WAIT "" domain_freed

echo "1..$number"
[ $failed = 0 ]
