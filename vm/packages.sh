#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Install what building, booting and checking need, where it is missing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

packages=(
	# the kernel; the last line for checkpatch, sparse and kernel-doc
	build-essential flex bison bc libelf-dev libssl-dev ccache git rsync kmod xz-utils
	perl python3 python3-git python3-ply sparse
	# the guest
	qemu-system-x86 mmdebstrap squashfs-tools uidmap
	# the selftests
	libibverbs-dev librdmacm-dev liburing-dev
	# programs over the libraries for persistent memory
	librpma-dev libpmem-dev
	# the administrator's command, and the specification of its protocol
	libnl-genl-3-dev libjson-c-dev pkg-config python3-yaml python3-jsonschema
	# the model of the protocol
	spin
	# plots of what was measured
	gnuplot-nox
	# the Debian packages; types for BPF, where the configuration has them
	debhelper cpio fakeroot dwarves
	# checks of documents and scripts
	python3-sphinx man-db groff-base shellcheck
)
[ -n "${KERNEL_SRC-}" ] || packages+=(linux-source-6.12)

missing=()
for package in "${packages[@]}"; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null ||
	die "no apt-get here; install the equivalents of: ${missing[*]}"
root=()
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; } ||
		die "neither root nor sudo. Have somebody run: apt-get install ${missing[*]}"
	root=(sudo)
fi

mkdir -p "$LOGS"
log=$LOGS/packages.log
say "packages: ${missing[*]} (log: $log)"
apt()
{
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		-o DPkg::Lock::Timeout=600 "$@" >>"$log" 2>&1 || {
		tail -n 15 "$log" | sed 's/^/  /' >&2
		die "'apt-get $1' failed, see $log"
	}
}
: > "$log"
apt update
if [ -z "${KERNEL_SRC-}" ] && [ -z "$(apt-cache madison linux-source-6.12)" ]; then
	die "apt knows no linux-source-6.12. Debian 13 has it. On Debian 12 it comes with
bookworm-security or bookworm-backports: add one of them to the package sources, or give
KERNEL_SRC=DIR with a 6.12 tree of your own."
fi
apt install --no-install-recommends "${missing[@]}"
