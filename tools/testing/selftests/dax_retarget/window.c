// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks are freed in the two windows in which a pin exists and is not live:
 * after its pages are looked up and before the device is given them, and while
 * the pin ends. The kernel's test switches hold the windows open.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib_harness.h"

#define PAGES	48UL
#define FIRST	16UL	/* pages that lose their blocks */
#define NR	16UL

FIXTURE(window)
{
	struct bench bench;
	struct region region;
	struct region_thread thread;
	struct extents freed;
	int victim;
};

FIXTURE_SETUP(window)
{
	SKIP_IF(return, bench_open(&self->bench) ?: switches_missing() ?:
			punch_missing());
	folder_rest();
	self->victim = victim_create();
	region_open(&self->bench, &self->region, "file", PAGES);
	self->thread.bench = &self->bench;
	self->thread.region = &self->region;
	self->thread.len = self->region.len;
	file_extents(self->region.fd, FIRST * PAGE, NR * PAGE, &self->freed);
	leave_little_space(2 << 20);
}

FIXTURE_TEARDOWN(window)
{
	windows_close();
	region_close(&self->region);
	close(self->victim);
	EXPECT_TRUE(bench_close(&self->bench));
}

/* The file system does not wait for the window to close */
static void free_blocks(struct __test_metadata *_metadata,
			FIXTURE_DATA(window) * self)
{
	ASSERT_FALSE(region_thread_done(&self->thread))
		TH_LOG("the window was closed");
	ASSERT_EQ(0, file_punch(self->region.fd, FIRST * PAGE, NR * PAGE));
	EXPECT_FALSE(region_thread_done(&self->thread));
}

/* Returns the size of the victim, which has got blocks of the file */
static size_t grow(struct __test_metadata *_metadata,
		   FIXTURE_DATA(window) * self)
{
	uint64_t got;
	size_t size = victim_grow(self->victim, &self->freed, &got);

	TH_LOG("another file has %lu of %lu freed pages", got / PAGE, NR);
	EXPECT_LE(NR / 4, got / PAGE);
	return size;
}

TEST_F(window, registered_but_not_mapped)
{
	struct region *region = &self->region;
	size_t size;

	region_deregister(region);
	region_register_begin(&self->thread, WINDOW_MS);
	free_blocks(_metadata, self);
	size = grow(_metadata, self);
	EXPECT_FALSE(region_thread_done(&self->thread));
	region_thread_end(&self->thread);
	ASSERT_NE(NULL, region->mr);

	EXPECT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 0, PAGES,
				      DEVICE));
	EXPECT_EQ(-1, victim_damage(self->victim, size));
	EXPECT_EQ(-1, victim_disclosure(&self->bench, region->mr, FIRST, NR));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, FIRST));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr,
					    FIRST + NR, region->fd, FIRST + NR,
					    PAGES - FIRST - NR));
}

/*
 * No NIC writes through a region that it was told to forget. So the tables of
 * the IOMMU tell whether it could.
 */
TEST_F(window, ending)
{
	struct region *region = &self->region;
	char *first = (char *)region->map + FIRST * PAGE;
	struct translation found = { 0 };
	long files = stat_read("files");
	uint64_t phys[NR];
	unsigned long i;

	SKIP_IF(return, translations_missing());
	for (i = 0; i < NR; i++) {
		phys[i] = physical_address(first + i * PAGE);
		ASSERT_TRUE(translation_leads_to(phys[i], PAGE, &found));
	}

	region_deregister_begin(&self->thread, WINDOW_MS);
	/* In the wrong order, the pin is mapped and no hook finds it */
	while (translation_leads_to(phys[0], PAGE, &found) &&
	       stat_read("files") == files &&
	       !region_thread_done(&self->thread))
		sleep_ms(10);
	free_blocks(_metadata, self);
	grow(_metadata, self);
	for (i = 0; i < NR; i++) {
		EXPECT_FALSE(translation_leads_to(phys[i], PAGE, &found))
			TH_LOG("VICTIM REACHABLE by IOVA 0x%lx", found.iova);
	}
	EXPECT_FALSE(region_thread_done(&self->thread));
	region_thread_end(&self->thread);
	EXPECT_EQ(-1, file_find_difference(self->victim, 0, PAGE, VICTIM));
}

TEST_HARNESS_MAIN
