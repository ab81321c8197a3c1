#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Have memory fail, with a real machine check:
#
#   memory-error.sh ADDRESS
#
# ADDRESS is a physical one. In a guest the host does it, which reads the kernel log
# (vm/memory-errors.sh). This is what DAX_RETARGET_MEMORY_ERROR names for the selftest
# machine_check; a real machine needs a command that uses ACPI's EINJ.
echo "dax_retarget: memory error wanted at $1" > /dev/kmsg
