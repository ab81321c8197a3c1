#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the kernel and its programs do to files of which another program has a region:
# file servers, block devices over files, overlays, watchers, backups. Runs after
# engine-nics.sh, as root, with file system DIR for the tests alone. TAP on stdout.
#
#   servers.sh [GROUP...]
#
#   nfs      a server of NFS 4.2, and its client on this machine
#   loop     a loop device
#   nvmet    an NVMe target, and its host on this machine
#   overlay  files below and above an overlay
#   notify   watchers by inotify and fanotify
#   backup   cp, rsync, xfsdump
#
# TOOLS is the folder with the command and its helpers, SELFTESTS the one with the
# built selftests.
set -u

. "$(dirname "$0")/traffic.sh"
. "$(dirname "$0")/groups.sh"
TOOLS=${TOOLS:-/image/tools}
SELFTESTS=${SELFTESTS:-/image/selftests/dax_retarget}
# shellcheck source=../selftests/dax_retarget/lib.sh
. "$SELFTESTS/lib.sh"

all=(nfs loop nvmet overlay notify backup)
choose_groups "$@"
WORK=$(mktemp -d)

# Have a process hold a region of a file until let_go, and count what is taken from it.
hold()		# GROUP FILE
{
	: > "$WORK/regions"
	"$TOOLS/many_regions" -w "$DEVICE" 1 "$2" < <(exec sleep 1000) > "$WORK/regions" 2>&1 &
	holder=$!
	check "$1: the file is registered" within 60 grep -q ready "$WORK/regions"
	before=$(stat_of pages_retargeted)
}

taken()
{
	echo $(($(stat_of pages_retargeted) - before))
}

let_go()	# GROUP
{
	kill "$holder"
	wait "$holder" 2> /dev/null
	check "$1: nothing is left" within 10 at_rest
}

# At $WORK/nfs
nfs_begin()
{
	modprobe -a nfsd nfsv4 && mount -t nfsd nfsd /proc/fs/nfsd || return
	exportfs -o rw,no_root_squash,insecure,fsid=0 "*:$DIR" || return
	rpc.mountd -F -N 2 -N 3 &
	mountd=$!
	rpc.nfsd -N 3 -V 4.2 2 || return
	# Nobody has anything to reclaim, and files can be opened afterwards only.
	echo Y > /proc/fs/nfsd/v4_end_grace
	mkdir "$WORK/nfs" && mount -t nfs4 -o vers=4.2 127.0.0.1:/ "$WORK/nfs"
}

nfs_end()
{
	umount "$WORK/nfs"
	rpc.nfsd 0
	exportfs -ua
	kill "$mountd"
	umount /proc/fs/nfsd
}

# An operation that shares blocks is refused in a way that has cp copy.
group_nfs()
{
	local n=$WORK/nfs

	check "nfs: the server" nfs_begin
	head -c 1M /dev/urandom > "$DIR/shared"
	hold nfs "$DIR/shared"
	check "nfs: cp" cp "$n/shared" "$n/copy"
	check "nfs: cp has copied" cmp "$DIR/shared" "$DIR/copy"
	check "nfs: cp --reflink=never" cp --reflink=never "$n/shared" "$n/second"
	check "nfs: cp --reflink=never has copied" cmp "$DIR/shared" "$DIR/second"
	same "nfs: no clone" 1 \
		"$(cp --reflink=always "$n/shared" "$n/clone" 2>&1 | grep -c 'Invalid argument')"
	check "nfs: other files are cloned still" cp --reflink=always "$n/second" "$n/clone"
	same "nfs: no page is taken by that" 0 "$(taken)"
	check "nfs: punch" fallocate -p -o 64K -l 64K "$n/shared"
	same "nfs: those pages are taken, and no other" 16 "$(taken)"
	check "nfs: truncate" truncate -s 512K "$n/shared"
	same "nfs: those behind the end as well" $((16 + 128)) "$(taken)"
	check "nfs: delete" rm "$n/shared"
	let_go nfs
	check "nfs: the end" nfs_end
}

# What is done to a disk that is a file with a region
through_disk()	# GROUP DISK
{
	check "$1: discard" blkdiscard -o 1M -l 1M "$2"
	same "$1: those pages are taken, and no other" 256 "$(taken)"
	check "$1: what was discarded is zero" cmp -n 1M "$DIR/disk" /dev/zero -i 1M:0
	check "$1: zeroes" blkdiscard -z -o 4M -l 1M "$2"
	check "$1: they are in the file" cmp -n 1M "$DIR/disk" /dev/zero -i 4M:0
	check "$1: a write" dd if=/dev/urandom of="$2" bs=1M seek=6 count=1 oflag=direct
	check "$1: it is in the file" cmp -n 1M -i 6M "$DIR/disk" "$2"
}

group_loop()
{
	local loop

	head -c 8M /dev/urandom > "$DIR/disk"
	loop=$(losetup -f --show "$DIR/disk")
	hold loop "$DIR/disk"
	through_disk loop "$loop"
	let_go loop
	losetup -d "$loop"
	rm "$DIR/disk"
}

