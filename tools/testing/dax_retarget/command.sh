#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of the administrator's command, dax-retarget, and of the netlink family
# under it, with real RDMA programs. Runs after engine-nics.sh, as root, with file
# system DIR for the tests alone. TAP on stdout.
#
#   command.sh [GROUP...]
#
# Each group is a file in command/. TOOLS is the folder with the command, its
# schema files and the helpers, SELFTESTS the folder with the built selftests.
set -u

HERE=$(realpath "$(dirname "$0")")
# The last two take the file system and its memory away for good.
all=(list events own json rights namespaces dumps storm traffic ynl path fuzz faults
     sanitize trace doctor stopped umount remove)

. "$HERE/groups.sh"
choose_groups "$@"

. "$HERE/command/lib.sh"
for group in "${groups[@]}"; do
	# shellcheck source=command/list.sh
	. "$HERE/command/$group.sh"
done

run_groups
