// SPDX-License-Identifier: GPL-2.0-only
/*
 * What somebody does beside a file does not hold its truncation up, nor its
 * sync: a hook costs what the pages and pins of its own range cost. Each test has
 * the same hook with and without a burden that any reader of the file can make:
 * one page in very many ranges, much other memory in the same region, readers of
 * the list, pins of other files, pins for reading.
 *
 * Counters and windows tell where they can. Where a time is compared, the limit is
 * far above what is expected: emulated machines are slow and busy.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_netlink.h"

#define FILE_PAGES	4UL
#define FEW		256UL	/* ranges */
#define MANY		4096UL

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ULL + t.tv_nsec / 1000;
}

/* A page of a file, side by side, so often: each copy is a range of its own */
static void *map_side_by_side(int fd, uint64_t pos, unsigned long nr)
{
	char *start = mmap(NULL, nr * PAGE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	unsigned long i;

	if (start == MAP_FAILED)
		die("no address space");
	for (i = 0; i < nr; i++)
		if (mmap(start + i * PAGE, PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, pos) == MAP_FAILED)
			die("cannot map a page %lu times (vm.max_map_count?)",
			    nr);
	return start;
}

/* A hook, and what it cost */
struct cost {
	long flushes;
	long retargeted;
	long written_back;
	uint64_t us;
};

enum hook { TRUNCATE, PUNCH, COLLAPSE, REVOKE };

static const char *hook_missing(enum hook hook)
{
	static struct netlink netlink;

	switch (hook) {
	case TRUNCATE:
		return NULL;
	case PUNCH:
		return punch_missing();
	case COLLAPSE:
		return folder_can(FALLOC_FL_COLLAPSE_RANGE) ? NULL :
		       "the file system cannot collapse ranges";
	case REVOKE:
		return netlink_open(&netlink);
	}
	return NULL;
}

static int run_hook(int fd, enum hook hook)
{
	struct netlink netlink;
	int error;

	switch (hook) {
	case TRUNCATE:
		return ftruncate(fd, 0);
	case PUNCH:
		return file_punch(fd, 0, PAGE);
	case COLLAPSE:
		return fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE);
	case REVOKE:
		if (netlink_open(&netlink))
			die("no netlink");
		error = netlink_revoke_file(&netlink, fd);
		netlink_close(&netlink);
		errno = error;
		return error ? -1 : 0;
	}
	return -1;
}

static void measure(struct cost *cost, int fd, enum hook hook)
{
	cost->flushes = stat_read("flushes");
	cost->retargeted = stat_read("pages_retargeted");
	cost->written_back = stat_read("pages_flushed");
	cost->us = now_us();
	if (run_hook(fd, hook))
		die("the operation fails");
	cost->us = now_us() - cost->us;
	cost->flushes = stat_read("flushes") - cost->flushes;
	cost->retargeted = stat_read("pages_retargeted") - cost->retargeted;
	cost->written_back = stat_read("pages_flushed") - cost->written_back;
}

FIXTURE(ranges)
{
	struct bench bench;
};

FIXTURE_VARIANT(ranges)
{
	enum hook hook;
};

FIXTURE_VARIANT_ADD(ranges, truncate) { .hook = TRUNCATE };
FIXTURE_VARIANT_ADD(ranges, punch) { .hook = PUNCH };
FIXTURE_VARIANT_ADD(ranges, collapse) { .hook = COLLAPSE };
FIXTURE_VARIANT_ADD(ranges, revoke) { .hook = REVOKE };

FIXTURE_SETUP(ranges)
{
	SKIP_IF(return, bench_open(&self->bench) ?:
			hook_missing(variant->hook));
}

FIXTURE_TEARDOWN(ranges)
{
	EXPECT_TRUE(bench_close(&self->bench));
}

/* Have a page of a file in @nr ranges of one region, and take it back */
static void take_page_of_ranges(struct __test_metadata *_metadata,
				FIXTURE_DATA(ranges) * self, enum hook hook,
				unsigned long nr, struct cost *cost)
{
	/* Behind the page that leaves the file: its block stays */
	uint64_t pos = hook == COLLAPSE ? PAGE : 0;
	int fd = file_create("file", FILE_PAGES * PAGE, FILLED);
	void *map = map_side_by_side(fd, pos, nr);
	struct ibv_mr *mr = nic_register(self->bench.nic, map, nr * PAGE);

	ASSERT_NE(NULL, mr)
		TH_LOG("%lu ranges: %s", nr, strerror(errno));
	measure(cost, fd, hook);
	TH_LOG("%lu ranges: %ld taken back, %ld flushes, %ld written back, %lu us",
	       nr, cost->retargeted, cost->flushes, cost->written_back,
	       cost->us);
	EXPECT_EQ((long)nr, cost->retargeted);
	nic_deregister(mr);
	munmap(map, nr * PAGE);
	close(fd);
	file_unlink("file");
}

