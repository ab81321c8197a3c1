#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The product as one series for 'git am': the patches of patches/v6.12 without those in
# test/, each with the new files that it brings (patches/v6.12/new-files), and a cover
# letter.
#
# The commits are made in the repository of the kernel tree, on its commit 'base', as
# the branch 'product'. Nothing is checked out for that: a commit of the branch is one
# of the tree's with new files added.
set -euo pipefail
{ # is read to its end before it runs, as somebody may edit it meanwhile

. "$(dirname "$0")/lib.sh"
. "$VM/kbuild.sh"

out=$CACHE/series check=''

usage()
{
	cat <<USAGE
Usage: vm/make-series.sh [option...]

  --out DIR   folder for the patches (default: series in $CACHE)
  --check     also build each commit, with the option and without, and run
              checkpatch over each patch: an hour on two idle cores. What was built
              and checked before is not done again
  --branch    only the branch 'product' of the kernel tree

The series applies to the kernel source that the patches are for:
  git am --empty=drop DIR/*.patch
USAGE
}

only_branch=''
while [ $# -gt 0 ]; do
	case $1 in
	-h|--help) usage; exit 0 ;;
	--check) check=1 ;;
	--branch) only_branch=1 ;;
	--out) out=${2?--out needs a folder}; shift ;;
	*) usage >&2; die "unknown argument $1" ;;
	esac
	shift
done

table=$SERIES/new-files
git=(git -C "$TREE")

# The new files of the checkout, and the subject of the patch that brings each
declare -A subject_of
assign_files()
{
	local line subject='' file subjects
	subjects=$("${git[@]}" log --format=%s base..applied)
	while IFS= read -r line; do
		case $line in
		''|'#'*) ;;
		$'\t'*)
			while IFS= read -r file; do
				[ -z "${subject_of[$file]-}" ] || die "$table: $file is in two places"
				subject_of[$file]=$subject
			done < <(new_files "${line#$'\t'}")
			;;
		'(none)') subject=$line ;;
		*)
			grep -qxF -- "$line" <<< "$subjects" || die "$table: no patch is '$line'"
			subject=$line
			;;
		esac
	done < "$table"
	while IFS= read -r file; do
		[ -n "${subject_of[$file]-}" ] || die "$file is in no commit of the series: add it to $table"
	done < <(new_files Documentation drivers fs include tools)
}

new_files()	# PATTERN...
{
	(cd "$TOP" && git ls-files -co --exclude-standard -- "$@" |
		while IFS= read -r file; do [ ! -e "$file" ] || echo "$file"; done)
}

# What 'git update-index --index-info' reads for the files that a patch brings
index_info()	# SUBJECT
{
	local file files=() mode blob
	for file in "${!subject_of[@]}"; do
		[ "${subject_of[$file]}" != "$1" ] || files+=("$file")
	done
	[ ${#files[@]} -gt 0 ] || return 0
	while IFS=$'\t' read -r blob file; do
		mode=100644
		[ ! -x "$TOP/$file" ] || mode=100755
		printf '%s %s\t%s\n' $mode "$blob" "$file"
	done < <(paste <(printf "%s\n" "${files[@]/#/$TOP/}" | "${git[@]}" hash-object -w --stdin-paths) \
		<(printf '%s\n' "${files[@]}"))
}

# A commit of the branch is one of the tree's, with the new files that came so far. The
# same contents give the same commits.
make_branch()
{
	local commit subject name email date parent tree added
	added=$(mktemp)
	parent=$("${git[@]}" rev-parse 'base^{commit}')
	export GIT_INDEX_FILE=$added.index
	while read -r commit subject; do
		case $subject in *TEST-ONLY*) continue ;; esac
		index_info "$subject" >> "$added"
		"${git[@]}" read-tree "$commit"
		"${git[@]}" update-index --add --index-info < "$added"
		tree=$("${git[@]}" write-tree)
		{ read -r name; read -r email; read -r date; } < \
			<("${git[@]}" log -1 --format='%an%n%ae%n%aI' "$commit")
		parent=$("${git[@]}" log -1 --format=%B "$commit" |
			GIT_AUTHOR_NAME=$name GIT_AUTHOR_EMAIL=$email GIT_AUTHOR_DATE=$date \
			GIT_COMMITTER_NAME=$name GIT_COMMITTER_EMAIL=$email GIT_COMMITTER_DATE=$date \
			"${git[@]}" commit-tree "$tree" -p "$parent")
	done < <("${git[@]}" log --reverse --format='%H %s' base..applied)
	unset GIT_INDEX_FILE
	rm -f "$added" "$added.index"
	"${git[@]}" branch -q -f product "$parent"
}

# The table of the driver API guide, as text
cost_table()
{
	awk '
	/^``make bench`` measures this/ { here = 1 }
	here && /^   (\* -|  -) / {
		column = /^   \*/ ? 1 : column + 1
		sub(/^   (\* -|  -) /, "")
		if (column == 1)
			n++
		cell[n, column] = $0 == "\\" ? "" : $0
		next
	}
	# The first cell may go on in the next line
	here && n && /^       / { sub(/^ +/, ""); cell[n, column] = cell[n, column] " " $0; next }
	here && n && /^[^ ]/ { exit }
	END {
		for (i = 1; i <= n; i++) {
			what = cell[i, 1]
			while (length(what) > 50) {
				for (cut = 50; cut > 1 && substr(what, cut, 1) != " "; cut--)
					;
				print substr(what, 1, cut - 1)
				what = "  " substr(what, cut + 1)
			}
			line = sprintf("%-51s %-16s %s", what, cell[i, 2], cell[i, 3])
			sub(/ +$/, "", line)
			print line
		}
	}' "$TOP/Documentation/driver-api/dax-retarget.rst"
}

