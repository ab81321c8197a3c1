// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on a file, for tests that do the same to several files. Each gives
 * what the system call gave, a negative errno if it failed, and leaves nothing
 * behind but what it did to the file.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib.h"
#include "lib_ioctl.h"
#include "lib_ops.h"

#ifndef MADV_COLD
#define MADV_COLD	20
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

/* As in fs/xfs/libxfs/xfs_fs.h */
struct xfs_time {
	long sec;
	int32_t nsec;
};

struct xfs_file_stat {
	uint64_t ino;
	uint16_t mode, nlink;
	uint32_t uid, gid, rdev;
	int32_t blksize;
	int64_t size;
	struct xfs_time atime, mtime, ctime;
	int64_t blocks;
	uint32_t xflags;
	int32_t extsize, extents;
	uint32_t gen;
	uint16_t project_low, forkoff, project_high, sick, checked;
	uint8_t pad[2];
	uint32_t cowextsize, dmevmask;
	uint16_t dmstate, aextents;
};

struct xfs_stat_request {
	uint64_t *ino;
	int32_t count;
	void *buffer;
	int32_t *filled;
};

struct xfs_swap_extents {
	int64_t version, target, tmp;
	int64_t offset, length;
	char pad[16];
	struct xfs_file_stat stat;
};

#define XFS_IOC_FSBULKSTAT_SINGLE	_IOWR('X', 102, struct xfs_stat_request)
#define XFS_IOC_SWAPEXT			_IOWR('X', 109, struct xfs_swap_extents)

#define OTHER	"other"

static long result(long ret)
{
	return ret < 0 ? -errno : ret;
}

uint64_t side_size(const struct side *side)
{
	struct stat st;

	if (fstat(side->fd, &st))
		die("cannot learn the size of the file");
	return st.st_size;
}

void side_unmap(struct side *side)
{
	if (side->map)
		munmap(side->map, side->map_len);
	side->map = NULL;
}

/* The file once more: by its descriptor, as it may have no name */
static int open_again(struct side *side, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", side->fd);
	return open(path, flags);
}

/* Another file of the same file system */
static int other_create(struct side *side, size_t size)
{
	int fd = openat(side->dir, OTHER, O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd < 0)
		die("cannot create another file");
	file_fill(fd, 0, (size + 7) / 8 * 8, PROCESS);
	if (ftruncate(fd, size))
		die("cannot truncate another file");
	return fd;
}

static long other_delete(struct side *side, int fd, long ret)
{
	close(fd);
	if (unlinkat(side->dir, OTHER, 0))
		die("cannot unlink another file");
	return ret;
}

/* As other_create(), with what the file has, for comparing and deduplication */
static int other_copy(struct side *side, uint64_t pos, size_t len)
{
	int fd = openat(side->dir, OTHER, O_RDWR | O_CREAT | O_TRUNC, 0600);
	char buf[PAGE];
	ssize_t n;

	if (fd < 0)
		die("cannot create another file");
	while (len) {
		n = pread(side->fd, buf, len < PAGE ? len : PAGE, pos);
		if (n <= 0)
			break;
		if (write(fd, buf, n) != n)
			die("cannot write another file");
		pos += n;
		len -= n;
	}
	return fd;
}

/* Sizes */

static long run_truncate(const struct op_type *type, struct side *side,
			 uint64_t a, uint64_t b)
{
	return result(ftruncate(side->fd, a));
}

static long run_truncate_same(const struct op_type *type, struct side *side,
			      uint64_t a, uint64_t b)
{
	return result(ftruncate(side->fd, side_size(side)));
}

static long run_truncate_twice(const struct op_type *type, struct side *side,
			       uint64_t a, uint64_t b)
{
	return result(ftruncate(side->fd, a) ?: ftruncate(side->fd, b));
}