/* Neither flushes nor write-backs grow with the number of ranges */
TEST_F(ranges, of_one_page)
{
	struct cost few, many;

	take_page_of_ranges(_metadata, self, variant->hook, FEW, &few);
	take_page_of_ranges(_metadata, self, variant->hook, MANY, &many);
	/* An administrator's request goes from range to range */
	if (variant->hook == REVOKE)
		return;
	EXPECT_EQ(few.flushes, many.flushes)
		TH_LOG("FLUSHES GROW with the number of ranges");
	EXPECT_GE(2, many.flushes);
	EXPECT_EQ(few.written_back, many.written_back)
		TH_LOG("WRITE-BACKS GROW with the number of ranges");
	/* The rest grows no worse than they do */
	EXPECT_GE(4 * (MANY / FEW) * few.us + 100000, many.us);
}

/*
 * A region of a page of the victim's file and of other memory, which has no page
 * beside another one: each takes an entry of its own
 */
#define OTHER_PAGES	(256UL << 20 >> 12)
#define ROUNDS		5

FIXTURE(other_memory)
{
	struct bench bench;
	struct region region;
	struct region_thread thread;
	void *apart;	/* has the frames in between */
	bool stop;
	unsigned long rounds;
	int fd;
};

static void *map_memory(void *at, size_t len)
{
	void *map = mmap(at, len, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			 MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);

	if (map == MAP_FAILED)
		die("no memory");
	madvise(map, len, MADV_NOHUGEPAGE);
	return map;
}

FIXTURE_SETUP(other_memory)
{
	struct region *region = &self->region;
	unsigned long i;
	char *map;

	self->fd = -1;
	SKIP_IF(return, bench_open(&self->bench) ?: punch_missing());
	self->fd = file_create("file", FILE_PAGES * PAGE, FILLED);
	region->name = "file";
	region->fd = -1;
	region->len = (1 + OTHER_PAGES) * PAGE;
	map = map_memory(NULL, region->len);
	self->apart = map_memory(NULL, OTHER_PAGES * PAGE);
	for (i = 0; i < OTHER_PAGES; i++) {
		map[(1 + i) * PAGE] = 1;
		((char *)self->apart)[i * PAGE] = 1;
	}
	if (mmap(map, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 self->fd, 0) == MAP_FAILED)
		die("cannot map the file");
	region->map = map;
	self->thread.bench = &self->bench;
	self->thread.region = region;
	self->thread.len = region->len;
	self->thread.pages = 1;
}

FIXTURE_TEARDOWN(other_memory)
{
	if (!switches_missing())
		windows_close();
	if (self->fd >= 0) {
		region_close(&self->region);
		munmap(self->apart, OTHER_PAGES * PAGE);
		close(self->fd);
	}
	EXPECT_TRUE(bench_close(&self->bench));
}

