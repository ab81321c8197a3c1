#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What needs no guest: our files and those that the series touches, compiled with
# the feature on, off, without IOMMU drivers, as modules and with the drivers that
# opted in; sparse, checkpatch and kernel-doc. TAP on stdout, a log a test in the
# cache.
#
#   lint.sh [REGEX]   only tests whose names match
set -euo pipefail
{ # is read to its end before it runs, as somebody may edit it meanwhile

. "$(dirname "$0")/lib.sh"
. "$VM/kbuild.sh"
wanted=${1-}

lock_cache
guarded "$VM/setup.sh" kernel
mkdir -p "$LOGS"
cd "$TREE"

# Our files, and those of the kernel that the series changes.
mapfile -t ours < .git/overlay
mapfile -t touched < <(git diff --name-only base)

only()	# SUFFIX... : of the names on stdin
{
	grep -E "\.($(IFS='|'; echo "$*"))$" || true
}

n=0 failed=0
check()	# NAME COMMAND...: passes if it succeeds and says nothing
{
	local name=$1 log status result=ok
	shift
	[[ $name =~ $wanted ]] || return 0
	n=$((n + 1))
	log=$LOGS/lint-${name//[^a-z0-9]/-}.log
	say "lint: $name ..."
	watched "lint: $name" "$log" "$@"
	if [ $status != 0 ] || [ -s "$log" ]; then
		result='not ok'
		failed=$((failed + 1))
	fi
	echo "$result $n lint: $name"
	[ "$result" = ok ] || head -n 40 "$log" | sed 's/^/# /'
}

# A folder for a variant of the guest's kernel. It begins as a copy of the guest's,
# without the objects: those that are asked for are built, and no others.
variant_folder()	# VARIANT
{
	local folder=$CACHE/lint-$1 log=$LOGS/variant-$1.log
	if [ ! -d "$folder" ]; then
		rm -rf "$folder.new"
		rsync -a --include='/scripts/**' --include='/tools/**' --exclude='*.o' --exclude='*.a' \
			--exclude='*.ko' --exclude='/vmlinux*' --exclude='.*.cmd' "$BUILD/" "$folder.new"
		mv "$folder.new" "$folder"
	fi
	logged "$log" configure "$folder" "$VM/kernel.config" "$VM/lint-$1.config"
}

# Compile files once, with all warnings that the compiler and, with C=1, sparse know
# of. In files of ours each counts, in files that the series touches those that every
# build has: old code gives others, so of these only what is on lines of the series.
compile()	# VARIANT ARGUMENT...: of make
{
	local folder=$CACHE/lint-$1 log=$LOGS/compile-$1.log target
	variant_folder "$1"
	shift
	# A warning is given only when a file is built
	for target in "$@"; do
		case $target in *.o) rm -f "$folder/$target" ;; esac
	done
	logged "$log" kmake "$folder" W=1 "$@"
	{
		printf '%s\n' "${ours[@]}"
		git diff -U0 base | awk '
			/^\+\+\+ b\// { file = substr($2, 3) }
			/^@@/ {
				split($3, a, ",")
				for (i = 0; i < (a[2] == "" ? 1 : a[2]); i++)
					print file ":" a[1] + i ":"
			}'
	} | complaints "$log"
	printf '%s\n' "${touched[@]}" | complaints "$log" |
		grep -oE '^.*(error:|\[-W.*\]).*' | grep -vE "\[-W(error=)?($extra_warnings)=?\]" || true
}

# Those that W=1 adds
extra_warnings=$(sed -n '/^ifneq ($(findstring 1,/,/^ifdef CONFIG_CC_IS_CLANG/p' scripts/Makefile.extrawarn |
	grep '^KBUILD' | grep -oE -e '-W[a-z-]+' -e 'warning, [a-z-]+' |
	sed -E 's/^-W(no-)?|^warning, //' | sort -u | paste -sd '|')
[ -n "$extra_warnings" ] || die "scripts/Makefile.extrawarn: what does W=1 add?"

logged()	# LOG COMMAND...
{
	local log=$1
	shift
	"$@" > "$log" 2>&1 || {
		tail -n 20 "$log"
		exit 1
	}
}

# Those in a log about the places on stdin.
complaints()	# LOG
{
	grep -F -f - <(grep -E '(warning|error):' "$1") || true
}

# What the guest's kernel has of our files and touched ones, as objects.
objects()
{
	local file
	printf '%s\n' "${ours[@]}" "${touched[@]}" | only c | while IFS= read -r file; do
		file=${file%.c}.o
		[ ! -e "$BUILD/$file" ] || echo "$file"
	done
}

# What exists with the feature only, and is wanted all the same.
missing_references()	# VARIANT OBJECT...
{
	local folder=$CACHE/lint-$1
	shift
	(cd "$folder" && nm -uo "$@") | grep -E ' U (((dax|intel|iommu)_)?retarget|dax_pin)' || true
}

# What a module refers to and that neither it nor an export has, by the list of
# exports of the guest's kernel; or that is exported to a namespace which the module
# does not import.
unresolved()	# SOURCES OBJECT...: of one module
{
	local sources=$1
	shift
	nm "$@" | awk -F '[ \t]+' -v sources="$sources" \
		-v imported="$(grep -rhoE 'MODULE_IMPORT_NS\([A-Z0-9_"]+' "$sources" | sed 's/.*(//' | xargs)" '
		FILENAME != "-" { exported[$2] = $5 == "" ? "-" : $5; next }
		NF < 2 { next }
		$(NF - 1) == "U" { wanted[$NF] = 1; next }
		{ defined[$NF] = 1 }
		END {
			for (s in wanted) {
				if (s in defined || s ~ /^(_GLOBAL_OFFSET_TABLE_|__this_module)$/)
					continue
				if (!(s in exported))
					print sources ": wants " s ", which is not exported"
				else if (exported[s] != "-" && index(" " imported " ", " " exported[s] " ") == 0)
					print sources ": wants " s ", of the namespace " exported[s]
			}
		}' "$BUILD/Module.symvers" -
}

# All that calls us, as the modules that distributions have.
modules_resolve()
{
	local fs object
	# Each is one module, so what the guest's kernel has built in will do
	for fs in fs/xfs fs/ext4 fs/ext2; do
		mapfile -t objects < <(find "$BUILD/$fs" -name '*.o' ! -name '*.mod.o')
		unresolved $fs "${objects[@]}"
	done
	# Several, which call each other
	for object in "$CACHE"/lint-modules/drivers/infiniband/core/*.mod; do
		unresolved drivers/infiniband/core "${object%.mod}.o"
	done
}

test_modules=$TOP/tools/testing/dax_retarget
test_modules()
{
	local copy=$CACHE/lint-test-modules log=$LOGS/lint-test-modules.log
	rm -rf "$copy"
	cp -r "$test_modules" "$copy"
	cp "$BUILD/Module.symvers" "$CACHE/lint-on/"
	logged "$log" kmake "$CACHE/lint-on" M="$copy" W=1 C=1 modules
	echo "$copy" | complaints "$log"
}

checkpatch()
{
	# Debian's python3 has what its spdxcheck needs.
	PATH=/usr/bin:$PATH scripts/checkpatch.pl --strict --terse --no-summary --quiet "$@"
}

kernel_doc()
{
	scripts/kernel-doc -none -Wall "$@"
}

# As the administrator would, and without a complaint.
command_warnings()
{
	local work log=$LOGS/lint-command.log
	work=$(mktemp -d)
	logged "$log" make -C "$TOP/tools/dax_retarget" O="$work" DESTDIR="$work/installed" prefix=/usr \
		CFLAGS='-O2 -Werror -Wshadow -Wformat=2' install
	logged "$log" make -C "$TOP/tools/dax_retarget" O="$work" check-man
	man --warnings -l "$work/installed/usr/share/man/man8/dax-retarget.8" > /dev/null
	bash -n "$work/installed/usr/share/bash-completion/completions/dax-retarget"
	rm -r "$work"
}

scripts()
{
	local list
	mapfile -t list < <(cd "$TOP" && git ls-files -- '*.sh' vm/run vm/guest-init vm/rootfs-init .ci/run |
		sed "s|^|$TOP/|")
	shellcheck -x -P SCRIPTDIR -S warning "${list[@]}" || true
}

only_existing_files()
{
	! grep -H '^new file' "$SERIES"/*.patch
}

# Our documents, with the kernel's own extensions, and what the specification
# says. Not all of the kernel's, which takes half an hour.
documents()
{
	local work log=$LOGS/lint-sphinx.log file
	work=$(mktemp -d)
	printf 'Ours\n====\n\n.. toctree::\n   :glob:\n\n   *\n' > "$work/index.rst"
	for file in $(printf '%s\n' "${ours[@]}" | only rst); do
		cp "$file" "$work/$(tr / - <<< "${file#Documentation/}")"
		grep -qx " *$(basename "$file" .rst)" "$(dirname "$file")/index.rst" ||
			echo "$file: not in the index beside it"
	done
	python3 tools/net/ynl/ynl-gen-rst.py -i "$specification" -o "$work/specification.rst"
	srctree=$TREE sphinx-build -q -c Documentation -d "$work.trees" -b html \
		-D version=6.12 -D release=6.12 -D kerneldoc_srctree="$TREE" \
		-D kerneldoc_bin="$TREE/scripts/kernel-doc" "$work" "$work.html" 2> "$log" ||
		tail -n 5 "$log"
	# Not pictures, which need graphviz, not looks, and not what others left undocumented
	grep -vE 'dot\(1\) not found|Using .* theme|iommu_get_iommu_dev' "$log" || true
	# All that consumers, file systems and the mm call
	sed -nE 's/^([a-z_]+ )+\*?(dax_[a-z_]+)\(.*/\2/p' include/linux/dax_retarget.h | sort -u |
		while read -r name; do
			grep -q "id=\"c.$name\"" "$work.html/driver-api-dax-retarget.html" ||
				echo "$name is missing from the driver API guide"
		done
	rm -r "$work" "$work.trees" "$work.html"
}

# 'git am' of the series on the bare source gives the guest's tree, less the patches
# for tests and what is no part of the series.
series_applies()
{
	local work log=$LOGS/lint-make-series.log tree paths info
	work=$(mktemp -d)
	logged "$log" "$VM/make-series.sh" --out "$work/patches"
	git worktree add -q --no-checkout --detach "$work/tree" base
	tree=(git -C "$work/tree" -c core.sparseCheckout=true "${AS_SETUP[@]}")
	mapfile -t paths < <(sed -n 's|^diff --git a/.* b/|/|p' "$work"/patches/*.patch | sort -u)
	# Only the files of the series, for the time that a whole tree takes
	info=$(git -C "$work/tree" rev-parse --absolute-git-dir)/info
	mkdir -p "$info"
	printf '%s\n' "${paths[@]}" > "$info/sparse-checkout"
	logged "$log" "${tree[@]}" checkout -q --detach
	logged "$log" "${tree[@]}" am --empty=drop "$work"/patches/*.patch
	git diff --stat product "$(git -C "$work/tree" rev-parse HEAD)"
	git diff --name-only "$(git rev-list base..applied --grep TEST-ONLY | tail -n 1)^" product |
		grep -vxF -f .git/overlay | grep -vE '^tools/(dax_retarget|verification)/' || true
	rm -r "$work"
	git worktree prune
}

# The words of the specification are the only ones.
generated_refusals()
{
	local guide=Documentation/admin-guide/dax-retarget.rst
	"$TOP/tools/dax_retarget/refusals.py" "$specification" |
		diff -u include/linux/dax_retarget_refusals.h - || true
	"$TOP/tools/dax_retarget/refusals.py" --rst $guide "$specification" |
		diff -u $guide - || true
}

specification=Documentation/netlink/specs/dax-retarget.yaml
generated()	# FILE OPTION...: is it what the kernel's tool makes of it?
{
	local file=$1 work
	shift
	work=$(mktemp -d)
	# It looks at the name of what it makes
	python3 tools/net/ynl/ynl-gen-c.py --spec "$specification" "$@" -o "$work/${file##*/}"
	diff -u "$file" "$work/${file##*/}" || true
	rm -r "$work"
}

# That it links is seen where the guest's kernel is built. Elsewhere much of the
# kernel would have to be built, as widely used headers change with the feature: only
# the files that matter are compiled, and instead of a link there is a look at what
# they refer to.
mapfile -t built < <(objects)
mapfile -t callers < <(printf '%s\n' "${built[@]}" |
	grep -vE '^(drivers/iommu/dax_retarget|fs/dax)/|/retarget')
mapfile -t far_callers < <(printf '%s\n' "${callers[@]}" | grep -v '^drivers/iommu/')
mapfile -t modules < <(printf '%s\n' "${callers[@]}" | grep -E '^fs/(xfs|ext4|ext2)/')
mapfile -t nics < <(printf '%s\n' "${touched[@]}" | grep '^drivers/infiniband/hw/' | only c)
check "compiles without a warning, on; sparse" compile on C=1 "${built[@]}"
check "test-only modules, W=1 and sparse" test_modules
# Comments are looked at once
once=cmd_checkdoc=
check "compiles without a warning, off" compile off $once "${callers[@]}"
check "refers to nothing that is missing, off" missing_references off "${callers[@]}"
check "compiles without a warning, noiommu" compile noiommu $once "${far_callers[@]}"
check "refers to nothing that is missing, noiommu" missing_references noiommu "${far_callers[@]}"
check "compiles without a warning, modules" compile modules $once "${modules[@]}" drivers/infiniband/core/
check "refers to nothing that is missing, modules" modules_resolve
check "compiles without a warning, nics" compile nics $once "${nics[@]/%.c/.o}" \
	drivers/iommu/dax_retarget/ drivers/iommu/intel/retarget.o fs/dax/

# Not the trace events, whose macros checkpatch cannot read; the parameter is
# documented by a patch, where it does not look; and no kernel macros for programs,
# or what it makes of those of the kselftest harness. Macros that iterate, and tables
# of names, are not what it wants of a macro.
mapfile -t sources < <(printf '%s\n' "${ours[@]}" |
	grep -vE '^(tools|include/trace)/|dax_retarget_refusals\.h$' | only c h)
check "checkpatch of our files" checkpatch -f \
	--ignore UNDOCUMENTED_SETUP,MACRO_ARG_REUSE,COMPLEX_MACRO \
	"${sources[@]}" "$test_modules"/*.c
mapfile -t sources < <(printf '%s\n' "${ours[@]}" | grep '^tools/' | only c h)
check "checkpatch of the selftests" checkpatch -f \
	--ignore BIT_MACRO,PREFER_DEFINED_ATTRIBUTE_MACRO,VOLATILE \
	--ignore SPACING,COMPLEX_MACRO,EMBEDDED_FUNCTION_NAME,ENOSYS "${sources[@]}"
check "checkpatch of the patches" checkpatch --ignore FILE_PATH_CHANGES "$SERIES"/*.patch "$SERIES"/test/*.patch
mapfile -t documented < <(printf '%s\n' "${ours[@]}" | grep -v ^tools/ | only c h)
check "kernel-doc" kernel_doc "${documented[@]}"
check "patches change existing files only" only_existing_files
check "series for git am" series_applies
check "documents" documents
check "netlink: header for programs" generated include/uapi/linux/dax_retarget_netlink.h \
	--mode uapi --header
check "netlink: header for the kernel" generated fs/dax/netlink-gen.h \
	--mode kernel --header
check "netlink: policy" generated fs/dax/netlink-gen.c --mode kernel --source
check "netlink: words of refusals" generated_refusals
check "the command, with all warnings" command_warnings
check "shell scripts" scripts
echo "1..$n"
exit $((failed > 0))
}
