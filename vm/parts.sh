# SPDX-License-Identifier: GPL-2.0-only
#
# The list of the parts of every test run, the only place where a part is named.
# check.sh reads it, for make check, check-debug, check-kcsan and coverage. One
# entry a part, and the longest first: the parts start in this order, and none
# is left to run alone at the end.
#
#   guest NAME [OPTION...] -- STEP...
#	boots a guest and runs the steps in it, one after the other, each a line
#	of shell that may use the functions of guest-lib.sh
#   program NAME [OPTION...] -- COMMAND...
#	runs a command on this machine
#   afterwards NAME [OPTION...] -- COMMAND...
#	runs a command when all other parts have ended
#
# Options:
#   --in RUN,...	the runs that it is a part of: check, debug, kcsan, coverage
#			(check)
#   --skip REGEX	tests that may be skipped, by name and reason (none). A test
#			that is skipped where it can run would hide for ever what it
#			tests. In runs other than check all may be skipped
#   --mode MODE		of guests: what machine it is, see MODES in lib.sh (on)
#   --needs NAME	of afterwards: a part whose log the command reads
#   others		of guests: options of vm/run. The limit is 1800 s if none is
#			given, and without --nvdimm there is a small second one
# shellcheck shell=bash disable=SC2154,SC2034,SC2016 # variables of check.sh and of the guest

every=check,debug,kcsan,coverage

# Of the file systems, what each cannot do
no_xfs='(donate_extents|move_extents|swap_boot|trim): .* no such operation on xfs'
no_ext4='(clone(_range)?_(in|out)|dedupe_(in|out)|exchange_(range|to_eof)|swap_extents|trim|unshare): .* on ext4'
no_ext2='does not know the operation|(cannot punch|punches no) holes|cannot do it|no MAP_SYNC here'
no_ext2+='|no unwritten extents here|only XFS and ext4 can be shut down|no aligned run of 2 MiB'
# Of guests without "tracked" before a step
untracked='the IOMMU does not tell what the device wrote'
no_1g='largepage\.1G.* no aligned run of 1024 MiB'

# ext4 says so while its memory is away; a program that sees EIO then is checked.
no_memory='EXT4-fs warning.*: error -5 '
# With a step left out the kernel's own assertions warn, as they have to.
assertions='WARNING:.*(dax_retarget_(assert_gone|inode)|retarget_region_release|vfio_unmap_unpin)'
# Tests of one of the consumers alone
type1='vfio: .*only iommufd|no RDMA device|not_page_aligned|said by another variant'
iommufd='vfio: .*(only VFIO containers|no RDMA device)|has no reflink|not_page_aligned|pages of DAX files alone'

# More devices than a message of the kernel has room for, as arguments of QEMU
many_devices=$(printf -- '-device virtio-rng-pci,multifunction=on,addr=%s ' {10,11,12}.{0..7})

# A third of the random operations on each file system; the seed is in the output.
steps=$(((${RANDOM_STEPS:-1500} + 2) / 3))
equivalence="DAX_RETARGET_STEPS=$steps ${SEED:+DAX_RETARGET_SEED=$SEED}"
# Watched kernels are slow, and need more time for as many races.
case $run in
debug|kcsan) stress="--seed ${SEED:-1} --time ${TIME:-120}" ;;
*) stress="--seed ${SEED:-1} --time ${TIME:-40}" ;;
esac
# The file system under test may be unmounted, all others made read-only, and NICs
# taken away.
may="DAX_RETARGET_UMOUNT=1 DAX_RETARGET_EMERGENCY=1 NICS='bash /share/engine-nics.sh'"

program "lint" -- "$VM/lint.sh"

# On a machine where its kernel was not built yet, this takes the longest.
guest "equivalence to the page cache" --fs none --threads single \
	--nvdimm 512M --nvdimm 512M --limit $((600 + 3 * steps)) \
	--skip "$no_xfs|$no_ext4|(no such operation|no aligned run of 2 MiB) on ext2" -- \
	'vfio_devices --last' nics 'spare 1' \
	"$equivalence selftest equivalence.sh --fs xfs --fs ext2" \
	"$equivalence type1 selftest equivalence.sh --fs ext4"

