// SPDX-License-Identifier: GPL-2.0-only
/*
 * Regions and files that do not match one to one: a region over two files and
 * anonymous memory, a page in two regions, a page on two NICs, a part of a
 * file. Each page is taken from all regions that have it, and from no other.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib_harness.h"

#define PAGES	16UL

FIXTURE(region)
{
	struct bench bench;
	struct region region;
};

FIXTURE_SETUP(region)
{
	SKIP_IF(return, bench_open(&self->bench));
	region_open(&self->bench, &self->region, "file", PAGES);
}

FIXTURE_TEARDOWN(region)
{
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

/* What the device writes to a page of anonymous memory is there, and back */
static bool memory_is_coherent(struct bench *bench, struct ibv_mr *mr,
			       unsigned long page, void *memory)
{
	uint64_t probe[PROBE / 8];

	if (conn_write_pages(bench->conn, mr, page, 1, DEVICE) ||
	    find_difference(memory, PROBE, DEVICE, page * PAGE) >= 0)
		return false;
	fill(memory, PROBE, PROCESS, page * PAGE);
	return !conn_read(bench->conn, mr, page * PAGE, probe, PROBE) &&
	       find_difference(probe, PROBE, PROCESS, page * PAGE) < 0;
}

TEST_F(region, two_files_and_memory)
{
	struct bench *bench = &self->bench;
	int second = file_create("second", PAGES * PAGE, FILLED);
	size_t len = 3 * PAGES * PAGE;
	struct ibv_mr *mr;
	char *map, *memory;
	long retargeted;

	SKIP_IF(return, mixed_missing());
	/* first file, anonymous memory, second file, in one region */
	map = mmap(NULL, len, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)map);
	memory = map + PAGES * PAGE;
	ASSERT_EQ(map, mmap(map, PAGES * PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED, self->region.fd, 0));
	ASSERT_EQ(map + 2 * PAGES * PAGE,
		  mmap(map + 2 * PAGES * PAGE, PAGES * PAGE,
		       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, second,
		       0));
	mr = nic_register(bench->nic, map, len);
	ASSERT_NE(NULL, mr)
		TH_LOG("%s", strerror(errno));

	EXPECT_EQ(-1, first_incoherent_page(bench, mr, 0, self->region.fd, 0,
					    PAGES));
	EXPECT_TRUE(memory_is_coherent(bench, mr, PAGES, memory));
	EXPECT_EQ(-1, first_incoherent_page(bench, mr, 2 * PAGES, second, 0,
					    PAGES));

	retargeted = stat_read("pages_retargeted");
	ASSERT_EQ(0, ftruncate(second, PAGES / 2 * PAGE));
	EXPECT_EQ((long)PAGES / 2, stat_read("pages_retargeted") - retargeted);

	EXPECT_EQ(0, conn_write_pages(bench->conn, mr, 0, 3 * PAGES, DEVICE2));
	EXPECT_EQ(-1, first_incoherent_page(bench, mr, 0, self->region.fd, 0,
					    PAGES));
	EXPECT_TRUE(memory_is_coherent(bench, mr, PAGES, memory));
	EXPECT_TRUE(memory_is_coherent(bench, mr, 2 * PAGES - 1,
				       memory + (PAGES - 1) * PAGE));
	EXPECT_EQ(-1, first_incoherent_page(bench, mr, 2 * PAGES, second, 0,
					    PAGES / 2));
	/* Grown again, the file does not show what went to scratch */
	ASSERT_EQ(0, ftruncate(second, PAGES * PAGE));
	EXPECT_EQ(-1, file_find_difference(second, PAGES / 2 * PAGE,
					   PAGES / 2 * PAGE, ZERO));

	nic_deregister(mr);
	munmap(map, len);
	close(second);
}

/* Take a page that @mr has as well as the fixture's region */
static void take_shared_page(struct __test_metadata *_metadata,
			     FIXTURE_DATA(region) * self, struct bench *other,
			     struct ibv_mr *mr)
{
	struct region *region = &self->region;
	long retargeted = stat_read("pages_retargeted");

	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES));
	EXPECT_EQ(-1, first_incoherent_page(other, mr, 0, region->fd,
					    PAGES / 2, PAGES / 2));

	ASSERT_EQ(0, file_punch(region->fd, PAGES / 2 * PAGE, PAGE));
	EXPECT_EQ(2, stat_read("pages_retargeted") - retargeted);

	EXPECT_EQ(0, conn_write_pages(self->bench.conn, region->mr, PAGES / 2,
				      1, DEVICE));
	EXPECT_EQ(0, conn_write_pages(other->conn, mr, 0, 1, DEVICE2));
	EXPECT_EQ(-1, file_find_difference(region->fd, PAGES / 2 * PAGE, PAGE,
					   ZERO));

	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES / 2));
	EXPECT_EQ(-1, first_incoherent_page(other, mr, 1, region->fd,
					    PAGES / 2 + 1, PAGES / 2 - 1));
}

