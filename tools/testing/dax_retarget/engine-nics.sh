#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Set up RDMA NICs that really do DMA: rxe links, each with a DMA engine behind
# it, on dummy network devices.
#
#   engine-nics.sh [CHANNEL...]
#
# CHANNEL is a DMA memcpy channel as named in /sys/class/dma, for example of
# Intel I/OAT or DSA. Without one, each NVMe controller of QEMU that has no driver
# becomes an engine of nvme_dma, and all data on its medium is lost.
#
# Prints for each NIC its name, IP address, channel and the PCI device that does
# the DMA. NIC 0 is rxe0 at 10.0.0.1, NIC 1 is rxe1 at 10.0.1.1, and so on; a NIC
# that exists stays as it is. Needs root and a kernel with the test-only patch to
# rxe. 'rdma link delete NAME' deletes a NIC.

# The script may be sourced, so it neither exits nor sets shell options.

engine_nics_fail()
{
	echo "engine-nics: $*" >&2
	return 1
}

# A module of the running kernel, or one that was built in this folder.
engine_nics_load()
{
	local folder
	folder=$(dirname "${BASH_SOURCE[0]}")
	[ ! -d "/sys/module/$1" ] || return 0
	modprobe "$1" 2> /dev/null || insmod "$folder/$1.ko" ||
		engine_nics_fail "cannot load $1"
}

# The channels of QEMU's NVMe controllers, in the order of their addresses.
engine_nics_qemu()
{
	local device name vendor id
	for device in /sys/bus/pci/devices/*; do
		# Programs take long to start on an emulated machine, so none runs here.
		read -r vendor < "$device/vendor"
		read -r id < "$device/device"
		[ "$vendor $id" = "0x1b36 0x0010" ] || continue
		if [ ! -e "$device/driver" ]; then
			engine_nics_load nvme_dma || return
			echo nvme_dma > "$device/driver_override"
			echo "${device##*/}" > /sys/bus/pci/drivers_probe
		fi
		for name in "$device"/dma/*; do
			[ ! -e "$name" ] || echo "${name##*/}"
		done
	done
}

engine_nics_add()	# NUMBER CHANNEL
{
	local netdev=engine$1 link=rxe$1 address=10.0.$1.1
	local parameter=/sys/module/rdma_rxe/parameters/dma_channel

	[ -e "/sys/class/dma/$2" ] || engine_nics_fail "no DMA channel $2" || return
	if [ ! -e "/sys/class/infiniband/$link" ]; then
		[ -e "/sys/class/net/$netdev" ] || ip link add "$netdev" type dummy || return
		# The largest MTU of RDMA, 4096, and the headers fit.
		ip link set "$netdev" mtu 4200 up &&
			ip address replace "$address/24" dev "$netdev" || return
		echo "$2" > $parameter
		rdma link add "$link" type rxe netdev "$netdev" ||
			engine_nics_fail "cannot add $link" || return
		echo > $parameter
	fi
	echo "$link $address $2 $(basename "$(readlink -f "/sys/class/dma/$2/device")")"
}

engine_nics()
{
	local channels=("$@") n
	# Process substitution needs /dev/fd, which may be missing.
	[ $# -gt 0 ] || read -ra channels <<< "$(engine_nics_qemu | xargs)"
	[ ${#channels[@]} -gt 0 ] || engine_nics_fail "no DMA channel" || return
	engine_nics_load rdma_rxe || return
	[ -e /sys/module/rdma_rxe/parameters/dma_channel ] ||
		engine_nics_fail "rdma_rxe has no DMA engines: test-only patch missing" || return
	for n in "${!channels[@]}"; do
		engine_nics_add "$n" "${channels[n]}" || return
	done
}

engine_nics "$@"
