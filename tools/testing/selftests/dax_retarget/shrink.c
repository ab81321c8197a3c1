// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory pressure evicts inodes that nobody uses, and eviction takes all pages
 * of a file back from devices. So an inode with pins stays, even if no DAX
 * entry keeps it: a small hole in a 2 MiB entry drops the entry of 511 pages
 * that are still pinned. Once the pins are gone, the inode can go as any other.
 *
 * The tests find out by themselves that the inodes would have gone.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib_harness.h"

#define PAGES		512UL
#define HOLE		100UL	/* page that is punched out */
#define SAMPLE		8UL	/* pages looked at, on both sides of it */
#define FILES		4UL	/* that are pinned */
#define BYSTANDERS	2000UL	/* that give the kernel something to evict */

static void drop_caches(const char *what)
{
	int i;

	sync();
	/* One that was used lately gets a second chance */
	for (i = 0; i < 4; i++)
		write_file("/proc/sys/vm/drop_caches", what);
}

static long nr_inodes(void)
{
	FILE *f = fopen("/proc/sys/fs/inode-nr", "r");
	long nr;

	if (!f || fscanf(f, "%ld", &nr) != 1)
		die("cannot count inodes");
	fclose(f);
	return nr;
}

/* How many inodes are left when all that can go have gone */
static long nr_inodes_in_use(void)
{
	long nr = -1, before;
	int rounds = 0;

	do {
		before = nr;
		drop_caches("2");
		sleep_ms(200);
		nr = nr_inodes();
	} while (nr != before && rounds++ < 20);
	return nr;
}

/*
 * Have the kernel look for memory everywhere until few of the younger inodes are
 * left: by then it has looked at the pinned ones.
 */
static void reclaim_all(struct cgroup *group, long few)
{
	char path[128];
	int fd, i;

	snprintf(path, sizeof(path), "%s/memory.reclaim", group->root);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		die("cannot open %s", path);
	/* There is not that much: EAGAIN */
	for (i = 0; i < 4 && nr_inodes() > few; i++)
		if (write(fd, "16G", 3) < 0 && errno != EAGAIN)
			die("cannot reclaim");
	close(fd);
}

enum pressure {
	DROP_INODES,
	DROP_ALL,
	RECLAIM,
};

FIXTURE(shrink)
{
	struct bench bench;
	struct cgroup group;
	struct {
		char name[16];
		uint64_t pos;	/* of the region in the file */
		struct region region;
	} file[FILES];
};

FIXTURE_VARIANT(shrink)
{
	enum pressure by;
	bool has_entries;
};

FIXTURE_VARIANT_ADD(shrink, drop_inodes) {
	.by = DROP_INODES,
};

FIXTURE_VARIANT_ADD(shrink, drop_all) {
	.by = DROP_ALL,
};

/* Not dirty, so that nothing but the entries says that they are in use */
FIXTURE_VARIANT_ADD(shrink, drop_all_with_entries) {
	.by = DROP_ALL,
	.has_entries = true,
};

FIXTURE_VARIANT_ADD(shrink, reclaim) {
	.by = RECLAIM,
};

FIXTURE_SETUP(shrink)
{
	SKIP_IF(return, bench_open(&self->bench) ?: group_open(&self->group));
}

static void deregister_all(FIXTURE_DATA(shrink) * self)
{
	unsigned long i;

	for (i = 0; i < FILES; i++)
		region_deregister(&self->file[i].region);
}

FIXTURE_TEARDOWN(shrink)
{
	deregister_all(self);
	group_close(&self->group);
	EXPECT_TRUE(bench_close(&self->bench));
}

/*
 * Pin 2 MiB of each file as one entry, take the entry away without its pages,
 * and close the file. Returns false if there are no blocks for a large entry.
 */
static bool pin_files(FIXTURE_DATA(shrink) * self, bool has_entries)
{
	struct region *region;
	unsigned long i;
	uint64_t *pos;
	char *name;

	for (i = 0; i < FILES; i++) {
		region = &self->file[i].region;
		pos = &self->file[i].pos;
		name = self->file[i].name;
		snprintf(name, sizeof(self->file[i].name), "file%lu", i);
		if (!region_open_aligned(&self->bench, region, name, PAGE_2M,
					 pos))
			return false;
		if (!has_entries &&
		    file_punch(region->fd, *pos + HOLE * PAGE, PAGE))
			die("cannot punch");
		if (fsync(region->fd))
			die("cannot sync");
		region_unmap(region);
	}
	return true;
}

/* Does the device still reach the file, around the hole and at its end? */
static bool still_coherent(FIXTURE_DATA(shrink) * self, unsigned long i)
{
	static const unsigned long first[] = {
		HOLE - SAMPLE, HOLE + 1, PAGES - SAMPLE,
	};
	int fd = file_open(self->file[i].name, O_RDWR);
	bool coherent = true;
	unsigned int n;

	for (n = 0; n < ARRAY_SIZE(first); n++)
		coherent &= first_incoherent_page(&self->bench,
						  self->file[i].region.mr,
						  first[n], fd,
						  self->file[i].pos / PAGE +
						  first[n], SAMPLE) < 0;
	close(fd);
	return coherent;
}

static void create_bystanders(void)
{
	int dir = folder_open(), fd;
	char name[32];
	unsigned long i;

	for (i = 0; i < BYSTANDERS; i++) {
		snprintf(name, sizeof(name), "bystander%lu", i);
		fd = openat(dir, name, O_RDWR | O_CREAT, 0600);
		if (fd < 0)
			die("cannot create %s", name);
		close(fd);
	}
	close(dir);
}

/* 4000 files on a slow machine */
TEST_F_TIMEOUT(shrink, pinned_inode_stays, 240)
{
	long retargeted, before, left, pinned;
	unsigned long i, evicted;

	if (!pin_files(self, variant->has_entries))
		SKIP(return, "the file system has no 2 MiB of blocks in one piece, aligned");
	retargeted = stat_read("pages_retargeted");

	before = nr_inodes();
	create_bystanders();
	switch (variant->by) {
	case DROP_INODES:
		drop_caches("2");
		break;
	case DROP_ALL:
		drop_caches("3");
		break;
	case RECLAIM:
		sync();
		reclaim_all(&self->group, before + BYSTANDERS / 4);
		break;
	}
	left = nr_inodes() - before;
	TH_LOG("%ld of %lu other inodes are left", left, BYSTANDERS);
	ASSERT_GT((long)BYSTANDERS * 3 / 4, left)
		TH_LOG("there was no pressure on inodes");

	evicted = stat_read("pages_retargeted") - retargeted;
	EXPECT_EQ(0, evicted)
		TH_LOG("PINNED INODE EVICTED: %lu pages were taken from devices",
		       evicted);
	for (i = 0; i < FILES; i++) {
		EXPECT_TRUE(still_coherent(self, i))
			TH_LOG("the device has lost %s", self->file[i].name);
	}

	/* It is the pins that kept them */
	pinned = nr_inodes_in_use();
	EXPECT_EQ(0, stat_read("pages_retargeted") - retargeted);
	deregister_all(self);
	left = nr_inodes_in_use();
	/* Inodes of processes that end meanwhile may be among them */
	if (!variant->has_entries)
		EXPECT_LE((long)FILES, pinned - left);
}

TEST_HARNESS_MAIN
