#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Lay our new files over the kernel tree, as they are in the checkout. They are
# edited there, not in the tree; its git ignores them, so that 'git status' in the
# tree shows the hooks and nothing else. Existing files are the series' business.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

paths=(Documentation drivers fs include tools/testing/selftests)

list=$TREE/.git/overlay
new=$list.new
cd "$TOP"
git ls-files -co --exclude-standard -- "${paths[@]}" | sort -u |
	while IFS= read -r file; do [ ! -e "$file" ] || echo "$file"; done > "$new"

taken=$(xargs -r -d '\n' git -C "$TREE" ls-tree -r --name-only base -- < "$new")
[ -z "$taken" ] || die "files of the kernel change by patches/, not by a new version: $taken"

touch "$list"
comm -23 "$list" "$new" | while IFS= read -r file; do rm -f "$TREE/$file"; done
mv "$new" "$list"
sed 's|^|/|' "$list" > "$TREE/.git/info/exclude"
# By content: a file that is the same keeps its time and is not built again.
rsync -rlp --checksum --files-from="$list" "$TOP/" "$TREE/"
