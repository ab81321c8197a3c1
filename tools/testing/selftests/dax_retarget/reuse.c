// SPDX-License-Identifier: GPL-2.0-only
/*
 * Freed blocks become another file while a peer goes on writing to where they
 * were: the one thing that must never happen is that it writes to that file.
 *
 * The file system is filled first, so that the freed blocks are given away at
 * once, and the test goes by physical blocks: it fails if the new file has got
 * but few of them. Then the new file must keep every byte, and a peer that
 * reads must not see it.
 */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "lib_harness.h"

/* Few enough for the IOMMU to hold all translations at the same time */
#define PAGES	64UL
#define FIRST	16UL	/* file systems give away aligned pieces */
#define NR	32UL

enum freeing {
	TRUNCATE,
	PUNCH,
	UNLINK,
	MUNMAP_TRUNCATE,
};

FIXTURE(reuse)
{
	struct bench bench;
	struct region region;
	int victim;
};

FIXTURE_VARIANT(reuse)
{
	enum freeing by;
	unsigned long first;	/* pages that lose their blocks */
	unsigned long nr;
};

FIXTURE_VARIANT_ADD(reuse, punch)
{
	.by = PUNCH,
	.first = FIRST,
	.nr = NR,
};

FIXTURE_VARIANT_ADD(reuse, truncate)
{
	.by = TRUNCATE,
	.first = FIRST,
	.nr = PAGES - FIRST,
};

FIXTURE_VARIANT_ADD(reuse, unlink)
{
	.by = UNLINK,
	.first = 0,
	.nr = PAGES,
};

FIXTURE_VARIANT_ADD(reuse, munmap_close_truncate)
{
	.by = MUNMAP_TRUNCATE,
	.first = 0,
	.nr = PAGES,
};

FIXTURE_SETUP(reuse)
{
	SKIP_IF(return, bench_open(&self->bench));
	if (variant->by == PUNCH)
		SKIP_IF(return, punch_missing());
	folder_rest();
	self->victim = victim_create();
	region_open(&self->bench, &self->region, "file", PAGES);
	leave_little_space(8 << 20);
}

FIXTURE_TEARDOWN(reuse)
{
	region_close(&self->region);
	close(self->victim);
	EXPECT_TRUE(bench_close(&self->bench));
}

static int free_blocks(struct region *region, enum freeing by)
{
	int fd, ret;

	switch (by) {
	case TRUNCATE:
		return ftruncate(region->fd, FIRST * PAGE);
	case PUNCH:
		return file_punch(region->fd, FIRST * PAGE, NR * PAGE);
	case UNLINK:
		file_unlink(region->name);
		region_unmap(region);
		return 0;
	case MUNMAP_TRUNCATE:
		region_unmap(region);
		fd = file_open(region->name, O_RDWR);
		ret = ftruncate(fd, 0);
		close(fd);
		return ret;
	}
	return -1;
}

TEST_F(reuse, victim_stays_intact)
{
	struct region *region = &self->region;
	struct extents freed;
	struct writer *writer;
	uint64_t got;
	size_t size;
	int error;

	file_extents(region->fd, variant->first * PAGE, variant->nr * PAGE,
		     &freed);
	ASSERT_EQ(variant->nr * PAGE, extents_size(&freed));

	writer = writer_start(self->bench.nic, region->mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));

	ASSERT_EQ(0, free_blocks(region, variant->by));
	size = victim_grow(self->victim, &freed, &got);
	TH_LOG("another file has %lu of %lu freed pages", got / PAGE,
	       variant->nr);
	ASSERT_LE(variant->nr / 4, got / PAGE);

	error = writer_wait(writer, 3);
	EXPECT_EQ(0, error)
		TH_LOG("traffic: %s", conn_error(error));
	EXPECT_EQ(0, writer_stop(writer));

	EXPECT_EQ(-1, victim_damage(self->victim, size));
	EXPECT_EQ(-1, victim_disclosure(&self->bench, region->mr,
					variant->first, variant->nr));
}

TEST_HARNESS_MAIN
