#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A hypervisor as users run it: QEMU of the distribution, whose guest has its memory, and
# an NVDIMM, in files on the DAX file system, and a device of this machine. The guest
# reads from its disk all the time; blocks of its memory are taken away meanwhile.
# TAP on stdout.
#
#   hypervisor.sh SELFTESTS [--refused]
#
# SELFTESTS is the folder with the built selftests. With --refused the machine is one
# where QEMU must not start with the files. All data on the first NVMe controller is
# lost, and it has no driver before and afterwards. DIR is the folder on the file system.
set -u

. "$(dirname "$0")/traffic.sh"
selftests=${1?the folder with the selftests}
. "$selftests/lib.sh"
image=/tmp/boot-disk
ram=$DIR/ram
nvdimm=$DIR/nvdimm
log=/tmp/hypervisor.log
firmware=/tmp/firmware.log

controllers()
{
	local device
	for device in /sys/bus/pci/devices/*; do
		[ "$(cat "$device/vendor") $(cat "$device/device")" != "0x1b36 0x0010" ] ||
			echo "${device##*/}"
	done
}

give_to()	# DRIVER
{
	local device=/sys/bus/pci/devices/$controller
	[ ! -e "$device/driver" ] || echo "$controller" > "$device/driver/unbind"
	echo "${1-}" > "$device/driver_override"
	[ -z "${1-}" ] || echo "$controller" > /sys/bus/pci/drivers_probe
}

# The boot sector, and what it reads
make_image()
{
	cp /image/boot_sector $image && truncate -s 4096 $image || return
	yes 'what the guest reads from its disk' | head -c 4096 >> $image
	truncate -s 1M $image
}

# The disk of the first controller, which need not be the first disk
disk_is_there()
{
	disk=$(ls "/sys/bus/pci/devices/$controller/nvme") && disk=/dev/$disk && [ -b "${disk}n1" ]
}

# Blocks of 512 bytes without metadata, as the firmware of QEMU's guest wants them
format_disk()
{
	modprobe nvme && give_to nvme && within 20 disk_is_there || return
	python3 - "$disk" <<-'END' || return
		import fcntl, struct, sys
		# struct nvme_admin_cmd: format namespace 1, format 0
		command = bytearray(72)
		struct.pack_into("<B3xI", command, 0, 0x80, 1)
		with open(sys.argv[1]) as disk:
		    fcntl.ioctl(disk, 0xC0484E41, command)	# NVME_IOCTL_ADMIN_CMD
		    fcntl.ioctl(disk, 0x4E46)			# NVME_IOCTL_RESCAN
	END
	within 20 dd if=$image of="${disk}n1" bs=4096 oflag=direct status=none
}

# QEMU in the background, with OPTION... for the disk
start()
{
	rm -f "$ram" "$nvdimm"
	head -c 32M /dev/zero | tee "$ram" > "$nvdimm"
	qemu-system-x86_64 -accel tcg -M pc,nvdimm=on,memory-backend=ram -nodefaults \
		-display none -m 32M,slots=2,maxmem=1G \
		-object "memory-backend-file,id=ram,mem-path=$ram,size=32M,share=on" \
		-object "memory-backend-file,id=nvdimm,mem-path=$nvdimm,size=32M,share=on" \
		-device nvdimm,memdev=nvdimm \
		-chardev "file,id=firmware,path=$firmware" \
		-device isa-debugcon,iobase=0x402,chardev=firmware "$@" > $log 2>&1 &
	hypervisor=$!
}

# The word of the guest's memory at ADDRESS
word()		# ADDRESS
{
	od -An -tu4 -j "$1" -N 4 "$ram" | tr -d ' '
}

reads_more_than()	# NUMBER
{
	[ "$(word $((0x8000)))" -gt "$1" ]
}

runs()
{
	kill -0 "$hypervisor" 2> /dev/null
}

# As an administrator sees it
sees_pins()
{
	/image/tools/dax-retarget list 2>/dev/null | tee -a $log | grep -q "$1"
}

sees_device()
{
	/image/tools/dax-retarget devices | tee -a $log | grep -q "^$controller .* unmanaged .* yes$"
}

guest_has_data()
{
	cmp -s -n 4096 <(tail -c +$((0x20001)) "$ram") <(tail -c +4097 $image)
}

# The guest goes on, and what its device writes to the page is not in the file
page_is_gone()
{
	local before
	before=$(word $((0x8000)))
	within 60 reads_more_than $((before + 3)) &&
		cmp -s -n 4096 <(tail -c +$((0x20001)) "$ram") /dev/zero
}

ends()
{
	! runs
}

run_guest()	# NAME OPTION...
{
	local name=$1 taken
	shift
	start "$@"
	check "$name: the guest reads from its disk" within 100 reads_more_than 3
	reads_more_than 3 || sed 's/^/# firmware: /' $firmware
	check "$name: into its memory, which is a file" within 20 guest_has_data
	check "$name: an administrator sees its memory" sees_pins "$ram"
	check "$name: and that the device qualifies" sees_device
	taken=$(stat_of pages_retargeted)
	check "$name: a page of its memory is punched" \
		fallocate -p -o $((0x20000)) -l 4096 "$ram"
	check "$name: one page was taken back" test $(($(stat_of pages_retargeted) - taken)) = 1
	check "$name: it goes on, without the page" page_is_gone
	check "$name: no read failed" test "$(word $((0x8004)))" = 0
	check "$name: its NVDIMM is truncated" truncate -s 1M "$nvdimm"
	check "$name: all of that was taken back" \
		test $(($(stat_of pages_retargeted) - taken)) = $((1 + 31 * 256))
	check "$name: it goes on" within 60 reads_more_than "$(word $((0x8000)))"
	check "$name: its memory is truncated" truncate -s 0 "$ram"
	# As with any file, a page that is not there any more is the end of a program.
	check "$name: it ends" within 60 ends
	wait "$hypervisor"
	check "$name: nothing is left" within 20 at_rest
	sed 's/^/# /' $log
}

controller=$(controllers | head -n 1)

ktap_print_header
check "the disk is made" make_image
check "the disk is formatted" format_disk
give_to vfio-pci
if [ "${2-}" = --refused ]; then
	start -device "vfio-pci,host=$controller"
	check "QEMU ends" within 60 ends
	check "as the memory cannot be mapped" grep -q 'vfio_dma_map.*Operation not supported' $log
	wait "$hypervisor"
	sed 's/^/# /' $log
else
	run_guest "passed through" -device "vfio-pci,host=$controller"
	run_guest "as a disk" -drive "if=none,id=disk,format=raw,file=nvme://$controller/1" \
		-device virtio-blk-pci,drive=disk
fi
give_to
ktap_end
