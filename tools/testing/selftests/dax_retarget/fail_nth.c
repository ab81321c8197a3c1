// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each allocation that registering or deregistering takes fails once, in turn,
 * as iommufd_fail_nth does it: the kernel counts the allocations of a task and
 * fails the nth. With CONFIG_DAX_RETARGET_TEST, each other step that can fail
 * does so, too. The error is one for the fault, nothing is left behind, and the
 * next try works. Operations that take pages back do not fail at all.
 *
 * Needs CONFIG_FAULT_INJECTION with CONFIG_FAILSLAB and CONFIG_FAIL_PAGE_ALLOC.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib_harness.h"

#define INJECTION	"/sys/kernel/debug/"
#define PAGES		24UL

/* More points than any scenario has: something loops */
#define MAX_POINTS	2000

FIXTURE(fail_nth)
{
	struct bench bench;
	int nth;	/* /proc/thread-self/fail-nth */
	unsigned long points;
	unsigned long failed;
	unsigned long steps;	/* points that are no allocation */
};

static void setting(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), INJECTION "%s", name);
	write_file(path, value);
}

FIXTURE_SETUP(fail_nth)
{
	SKIP_IF(return, bench_open(&self->bench));
	self->nth = open("/proc/thread-self/fail-nth", O_RDWR);
	if (self->nth < 0 || access(INJECTION "failslab", F_OK) ||
	    access(INJECTION "fail_page_alloc", F_OK))
		SKIP(return, "the kernel injects no faults");

	/* Also where the kernel would rather wait than fail, of any size */
	setting("failslab/ignore-gfp-wait", "N");
	setting("failslab/verbose", "0");
	setting("fail_page_alloc/ignore-gfp-wait", "N");
	setting("fail_page_alloc/min-order", "0");
	setting("fail_page_alloc/verbose", "0");
	if (!switches_missing())
		setting("dax_retarget/fail_dax_retarget/verbose", "0");
}

FIXTURE_TEARDOWN(fail_nth)
{
	if (self->nth >= 0)
		close(self->nth);
	TH_LOG("%lu points, %lu of them no allocation; %lu made it fail",
	       self->points, self->steps, self->failed);
	EXPECT_TRUE(bench_close(&self->bench));
}

static void arm(FIXTURE_DATA(fail_nth) *self, unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	if (pwrite(self->nth, text, len, 0) != len)
		die("cannot arm the injection");
}

/* Returns whether the fault happened, and disarms */
static bool disarm(FIXTURE_DATA(fail_nth) *self)
{
	char text[16] = "";
	int saved = errno;

	if (pread(self->nth, text, sizeof(text) - 1, 0) <= 0)
		die("cannot read the injection");
	arm(self, 0);
	errno = saved;
	return atoi(text) == 0;
}

/* With CONFIG_IOMMUFD_TEST, a fault also has iommufd not find what it looks for */
static bool iommufd_fault(int error)
{
	return error == ENOENT && !consumer_is_rdma();
}

static bool is_sensible(int error, bool step)
{
	if (iommufd_fault(error))
		return true;
	/* A step that fails is a refusal, or an error of the DMA API */
	if (step && (error == EOPNOTSUPP || error == EIO))
		return true;
	/* EFAULT: a page could not be brought in, as without DAX */
	return error == ENOMEM || error == EFAULT || error == EAGAIN;
}

static unsigned int steps_failed(void)
{
	return switches_missing() ? 0 : switch_read("steps_failed");
}

/*
 * Leaks of single failures add up to as many as there were failures; memory
 * that the kernel keeps for later does not.
 */
static bool nothing_leaked(struct __test_metadata *_metadata,
			   const struct leaks *before, unsigned long failures)
{
	long limit = failures > 16 ? failures / 2 : 8;
	uint64_t end = now_ms() + 3000;
	struct leaks now;
	bool leaked;
	int i;

	do {
		/* The IOMMU frees what it unmapped a little later */
		sleep_ms(100);
		leaks_read(&now);
		leaked = false;
		for (i = 0; i < NR_LEAKS; i++)
			leaked |= now.nr[i] - before->nr[i] >= limit;
	} while (leaked && now_ms() < end);

	for (i = 0; i < NR_LEAKS; i++)
		if (now.nr[i] - before->nr[i] >= limit)
			TH_LOG("%ld more %s after %lu failures",
			       now.nr[i] - before->nr[i], leak_names[i],
			       failures);
	return !leaked;
}

