#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Which lines of our files in the kernel do the tests reach? Runs them on a kernel
# with gcov (VARIANT=coverage), prints a table, and fails for a line that was
# not reached and that coverage.txt does not explain.
set -euo pipefail
export VARIANT=coverage
. "$(dirname "$0")/lib.sh"
. "$VM/parts.sh"

runs=$CACHE/coverage
explained=$VM/coverage.txt

# What is skipped here shows in the lines
may_skip=.
guarded "$VM/setup.sh"
: > "$results"
rm -rf "$runs"
mkdir -p "$runs"

# Each guest's counters stay in the folder of its run.
n=0
count()	# NAME vm/run-argument...
{
	local name=$1
	shift
	n=$((n + 1))
	part "guest, coverage, $name" "$VM/run" --share "$bench" --dir "$runs/$n" "$@"
}

engines='. ./engine-nics.sh > /dev/null &&'
selftests="$engines cd /image/selftests/dax_retarget &&"
devdax='ndctl create-namespace -f -m devdax -e namespace1.0 > /dev/null &&'
on='--append dax_retarget=on'

count "KUnit" --fs none --append 'dax_retarget=on kunit.enable=1' true
for fs in xfs ext4; do
	count "$fs" $on --fs $fs --limit 1800 --nvdimm 512M --nvdimm 64M \
		"$devdax $selftests DAX_RETARGET_UMOUNT=1 DAX_RETARGET_EMERGENCY=1 ./run.sh --expect on"
done
count "feature off" "$selftests ./run.sh --expect off refusal"
count "nonsense parameter" --append dax_retarget=nonsense "$selftests ./run.sh --expect off refusal"
count "iommu=pt" --append 'dax_retarget=on iommu=pt' "$selftests ./run.sh --expect pt refusal"
count "NIC without an engine" $on 'modprobe rdma_rxe && ip link add plain0 type dummy &&
	ip link set plain0 up && ip address add 10.0.9.1/24 dev plain0 &&
	rdma link add plain type rxe netdev plain0 &&
	cd /image/selftests/dax_retarget && ./run.sh --expect noengine refusal'
count "large pages" $on --fs none --nvdimm 8G \
	"mkfs.xfs -q -f -d agcount=2 /dev/pmem0 && mount -o dax=always /dev/pmem0 /mnt &&
	$selftests ./run.sh --expect on largepage"
count "regions beyond 4 GiB" $on "$selftests ./run.sh huge"
count "other file systems" $on --nvdimm 512M --nvdimm 512M --nvdimm 512M --limit 3600 \
	"for n in 1 2; do ndctl create-namespace -f -m fsdax -e namespace\$n.0 > /dev/null; done && $selftests
	DAX_RETARGET_SPARE=/dev/pmem1 DAX_RETARGET_SPARE2=/dev/pmem2 ./filesystems.sh"
count "memory fails and is removed" $on --fs none --limit 1800 \
	"$engines ./remove-namespace.sh /image/selftests/dax_retarget"
count "the command" $on --limit 1800 --qemu "$many_devices" \
	"$engines ./command.sh"

wait
part "coverage, lines" "$VM/coverage.py" "$BUILD" "$explained" "$runs"/*/coverage
sum
