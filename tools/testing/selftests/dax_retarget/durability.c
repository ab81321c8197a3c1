// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data that a device wrote is durable once the file is synced, in whatever way,
 * and once the region is gone.
 *
 * A device writes through the CPU caches and tells nobody: no page table entry,
 * no DAX entry is dirty afterwards. So each write-back of a file has to write
 * back all pages that a device can write to. The witness is not the kernel's
 * word: a probe on the function that writes cache lines back says for which
 * memory the kernel calls it. The CPU's own stores are made durable before, so
 * that all later write-back is for the device's sake.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_trace.h"
#include "lib_writeback.h"

#define PAGES	24UL	/* of the file */
#define FIRST	4UL	/* what is registered */
#define NR	16UL
#define LOST	9UL	/* what is punched out of that */
#define NR_LOST	2UL

#ifndef MAP_SYNC
#define MAP_SYNC	0x80000
#endif

/* A file of which a part is registered */
struct target {
	struct bench bench;
	int write_cache;
	int fd;
	char *map;
	struct ibv_mr *mr;
	uint64_t phys[PAGES];
	bool expect[PAGES];	/* pages that have to be written back */
	bool can_punch;
	struct write_backs seen;
};

static void expect_pages(struct target *t, unsigned long first,
			 unsigned long nr, bool value)
{
	unsigned long i;

	for (i = first; i < first + nr; i++)
		t->expect[i] = value;
}

static void target_register(struct target *t)
{
	t->mr = nic_register(t->bench.nic, t->map + FIRST * PAGE, NR * PAGE);
	if (!t->mr)
		die("cannot register");
	expect_pages(t, FIRST, NR, true);
}

static void target_deregister(struct target *t)
{
	if (t->mr)
		nic_deregister(t->mr);
	t->mr = NULL;
}

static const char *target_open(struct target *t)
{
	const char *missing = bench_open(&t->bench);
	unsigned long i;

	if (missing)
		return missing;
	t->can_punch = !punch_missing();
	t->fd = file_create("file", PAGES * PAGE, FILLED);
	t->map = file_map(t->fd, 0, PAGES * PAGE);
	t->write_cache = write_cache_get(t->fd);
	missing = write_backs_open(t->fd);
	if (missing)
		return missing;
	for (i = 0; i < PAGES; i++)
		t->phys[i] = physical_address(t->map + i * PAGE);
	target_register(t);
	return NULL;
}