/* What is registered, over and over */
struct memory {
	void *map;
	size_t len;
	struct ibv_mr *(*how)(struct nic *nic, void *addr, size_t len);
};

static void try_all(struct __test_metadata *_metadata,
		    FIXTURE_DATA(fail_nth) *self, const struct memory *memory)
{
	struct stats before, now;
	unsigned long failed = self->failed;
	unsigned int nth, steps;
	struct leaks leaks;
	struct ibv_mr *mr;
	bool happened;
	int error;

	/* The first time leaves something behind, such as lists of libraries */
	mr = memory->how(self->bench.nic, memory->map, memory->len);
	ASSERT_NE(NULL, mr);
	nic_deregister(mr);
	stats_read(&before);
	leaks_read(&leaks);

	for (nth = 1; nth < MAX_POINTS; nth++) {
		steps = steps_failed();
		arm(self, nth);
		mr = memory->how(self->bench.nic, memory->map, memory->len);
		error = errno;
		happened = disarm(self);
		steps = steps_failed() - steps;
		self->steps += steps;
		if (!mr) {
			self->failed++;
			ASSERT_TRUE(happened)
				TH_LOG("fails without a fault: %s",
				       strerror(error));
			EXPECT_TRUE(is_sensible(error, steps))
				TH_LOG("point %u: %s", nth, strerror(error));
			ASSERT_TRUE(stats_wait(&before, &now))
				TH_LOG("point %u leaves %ld pins of %ld files",
				       nth, now.pins - before.pins,
				       now.files - before.files);
			mr = memory->how(self->bench.nic, memory->map,
					 memory->len);
			ASSERT_NE(NULL, mr)
				TH_LOG("point %u: the next try fails: %s", nth,
				       strerror(errno));
		}
		nic_deregister(mr);
		if (!happened)
			break;
		self->points++;
	}
	ASSERT_GT(MAX_POINTS, nth);
	ASSERT_TRUE(stats_wait(&before, &now));
	failed = self->failed - failed;
	EXPECT_TRUE(nothing_leaked(_metadata, &leaks, failed));
	/* Or nothing was injected at all */
	EXPECT_LT(5, failed);
}

TEST_F(fail_nth, register_file)
{
	int fd = file_create("file", PAGES * PAGE, FILLED);
	struct memory memory = {
		.map = file_map(fd, 0, PAGES * PAGE),
		.len = PAGES * PAGE,
		.how = nic_register,
	};

	try_all(_metadata, self, &memory);
	memory.how = nic_register_read_only;
	try_all(_metadata, self, &memory);
	munmap(memory.map, memory.len);
	close(fd);
}

TEST_F(fail_nth, register_large_entry)
{
	struct memory memory = { .len = PAGE_2M, .how = nic_register };
	uint64_t pos;
	int fd;

	fd = file_create_aligned("file", PAGE_2M, &pos);
	if (fd < 0)
		SKIP(return, "no 2 MiB of blocks in one piece, aligned");
	memory.map = file_map_aligned(fd, pos, PAGE_2M, PAGE_2M);
	try_all(_metadata, self, &memory);
	munmap(memory.map, memory.len);
	close(fd);
}

/* Anonymous memory, a file, a hole in between, another file */
TEST_F(fail_nth, register_mixed)
{
	int fd = file_create("file", PAGES * PAGE, FILLED);
	int fd2 = file_create("other", PAGES * PAGE, FILLED);
	struct memory memory = { .len = PAGES * PAGE, .how = nic_register };

	SKIP_IF(return, mixed_missing());
	memory.map = mmap(NULL, memory.len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, memory.map);
	ASSERT_NE(MAP_FAILED, mmap(memory.map + 4 * PAGE, 8 * PAGE,
				   PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, fd, 0));
	ASSERT_NE(MAP_FAILED, mmap(memory.map + 14 * PAGE, 8 * PAGE,
				   PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, fd2, 4 * PAGE));
	try_all(_metadata, self, &memory);
	munmap(memory.map, memory.len);
	close(fd);
	close(fd2);
}

