#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# QEMU 10, whose VT-d IOMMU has first-level tables. Debian 12 has it in its
# backports: the packages are unpacked into the cache, beside the QEMU that is
# installed, and apt's own sources and lists stay as they are.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

packages=(qemu-system-x86 qemu-system-common qemu-system-data seabios)

fetch()
{
	local new=$CACHE/qemu.new package mirror apt
	rm -rf "$new"
	mkdir -p "$new"/{lists/partial,archives/partial,unpacked}
	# Where Debian 12 comes from, and the proxy, are the machine's own
	mirror=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(SITE)' \
		'Created-By: Packages' | sed -nE 's/^Debian bookworm (.*)/\1/p' | head -n 1)
	[ -n "$mirror" ] || die "apt has no source of Debian 12 (bookworm)"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm-backports main" \
		> "$new/sources.list"
	apt=(apt-get -q -o Dir::Etc::SourceList="$new/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o Dir::State::Lists="$new/lists" -o Dir::Cache="$new" -o APT::Sandbox::User=root
		-o Acquire::Retries=3 -o Acquire::Languages=none)
	"${apt[@]}" update --error-on=any
	for package in "${packages[@]}"; do
		(cd "$new/archives" && "${apt[@]}" download "$package/bookworm-backports")
	done
	for package in "$new"/archives/*.deb; do
		dpkg-deb -x "$package" "$new/unpacked"
	done
	"$new/unpacked/usr/bin/qemu-system-x86_64" -device intel-iommu,help | grep x-flts
	rm -rf "$QEMU10"
	mv "$new/unpacked" "$QEMU10"
	rm -rf "$new"
}

[ -x "$QEMU10/usr/bin/qemu-system-x86_64" ] || rm -f "$STAMPS/qemu"
(step qemu "$(hash < "$VM/qemu.sh")" fetch) ||
	say "QEMU 10 cannot be had from bookworm-backports: guests whose IOMMU has first-level
tables will fail. Guests with --iommu scalable or legacy run with the QEMU that is
installed. The set-up tries again next time."