static void target_unmap(struct target *t)
{
	if (t->map)
		munmap(t->map, PAGES * PAGE);
	t->map = NULL;
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

/* Returns whether nothing is left in the kernel */
static bool target_close(struct target *t)
{
	int dir = folder_open();

	ioctl(dir, FITHAW, 0);
	write_cache_set(dir, t->write_cache);
	close(dir);
	target_deregister(t);
	target_unmap(t);
	write_backs_close();
	return bench_close(&t->bench);
}

static void device_writes(struct target *t, struct ibv_mr *mr,
			  unsigned long nr)
{
	int error = conn_write_pages(t->bench.conn, mr, 0, nr, DEVICE);

	if (error)
		die("the device cannot write: %s", conn_error(error));
}

/* Lost pages make a test harder. ext2 cannot punch */
static void expect_punched(struct target *t)
{
	if (t->can_punch)
		expect_pages(t, LOST, NR_LOST, false);
}

static void punch(struct target *t)
{
	if (t->can_punch &&
	    file_punch(t->fd, LOST * PAGE, NR_LOST * PAGE))
		die("cannot punch");
	expect_punched(t);
}

/* The CPU caches hold no store of the CPU any more */
static void clean_for_cpu(int fd)
{
	if (fsync(fd))
		die("cannot sync");
}

/* The device writes: what is written back from now on is for its sake */
static void watch_writes(struct target *t, struct ibv_mr *mr, unsigned long nr)
{
	clean_for_cpu(t->fd);
	device_writes(t, mr, nr);
	write_backs_start(&t->seen);
}

static unsigned long missed_pages(struct __test_metadata *_metadata,
				  const unsigned int *times, const bool *expect,
				  unsigned long nr)
{
	unsigned long i, missed = 0;

	for (i = 0; i < nr; i++) {
		if (expect[i] && !times[i] && !missed++)
			TH_LOG("NOT WRITTEN BACK: page %lu, at least", i);
	}
	return missed;
}

/* The kernel wrote back the pages that it had to, and no other */
static void check_pages(struct __test_metadata *_metadata,
			const struct write_backs *seen, const bool *expect,
			unsigned long nr)
{
	unsigned long i, needless = 0;

	for (i = 0; i < nr; i++) {
		if (!expect[i] && seen->times[i] && !needless++)
			TH_LOG("page %lu at least was written back without need",
			       i);
	}
	EXPECT_EQ(0, missed_pages(_metadata, seen->times, expect, nr));
	EXPECT_EQ(0, needless);
	/* The counter and the event that administrators see agree */
	EXPECT_EQ(seen->total, seen->counted);
	EXPECT_EQ(seen->total, seen->announced);
	EXPECT_EQ(0, seen->by_entries);
}

/* The memory controller may still hold what caches wrote back before a flush */
static void check_flushed(struct __test_metadata *_metadata,
			  const struct write_backs *seen)
{
	EXPECT_TRUE(seen->flushed)
		TH_LOG("MEDIUM NOT FLUSHED after the last write-back");
}

static void check(struct __test_metadata *_metadata, struct target *t)
{
	write_backs_stop(&t->seen, t->phys, PAGES);
	check_pages(_metadata, &t->seen, t->expect, PAGES);
}

/* Ways to have the file durable as a whole */

static int sync_fsync(struct target *t)
{
	return fsync(t->fd);
}

static int sync_fdatasync(struct target *t)
{
	return fdatasync(t->fd);
}

static int sync_read_only_descriptor(struct target *t)
{
	int fd = file_open("file", O_RDONLY);
	int ret = fsync(fd);

	close(fd);
	return ret;
}

static int sync_msync(struct target *t)
{
	return msync(t->map, PAGES * PAGE, MS_SYNC);
}

/* By a mapping and a descriptor that are newer than the pin */
static int sync_msync_again(struct target *t)
{
	int fd = file_open("file", O_RDWR);
	void *map = file_map(fd, 0, PAGES * PAGE);
	int ret = msync(map, PAGES * PAGE, MS_SYNC);

	munmap(map, PAGES * PAGE);
	close(fd);
	return ret;
}

static int sync_after_unmap(struct target *t)
{
	target_unmap(t);
	t->fd = file_open("file", O_RDWR);
	return fsync(t->fd);
}

static int sync_syncfs(struct target *t)
{
	int dir = folder_open();
	int ret = syncfs(dir);

	close(dir);
	return ret;
}

/* Only the pin knows the file */
static int sync_syncfs_after_unmap(struct target *t)
{
	int ret;

	target_unmap(t);
	ret = sync_syncfs(t);
	t->fd = file_open("file", O_RDWR);
	return ret;
}

static int sync_sync(struct target *t)
{
	sync();
	return 0;
}

static int sync_freeze(struct target *t)
{
	int dir = folder_open();
	int ret = ioctl(dir, FIFREEZE, 0);

	if (!ret)
		ret = ioctl(dir, FITHAW, 0);
	close(dir);
	return ret;
}

FIXTURE(durability)
{
	struct target t;
};

FIXTURE_VARIANT(durability)
{
	int (*sync)(struct target *t);
};

#define BY(way)					\
	FIXTURE_VARIANT_ADD(durability, way)	\
	{					\
		.sync = sync_##way,		\
	}

BY(fsync);
BY(fdatasync);
BY(read_only_descriptor);
BY(msync);
BY(msync_again);
BY(after_unmap);
BY(syncfs);
BY(syncfs_after_unmap);
BY(sync);
BY(freeze);

FIXTURE_SETUP(durability)
{
	SKIP_IF(return, target_open(&self->t));
}

FIXTURE_TEARDOWN(durability)
{
	EXPECT_TRUE(target_close(&self->t));
}

TEST_F(durability, of_the_whole_file)
{
	struct target *t = &self->t;
	int round;

	punch(t);
	for (round = 0; round < 2; round++) {
		watch_writes(t, t->mr, NR);
		ASSERT_EQ(0, variant->sync(t))
			TH_LOG("%s", strerror(errno));
		check(_metadata, t);
		check_flushed(_metadata, &t->seen);
	}
}

FIXTURE(durable)
{
	struct target t;
};

FIXTURE_SETUP(durable)
{
	SKIP_IF(return, target_open(&self->t));
}

FIXTURE_TEARDOWN(durable)
{
	EXPECT_TRUE(target_close(&self->t));
}

/* Only the range is written back, and its two ends are within pages */
TEST_F(durable, part_by_msync)
{
	struct target *t = &self->t;

	expect_pages(t, 0, PAGES, false);
	expect_pages(t, FIRST + 2, 3, true);
	watch_writes(t, t->mr, NR);
	ASSERT_EQ(0, msync(t->map + (FIRST + 2) * PAGE, 2 * PAGE + 1, MS_SYNC));
	check(_metadata, t);

	/* A range that begins before what is registered */
	expect_pages(t, 0, PAGES, false);
	expect_pages(t, FIRST, 1, true);
	write_backs_start(&t->seen);
	ASSERT_EQ(0, msync(t->map, (FIRST + 1) * PAGE, MS_SYNC));
	check(_metadata, t);

	/* A range without a registered page */
	expect_pages(t, 0, PAGES, false);
	write_backs_start(&t->seen);
	ASSERT_EQ(0, msync(t->map, FIRST * PAGE, MS_SYNC));
	check(_metadata, t);
}

/* Where the IOMMU tells what the device wrote, a sync costs what was written */
TEST_F(durable, only_what_was_written)
{
	struct target *t = &self->t;
	int round;

	if (!tracks_writes())
		SKIP(return, "the IOMMU does not tell what the device wrote");
	clean_for_cpu(t->fd);
	for (round = 0; round < 3; round++) {
		expect_pages(t, 0, PAGES, false);
		expect_pages(t, FIRST + 5 + round, 2, true);
		ASSERT_EQ(0, conn_write_pages(t->bench.conn, t->mr, 5 + round,
					      2, DEVICE));
		write_backs_start(&t->seen);
		ASSERT_EQ(0, fsync(t->fd));
		check(_metadata, t);
		check_flushed(_metadata, &t->seen);

		/* Nothing was written since */
		expect_pages(t, 0, PAGES, false);
		write_backs_start(&t->seen);
		ASSERT_EQ(0, fsync(t->fd));
		check(_metadata, t);
	}

	/* The end of the region finds the last write */
	expect_pages(t, FIRST + 1, 1, true);
	ASSERT_EQ(0, conn_write_pages(t->bench.conn, t->mr, 1, 1, DEVICE));
	write_backs_start(&t->seen);
	target_deregister(t);
	check(_metadata, t);
}

/* An O_DSYNC write makes its range durable, with what others wrote there */
TEST_F(durable, part_by_synchronous_write)
{
	struct target *t = &self->t;
	int fd = file_open("file", O_RDWR | O_DSYNC);
	const unsigned long page = FIRST + 3;
	uint64_t word = 0;

	watch_writes(t, t->mr, NR);
	ASSERT_EQ(sizeof(word), pwrite(fd, &word, sizeof(word),
				       page * PAGE + PAGE / 2));
	write_backs_stop(&t->seen, t->phys, PAGES);
	EXPECT_LE(1, t->seen.times[page])
		TH_LOG("NOT WRITTEN BACK: page %lu", page);
	EXPECT_LE(1, t->seen.counted);
	close(fd);
}

/* The sync of one file writes back no page of another */
TEST_F(durable, other_file_by_fsync)
{
	struct target *t = &self->t;
	int fd = file_create("other", PAGE, FILLED);

	expect_pages(t, 0, PAGES, false);
	watch_writes(t, t->mr, NR);
	ASSERT_EQ(0, fsync(fd));
	check(_metadata, t);
	close(fd);
}

/* Faults of such a mapping make the block map durable, not what is in blocks */
TEST_F(durable, synchronous_mapping)
{
	struct target *t = &self->t;
	void *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED_VALIDATE | MAP_SYNC, t->fd, 0);

	if (map == MAP_FAILED)
		SKIP(return, "no MAP_SYNC here: %s", strerror(errno));
	target_deregister(t);
	munmap(t->map, PAGES * PAGE);
	t->map = map;
	target_register(t);

	watch_writes(t, t->mr, NR);
	ASSERT_EQ(0, fsync(t->fd));
	check(_metadata, t);

	device_writes(t, t->mr, NR);
	write_backs_start(&t->seen);
	ASSERT_EQ(0, msync(map, PAGES * PAGE, MS_SYNC));
	check(_metadata, t);
}

