// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pinned file shares no block with another: reflink and dedupe from it and to
 * it are refused as for a swap file, a copy that may be a reflink becomes a real
 * one, and a file that shares blocks already cannot be pinned. So no pinned
 * block is ever copied on write.
 *
 * What exchanges whole extents of files takes the pages of a pinned one back, or
 * is refused where the file would get shared blocks. Nor does a pinned file
 * become a swap file.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib_harness.h"

#define PAGES	16UL
#define LEN	(PAGES * PAGE)

/* As in fs/xfs/libxfs/xfs_fs.h */
struct exchange_range {
	int32_t file1_fd;
	uint32_t pad;
	uint64_t file1_offset;
	uint64_t file2_offset;
	uint64_t length;
	uint64_t flags;
};

#define EXCHANGE_RANGE	_IOW('X', 129, struct exchange_range)

FIXTURE(reflink)
{
	struct bench bench;
	struct region region;
	int other;
};

static int clone_errno(int to, int from)
{
	return ioctl(to, FICLONE, from) ? errno : 0;
}

static int clone_range_errno(int to, int from, uint64_t pos, uint64_t len)
{
	struct file_clone_range range = {
		.src_fd = from,
		.src_offset = pos,
		.src_length = len,
		.dest_offset = pos,
	};

	return ioctl(to, FICLONERANGE, &range) ? errno : 0;
}

/* The ioctl reports for each file by itself: errno, or 0 also if they differ */
static int dedupe(int from, const int *to, int *result, unsigned int nr)
{
	union {
		struct file_dedupe_range range;
		char space[sizeof(struct file_dedupe_range) +
			   2 * sizeof(struct file_dedupe_range_info)];
	} u = {
		.range = {
			.src_length = LEN,
			.dest_count = nr,
		},
	};
	unsigned int i;

	for (i = 0; i < nr; i++)
		u.range.info[i].dest_fd = to[i];
	if (ioctl(from, FIDEDUPERANGE, &u.range))
		return errno;
	for (i = 0; i < nr; i++)
		result[i] = u.range.info[i].status < 0 ?
			    -u.range.info[i].status : 0;
	return 0;
}

static int dedupe_errno(int to, int from)
{
	int result = 0;

	return dedupe(from, &to, &result, 1) ?: result;
}

/* XFS forgets that a file had shared blocks only while it has no dirty page */
static int unshare_errno(int fd)
{
	if (syncfs(fd))
		return errno;
	return fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, LEN) ? errno : 0;
}

static uint64_t bytes_in_both(int a, int b)
{
	struct extents here, there;

	file_extents(a, 0, LEN, &here);
	file_extents(b, 0, LEN, &there);
	return extents_shared(&here, &there);
}

static bool can_reflink(void)
{
	int from = file_create("from", PAGE, FILLED);
	int to = file_create("to", 0, ZERO);
	bool can = !clone_errno(to, from);

	close(from);
	close(to);
	file_unlink("from");
	file_unlink("to");
	return can;
}

FIXTURE_SETUP(reflink)
{
	const char *missing = bench_open(&self->bench);

	if (missing)
		SKIP(return, "%s", missing);
	if (!can_reflink())
		SKIP(return, "the file system has no reflink");
	region_open(&self->bench, &self->region, "file", PAGES);
	self->other = file_create("other", LEN, FILLED);
}

FIXTURE_TEARDOWN(reflink)
{
	close(self->other);
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

/* Does the device, writing to one file, write to @fd? Says so */
static bool device_writes_clone(struct bench *bench, struct ibv_mr *mr, int fd)
{
	uint64_t word;
	unsigned long i;

	if (conn_write_pages(bench->conn, mr, 0, mr->length / PAGE, DEVICE))
		die("the device cannot write");
	for (i = 0; i < PAGES; i++) {
		if (pread(fd, &word, sizeof(word), i * PAGE) != sizeof(word))
			die("cannot read page %lu", i);
		if (!written_by(&word, DEVICE))
			continue;
		printf("# CLONE DAMAGED in page %lu: %s\n", i, describe(&word));
		return true;
	}
	return false;
}

TEST_F(reflink, refused_while_pinned)
{
	int file = self->region.fd, other = self->other;

	EXPECT_EQ(ETXTBSY, clone_errno(other, file));
	EXPECT_EQ(ETXTBSY, clone_range_errno(other, file, PAGE, PAGE));
	EXPECT_EQ(ETXTBSY, clone_range_errno(other, file, 0, 0));
	EXPECT_EQ(ETXTBSY, dedupe_errno(other, file));
	EXPECT_FALSE(device_writes_clone(&self->bench, self->region.mr, other));

	EXPECT_EQ(ETXTBSY, clone_errno(file, other));
	EXPECT_EQ(ETXTBSY, clone_range_errno(file, other, PAGE, PAGE));
	EXPECT_EQ(ETXTBSY, dedupe_errno(file, other));
	/* Nor does it share blocks with itself */
	EXPECT_EQ(ETXTBSY, ({
		struct file_clone_range range = {
			.src_fd = file,
			.src_length = PAGE,
			.dest_offset = LEN,
		};
		ioctl(file, FICLONERANGE, &range) ? errno : 0;
	}));
	EXPECT_EQ(0, bytes_in_both(file, other));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, self->region.mr, 0,
					    file, 0, PAGES));
}

