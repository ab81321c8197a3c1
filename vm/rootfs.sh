#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's root file system: the Debian of this machine, 12 or 13, with unmodified
# RDMA and NVDIMM programs, as a squashfs image. Needs no root where user namespaces work.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

packages=(
	# persistent memory and its file systems
	ndctl xfsprogs e2fsprogs erofs-utils dmsetup
	# RDMA
	rdma-core ibverbs-utils ibverbs-providers rdmacm-utils perftest
	python3-pyverbs
	# libraries of RDMA to persistent memory, for programs of users
	librpma0 libpmem1
	# servers over the file system, watchers and backups of its files
	nfs-kernel-server nfs-common inotify-tools rsync xfsdump
	# io_uring, load, and tools
	liburing2 fio iproute2 kmod procps strace util-linux
	# the administrator's command, and the kernel's own netlink client
	libnl-genl-3-200 libjson-c5 python3-yaml python3-jsonschema
	# a hypervisor that gives a device of the guest's to a guest of its own
	qemu-system-x86
	# readers of the trace events
	trace-cmd linux-perf bpftrace
)

make_image()
{
	local options sources
	mapfile -t options < <(proxy_options)
	sources=$(apt_sources)
	mmdebstrap --variant=minbase "${options[@]}" \
		--include="$(IFS=,; echo "${packages[*]}")" \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-include=/usr/share/doc/rdma-core' \
		--dpkgopt='path-include=/usr/share/doc/rdma-core/tests*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--customize-hook="upload $VM/rootfs-init /init" \
		--customize-hook='chmod 755 "$1/init"' \
		$GUEST_SUITE - ${sources:+-} <<<"$sources" > "$ROOTFS.tar"
	mksquashfs - "$ROOTFS.new" -tar -comp lz4 -noappend -no-progress < "$ROOTFS.tar"
	rm "$ROOTFS.tar"
	mv "$ROOTFS.new" "$ROOTFS"
}

[ -f "$ROOTFS" ] || rm -f "$STAMPS/rootfs"
step rootfs "$({ echo "$GUEST_SUITE"; cat "$VM/rootfs.sh" "$VM/rootfs-init"; } | hash)" make_image
