#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# QEMU 10, whose VT-d IOMMU has first-level tables. Debian 13 has it, and a link in the
# cache leads to it. Debian 12 has it in its backports: the packages are unpacked into the
# cache, beside the QEMU that is installed, and apt's own sources and lists stay as they
# are.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

packages=(qemu-system-x86 qemu-system-common qemu-system-data seabios)

knows_first_level()	# QEMU
{
	"$1" -device intel-iommu,help | grep -q x-flts
}

link_installed()
{
	rm -rf "$QEMU10"
	mkdir -p "$QEMU10/usr/bin" "$QEMU10/usr/share"
	ln -s "$installed" "$QEMU10/usr/bin/"
	ln -s /usr/share/qemu /usr/share/seabios "$QEMU10/usr/share/"
}

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
	knows_first_level "$new/unpacked/usr/bin/qemu-system-x86_64"
	rm -rf "$QEMU10"
	mv "$new/unpacked" "$QEMU10"
	rm -rf "$new"
}

installed=/usr/bin/qemu-system-x86_64
get=fetch
! knows_first_level $installed || get=link_installed
[ -x "$QEMU10/usr/bin/qemu-system-x86_64" ] || rm -f "$STAMPS/qemu"
(step qemu "$({ echo $get; cat "$VM/qemu.sh"; } | hash)" $get) ||
	say "QEMU 10 cannot be had from bookworm-backports: guests whose IOMMU has first-level
tables will fail. Guests with --iommu scalable or legacy run with the QEMU that is
installed. The set-up tries again next time."