/* It is the file that counts, and it is the pin, not the file */
TEST_F(reflink, refused_for_pin_of_one_page)
{
	struct region *region = &self->region;

	region_deregister(region);
	region->mr = nic_register(self->bench.nic, region->map, PAGE);
	ASSERT_NE(NULL, region->mr);
	EXPECT_EQ(ETXTBSY, clone_errno(self->other, region->fd));
	EXPECT_EQ(ETXTBSY, clone_range_errno(self->other, region->fd, PAGE,
					     PAGE));

	region_deregister(region);
	region->mr = nic_register_read_only(self->bench.nic, region->map, PAGE);
	ASSERT_NE(NULL, region->mr);
	EXPECT_EQ(ETXTBSY, clone_errno(self->other, region->fd));

	region_deregister(region);
	EXPECT_EQ(0, dedupe_errno(region->fd, self->other));
	EXPECT_EQ(0, clone_errno(self->other, region->fd));
}

TEST_F(reflink, refused_for_two_pinned_files)
{
	struct region second;
	int file = self->region.fd;

	region_open(&self->bench, &second, "second", PAGES);
	EXPECT_EQ(ETXTBSY, clone_errno(second.fd, file));
	EXPECT_EQ(ETXTBSY, clone_errno(file, second.fd));
	EXPECT_EQ(ETXTBSY, dedupe_errno(second.fd, file));
	EXPECT_EQ(ETXTBSY, dedupe_errno(file, second.fd));
	EXPECT_FALSE(device_writes_clone(&self->bench, self->region.mr,
					 second.fd));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, second.mr, 0,
					    second.fd, 0, PAGES));
	region_close(&second);
}

/* Dedupe takes several files at once, and says of each what became of it */
TEST_F(reflink, dedupe_reports_each_file)
{
	int third = file_create("third", LEN, FILLED);
	int to[2] = { self->region.fd, self->other }, result[2] = { 0 };

	ASSERT_EQ(0, dedupe(third, to, result, 2));
	EXPECT_EQ(ETXTBSY, result[0]);
	EXPECT_EQ(0, result[1]);
	EXPECT_EQ(LEN, bytes_in_both(third, self->other));
	EXPECT_EQ(0, bytes_in_both(third, self->region.fd));

	to[0] = third;
	ASSERT_EQ(0, dedupe(self->region.fd, to, result, 2));
	EXPECT_EQ(ETXTBSY, result[0]);
	EXPECT_EQ(ETXTBSY, result[1]);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, self->region.mr, 0,
					    self->region.fd, 0, PAGES));
	close(third);
}

struct registration {
	struct bench *bench;
	struct region *region;
	bool done;
};