static long run_open_truncate(const struct op_type *type, struct side *side,
			      uint64_t a, uint64_t b)
{
	int fd = open_again(side, O_WRONLY | O_TRUNC);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static long run_truncate_read_only(const struct op_type *type,
				   struct side *side, uint64_t a, uint64_t b)
{
	int fd = open_again(side, O_RDONLY);
	long ret = result(ftruncate(fd, a));

	close(fd);
	return ret;
}

/* Blocks */

static long run_fallocate(const struct op_type *type, struct side *side,
			  uint64_t a, uint64_t b)
{
	return result(fallocate(side->fd, type->mode, a, b));
}

static long run_fallocate_read_only(const struct op_type *type,
				    struct side *side, uint64_t a, uint64_t b)
{
	int fd = open_again(side, O_RDONLY);
	long ret = result(fallocate(fd, type->mode, a, b));

	close(fd);
	return ret;
}

/* A request for more blocks than there are; some file systems keep a part */
static long run_fallocate_too_much(const struct op_type *type,
				   struct side *side, uint64_t a, uint64_t b)
{
	uint64_t size = side_size(side);
	long ret = result(fallocate(side->fd, FALLOC_FL_KEEP_SIZE, size,
				    1UL << 42));

	if (ftruncate(side->fd, size))
		die("cannot truncate what was allocated in vain");
	return ret;
}

static long run_swap_extents(const struct op_type *type, struct side *side,
			     uint64_t a, uint64_t b)
{
	struct xfs_swap_extents swap = {};
	struct xfs_stat_request request;
	int32_t filled;
	uint64_t ino;
	struct stat st;
	long ret;
	int fd;

	fd = other_create(side, side_size(side));
	if (fstat(side->fd, &st))
		die("cannot stat");
	ino = st.st_ino;
	request = (struct xfs_stat_request) {
		.ino = &ino,
		.count = 1,
		.buffer = &swap.stat,
		.filled = &filled,
	};
	ret = result(ioctl(side->fd, XFS_IOC_FSBULKSTAT_SINGLE, &request));
	if (!ret) {
		swap.target = side->fd;
		swap.tmp = fd;
		swap.length = st.st_size;
		ret = result(ioctl(side->fd, XFS_IOC_SWAPEXT, &swap));
	}
	return other_delete(side, fd, ret);
}

/* To the end of both files, whatever their sizes, if @mode says so */
static long run_exchange_range(const struct op_type *type, struct side *side,
			       uint64_t a, uint64_t b)
{
	int fd = other_create(side, a + b);
	struct xfs_exchange_range exchange = {
		.file1_fd = fd,
		.file1_offset = a,
		.file2_offset = a,
		.length = b,
		.flags = type->mode,
	};

	return other_delete(side, fd, result(ioctl(side->fd,
						   XFS_IOC_EXCHANGE_RANGE,
						   &exchange)));
}

/* Blocks of another file come in, or go there; @mode tells */
static long run_move_extents(const struct op_type *type, struct side *side,
			     uint64_t a, uint64_t b)
{
	int fd = other_create(side, a + b);
	struct move_extent move = {
		.donor_fd = type->mode ? side->fd : fd,
		.orig_start = a / PAGE,
		.donor_start = a / PAGE,
		.len = b / PAGE,
	};

	return other_delete(side, fd, result(ioctl(type->mode ? fd : side->fd,
						   EXT4_IOC_MOVE_EXT, &move)));
}

static long run_swap_boot(const struct op_type *type, struct side *side,
			  uint64_t a, uint64_t b)
{
	long ret = result(ioctl(side->fd, EXT4_IOC_SWAP_BOOT));

	if (!ret)
		side->swapped = !side->swapped;
	return ret;
}

/* Data */

static long write_all(int fd, uint64_t pos, size_t len)
{
	void *buf;
	long ret;

	if (posix_memalign(&buf, PAGE, (len + PAGE) / PAGE * PAGE))
		die("no memory");
	fill(buf, (len + 7) / 8 * 8, PROCESS, pos / 8 * 8);
	ret = result(pwrite(fd, buf, len, pos));
	free(buf);
	return ret;
}

static long run_write(const struct op_type *type, struct side *side, uint64_t a,
		      uint64_t b)
{
	return write_all(side->fd, a, b);
}

/* In whole blocks, as O_DIRECT wants them; DAX would take less */
static long run_write_direct(const struct op_type *type, struct side *side,
			     uint64_t a, uint64_t b)
{
	uint64_t begin = a / PAGE * PAGE, end = (a + b + PAGE - 1) / PAGE * PAGE;
	int fd = open_again(side, O_RDWR | O_DIRECT);
	long ret;

	if (fd < 0)
		return -errno;
	ret = write_all(fd, begin, end - begin);
	close(fd);
	return ret;
}

static long run_append(const struct op_type *type, struct side *side,
		       uint64_t a, uint64_t b)
{
	return write_all(side->fd, side_size(side), a % (2 * PAGE) + 1);
}

/*
 * Map the pages of a range that the file has, and say where in the mapping the
 * range begins. NULL if there are none.
 */
static char *map_range(struct side *side, uint64_t *pos, uint64_t *len,
		       size_t *map_len)
{
	uint64_t size = side_size(side), begin = *pos / PAGE * PAGE;

	if (*pos >= size || !*len)
		return NULL;
	if (*len > size - *pos)
		*len = size - *pos;
	*map_len = *pos + *len - begin;
	*pos -= begin;
	return file_map(side->fd, begin, *map_len);
}

static long run_store(const struct op_type *type, struct side *side, uint64_t a,
		      uint64_t b)
{
	uint64_t pos = a, len = b, i;
	size_t map_len;
	char *map = map_range(side, &pos, &len, &map_len);
	long ret;

	if (!map)
		return -ENXIO;
	for (i = 0; i < len; i++)
		map[pos + i] = 0x50 + (a + i) % 7;
	ret = result(msync(map, map_len, MS_SYNC));
	munmap(map, map_len);
	return ret;
}

static long run_madvise(const struct op_type *type, struct side *side,
			uint64_t a, uint64_t b)
{
	uint64_t pos = a, len = b;
	size_t map_len;
	char *map = map_range(side, &pos, &len, &map_len);
	long ret;

	if (!map)
		return -ENXIO;
	madvise(map, map_len, MADV_POPULATE_READ);
	ret = result(madvise(map, map_len, type->mode));
	munmap(map, map_len);
	return ret;
}

static long run_fadvise(const struct op_type *type, struct side *side,
			uint64_t a, uint64_t b)
{
	return -posix_fadvise(side->fd, a, b, type->mode);
}

static long run_read(const struct op_type *type, struct side *side, uint64_t a,
		     uint64_t b)
{
	char *buf = malloc(b + 1);
	long ret = result(pread(side->fd, buf, b, a));

	free(buf);
	return ret;
}

static long run_fsync(const struct op_type *type, struct side *side, uint64_t a,
		      uint64_t b)
{
	return result(fsync(side->fd));
}

static long run_syncfs(const struct op_type *type, struct side *side,
		       uint64_t a, uint64_t b)
{
	return result(syncfs(side->dir));
}

static long run_sync_range(const struct op_type *type, struct side *side,
			   uint64_t a, uint64_t b)
{
	return result(sync_file_range(side->fd, a, b,
				      SYNC_FILE_RANGE_WAIT_BEFORE |
				      SYNC_FILE_RANGE_WRITE |
				      SYNC_FILE_RANGE_WAIT_AFTER));
}

/* Copies: @mode is 1 if the file is what is copied from */

static long run_copy(const struct op_type *type, struct side *side, uint64_t a,
		     uint64_t b)
{
	int fd = other_create(side, type->mode ? 0 : b);
	loff_t here = a, there = 0;
	long ret, done = 0;

	do {
		ret = type->mode ?
			copy_file_range(side->fd, &here, fd, &there, b - done,
					0) :
			copy_file_range(fd, &there, side->fd, &here, b - done,
					0);
		ret = result(ret);
		if (ret > 0)
			done += ret;
	} while (ret > 0 && done < (long)b);
	return other_delete(side, fd, ret < 0 ? ret : done);
}

static long run_clone(const struct op_type *type, struct side *side,
		      uint64_t a, uint64_t b)
{
	int fd = other_create(side, side_size(side));
	long ret = result(type->mode ? ioctl(fd, FICLONE, side->fd) :
				       ioctl(side->fd, FICLONE, fd));

	return other_delete(side, fd, ret);
}

static long run_clone_range(const struct op_type *type, struct side *side,
			    uint64_t a, uint64_t b)
{
	int fd = other_create(side, a + b);
	struct file_clone_range range = {
		.src_fd = type->mode ? side->fd : fd,
		.src_offset = a,
		.src_length = b,
		.dest_offset = a,
	};
	long ret = result(ioctl(type->mode ? fd : side->fd, FICLONERANGE,
				&range));

	return other_delete(side, fd, ret);
}

static long run_dedupe(const struct op_type *type, struct side *side,
		       uint64_t a, uint64_t b)
{
	union {
		struct file_dedupe_range range;
		char space[sizeof(struct file_dedupe_range) +
			   sizeof(struct file_dedupe_range_info)];
	} u = {};
	int fd = other_copy(side, a, b);
	long ret;

	u.range.src_offset = type->mode ? a : 0;
	u.range.src_length = b;
	u.range.dest_count = 1;
	u.range.info[0].dest_fd = type->mode ? fd : side->fd;
	u.range.info[0].dest_offset = type->mode ? 0 : a;
	ret = result(ioctl(type->mode ? side->fd : fd, FIDEDUPERANGE,
			   &u.range));
	if (!ret)
		ret = u.range.info[0].status < 0 ? u.range.info[0].status :
			(long)u.range.info[0].bytes_deduped;
	return other_delete(side, fd, ret);
}

/* The inode and its names */

static long run_chmod(const struct op_type *type, struct side *side, uint64_t a,
		      uint64_t b)
{
	return result(fchmod(side->fd, 0444) ?: fchmod(side->fd, 0600));
}

static long run_chown(const struct op_type *type, struct side *side, uint64_t a,
		      uint64_t b)
{
	return result(fchown(side->fd, 1, 1) ?: fchown(side->fd, 0, 0));
}

static long run_utimes(const struct op_type *type, struct side *side,
		       uint64_t a, uint64_t b)
{
	return result(futimens(side->fd, NULL));
}

static long run_setxattr(const struct op_type *type, struct side *side,
			 uint64_t a, uint64_t b)
{
	return result(fsetxattr(side->fd, "user.dax_retarget", "x", 1, 0));
}

/* Flags that do not concern DAX */
static long run_setflags(const struct op_type *type, struct side *side,
			 uint64_t a, uint64_t b)
{
	unsigned long flags = 0, other;
	long ret;

	ret = result(ioctl(side->fd, FS_IOC_GETFLAGS, &flags));
	if (ret)
		return ret;
	other = flags ^ FS_NODUMP_FL ^ FS_NOATIME_FL;
	return result(ioctl(side->fd, FS_IOC_SETFLAGS, &other) ?:
		      ioctl(side->fd, FS_IOC_SETFLAGS, &flags));
}

static long run_link(const struct op_type *type, struct side *side, uint64_t a,
		     uint64_t b)
{
	int dir = side->dir;

	return result(linkat(dir, SIDE_FILE, dir, OTHER, 0) ?:
		      unlinkat(dir, SIDE_FILE, 0) ?:
		      renameat(dir, OTHER, dir, SIDE_FILE));
}

static long run_rename(const struct op_type *type, struct side *side,
		       uint64_t a, uint64_t b)
{
	int dir = side->dir;

	return result(renameat(dir, SIDE_FILE, dir, OTHER) ?:
		      renameat(dir, OTHER, dir, SIDE_FILE));
}

/* Still open */
static long run_unlink_open(const struct op_type *type, struct side *side,
			    uint64_t a, uint64_t b)
{
	return result(unlinkat(side->dir, SIDE_FILE, 0));
}

static void close_for_good(struct side *side)
{
	side_unmap(side);
	close(side->fd);
	side->fd = -1;
}

static long run_unlink(const struct op_type *type, struct side *side,
		       uint64_t a, uint64_t b)
{
	long ret = result(unlinkat(side->dir, SIDE_FILE, 0));

	close_for_good(side);
	return ret;
}

static long run_rename_over(const struct op_type *type, struct side *side,
			    uint64_t a, uint64_t b)
{
	int fd = other_create(side, PAGE);

	close(fd);
	close_for_good(side);
	return result(renameat(side->dir, OTHER, side->dir, SIDE_FILE));
}

/* The whole machine, the whole file system */

static long drop_caches(char what)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
	long ret = result(write(fd, &what, 1));

	close(fd);
	return ret;
}

