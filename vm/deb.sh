#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Debian packages for a server: the kernel of the product, without patches and switches
# for tests, by the kernel's own 'make bindeb-pkg'; and the administrator's command.
set -euo pipefail
{ # is read to its end before it runs, as somebody may edit it meanwhile

. "$(dirname "$0")/lib.sh"
. "$VM/kbuild.sh"

out=$PACKAGES config=''

usage()
{
	cat <<USAGE
Usage: vm/deb.sh [option...]

Make linux-image-*.deb and dax-retarget_*.deb, for the Debian that runs here.

  --config FILE  configuration of the kernel (default: that of the running one).
                 CONFIG_DAX_RETARGET=y is added, and switches for tests are turned off
  --out DIR      folder for the packages; older ones in it are removed
                 (default: $out)

With VARIANT=release in the environment, the kernel is the one of the guests of 'make
bench', which is there already and has the patches for tests: to try the packages in
little time, and not for use.
USAGE
}

while [ $# -gt 0 ]; do
	case $1 in
	-h|--help) usage; exit 0 ;;
	--config) config=${2?--config needs a file}; shift ;;
	--out) out=${2?--out needs a folder}; shift ;;
	*) usage >&2; die "unknown argument $1" ;;
	esac
	shift
done
folder=$PRODUCT/build
[ -z "$VARIANT" ] || folder=$BUILD
# What grows with each change, so that a newer package takes the place of an older one. A
# kernel that is built already has the number that kbuild.sh gave it.
revision=$(git -C "$TOP" rev-list --count HEAD)
[ -z "$VARIANT" ] || revision=$KBUILD_BUILD_VERSION
tool=$TOP/tools/dax_retarget
tool_folder=$PRODUCT/dax-retarget

running_config()
{
	local file
	for file in "/boot/config-$(uname -r)" /proc/config.gz; do
		[ ! -r "$file" ] || { echo "$file"; return; }
	done
	die "the running kernel tells no configuration: give one, as CONFIG=FILE of make.
Those of Debian's kernels are in the packages linux-config-*, and as /boot/config-*."
}

# That of a distribution names certificates that only the distribution has.
configure_product()
{
	local key settings=(--enable DAX_RETARGET --disable DAX_RETARGET_TEST --disable LOCALVERSION_AUTO)
	mkdir -p "$folder"
	zcat -f "$config" > "$folder/.config"
	for key in SYSTEM_TRUSTED_KEYS SYSTEM_REVOCATION_KEYS; do
		settings+=(--set-str "$key" "")
	done
	"$TREE/scripts/config" --file "$folder/.config" "${settings[@]}"
	kmake "$folder" olddefconfig
	if ! grep -qx CONFIG_DAX_RETARGET=y "$folder/.config"; then
		echo "CONFIG_DAX_RETARGET cannot be set. It depends on these, of which some are not in $config:"
		sed -n 's/^\tdepends on //p' "$TREE/drivers/iommu/dax_retarget/Kconfig" | head -n 2
		return 1
	fi
}

make_kernel_package()
{
	local made=${folder%/*}
	if grep -qx CONFIG_DAX_RETARGET_TEST=y "$folder/.config"; then
		echo "$folder has the switches for tests, with which a device corrupts files: no package"
		return 1
	fi
	rm -f "$made"/linux-*.{deb,changes,buildinfo}
	KDEB_PKGVERSION=$(make -s -C "$TREE" kernelversion)-$revision KDEB_CHANGELOG_DIST=unstable \
	DEB_BUILD_PROFILES='pkg.linux-upstream.nokernelheaders pkg.linux-upstream.nokerneldbg' \
		kmake "$folder" bindeb-pkg
	rm -rf "$folder/packages"
	mkdir "$folder/packages"
	mv "$made"/linux-image-*.deb "$folder/packages/"
	rm -f "$made"/linux-*.{deb,changes,buildinfo}
}

# In a copy, since debhelper wants its files in the folder of the sources.
make_tool_package()
{
	rm -rf "$tool_folder"
	mkdir -p "$tool_folder/source/include/linux"
	(cd "$TOP" && git ls-files -co --exclude-standard -- tools/dax_retarget \
		include/uapi/linux/dax_retarget_netlink.h include/linux/dax_retarget_refusals.h \
		Documentation/admin-guide/dax-retarget.rst |
		rsync -a --files-from=- ./ "$tool_folder/source/")
	cp -r "$VM/debian" "$tool_folder/source/debian"
	cat > "$tool_folder/source/debian/changelog" <<-CHANGELOG
	dax-retarget (0.$revision) unstable; urgency=medium

	  * Built from the checkout.

	 -- $(sed -n 's/^Maintainer: //p' "$VM/debian/control")  $(git -C "$TOP" log -1 --format=%aD)
	CHANGELOG
	(cd "$tool_folder/source" && DEB_BUILD_OPTIONS=noautodbgsym \
		dpkg-buildpackage --build=binary --unsigned-changes)
}

tool_key()
{
	echo "$revision"
	hash_folder "$tool"
	hash_folder "$VM/debian"
	cat "$VM/deb.sh" "$TOP/include/uapi/linux/dax_retarget_netlink.h" \
		"$TOP/include/linux/dax_retarget_refusals.h" "$TOP/Documentation/admin-guide/dax-retarget.rst"
}

lock_cache
if [ -n "$VARIANT" ]; then
	guarded "$VM/setup.sh" kernel
	name=kernel-package-$VARIANT
	key=$(tree_key)
else
	[ -n "$config" ] || config=$(running_config)
	[ -r "$config" ] || die "CONFIG=$config: no such file"
	config=$(realpath "$config")
	guarded "$VM/make-series.sh" --branch
	TREE=$PRODUCT/linux-6.12
	check_out_product product
	wanted=12000
	! zgrep -qx CONFIG_DEBUG_INFO=y "$config" || wanted=30000
	[ -d "$folder" ] || [ "$(free_megabytes)" -ge $wanted ] ||
		die "$CACHE: $(free_megabytes) MB free, a kernel of this configuration takes $wanted"
	name=kernel-package
	key="$(git -C "$TREE" rev-parse HEAD) $(gcc --version | head -n 1)"
	step product-config "$(zcat -f "$config" | hash) $key" configure_product
fi
key="$key $revision $(cat "$folder/.config" "$VM/deb.sh" "$VM/kbuild.sh" | hash)"
[ -d "$folder/packages" ] || rm -f "$STAMPS/$name"
step $name "$(hash <<< "$key")" make_kernel_package
[ -d "$tool_folder" ] || rm -f "$STAMPS/tool-package"
step tool-package "$(tool_key | hash)" make_tool_package

mkdir -p "$out"
rm -f "$out"/{linux-image-*,dax-retarget_*}.deb
cp "$folder"/packages/*.deb "$tool_folder"/dax-retarget_*.deb "$out/"
printf '%s\n' "$out"/*.deb
exit
}