# Second-level tables as the IOMMUs without scalable mode have them
guest "legacy mode, controls" --iommu legacy --nvdimm 512M --nvdimm 512M --limit 3600 \
	--allow "$assertions" --skip "$no_1g" -- \
	nics 'spare 1' "$may selftests truncate reuse largepage race durability" \
	'DAX_RETARGET_UMOUNT=1 selftest controls.sh'

guest "the command" --in $every --qemu "$many_devices" -- \
	nics \
	"${FUZZ:+FUZZ=$FUZZ} ${PINS:+PINS=$PINS} command_groups list events own rights namespaces dumps storm traffic path fuzz faults umount remove"

program "model" -- "$TOP/tools/verification/dax_retarget/run.sh"

# The bus of the NVDIMMs is unbound, which no other test survives, and no other NVDIMM.
guest "memory fails and is removed" --in $every --fs none --nvdimm 512M --limit 2700 \
	--skip "nothing can be registered any more|ext2: .*($no_ext2)" -- \
	nics '/share/remove-namespace.sh $selftests'

# Real memory errors. The kernel's own assertion, which warns only in the control
guest "memory fails by machine checks" --in check,debug,coverage \
	--qemu "$INTEL_CPU" --beside "$VM/memory-errors.sh" \
	--allow 'WARNING:.*write_back' -- \
	nics memory_errors "DAX_RETARGET_UMOUNT=1 selftests machine_check" '! dmesg | grep WARNING:' \
	'selftest controls.sh "failed pages"'

guest "the command's formats" --in check,coverage -- \
	nics 'command_groups json ynl sanitize trace doctor stopped'

guest "feature on, XFS" --in $every --append kunit.enable=1 --allow "$assertions" \
	--skip "$no_1g|made without exchange of ranges" -- \
	kunit nics devdax "$may selftests" "$may tracked selftests durability" \
	'DAX_RETARGET_DIRTY_BITS=1 selftest controls.sh "first level"' \
	'selftest controls.sh "flush left out"'

guest "feature on, ext4, scalable mode" --in $every --fs ext4 --iommu scalable \
	--allow "$assertions" \
	--skip "$no_1g|has no reflink|only XFS exchanges" -- \
	nics devdax "$may selftests" 'selftest controls.sh "flush left out"'

guest "feature on, ext2, legacy mode" --fs ext2 --iommu legacy --skip "$no_ext2" -- \
	nics devdax \
	"$may selftests refusal truncate reuse lifetime readonly umount durability scratch race region"

# The same tests, and some more, with devices of user space in place of NICs
guest "VFIO, XFS" --in $every --threads single --nvdimm 512M --nvdimm 64M --allow "$assertions" \
	--skip "$no_1g|$type1|$untracked|nothing can be registered any more|shares no block: 0" -- \
	vfio_devices devdax \
	"$may type1 selftests truncate reuse largepage region lifetime scratch window race durability fail_nth security umount vfio" \
	"${may/engine-nics/vfio-devices} type1 selftests fail_closed" \
	"${may/engine-nics/vfio-devices} type1 selftest controls.sh VFIO" 'type1 selftest controls.sh "hook skipped: punch"' \
	"${may/engine-nics/vfio-devices} type1 selftest stress.sh --jobs 2 $stress" \
	'DAX_RETARGET_POISON=1 type1 selftests poison' 'DAX_RETARGET_REMOVE=1 type1 selftest removal -v unbind'

guest "iommufd, ext4, scalable mode" --in $every --fs ext4 --iommu scalable \
	--threads single --nvdimm 512M --nvdimm 64M --allow "$assertions|$no_memory" \
	--skip "$no_1g|$iommufd|vfio: .*only iommufd|$untracked|shares no block: .* not possible here" -- \
	vfio_devices devdax \
	"$may iommufd selftests truncate reuse largepage region lifetime window race durability fail_nth vfio" \
	"$may compat selftests truncate reuse vfio" \
	'iommufd selftest controls.sh iommufd' 'iommufd selftest controls.sh "flush left out: punch"' \
	"${may/engine-nics/vfio-devices} iommufd selftest stress.sh --jobs 2 $stress"

