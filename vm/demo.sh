#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Show the whole idea in one transcript: the demonstration in a guest without the
# feature, then in one with it. Fails if a statement does not hold or a kernel
# reports a fault.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

demo()	# off|on
{
	guarded "$VM/run" --append "dax_retarget=$1" --share "$BENCH" --limit 300 \
		". /run/vm/guest-lib.sh && nics && /share/demo.sh $1"
}

demo off
demo on
