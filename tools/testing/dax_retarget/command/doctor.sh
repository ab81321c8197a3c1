# SPDX-License-Identifier: GPL-2.0-only
#
# What "doctor" finds, by the mode that the kernel was booted with.
# shellcheck shell=bash disable=SC2154

# Doctor fails, and one of its findings has TEXT.
finds()		# TEXT ARGUMENT...
{
	local text=$1 status
	shift
	"$D" doctor "$@" > "$WORK/doctor" 2>&1
	status=$?
	echo "expected: $text; status $status"
	cat "$WORK/doctor"
	[ $status = 1 ] && grep -q "FAIL .*$text" "$WORK/doctor"
}

doctor_says()	# NAME TEXT ARGUMENT...
{
	check "doctor: $1" finds "${@:2}"
}

# The device behind a NIC qualifies before the NIC has its first pin.
doctor_of_new_nic()
{
	rdma link delete "$DEVICE"
	"$HERE/engine-nics.sh" > "$WORK/nics"
	check "doctor: an RDMA device before its first pin" "$D" doctor "$DEVICE"
}

doctor_of_plain_nic()
{
	"$HERE/plain-nic.sh" > "$WORK/nics"
	doctor_says "plain rxe" "no DMA of its own" plain
	doctor_says "plain rxe among all" "no DMA of its own"
	rdma link delete plain
}

doctor_of_files()
{
	check "doctor: a file that can" "$D" doctor "$DIR/file"
	doctor_says "a file that is not DAX" "no DAX" /etc/passwd
	doctor_says "a file on tmpfs" "file system tmpfs" "$WORK/doctor"
	doctor_says "no such file" "No such file" "$DIR/nonsense"
	doctor_says "no regular file" "not a regular file" "$DIR"
	[ "$(stat -f -c %T "$DIR")" = xfs ] || return
	cp "$DIR/file" "$DIR/shared"
	xfs_io -c "reflink $DIR/file" "$DIR/shared" > "$WORK/reflink" 2>&1
	doctor_says "a reflinked file" "shares blocks" "$DIR/shared"
}

doctor_of_device_mapper()
{
	ndctl create-namespace -f -m fsdax -e namespace1.0 > "$WORK/ndctl" 2>&1
	if [ ! -b /dev/pmem1 ] ||
	   ! dmsetup create line --table "0 $(blockdev --getsz /dev/pmem1) linear /dev/pmem1 0" 2> "$WORK/dm"; then
		ktap_skip "doctor: device mapper" "no second namespace or no device mapper: $(cat "$WORK/ndctl" "$WORK/dm" 2> /dev/null | head -n 1)"
		return
	fi
	# udev makes the link where it runs.
	dmsetup mknodes line
	mkdir -p /run/line
	mkfs.ext4 -q -F -b 4096 /dev/mapper/line && mount -o dax=always /dev/mapper/line /run/line
	head -c 64K /dev/zero > /run/line/file
	doctor_says "device mapper" "device mapper's line" /run/line/file
	umount /run/line
	dmsetup remove line
}

# Without the parameter the kernel registers nothing, so nothing can be asked.
list_is_off()
{
	check "with DAX retarget off, the kernel has no netlink family" \
		eval '! python -c "from netlink import *; family_id(new_socket())"'
	"$D" list > "$WORK/list" 2> "$WORK/err"
	same "list with DAX retarget off: status 3, and nothing is listed" "3 0" "$? $(lines "$WORK/list")"
	check "and says that it is off" grep -q "DAX retarget is off" "$WORK/err"
}

group_doctor()
{
	local pci
	pci=$(basename "$(readlink -f /sys/class/dma/dma0chan0/device)")
	make_file file 64K
	case " $(cat /proc/cmdline) " in
	*' iommu=pt '*)
		doctor_says "iommu=pt" "passes DMA through"
		doctor_says "iommu=pt, of the device" "passed through\|no IOMMU translates" "$pci"
		return ;;
	*' dax_retarget=on '*) ;;
	*' dax_retarget='*)
		doctor_says "a nonsense mode" "dax_retarget=[a-z]*, which means nothing"
		list_is_off
		return ;;
	*)
		doctor_says "parameter off" "was not turned on"
		list_is_off
		return ;;
	esac

	check "doctor: a device that can" "$D" doctor "$pci"
	doctor_of_new_nic
	doctor_of_plain_nic
	doctor_of_files
	doctor_of_device_mapper
}
