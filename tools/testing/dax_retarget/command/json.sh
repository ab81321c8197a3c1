# SPDX-License-Identifier: GPL-2.0-only
#
# The JSON of each verb follows its schema, and the status tells of wrong use.
# shellcheck shell=bash disable=SC2154

group_json()
{
	local verb
	make_file file 64K
	regions -w 2 "$DIR/file"
	for verb in list devices stats doctor; do
		"$D" $verb --json > "$WORK/$verb"
		check "$verb: JSON is valid" valid $verb "$WORK/$verb"
	done
	"$D" devices --all --json > "$WORK/devices"
	check "devices --all: JSON is valid" valid devices "$WORK/devices"
	# The IOMMU is emulated, so the kernel does not rely on its dirty bits
	same "devices: the IOMMU of none tells what it wrote to" "(True, {False})" \
		"$(json '(all(("tracks_writes" in d) == ("revokes" in d) == d["retargetable"] for d in data), {d["tracks_writes"] for d in data if d["retargetable"]})' < "$WORK/devices")"
	"$D" devices > "$WORK/table"
	check "devices: so a sync writes back all pages" grep "$DEVICE .* all  *scratch  *[0-9].* yes$" "$WORK/table"
	same "stats count the same as the kernel's own" "$(stat_of pins) $(stat_of pages_pinned)" \
		"$("$D" stats --json | json '"%d %d" % (data["pins"], data["pinned"] / 4096)')"
	same "top shows it" 2 "$("$D" top --batch -n 1 | grep -c "^ *$holder  many_regions  root .* 2  *128K  *0  *0$")"
	"$D" top --batch -n 1 | ktap_comment
	for verb in '' list devices monitor stats top revoke doctor; do
		# shellcheck disable=SC2086
		check "$verb --help" "$D" $verb --help
		"$D" ${verb:+"$verb"} --nonsense 2> /dev/null
		same "$verb --nonsense: status 2" 2 $?
	done
	"$D" revoke 2> /dev/null
	same "revoke without selector: status 2" 2 $?
	"$D" revoke --id 1234567 2> /dev/null
	same "revoke without match: status 1" 1 $?
	"$D" list > /dev/full 2> /dev/null
	same "a full disk: status 1" 1 $?
	let_go
}
