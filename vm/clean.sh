#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Remove what can be built again. The kernel tree stays, as it may hold a
# developer's commits.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
lock_cache

rm -rf "$BUILD" "$CACHE"/{lint-*,test-modules,tools,stage,power-cut} "$IMAGES" "$RUNS" "$LOGS" \
	"$ROOTFS" "$STAMPS"/{kernel-config,kernel-build,tests-build,tools-build,rootfs}
say "left: $TREE (yours to remove) and the compiler cache ('ccache -C')"
