#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Show the whole idea in one transcript: the demonstration in a guest without the
# feature, then in one with it. Fails if a statement does not hold or a kernel
# reports a fault.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

iommu=first
if [ ! -x "$QEMU10/usr/bin/qemu-system-x86_64" ]; then
	say "Without QEMU 10 the IOMMU has second-level tables only."
	iommu=scalable
fi

demo()	# off|on
{
	guarded "$VM/run" --iommu $iommu --append "dax_retarget=$1" --share "$BENCH" --limit 300 \
		". /run/vm/guest-lib.sh && nics && /share/demo.sh $1"
}

demo off
demo on