static long run_drop_caches(const struct op_type *type, struct side *side,
			    uint64_t a, uint64_t b)
{
	return drop_caches('0' + type->mode);
}

/* No process has the file open, so the kernel may evict its inode */
static long run_drop_caches_closed(const struct op_type *type,
				   struct side *side, uint64_t a, uint64_t b)
{
	long ret;

	if (syncfs(side->dir))
		die("cannot sync");
	close_for_good(side);
	ret = drop_caches('3');
	side->fd = openat(side->dir, SIDE_FILE, O_RDWR);
	if (side->fd < 0)
		die("cannot open the file again");
	return ret;
}

static long run_freeze(const struct op_type *type, struct side *side,
		       uint64_t a, uint64_t b)
{
	return result(ioctl(side->dir, FIFREEZE, 0) ?:
		      ioctl(side->dir, FITHAW, 0));
}

static long run_trim(const struct op_type *type, struct side *side, uint64_t a,
		     uint64_t b)
{
	struct fstrim_range range = { .len = UINT64_MAX };

	return result(ioctl(side->dir, FITRIM, &range));
}

#define KEEP_SIZE	FALLOC_FL_KEEP_SIZE

const struct op_type op_types[] = {
	/* Sizes */
	{ "truncate", run_truncate, OP_SIZE, .flags = OP_FREES, .weight = 8 },
	{ "truncate_same", run_truncate_same, .weight = 2 },
	{ "truncate_twice", run_truncate_twice, OP_SIZES, .flags = OP_FREES,
	  .weight = 4 },
	{ "open_truncate", run_open_truncate, .flags = OP_FREES, .weight = 1 },
	{ "truncate_read_only", run_truncate_read_only, OP_SIZE, .weight = 1 },
	/* Blocks */
	{ "punch", run_fallocate, OP_RANGE, PUNCH_HOLE, OP_FREES,
	  .weight = 12 },
	{ "punch_read_only", run_fallocate_read_only, OP_RANGE, PUNCH_HOLE,
	  .weight = 1 },
	{ "collapse", run_fallocate, OP_RANGE, FALLOC_FL_COLLAPSE_RANGE,
	  OP_FREES, .weight = 6 },
	{ "insert", run_fallocate, OP_RANGE, FALLOC_FL_INSERT_RANGE,
	  OP_FREES, .weight = 5 },
	{ "zero", run_fallocate, OP_RANGE, FALLOC_FL_ZERO_RANGE, OP_FREES,
	  .weight = 6 },
	{ "zero_keep_size", run_fallocate, OP_RANGE,
	  FALLOC_FL_ZERO_RANGE | KEEP_SIZE, OP_FREES, .weight = 4 },
	{ "allocate", run_fallocate, OP_RANGE, 0, .weight = 6 },
	{ "allocate_keep_size", run_fallocate, OP_RANGE, KEEP_SIZE,
	  .weight = 3 },
	{ "allocate_too_much", run_fallocate_too_much, .weight = 1 },
	{ "unshare", run_fallocate, OP_RANGE, FALLOC_FL_UNSHARE_RANGE,
	  .weight = 2 },
	{ "swap_extents", run_swap_extents, .flags = OP_FREES, .weight = 2 },
	{ "exchange_range", run_exchange_range, OP_RANGE, .flags = OP_FREES,
	  .weight = 2 },
	{ "exchange_to_eof", run_exchange_range, OP_RANGE,
	  XFS_EXCHANGE_RANGE_TO_EOF, OP_FREES, .weight = 2 },
	{ "move_extents", run_move_extents, OP_RANGE, 0,
	  .refused = EOPNOTSUPP, .weight = 1 },
	{ "donate_extents", run_move_extents, OP_RANGE, 1,
	  .refused = EOPNOTSUPP, .weight = 1 },
	{ "swap_boot", run_swap_boot, .flags = OP_FREES, .weight = 1 },
	/* Data */
	{ "write", run_write, OP_RANGE, .weight = 10 },
	{ "write_direct", run_write_direct, OP_RANGE, .weight = 5 },
	{ "append", run_append, OP_SIZE, .weight = 4 },
	{ "store", run_store, OP_RANGE, .weight = 6 },
	{ "read", run_read, OP_RANGE, .weight = 2 },
	{ "fsync", run_fsync, .weight = 3 },
	{ "syncfs", run_syncfs, .weight = 1 },
	{ "sync_range", run_sync_range, OP_RANGE, .weight = 1 },
	{ "fadvise_dontneed", run_fadvise, OP_RANGE, POSIX_FADV_DONTNEED,
	  .weight = 2 },
	{ "madvise_dontneed", run_madvise, OP_RANGE, MADV_DONTNEED,
	  .weight = 2 },
	{ "madvise_cold", run_madvise, OP_RANGE, MADV_COLD, .weight = 1 },
	{ "madvise_pageout", run_madvise, OP_RANGE, MADV_PAGEOUT, .weight = 2 },
	{ "madvise_remove", run_madvise, OP_RANGE, MADV_REMOVE, OP_FREES,
	  .weight = 4 },
	{ "copy_in", run_copy, OP_RANGE, 0, .weight = 2 },
	{ "copy_out", run_copy, OP_RANGE, 1, .weight = 2 },
	{ "clone_in", run_clone, OP_NOTHING, 0, .refused = ETXTBSY,
	  .weight = 1 },
	{ "clone_out", run_clone, OP_NOTHING, 1, .refused = ETXTBSY,
	  .weight = 1 },
	{ "clone_range_in", run_clone_range, OP_RANGE, 0, .refused = ETXTBSY,
	  .weight = 1 },
	{ "clone_range_out", run_clone_range, OP_RANGE, 1, .refused = ETXTBSY,
	  .weight = 1 },
	{ "dedupe_in", run_dedupe, OP_RANGE, 0, .refused = ETXTBSY,
	  .weight = 1 },
	{ "dedupe_out", run_dedupe, OP_RANGE, 1, .refused = ETXTBSY,
	  .weight = 1 },
	/* The inode and its names */
	{ "chmod", run_chmod, .weight = 1 },
	{ "chown", run_chown, .weight = 1 },
	{ "utimes", run_utimes, .weight = 1 },
	{ "setxattr", run_setxattr, .weight = 1 },
	{ "setflags", run_setflags, .weight = 1 },
	{ "link", run_link, .weight = 1 },
	{ "rename", run_rename, .weight = 1 },
	{ "unlink_open", run_unlink_open, .weight = 1 },
	{ "unlink", run_unlink, .flags = OP_FREES | OP_LAST, .weight = 1 },
	{ "rename_over", run_rename_over, .flags = OP_FREES | OP_LAST,
	  .weight = 1 },
	/* The machine, the file system */
	{ "drop_caches_1", run_drop_caches, OP_NOTHING, 1, OP_SLOW },
	{ "drop_caches_2", run_drop_caches, OP_NOTHING, 2, OP_SLOW },
	{ "drop_caches_3", run_drop_caches, OP_NOTHING, 3, OP_SLOW },
	{ "drop_caches_closed", run_drop_caches_closed, .flags = OP_SLOW },
	{ "freeze", run_freeze, .flags = OP_SLOW },
	{ "trim", run_trim, .flags = OP_SLOW },
};

