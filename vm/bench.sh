#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Measure what DAX retarget costs: 'make bench', and a small part of make check.
#
# The guests have the kernel of VARIANT=release and a clock that counts instructions
# (vm/run --icount). Each runs groups of tools/testing/selftests/dax_retarget/cost,
# whose lines are kept; bench.py makes rows, a verdict and plots of them. The table
# of rows, with goals and gates, is in bench.py.
set -euo pipefail
export VARIANT=release
. "$(dirname "$0")/lib.sh"

usage()
{
	cat <<USAGE
Usage: vm/bench.sh [option...]

  --set NAME    what is measured:
                  check    small, for make check: two sizes, a few minutes
                  default  16 MiB to 256 MiB, about a quarter of an hour
                  full     16 MiB to 4 GiB, 100,000 pins, and a stock kernel, which is
                           built; hours; takes 12 GB of memory and 40 GB of disk
  --out DIR     folder for bench.json, bench.txt, plots and what the guests said
                (default: bench in $CACHE)
  --only REGEX  only guests whose names match; rows of others come from what is in
                the folder: $(printf '%s ' "${guests[@]}")
  --report      no guest: rows and plots from what is in the folder
  --tap         print TAP: a row that is beyond its gate fails. Otherwise a table
USAGE
}

guests=(xfs ext4 xfs-off ext4-off xfs-stock ext4-stock type1 type1-off iommufd iommufd-off crowd beside many)
set=default out=$CACHE/bench only='' report='' format=table

while [ $# -gt 0 ]; do
	case $1 in
	-h|--help) usage; exit 0 ;;
	--report) report=1; shift; continue ;;
	--tap) format=tap; shift; continue ;;
	--set|--out|--only) [ $# -ge 2 ] || die "$1 needs a value" ;;
	*) usage >&2; die "unknown argument $1" ;;
	esac
	case $1 in
	--set) set=$2 ;;
	--out) out=$2 ;;
	--only) only=$2 ;;
	esac
	shift 2
done

mib=$((1 << 20))
case $set in
# Fewer times, as more of them mend what a timer adds, which the gates leave room for
check) sizes=(16 32) times=2 other=32 files=200 memory=2G nvdimm=512M devdax=112M ;;
default) sizes=(16 64 256) times=3 other=512 files=1000 memory=2G nvdimm=2G devdax=304M ;;
full) sizes=(16 64 256 1024 4096) times=2 other=4096 files=10000 memory=8G nvdimm=12G devdax=4384M ;;
*) die "--set $set: not one of check, default, full" ;;
esac

measure=()	# options of cost for sizes and times
for size in "${sizes[@]}"; do
	measure+=(-s $((size * mib)))
done
measure+=(-n "$times")
# Where there is no need for several
one=(-s $((64 * mib)) -n "$times")
[ "$set" != check ] || one=(-s $((32 * mib)) -n "$times")

mkdir -p "$out"
out=$(realpath "$out")
raw=$out/raw
mkdir -p "$raw"


# The lines of a guest go to a file; what it is about to do is shown.
guest()	# NAME FS MODE MORE-KERNEL-ARGUMENTS OPTION-OF-VM/RUN... -- STEP...
{
	local name=$1 fs=$2 mode=$3 append=$4 start=$SECONDS status=0 options=()
	shift 4
	[[ $name =~ $only ]] || return 0
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	say "$name ..."
	guarded "$VM/run" --icount --fs none --limit 14400 --share "$BENCH" \
		--append "${MODES[$mode]} $append" "${options[@]}" \
		"$(guest_script "$mode" "one_piece $fs" "$@")" |
		tee "$raw/$name.new" | sed -un "s/^# /  $name: /p" >&2 || status=$?
	if [ $status != 0 ]; then
		grep -v '^cost ' "$raw/$name.new" | tail -n 5 >&2
		die "$name failed with status $status; what the guest said: $raw/$name.new"
	fi
	mv "$raw/$name.new" "$raw/$name"
	say "$name: done in $(elapsed $((SECONDS - start)))"
}