static void *register_region(void *arg)
{
	struct registration *r = arg;

	r->region->mr = nic_register(r->bench->nic, r->region->map,
				     r->region->len);
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* 0: cp between two files of the folder says nothing of @says; 7: it does */
static int copy_status(const char *option, const char *from, const char *to,
		       const char *says)
{
	int dir = folder_open();
	char command[256];
	int status;

	snprintf(command, sizeof(command),
		 "cd /proc/self/fd/%d/ && LC_ALL=C cp --reflink=%s %s %s 2>&1 | { ! grep -q '%s' || exit 7; }",
		 dir, option, from, to, says);
	status = system(command);
	close(dir);
	return status < 0 ? 255 : WEXITSTATUS(status);
}

/* A pin counts from when its pages are looked up, though no IOVA leads there */
TEST_F(reflink, refused_while_registering)
{
	struct region *region = &self->region;
	struct registration r = { .bench = &self->bench, .region = region };
	long pinned = self->bench.before.pages_pinned;
	pthread_t thread;
	int dir, copy;

	if (!switches_exist())
		SKIP(return, "no test switches (CONFIG_DAX_RETARGET_TEST)");
	region_deregister(region);
	switch_write("delay_map_ms", 60000);
	ASSERT_EQ(0, pthread_create(&thread, NULL, register_region, &r));
	while (stat_read("pages_pinned") < pinned + (long)PAGES &&
	       !__atomic_load_n(&r.done, __ATOMIC_ACQUIRE))
		sleep_ms(1);

	EXPECT_EQ(ETXTBSY, clone_errno(self->other, region->fd));
	EXPECT_EQ(ETXTBSY, clone_errno(region->fd, self->other));
	EXPECT_EQ(ETXTBSY, dedupe_errno(self->other, region->fd));
	EXPECT_EQ(ETXTBSY, dedupe_errno(region->fd, self->other));
	EXPECT_EQ(7, copy_status("always", "file", "clone", "Text file busy"));
	EXPECT_EQ(0, copy_status("auto", "file", "copy", "cannot"));
	EXPECT_FALSE(__atomic_load_n(&r.done, __ATOMIC_ACQUIRE))
		TH_LOG("the pin was live before all was tried");
	switch_write("delay_map_ms", 0);
	pthread_join(thread, NULL);
	ASSERT_NE(NULL, region->mr);

	dir = folder_open();
	copy = openat(dir, "copy", O_RDWR);
	close(dir);
	ASSERT_LE(0, copy);
	EXPECT_EQ(LEN, (size_t)lseek(copy, 0, SEEK_END));
	EXPECT_EQ(-1, file_find_difference(copy, 0, LEN, FILLED));
	EXPECT_EQ(0, bytes_in_both(copy, region->fd));
	EXPECT_FALSE(device_writes_clone(&self->bench, region->mr, copy));
	EXPECT_FALSE(device_writes_clone(&self->bench, region->mr,
					 self->other));
	close(copy);
}

/* What "cp --reflink=auto" and copy_file_range() do */
TEST_F(reflink, copy_is_a_copy)
{
	loff_t from = 0, to = 0;
	ssize_t n;

	ASSERT_EQ(0, ftruncate(self->other, 0));
	while ((n = copy_file_range(self->region.fd, &from, self->other, &to,
				    LEN - from, 0)) > 0)
		;
	ASSERT_EQ(0, n)
		TH_LOG("%s", strerror(errno));
	EXPECT_EQ(LEN, (size_t)to);
	EXPECT_EQ(-1, file_find_difference(self->other, 0, LEN, FILLED));
	EXPECT_EQ(0, bytes_in_both(self->region.fd, self->other));
}

TEST_F(reflink, shared_file_is_not_pinned)
{
	struct region *region = &self->region;
	void *map = file_map(self->other, 0, LEN);

	region_deregister(region);
	ASSERT_EQ(0, clone_errno(self->other, region->fd));
	EXPECT_EQ(NULL, nic_register(self->bench.nic, map, LEN));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(NULL, nic_register(self->bench.nic, region->map, LEN));
	EXPECT_EQ(EOPNOTSUPP, errno);
	munmap(map, LEN);

	/* With blocks of its own again it is a file as any other */
	ASSERT_EQ(0, unshare_errno(region->fd));
	region->mr = nic_register(self->bench.nic, region->map, LEN);
	ASSERT_NE(NULL, region->mr);
	EXPECT_FALSE(device_writes_clone(&self->bench, region->mr,
					 self->other));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES));
}

/* What copies a block may take so many along */
static int hint_cow_size(int fd)
{
	struct fsxattr attr;

	if (ioctl(fd, FS_IOC_FSGETXATTR, &attr))
		return -1;
	attr.fsx_xflags |= FS_XFLAG_COWEXTSIZE;
	attr.fsx_cowextsize = 32 * PAGE;
	return ioctl(fd, FS_IOC_FSSETXATTR, &attr);
}

static uint64_t bytes_moved(int fd, uint64_t pos, const struct extents *before)
{
	struct extents now;
	uint64_t moved;

	file_extents(fd, pos, LEN - pos, &now);
	moved = extents_size(before) - extents_shared(before, &now);
	if (moved)
		printf("# BLOCKS MOVED: %lu bytes are elsewhere\n", moved);
	return moved;
}

