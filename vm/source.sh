#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel source that the series applies to: Debian's package, or a copy of
# the user's own tree (KERNEL_SRC=DIR). Becomes a git repository with one commit,
# 'base', so that the hooks on top of it are commits too.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

tarball=/usr/src/linux-source-6.12.tar.xz
supported='the ones supported: 6.12.y'

make_variable()	# NAME: from the top of a kernel Makefile on stdin
{
	sed -n "s/^$1 = //p" | head -n 1
}

check_version()	# DIR
{
	local version
	[ -f "$1/Makefile" ] && [ -f "$1/Kbuild" ] || die "$1: not a kernel tree"
	version=$(make_variable VERSION < "$1/Makefile").$(make_variable PATCHLEVEL < "$1/Makefile")
	[ "$version" = 6.12 ] || die "$1: kernel $version is not one of $supported"
}

# Unpacked beside its final place and moved there when complete, so that an
# interrupted set-up leaves nothing half done.
unpack()
{
	local new=$TREE.new
	rm -rf "$new"
	mkdir -p "$new"
	if [ -n "${KERNEL_SRC-}" ]; then
		rsync -a --exclude=/.git "$KERNEL_SRC/" "$new/"
		make -C "$new" mrproper
	else
		tar -C "$new" --strip-components=1 -xf "$tarball"
	fi
	git -C "$new" init -q -b series
	git -C "$new" config core.looseCompression 0
	git -C "$new" config gc.auto 0
	git -C "$new" add -A -f
	git -C "$new" "${AS_SETUP[@]}" commit -q -m "base: $1"
	git -C "$new" tag base
	git -C "$new" tag applied
	rm -rf "$TREE"
	mv "$new" "$TREE"
}

if [ -n "${KERNEL_SRC-}" ]; then
	[ -d "$KERNEL_SRC" ] || die "KERNEL_SRC=$KERNEL_SRC: no such folder"
	check_version "$KERNEL_SRC"
	# Names, sizes and times stand for the contents of 85,000 files.
	key="KERNEL_SRC=$KERNEL_SRC $(cd "$KERNEL_SRC" && find . -name .git -prune -o -type f \
		-printf '%P %s %T@\n' | sort | hash)"
else
	key="linux-source-6.12 $(dpkg-query -W -f '${Version}' linux-source-6.12)"
fi
[ -d "$TREE/.git" ] || rm -f "$STAMPS/kernel-source"
if [ "$(cat "$STAMPS/kernel-source" 2>/dev/null)" != "$key" ]; then
	"$VM/series.sh" --may-discard
fi
step kernel-source "$key" unpack "$key"
