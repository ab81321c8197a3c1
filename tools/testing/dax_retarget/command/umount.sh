# SPDX-License-Identifier: GPL-2.0-only
#
# A file system is unmounted while a region has one of its files, which is neither
# open nor mapped.
# shellcheck shell=bash disable=SC2154

group_umount()
{
	local device type
	make_file file 64K
	monitor "$WORK/events"
	regions -u -w 1 "$DIR/file"
	device=$(findmnt -n -o SOURCE "$DIR")
	type=$(findmnt -n -o FSTYPE "$DIR")
	check "umount" umount "$DIR"
	"$D" list | ktap_comment
	same "the pin is there, the file is gone" "[(65536, True, None)]" \
		"$("$D" list --json | json '[(p["lost"], p["ranges"][0]["gone"], p["ranges"][0].get("file")) for p in data]')"
	events_are "umount" "evict:65536"
	let_go
	mount -t "$type" -o "$(dax_option "$type")" "$device" "$DIR"
}