TEST_F(region, page_in_two_regions)
{
	char *half = (char *)self->region.map + PAGES / 2 * PAGE;
	struct ibv_mr *mr;

	SKIP_IF(return, punch_missing());
	mr = nic_register(self->bench.nic, half, PAGES / 2 * PAGE);
	ASSERT_NE(NULL, mr);
	take_shared_page(_metadata, self, &self->bench, mr);

	/* The end of one does not end the other */
	region_deregister(&self->region);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, mr, 1,
					    self->region.fd, PAGES / 2 + 1,
					    PAGES / 2 - 1));
	nic_deregister(mr);
}

TEST_F(region, page_on_two_nics)
{
	char *half = (char *)self->region.map + PAGES / 2 * PAGE;
	struct bench other;
	struct ibv_mr *mr;

	if (!nic_exists(1))
		SKIP(return, "no second RDMA device (set DAX_RETARGET_DEV2)");
	SKIP_IF(return, punch_missing());
	other.nic = nic_open(1);
	other.conn = conn_open(other.nic);
	mr = nic_register(other.nic, half, PAGES / 2 * PAGE);
	if (!mr)
		SKIP(return, "%s cannot register a file", nic_name(1));

	take_shared_page(_metadata, self, &other, mr);

	nic_deregister(mr);
	conn_close(other.conn);
	nic_close(other.nic);
}

/* Pages of the file that are not in the region are not the region's business */
TEST_F(region, part_of_a_file)
{
	struct bench *bench = &self->bench;
	char *middle = (char *)self->region.map + 4 * PAGE;
	struct ibv_mr *mr;
	long retargeted;

	SKIP_IF(return, punch_missing());
	region_deregister(&self->region);
	mr = nic_register(bench->nic, middle, 8 * PAGE);
	ASSERT_NE(NULL, mr);

	retargeted = stat_read("pages_retargeted");
	ASSERT_EQ(0, file_punch(self->region.fd, 0, 4 * PAGE));
	ASSERT_EQ(0, ftruncate(self->region.fd, 12 * PAGE));
	EXPECT_EQ(0, stat_read("pages_retargeted") - retargeted);
	EXPECT_EQ(-1, first_incoherent_page(bench, mr, 0, self->region.fd, 4,
					    8));

	ASSERT_EQ(0, file_punch(self->region.fd, 0, 5 * PAGE));
	EXPECT_EQ(1, stat_read("pages_retargeted") - retargeted);
	EXPECT_EQ(-1, first_incoherent_page(bench, mr, 1, self->region.fd, 5,
					    7));
	nic_deregister(mr);
}

/* A region may begin and end within a page */
TEST_F(region, not_page_aligned)
{
	struct bench *bench = &self->bench;
	char *map = self->region.map;
	uint64_t probe[PROBE / 8];
	struct ibv_mr *mr;

	if (!consumer_is_rdma())
		SKIP(return, "IOVAs are mapped by whole pages");
	region_deregister(&self->region);
	mr = nic_register(bench->nic, map + PAGE - PROBE, 2 * PROBE);
	ASSERT_NE(NULL, mr);

	fill(probe, PROBE, DEVICE, 0);
	ASSERT_EQ(0, conn_write(bench->conn, mr, PROBE, probe, PROBE));
	EXPECT_EQ(-1, find_difference(map + PAGE, PROBE, DEVICE, 0));

	ASSERT_EQ(0, ftruncate(self->region.fd, PAGE));
	fill(probe, PROBE, DEVICE2, 0);
	ASSERT_EQ(0, conn_write(bench->conn, mr, PROBE, probe, PROBE));
	ASSERT_EQ(0, conn_write(bench->conn, mr, 0, probe, PROBE));
	EXPECT_EQ(-1, find_difference(map + PAGE - PROBE, PROBE, DEVICE2, 0));
	ASSERT_EQ(0, ftruncate(self->region.fd, 2 * PAGE));
	EXPECT_EQ(-1, file_find_difference(self->region.fd, PAGE, PAGE, ZERO));
	nic_deregister(mr);
}

TEST_HARNESS_MAIN
