#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The hooks in existing kernel files: patches/v6.12/, then those in test/, as
# commits on top of 'base'. The tag 'applied' is the commit that the series gave.
# What a developer edits or commits beyond it is built too, and never thrown
# away: refresh-patches.sh makes patches of it.
#
# With --may-discard only say whether the tree holds nothing but the series.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

git=(git -C "$TREE")

may_discard()
{
	# An interrupted run is ours to clean up.
	[ -d "$TREE/.git" ] && [ ! -f "$TREE/.git/applying" ] || return 0
	if [ "$("${git[@]}" rev-parse HEAD)" != "$("${git[@]}" rev-parse 'applied^{commit}')" ]; then
		die "$TREE has commits that are not in the series.
  keep them:  make refresh-patches (and merge by hand if patches/ changed as well)
  drop them:  git -C $TREE reset --hard applied"
	fi
	if ! "${git[@]}" diff --quiet HEAD; then
		die "$TREE has edits that are not committed.
  keep them:  commit them there, then make refresh-patches
  drop them:  git -C $TREE reset --hard"
	fi
}

# Files that come out as they were keep their time, or half the kernel would be
# built again for a hook in a header.
keep_times()	# FOLDER, with the files as they were before
{
	(cd "$1" && find . -type f -print0) | while IFS= read -r -d '' file; do
		if cmp -s "$1/$file" "$TREE/$file"; then touch -r "$1/$file" "$TREE/$file"; fi
	done
}

apply()
{
	local before
	before=$(mktemp -d)
	"${git[@]}" diff --name-only base HEAD |
		rsync -a --ignore-missing-args --files-from=- "$TREE/" "$before/"
	touch "$TREE/.git/applying"
	rm -rf "$TREE/.git/rebase-apply"
	"${git[@]}" reset -q --hard base
	if [ $# -gt 0 ]; then
		"${git[@]}" "${AS_SETUP[@]}" am --committer-date-is-author-date "$@" || {
			echo 'The series does not fit this kernel source. Has it been patched already?'
			return 1
		}
	fi
	keep_times "$before"
	rm -rf "$before"
	"${git[@]}" tag -f applied
	rm "$TREE/.git/applying"
}

if [ "${1-}" = --may-discard ]; then
	may_discard
	exit
fi
shopt -s nullglob
patches=("$SERIES"/*.patch "$SERIES"/test/*.patch)
key=$(series_key)
[ "$(cat "$STAMPS/series" 2>/dev/null)" = "$key" ] || may_discard
step series "$key" apply "${patches[@]}"
