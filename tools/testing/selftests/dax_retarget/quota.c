// SPDX-License-Identifier: GPL-2.0-only
/*
 * Quota of a pinned file: blocks that are taken from a device are counted as
 * blocks of any file are, and a write that is refused for lack of quota takes
 * nothing from a device.
 *
 * Needs a file system that is mounted with user quota.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/quota.h>
#include <unistd.h>

#include "lib_harness.h"

#define PAGES	32UL
#define FIRST	16UL
#define NR	8UL
#define LEN	(PAGES * PAGE)

/* Users that nobody is */
#define PINNED_USER	4711
#define PLAIN_USER	4712

FIXTURE(quota)
{
	struct bench bench;
	struct region region;
	struct mount_info mount;
	int plain;
};

static bool quota_get(const struct mount_info *info, int user,
		      struct dqblk *quota)
{
	memset(quota, 0, sizeof(*quota));
	return !quotactl(QCMD(Q_GETQUOTA, USRQUOTA), info->source, user,
			 (void *)quota) || errno == ENOENT;
}

static uint64_t usage(const struct mount_info *info, int user)
{
	struct dqblk quota;

	if (!quota_get(info, user, &quota))
		die("cannot get the quota");
	return quota.dqb_curspace;
}

static void set_limit(const struct mount_info *info, int user, uint64_t bytes)
{
	struct dqblk quota = {
		.dqb_bhardlimit = bytes / 1024,
		.dqb_valid = QIF_BLIMITS,
	};

	if (quotactl(QCMD(Q_SETQUOTA, USRQUOTA), info->source, user,
		     (void *)&quota))
		die("cannot set a quota");
}

FIXTURE_SETUP(quota)
{
	struct dqblk quota;

	SKIP_IF(return, mount_find(&self->mount));
	if (!quota_get(&self->mount, PINNED_USER, &quota))
		SKIP(return, "the file system is not mounted with user quota");
	/*
	 * With this capability root may exceed a limit. A NIC is of use only to
	 * the credentials that opened it, so give the capability up before.
	 */
	capability_set(CAP_SYS_RESOURCE, false);
	SKIP_IF(return, bench_open(&self->bench));
	region_open(&self->bench, &self->region, "file", PAGES);
	self->plain = file_create("plain", LEN, FILLED);
	if (fchown(self->region.fd, PINNED_USER, -1) ||
	    fchown(self->plain, PLAIN_USER, -1))
		die("cannot give a file away");
	sync();
}

FIXTURE_TEARDOWN(quota)
{
	set_limit(&self->mount, PINNED_USER, 0);
	close(self->plain);
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

/* The usage is the same as of a file that no device knows */
TEST_F(quota, counts_what_is_freed)
{
	static const struct {
		int mode;
		unsigned long first, nr, lost;
	} steps[] = {
		{ PUNCH_HOLE, FIRST, NR, NR },
		{ 0, FIRST, NR, 0 },	/* has blocks again */
		{ FALLOC_FL_ZERO_RANGE, 4, 4, 4 },
		{ -1, FIRST, 0, PAGES - FIRST - NR },	/* truncate */
	};
	struct region *region = &self->region;
	struct writer *writer;
	uint64_t end;
	long before;
	unsigned int i;
	int fd[2] = { region->fd, self->plain };
	unsigned int n;

	EXPECT_EQ(LEN, usage(&self->mount, PINNED_USER));
	writer = writer_start(self->bench.nic, region->mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		before = stat_read("pages_retargeted");
		for (n = 0; n < 2; n++)
			ASSERT_EQ(0, steps[i].mode < 0 ?
				     ftruncate(fd[n], steps[i].first * PAGE) :
				     fallocate(fd[n], steps[i].mode,
					       steps[i].first * PAGE,
					       steps[i].nr * PAGE));
		EXPECT_EQ((long)steps[i].lost,
			  stat_read("pages_retargeted") - before)
			TH_LOG("step %u", i);
		EXPECT_EQ(usage(&self->mount, PLAIN_USER),
			  usage(&self->mount, PINNED_USER))
			TH_LOG("step %u", i);
	}
	EXPECT_EQ(0, writer_wait(writer, 1));
	EXPECT_EQ(0, writer_stop(writer));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 8,
					    region->fd, 8, FIRST - 8));

	file_unlink(region->name);
	region_unmap(region);
	end = now_ms() + patience_ms();
	while (usage(&self->mount, PINNED_USER) && now_ms() < end)
		sleep_ms(20);
	EXPECT_EQ(0, usage(&self->mount, PINNED_USER));
}

static sigjmp_buf on_bus_error;

static void bus_error(int signal)
{
	siglongjmp(on_bus_error, 1);
}

/* Does a store fail for lack of a block? */
static bool store_fails(void *addr)
{
	struct sigaction action = { .sa_handler = bus_error }, old;
	volatile bool failed = true;

	sigaction(SIGBUS, &action, &old);
	if (!sigsetjmp(on_bus_error, 1)) {
		*(volatile char *)addr = 1;
		failed = false;
	}
	sigaction(SIGBUS, &old, NULL);
	return failed;
}

TEST_F(quota, refused_write_takes_nothing)
{
	struct region *region = &self->region;
	struct stats pinned, now;
	struct ibv_mr *mr;
	long retargeted;
	char byte = 1;

	ASSERT_EQ(0, file_punch(region->fd, FIRST * PAGE, NR * PAGE));
	retargeted = stat_read("pages_retargeted");
	sync();
	set_limit(&self->mount, PINNED_USER,
		  usage(&self->mount, PINNED_USER));

	EXPECT_EQ(-1, pwrite(region->fd, &byte, 1, FIRST * PAGE));
	EXPECT_EQ(EDQUOT, errno);
	EXPECT_EQ(-1, fallocate(region->fd, 0, FIRST * PAGE, NR * PAGE));
	EXPECT_EQ(EDQUOT, errno);
	EXPECT_EQ(-1, pwrite(region->fd, &byte, 1, LEN + PAGE));
	EXPECT_EQ(EDQUOT, errno);
	EXPECT_TRUE(store_fails((char *)region->map + FIRST * PAGE));

	/* A registration that fails for one page leaves nothing behind */
	stats_read(&pinned);
	mr = nic_register(self->bench.nic, region->map, LEN);
	EXPECT_EQ(NULL, mr);
	EXPECT_EQ(EFAULT, errno);
	EXPECT_TRUE(stats_wait(&pinned, &now));

	EXPECT_EQ(0, stat_read("pages_retargeted") - retargeted);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, FIRST));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr,
					    FIRST + NR, region->fd, FIRST + NR,
					    PAGES - FIRST - NR));

	/* With quota it can be had */
	set_limit(&self->mount, PINNED_USER, 0);
	mr = nic_register(self->bench.nic, region->map, LEN);
	ASSERT_NE(NULL, mr);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, mr, 0, region->fd, 0,
					    PAGES));
	EXPECT_EQ(usage(&self->mount, PLAIN_USER),
		  usage(&self->mount, PINNED_USER));
	nic_deregister(mr);
}

TEST_HARNESS_MAIN
