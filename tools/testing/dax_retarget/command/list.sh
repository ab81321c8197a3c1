# SPDX-License-Identifier: GPL-2.0-only
#
# What "list" and "devices --all" say is complete, at any number and size.
# shellcheck shell=bash disable=SC2154

list_is_complete()	# NUMBER
{
	local nr=$1 took
	regions "$nr" "$DIR/many"
	took=$(seconds "$D" list --json)
	cp "$WORK/timed" "$WORK/list"
	echo "# list of $nr pins: $took s; as a table $(seconds "$D" list) s"
	same "$nr regions: complete" "$nr" "$(json 'len(data)' < "$WORK/list")"
	same "$nr regions: sorted and unique" True \
		"$(json 'all(a["id"] < b["id"] for a, b in zip(data, data[1:]))' < "$WORK/list")"
	same "$nr regions: a line each, and one of headings" $((nr + 1)) "$(lines "$WORK/timed")"
	check "$nr regions: JSON is valid" valid list "$WORK/list"
	same "$nr regions: all of one process" "$nr" \
		"$("$D" list --pid "$holder" --json | json 'len(data)')"
	let_go
	check "$nr regions: none is left" within 20 none_left
}

list_selects()
{
	local pci
	make_file one 64K
	make_file two 64K
	regions -w 1 "$DIR/one" "$DIR/two"
	"$D" list --json > "$WORK/list"
	same "a region of two files has two ranges" "[['$DIR/one', 65536], ['$DIR/two', 65536]]" \
		"$(json '[[r["file"], r["length"]] for r in data[0]["ranges"]]' < "$WORK/list")"
	same "--file" 1 "$("$D" list --file "$DIR/two" --json | json 'len(data[0]["ranges"])')"
	same "--mount" 2 "$("$D" list --mount "$DIR" --json | json 'len(data[0]["ranges"])')"
	same "--mount of another file system" 0 "$("$D" list --mount / --json | json 'len(data)')"
	same "--device of the RDMA device" 1 "$("$D" list -d "$DEVICE" --json | json 'len(data)')"
	pci=$(json 'data[0]["device"]' < "$WORK/list")
	same "--device of the PCI device" 1 "$("$D" list -d "$pci" --json | json 'len(data)')"
	same "--device of another" 0 "$("$D" list -d nonsense --json | json 'len(data)')"
	rm "$DIR/two"
	same "an unlinked file has no name" "['$DIR/one', None]" \
		"$("$D" list --json | json '[r.get("file") for r in data[0]["ranges"]]')"
	"$D" list | ktap_comment
	let_go
}

# One message of the kernel has no room for so many ranges or devices.
list_of_many()
{
	local i parts=() device expected=()
	for i in {1..100}; do
		make_file "part$i" 8K
		parts+=("$DIR/part$i")
	done
	regions -w 4 "${parts[@]}"
	"$D" list --json > "$WORK/list"
	same "four regions of 100 files have 100 ranges each" \
		"$(for i in {1..4}; do printf "'%s'\n" "${parts[@]}"; done)" \
		"$(json '"\n".join(repr(r["file"]) for pin in data for r in pin["ranges"])' < "$WORK/list")"
	let_go
	rm "${parts[@]}"
	for device in /sys/bus/pci/devices/*; do
		[ ! -e "$device/driver" ] || expected+=("${device##*/}")
	done
	same "all ${#expected[@]} devices with a driver are listed" "$(printf '%s\n' "${expected[@]}" | sort)" \
		"$("$D" devices --all --json | json '"\n".join(sorted(d["name"] for d in data))')"
}

list_of_ugly_name()
{
	local ugly=$'\e[31mred\n\xff\xe4'
	make_file "$ugly" 4K
	regions 1 "$DIR/$ugly"
	"$D" list > "$WORK/table"
	same "a name with control characters stays on its line" 2 "$(lines "$WORK/table")"
	check "and does not reach the terminal" sh -c "! grep -q $'\\033' '$WORK/table'"
	"$D" list --json > "$WORK/list"
	check "a name that is no UTF-8: JSON is valid" valid list "$WORK/list"
	let_go
	rm -f "$DIR/$ugly"
}

group_list()
{
	local nr
	make_file many 4M
	for nr in 1 100 "${PINS:-2000}"; do
		list_is_complete $nr
	done
	list_selects
	list_of_many
	list_of_ugly_name
}
