// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs for persistent memory advise the device to prefetch a region that they
 * have registered, and give up if that fails. All memory of a region with pages of
 * DAX files is pinned, so the advice is satisfied, for all of the region and for
 * parts of it. Ranges and keys that are wrong, and other regions, are refused as by
 * the driver.
 *
 * The tests ask the kernel, by the function that libibverbs has for its drivers: few
 * of these have the call.
 */

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib_harness.h"

#define PAGES	16UL
#define LEN	(PAGES * PAGE)

#define PREFETCH	IBV_ADVISE_MR_ADVICE_PREFETCH
#define WRITE		IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE
#define NO_FAULT	IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT
#define FLUSH		IBV_ADVISE_MR_FLAG_FLUSH

FIXTURE(advise)
{
	struct bench bench;
	struct region region;
	void *memory;		/* of no file, and a region as well */
	struct ibv_mr *memory_mr;
	int refusal;		/* the driver's, for regions of no file */
};

static int (*command)(struct ibv_pd *pd, enum ibv_advise_mr_advice advice,
		      uint32_t flags, struct ibv_sge *sg_list,
		      uint32_t num_sge);

static const char *command_missing(void)
{
	command = dlsym(RTLD_DEFAULT, "ibv_cmd_advise_mr");
	return command ? NULL : "this libibverbs cannot pass advice on";
}

static int give_list(struct ibv_pd *pd, unsigned int advice, unsigned int flags,
		     struct ibv_sge *sge, unsigned int nr)
{
	return command(pd, advice, flags, sge, nr);
}

static struct ibv_sge range(struct ibv_mr *mr, uint64_t pos, uint32_t len)
{
	return (struct ibv_sge){
		.addr = (uintptr_t)mr->addr + pos,
		.length = len,
		.lkey = mr->lkey,
	};
}

/* 0 or an errno */
static int give(struct ibv_mr *mr, unsigned int advice, uint64_t pos,
		uint32_t len)
{
	struct ibv_sge sge = range(mr, pos, len);

	return give_list(mr->pd, advice, FLUSH, &sge, 1);
}

FIXTURE_SETUP(advise)
{
	SKIP_IF(return, consumer_is_rdma() ? command_missing() :
					     "no RDMA device");
	SKIP_IF(return, bench_open(&self->bench));
	region_open(&self->bench, &self->region, "file", PAGES);
	self->memory = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->memory);
	self->memory_mr = nic_register(self->bench.nic, self->memory, LEN);
	ASSERT_NE(NULL, self->memory_mr);
	self->refusal = give(self->memory_mr, PREFETCH, 0, LEN);
	ASSERT_TRUE(self->refusal == EOPNOTSUPP || self->refusal == ENOENT)
		TH_LOG("%s", strerror(self->refusal));
}

