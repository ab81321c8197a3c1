// SPDX-License-Identifier: GPL-2.0-only
/*
 * A peer reads zeros from a page that left its file, or what was written later
 * through the same region. It never reads what the file had, or what was
 * written through another region, even of the same process. A device that has a
 * hole of a file registered never gets at the page of zeros that the whole
 * machine shares.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib_harness.h"

#define PAGES	8UL

FIXTURE(scratch)
{
	struct bench bench;
	struct region region;
};

FIXTURE_SETUP(scratch)
{
	SKIP_IF(return, bench_open(&self->bench));
	region_open(&self->bench, &self->region, "file", PAGES);
}

FIXTURE_TEARDOWN(scratch)
{
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

static uint64_t page[PAGE / 8];

TEST_F(scratch, reads_as_zeros)
{
	unsigned long i;

	ASSERT_EQ(0, ftruncate(self->region.fd, PAGE));
	for (i = 1; i < PAGES; i++) {
		ASSERT_EQ(0, conn_read(self->bench.conn, self->region.mr,
				       i * PAGE, page, PAGE));
		EXPECT_EQ(-1, find_difference(page, PAGE, ZERO, 0))
			TH_LOG("page %lu reads as %s", i, describe(page));
	}
}

/* A page that went before the device could use it is no different */
TEST_F(scratch, is_not_shared_between_regions)
{
	struct region other;
	struct ibv_mr *again;

	region_open(&self->bench, &other, "other", PAGES);
	again = nic_register(self->bench.nic, self->region.map,
			     self->region.len);
	ASSERT_NE(NULL, again);

	ASSERT_EQ(0, ftruncate(self->region.fd, 0));
	ASSERT_EQ(0, ftruncate(other.fd, 0));

	fill(page, PAGE, DEVICE, 0);
	ASSERT_EQ(0, conn_write(self->bench.conn, self->region.mr, 0, page,
				PAGE));

	/* of another file, of the same file, on the page before and behind */
	ASSERT_EQ(0, conn_read(self->bench.conn, other.mr, 0, page, PAGE));
	EXPECT_EQ(-1, find_difference(page, PAGE, ZERO, 0))
		TH_LOG("another file's region reads %s", describe(page));
	ASSERT_EQ(0, conn_read(self->bench.conn, again, 0, page, PAGE));
	EXPECT_EQ(-1, find_difference(page, PAGE, ZERO, 0))
		TH_LOG("another region reads %s", describe(page));

	/* A region made afterwards does not get the old scratch page's data */
	nic_deregister(again);
	region_deregister(&self->region);
	region_deregister(&other);
	ASSERT_EQ(0, ftruncate(other.fd, other.len));
	other.mr = nic_register(self->bench.nic, other.map, other.len);
	ASSERT_NE(NULL, other.mr);
	ASSERT_EQ(0, ftruncate(other.fd, 0));
	ASSERT_EQ(0, conn_read(self->bench.conn, other.mr, 0, page, PAGE));
	EXPECT_EQ(-1, find_difference(page, PAGE, ZERO, 0))
		TH_LOG("a later region reads %s", describe(page));
	region_close(&other);
}

/* Pages of a file that read as zeros, of nothing that a device may see */
FIXTURE(unfilled)
{
	struct bench bench;
};

FIXTURE_VARIANT(unfilled)
{
	bool unwritten;
};

FIXTURE_VARIANT_ADD(unfilled, hole)
{
};

/* There are blocks, with what their last owner left in them */
FIXTURE_VARIANT_ADD(unfilled, unwritten)
{
	.unwritten = true,
};

FIXTURE_SETUP(unfilled)
{
	SKIP_IF(return, bench_open(&self->bench));
	if (variant->unwritten && !folder_can(0))
		SKIP(return, "no unwritten extents here");
}

FIXTURE_TEARDOWN(unfilled)
{
	EXPECT_TRUE(bench_close(&self->bench));
}