/*
 * Copies are allocated ahead, also for blocks that nobody shares: the next write
 * would go there, while a device knows the old block.
 */
TEST_F(reflink, neighbour_of_shared_block_is_not_pinned)
{
	struct region *region = &self->region;
	struct extents before;

	region_deregister(region);
	ASSERT_EQ(0, hint_cow_size(region->fd));
	ASSERT_EQ(0, clone_range_errno(self->other, region->fd, 0, PAGE));
	file_extents(region->fd, PAGE, LEN - PAGE, &before);
	/*
	 * Have them mapped for writing while there is no copy yet: a fault would
	 * go to the copy, but none is needed for these any more
	 */
	fill(region->map + PAGE, LEN - PAGE, PROCESS, PAGE);
	file_fill(region->fd, 0, PAGE, PROCESS);

	region->mr = nic_register(self->bench.nic, region->map + PAGE,
				  LEN - PAGE);
	EXPECT_EQ(NULL, region->mr);
	if (!region->mr) {
		EXPECT_EQ(EOPNOTSUPP, errno);
		return;
	}
	/* That was wrong. What harm does it do? */
	file_fill(region->fd, 0, LEN, PROCESS);
	EXPECT_EQ(0, bytes_moved(region->fd, PAGE, &before));
	EXPECT_FALSE(device_writes_clone(&self->bench, region->mr,
					 self->other));
}

/*
 * A fault that copied a page leaves it noted as shared, though its block is not:
 * GUP must not wait for a copy of its own.
 */
TEST_F(reflink, copied_pages_are_pinned)
{
	struct region *region = &self->region;
	int dir = folder_open(), clone = file_create("clone", 0, ZERO);
	int fd = openat(dir, "file", O_RDONLY);
	struct ibv_mr *mr;
	void *map;

	region_deregister(region);
	ASSERT_EQ(0, clone_errno(clone, region->fd));
	fill(region->map, LEN, PROCESS, 0);
	close(clone);
	file_unlink("clone");
	ASSERT_EQ(0, unshare_errno(region->fd));

	map = mmap(NULL, LEN, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	mr = nic_register_read_only(self->bench.nic, map, LEN);
	ASSERT_NE(NULL, mr);
	nic_deregister(mr);
	munmap(map, LEN);
	close(fd);
	close(dir);

	region->mr = nic_register(self->bench.nic, region->map, LEN);
	ASSERT_NE(NULL, region->mr);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES));
}

/* Reflinks and dedupes both ways, until told to stop */
struct sharer {
	int file, other;
	bool stop;
	unsigned long shared, refused;
	uint64_t longest;
	int error;
};

static void *share_over_and_over(void *arg)
{
	struct sharer *s = arg;
	unsigned int turn = 0;
	uint64_t start, took;
	int error;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		start = now_ms();
		switch (turn++ % 4) {
		case 0:
			error = clone_errno(s->other, s->file);
			break;
		case 1:
			error = clone_errno(s->file, s->other);
			break;
		case 2:
			error = dedupe_errno(s->other, s->file);
			break;
		default:
			error = dedupe_errno(s->file, s->other);
		}
		took = now_ms() - start;
		if (took > s->longest)
			s->longest = took;
		if (!error) {
			s->shared++;
			/* Or nothing would ever be pinned again */
			error = unshare_errno(s->file) ?:
				unshare_errno(s->other);
		} else if (error == ETXTBSY) {
			s->refused++;
			error = 0;
		}
		if (error) {
			s->error = error;
			break;
		}
	}
	return NULL;
}

/*
 * Two inodes are locked by trying, and a pinned page that counted as busy would
 * have that spin for ever.
 */