/*
 * One region of memory, then the second half of the file, then the first: an
 * index in the region is no offset in the file.
 */
TEST_F(durable, region_out_of_order)
{
	const unsigned long half = PAGES / 2;
	struct target *t = &self->t;
	struct ibv_mr *mr;
	char *map;

	SKIP_IF(return, mixed_missing());
	target_deregister(t);
	map = mmap(NULL, (PAGES + 2) * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)map);
	ASSERT_NE(MAP_FAILED, mmap(map + 2 * PAGE, half * PAGE,
				   PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, t->fd,
				   half * PAGE));
	ASSERT_NE(MAP_FAILED, mmap(map + (2 + half) * PAGE, half * PAGE,
				   PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, t->fd, 0));
	mr = nic_register(t->bench.nic, map, (PAGES + 2) * PAGE);
	ASSERT_NE(NULL, mr);

	punch(t);
	expect_pages(t, 0, PAGES, false);
	expect_pages(t, LOST - 2, 8, true);
	expect_punched(t);
	watch_writes(t, mr, PAGES + 2);
	ASSERT_EQ(0, msync(t->map + (LOST - 2) * PAGE, 8 * PAGE, MS_SYNC));
	check(_metadata, t);

	nic_deregister(mr);
	munmap(map, (PAGES + 2) * PAGE);
}

