# SPDX-License-Identifier: GPL-2.0-only
#
# A file whose path is as long as it gets does not keep others from being listed.
# shellcheck shell=bash

# A socket that has read nothing yet gets small messages. Print how many messages
# about pins such a socket gets, and the error at the end of the dump.
dump_by_fresh_socket()
{
	python - <<-'PYTHON'
	from netlink import (NLM_F_DUMP, PIN_GET, error_of, family_id, messages, new_socket,
	                     request)
	family = family_id(new_socket())
	sock = new_socket()
	sock.send(request(family, PIN_GET, NLM_F_DUMP))
	pins, error = 0, None
	while error is None:
	    for kind, flags, payload in messages(sock.recv(65536)):
	        if kind == family:
	            pins += 1
	        else:
	            error = error_of(payload)
	print(pins, error)
	PYTHON
}

group_path()
{
	local part i deep
	part=$(printf 'd%.0s' {1..200})
	cd "$DIR" || return
	for ((i = 0; i < 19; i++)); do
		mkdir -p "$part" && cd "$part" || break
	done
	head -c 4096 /dev/zero > file
	# No system call takes a path of that length, so the program runs in the folder.
	"$TOOLS/many_regions" "$DEVICE" 1 file < <(cd / && exec sleep 30) > "$WORK/deep" 2>&1 &
	deep=$!
	within 20 grep -q . "$WORK/deep"
	same "a path of 3800 bytes: list" 1 "$("$D" list --json | json 'len(data)')"
	same "a path of 3800 bytes: a dump by a fresh socket" "1 0" "$(dump_by_fresh_socket)"
	kill $deep
	wait $deep 2> /dev/null
	cd "$HERE" || return
	rm -rf "${DIR:?}/$part"
}
