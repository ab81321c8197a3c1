// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large entries: a page is punched out of a 2M run of blocks that CPU and IOMMU
 * map as one. Exactly that page is taken, its neighbours stay coherent in both
 * directions, and a peer that writes all of the run the whole time never meets
 * a gap.
 */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_reflink.h"

FIXTURE(largepage)
{
	struct bench bench;
	int fd;
	void *map;
	uint64_t pos;
	struct ibv_mr *mr;
};

FIXTURE_VARIANT(largepage)
{
	size_t size;
	unsigned int capability;	/* bit of VT-d's capability register */
	long tables;			/* to split one page of the size */
};

FIXTURE_VARIANT_ADD(largepage, 2M)
{
	.size = PAGE_2M,
	.capability = 34,
	.tables = 1,
};

FIXTURE_VARIANT_ADD(largepage, 1G)
{
	.size = PAGE_1G,
	.capability = 35,
	.tables = 1 + 512,
};

/* Do all IOMMUs know pages of this size? */
static bool iommu_can(unsigned int bit)
{
	unsigned long cap;
	bool can = true;
	size_t i;
	glob_t g;
	FILE *f;

	if (glob("/sys/class/iommu/dmar*/intel-iommu/cap", 0, NULL, &g))
		return false;
	for (i = 0; i < g.gl_pathc; i++) {
		f = fopen(g.gl_pathv[i], "r");
		if (!f || fscanf(f, "%lx", &cap) != 1)
			cap = 0;
		if (f)
			fclose(f);
		can = can && (cap >> bit & 1);
	}
	globfree(&g);
	return can;
}

FIXTURE_SETUP(largepage)
{
	long tables = stat_read("table_pages");

	SKIP_IF(return, bench_open(&self->bench));
	if (!iommu_can(variant->capability))
		SKIP(return, "the IOMMU has no pages of %zu MiB",
		     variant->size >> 20);
	self->fd = file_create_aligned("file", variant->size, &self->pos);
	if (self->fd < 0)
		SKIP(return, "the file system has no aligned run of %zu MiB",
		     variant->size >> 20);
	self->map = file_map_aligned(self->fd, self->pos, variant->size,
				     variant->size);
	if (variant->size == PAGE_2M)
		file_fill(self->fd, self->pos, variant->size, FILLED);
	self->mr = nic_register(self->bench.nic, self->map, variant->size);
	ASSERT_NE(NULL, self->mr);

	/* Without a large entry the test would be about small ones */
	EXPECT_EQ(variant->tables, stat_read("table_pages") - tables);
}

FIXTURE_TEARDOWN(largepage)
{
	if (self->mr)
		nic_deregister(self->mr);
	munmap(self->map, variant->size);
	close(self->fd);
	EXPECT_TRUE(bench_close(&self->bench));
}

static int punch(FIXTURE_DATA(largepage) * self, unsigned long page,
		 unsigned long nr)
{
	return file_punch(self->fd, self->pos + page * PAGE, nr * PAGE);
}

static long first_incoherent(FIXTURE_DATA(largepage) * self, unsigned long page,
			     unsigned long nr)
{
	return first_incoherent_page(&self->bench, self->mr, page, self->fd,
				     self->pos / PAGE + page, nr);
}

