#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Compare the verbs and options of the man page with those of the command, which
# has them from its tables. Prints the differences: a line with "-" is of the
# command alone, one with "+" of the man page alone.
#
#   check-man.sh COMMAND MAN-PAGE
set -eu

command=$1 page=$2
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# The man page describes --help of all verbs at once.
for verb in $("$command" --list-verbs); do
	echo "$verb"
	"$command" "$verb" --list-opts | grep -v '^-h, --help$' | sed "s/^/$verb /"
done | sort > "$work/command"

# A verb has a section, and an option a paragraph:
#   .SS list
#   .TP
#   .BI "\-d, \-\-device " NAME
awk '
/^\.SH / { verb = "" }
/^\.SS / { verb = $2; print verb }
verb && tag {
	gsub(/^\.BI? |["\\]/, "")
	gsub(/ +/, " ")
	print verb, $0
}
{ tag = $1 == ".TP" }
' "$page" | sort > "$work/page"

diff -U 0 --label "$command" --label "$page" "$work/command" "$work/page"
