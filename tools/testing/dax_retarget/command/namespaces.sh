# SPDX-License-Identifier: GPL-2.0-only
#
# What the command says in other namespaces than the initial ones.
# shellcheck shell=bash disable=SC2154

group_namespaces()
{
	make_file file 64K
	chmod 755 "$DIR"
	regions -w 1 "$DIR/file"
	same "in another pid namespace it has no pid" "[(False, 0)]" \
		"$(unshare --pid --fork --mount-proc "$D" list --json | json '[("pid" in p, p["uid"]) for p in data]')"
	unshare --net "$D" monitor --timeout 1 2> "$WORK/err" > /dev/null
	check "monitor in another network namespace warns" grep -q 'initial network namespace' "$WORK/err"
	if ! unshare --user --map-root-user true 2> /dev/null; then
		ktap_skip "user namespaces" "the kernel has none (CONFIG_USER_NS)"
		let_go
		return
	fi
	same "root of a user namespace is the same user, so sees it" "[(True, 0)]" \
		"$(unshare --user --map-root-user "$D" list --json | json '[("pid" in p, p["uid"]) for p in data]')"
	same "with a network namespace, too" "[(True, 0)]" \
		"$(unshare --user --map-root-user --net "$D" list --json | json '[("pid" in p, p["uid"]) for p in data]')"
	same "but not where the process is unknown" 0 \
		"$(unshare --user --map-root-user --pid --fork --mount-proc "$D" list --json | json 'len(data)')"
	unshare --user --map-root-user "$D" revoke --file "$DIR/file" 2> /dev/null
	same "but has nothing to revoke: status 1" 1 $?
	unshare --user --map-root-user "$D" monitor --timeout 1 2> /dev/null
	same "nor see events: status 4" 4 $?
	same "nor the counters of devices" "[False]" \
		"$(unshare --user --map-root-user "$D" devices --all --json | json 'sorted({"pins" in d for d in data})')"
	same "a user in a namespace sees nothing of others" 0 \
		"$(as_nobody unshare --user --map-root-user --pid --net --fork --mount-proc "$D" list --json | json 'len(data)')"
	let_go

	# In the other direction, root sees the pins of a user namespace.
	chmod 666 "$DIR/file"
	hold_as_nobody "$DIR/file" unshare --user --map-root-user
	within 20 grep -q . "$WORK/own.log"
	if grep -q ready "$WORK/own.log"; then
		same "root sees it by its own numbers" "[65534]" "$("$D" list --json | json '[p["uid"] for p in data]')"
		check "and may revoke it" "$D" revoke --file "$DIR/file"
	else
		ktap_skip "a pin from a user namespace" "$(cat "$WORK/own.log")"
	fi
	kill "$user" 2> /dev/null
	wait "$user" 2> /dev/null
	check "none is left" within 10 none_left
}