/* A page is written back as long as one region is left that it is in */
TEST_F(durable, page_in_two_regions)
{
	struct target *t = &self->t;
	struct ibv_mr *mr = nic_register(t->bench.nic, t->map, PAGES * PAGE);

	ASSERT_NE(NULL, mr);
	target_deregister(t);
	expect_pages(t, 0, PAGES, true);
	watch_writes(t, mr, PAGES);
	ASSERT_EQ(0, fsync(t->fd));
	check(_metadata, t);
	nic_deregister(mr);
}

/* The end of a region writes back, as no later sync finds its pages */
TEST_F(durable, by_deregistration)
{
	struct target *t = &self->t;

	punch(t);
	watch_writes(t, t->mr, NR);
	target_deregister(t);
	check(_metadata, t);

	/* A later sync does not write them back again */
	expect_pages(t, 0, PAGES, false);
	write_backs_start(&t->seen);
	ASSERT_EQ(0, fsync(t->fd));
	check(_metadata, t);
}

/* The next sync, of whatever file, has to flush the medium for that */
TEST_F(durable, flushed_after_deregistration)
{
	struct target *t = &self->t;

	/* A log that has something to write flushes the medium, too */
	folder_sync();
	watch_writes(t, t->mr, NR);
	target_deregister(t);
	ASSERT_EQ(0, sync_syncfs(t));
	check(_metadata, t);
	check_flushed(_metadata, &t->seen);
}

TEST_F(durable, by_deregistration_after_unmap)
{
	struct target *t = &self->t;

	clean_for_cpu(t->fd);
	target_unmap(t);
	device_writes(t, t->mr, NR);
	write_backs_start(&t->seen);
	target_deregister(t);
	check(_metadata, t);
}

/* The end of a process that is killed writes back as well */
TEST_F(durable, by_death)
{
	struct target *t = &self->t;
	int ready[2], status;
	struct stats before, now;
	pid_t pid;
	char c;

	target_deregister(t);
	stats_read(&before);
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		t->bench.nic = nic_open(nic_of_child());
		t->bench.conn = conn_open(t->bench.nic);
		target_register(t);
		punch(t);
		clean_for_cpu(t->fd);
		device_writes(t, t->mr, NR);
		if (write(ready[1], "x", 1) != 1)
			die("cannot tell");
		while (1)
			pause();
	}
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &c, 1));
	close(ready[0]);
	expect_pages(t, FIRST, NR, true);
	expect_punched(t);

	write_backs_start(&t->seen);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(stats_wait(&before, &now));
	check(_metadata, t);
}