FIXTURE_TEARDOWN(advise)
{
	nic_deregister(self->memory_mr);
	munmap(self->memory, LEN);
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

TEST_F(advise, whole_region)
{
	struct ibv_mr *mr = self->region.mr;
	struct ibv_sge sge = range(mr, 0, LEN);

	EXPECT_EQ(0, give(mr, PREFETCH, 0, LEN));
	EXPECT_EQ(0, give(mr, WRITE, 0, LEN));
	EXPECT_EQ(0, give(mr, NO_FAULT, 0, LEN));
	EXPECT_EQ(0, give_list(mr->pd, WRITE, 0, &sge, 1));
}

TEST_F(advise, part_of_a_region)
{
	struct ibv_mr *mr = self->region.mr;

	EXPECT_EQ(0, give(mr, PREFETCH, 0, 1));
	EXPECT_EQ(0, give(mr, WRITE, 3 * PAGE + 5, PAGE));
	EXPECT_EQ(0, give(mr, NO_FAULT, LEN - 1, 1));
	EXPECT_EQ(0, give(mr, PREFETCH, LEN, 0));
}

TEST_F(advise, out_of_range)
{
	struct ibv_mr *mr = self->region.mr;

	EXPECT_EQ(self->refusal, give(mr, PREFETCH, -PAGE, PAGE));
	EXPECT_EQ(self->refusal, give(mr, WRITE, -1, 2));
	EXPECT_EQ(self->refusal, give(mr, WRITE, LEN, 1));
	EXPECT_EQ(self->refusal, give(mr, NO_FAULT, LEN - 1, 2));
	EXPECT_EQ(self->refusal, give(mr, PREFETCH, PAGE, -1));
	/* The sum of position and length is small again */
	EXPECT_EQ(self->refusal, give(mr, PREFETCH,
				      -(uintptr_t)mr->addr - PAGE, 2 * PAGE));
}

TEST_F(advise, wrong_key)
{
	struct ibv_sge sge = range(self->region.mr, 0, LEN);
	struct ibv_pd *pd = self->region.mr->pd;

	sge.lkey ^= 0x55;
	EXPECT_EQ(self->refusal, give_list(pd, PREFETCH, FLUSH, &sge, 1));
	sge.lkey = 0;
	EXPECT_EQ(self->refusal, give_list(pd, WRITE, FLUSH, &sge, 1));
	sge.lkey = self->region.mr->lkey;
	EXPECT_EQ(0, give_list(pd, WRITE, FLUSH, &sge, 1));
	region_deregister(&self->region);
	EXPECT_EQ(self->refusal, give_list(pd, WRITE, FLUSH, &sge, 1));
}

/* A protection domain of the same file, and one of another file of the device */
TEST_F(advise, foreign_domain)
{
	struct ibv_sge sge = range(self->region.mr, 0, LEN);
	struct ibv_context *ctx = self->region.mr->context;
	struct ibv_pd *pd = ibv_alloc_pd(ctx);

	ASSERT_NE(NULL, pd);
	EXPECT_EQ(self->refusal, give_list(pd, PREFETCH, FLUSH, &sge, 1));
	EXPECT_EQ(0, ibv_dealloc_pd(pd));

	ctx = ibv_open_device(ctx->device);
	ASSERT_NE(NULL, ctx);
	pd = ibv_alloc_pd(ctx);
	ASSERT_NE(NULL, pd);
	EXPECT_EQ(self->refusal, give_list(pd, PREFETCH, FLUSH, &sge, 1));
	EXPECT_EQ(0, ibv_dealloc_pd(pd));
	EXPECT_EQ(0, ibv_close_device(ctx));
}

TEST_F(advise, no_file)
{
	struct ibv_mr *mr = self->memory_mr;

	EXPECT_EQ(self->refusal, give(mr, WRITE, 0, LEN));
	EXPECT_EQ(self->refusal, give(mr, NO_FAULT, PAGE, PAGE));
}

/* All of a list has to be pinned, or the driver decides */
TEST_F(advise, list)
{
	struct ibv_mr *mr = self->region.mr;
	struct ibv_sge sge[] = {
		range(mr, 0, PAGE),
		range(mr, 5 * PAGE, PAGE),
		range(mr, PAGE, LEN - PAGE),
	};

	EXPECT_EQ(0, give_list(mr->pd, WRITE, FLUSH, sge, 3));
	sge[1] = range(self->memory_mr, 0, PAGE);
	EXPECT_EQ(self->refusal, give_list(mr->pd, WRITE, FLUSH, sge, 3));
	sge[1] = range(mr, LEN - PAGE, PAGE + 1);
	EXPECT_EQ(self->refusal, give_list(mr->pd, WRITE, FLUSH, sge, 3));
}

TEST_F(advise, region_for_reading)
{
	struct ibv_mr *mr;

	mr = nic_register_read_only(self->bench.nic, self->region.map, LEN);
	ASSERT_NE(NULL, mr);
	EXPECT_EQ(0, give(mr, PREFETCH, 0, LEN));
	EXPECT_EQ(0, give(mr, NO_FAULT, 0, LEN));
	EXPECT_EQ(self->refusal, give(mr, WRITE, 0, LEN));
	nic_deregister(mr);
}

/* Advice that does not exist, and flags that do not, are nobody's */
TEST_F(advise, unknown)
{
	struct ibv_sge sge = range(self->region.mr, 0, LEN);
	struct ibv_pd *pd = self->region.mr->pd;

	EXPECT_NE(0, give_list(pd, NO_FAULT + 1, FLUSH, &sge, 1));
	EXPECT_NE(0, give_list(pd, PREFETCH, FLUSH << 1, &sge, 1));
	EXPECT_NE(0, give_list(pd, PREFETCH, FLUSH, &sge, 0));
}

/* Pages that left the file stay with the region, as scratch */
TEST_F(advise, pages_taken)
{
	ASSERT_EQ(0, ftruncate(self->region.fd, PAGES / 2 * PAGE));
	EXPECT_EQ(0, give(self->region.mr, WRITE, 0, LEN));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, self->region.mr, 0,
					    self->region.fd, 0, PAGES / 2));
}

struct adviser {
	struct ibv_mr *mr;
	pthread_t thread;
	bool stop;
	unsigned long nr;
	int error;
};

static void *adviser_run(void *arg)
{
	struct adviser *adviser = arg;

	while (!__atomic_load_n(&adviser->stop, __ATOMIC_ACQUIRE) &&
	       !adviser->error) {
		adviser->error = give(adviser->mr, WRITE, 0, LEN);
		__atomic_add_fetch(&adviser->nr, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* The key is looked for among regions that come and go, and none of them notices */
TEST_F(advise, beside_other_regions)
{
	struct adviser adviser = { .mr = self->region.mr };
	struct ibv_mr *mr;
	unsigned int i;

	ASSERT_EQ(0, pthread_create(&adviser.thread, NULL, adviser_run,
				    &adviser));
	for (i = 0; i < 200 || !__atomic_load_n(&adviser.nr, __ATOMIC_ACQUIRE);
	     i++) {
		mr = nic_register(self->bench.nic,
				  i % 2 ? self->memory : self->region.map, LEN);
		ASSERT_NE(NULL, mr);
		ASSERT_EQ(0, nic_try_deregister(mr));
	}
	__atomic_store_n(&adviser.stop, true, __ATOMIC_RELEASE);
	pthread_join(adviser.thread, NULL);
	EXPECT_EQ(0, adviser.error);
	TH_LOG("%lu times", adviser.nr);
}

TEST_HARNESS_MAIN