cover_letter()
{
	local table
	table=$(cost_table)
	[ -n "$table" ] || die "the driver API guide has no table of costs"
	while IFS= read -r line; do
		[ "$line" != @COST@ ] || line=$table
		printf '%s\n' "$line"
	done < "$SERIES/cover-letter.txt"
}

# Without the user's settings, so that everybody gets the same text
write_patches()
{
	mkdir -p "$out"
	rm -f "$out"/*.patch
	GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null "${git[@]}" \
		-c "user.name=$("${git[@]}" log -1 --format=%an product)" \
		-c "user.email=$("${git[@]}" log -1 --format=%ae product)" \
		-c "branch.product.description=$(cover_letter)" \
		format-patch -q -n --cover-letter --cover-from-description=subject \
		--zero-commit --no-signature --abbrev=12 -o "$out" base..product
}

# Two kernels of each commit, as far as the commit has the option: with the option, the
# KUnit tests and the switches for tests; and without. The RDMA drivers, which the guest's
# kernel does not have, are compiled where a commit changes them.
build_commit()	# COMMIT
{
	local TREE=$PRODUCT/linux-6.12 kind nics
	check_out_product "$1"
	nics=$(git -C "$TREE" diff --name-only "$1^" "$1" -- drivers/infiniband/hw | sed -n 's/\.c$/.o/p')
	for kind in off on; do
		[ $kind = off ] || [ -e "$TREE/drivers/iommu/dax_retarget/Kconfig" ] || continue
		build_kind check-$kind vmlinux modules
		# shellcheck disable=SC2086 # several names
		[ -z "$nics" ] || build_kind check-nics-$kind $nics
	done
	[ ! -d "$TREE/tools/dax_retarget" ] || make -C "$TREE/tools/dax_retarget" O="$PRODUCT/command"
}

build_kind()	# FOLDER TARGET...
{
	local folder=$PRODUCT/$1 fragments=("$VM/kernel.config")
	case $1 in *nics*) fragments+=("$VM/lint-nics.config") ;; esac
	case $1 in *-off) fragments+=("$VM/lint-off.config") ;; esac
	shift
	configure "$folder" "${fragments[@]}"
	kmake "$folder" "$@"
}

check_series()
{
	local commit n=0 failed=0 key
	key=$(cat "$VM"/{kernel,lint-nics,lint-off}.config "$VM/kbuild.sh" | hash)
	while read -r commit; do
		n=$((n + 1))
		say "$n: $("${git[@]}" log -1 --format=%s "$commit")"
		step "product-commit-$n" "$commit $key" build_commit "$commit"
		complaints "$commit" | sed 's/^/  /' >&2 || failed=$((failed + 1))
	done < <("${git[@]}" rev-list --reverse base..product)
	[ $failed = 0 ] || die "checkpatch complains of $failed patches"
	say "each of the $n commits builds, and checkpatch has no complaint"
}

# Fails if checkpatch says something. It is not asked where lint.sh does not ask it: it
# cannot read the macros of trace events, and has rules for the kernel that programs and
# tables of names need not keep.
complaints()	# COMMIT
{
	# "-o pan pan.c" repeats no word
	local ignore=MACRO_ARG_REUSE,COMPLEX_MACRO,REPEATED_WORD said
	case $("${git[@]}" diff --name-only "$1^" "$1") in
	*tools/*) ignore+=,BIT_MACRO,PREFER_DEFINED_ATTRIBUTE_MACRO,VOLATILE,SPACING,EMBEDDED_FUNCTION_NAME,ENOSYS ;;
	esac
	# Debian's python3 has what its spdxcheck needs
	cd "$PRODUCT/linux-6.12"
	said=$(git format-patch -q --stdout -1 "$1" -- . ':!include/trace' |
		PATH=/usr/bin:$PATH scripts/checkpatch.pl --strict --terse --no-summary --quiet \
			--show-types --ignore "$ignore" - || true)
	[ -n "$said" ] || return 0
	echo "$said"
	return 1
}

lock_cache
guarded "$VM/setup.sh" tree
# What is only in the tree would be left out without a word
"$VM/series.sh" --may-discard
assign_files
make_branch
if [ -z "$only_branch" ]; then
	write_patches
	say "series: $("${git[@]}" rev-list --count base..product) patches and a cover letter in $out, for
$("${git[@]}" log -1 --format=%s base)"
fi
[ -z "$check" ] || check_series
exit
}