/* A device that only reads makes no page dirty */
TEST_F(durable, nothing_for_read_only_regions)
{
	struct target *t = &self->t;
	struct ibv_mr *mr;

	target_deregister(t);
	mr = nic_register_read_only(t->bench.nic, t->map, PAGES * PAGE);
	ASSERT_NE(NULL, mr);
	clean_for_cpu(t->fd);
	expect_pages(t, 0, PAGES, false);
	write_backs_start(&t->seen);
	ASSERT_EQ(0, fsync(t->fd));
	ASSERT_EQ(0, msync(t->map, PAGES * PAGE, MS_SYNC));
	nic_deregister(mr);
	check(_metadata, t);
}

/* Caches that a power failure writes back need no write-back by the kernel */
TEST_F(durable, nothing_where_caches_persist)
{
	struct target *t = &self->t;

	target_deregister(t);
	write_cache_set(t->fd, 0);
	target_register(t);
	expect_pages(t, 0, PAGES, false);
	watch_writes(t, t->mr, NR);
	ASSERT_EQ(0, fsync(t->fd));
	target_deregister(t);
	check(_metadata, t);
}

TEST_F(durable, by_umount)
{
	struct target *t = &self->t;
	struct mount_info mount;

	SKIP_IF(return, umount_missing(&mount));
	punch(t);
	clean_for_cpu(t->fd);
	target_unmap(t);
	device_writes(t, t->mr, NR);
	write_backs_start(&t->seen);
	ASSERT_EQ(0, umount(mount.dir));
	write_backs_stop(&t->seen, t->phys, PAGES);
	mount_again(&mount);
	EXPECT_EQ(0, missed_pages(_metadata, t->seen.times, t->expect, PAGES));

	/* What the device writes now is not in the file system */
	device_writes(t, t->mr, NR);
	expect_pages(t, 0, PAGES, false);
	write_backs_start(&t->seen);
	target_deregister(t);
	check(_metadata, t);
}

/*
 * Some pages that a pin loses keep their blocks in use, elsewhere in the file
 * or in the next life of the inode. No later sync of the file finds the
 * device's last writes to them. So the kernel writes these pages back once the
 * device cannot reach them any more.
 */
FIXTURE(moved)
{
	struct target t;
	struct mount_info mount;
};

FIXTURE_VARIANT(moved)
{
	int mode;		/* of fallocate(), or 0 to unmount */
	unsigned long kept;	/* first page that is lost, but for its block */
	bool deleted;		/* the file has no name any more */
};

FIXTURE_VARIANT_ADD(moved, collapse)
{
	.mode = FALLOC_FL_COLLAPSE_RANGE,
	.kept = LOST + NR_LOST,
};

FIXTURE_VARIANT_ADD(moved, collapse_deleted)
{
	.mode = FALLOC_FL_COLLAPSE_RANGE,
	.kept = LOST + NR_LOST,
	.deleted = true,
};

FIXTURE_VARIANT_ADD(moved, insert)
{
	.mode = FALLOC_FL_INSERT_RANGE,
	.kept = LOST,
};

FIXTURE_VARIANT_ADD(moved, umount)
{
	.kept = FIRST,
};

FIXTURE_SETUP(moved)
{
	SKIP_IF(return, target_open(&self->t));
	if (variant->mode && !folder_can(variant->mode))
		SKIP(return, "the file system cannot do it");
	if (!variant->mode)
		SKIP_IF(return, umount_missing(&self->mount));
}

FIXTURE_TEARDOWN(moved)
{
	EXPECT_TRUE(target_close(&self->t));
}

