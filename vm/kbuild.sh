# SPDX-License-Identifier: GPL-2.0-only
#
# How every kernel build of this project is configured and made; sourced by
# the scripts that build.
# shellcheck shell=bash

# Nothing that changes from build to build, so that ccache hits and two builds of
# the same source are the same.
export KBUILD_BUILD_TIMESTAMP='1970-01-01 00:00:00 +0000'
export KBUILD_BUILD_USER=dax_retarget KBUILD_BUILD_HOST=localhost KBUILD_BUILD_VERSION=1
export CCACHE_NOHASHDIR=1
# What a file includes is taken from the list that the compiler makes for the
# makefiles anyway. Otherwise each file that is built goes through the preprocessor
# twice, a sixth of the time of a first build.
export CCACHE_DEPEND=1

kmake()	# FOLDER ARGUMENT...
{
	local folder=$1 what='' instrument=()
	shift
	# What to instrument, in the words of the kernel's makefiles: our files alone,
	# which are folders, and one of the files of the Intel driver. KCSAN slows a
	# guest down, and in other files it finds what is known and left alone.
	case $VARIANT in
	coverage) what=GCOV_PROFILE ;;
	kcsan) what=KCSAN_SANITIZE ;;
	esac
	# make expands them, in each folder
	# shellcheck disable=SC2016
	[ -z "$what" ] || instrument=(
		"$what="'$(if $(filter drivers/iommu/dax_retarget fs/dax,$(obj)),y,n)'
		"${what}_retarget.o="'$(if $(filter drivers/iommu/intel,$(obj)),y)')
	# Paths are relative to what is around the tree, so that another tree in such a place
	# finds what was compiled here.
	CCACHE_BASEDIR=${TREE%/*} make -C "$TREE" O="$folder" -j"$(nproc)" CC='ccache gcc' HOSTCC='ccache gcc' \
		LOCALVERSION=-dax-retarget "${instrument[@]}" "$@"
}

# tinyconfig with the fragments over it. A symbol that is wanted and not set, as
# its parents are off, is an error.
configure()	# FOLDER FRAGMENT...
{
	local folder=$1 missing
	shift
	mkdir -p "$folder"
	kmake "$folder" tinyconfig
	"$TREE/scripts/kconfig/merge_config.sh" -m -O "$folder" "$folder/.config" "$@"
	kmake "$folder" olddefconfig
	missing=$(awk '
		/^CONFIG_/ { symbol = substr($1, 1, index($1, "=") - 1)
			     value = substr($0, index($0, "=") + 1) }
		/^# CONFIG_.* is not set/ { symbol = $2; value = "n" }
		symbol == "" { next }
		FILENAME == ARGV[1] { is[symbol] = value }
		FILENAME != ARGV[1] { wanted[symbol] = value }
		{ symbol = "" }
		END {
			for (s in wanted)
				if ((s in is ? is[s] : "n") != wanted[s])
					print s "=" wanted[s]
		}' "$folder/.config" "$@")
	if [ -n "$missing" ]; then
		printf 'not set as wanted, after olddefconfig:\n%s\n' "$missing"
		return 1
	fi
}

# The tree of the product, for a build with TREE=$PRODUCT/linux-6.12. What is the same
# keeps its time. A work tree of a repository that is gone is made anew.
check_out_product()	# COMMIT
{
	local tree=$PRODUCT/linux-6.12
	if ! git -C "$tree" rev-parse -q --verify "$1^{commit}" > /dev/null 2>&1; then
		rm -rf "$tree"
		git -C "$CACHE/linux-6.12" worktree add -f --detach "$tree" "$1"
	fi
	git -C "$tree" checkout -q -f --detach "$1"
}

# What the compiler sees of the kernel tree: commits, edits, our files.
tree_key()
{
	git -C "$TREE" rev-parse HEAD
	git -C "$TREE" diff HEAD
	(cd "$TREE" && xargs -r -d '\n' sha256sum -- < .git/overlay)
	gcc --version
	cat "$VM/kbuild.sh"
}