TEST_F(reflink, races_with_registration)
{
	struct region *region = &self->region;
	struct sharer sharer = { .file = region->fd, .other = self->other };
	unsigned long pinned = 0, refused = 0, in_both = 0;
	uint64_t start, took, longest = 0, end = now_ms() + 10000;
	pthread_t thread;

	region_deregister(region);
	ASSERT_EQ(0, pthread_create(&thread, NULL, share_over_and_over,
				    &sharer));
	while (now_ms() < end && !in_both) {
		start = now_ms();
		region->mr = nic_register(self->bench.nic, region->map, LEN);
		took = now_ms() - start;
		if (took > longest)
			longest = took;
		if (!region->mr) {
			if (errno != EOPNOTSUPP) {
				EXPECT_EQ(EOPNOTSUPP, errno);
				break;
			}
			refused++;
			continue;
		}
		pinned++;
		in_both = bytes_in_both(region->fd, self->other);
		region_deregister(region);
	}
	__atomic_store_n(&sharer.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);

	TH_LOG("pinned %lu, refused %lu, at most %lu ms; shared %lu, refused %lu, at most %lu ms",
	       pinned, refused, longest, sharer.shared, sharer.refused,
	       sharer.longest);
	EXPECT_EQ(0, sharer.error)
		TH_LOG("%s", strerror(sharer.error));
	EXPECT_EQ(0, in_both)
		TH_LOG("a pinned file shares %lu bytes", in_both);
	EXPECT_LT(0, pinned);
	EXPECT_LT(0, sharer.shared);
	EXPECT_LT(0, sharer.refused);
	EXPECT_GT(5000, longest);
	EXPECT_GT(5000, sharer.longest);

	/* What they left is a file that can be pinned */
	ASSERT_EQ(0, unshare_errno(region->fd));
	region->mr = nic_register(self->bench.nic, region->map, LEN);
	ASSERT_NE(NULL, region->mr);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES));
}

/*
 * Ways to write, on a file system that could copy on write. None may move a
 * block that a device knows.
 */
FIXTURE(copy_on_write)
{
	struct bench bench;
	struct region region;
};

FIXTURE_VARIANT(copy_on_write)
{
	int (*write)(int fd, char *map);
};

static int by_write(int fd, char *map)
{
	file_fill(fd, 0, LEN, PROCESS);
	return 0;
}

static int by_write_in_page(int fd, char *map)
{
	return pwrite(fd, "12345678", 8, PAGE + 512) == 8 ? 0 : -1;
}

static int by_store(int fd, char *map)
{
	unsigned long i;

	/* Make the next store fault */
	if (fsync(fd))
		return -1;
	for (i = 0; i < PAGES; i++)
		fill(map + i * PAGE, PAGE, PROCESS, i * PAGE);
	return 0;
}

static int by_store_to_new_mapping(int fd, char *map)
{
	char *again = file_map(fd, 0, LEN);
	unsigned long i;

	for (i = 0; i < PAGES; i++)
		fill(again + i * PAGE, PAGE, PROCESS, i * PAGE);
	return munmap(again, LEN);
}

static int by_zeroing_edges(int fd, char *map)
{
	return fallocate(fd, FALLOC_FL_ZERO_RANGE, PAGE + 512, 1024) ?:
	       fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 3 * PAGE - 512, 1024);
}

static int by_unshare(int fd, char *map)
{
	return fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, LEN);
}

/* Beside the pinned blocks, with a hint that asks to take neighbours along */
static int by_hint(int fd, char *map)
{
	if (hint_cow_size(fd))
		return -1;
	/* Behind the pinned pages: written, and not yet written */
	file_fill(fd, LEN, 8 * PAGE, PROCESS);
	if (fallocate(fd, 0, LEN + 8 * PAGE, 64 * PAGE))
		return -1;
	file_fill(fd, LEN + 9 * PAGE, PAGE, PROCESS);
	return by_write(fd, map) ?: by_store(fd, map) ?:
	       by_zeroing_edges(fd, map) ?: by_unshare(fd, map);
}

/* A reflink was tried, and left no trace */
static int by_write_after_reflink(int fd, char *map)
{
	int to = file_create("clone", 0, ZERO);

	if (clone_errno(to, fd) != ETXTBSY)
		return -1;
	close(to);
	return by_write(fd, map) ?: by_store(fd, map);
}

FIXTURE_VARIANT_ADD(copy_on_write, write) { .write = by_write };
FIXTURE_VARIANT_ADD(copy_on_write, write_in_page) { .write = by_write_in_page };
FIXTURE_VARIANT_ADD(copy_on_write, store) { .write = by_store };
FIXTURE_VARIANT_ADD(copy_on_write, store_to_new_mapping) {
	.write = by_store_to_new_mapping,
};

FIXTURE_VARIANT_ADD(copy_on_write, zero_edges) { .write = by_zeroing_edges };
FIXTURE_VARIANT_ADD(copy_on_write, unshare) { .write = by_unshare };
FIXTURE_VARIANT_ADD(copy_on_write, extent_size_hint) { .write = by_hint };
FIXTURE_VARIANT_ADD(copy_on_write, after_reflink) {
	.write = by_write_after_reflink,
};

