#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Give QEMU's NVMe controllers to user space: each that has no driver, or is asked for,
# is bound to vfio-pci, and all data on its medium may get lost.
#
#   vfio-devices.sh [--last | PCI-ADDRESS...]
#
# With --last, only the last one of all. Prints the address of each. Needs root and CONFIG_VFIO_PCI.

vfio_devices_all()
{
	local device vendor id
	for device in /sys/bus/pci/devices/*; do
		read -r vendor < "$device/vendor"
		read -r id < "$device/device"
		[ "$vendor $id" != "0x1b36 0x0010" ] || echo "${device##*/}"
	done
}

vfio_devices()
{
	local address device all
	modprobe -q vfio-pci
	[ -d /sys/bus/pci/drivers/vfio-pci ] || {
		echo "vfio-devices: no driver vfio-pci" >&2
		return 1
	}
	all=("$@")
	[ $# -gt 0 ] || read -ra all <<< "$(vfio_devices_all | xargs)"
	for address in "${all[@]}"; do
		device=/sys/bus/pci/devices/$address
		[ ! -e "$device/driver" ] || [ $# -gt 0 ] || continue
		echo vfio-pci > "$device/driver_override"
		[ ! -e "$device/driver" ] || echo "$address" > "$device/driver/unbind"
		echo "$address" > /sys/bus/pci/drivers_probe
		[ -e "/sys/bus/pci/drivers/vfio-pci/$address" ] || {
			echo "vfio-devices: $address cannot be bound" >&2
			return 1
		}
		echo "$address"
	done
}

if [ "${1-}" = --last ]; then
	vfio_devices "$(vfio_devices_all | tail -n 1)"
else
	vfio_devices "$@"
fi
