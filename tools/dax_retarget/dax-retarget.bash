# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# bash completion for dax-retarget. The command lists its verbs and options; only
# what an argument can be is known here, by the name that the help gives it.

_dax_retarget_devices()
{
	local device
	for device in /sys/class/infiniband/* /sys/bus/pci/devices/*; do
		[ ! -e "$device" ] || echo "${device##*/}"
	done
}

_dax_retarget_pins()	# KEY: its numbers in the list of pins
{
	dax-retarget list --json 2> /dev/null |
		sed -n "s/^ *\"$1\": *\([0-9]*\).*/\1/p" | sort -u
}

# What an argument can be; nothing of numbers and the like.
_dax_retarget_argument()	# ARGUMENT WORD
{
	case $1 in
	ID) compgen -W "$(_dax_retarget_pins id)" -- "$2" ;;
	PID) compgen -W "$(_dax_retarget_pins pid)" -- "$2" ;;
	NAME) compgen -W "$(_dax_retarget_devices)" -- "$2" ;;
	PATH) compgen -f -- "$2" ;;
	DIR) compgen -d -- "$2" ;;
	esac
}

_dax_retarget()
{
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
	local verb=${COMP_WORDS[1]-} words='' letter name argument

	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		words="$(dax-retarget --list-verbs) --help --version"
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
		return
	fi

	# Lines such as "-d, --device NAME"
	while read -r letter name argument; do
		words+=" $name"
		[[ -n $argument && ( $previous = "${letter%,}" || $previous = "$name" ) ]] || continue
		[[ $argument != PATH && $argument != DIR ]] || compopt -o filenames
		mapfile -t COMPREPLY < <(_dax_retarget_argument "$argument" "$current")
		return
	done < <(dax-retarget "$verb" --list-opts 2> /dev/null)

	if [[ $verb = doctor && $current != -* ]]; then
		compopt -o filenames
		words=$(_dax_retarget_devices)
		mapfile -t COMPREPLY < <(compgen -f -W "$words" -- "$current")
		return
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _dax_retarget dax-retarget
