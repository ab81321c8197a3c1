# SPDX-License-Identifier: GPL-2.0-only
#
# Malformed messages to the netlink family.
# shellcheck shell=bash disable=SC2154

# Print errors only: a kernel that warns fails the guest anyway.
kernel_errors()
{
	dmesg --level=emerg,alert,crit,err
}

group_fuzz()
{
	local nr=${FUZZ:-20000}
	make_file file 64K
	regions -w 10 "$DIR/file"
	monitor "$WORK/events"
	kernel_errors > "$WORK/before"
	check "$nr malformed messages: the kernel still answers" python "$HERE/fuzz_netlink.py" "$nr" 1
	check "and as nobody" as_nobody python3 -B "$HERE/fuzz_netlink.py" $((nr / 10)) 2
	kill $watcher
	wait $watcher
	same "the kernel's log has no error" "" \
		"$(kernel_errors | tail -n +$(($(lines "$WORK/before") + 1)) | head -n 5)"
	let_go
	check "none is left" within 10 none_left
}
