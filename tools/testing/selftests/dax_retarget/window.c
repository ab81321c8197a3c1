// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks are freed in the two windows where a pin is neither nothing nor live:
 * after its pages were looked up and before the device is given them, and while
 * it ends. The kernel's test switches hold the windows open.
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

#define OPEN_MS	60000	/* a window stays open, unless told otherwise */

FIXTURE(window)
{
	struct bench bench;
	struct region region;
	struct extents freed;
	int victim;
	pthread_t thread;
	bool done;
};

FIXTURE_SETUP(window)
{
	const char *missing = bench_open(&self->bench);

	if (missing)
		SKIP(return, "%s", missing);
	if (!switches_exist())
		SKIP(return, "no test switches (CONFIG_DAX_RETARGET_TEST)");
	if (!folder_can(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		SKIP(return, "the file system cannot punch holes");
	folder_rest();
	self->victim = victim_create();
	region_open(&self->bench, &self->region, "file", PAGES);
	file_extents(self->region.fd, FIRST * PAGE, NR * PAGE, &self->freed);
	leave_little_space(2 << 20);
}

FIXTURE_TEARDOWN(window)
{
	switch_write("delay_map_ms", 0);
	switch_write("delay_end_ms", 0);
	region_close(&self->region);
	close(self->victim);
	EXPECT_TRUE(bench_close(&self->bench));
}

static bool is_done(FIXTURE_DATA(window) * self)
{
	return __atomic_load_n(&self->done, __ATOMIC_ACQUIRE);
}

static void *do_register(void *arg)
{
	FIXTURE_DATA(window) * self = arg;

	self->region.mr = nic_register(self->bench.nic, self->region.map,
				       self->region.len);
	__atomic_store_n(&self->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *do_deregister(void *arg)
{
	FIXTURE_DATA(window) * self = arg;

	region_deregister(&self->region);
	__atomic_store_n(&self->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static int free_blocks(FIXTURE_DATA(window) * self)
{
	return fallocate(self->region.fd, FALLOC_FL_PUNCH_HOLE |
			 FALLOC_FL_KEEP_SIZE, FIRST * PAGE, NR * PAGE);
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
	uint64_t probe[PROBE / 8];
	unsigned long i;
	long pinned;
	size_t size;

	region_deregister(region);
	pinned = stat_read("pages_pinned");
	switch_write("delay_map_ms", OPEN_MS);
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, do_register, self));
	while (stat_read("pages_pinned") < pinned + (long)PAGES &&
	       !is_done(self))
		sleep_ms(10);
	ASSERT_FALSE(is_done(self))
		TH_LOG("the window was closed");

	ASSERT_EQ(0, free_blocks(self));
	/* The file system did not wait for the window to close */
	EXPECT_FALSE(is_done(self));
	size = grow(_metadata, self);
	EXPECT_FALSE(is_done(self));
	switch_write("delay_map_ms", 0);
	pthread_join(self->thread, NULL);
	ASSERT_NE(NULL, region->mr);

	EXPECT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 0, PAGES,
				      DEVICE));
	EXPECT_EQ(-1, victim_damage(self->victim, size));
	for (i = FIRST; i < FIRST + NR; i++) {
		ASSERT_EQ(0, conn_read(self->bench.conn, region->mr, i * PAGE,
				       probe, PROBE));
		EXPECT_FALSE(written_by(probe, VICTIM))
			TH_LOG("VICTIM DISCLOSED: page %lu reads as %s", i,
			       describe(probe));
	}
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, FIRST));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr,
					    FIRST + NR, region->fd, FIRST + NR,
					    PAGES - FIRST - NR));
}

/*
 * No NIC writes through a region that it was told to forget, so ask the IOMMU's
 * tables instead whether it could.
 */
TEST_F(window, ending)
{
	struct region *region = &self->region;
	char *first = (char *)region->map + FIRST * PAGE;
	struct translation found = { 0 };
	long files = stat_read("files");
	uint64_t phys[NR];
	unsigned long i;

	if (!translations_visible() || !physical_address(first))
		SKIP(return, "cannot see the IOMMU's tables (root, CONFIG_INTEL_IOMMU_DEBUGFS)");
	for (i = 0; i < NR; i++) {
		phys[i] = physical_address(first + i * PAGE);
		ASSERT_TRUE(translation_leads_to(phys[i], PAGE, &found));
	}

	switch_write("delay_end_ms", OPEN_MS);
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, do_deregister, self));
	/* Without a translation, or in the wrong order: where no hook finds it */
	while (translation_leads_to(phys[0], PAGE, &found) &&
	       stat_read("files") == files && !is_done(self))
		sleep_ms(10);
	ASSERT_FALSE(is_done(self))
		TH_LOG("the window was closed");

	ASSERT_EQ(0, free_blocks(self));
	grow(_metadata, self);
	for (i = 0; i < NR; i++) {
		EXPECT_FALSE(translation_leads_to(phys[i], PAGE, &found))
			TH_LOG("VICTIM REACHABLE by IOVA 0x%lx", found.iova);
	}
	EXPECT_FALSE(is_done(self));
	switch_write("delay_end_ms", 0);
	pthread_join(self->thread, NULL);
	EXPECT_EQ(-1, file_find_difference(self->victim, 0, PAGE, VICTIM));
}

TEST_HARNESS_MAIN
