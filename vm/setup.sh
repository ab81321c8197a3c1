#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Everything that a guest needs, each step only where its inputs changed:
#   setup.sh [all|tree|kernel|rootfs]
# 'tree' is the source of the kernel, and nothing is built.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

what=${1-all}
lock_cache

# Enough for all of it, while the biggest part is not there yet.
free=$(free_megabytes)
wanted=7000
[ ! -f "$BUILD/vmlinux" ] || wanted=1500
[ "$free" -ge $wanted ] ||
	die "$CACHE: $free MB free, the set-up needs $wanted; make room or set DAX_RETARGET_CACHE"

guarded "$VM/packages.sh"
if [ "$what" = all ]; then
	guarded "$VM/qemu.sh"
fi
# It mostly waits for downloads, and needs nothing of the kernel.
rootfs=
if [ "$what" = all ]; then
	# Not guarded(), so that it is this process that it goes with.
	setpriv --pdeathsig TERM "$VM/rootfs.sh" &
	rootfs=$!
fi
if [ "$what" != rootfs ]; then
	guarded "$VM/source.sh"
	guarded "$VM/series.sh"
	guarded "$VM/overlay.sh"
fi
case $what in all|kernel) guarded "$VM/kernel.sh" ;; esac
[ "$what" != rootfs ] || guarded "$VM/rootfs.sh"
[ -z "$rootfs" ] || wait "$rootfs"
[ "$what" != kernel ] || say "kernel: $IMAGE/vmlinux, built from $TREE"
