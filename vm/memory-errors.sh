#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Memory of the guest fails where the guest asks for it: the other end of
# tools/testing/dax_retarget/memory-error.sh. For vm/run --beside, in the folder of
# the run.
#
# QEMU's monitor injects a machine check as an Intel CPU raises it: bank 1 of CPU 0,
# broadcast (-b) to the other CPUs, as Linux waits for all of them. The kernel
# dispatches it to memory_failure(), which unmaps the page from the kernel's direct
# map. On a CPU of AMD, as QEMU's usual one, the kernel panics: it has no such error
# there. So the guest needs INTEL_CPU of lib.sh.
set -euo pipefail

# Valid, uncorrected, enabled, with address and its kind, signalled, no action
# required; the code of memory scrubbing (SDM, volume 3, 17.9.3)
status=0xbd000000000000c0
# The handler may return, and a machine check is in progress
mcg_status=0x5
# The address is a physical one, and good to a page
misc=0x8c

tail --pid=$$ --follow=name --retry --lines=+1 --quiet kernel.log 2> /dev/null |
while read -r line; do
	[[ $line =~ 'memory error wanted at '(0x[0-9a-f]+) ]] || continue
	echo "mce -b 0 1 $status $mcg_status ${BASH_REMATCH[1]} $misc" > monitor.in
done
