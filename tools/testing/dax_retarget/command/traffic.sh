# SPDX-License-Identifier: GPL-2.0-only
#
# Pages of a file are revoked under remote writes by perftest.
# shellcheck shell=bash

group_traffic()
{
	local before

	make_file file 1M
	head -c 1M /dev/urandom > "$DIR/file"
	traffic "$DIR/file" 25
	check "traffic: pinned" within 30 is_pinned
	sleep 2
	"$D" revoke --file "$DIR/file" --json > "$WORK/revoked"
	before=$(md5sum < "$DIR/file")
	same "all pages are taken" 32 "$(json 'data["pages"]' < "$WORK/revoked")"
	same "the list tells" 131072 "$("$D" list --json | json 'data[0]["lost"]')"
	check "the traffic goes on" traffic_goes_on
	sleep 3
	same "and reaches the file no more" "$before" "$(md5sum < "$DIR/file")"
	same "the file keeps its size and blocks" "1048576 2048" "$(stat -c '%s %b' "$DIR/file")"
	check "the traffic ends with status 0" traffic_ended_well
}
