#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Build the guest's kernel, the test-only modules and the selftests, and publish
# them as one image: a folder that is never written again, so that a guest that
# still runs from it is not disturbed when another checkout builds. With VARIANT
# in the environment, a kernel of that kind, see vm/VARIANT.config.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$VM/kbuild.sh"

suffix=${VARIANT:+-$VARIANT}
test_modules=$CACHE/test-modules$suffix
tools=$CACHE/tools
stage=$CACHE/stage$suffix
fragments=("$VM/kernel.config")
[ -z "$VARIANT" ] || fragments+=("$VM/$VARIANT.config")

build()
{
	kmake "$BUILD" vmlinux modules
}

# Test modules are built in a copy, so that the checkout stays clean.
build_tests()
{
	rm -rf "$stage"
	mkdir -p "$stage"
	kmake "$BUILD" INSTALL_MOD_PATH="$stage" modules_install
	rm -rf "$test_modules"
	cp -r "$TOP/tools/testing/dax_retarget" "$test_modules"
	as --32 -o "$test_modules/boot_sector.o" "$test_modules/boot_sector.S"
	ld -m elf_i386 -Ttext=0x7c00 --oformat=binary -o "$stage/boot_sector" "$test_modules/boot_sector.o"
	rm "$test_modules/boot_sector".*
	kmake "$BUILD" M="$test_modules" modules
	kmake "$BUILD" M="$test_modules" INSTALL_MOD_PATH="$stage" modules_install
	rm -f "$stage"/lib/modules/*/build
	kmake "$BUILD" TARGETS=dax_retarget INSTALL_PATH="$stage/selftests" kselftest-install
	build_kernel_test mm/gup_longterm
	build_kernel_test iommu/iommufd
}

# The stable releases of 6.12 took tests of iommufd from later kernels, and not the
# names that these use.
build_kernel_test()	# PROGRAM
{
	local folder=selftests/${1%/*} missing_names
	missing_names='-DIOMMU_HW_INFO_TYPE_DEFAULT=0 -DIOMMU_HW_INFO_FLAG_INPUT_TYPE=1'
	missing_names+=' -DMOCK_FLAGS_DEVICE_PASID=0 -DMOCK_PASID_WIDTH=20 -Din_data_type=out_data_type'
	mkdir "$stage/$folder"
	make -C "$TREE/tools/testing/$folder" OUTPUT="$stage/$folder" \
		KHDR_INCLUDES="-isystem $BUILD/usr/include" \
		USERCFLAGS="$missing_names" \
		"$stage/selftests/$1"
}

# The administrator's command, also with sanitizers, and the kernel's own client
# of the same protocol to compare it with.
build_tools()
{
	local source=$TOP/tools/dax_retarget
	local sanitize='-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -static-libasan -static-libubsan'
	rm -rf "$tools"
	mkdir -p "$tools/objects" "$tools/specs"
	make -C "$source" O="$tools/objects"
	strip -o "$tools/dax-retarget" "$tools/objects/dax-retarget"
	rm -r "$tools/objects"
	make -C "$source" O="$tools/objects" CFLAGS="$sanitize"
	strip -g -o "$tools/dax-retarget-sanitized" "$tools/objects/dax-retarget"
	rm -r "$tools/objects"
	gcc -Wall -O2 -o "$tools/many_regions" \
		"$TOP/tools/testing/dax_retarget/many_regions.c" -libverbs
	mkdir "$tools/programs"
	make -C "$TOP/tools/testing/dax_retarget/programs" O="$tools/programs"
	cp -r "$source/schema" "$TOP/Documentation/admin-guide/dax-retarget.rst" "$tools/"
	cp -r "$TREE/tools/net/ynl" "$tools/"
	cp "$TREE"/Documentation/netlink/*.yaml "$tools/"
	cp "$TREE/Documentation/netlink/specs/dax-retarget.yaml" "$tools/specs/"
}

tools_key()
{
	hash_folder "$TOP/tools/dax_retarget"
	hash_folder "$TOP/tools/testing/dax_retarget/programs"
	cat "$VM/kernel.sh" "$TOP/tools/testing/dax_retarget/many_regions.c" \
		"$TOP/include/uapi/linux/dax_retarget_netlink.h" \
		"$TOP/Documentation/netlink/specs/dax-retarget.yaml" \
		"$TOP/Documentation/admin-guide/dax-retarget.rst"
}

# Always, as the link is this checkout's and the rest may be another's work.
publish()
{
	local image old
	cp "$BUILD/vmlinux" "$stage/"
	rm -rf "$stage/tools"
	cp -r "$tools" "$stage/"
	image=$IMAGES/$(hash_folder "$stage" | cut -c1-16)
	if [ ! -d "$image" ]; then
		rm -rf "$IMAGES/new"
		mkdir -p "$IMAGES"
		cp -a "$stage" "$IMAGES/new"
		mv "$IMAGES/new" "$image"
	fi
	ln -sfn "$image" "$IMAGE"
	# Away with what no checkout points to and no guest runs from.
	find "$IMAGES" -type l -mtime +30 -delete
	for old in "$IMAGES"/*; do
		[ ! -L "$old" ] || continue
		[ -z "$(find "$IMAGES" -lname "$old")" ] || continue
		if flock -n "$old" true; then rm -rf "$old"; fi
	done
}

config_key()
{
	cat "${fragments[@]}" "$VM/kbuild.sh"
	git -C "$TREE" rev-parse base
	git -C "$TREE" diff base -- '*Kconfig*'
	(cd "$TREE" && grep Kconfig .git/overlay | xargs -r cat)
}

step "kernel-config$suffix" "$(config_key | hash)" configure "$BUILD" "${fragments[@]}"
key=$({ tree_key; cat "$BUILD/.config"; } | hash)
step "kernel-build$suffix" "$key" build
step "tests-build$suffix" "$key $(hash_folder "$TOP/tools/testing/dax_retarget")" build_tests
step tools-build "$(tools_key | hash)" build_tools
publish
