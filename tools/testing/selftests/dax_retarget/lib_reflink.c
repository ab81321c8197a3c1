// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reflinks for the tests of DAX retarget: make two files share blocks, give
 * each its own again, and look whether a block moved, or a device writes to the
 * clone.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib_reflink.h"

int clone_errno(int to, int from)
{
	return ioctl(to, FICLONE, from) ? errno : 0;
}

/* XFS forgets that a file had shared blocks only while it has no dirty page */
int unshare_errno(int fd, size_t len)
{
	if (syncfs(fd))
		return errno;
	return fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, len) ? errno : 0;
}

/* NULL, or why no files can share blocks */
const char *reflink_missing(void)
{
	int from = file_create("from", PAGE, FILLED);
	int to = file_create("to", 0, ZERO);
	bool can = !clone_errno(to, from);

	close(from);
	close(to);
	file_unlink("from");
	file_unlink("to");
	return can ? NULL : "the file system has no reflink";
}

/* A copy of one block may take @size bytes along */
int hint_cow_size(int fd, size_t size)
{
	struct fsxattr attr;

	if (ioctl(fd, FS_IOC_FSGETXATTR, &attr))
		return -1;
	attr.fsx_xflags |= FS_XFLAG_COWEXTSIZE;
	attr.fsx_cowextsize = size;
	return ioctl(fd, FS_IOC_FSSETXATTR, &attr);
}

/* How much of a file is no longer in the blocks it had? Says so */
uint64_t bytes_moved(int fd, uint64_t pos, size_t len,
		     const struct extents *before)
{
	struct extents now;
	uint64_t moved;

	file_extents(fd, pos, len, &now);
	moved = extents_size(before) - extents_shared(before, &now);
	if (moved)
		printf("# BLOCKS MOVED: %lu bytes are elsewhere\n", moved);
	return moved;
}

/* Does the device write to @fd through a region of another file? Says so */
bool device_writes_clone(struct bench *bench, struct ibv_mr *mr, int fd,
			 size_t len)
{
	uint64_t word, pos;

	if (conn_write_pages(bench->conn, mr, 0, mr->length / PAGE, DEVICE))
		die("the device cannot write");
	for (pos = 0; pos < len; pos += PAGE) {
		if (pread(fd, &word, sizeof(word), pos) != sizeof(word))
			die("cannot read at %lu", pos);
		if (!written_by(&word, DEVICE))
			continue;
		printf("# CLONE DAMAGED in page %lu: %s\n", pos / PAGE,
		       describe(&word));
		return true;
	}
	return false;
}
