/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests of file systems that several tests make by ioctl(). The kernel
 * exports no header for them; the names are those of the kernel.
 */
#ifndef _DAX_RETARGET_LIB_IOCTL_H
#define _DAX_RETARGET_LIB_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* fs/ext4/ext4.h */

struct move_extent {
	__u32 reserved;
	__u32 donor_fd;
	__u64 orig_start;
	__u64 donor_start;
	__u64 len;
	__u64 moved_len;
};

#define EXT4_IOC_MOVE_EXT	_IOWR('f', 15, struct move_extent)
#define EXT4_IOC_SWAP_BOOT	_IO('f', 17)

/* fs/xfs/libxfs/xfs_fs.h */

struct xfs_exchange_range {
	__s32 file1_fd;
	__u32 pad;
	__u64 file1_offset;
	__u64 file2_offset;
	__u64 length;
	__u64 flags;
};

#define XFS_IOC_EXCHANGE_RANGE	_IOW('X', 129, struct xfs_exchange_range)
#define XFS_EXCHANGE_RANGE_TO_EOF	(1ULL << 0)

#endif
