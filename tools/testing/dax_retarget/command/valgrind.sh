# SPDX-License-Identifier: GPL-2.0-only
#
# The command under valgrind, which looks for leaks and for wrong use of memory.
# shellcheck shell=bash disable=SC2154

group_valgrind()
{
	local verb
	make_file file 64K
	regions -w 20 "$DIR/file"
	for verb in "list" "list --json" "devices" "stats --json" "top -b -n 1" "monitor -t 2" \
		    "doctor $DEVICE $DIR/file" "revoke -f $DIR/file -o 4K -l 4K"; do
		# Static objects of libnl and json-c stay reachable to the end.
		# shellcheck disable=SC2086
		check "valgrind: $verb" valgrind -q --leak-check=full --errors-for-leak-kinds=definite,indirect \
			--error-exitcode=99 "$D" $verb
	done
	let_go
}
