#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The stress test on a machine that nobody else uses: it unmounts the file system,
# removes the memory under it and the NICs, and brings all of them back.
#
#   stress.sh [OPTION...]			options of stress
#   stress.sh nic|engine|memory take|memory give	called by stress
#
# The file system is the one on DAX_RETARGET_DIR (/mnt). NICS is the command that
# sets up NICs, engine-nics.sh, or vfio-devices.sh for DAX_RETARGET_CONSUMER=type1 or
# iommufd; without it, only the mount goes away. Needs root.
set -euo pipefail

self=$(realpath "$0")
note=/run/dax_retarget.stress

# Removing a device waits until no program has it open.
nic()
{
	local name
	if [ "${DAX_RETARGET_CONSUMER-rdma}" != rdma ]; then
		engine
		return
	fi
	name=$(rdma link | awk 'NR == 1 { sub("/.*", "", $2); print $2 }')
	rdma link delete "$name"
	$NICS > /dev/null
}

engine()
{
	case ${DAX_RETARGET_CONSUMER-rdma} in
	rdma) unbind_last nvme_dma ;;
	*) unbind_last vfio-pci ;;
	esac
}

unbind_last()	# DRIVER
{
	local driver=/sys/bus/pci/drivers/$1 devices
	devices=("$driver"/*:*:*)
	echo "${devices[-1]##*/}" > "$driver/unbind"
	$NICS > /dev/null
}

# Unbind the driver from the namespace while programs use it, or bind it again.
memory()	# take|give
{
	local driver=/sys/bus/nd/drivers/nd_pmem source device
	if [ "$1" = take ]; then
		source=$(findmnt -n -o SOURCE "${DAX_RETARGET_DIR:-/mnt}")
		device=$(basename "$(realpath "/sys/class/block/${source##*/}/device")")
		echo "$source $device" > $note
		echo "$device" > $driver/unbind
	else
		read -r source device < $note
		echo "$device" > $driver/bind
		until [ -e "$source" ]; do sleep 0.1; done
	fi
}

case ${1-} in
nic|engine|memory)
	"$@"
	;;
*)
	DAX_RETARGET_UMOUNT=1 exec "${self%.sh}" ${NICS+--remove "$self"} "$@"
	;;
esac
