#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Remove what can be built again. The kernel tree stays, as it may hold a
# developer's commits.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
lock_cache

rm -rf "$CACHE"/{build,lint,test-modules,stage}{,-*} "$CACHE"/{tools,power-cut,coverage,qemu10,stock,linux-6.12-stock,bench} \
	"$CACHE"/{product,packages,check-deb,series} "$IMAGES" "$RUNS" "$LOGS" "$ROOTFS" \
	"$STAMPS"/{kernel-config,kernel-build,tests-build}{,-*} "$STAMPS"/{tools-build,rootfs,stock,qemu} "$STAMPS"/{product-,kernel-package,tool-package,check-deb}*
[ ! -d "$TREE" ] || git -C "$TREE" worktree prune
say "left: $TREE (yours to remove) and the compiler cache ('ccache -C')"
