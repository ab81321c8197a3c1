#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In a guest that booted from the Debian packages: is what runs what was installed? And
# does nothing stay when the packages are removed? TAP on stdout.
#
#   installed.sh SELFTESTS RELEASE [--remove]
#
# SELFTESTS is the folder with the built selftests, RELEASE that of the kernel that was
# installed.
set -u

# shellcheck source=../selftests/dax_retarget/lib.sh
. "$1/lib.sh"
release=$2
config=/boot/config-$release
schema=/usr/share/dax-retarget/schema

has_argument()	# ARGUMENT
{
	cat /proc/cmdline
	grep -qw -- "$1" /proc/cmdline
}

# Man pages may be left out by an option of dpkg, so the package is asked.
has_file()	# FILE
{
	dpkg -L dax-retarget | grep -x "$1"
}

no_switches()
{
	[ -r "$config" ] && ! grep -x CONFIG_DAX_RETARGET_TEST=y "$config" &&
		[ ! -e "$test_switches/break" ]
}

devices_are_valid()
{
	dax-retarget devices --all --json > /tmp/devices || return
	cat /tmp/devices
	python3 - <<-PYTHON
	import json, jsonschema
	devices = json.load(open('/tmp/devices'))
	jsonschema.Draft7Validator(json.load(open('$schema/devices.json'))).validate(devices)
	assert devices, 'no device'
	PYTHON
}

nothing_stays()
{
	local left
	left=$(find /boot /lib/modules /usr /etc -name "*$release*" -o -name 'dax-retarget*')
	echo "$left"
	[ -z "$left" ]
}

ktap_print_header
if [ "${3-}" = --remove ]; then
	check "the packages are removed" apt-get -q -y purge "linux-image-$release" dax-retarget
	check "nothing of them stays" nothing_stays
else
	same "the kernel that was installed runs" "$release" "$(uname -r)"
	for argument in dax_retarget=on intel_iommu=on iommu=nopt; do
		check "argument $argument" has_argument "$argument"
	done
	check "the feature is there" grep -x CONFIG_DAX_RETARGET=y "$config"
	check "no switches for tests" no_switches
	check "its modules" [ -s "/lib/modules/$release/modules.dep" ]
	check "man page" has_file /usr/share/man/man8/dax-retarget.8.gz
	check "completion" bash -n /usr/share/bash-completion/completions/dax-retarget
	check "the command, and its schemas" devices_are_valid
fi
ktap_end
