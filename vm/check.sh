#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A test run: the parts of parts.sh that belong to it, PARALLEL at a time, since a
# guest rarely keeps a whole machine busy. TAP on stdout, then what each part
# took; the last line is the sum.
#
#   check.sh [--only REGEX] [check|debug|kcsan|coverage]
#
#   check	all parts but those that only another run has
#   debug	on a kernel that watches itself: KASAN, kmemleak and the debugging of
#		the DMA API, of objects and of page owners
#   kcsan	on one that looks for data races in our files
#   coverage	which lines of our files in the kernel are reached, by gcov; fails for
#		a line that is not and that coverage.txt does not explain
#
# What a kernel reports fails the guest. With --only those parts run whose names
# match, and what they need.
# shellcheck disable=SC2034 # parts.sh reads variables of this script
set -euo pipefail
{ # is read to its end before it runs, as somebody may edit it meanwhile

only=''
if [ "${1-}" = --only ]; then
	only=${2?a regular expression}
	shift 2
fi
run=${1-check}
[ "$run" = check ] && VARIANT='' || VARIANT=$run
export VARIANT
. "$(dirname "$0")/lib.sh"

PARALLEL=${PARALLEL:-2}
[[ $PARALLEL =~ ^[1-9][0-9]*$ ]] || die "PARALLEL=$PARALLEL: not a number of parts at a time"
for variable in RANDOM_STEPS SEED TIME CUTS FUZZ PINS; do
	[[ ${!variable-} =~ ^[0-9]*$ ]] || die "$variable=${!variable}: not a number"
done

# A folder for the logs of this run; other checkouts may run tests meanwhile.
logs=$LOGS/$run-$(date +%Y%m%d-%H%M%S)-$$
keep_logs=10
results=$logs/results
times=$logs/times
counters=$CACHE/coverage	# a folder for each guest of the run "coverage"

# The list as arrays, in which a part has the same index: its name, the regular
# expression of what may be skipped, the names of the parts it needs, one a line, if
# it comes afterwards, and its command, quoted.
names=() skips=() needs=() commands=()

add()	# NAME SKIP NEEDS COMMAND...
{
	names+=("$1")
	skips+=("${2:-^\$}")
	[ "$run" = check ] || skips[-1]=.
	needs+=("$3")
	commands+=("$(printf '%q ' "${@:4}")")
}

# Read "NAME [OPTION...] --" of an entry. Leaves name, skip, mode, need, append and,
# as they are, other options; how many arguments that were, in $consumed. Fails if
# the part is not of this run.
options()
{
	local in=check
	consumed=$#
	name=$1 skip='' mode=on need='' append='' other=()
	shift
	while [ "$1" != -- ]; do
		case $1 in
		--in) in=$2 ;;
		--skip) skip=$2 ;;
		--mode) mode=$2 ;;
		--needs) need+=$2$'\n' ;;
		--append) append=" $2" ;;
		*) other+=("$1" "$2") ;;
		esac
		shift 2
	done
	consumed=$((consumed - $# + 1))
	[[ ,$in, == *,$run,* ]]
}

guest()	# NAME [OPTION...] -- STEP...
{
	options "$@" || return 0
	shift "$consumed"
	case " ${other[*]} " in *" --limit "*) ;; *) other+=(--limit 1800) ;; esac
	# The second NVDIMM is for a device-dax namespace.
	case " ${other[*]} " in *" --nvdimm "*) ;; *) other+=(--nvdimm 512M --nvdimm 64M) ;; esac
	[ "$run" != coverage ] || other+=(--dir "$counters/${#names[@]}")
	[ "$run" != kcsan ] || set -- "$@" kcsan_watched
	add "$name" "${skip:+$skip|}$untracked" '' "$VM/run" --share "$BENCH" --append "${MODES[$mode]}$append" \
		"${other[@]}" "$(guest_script "$mode" "$@")"
}

program()	# NAME [OPTION...] -- COMMAND...
{
	options "$@" || return 0
	shift "$consumed"
	add "$name" "$skip" '' "$@"
}

afterwards()	# NAME [OPTION...] -- COMMAND...
{
	options "$@" || return 0
	shift "$consumed"
	add "$name" "$skip" "${need:-$'\n'}" "$@"
}

log_of()	# NAME
{
	echo "$logs/$(tr -cs '[:alnum:]\n' - <<<"$1").log"
}

. "$VM/parts.sh"

list_parts()
{
	say "The parts of this run:"
	printf '  %s\n' "${names[@]}" >&2
}

# Which parts run
status=0
matching=$(printf '%s\n' "${names[@]}" | grep -nE -- "$only") || status=$?
if [ $status != 0 ]; then
	[ $status != 1 ] || say "ONLY=$only: no part has a name that matches."
	list_parts
	exit 2
fi
selected=()
while IFS=: read -r line _; do
	selected[line - 1]=1
done <<< "$matching"
for i in "${!selected[@]}"; do
	while read -r needed; do
		for j in "${!names[@]}"; do
			[ "${names[j]}" != "$needed" ] || selected[j]=1
		done
	done <<< "${needs[i]}"
done

start_part()	# INDEX
{
	local command
	eval "command=(${commands[$1]})"
	# Not guarded(), so that it is this process that it goes with.
	setpriv --pdeathsig TERM "$VM/part.sh" "$results" "$times" "$(log_of "${names[$1]}")" \
		"${skips[$1]}" "${names[$1]}" "${command[@]}" &
}

print_times()	# SET-UP-SECONDS
{
	local took name
	echo "#"
	echo "# What each part took, $PARALLEL at a time:"
	sort -rn "$times" | while read -r took name; do
		printf '# %9s  %s\n' "$(elapsed "$took")" "$name"
	done
	printf '# %9s  %s\n' "$(elapsed "$(awk '{ s += $1 } END { print s + 0 }' "$times")")" \
		"all of them, one after the other" \
		"$(elapsed "$1")" "set-up" "$(elapsed SECONDS)" "in all"
}

# A part that was killed said nothing of itself.
missing_parts()
{
	local i
	for i in "${!selected[@]}"; do
		grep -qxF "== ${names[i]}" "$results" ||
			echo "not ok 1 ${names[i]} did not end" | tee -a "$results"
	done
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

guarded "$VM/setup.sh"
set_up=$SECONDS
mkdir -p "$logs"
ln -sfn "$logs" "$LOGS/$run"
find "$LOGS" -maxdepth 1 -type d -name "$run-*" | sort | head -n -$keep_logs | xargs -r rm -r
: > "$results"
: > "$times"
rm -rf "$counters"

for i in "${!selected[@]}"; do
	[ -z "${needs[i]}" ] || continue
	while [ "$(jobs -rp | wc -l)" -ge "$PARALLEL" ]; do
		wait -n || true
	done
	start_part "$i"
done
wait
for i in "${!selected[@]}"; do
	[ -n "${needs[i]}" ] || continue
	start_part "$i"
	wait
done
missing_parts
print_times "$set_up"
sum
exit
}
