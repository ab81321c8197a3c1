#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What needs no guest: builds with the feature on, off, without IOMMU drivers and
# with the drivers that opted in; sparse, checkpatch and kernel-doc. TAP on
# stdout, a log a test in the cache.
#
#   lint.sh [REGEX]   only tests whose names match
set -euo pipefail
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

# Build a variant of the guest's kernel. Its folder begins as a copy of the
# guest's, so that only what the configuration changes is built. Our files and
# touched ones always are, as a warning is given only then.
variant()	# NAME TARGET...
{
	local name=$1 folder=$CACHE/lint-$1 log=$LOGS/variant-$1.log
	shift
	if [ ! -d "$folder" ]; then
		rm -rf "$folder.new"
		cp -a "$BUILD" "$folder.new"
		mv "$folder.new" "$folder"
	fi
	objects "$folder" | (cd "$folder" && xargs -r rm)
	logged "$log" configure "$folder" "$VM/kernel.config" "$VM/lint-$name.config"
	logged "$log" kmake "$folder" "$@"
	printf '%s\n' "${ours[@]}" "${touched[@]}" | complaints "$log"
}

# The same files with more checks. Old code has complaints of that kind, so in
# files that the series touches only those count that are on its lines.
examine()	# VARIANT ARGUMENT...: of make
{
	local folder=$CACHE/lint-$1 log=$LOGS/examine-$1.log list
	shift
	mapfile -t list < <(objects "$folder")
	(cd "$folder" && rm "${list[@]}")
	logged "$log" kmake "$folder" "$@" "${list[@]}"
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
}

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

# What a build folder has of our files and touched ones.
objects()	# FOLDER
{
	local file
	printf '%s\n' "${ours[@]}" "${touched[@]}" | only c | while IFS= read -r file; do
		file=${file%.c}.o
		[ ! -e "$1/$file" ] || echo "$file"
	done
}

# What exists with the feature only, and is wanted all the same.
missing_references()	# VARIANT
{
	local folder=$CACHE/lint-$1
	objects "$folder" | (cd "$folder" && xargs nm -uo) | grep -E ' U (dax|intel)_(retarget|pin)' || true
}

test_modules=$TOP/tools/testing/dax_retarget
test_modules()
{
	local copy=$CACHE/lint-test-modules log=$LOGS/lint-test-modules.log
	rm -rf "$copy"
	cp -r "$test_modules" "$copy"
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
	man --warnings -l "$work/installed/usr/share/man/man8/dax-retarget.8" > /dev/null
	bash -n "$work/installed/usr/share/bash-completion/completions/dax-retarget"
	rm -r "$work"
}

scripts()
{
	local list
	mapfile -t list < <(cd "$TOP" && git ls-files -- '*.sh' vm/run vm/rootfs-init .ci/run |
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
	# Neither pictures, which need graphviz, nor looks
	grep -vE 'dot\(1\) not found|Using .* theme' "$log" || true
	grep -q 'dax_pin_create' "$work.html/driver-api-dax-retarget.html" ||
		echo "the interface is missing from the driver API guide"
	rm -r "$work" "$work.trees" "$work.html"
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

check "builds without a warning, on" variant on vmlinux modules
check "builds without a warning at W=1, on" examine on W=1
# A symbol that is not exported, or in a namespace that is not imported, is an error
# there.
check "builds without a warning, modules" variant modules vmlinux modules
# Much of the kernel changes where the feature is off, as widely used headers have
# it: only the files that matter, and instead of a link a look at what they refer to.
mapfile -t files < <(objects "$BUILD" | grep -vE '^(drivers/iommu/dax_retarget|fs/dax)/|/retarget')
check "builds without a warning, off" variant off "${files[@]}"
check "builds without a warning at W=1, off" examine off W=1
check "refers to nothing that is missing, off" missing_references off
mapfile -t files < <(printf '%s\n' "${files[@]}" | grep -v '^drivers/iommu/')
check "builds without a warning, noiommu" variant noiommu "${files[@]}"
check "builds without a warning at W=1, noiommu" examine noiommu W=1
check "refers to nothing that is missing, noiommu" missing_references noiommu
mapfile -t nics < <(printf '%s\n' "${touched[@]}" | grep '^drivers/infiniband/hw/' | only c)
check "builds without a warning, nics" variant nics "${nics[@]/%.c/.o}" \
	drivers/iommu/dax_retarget/ drivers/iommu/intel/ fs/dax/
check "builds without a warning at W=1, nics" examine nics W=1
check "sparse" examine on C=1
check "test-only modules, W=1 and sparse" test_modules

# Not the trace events, whose macros checkpatch cannot read; the parameter is
# documented by a patch, where it does not look; and no kernel macros for programs,
# nor what it makes of those of the kselftest harness.
mapfile -t sources < <(printf '%s\n' "${ours[@]}" | grep -vE '^(tools|include/trace)/' | only c h)
check "checkpatch of our files" checkpatch -f --ignore UNDOCUMENTED_SETUP \
	"${sources[@]}" "$test_modules"/*.c
mapfile -t sources < <(printf '%s\n' "${ours[@]}" | grep '^tools/' | only c h)
check "checkpatch of the selftests" checkpatch -f \
	--ignore BIT_MACRO,PREFER_DEFINED_ATTRIBUTE_MACRO,VOLATILE \
	--ignore SPACING,COMPLEX_MACRO,EMBEDDED_FUNCTION_NAME,ENOSYS "${sources[@]}"
check "checkpatch of the patches" checkpatch --ignore FILE_PATH_CHANGES "$SERIES"/*.patch "$SERIES"/test/*.patch
mapfile -t documented < <(printf '%s\n' "${ours[@]}" | grep -v ^tools/ | only c h)
check "kernel-doc" kernel_doc "${documented[@]}"
check "patches change existing files only" only_existing_files
check "documents" documents
check "netlink: header for programs" generated include/uapi/linux/dax_retarget_netlink.h \
	--mode uapi --header
check "netlink: header for the kernel" generated drivers/iommu/dax_retarget/netlink-gen.h \
	--mode kernel --header
check "netlink: policy" generated drivers/iommu/dax_retarget/netlink-gen.c \
	--mode kernel --source
check "the command, with all warnings" command_warnings
check "shell scripts" scripts
echo "1..$n"
exit $((failed > 0))