const unsigned int nr_op_types = ARRAY_SIZE(op_types);

const struct op_type *op_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < nr_op_types; i++)
		if (!strcmp(op_types[i].name, name))
			return &op_types[i];
	return NULL;
}

/* Does the file system know an operation? Of fallocate() this can be asked */
bool op_possible(const struct op_type *type)
{
	return type->run != run_fallocate || folder_can(type->mode);
}

long op_run(const struct op *op, struct side *side)
{
	return op->type->run(op->type, side, op->a, op->b);
}

/**
 * op_apply - do to a file what needs no more than its descriptor
 * @name: of the operation: one on size, blocks or data
 * @fd: the file
 * @a: first argument of the operation
 * @b: second argument
 *
 * Return: what the system call gave, or a negative errno
 */
long op_apply(const char *name, int fd, uint64_t a, uint64_t b)
{
	struct op op = { .type = op_find(name), .a = a, .b = b };
	struct side side = { .name = name, .dir = -1, .fd = fd };

	if (!op.type)
		die("no operation is called %s", name);
	return op_run(&op, &side);
}

/* As --replay takes it; returns the length */
int op_print(const struct op *op, char *buf, size_t len)
{
	switch (op->type->arguments) {
	case OP_NOTHING:
		return snprintf(buf, len, "%s", op->type->name);
	case OP_SIZE:
		return snprintf(buf, len, "%s:%lu", op->type->name, op->a);
	default:
		return snprintf(buf, len, "%s:%lu:%lu", op->type->name, op->a,
				op->b);
	}
}

const char *op_result(long ret)
{
	static char text[4][64];
	static unsigned int n;

	n = (n + 1) % 4;
	if (ret < 0)
		snprintf(text[n], sizeof(text[n]), "%s", strerrorname_np(-ret));
	else
		snprintf(text[n], sizeof(text[n]), "%ld", ret);
	return text[n];
}
