# SPDX-License-Identifier: GPL-2.0-only
#
# The command says what the kernel's own client of the specification, YNL, says.
# shellcheck shell=bash disable=SC2154

ynl()
{
	python3 "$TOOLS/ynl/cli.py" --spec "$TOOLS/specs/dax-retarget.yaml" --no-schema --output-json "$@"
}

group_ynl()
{
	make_file one 64K
	make_file two 64K
	regions -w 3 "$DIR/one" "$DIR/two"
	fallocate --punch-hole --offset 0 --length 4096 "$DIR/one"
	ynl --dump pin-get > "$WORK/ynl"
	"$D" list --json > "$WORK/list"
	same "YNL's client and list agree" \
		"$(json 'sorted((p["id"], p["device"], p["consumer"], p["pid"], p["comm"], p["access"], p["state"], p["pages"] * 4096, p["pages-retargeted"] * 4096, p["inode"], p["path"], p["offset"], p["length"], p["iova"]) for p in data)' < "$WORK/ynl")" \
		"$(json 'sorted((p["id"], p["device"], p["consumer"], p["pid"], p["comm"], p["access"], p["state"], p["size"], p["lost"], r["inode"], r["path"], r["offset"], r["length"], r["iova"]) for p in data for r in p["ranges"])' < "$WORK/list")"
	ynl --dump device-get > "$WORK/ynl"
	"$D" devices --all --json > "$WORK/devices"
	same "on devices, too" \
		"$(json 'sorted((d["name"], d["driver"], d.get("retargetable", False), d.get("tracks-writes", False), d.get("revokes", False), d["pins"], d["bytes-pinned"], d["bytes-retargeted"], d["flushes"]) for d in data)' < "$WORK/ynl")" \
		"$(json 'sorted((d["name"], d["driver"], d["retargetable"], d.get("tracks_writes", False), d.get("revokes", False), d["pins"], d["pinned"], d["lost"], d["flushes"]) for d in data)' < "$WORK/devices")"
	same "and on why they are refused" \
		"$(json 'sorted((d["name"], d.get("refusal", "none")) for d in data)' < "$WORK/ynl")" \
		"$(json 'sorted((d["name"], d.get("refusal", "none")) for d in data)' < "$WORK/devices")"
	same "and the command has words for each refusal" True \
		"$(json 'all(d["retargetable"] or d["reason"] for d in data)' < "$WORK/devices")"
	same "and on the status" "$(ynl --do status-get --json '{}' | json '(data.get("enabled", False), data["events"], data["events-lost"])')" \
		"$("$D" stats --json | json '(data["enabled"], data["events"], data["events_lost"])')"
	let_go
}
