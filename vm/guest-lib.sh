# SPDX-License-Identifier: GPL-2.0-only
#
# What a command in the guest can use, as '. /run/vm/guest-lib.sh': functions for
# the steps of parts.sh and for 'make test'. MODE is the kind of machine, see
# lib.sh on the host.
# shellcheck shell=bash

MODE=${MODE:-on}
selftests=/image/selftests/dax_retarget
status=0	# of the first step that failed

# One step of a list, which goes on where a step fails.
step()	# COMMAND
{
	local start=$SECONDS result=0
	eval "$1" || result=$?
	[ $status != 0 ] || status=$result
	echo "# $((SECONDS - start)) s, status $result: $1"
}

# The NICs that the tests use
nics()
{
	if [ "$MODE" = noengine ]; then
		plain_nic
	else
		/share/engine-nics.sh > /dev/null
	fi
}

# The controllers as devices of user space in place of engines of NICs; or only the last
vfio_devices()	# [--last]
{
	/share/vfio-devices.sh "$@" > /dev/null
}

# The tests' regions are mappings of a VFIO container, of iommufd, or of iommufd
# as a container, see lib_nic.c.
type1()		# COMMAND...
{
	DAX_RETARGET_CONSUMER=type1 "$@"
}

iommufd()	# COMMAND...
{
	DAX_RETARGET_CONSUMER=iommufd "$@"
}

compat()	# COMMAND...
{
	DAX_RETARGET_CONSUMER=compat "$@"
}

# A NIC whose payload the CPU moves, as rxe is without the test-only patch
plain_nic()
{
	/share/plain-nic.sh > /dev/null
}

no_plain_nic()
{
	rdma link delete plain && ip link delete plain0
}

# The dirty bits of QEMU's IOMMU are relied on, which has them with first-level tables
tracked()	# COMMAND...
{
	local switch=/sys/kernel/debug/dax_retarget/break/distrust status=0

	echo 1 > $switch
	DAX_RETARGET_TRACKS=1 "$@" || status=$?
	echo 0 > $switch
	return $status
}

# Another NVDIMM as one that programs map as a whole, by pages of 2 MiB or others
devdax()	# [NUMBER [PAGE-SIZE]]
{
	ndctl create-namespace -f -m devdax -a "${2-2M}" -e "namespace${1-1}.0" > /dev/null &&
		export DAX_RETARGET_NAMESPACE=namespace${1-1}.0
}

# A file system on /mnt, with room for large files of one piece each
one_piece()	# TYPE
{
	case $1 in
	xfs) mkfs.xfs -q -f -d agcount=2 /dev/pmem0 ;;
	ext4) mkfs.ext4 -q -F -b 4096 -O sparse_super2 -E packed_meta_blocks=1,num_backup_sb=0 /dev/pmem0 ;;
	esac > /run/mkfs.log 2>&1 && mount -o dax=always /dev/pmem0 /mnt
}

# Another NVDIMM as a block device that tests may overwrite. With the first, so is
# the one under /mnt.
spare()	# NUMBER
{
	ndctl create-namespace -f -m fsdax -e "namespace$1.0" > /dev/null || return
	case $1 in
	1) export DAX_RETARGET_SPARE=/dev/pmem1 DAX_RETARGET_BLOCK=/dev/pmem0 DAX_RETARGET_BLOCK2=/dev/pmem1 ;;
	2) export DAX_RETARGET_SPARE2=/dev/pmem2 ;;
	esac
}

# All selftests that need nothing special, or some, by name
selftests()	# [--expect MODE] [TEST...]
{
	local expect=$MODE
	[ "$MODE" != nonsense ] || expect=off
	(cd $selftests && ./run.sh --expect "$expect" "$@")
}

# One of them, or a script that they do not include
selftest()	# PROGRAM [ARGUMENT...]
{
	(cd $selftests && "./$1" "${@:2}")
}

# The administrator's command, all groups of tests or some
command_groups()	# [GROUP...]
{
	(cd /share && ./command.sh "$@")
}

doctor()
{
	command_groups doctor
}

# Programs as users run them, all groups of tests or some
programs()	# [GROUP...]
{
	/share/programs.sh "$@"
}

# What servers and the kernel do to files with regions
servers()	# [GROUP...]
{
	/share/servers.sh "$@"
}

# Memory fails where a test wants it, and is mended. The host needs INTEL_CPU and
# --beside memory-errors.sh.
memory_errors()
{
	export DAX_RETARGET_MEMORY_ERROR=/share/memory-error.sh
	modprobe nvdimm_clear 2> /dev/null || insmod /share/nvdimm_clear.ko
}

# The engines under the NICs, by the kernel's own test of such engines, which wants
# them for itself.
dmatest()
{
	local nic summary
	for nic in rxe0 rxe1; do rdma link delete $nic; done
	modprobe dmatest timeout=20000 iterations=100 run=1 wait=1
	cat /sys/module/dmatest/parameters/wait > /dev/null
	summary=$(dmesg | grep 'dmatest: .* summary' | sed 's/^/# /')
	echo "$summary"
	if [ -n "$summary" ] && ! grep -v ' 0 failures' <<< "$summary"; then
		echo "ok 1 dmatest: the engines move what they should"
	else
		echo "not ok 1 dmatest: the engines move what they should"
		return 1
	fi
}

# What the KUnit tests said at boot (kunit.enable=1). Nested results count, the sums
# of the suites do not.
kunit()
{
	dmesg | sed -nE 's/^\[ *[0-9.]+\]     ((not )?ok [0-9]+ .*)/\1/p
		s/^\[ *[0-9.]+\]     (# .*(FAILED|EXPECT).*)/\1/p' |
	awk '/^# / { print; next }
	     { n++; sub(/ok [0-9]+ /, "ok " n " KUnit: "); print }
	     /^not ok/ { failed++ }
	     END { print "1.." n + 0; exit n == 0 || failed > 0 }'
}

# The kernel's own tests of what the product touches. What a test says is a comment:
# some also fail on a kernel of this configuration without the product, so it is
# compared with what the test says on another guest.
kernel_test()	# PROGRAM ARGUMENT...
{
	(cd /mnt && "/image/selftests/$1" "${@:2}") | grep -E '^(not )?ok' |
		sed "s|^|# kernel test: ${1#*/}: |"
}

# With KCSAN: where nothing was watched, it says little that nothing was found.
kcsan_watched()
{
	if grep '^setup_watchpoints: [1-9]' /sys/kernel/debug/kcsan | sed 's/^/# /' | grep .; then
		echo "ok 1 KCSAN watched"
	else
		echo "not ok 1 KCSAN watched"
		return 1
	fi
}
