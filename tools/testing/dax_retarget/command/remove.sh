# SPDX-License-Identifier: GPL-2.0-only
#
# The memory under a file system is removed while a region has a file of it open.
# shellcheck shell=bash disable=SC2154

group_remove()
{
	local device
	# One block: several may be in pieces, with an event for each
	make_file file 4K
	# The file system is lost by that, see remove-namespace.sh.
	# shellcheck disable=SC2217
	sleep infinity < "$DIR/file" > /dev/null 2>&1 &
	disown
	regions -w 1 "$DIR/file"
	monitor "$WORK/events"
	umount -l "$DIR"
	for device in /sys/bus/nd/drivers/nd_pmem/pfn*; do
		[ "$(basename "$device")" != pfn1.0 ] || continue
		basename "$device" > /sys/bus/nd/drivers/nd_pmem/unbind
	done
	events_are "the namespace is removed" "remove:4096"
	let_go
}