FIXTURE_SETUP(copy_on_write)
{
	const char *missing = bench_open(&self->bench);

	if (missing)
		SKIP(return, "%s", missing);
	if (!can_reflink())
		SKIP(return, "the file system has no reflink");
	region_open(&self->bench, &self->region, "file", PAGES);
}

FIXTURE_TEARDOWN(copy_on_write)
{
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

static void expect_blocks_kept(struct __test_metadata *_metadata,
			       FIXTURE_DATA(copy_on_write) * self,
			       const FIXTURE_VARIANT(copy_on_write) * variant)
{
	struct region *region = &self->region;
	long retargeted = stat_read("pages_retargeted");
	struct extents before;
	struct writer *writer;

	file_extents(region->fd, 0, LEN, &before);
	ASSERT_EQ(LEN, extents_size(&before));
	writer = writer_start(self->bench.nic, region->mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));

	EXPECT_EQ(0, variant->write(region->fd, region->map))
		TH_LOG("%s", strerror(errno));

	EXPECT_EQ(0, writer_wait(writer, 1));
	EXPECT_EQ(0, writer_stop(writer));
	EXPECT_EQ(0, bytes_moved(region->fd, 0, &before));
	EXPECT_EQ(0, stat_read("pages_retargeted") - retargeted);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES));
}

TEST_F(copy_on_write, keeps_blocks)
{
	expect_blocks_kept(_metadata, self, variant);
}

/* A file that had shared blocks, and space ahead for copies of all of them */
TEST_F(copy_on_write, keeps_blocks_after_unshare)
{
	struct region *region = &self->region;
	int clone = file_create("clone", 0, ZERO);

	region_deregister(region);
	ASSERT_EQ(0, hint_cow_size(region->fd));
	ASSERT_EQ(0, clone_errno(clone, region->fd));
	file_fill(region->fd, 4 * PAGE, PAGE, PROCESS);
	close(clone);
	file_unlink("clone");
	ASSERT_EQ(0, unshare_errno(region->fd));

	region->mr = nic_register(self->bench.nic, region->map, LEN);
	ASSERT_NE(NULL, region->mr)
		TH_LOG("%s", strerror(errno));
	expect_blocks_kept(_metadata, self, variant);
}

/*
 * Whole extents change places between two files: with a file that shares no
 * block, and with one that does.
 */
FIXTURE(exchange)
{
	struct bench bench;
	struct region region;
	int other, third;
	struct mount_info mount;
};

FIXTURE_VARIANT(exchange)
{
	bool shared;
};

FIXTURE_VARIANT_ADD(exchange, plain) { .shared = false };
FIXTURE_VARIANT_ADD(exchange, shared) { .shared = true };

FIXTURE_SETUP(exchange)
{
	const char *missing = bench_open(&self->bench) ?:
			      mount_find(&self->mount);

	if (missing)
		SKIP(return, "%s", missing);
	if (strcmp(self->mount.type, "xfs"))
		SKIP(return, "only XFS exchanges extents of DAX files");
	region_open(&self->bench, &self->region, "file", PAGES);
	self->other = file_create("other", LEN, PROCESS);
	self->third = file_create("third", 0, ZERO);
	if (variant->shared && clone_errno(self->third, self->other))
		die("no reflink");
	sync();
}