guest "a hypervisor" --memory 3G --nvdimm 512M --nvdimm 64M -- \
	'/share/hypervisor.sh $selftests' \
	'vfio_devices --last' nics 'type1 selftest vfio -t pages_of_an_rdma_region'

guest "programs of users" -- nics programs

guest "servers" -- nics servers

# What one may do beside a file costs others nothing.
guest "bounds" --in check,debug,coverage -- \
	nics 'selftests bounds'

guest "devices are stopped or unbound" --in check,debug,coverage \
	--skip "said by another variant" -- \
	nics "$may selftests fail_closed unbind"

# Blocks that lie so that the IOMMU maps 1 GiB at once
guest "large pages and regions, engines" --in check,coverage --fs none --nvdimm 8G --nvdimm 64M -- \
	'mkfs.xfs -q -f -d agcount=2 /dev/pmem0 && mount -o dax=always /dev/pmem0 /mnt' \
	devdax 'kernel_test mm/gup_longterm' plain_nic 'selftests --expect noengine refusal' no_plain_nic \
	nics 'selftests largepage' 'selftests huge' dmatest

guest "other file systems" --in check,coverage --limit 3600 \
	--nvdimm 512M --nvdimm 512M --nvdimm 512M \
	--skip "ext2: .*($no_ext2)|XFS, .* not ext4" -- \
	nics 'spare 1' 'spare 2' 'selftest filesystems.sh'

program "what it costs" -- "$VM/bench.sh" --set check --tap --out "$logs/bench"

program "power cuts" -- "$VM/power-cut.sh" --cuts "${CUTS:-3}" --seed "${SEED:-1}"

program "power cuts, controls" -- "$VM/power-cut.sh" --fs xfs --controls --seed "${SEED:-1}"

for fs in xfs ext4; do
	may_skip=''
	[ $fs = xfs ] || may_skip='shares no block: .* not possible here'
	guest "stress, $fs" --in check,debug,kcsan --fs $fs --limit 900 --allow "$no_memory" \
		--skip "$may_skip" -- \
		nics "NICS='bash /share/engine-nics.sh' selftest stress.sh $stress"
done

guest "stress, controls" --allow "$assertions" -- \
	nics '/share/stress-controls.sh $selftests/stress'

guest "feature off" --in check,coverage --mode off --memory 3G -- \
	'kernel_test mm/gup_longterm' '/share/hypervisor.sh $selftests --refused' nics devdax 'selftests refusal' doctor

guest "regions are revoked" --in check,debug,kcsan --mode revoke --append kunit.enable=1 \
	--allow "$assertions" -- \
	kunit nics 'selftests revoked' "DAX_RETARGET_REVOKE=1 selftest controls.sh 'that lost pages'" \
	'/image/tools/dax-retarget devices | grep "written .*revoked\|all .*revoked"'

guest "nonsense parameter" --in check,coverage --mode nonsense -- \
	'dmesg | grep "dax_retarget: .*nonsense"' nics devdax 'selftests refusal' doctor

guest "iommu=pt" --in check,coverage --mode pt -- \
	nics devdax 'selftests refusal' doctor

program "memory removed, control" -- "$VM/removed-memory.sh"

# The mock devices of this test need a machine without another IOMMU. What is left out
# takes a minute.
for feature in on off; do
	guest "the kernel's own test of iommufd, $feature" --fs none --mode $feature \
		--append intel_iommu=off -- \
		'kernel_test iommu/iommufd -T get_dirty_bitmap -T get_dirty_bitmap_no_clear'
done

afterwards "gup_longterm says the same, on and off" \
	--needs "feature off" --needs "large pages and regions, engines" -- \
	"$VM/kernel-test.sh" gup_longterm \
	"$(log_of "feature off")" "$(log_of "large pages and regions, engines")"

afterwards "the test of iommufd says the same, on and off" \
	--needs "the kernel's own test of iommufd, on" \
	--needs "the kernel's own test of iommufd, off" -- \
	"$VM/kernel-test.sh" iommufd "$(log_of "the kernel's own test of iommufd, on")" \
	"$(log_of "the kernel's own test of iommufd, off")"

afterwards "lines reached" --in coverage -- \
	"$VM/coverage.py" "$BUILD" "$VM/coverage.txt" "$counters"