static void register_many(FIXTURE_DATA(fail_nth) *self, void *map,
			  struct ibv_mr **mr, unsigned int nr)
{
	while (nr--) {
		*mr = nic_register(self->bench.nic, map, PAGE);
		if (!*mr++)
			die("cannot register anonymous memory");
	}
}

static void deregister_many(struct ibv_mr **mr, unsigned int nr)
{
	while (nr--)
		nic_deregister(*mr++);
}

/* The search for leaks above finds one */
TEST_F(fail_nth, a_leak_is_noticed)
{
	struct ibv_mr *mr[16];
	struct leaks leaks;
	void *map;

	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, map);
	/* The page tables of an IOMMU domain stay */
	register_many(self, map, mr, ARRAY_SIZE(mr));
	deregister_many(mr, ARRAY_SIZE(mr));
	leaks_read(&leaks);
	register_many(self, map, mr, ARRAY_SIZE(mr));
	EXPECT_FALSE(nothing_leaked(_metadata, &leaks, ARRAY_SIZE(mr)));
	deregister_many(mr, ARRAY_SIZE(mr));
	EXPECT_TRUE(nothing_leaked(_metadata, &leaks, ARRAY_SIZE(mr)));
	munmap(map, PAGE);
}

/* A registration that failed on the way keeps no page */
TEST_F(fail_nth, blocks_are_free_after_a_failure)
{
	struct stats before, now;
	struct ibv_mr *mr;
	unsigned int nth;
	void *map;
	int fd;

	for (nth = 1; nth < MAX_POINTS; nth++) {
		bool happened;

		stats_read(&before);
		fd = file_create("file", PAGES * PAGE, FILLED);
		map = file_map(fd, 0, PAGES * PAGE);
		arm(self, nth);
		mr = nic_register(self->bench.nic, map, PAGES * PAGE);
		happened = disarm(self);
		self->points += happened;
		self->failed += !mr;
		ASSERT_EQ(0, ftruncate(fd, 0));
		if (mr)
			nic_deregister(mr);
		munmap(map, PAGES * PAGE);
		close(fd);
		file_unlink("file");
		ASSERT_TRUE(stats_wait(&before, &now));
		if (!happened)
			break;
	}
	ASSERT_GT(MAX_POINTS, nth);
}

/* Does the file system survive that memory runs out while it frees blocks? */
static bool may_fail_inside(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		die("cannot stat the file system");
	/* ext4 marks itself as damaged, and later tests would find the mark */
	return fs.f_type == XFS_SUPER_MAGIC;
}

enum step {
	PUNCH,
	TRUNCATE,
	DEREGISTER,
	NR_STEPS,
};

static int do_step(enum step step, struct region *region)
{
	int ret;

	switch (step) {
	case PUNCH:
		return file_punch(region->fd, 4 * PAGE, 8 * PAGE);
	case TRUNCATE:
		return ftruncate(region->fd, 4 * PAGE);
	default:
		ret = nic_try_deregister(region->mr);
		if (!ret)
			region->mr = NULL;
		return ret;
	}
}

/* Hooks, and the end of a region, have reserved all they need */
TEST_F(fail_nth, taking_back_does_not_fail)
{
	static const long taken[NR_STEPS] = { 8, PAGES - 4, 0 };
	struct stats before, now;
	struct region region;
	unsigned int nth;
	enum step step;
	long pages;
	int ret;

	for (step = 0; step < NR_STEPS; step++) {
		bool happened = true;

		for (nth = 1; happened && nth < MAX_POINTS; nth++) {
			stats_read(&before);
			region_open(&self->bench, &region, "file", PAGES);
			if (step != DEREGISTER && !may_fail_inside(region.fd)) {
				region_close(&region);
				break;
			}
			pages = stat_read("pages_retargeted");
			arm(self, nth);
			ret = do_step(step, &region);
			happened = disarm(self);
			if (iommufd_fault(ret))
				ret = do_step(step, &region);
			pages = stat_read("pages_retargeted") - pages;
			EXPECT_EQ(0, ret)
				TH_LOG("step %u, point %u fails", step, nth);
			EXPECT_EQ(taken[step], pages)
				TH_LOG("step %u, point %u", step, nth);
			self->points += happened;
			region_close(&region);
			file_unlink("file");
			ASSERT_TRUE(stats_wait(&before, &now));
		}
		ASSERT_GT(MAX_POINTS, nth);
	}
}

TEST_HARNESS_MAIN