TEST_F(largepage, punch_a_page)
{
	const unsigned long last = variant->size / PAGE - 1, hole = 100;
	long retargeted = stat_read("pages_retargeted");

	ASSERT_EQ(-1, first_incoherent(self, 0, 512));
	ASSERT_EQ(0, punch(self, hole, 1));
	EXPECT_EQ(1, stat_read("pages_retargeted") - retargeted);

	ASSERT_EQ(0, conn_write_pages(self->bench.conn, self->mr, hole, 1,
				      DEVICE2));
	EXPECT_EQ(-1, first_incoherent(self, 0, hole));
	EXPECT_EQ(-1, first_incoherent(self, hole + 1, 511 - hole));
	EXPECT_EQ(-1, first_incoherent(self, last - 2, 2));
	EXPECT_EQ(-1, file_find_difference(self->fd, self->pos + hole * PAGE,
					   PAGE, ZERO));

	/* The split run can be taken further, and as a whole */
	ASSERT_EQ(0, punch(self, 0, 50));
	EXPECT_EQ(51, stat_read("pages_retargeted") - retargeted);
	EXPECT_EQ(-1, first_incoherent(self, 50, hole - 50));
	ASSERT_EQ(0, ftruncate(self->fd, self->pos));
	EXPECT_EQ(last + 1, stat_read("pages_retargeted") - retargeted);
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, self->mr, 0, 512,
				      DEVICE2));
}

TEST_F(largepage, split_under_remote_writes)
{
	struct writer *writer;
	unsigned long page;
	int error;

	/* Writes go on during the split; a fault would end the traffic */
	writer = writer_start(self->bench.nic, self->mr, 64, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));
	for (page = 0; page < 64; page += 8) {
		ASSERT_EQ(0, punch(self, page, 1));
		error = writer_wait(writer, 1);
		ASSERT_EQ(0, error)
			TH_LOG("traffic: %s", conn_error(error));
	}
	EXPECT_EQ(0, writer_stop(writer));
	for (page = 0; page < 64; page += 8)
		EXPECT_EQ(-1, first_incoherent(self, page + 1, 7));
}

static bool shares_blocks(int fd)
{
	struct {
		struct fiemap map;
		struct fiemap_extent list[32];
	} u = {
		.map = {
			.fm_length = FIEMAP_MAX_OFFSET,
			.fm_extent_count = ARRAY_SIZE(u.list),
		},
	};
	unsigned int i;

	if (ioctl(fd, FS_IOC_FIEMAP, &u.map))
		die("cannot learn a file's extents");
	for (i = 0; i < u.map.fm_mapped_extents; i++)
		if (u.list[i].fe_flags & FIEMAP_EXTENT_SHARED)
			return true;
	return false;
}

/*
 * The CPU's entries for shared blocks say that these are shared, and go on to
 * say so when the blocks are not shared any more. A large entry has a place in
 * the file for its first page only.
 */
TEST_F(largepage, entry_noted_as_shared_is_pinned)
{
	int clone = file_create("clone", 0, ZERO);
	uint64_t at, end = now_ms() + 20000;
	long tables;

	nic_deregister(self->mr);
	self->mr = NULL;
	if (clone_errno(clone, self->fd))
		SKIP(return, "the file system has no reflink");
	munmap(self->map, variant->size);
	self->map = file_map_aligned(self->fd, self->pos, variant->size,
				     variant->size);
	for (at = 0; at < variant->size; at += PAGE_2M)
		*(volatile char *)(self->map + at);
	close(clone);
	file_unlink("clone");
	/* XFS frees the blocks of the clone in the background */
	while (shares_blocks(self->fd) && now_ms() < end)
		sleep_ms(10);
	ASSERT_FALSE(shares_blocks(self->fd));
	ASSERT_EQ(0, syncfs(self->fd));
	ASSERT_EQ(0, fallocate(self->fd, FALLOC_FL_UNSHARE_RANGE, self->pos,
			       variant->size));

	tables = stat_read("table_pages");
	self->mr = nic_register(self->bench.nic, self->map, variant->size);
	ASSERT_NE(NULL, self->mr);
	EXPECT_EQ(variant->tables, stat_read("table_pages") - tables);
	EXPECT_EQ(-1, first_incoherent(self, 0, 512));
	ASSERT_EQ(0, punch(self, 100, 1));
	EXPECT_EQ(-1, first_incoherent(self, 0, 100));
	EXPECT_EQ(-1, first_incoherent(self, 101, 411));
}

TEST_HARNESS_MAIN
