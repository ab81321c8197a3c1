#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Run tests of DAX retarget as one TAP stream, with totals.

cd "$(dirname "$0")" || exit 1

# The programs that run.sh runs without being told to.
default=(refusal truncate reuse largepage region lifetime scratch window
	 race reflink copy_on_write exchange swapfile shrink readonly durability
	 fail_nth security requests frozen no_pin advise umount)
# The others take memory away for good, take long, or need more than a folder: a file
# system that filesystems.sh makes, or memory that only some machines have.
special=(vfio attribute quota repair poison machine_check removal huge bounds
	 unbind fail_closed revoked)
# Scripts that overwrite block devices or break the kernel on purpose. Each says
# what it needs.
scripts=(controls.sh equivalence.sh filesystems.sh stress.sh)

usage()
{
	cat <<USAGE
Usage: run.sh [--expect on|off|pt|noengine] [--controls] [TEST...]
       run.sh --list

  --expect	what this machine should do, see refusal.c
  --controls	also break the kernel on purpose, see controls.sh
  --list	print the names of all tests
  TEST		only these tests

Needs root. From the environment:
  DAX_RETARGET_DIR	folder on a file system mounted with DAX (/mnt)
  DAX_RETARGET_CONSUMER	of which interface the devices are: rdma (the default), type1
			(a VFIO container), iommufd, or compat (iommufd as a VFIO
			container); see lib_nic.c
  DAX_RETARGET_DEV	RDMA device, or the PCI address of an NVMe controller that is
			bound to vfio-pci, whose data will be lost (the first)
  DAX_RETARGET_DEV2	another one (the second)
  DAX_RETARGET_RACES	number of races in race.c (20)
  DAX_RETARGET_PATIENCE	milliseconds that a test waits for what has to happen (60000)
  DAX_RETARGET_UMOUNT	the folder may be unmounted and mounted again (not set)
  DAX_RETARGET_EMERGENCY	as may all others be made read-only, by SysRq (not set)
  DAX_RETARGET_NAMESPACE	another namespace, which may be disabled (not set)
  NICS			command that makes NICs; with it, they may be removed (not set)

Run only by name, as they overwrite block devices, take memory away for good, take
long or need a file system of their own; each says what it needs:
  ${special[*]}
  ${scripts[*]}
USAGE
}

expect=() controls='' tests=()
while [ $# -gt 0 ]; do
	case $1 in
	--expect) expect=(--expect "$2"); shift ;;
	--controls) controls=1 ;;
	--list) printf '%s\n' "${default[@]}" "${special[@]}" "${scripts[@]}"; exit ;;
	-h|--help) usage; exit 0 ;;
	-*) usage >&2; exit 1 ;;
	*) tests+=("$1") ;;
	esac
	shift
done
for test in "${tests[@]}"; do
	case " ${default[*]} ${special[*]} ${scripts[*]} " in
	*" $test "*) ;;
	*) echo "run.sh: no test $test; run.sh --list prints all" >&2; exit 1 ;;
	esac
done
if [ ${#tests[@]} = 0 ]; then
	tests=("${default[@]}")
	[ -z "$controls" ] || tests+=(controls.sh)
fi

. ./lib.sh

ktap_print_header
for test in "${tests[@]}"; do
	arguments=()
	[ "$test" != refusal ] || arguments=("${expect[@]}")
	ktap_run "$test" "./$test" "${arguments[@]}"
done
ktap_end