TEST_F(moved, written_back_after_the_last_dma)
{
	struct target *t = &self->t;
	struct writer *writer;

	if (variant->deleted)
		file_unlink("file");
	clean_for_cpu(t->fd);
	expect_pages(t, 0, PAGES, false);
	expect_pages(t, variant->kept, FIRST + NR - variant->kept, true);
	writer = writer_start(t->bench.nic, t->mr, NR, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));

	if (!variant->mode)
		target_unmap(t);
	write_backs_start(&t->seen);
	if (variant->mode) {
		ASSERT_EQ(0, fallocate(t->fd, variant->mode, LOST * PAGE,
				       NR_LOST * PAGE));
	} else {
		ASSERT_EQ(0, umount(self->mount.dir));
		mount_again(&self->mount);
		t->fd = file_open("file", O_RDWR);
	}
	ASSERT_EQ(0, fsync(t->fd));
	write_backs_stop(&t->seen, t->phys, PAGES);
	EXPECT_EQ(0, writer_stop(writer));
	/* Unmounting syncs first. A page to which nothing was written since is clean */
	EXPECT_EQ(0, missed_pages(_metadata, tracks_writes() && !variant->mode ?
				  t->seen.times : t->seen.after, t->expect,
				  PAGES));
}

/*
 * DAX knows of dirty memory by entries, one for each page or each 2M. Punching
 * a page out of 2M drops the entry of the 511 that stay.
 */
FIXTURE(entries)
{
	struct bench bench;
	int write_cache;
	int fd;
	char *map;
	uint64_t pos;
	struct ibv_mr *mr;
	uint64_t *phys;
	bool *expect;
	struct write_backs seen;
};

FIXTURE_VARIANT(entries)
{
	bool others;	/* does the file have any entry at all? */
	bool by_syncfs;
};

FIXTURE_VARIANT_ADD(entries, none_fsync)
{
};

FIXTURE_VARIANT_ADD(entries, none_syncfs)
{
	.by_syncfs = true,
};

FIXTURE_VARIANT_ADD(entries, others_fsync)
{
	.others = true,
};

#define HOLE	100UL

FIXTURE_SETUP(entries)
{
	unsigned long i;

	SKIP_IF(return, bench_open(&self->bench) ?: punch_missing());
	self->fd = file_create_aligned("file", PAGE_2M, &self->pos);
	if (self->fd < 0)
		SKIP(return, "the file system has no aligned run of 2 MiB");
	/* The first page may have an entry of its own, from the search */
	if (lseek(self->fd, 0, SEEK_END) >= (off_t)(self->pos + 2 * PAGE_2M))
		self->pos += PAGE_2M;
	file_fill(self->fd, self->pos, PAGE_2M, FILLED);
	self->map = file_map_aligned(self->fd, self->pos, PAGE_2M, PAGE_2M);
	self->write_cache = write_cache_get(self->fd);
	SKIP_IF(return, write_backs_open(self->fd));
	self->phys = calloc(512, sizeof(*self->phys));
	self->expect = calloc(512, sizeof(*self->expect));
	for (i = 0; i < 512; i++)
		self->expect[i] = true;
}

FIXTURE_TEARDOWN(entries)
{
	write_cache_set(self->fd, self->write_cache);
	if (self->mr)
		nic_deregister(self->mr);
	munmap(self->map, PAGE_2M);
	close(self->fd);
	write_backs_close();
	EXPECT_TRUE(bench_close(&self->bench));
}

/* Have the 2M mapped as one; false if the kernel did otherwise */
static bool fault_2m(char *map)
{
	struct trace_event event;
	bool done = false;
	FILE *trace;

	if (!trace_enable("fs_dax/dax_pmd_fault_done"))
		die("no event for faults of 2 MiB");
	trace_clear();
	*(volatile char *)map = *(volatile char *)map;
	trace = trace_begin();
	while (trace_next(trace, &event)) {
		if (!strcmp(event.name, "dax_pmd_fault_done"))
			done = strstr(event.fields, "NOPAGE");
	}
	return done;
}