static void *register_all_the_time(void *arg)
{
	FIXTURE_DATA(other_memory) * self = arg;

	while (!__atomic_load_n(&self->stop, __ATOMIC_RELAXED)) {
		self->region.mr = nic_register(self->bench.nic,
					       self->region.map,
					       self->region.len);
		if (!self->region.mr)
			die("cannot register");
		region_deregister(&self->region);
		__atomic_add_fetch(&self->rounds, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* The sum of the longest punch in each of some registrations by a thread, in us */
static uint64_t time_punches(FIXTURE_DATA(other_memory) * self,
			     unsigned long rounds)
{
	unsigned long round, last = 0;
	uint64_t start, took, longest = 0, sum = 0, word = 1;
	pthread_t thread;

	self->rounds = 0;
	self->stop = false;
	if (pthread_create(&thread, NULL, register_all_the_time, self))
		die("no thread");
	while (last < rounds) {
		if (pwrite(self->fd, &word, sizeof(word), 0) != sizeof(word))
			die("cannot write");
		start = now_us();
		if (file_punch(self->fd, 0, PAGE))
			die("cannot punch");
		took = now_us() - start;
		if (took > longest)
			longest = took;
		round = __atomic_load_n(&self->rounds, __ATOMIC_RELAXED);
		if (round == last)
			continue;
		sum += longest;
		longest = 0;
		last = round;
	}
	__atomic_store_n(&self->stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	return sum;
}

/* With as much to do for the thread, the page makes no difference to the file */
TEST_F(other_memory, registered_all_the_time)
{
	uint64_t without, with;
	void *map = self->region.map;

	/* The first page is not of the file */
	map_memory(map, PAGE);
	without = time_punches(self, ROUNDS);
	if (mmap(map, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 self->fd, 0) == MAP_FAILED)
		die("cannot map the file");
	with = time_punches(self, ROUNDS);
	TH_LOG("the longest punch takes %lu us, with a page in the region %lu us",
	       without / ROUNDS, with / ROUNDS);
	/* Held up, it would take as long as a registration. A busy machine adds some. */
	EXPECT_GE(5 * without, with)
		TH_LOG("HELD UP by other memory of the region");
}

/* The hooks do not wait for the window to close */
static void hooks_go_on(struct __test_metadata *_metadata,
			FIXTURE_DATA(other_memory) * self)
{
	long retargeted = stat_read("pages_retargeted");
	uint64_t start = now_ms();

	ASSERT_EQ(0, file_punch(self->fd, 0, PAGE));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	EXPECT_GE(5000, now_ms() - start)
		TH_LOG("HELD UP: hooks waited for %lu ms", now_ms() - start);
	EXPECT_FALSE(region_thread_done(&self->thread))
		TH_LOG("the window was closed");
	TH_LOG("%ld pages taken back",
	       stat_read("pages_retargeted") - retargeted);
}

TEST_F(other_memory, while_it_is_mapped)
{
	SKIP_IF(return, switches_missing());
	ASSERT_TRUE(switch_exists("delay_ms/mapping"));
	switch_write("delay_ms/mapping", WINDOW_MS / 2);
	region_register_begin(&self->thread, 0);
	/* Until it is in the window */
	sleep_ms(3000);
	hooks_go_on(_metadata, self);
	region_thread_end(&self->thread);
	ASSERT_NE(NULL, self->region.mr);

	/* What the device writes is not in the file, which has grown again */
	ASSERT_EQ(0, ftruncate(self->fd, PAGE));
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, self->region.mr, 0, 2,
				      DEVICE));
	EXPECT_EQ(-1, file_find_difference(self->fd, 0, PAGE, ZERO));
	EXPECT_EQ(-1, find_difference((char *)self->region.map + PAGE, PROBE,
				      DEVICE, PAGE));
}

TEST_F(other_memory, while_it_is_unmapped)
{
	struct region *region = &self->region;

	SKIP_IF(return, switches_missing());
	ASSERT_TRUE(switch_exists("delay_ms/unmapping"));
	region->mr = nic_register(self->bench.nic, region->map, region->len);
	ASSERT_NE(NULL, region->mr);
	switch_write("delay_ms/unmapping", WINDOW_MS / 2);
	region_deregister_begin(&self->thread, 0);
	sleep_ms(3000);
	hooks_go_on(_metadata, self);
	region_thread_end(&self->thread);
}

/* Threads that have all pins listed, over and over */
struct reader {
	pthread_t thread;
	bool stop;
	unsigned long dumps;
};

static void *read_list(void *arg)
{
	struct reader *reader = arg;
	struct netlink netlink;

	if (netlink_open(&netlink))
		die("no netlink");
	while (!__atomic_load_n(&reader->stop, __ATOMIC_RELAXED)) {
		if (netlink_dump(&netlink, DAX_RETARGET_CMD_PIN_GET, NULL,
				 NULL) < 0)
			die("no list");
		__atomic_add_fetch(&reader->dumps, 1, __ATOMIC_RELAXED);
	}
	netlink_close(&netlink);
	return NULL;
}

/* One page in many ranges is truncated. Returns how long that took, in us. */
static uint64_t truncate_ranges(struct bench *bench, bool read)
{
	struct reader reader = { 0 };
	int fd = file_create("file", FILE_PAGES * PAGE, FILLED);
	void *map = map_side_by_side(fd, 0, MANY);
	struct ibv_mr *mr = nic_register(bench->nic, map, MANY * PAGE);
	struct cost cost;

	if (!mr)
		die("cannot register");
	if (read) {
		if (pthread_create(&reader.thread, NULL, read_list, &reader))
			die("no thread");
		/* Into the middle of a dump */
		while (!__atomic_load_n(&reader.dumps, __ATOMIC_RELAXED))
			sleep_ms(10);
		sleep_ms(5);
	}
	measure(&cost, fd, TRUNCATE);
	if (read) {
		reader.stop = true;
		pthread_join(reader.thread, NULL);
	}
	nic_deregister(mr);
	munmap(map, MANY * PAGE);
	close(fd);
	file_unlink("file");
	return cost.us;
}

/* A file system without pins, in memory, that has nothing to write */
struct other {
	char dir[64];
	int fd;
};

static const char *other_open(struct other *other)
{
	char command[512];

	snprintf(other->dir, sizeof(other->dir), "/tmp/dax_retarget.XXXXXX");
	if (!mkdtemp(other->dir))
		return "cannot make a folder in /tmp";
	snprintf(command, sizeof(command),
		 "truncate -s 16M %s/image && mkfs.ext4 -q -O ^has_journal -E lazy_itable_init=0 %s/image && mkdir %s/mnt && mount -o loop,nobarrier %s/image %s/mnt",
		 other->dir, other->dir, other->dir, other->dir, other->dir);
	if (system(command))
		return "no file system on a loop device";
	snprintf(command, sizeof(command), "%s/mnt", other->dir);
	other->fd = open(command, O_RDONLY | O_DIRECTORY);
	return NULL;
}

static void other_close(struct other *other)
{
	char command[256];

	if (!other->dir[0])
		return;
	close(other->fd);
	snprintf(command, sizeof(command), "umount %s/mnt; rm -r %s",
		 other->dir, other->dir);
	if (system(command))
		die("cannot unmount %s", other->dir);
}

FIXTURE(bystanders)
{
	struct bench bench;
	struct other other;
};

FIXTURE_SETUP(bystanders)
{
	SKIP_IF(return, bench_open(&self->bench));
}

FIXTURE_TEARDOWN(bystanders)
{
	other_close(&self->other);
	EXPECT_TRUE(bench_close(&self->bench));
}

/* The better of two: a reader has a CPU of its own, but others share the machine */
static uint64_t best_truncate(struct bench *bench, bool read)
{
	uint64_t best = UINT64_MAX, us;
	int i;

	for (i = 0; i < 2; i++) {
		us = truncate_ranges(bench, read);
		if (us < best)
			best = us;
	}
	return best;
}

TEST_F(bystanders, read_the_list)
{
	struct netlink netlink;
	uint64_t alone, beside;

	SKIP_IF(return, netlink_open(&netlink));
	netlink_close(&netlink);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "a reader needs a CPU of its own");
	alone = best_truncate(&self->bench, false);
	beside = best_truncate(&self->bench, true);
	TH_LOG("%lu ranges: %lu us, beside a reader %lu us", MANY, alone,
	       beside);
	EXPECT_GE(4 * alone + 10000, beside)
		TH_LOG("HELD UP by a reader of the list");
}

/* The shortest of so many syncs, in us: the others were held up by the machine */
static uint64_t best_sync(int (*make_durable)(int fd), int fd, unsigned int nr)
{
	uint64_t best = UINT64_MAX, start, took;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		start = now_us();
		if (make_durable(fd))
			die("cannot sync");
		took = now_us() - start;
		if (took < best)
			best = took;
	}
	return best;
}