FIXTURE_TEARDOWN(exchange)
{
	close(self->third);
	close(self->other);
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

/* The device writes, and it is in none of the files, nor where they were */
static void expect_unreachable(struct __test_metadata *_metadata,
			       FIXTURE_DATA(exchange) * self,
			       const struct extents *old)
{
	int file[] = { self->region.fd, self->other, self->third };
	uint64_t word;
	unsigned int i;
	off_t pos;

	ASSERT_EQ(0, conn_write_pages(self->bench.conn, self->region.mr, 0,
				      PAGES, DEVICE2));
	EXPECT_EQ(0, device_find_writer(&self->mount, old, DEVICE2));
	for (i = 0; i < ARRAY_SIZE(file); i++) {
		for (pos = 0; pread(file[i], &word, sizeof(word), pos) ==
			      sizeof(word); pos += PAGE) {
			EXPECT_FALSE(written_by(&word, DEVICE2))
				TH_LOG("file %u has %s", i, describe(&word));
		}
	}
}

/* What xfs_fsr does: all extents, and refused only if it cannot be done */
TEST_F(exchange, swap_extents)
{
	struct region *region = &self->region;
	long retargeted = stat_read("pages_retargeted");
	struct extents old;
	struct writer *writer;
	char command[256];
	int dir = folder_open();

	file_extents(region->fd, 0, LEN, &old);
	writer = writer_start(self->bench.nic, region->mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));

	snprintf(command, sizeof(command),
		 "cd /proc/self/fd/%d/ && out=$(xfs_io -c 'swapext other' file 2>&1) && [ -z \"$out\" ] || { echo \"# $out\"; exit 1; }",
		 dir);
	ASSERT_EQ(0, system(command));
	close(dir);

	EXPECT_EQ(0, writer_wait(writer, 1));
	EXPECT_EQ(0, writer_stop(writer));
	EXPECT_EQ((long)PAGES, stat_read("pages_retargeted") - retargeted);
	EXPECT_EQ(-1, file_find_difference(region->fd, 0, LEN, PROCESS));
	expect_unreachable(_metadata, self, &old);

	/* The file may be pinned again if its new blocks are its own */
	region_deregister(region);
	region->mr = nic_register(self->bench.nic, region->map, LEN);
	if (variant->shared) {
		EXPECT_EQ(NULL, region->mr);
		EXPECT_EQ(EOPNOTSUPP, errno);
	} else {
		ASSERT_NE(NULL, region->mr);
		EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
						    region->fd, 0, PAGES));
	}
}

TEST_F(exchange, exchange_range)
{
	struct exchange_range range = {
		.file1_fd = self->other,
		.file1_offset = 4 * PAGE,
		.file2_offset = 4 * PAGE,
		.length = 8 * PAGE,
	};
	struct region *region = &self->region;
	long retargeted = stat_read("pages_retargeted");
	struct extents old;
	struct writer *writer;
	int error;

	file_extents(region->fd, 4 * PAGE, 8 * PAGE, &old);
	writer = writer_start(self->bench.nic, region->mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));

	error = ioctl(region->fd, EXCHANGE_RANGE, &range) ? errno : 0;
	EXPECT_EQ(0, writer_wait(writer, 1));
	EXPECT_EQ(0, writer_stop(writer));
	if (error == EOPNOTSUPP || error == ENOTTY)
		SKIP(return, "the file system was made without exchange of ranges");

	retargeted = stat_read("pages_retargeted") - retargeted;
	if (variant->shared) {
		EXPECT_EQ(ETXTBSY, error);
		EXPECT_EQ(0, retargeted);
		EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
						    region->fd, 0, PAGES));
		EXPECT_FALSE(device_writes_clone(&self->bench, region->mr,
						 self->third));
		return;
	}
	EXPECT_EQ(0, error);
	EXPECT_EQ(8, retargeted);
	EXPECT_EQ(-1, file_find_difference(region->fd, 4 * PAGE, 8 * PAGE,
					   PROCESS));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, 4));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 12,
					    region->fd, 12, 4));
	ASSERT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 4, 8,
				      DEVICE2));
	EXPECT_EQ(0, device_find_writer(&self->mount, &old, DEVICE2));
}

FIXTURE(swap)
{
	struct bench bench;
	struct region region;
};

FIXTURE_SETUP(swap)
{
	const char *missing = bench_open(&self->bench);

	if (missing)
		SKIP(return, "%s", missing);
	region_open(&self->bench, &self->region, "file", 4 * PAGES);
}

FIXTURE_TEARDOWN(swap)
{
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

/* No DAX file becomes a swap file, so a pinned one does not */
TEST_F(swap, pinned_file_is_not_swapped_to)
{
	struct region *region = &self->region;
	char path[64], command[128];
	int error;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", region->fd);
	snprintf(command, sizeof(command),
		 "mkswap /proc/%d/fd/%d > /dev/null 2>&1", getpid(),
		 region->fd);
	if (system(command))
		SKIP(return, "mkswap fails");
	error = swapon(path, 0) ? errno : 0;
	if (error == ENOSYS)
		SKIP(return, "no CONFIG_SWAP");
	if (!error)
		swapoff(path);
	EXPECT_EQ(EINVAL, error);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, 4 * PAGES));
}

TEST_HARNESS_MAIN