TEST_F(unfilled, writable_mapping_is_filled)
{
	int fd = file_create("unfilled", PAGES * PAGE, ZERO);
	void *map = file_map(fd, 0, PAGES * PAGE);
	struct translation found;
	struct extents extents;
	struct ibv_mr *mr;
	uint64_t zeros;

	if (variant->unwritten)
		ASSERT_EQ(0, fallocate(fd, 0, 0, PAGES * PAGE));
	file_extents(fd, 0, PAGES * PAGE, &extents);
	ASSERT_EQ(variant->unwritten ? PAGES * PAGE : 0,
		  extents_size(&extents));
	/* Have the page of zeros mapped, so that it is what is found first */
	zeros = physical_address(map);
	mr = nic_register_read_only(self->bench.nic, map, PAGES * PAGE);
	ASSERT_NE(NULL, mr);

	file_extents(fd, 0, PAGES * PAGE, &extents);
	EXPECT_EQ(PAGES * PAGE, extents_size(&extents));
	if (zeros && translations_visible()) {
		EXPECT_FALSE(translation_leads_to(zeros, PAGE, &found))
			TH_LOG("IOVA 0x%lx is the page of zeros", found.iova);
	}
	ASSERT_EQ(0, conn_read(self->bench.conn, mr, PAGE, page, PAGE));
	EXPECT_EQ(-1, find_difference(page, PAGE, ZERO, 0))
		TH_LOG("the device reads %s", describe(page));
	fill(page, PAGE, PROCESS, 0);
	ASSERT_EQ(PAGE, pwrite(fd, page, PAGE, 0));
	ASSERT_EQ(0, conn_read(self->bench.conn, mr, 0, page, PAGE));
	EXPECT_EQ(-1, find_difference(page, PAGE, PROCESS, 0));
	nic_deregister(mr);
	munmap(map, PAGES * PAGE);
	close(fd);
}

/* One such page among pages that are fine is enough */
TEST_F(unfilled, read_only_mapping_is_refused)
{
	int fd = file_create("unfilled", PAGES * PAGE, ZERO);
	struct ibv_mr *mr;
	void *map;

	file_fill(fd, 0, 3 * PAGE, FILLED);
	file_fill(fd, 4 * PAGE, (PAGES - 4) * PAGE, FILLED);
	if (variant->unwritten)
		ASSERT_EQ(0, fallocate(fd, 0, 3 * PAGE, PAGE));
	map = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	/* Have the page of zeros mapped, so that it is what is found first */
	ASSERT_EQ(0, ((char *)map)[3 * PAGE]);

	mr = nic_register_read_only(self->bench.nic, map, PAGES * PAGE);
	EXPECT_EQ(NULL, mr);
	EXPECT_EQ(EOPNOTSUPP, errno);

	/* Each side of it is fine */
	mr = nic_register_read_only(self->bench.nic, map, 3 * PAGE);
	EXPECT_NE(NULL, mr);
	nic_deregister(mr);
	munmap(map, PAGES * PAGE);
	close(fd);
}

/* The IOMMU, and not only the NIC, lets a device that may read only read */
TEST_F(scratch, read_only_region_is_read_only)
{
	struct region *region = &self->region;
	uint64_t phys = physical_address(region->map);
	struct translation found;

	SKIP_IF(return, translations_missing());
	ASSERT_TRUE(translation_leads_to(phys, PAGE, &found));
	EXPECT_TRUE(found.writable);

	region_deregister(region);
	EXPECT_FALSE(translation_leads_to(phys, PAGE, &found));

	region->mr = nic_register_read_only(self->bench.nic, region->map,
					    region->len);
	ASSERT_NE(NULL, region->mr);
	ASSERT_TRUE(translation_leads_to(phys, PAGE, &found));
	EXPECT_FALSE(found.writable);

	ASSERT_EQ(0, ftruncate(region->fd, 0));
	EXPECT_FALSE(translation_leads_to(phys, PAGE, &found));
}

TEST_HARNESS_MAIN