#define OTHER_FILES	500
#define SYNCS		50

/* Files that are pinned elsewhere are no business of a file system without any */
TEST_F(bystanders, pin_other_files)
{
	size_t len = OTHER_FILES * PAGE;
	uint64_t alone, beside;
	struct ibv_mr *mr;
	char *map, name[32];
	int fd, i;

	SKIP_IF(return, other_open(&self->other));
	alone = best_sync(syncfs, self->other.fd, SYNCS);
	/* All in one region, which takes less time to make */
	map = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)map);
	for (i = 0; i < OTHER_FILES; i++) {
		snprintf(name, sizeof(name), "other%d", i);
		fd = file_create(name, PAGE, ZERO);
		if (mmap(map + i * PAGE, PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			die("cannot map %s", name);
		close(fd);
	}
	mr = nic_register(self->bench.nic, map, len);
	ASSERT_NE(NULL, mr);
	beside = best_sync(syncfs, self->other.fd, SYNCS);
	TH_LOG("a sync: %lu us, beside %d pinned files %lu us", alone,
	       OTHER_FILES, beside);
	EXPECT_GE(2 * alone + 500, beside)
		TH_LOG("HELD UP by files of another file system");
	nic_deregister(mr);
	munmap(map, len);
}

/* A device that only reads leaves nothing to write back, however much it reads */
TEST_F(bystanders, pin_for_reading)
{
	long written_back = stat_read("pages_flushed");
	int fd = file_create("file", FILE_PAGES * PAGE, FILLED);
	uint64_t alone, beside;
	struct ibv_mr *mr;
	void *map;

	ASSERT_EQ(0, fsync(fd));
	alone = best_sync(fsync, fd, SYNCS);
	map = map_side_by_side(fd, 0, MANY);
	mr = nic_register_read_only(self->bench.nic, map, MANY * PAGE);
	ASSERT_NE(NULL, mr);
	/* The look-up made the page dirty */
	ASSERT_EQ(0, fsync(fd));
	beside = best_sync(fsync, fd, SYNCS);
	TH_LOG("a sync: %lu us, beside %lu ranges for reading %lu us", alone,
	       MANY, beside);
	EXPECT_EQ(0, stat_read("pages_flushed") - written_back);
	EXPECT_GE(2 * alone + 1000, beside)
		TH_LOG("HELD UP by pins for reading");
	nic_deregister(mr);
	munmap(map, MANY * PAGE);
	close(fd);
}

TEST_HARNESS_MAIN
