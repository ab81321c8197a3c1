// SPDX-License-Identifier: GPL-2.0-only
/*
 * One core registers a file, another frees blocks of it, again and again with
 * other delays. In whatever order that happens, a page of the region is either
 * the file's afterwards or nobody's, and the new owner of the blocks keeps
 * every byte.
 *
 * DAX_RETARGET_RACES in the environment is how many times (default 20).
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_ops.h"

#define PAGES	16UL
#define FIRST	4UL	/* pages that lose their blocks */
#define NR	8UL

FIXTURE(race)
{
	struct bench bench;
	pthread_barrier_t start;
	unsigned int delay_us;
	unsigned int seed;
	void *map;
	struct ibv_mr *mr;
	int error;
	/* how the races ended */
	unsigned int refused, all_file, taken;
};

FIXTURE_VARIANT(race)
{
	const char *op;
	uint64_t a, b;		/* its arguments */
	unsigned long may_go;	/* pages behind FIRST that may be taken */
	bool shortens;		/* for a moment, the file ends before FIRST */
};

FIXTURE_VARIANT_ADD(race, punch)
{
	.op = "punch",
	.a = FIRST * PAGE,
	.b = NR * PAGE,
	.may_go = NR,
};

FIXTURE_VARIANT_ADD(race, truncate)
{
	.op = "truncate_twice",
	.a = FIRST * PAGE,
	.b = PAGES * PAGE,
	.may_go = PAGES - FIRST,
	.shortens = true,
};

FIXTURE_SETUP(race)
{
	SKIP_IF(return, bench_open(&self->bench));
	if (!op_possible(op_find(variant->op)))
		SKIP(return, "the file system cannot punch holes");
	leave_little_space(2 << 20);
	pthread_barrier_init(&self->start, NULL, 2);
	self->seed = 1;
}

FIXTURE_TEARDOWN(race)
{
	EXPECT_TRUE(bench_close(&self->bench));
}

static void *do_register(void *arg)
{
	FIXTURE_DATA(race) * self = arg;

	pthread_barrier_wait(&self->start);
	usleep(self->delay_us);
	self->mr = nic_register(self->bench.nic, self->map, PAGES * PAGE);
	self->error = errno;
	return NULL;
}

/* Is what the device wrote in the file? */
static bool page_is_file(int fd, unsigned long page)
{
	uint64_t probe[PROBE / 8];

	if (pread(fd, probe, PROBE, page * PAGE) != PROBE)
		die("cannot read page %lu", page);
	return find_difference(probe, PROBE, DEVICE, page * PAGE) < 0;
}

static void check_pages(struct __test_metadata *_metadata,
			FIXTURE_DATA(race) * self, int fd, unsigned long may_go)
{
	unsigned long i, gone = 0;

	ASSERT_EQ(0, conn_write_pages(self->bench.conn, self->mr, 0, PAGES,
				      DEVICE));
	for (i = 0; i < PAGES; i++) {
		if (page_is_file(fd, i))
			continue;
		gone++;
		EXPECT_TRUE(i >= FIRST && i < FIRST + may_go)
			TH_LOG("page %lu is lost", i);
		EXPECT_EQ(-1, file_find_difference(fd, i * PAGE, PAGE, ZERO))
			TH_LOG("page %lu is neither the file's nor gone", i);
	}
	if (gone)
		self->taken++;
	else
		self->all_file++;
}

static void race_once(struct __test_metadata *_metadata,
		      FIXTURE_DATA(race) * self,
		      const FIXTURE_VARIANT(race) * variant)
{
	int victim = victim_create();
	int fd = file_create("file", PAGES * PAGE, FILLED);
	struct extents freed;
	pthread_t thread;
	uint64_t got;
	size_t size;

	self->map = file_map(fd, 0, PAGES * PAGE);
	file_extents(fd, FIRST * PAGE, NR * PAGE, &freed);
	self->delay_us = rand_r(&self->seed) % 3000;

	ASSERT_EQ(0, pthread_create(&thread, NULL, do_register, self));
	pthread_barrier_wait(&self->start);
	usleep(rand_r(&self->seed) % 3000);
	ASSERT_EQ(0, op_apply(variant->op, fd, variant->a, variant->b));
	pthread_join(thread, NULL);

	size = victim_grow(victim, &freed, &got);
	if (self->mr) {
		check_pages(_metadata, self, fd, variant->may_go);
		nic_deregister(self->mr);
	} else {
		/* The registration met the file while it was short */
		self->refused++;
		EXPECT_TRUE(variant->shortens);
		EXPECT_EQ(EFAULT, self->error)
			TH_LOG("%s", strerror(self->error));
	}

	EXPECT_EQ(-1, victim_damage(victim, size));
	munmap(self->map, PAGES * PAGE);
	close(fd);
	close(victim);
	file_unlink("file");
	file_unlink("victim");
}

TEST_F(race, registration_against_freeing)
{
	const char *races = getenv("DAX_RETARGET_RACES");
	unsigned int i, nr = races ? atoi(races) : 20;

	for (i = 0; i < nr; i++)
		race_once(_metadata, self, variant);
	TH_LOG("%u races: %u regions are the file's, %u lost pages, %u refused",
	       nr, self->all_file, self->taken, self->refused);
	EXPECT_LT(0, nr);
}

TEST_HARNESS_MAIN
