// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks leave a file while a peer writes to all of it.
 *
 * No operation takes longer than on a file that no device knows. The traffic
 * goes on without an error. Pages that stay in the file stay coherent with it,
 * and no page is taken that stays. What the device writes to the other pages is
 * not in the file.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_ops.h"

#define PAGES	64UL
#define FIRST	16UL	/* what operations are applied to */
#define NR	16UL

FIXTURE(truncate)
{
	struct bench bench;
	struct region region;
};

/* Pages [@lost, @lost + @nr_lost) are taken */
FIXTURE_VARIANT(truncate)
{
	const char *op;
	uint64_t a, b;	/* its arguments */
	unsigned long lost;
	unsigned long nr_lost;
	long shift;	/* of the pages behind the range */
};

FIXTURE_VARIANT_ADD(truncate, truncate)
{
	.op = "truncate",
	.a = FIRST * PAGE,
	.lost = FIRST,
	.nr_lost = PAGES - FIRST,
};

FIXTURE_VARIANT_ADD(truncate, truncate_and_extend)
{
	.op = "truncate_twice",
	.a = FIRST * PAGE,
	.b = PAGES * PAGE,
	.lost = FIRST,
	.nr_lost = PAGES - FIRST,
};

FIXTURE_VARIANT_ADD(truncate, truncate_in_page)
{
	.op = "truncate",
	.a = FIRST * PAGE - PAGE / 2,
	.lost = FIRST,
	.nr_lost = PAGES - FIRST,
};

FIXTURE_VARIANT_ADD(truncate, punch)
{
	.op = "punch",
	.a = FIRST * PAGE,
	.b = NR * PAGE,
	.lost = FIRST,
	.nr_lost = NR,
};

/* The pages at both ends are punched in part, and keep their blocks */
FIXTURE_VARIANT_ADD(truncate, punch_in_pages)
{
	.op = "punch",
	.a = FIRST * PAGE - PAGE / 2,
	.b = (NR + 1) * PAGE,
	.lost = FIRST,
	.nr_lost = NR,
};

FIXTURE_VARIANT_ADD(truncate, zero)
{
	.op = "zero",
	.a = FIRST * PAGE,
	.b = NR * PAGE,
	.lost = FIRST,
	.nr_lost = NR,
};

FIXTURE_VARIANT_ADD(truncate, collapse)
{
	.op = "collapse",
	.a = FIRST * PAGE,
	.b = NR * PAGE,
	.lost = FIRST,
	.nr_lost = PAGES - FIRST,
	.shift = -(long)NR,
};

FIXTURE_VARIANT_ADD(truncate, insert)
{
	.op = "insert",
	.a = FIRST * PAGE,
	.b = NR * PAGE,
	.lost = FIRST,
	.nr_lost = PAGES - FIRST,
	.shift = NR,
};

FIXTURE_SETUP(truncate)
{
	SKIP_IF(return, bench_open(&self->bench));
	if (!op_possible(op_find(variant->op)))
		SKIP(return, "the file system does not know the operation");
	region_open(&self->bench, &self->region, "file", PAGES);
}

FIXTURE_TEARDOWN(truncate)
{
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

/* How long it takes if no device knows the file */
static uint64_t time_unpinned(const FIXTURE_VARIANT(truncate) *variant)
{
	int fd = file_create("unpinned", PAGES * PAGE, FILLED);
	void *map = file_map(fd, 0, PAGES * PAGE);
	uint64_t start;

	start = now_ms();
	if (op_apply(variant->op, fd, variant->a, variant->b))
		die("the operation fails on a plain file");
	start = now_ms() - start;
	munmap(map, PAGES * PAGE);
	close(fd);
	file_unlink("unpinned");
	return start;
}

/* Pages that moved, @from to @to, with first bytes that the device wrote */
static unsigned long moved_wrongly(int fd, unsigned long to, unsigned long from,
				   unsigned long nr)
{
	static char page[PAGE];
	unsigned long i, wrong = 0;

	for (i = 0; i < nr; i++) {
		if (pread(fd, page, PAGE, (to + i) * PAGE) != PAGE)
			die("cannot read page %lu", to + i);
		if (find_difference(page, PROBE, DEVICE,
				    (from + i) * PAGE) >= 0 ||
		    find_difference(page + PROBE, PAGE - PROBE, FILLED,
				    (from + i) * PAGE + PROBE) >= 0)
			wrong++;
	}
	return wrong;
}

TEST_F(truncate, under_remote_writes)
{
	struct region *region = &self->region;
	uint64_t usual, took, start;
	unsigned long kept = variant->lost + variant->nr_lost;
	long retargeted, result;
	struct writer *writer;
	unsigned long i;
	off_t size;
	int error;

	usual = time_unpinned(variant);
	retargeted = stat_read("pages_retargeted");

	writer = writer_start(self->bench.nic, region->mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));

	start = now_ms();
	result = op_apply(variant->op, region->fd, variant->a, variant->b);
	ASSERT_EQ(0, result)
		TH_LOG("%s", op_result(result));
	took = now_ms() - start;

	error = writer_wait(writer, 2);
	EXPECT_EQ(0, error)
		TH_LOG("traffic: %s", conn_error(error));
	error = writer_stop(writer);
	EXPECT_EQ(0, error)
		TH_LOG("traffic: %s", conn_error(error));

	TH_LOG("took %lu ms, unpinned %lu ms", took, usual);
	EXPECT_LE(took, 20 * usual + 1000);

	/* Not one page more than had to go */
	retargeted = stat_read("pages_retargeted") - retargeted;
	EXPECT_EQ((long)variant->nr_lost, retargeted);

	/* Pages that stay are the file, in both directions */
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, FIRST - 1));
	size = lseek(region->fd, 0, SEEK_END);
	if (size >= (off_t)(FIRST * PAGE))
		EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr,
						    FIRST - 1, region->fd,
						    FIRST - 1, 1));
	if (kept < PAGES)
		EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr,
						    kept, region->fd, kept,
						    PAGES - kept));

	/* A write of the device to pages that went is nowhere in the file */
	ASSERT_EQ(0, conn_write_pages(self->bench.conn, region->mr,
				      variant->lost, variant->nr_lost,
				      DEVICE2));
	size = lseek(region->fd, 0, SEEK_END);
	for (i = 0; i < size / PAGE; i++) {
		uint64_t word;

		ASSERT_EQ(sizeof(word), pread(region->fd, &word, sizeof(word),
					      i * PAGE));
		EXPECT_FALSE(written_by(&word, DEVICE2))
			TH_LOG("page %lu has %s", i, describe(&word));
		if (!variant->shift && i >= FIRST && i < kept) {
			EXPECT_EQ(0, word)
				TH_LOG("page %lu has %s", i, describe(&word));
		}
	}

	/* Pages that moved within the file have all their data */
	if (variant->shift < 0)
		EXPECT_EQ(0, moved_wrongly(region->fd, FIRST, FIRST + NR,
					   PAGES - FIRST - NR));
	if (variant->shift > 0)
		EXPECT_EQ(0, moved_wrongly(region->fd, FIRST + NR, FIRST,
					   PAGES - FIRST));
}