nvmet_begin()
{
	local target=/sys/kernel/config/nvmet
	modprobe nvme-loop || return
	mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config || return
	mkdir -p $target/subsystems/dax/namespaces/1 $target/ports/1 &&
		echo 1 > $target/subsystems/dax/attr_allow_any_host &&
		echo "$DIR/disk" > $target/subsystems/dax/namespaces/1/device_path &&
		echo 1 > $target/subsystems/dax/namespaces/1/enable &&
		echo loop > $target/ports/1/addr_trtype &&
		ln -s $target/subsystems/dax $target/ports/1/subsystems/dax &&
		echo 'transport=loop,nqn=dax' > /dev/nvme-fabrics &&
		within 20 nvmet_disk_is_there
}

nvmet_disk_is_there()
{
	local name
	name=$(grep -lx dax /sys/class/nvme/*/subsysnqn) || return
	name=$(ls -d "${name%/subsysnqn}"/nvme*n1) && disk=/dev/${name##*/} &&
		disk=${disk/c[0-9]*n1/n1} && [ -b "$disk" ]
}

nvmet_end()
{
	local target=/sys/kernel/config/nvmet controller
	controller=$(grep -lx dax /sys/class/nvme/*/subsysnqn) &&
		echo 1 > "${controller%/subsysnqn}/delete_controller" &&
		rm $target/ports/1/subsystems/dax &&
		rmdir $target/ports/1 $target/subsystems/dax/namespaces/1 $target/subsystems/dax
}

group_nvmet()
{
	local disk=''

	head -c 8M /dev/urandom > "$DIR/disk"
	check "nvmet: the target" nvmet_begin
	hold nvmet "$DIR/disk"
	through_disk nvmet "$disk"
	let_go nvmet
	check "nvmet: the end" nvmet_end
	rm "$DIR/disk"
}

# A file below is copied when it is written to; a file above is the one that is used.
group_overlay()
{
	local o=$WORK/overlay

	mkdir -p "$DIR"/{lower,upper,work} "$o"
	head -c 1M /dev/urandom > "$DIR/lower/below"
	cp "$DIR/lower/below" "$WORK/below"
	head -c 1M /dev/urandom > "$DIR/upper/above"
	check "overlay: is mounted" mount -t overlay overlay \
		-o "lowerdir=$DIR/lower,upperdir=$DIR/upper,workdir=$DIR/work" "$o"
	hold overlay "$DIR/lower/below"
	check "overlay: a file below is written to" sh -c "echo new >> '$o/below'"
	check "overlay: and is copied before" cmp -n 1M "$o/below" "$WORK/below"
	check "overlay: the file itself stays" cmp "$DIR/lower/below" "$WORK/below"
	same "overlay: with its pages" 0 "$(taken)"
	let_go overlay
	hold overlay "$o/above"
	check "overlay: a file above is truncated" truncate -s 512K "$o/above"
	same "overlay: its pages are taken" 128 "$(taken)"
	check "overlay: and deleted" rm "$o/above"
	let_go overlay
	umount "$o"
	rm -r "$DIR"/{lower,upper,work}
}

group_notify()
{
	local how

	for how in inotifywait fsnotifywait; do
		head -c 1M /dev/urandom > "$DIR/watched"
		hold $how "$DIR/watched"
		$how -m --format '%e' "$DIR/watched" > "$WORK/seen" 2> "$WORK/err" & watcher=$!
		check "$how: watches" within 20 grep -q 'Watches established' "$WORK/err"
		check "$how: truncate" truncate -s 512K "$DIR/watched"
		check "$how: sees it" within 10 grep -q MODIFY "$WORK/seen"
		same "$how: the pages are taken" 128 "$(taken)"
		check "$how: delete" rm "$DIR/watched"
		let_go $how
		kill "$watcher"
		wait "$watcher" 2> /dev/null
	done
}

# While a device may write, a backup has of a file what it has of any that is in use.
# Here the device does not write.
group_backup()
{
	mkdir "$DIR/source" "$DIR/target"
	head -c 4M /dev/urandom > "$DIR/source/pinned"
	head -c 64K /dev/urandom > "$DIR/source/other"
	hold backup "$DIR/source/pinned"
	check "backup: cp -a" cp -a "$DIR/source" "$DIR/target/cp"
	check "backup: cp has all" diff -r "$DIR/source" "$DIR/target/cp"
	check "backup: rsync" rsync -a "$DIR/source/" "$DIR/target/rsync"
	check "backup: rsync has all" diff -r "$DIR/source" "$DIR/target/rsync"
	check "backup: rsync again" rsync -a --checksum "$DIR/source/" "$DIR/target/rsync"
	if [ "$(findmnt -n -o FSTYPE "$DIR")" = xfs ]; then
		# xfsdump looks there; Debian's installer makes it
		[ -e /etc/mtab ] || ln -s ../proc/self/mounts /etc/mtab
		check "backup: xfsdump" xfsdump -J -l 0 -L session -M media -s source -f "$WORK/dump" "$DIR"
		mkdir "$WORK/restored"
		check "backup: xfsrestore" xfsrestore -J -f "$WORK/dump" "$WORK/restored"
		check "backup: xfsdump had all" diff -r "$DIR/source" "$WORK/restored/source"
	fi
	same "backup: no page is taken" 0 "$(taken)"
	let_go backup
	rm -r "$DIR/source" "$DIR/target"
}

run_groups
