/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Blocks that two files share, and whether a device reaches one through the
 * other.
 */
#ifndef _DAX_RETARGET_LIB_REFLINK_H
#define _DAX_RETARGET_LIB_REFLINK_H

#include "lib.h"

int clone_errno(int to, int from);
int unshare_errno(int fd, size_t len);
const char *reflink_missing(void);
int hint_cow_size(int fd, size_t size);
uint64_t bytes_moved(int fd, uint64_t pos, size_t len,
		     const struct extents *before);
bool device_writes_clone(struct bench *bench, struct ibv_mr *mr, int fd,
			 size_t len);

#endif
