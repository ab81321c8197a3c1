#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# All tests: those that need no guest, and the selftests in guests of several
# kinds. All speak TAP; the last line is the sum.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$VM/parts.sh"

guarded "$VM/setup.sh"
: > "$results"
part "lint" "$VM/lint.sh"

no_memory='EXT4-fs warning.*: error -5 '

part "model" "$TOP/tools/verification/dax_retarget/run.sh"
part "KUnit" "$VM/kunit.sh"

# The engine under the NICs, by the kernel's own test of such engines.
dmatest='. ./engine-nics.sh > /dev/null
	for nic in rxe0 rxe1; do rdma link delete $nic; done
	modprobe dmatest timeout=20000 iterations=100 run=1 wait=1
	cat /sys/module/dmatest/parameters/wait
	dmesg | grep "dmatest: .* summary"
	! dmesg | grep "dmatest: .* summary" | grep -v " 0 failures"'
guest "dmatest on the DMA engines" "$dmatest"

# With a second file system, as the reference or for one of another kind.
pair()	# NAME vm/run-argument...
{
	local name=$1
	shift
	part "guest, $name" "$VM/run" --share "$bench" --append dax_retarget=on --limit 3600 \
		--nvdimm 512M --nvdimm 512M "$@"
}
selftests='. ./engine-nics.sh > /dev/null && cd /image/selftests/dax_retarget &&'
spare='ndctl create-namespace -f -m fsdax -e namespace1.0 > /dev/null &&'
blocks='DAX_RETARGET_BLOCK=/dev/pmem0 DAX_RETARGET_BLOCK2=namespace1.0'

# What ext2 can do: truncate and delete, one page at a time.
no_ext2='does not know the operation|(cannot punch|punches no) holes|cannot do it|no MAP_SYNC here'
no_ext2+='|no unwritten extents here|only XFS and ext4 can be shut down|no aligned run of 2 MiB'

# The longest first, so that none is left to run alone
guest "the command" --limit 1800 --append dax_retarget=on \
	--qemu "$many_devices" \
	'. ./engine-nics.sh > /dev/null && ./command.sh'
# A third of the random operations each; the seed is in the output.
steps=$(((${RANDOM_STEPS:-21000} + 2) / 3))
no_xfs='(donate_extents|move_extents|swap_boot|trim): .* no such operation on xfs'
no_ext4='(clone(_range)?_(in|out)|dedupe_(in|out)|exchange_(range|to_eof)|swap_extents|trim|unshare): .* on ext4'
may_skip="$no_xfs|$no_ext4|(no such operation|no aligned run of 2 MiB) on ext2" \
pair "equivalence to the page cache" --fs none \
	"$selftests $blocks DAX_RETARGET_STEPS=$steps ${SEED:+DAX_RETARGET_SEED=$SEED} ./equivalence.sh"
# With its hook skipped the kernel warns, and shall.
pair "controls" --allow 'WARNING:.*dax_retarget_(assert_gone|inode)' \
	"$spare $selftests DAX_RETARGET_UMOUNT=1 DAX_RETARGET_SPARE=/dev/pmem1 $blocks ./controls.sh"
# Alone, as it is unbound with its bus.
may_skip="nothing can be registered any more|ext2: .*($no_ext2)" \
	part "guest, memory fails and is removed" \
	"$VM/run" --share "$bench" --limit 2700 --append dax_retarget=on --fs none \
	'. ./engine-nics.sh > /dev/null && ./remove-namespace.sh /image/selftests/dax_retarget'

devdax='ndctl create-namespace -f -m devdax -e namespace1.0 > /dev/null &&'
with_engines="$devdax . ./engine-nics.sh > /dev/null && cd /image/selftests/dax_retarget &&"
plain_rxe="$devdax"' modprobe rdma_rxe && ip link add plain0 type dummy && ip link set plain0 up &&
	ip address add 10.0.9.1/24 dev plain0 && rdma link add plain type rxe netdev plain0 &&
	cd /image/selftests/dax_retarget &&'

may='DAX_RETARGET_UMOUNT=1 DAX_RETARGET_EMERGENCY=1'
no_1g='largepage\.1G.* no aligned run of 1024 MiB'
may_skip="$no_1g|made without exchange of ranges" guest "feature on, XFS" --limit 1800 --append dax_retarget=on \
	"$with_engines $may ./run.sh --expect on"
may_skip="$no_1g|has no reflink|only XFS exchanges" guest "feature on, ext4" --limit 1800 --append dax_retarget=on --fs ext4 \
	"$with_engines $may ./run.sh --expect on"
may_skip="$no_ext2" guest "feature on, ext2" --limit 1800 --append dax_retarget=on --fs ext2 \
	"$with_engines $may ./run.sh --expect on refusal truncate reuse lifetime readonly umount \
	durability scratch race region"
guest "feature off" "$with_engines ./run.sh --expect off refusal"
guest "nonsense parameter" --append dax_retarget=nonsense \
	"dmesg | grep 'dax_retarget: .*nonsense' && $with_engines ./run.sh --expect off refusal"
guest "iommu=pt" --append 'dax_retarget=on iommu=pt' "$with_engines ./run.sh --expect pt refusal"
guest "NIC without an engine" --append dax_retarget=on \
	"$plain_rxe ./run.sh --expect noengine refusal"
# Blocks that lie so that the IOMMU maps 1 GiB at once.
part "guest, large pages" "$VM/run" --share "$bench" --append dax_retarget=on \
	--fs none --nvdimm 8G --nvdimm 64M \
	"mkfs.xfs -q -f -d agcount=2 /dev/pmem0 && mount -o dax=always /dev/pmem0 /mnt &&
	$with_engines ./run.sh --expect on largepage"
guest "regions beyond 4 GiB" --append dax_retarget=on "$with_engines ./run.sh huge"
for mode in '' dax_retarget=nonsense 'dax_retarget=on iommu=pt'; do
	guest "doctor, '$mode'" --append "$mode" '. ./engine-nics.sh > /dev/null && ./command.sh doctor'
done

may_skip="ext2: .*($no_ext2)|XFS, .* not ext4" pair "other file systems" --nvdimm 512M \
	"$spare ndctl create-namespace -f -m fsdax -e namespace2.0 > /dev/null && $selftests
	DAX_RETARGET_SPARE=/dev/pmem1 DAX_RETARGET_SPARE2=/dev/pmem2 ./filesystems.sh"
# ext4 says so while its memory is away; a program that sees EIO then is checked.
for fs in xfs ext4; do
	may_skip=$([ $fs = xfs ] && echo '^$' || echo 'shares no block: .* not possible here') \
	guest "stress, $fs" --append dax_retarget=on --fs $fs --allow "$no_memory" \
		'. ./engine-nics.sh > /dev/null && NICS="bash /share/engine-nics.sh" \
		/image/selftests/dax_retarget/stress.sh --seed '"${SEED:-1}"
done
guest "stress, controls" --append dax_retarget=on --allow 'WARNING:.*dax_retarget_assert_gone' \
	'. ./engine-nics.sh > /dev/null && ./stress-controls.sh /image/selftests/dax_retarget/stress'
part "power cuts" "$VM/power-cut.sh" --cuts 3 --seed "${SEED:-1}"
part "power cuts, controls" "$VM/power-cut.sh" --fs xfs --controls --seed "${SEED:-1}"
part "memory removed, control" "$VM/removed-memory.sh"
part "gup_longterm says the same, on and off" "$VM/gup-longterm.sh"
sum
