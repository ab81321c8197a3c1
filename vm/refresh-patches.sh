#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Write patches/v6.12/ anew from the commits in the kernel tree, so that nobody
# edits a diff by hand. A commit with TEST-ONLY in its subject goes to test/ and
# comes after all others.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
lock_cache

git=(git -C "$TREE")
[ -d "$TREE/.git" ] || die "no kernel tree yet: make kernel"
"${git[@]}" diff --quiet HEAD ||
	die "$TREE has edits that are not committed; commit them first, one topic each"

product=base
while read -r commit subject; do
	case $subject in
	*TEST-ONLY*) continue ;;
	esac
	[ "$("${git[@]}" rev-parse "$commit^")" = "$("${git[@]}" rev-parse "$product^{commit}")" ] ||
		die "'$subject' stands after a TEST-ONLY commit; reorder: git -C $TREE rebase -i base"
	product=$commit
done < <("${git[@]}" log --reverse --format='%H %s' base..HEAD)

added=$("${git[@]}" diff --name-only --diff-filter=A base "$product")
[ -z "$added" ] || die "new files belong in the checkout, not in a patch: $added"

format()	# RANGE FOLDER
{
	mkdir -p "$2"
	rm -f "$2"/*.patch
	# Without the user's settings, so that everybody gets the same text.
	GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null "${git[@]}" format-patch -q \
		--zero-commit --no-signature -N --abbrev=12 -o "$2" "$1"
	rmdir --ignore-fail-on-non-empty "$2"
}
format "base..$product" "$SERIES"
format "$product..HEAD" "$SERIES/test"

"${git[@]}" tag -f applied > /dev/null
series_key > "$STAMPS/series"
git -C "$TOP" status --short -- "$SERIES"
