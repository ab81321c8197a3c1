#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Try the packages of deb.sh: install both into a Debian root file system, boot it with
# the kernel and the arguments that were installed, see that the feature works, and
# remove the packages. TAP on stdout.
#
# The root file system is a copy of the guest's. The device that does DMA is an NVMe
# controller of user space (VFIO), since the NIC of the tests needs patches for tests.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$VM/kbuild.sh"

usage()
{
	cat <<USAGE
Usage: vm/check-deb.sh [--config FILE]

  --config FILE  configuration of the kernel, as of deb.sh (default: a small one, that of
                 the guests of 'make bench', which is built in some minutes)

With VARIANT=release in the environment, the packages are those that deb.sh makes with
VARIANT=release.
USAGE
}

config=''
while [ $# -gt 0 ]; do
	case $1 in
	-h|--help) usage; exit 0 ;;
	--config) config=${2?--config needs a file}; shift ;;
	*) usage >&2; die "unknown argument $1" ;;
	esac
	shift
done

work=$CACHE/check-deb
packages=$work/packages

# What runs as root of the new file system, also where nobody is root here. Files for the
# boot are copied out.
install_packages()
{
	local options=() sources='' suite='' skip=(--skip=update)
	rm -rf "${work:?}/boot" "$work"/{system.squashfs,arguments}
	# A kernel of a distribution has its drivers in an initrd, which takes a package more
	if zgrep -q '^CONFIG_BLK_DEV_INITRD=y' "$work/config"; then
		suite=$GUEST_SUITE
		sources=$(apt_sources)
		mapfile -t options < <(proxy_options)
		options+=(--include=initramfs-tools)
		skip=()
	fi
	mmdebstrap --variant=custom "${skip[@]}" "${options[@]}" \
		--setup-hook="unsquashfs -n -f -d \"\$1\" -excludes '$ROOTFS' dev" \
		--customize-hook='mkdir -p "$1/etc/initramfs-tools" &&
			printf "%s\n" virtio_pci virtio_blk virtio_rng squashfs overlay 9pnet_virtio 9p \
				> "$1/etc/initramfs-tools/modules"' \
		--customize-hook="copy-in '$packages' /srv" \
		--customize-hook='chroot "$1" sh -c "apt-get install -q -y /srv/packages/*.deb"' \
		--customize-hook='rm -r "$1/srv/packages"' \
		--customize-hook="copy-out /boot '$work'" \
		--customize-hook='chroot "$1" sh -c ". /etc/default/grub.d/dax-retarget.cfg; echo \$GRUB_CMDLINE_LINUX" '"> '$work/arguments'" \
		"$suite" - ${sources:+-} <<<"$sources" > "$work/system.tar"
	mksquashfs - "$work/system.squashfs" -tar -comp lz4 -noappend -no-progress < "$work/system.tar"
	rm "$work/system.tar"
}

small_config()
{
	configure "$work/config-folder" "$VM/kernel.config" "$VM/release.config"
	cp "$work/config-folder/.config" "$work/small-config"
}

# In a process of its own, which has the lock on the cache no longer than for this.
prepare()
{
	lock_cache
	guarded "$VM/setup.sh"
	mkdir -p "$work"
	if [ -n "$VARIANT" ]; then
		cp "$BUILD/.config" "$work/config"
		guarded "$VM/deb.sh" --out "$packages"
	else
		if [ -z "$config" ]; then
			step check-deb-config "$(cat "$VM"/{kernel,release}.config "$VM/kbuild.sh" |
				hash) $(git -C "$TREE" rev-parse HEAD)" small_config
			config=$work/small-config
		fi
		cp "$config" "$work/config"
		guarded "$VM/deb.sh" --config "$work/config" --out "$packages"
	fi
	[ -f "$work/system.squashfs" ] || rm -f "$STAMPS/check-deb-root"
	step check-deb-root "$(cat "$packages"/*.deb "$VM/check-deb.sh" "$STAMPS/rootfs" | hash)" install_packages
	# The programs of the tests, and no module but those of the package
	rm -rf "$work/image"
	mkdir "$work/image"
	cp -a "$(realpath "$IMAGE")/selftests" "$work/image/"
}

(prepare) >&2
release=$(basename "$work"/boot/vmlinuz-*)
release=${release#vmlinuz-}
initrd=$work/boot/initrd.img-$release
[ -e "$initrd" ] || initrd=''
guarded "$VM/run" --kernel "$work/boot/vmlinuz-$release" ${initrd:+--initrd "$initrd"} \
	--rootfs "$work/system.squashfs" --modules "$work/image" --share "$BENCH" \
	--threads single --nvdimm 512M --nvdimm 64M --append "$(cat "$work/arguments")" \
	"$(guest_script on "./installed.sh \$selftests $release" vfio_devices \
		'type1 selftests truncate reuse' "./installed.sh \$selftests $release --remove")"