/* Without traffic */
FIXTURE(quiet)
{
	struct bench bench;
};

FIXTURE_SETUP(quiet)
{
	SKIP_IF(return, bench_open(&self->bench));
}

FIXTURE_TEARDOWN(quiet)
{
	EXPECT_TRUE(bench_close(&self->bench));
}

/* Pages that need write-back are taken part by part */
TEST_F(quiet, much_is_punched_as_a_whole)
{
	const unsigned long part = 4096, nr = 2 * part + 8;	/* in pages */
	const unsigned long looked_at[] = { 0, part - 1, part, 2 * part - 1,
					    2 * part, nr - 1 };
	struct ibv_mr *mr;
	unsigned long i;
	uint64_t word;
	char *map;
	int fd;

	SKIP_IF(return, punch_missing());
	fd = file_create("wide", nr * PAGE, FILLED);
	map = file_map(fd, 0, nr * PAGE);
	mr = nic_register(self->bench.nic, map, nr * PAGE);
	ASSERT_NE(NULL, mr);
	ASSERT_EQ(0, file_punch(fd, 0, nr * PAGE));
	for (i = 0; i < ARRAY_SIZE(looked_at); i++) {
		ASSERT_EQ(0, conn_read(self->bench.conn, mr,
				       looked_at[i] * PAGE, &word,
				       sizeof(word)));
		EXPECT_EQ(0, word)
			TH_LOG("page %lu reads as %s", looked_at[i],
			       describe(&word));
	}
	nic_deregister(mr);
	munmap(map, nr * PAGE);
	close(fd);
}

static void ignore(int number)
{
}

/* A truncation that waits for a page in use can be interrupted */
TEST_F(quiet, interrupted_while_in_use)
{
	const struct itimerval often = { { 0, 100000 }, { 0, 100000 } };
	const struct itimerval never = { };
	struct sigaction action = { .sa_handler = ignore };	/* no SA_RESTART */
	char before[2 * PAGE], after[2 * PAGE];
	struct iovec second;
	int fd, ends[2];
	char *map;

	fd = file_create("in_use", 2 * PAGE, FILLED);
	map = file_map(fd, 0, 2 * PAGE);
	ASSERT_EQ(sizeof(before), pread(fd, before, sizeof(before), 0));
	second.iov_base = map + PAGE;
	second.iov_len = PAGE;
	ASSERT_EQ(0, pipe(ends));
	ASSERT_EQ(PAGE, vmsplice(ends[1], &second, 1, 0))
		TH_LOG("%s", strerror(errno));

	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
	EXPECT_EQ(-1, ftruncate(fd, 100));
	EXPECT_EQ(EINTR, errno);
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &never, NULL));
	ASSERT_EQ(sizeof(after), pread(fd, after, sizeof(after), 0));
	EXPECT_EQ(0, memcmp(before, after, sizeof(after)))
		TH_LOG("the file was changed");

	close(ends[0]);
	close(ends[1]);
	EXPECT_EQ(0, ftruncate(fd, 100));
	munmap(map, 2 * PAGE);
	close(fd);
}

TEST_HARNESS_MAIN
