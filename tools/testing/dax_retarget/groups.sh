# SPDX-License-Identifier: GPL-2.0-only
#
# Groups of tests of one script, of which all run, or those that are named. To be
# sourced by scripts of this folder. "all" has the names, and group_NAME is a function.
# shellcheck shell=bash disable=SC2154 # variables of the script

choose_groups()	# GROUP...
{
	local group
	groups=("$@")
	[ $# -gt 0 ] || groups=("${all[@]}")
	for group in "${groups[@]}"; do
		case " ${all[*]} ${on_demand[*]-} " in
		*" $group "*) ;;
		*) echo "${0##*/}: no group $group; there are: ${all[*]} ${on_demand[*]-}" >&2; exit 1 ;;
		esac
	done
}

# TAP on stdout. Removes WORK.
run_groups()
{
	local group start
	ktap_print_header
	for group in "${groups[@]}"; do
		start=$SECONDS
		"group_$group"
		echo "# group $group: $((SECONDS - start)) s"
	done
	rm -rf "$WORK"
	ktap_end
}