TEST_F(entries, of_pages_without)
{
	unsigned long i;
	int round, dir;

	ASSERT_TRUE(fault_2m(self->map))
		TH_LOG("the file is not mapped as 2 MiB");
	self->mr = nic_register(self->bench.nic, self->map, PAGE_2M);
	ASSERT_NE(NULL, self->mr);
	for (i = 0; i < 512; i++)
		self->phys[i] = physical_address(self->map) + i * PAGE;

	clean_for_cpu(self->fd);
	ASSERT_EQ(0, file_punch(self->fd, self->pos + HOLE * PAGE, PAGE));
	if (tracks_writes()) {
		for (i = 0; i < 512; i++)
			self->expect[i] = i + 1 >= HOLE && i <= HOLE + 1;
	}
	self->expect[HOLE] = false;
	if (variant->others) {
		self->map[(HOLE + 1) * PAGE] = 1;
		clean_for_cpu(self->fd);
	}

	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, conn_write_pages(self->bench.conn, self->mr,
					      HOLE - 1, 3, DEVICE));
		dir = folder_open();
		write_backs_start(&self->seen);
		ASSERT_EQ(0, variant->by_syncfs ? syncfs(dir) :
						  fsync(self->fd));
		write_backs_stop(&self->seen, self->phys, 512);
		close(dir);
		check_pages(_metadata, &self->seen, self->expect, 512);
		check_flushed(_metadata, &self->seen);
	}

	if (tracks_writes())
		memset(self->expect, 0, 512 * sizeof(*self->expect));
	write_backs_start(&self->seen);
	nic_deregister(self->mr);
	self->mr = NULL;
	write_backs_stop(&self->seen, self->phys, 512);
	check_pages(_metadata, &self->seen, self->expect, 512);
}

/* Everything at a time: syncs meet regions that begin, lose pages and end */
FIXTURE(race)
{
	struct target t;
	bool stop;
};

FIXTURE_SETUP(race)
{
	SKIP_IF(return, target_open(&self->t));
}

FIXTURE_TEARDOWN(race)
{
	EXPECT_TRUE(target_close(&self->t));
}

static bool race_goes_on(FIXTURE_DATA(race) * self)
{
	return !__atomic_load_n(&self->stop, __ATOMIC_ACQUIRE);
}

static void *race_fsync(void *arg)
{
	FIXTURE_DATA(race) * self = arg;

	while (race_goes_on(self))
		if (fsync(self->t.fd) ||
		    msync(self->t.map, PAGES * PAGE, MS_SYNC))
			die("cannot sync");
	return NULL;
}

static void *race_syncfs(void *arg)
{
	FIXTURE_DATA(race) * self = arg;
	int dir = folder_open();

	while (race_goes_on(self))
		if (syncfs(dir))
			die("cannot sync the file system");
	close(dir);
	return NULL;
}

static void *race_punch(void *arg)
{
	FIXTURE_DATA(race) * self = arg;
	unsigned long page = 0;

	while (self->t.can_punch && race_goes_on(self)) {
		if (file_punch(self->t.fd, page * PAGE, 2 * PAGE))
			die("cannot punch");
		page = (page + 5) % (PAGES - 1);
		sleep_ms(2);
	}
	return NULL;
}

TEST_F_TIMEOUT(race, of_syncs, 240)
{
	static void *(*const parts[])(void *) = {
		race_fsync, race_syncfs, race_punch,
	};
	const unsigned int nr = ARRAY_SIZE(parts);
	struct target *t = &self->t;
	uint64_t end = now_ms() + 5000;
	unsigned long rounds = 0;
	pthread_t threads[nr];
	unsigned int i;

	for (i = 0; i < nr; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, parts[i], self));
	while (now_ms() < end || rounds < 5) {
		target_deregister(t);
		target_register(t);
		device_writes(t, t->mr, NR);
		rounds++;
	}
	__atomic_store_n(&self->stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
	TH_LOG("%lu regions", rounds);

	/* A sync after the race writes back as one before it */
	target_deregister(t);
	file_fill(t->fd, 0, PAGES * PAGE, FILLED);
	for (i = 0; i < PAGES; i++)
		t->phys[i] = physical_address(t->map + i * PAGE);
	target_register(t);
	watch_writes(t, t->mr, NR);
	ASSERT_EQ(0, fsync(t->fd));
	check(_metadata, t);
}

TEST_HARNESS_MAIN
