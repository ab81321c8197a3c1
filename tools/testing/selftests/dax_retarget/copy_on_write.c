// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ways to write, on a file system that could copy on write: none of them moves
 * a block that a device knows.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_reflink.h"

#define PAGES	16UL
#define LEN	(PAGES * PAGE)

/* A copy of one block may take so many bytes along */
#define HINT	(32 * PAGE)

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
	       file_punch(fd, 3 * PAGE - 512, 1024);
}

static int by_unshare(int fd, char *map)
{
	return fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, LEN);
}

/* Beside the pinned blocks, with a hint that asks to take neighbours along */
static int by_hint(int fd, char *map)
{
	if (hint_cow_size(fd, HINT))
		return -1;
	/* Blocks behind the pinned pages are written, and unwritten */
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
	SKIP_IF(return, bench_open(&self->bench) ?: reflink_missing());
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
	EXPECT_EQ(0, bytes_moved(region->fd, 0, LEN, &before));
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
	ASSERT_EQ(0, hint_cow_size(region->fd, HINT));
	ASSERT_EQ(0, clone_errno(clone, region->fd));
	file_fill(region->fd, 4 * PAGE, PAGE, PROCESS);
	close(clone);
	file_unlink("clone");
	ASSERT_EQ(0, unshare_errno(region->fd, LEN));

	region->mr = nic_register(self->bench.nic, region->map, LEN);
	ASSERT_NE(NULL, region->mr)
		TH_LOG("%s", strerror(errno));
	expect_blocks_kept(_metadata, self, variant);
}

TEST_HARNESS_MAIN
