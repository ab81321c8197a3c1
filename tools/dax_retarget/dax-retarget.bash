# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# bash completion for dax-retarget

_dax_retarget_devices()
{
	local device
	for device in /sys/class/infiniband/* /sys/bus/pci/devices/*; do
		[ ! -e "$device" ] || echo "${device##*/}"
	done
}

_dax_retarget()
{
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
	local verbs='list devices monitor stats top revoke doctor'
	local verb=${COMP_WORDS[1]-} words=''

	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$verbs --help --version" -- "$current")
		return
	fi

	case $verb,$previous in
	list,-d|list,--device|revoke,-d|revoke,--device)
		mapfile -t COMPREPLY < <(compgen -W "$(_dax_retarget_devices)" -- "$current")
		return ;;
	list,-p|list,--pid|revoke,-p|revoke,--pid)
		words=$(dax-retarget list --json 2> /dev/null |
			sed -n 's/^ *"pid": *\([0-9]*\).*/\1/p' | sort -u)
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
		return ;;
	revoke,-i|revoke,--id)
		words=$(dax-retarget list --json 2> /dev/null |
			sed -n 's/^ *"id": *\([0-9]*\).*/\1/p')
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
		return ;;
	*,-f|*,--file)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return ;;
	*,-m|*,--mount)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		return ;;
	monitor,-n|monitor,-t|monitor,--count|monitor,--timeout|\
	top,-d|top,-n|top,--delay|top,--iterations|\
	revoke,-o|revoke,-l|revoke,--offset|revoke,--length)
		return ;;
	esac

	case $verb in
	list) words='--device --pid --file --mount --bytes --verbose --json' ;;
	devices) words='--all --bytes --json' ;;
	monitor) words='--count --timeout --bytes --json' ;;
	stats) words='--bytes --json' ;;
	top) words='--delay --iterations --batch' ;;
	revoke) words='--id --device --pid --file --mount --offset --length --bytes --json' ;;
	doctor)
		words='--json'
		if [[ $current != -* ]]; then
			compopt -o filenames
			mapfile -t COMPREPLY < <(compgen -f -W "$(_dax_retarget_devices)" -- "$current")
			return
		fi ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words --help" -- "$current")
}

complete -F _dax_retarget dax-retarget