# The kernel without any patch, configured and built as the other one. The tree is
# another work tree of the same repository, and the programs are the same.
build_stock()
{
	local TREE=$CACHE/linux-6.12-stock
	# shellcheck source=vm/kbuild.sh
	. "$VM/kbuild.sh"
	if [ ! -d "$TREE" ]; then
		git -C "$CACHE/linux-6.12" worktree add --detach "$TREE" base
	fi
	git -C "$TREE" checkout -q --detach base
	configure "$CACHE/build-stock" "$VM/kernel.config" "$VM/release.config" "$VM/stock.config"
	kmake "$CACHE/build-stock" vmlinux modules
	rm -rf "$stock"
	kmake "$CACHE/build-stock" INSTALL_MOD_PATH="$stock" modules_install
	rm -f "$stock"/lib/modules/*/build
	cp -r "$IMAGE/selftests" "$stock/"
	cp "$CACHE/build-stock/vmlinux" "$stock/"
}

stock_key()
{
	git -C "$TREE" rev-parse base
	cat "$VM"/{kernel,release,stock}.config "$VM/kbuild.sh"
	hash_folder "$IMAGE/selftests"
}

if [ -z "$report" ]; then
	guarded "$VM/setup.sh"
	if [[ xfs-stock =~ $only ]] && [ "$set" = full ]; then
		stock=$CACHE/stock
		(lock_cache; step stock "$(stock_key | hash)" build_stock)
	fi
	cost='$selftests/cost'	# as guest-lib.sh has it
	devdaxes='-4 /dev/dax1.0 -2 /dev/dax2.0'
	for fs in xfs ext4; do
		[ ! -v stock ] || guest $fs-stock $fs off '' --nvdimm "$nvdimm" \
			--kernel "$stock/vmlinux" --modules "$stock" -- \
			"$cost -x -c c ${measure[*]} blocks sync"
		guest $fs $fs on '' --memory "$memory" --nvdimm "$nvdimm" \
			--nvdimm "$devdax" --nvdimm "$devdax" -- \
			nics 'devdax 1 4096' 'devdax 2 2M' \
			"$cost ${one[*]} memory path" \
			"$cost -e 4 -c c ${measure[*]} shmem" \
			"$cost $devdaxes ${measure[*]} blocks sync register" \
			"$cost $devdaxes ${one[*]} regions page kernel_memory"
		guest $fs-off $fs off '' --nvdimm "$nvdimm" -- nics \
			"$cost -x ${one[*]} memory path" \
			"$cost -x -c c ${measure[*]} blocks sync"
	done
	# The same by other consumers. iommufd uses no first-level tables in this kernel.
	# For make check one of them is enough, unless it is named.
	consumers=(type1 iommufd) references=1
	[ "$set" != check ] || [ -n "$only" ] || consumers=(iommufd) references=''
	for consumer in "${consumers[@]}"; do
		options=() groups=(blocks register regions)
		[ $consumer = type1 ] || { options=(--iommu scalable); groups+=(mappings); }
		guest $consumer xfs on '' "${options[@]}" --memory "$memory" --nvdimm "$nvdimm" \
			--nvdimm "$devdax" --nvdimm "$devdax" -- \
			vfio_devices 'devdax 1 4096' 'devdax 2 2M' "$consumer $cost ${one[*]} memory" \
			"$consumer $cost -c c $devdaxes ${one[*]} ${groups[*]}"
		[ -z "$references" ] || guest $consumer-off xfs off '' "${options[@]}" --nvdimm "$nvdimm" -- \
			vfio_devices "$consumer $cost -x ${one[*]} memory"
	done
	[ "$set" = check ] || guest crowd xfs on '' --memory 6G --nvdimm 512M --nvdimm 112M -- \
		nics 'devdax 1 2M' "$cost -e 2 -2 /dev/dax1.0 -s $((64 * mib)) crowd"
	guest beside xfs on preempt=full --memory "$memory" -- nics \
		"$cost -e 4 -c e -n $times -s $((other * mib)) beside ranges" \
		"$cost -e 4 -c e -n $times readers"
	guest many xfs on '' --memory 4G --nvdimm 1G --nvdimm 112M -- nics \
		'spare 1' \
		'mkdir /tmp/other && mkfs.ext4 -q -F -b 4096 /dev/pmem1' \
		'mount -o dax=always /dev/pmem1 /tmp/other' \
		"$cost -e 4 -n $times -f $files -o /tmp/other many"
fi

exec "$VM/bench.py" --format "$format" --out "$out" "$raw"
