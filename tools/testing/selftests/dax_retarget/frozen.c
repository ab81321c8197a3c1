// SPDX-License-Identifier: GPL-2.0-only
/*
 * A registration that waits for a frozen file system holds nobody else up. To
 * register a hole allocates its block, which has to wait until the file system is
 * thawed. Meanwhile the memory of another namespace can be taken away, this file
 * system's list can be read, and its other files can be used and lose blocks.
 *
 * Disables another namespace for a while, the one in DAX_RETARGET_NAMESPACE.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib_harness.h"

#define PAGES	4UL

/* The kernel reports a task that hangs for longer than a minute */
#define LIMIT_MS	20000

FIXTURE(frozen)
{
	struct bench bench;
	struct region region;
	struct region_thread thread;
	int dir;
	pid_t thawer;
	int tell;	/* it that it is time */
};

/*
 * A process of its own thaws the file system, at the latest after a while: this
 * one may hang, and may be killed for that.
 */
static void start_thawer(FIXTURE_DATA(frozen) * self)
{
	struct pollfd ready = { .events = POLLIN };
	int ends[2];

	if (pipe(ends))
		die("no pipe");
	fflush(NULL);
	self->thawer = fork();
	if (!self->thawer) {
		close(ends[1]);
		ready.fd = ends[0];
		poll(&ready, 1, 3 * LIMIT_MS);
		_exit(ioctl(self->dir, FITHAW, 0) ? errno : 0);
	}
	close(ends[0]);
	self->tell = ends[1];
}

static int thaw(FIXTURE_DATA(frozen) * self)
{
	int status = 0;

	if (!self->thawer)
		return 0;
	/* Not by closing it: other processes have it open, too */
	if (write(self->tell, "t", 1) != 1)
		die("cannot tell the thawer");
	close(self->tell);
	if (waitpid(self->thawer, &status, 0) != self->thawer)
		die("the thawer is gone");
	self->thawer = 0;
	return status;
}

FIXTURE_SETUP(frozen)
{
	struct region *region = &self->region;

	SKIP_IF(return, bench_open(&self->bench));
	self->dir = folder_open();
	region->name = "file";
	region->len = PAGES * PAGE;
	region->fd = file_create("file", region->len, ZERO);
	region->map = file_map(region->fd, 0, region->len);
	self->thread.bench = &self->bench;
	self->thread.region = region;
	self->thread.len = region->len;
	ASSERT_EQ(0, syncfs(self->dir));
	start_thawer(self);
	if (ioctl(self->dir, FIFREEZE, 0))
		SKIP(return, "the file system cannot be frozen: %s",
		     strerror(errno));
}

FIXTURE_TEARDOWN(frozen)
{
	thaw(self);
	region_close(&self->region);
	close(self->dir);
	EXPECT_TRUE(bench_close(&self->bench));
}

static void *run(void *arg)
{
	struct region_thread *thread = arg;
	struct region *region = thread->region;

	region->mr = nic_register(thread->bench->nic, region->map, thread->len);
	__atomic_store_n(&thread->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void begin_to_register(struct __test_metadata *_metadata,
			      FIXTURE_DATA(frozen) * self)
{
	ASSERT_EQ(0, pthread_create(&self->thread.thread, NULL, run,
				    &self->thread));
	sleep_ms(2000);
	ASSERT_FALSE(region_thread_done(&self->thread))
		TH_LOG("the file system is not frozen for it");
}

static void finish(struct __test_metadata *_metadata,
		   FIXTURE_DATA(frozen) * self)
{
	struct region *region = &self->region;

	EXPECT_EQ(0, thaw(self));
	pthread_join(self->thread.thread, NULL);
	ASSERT_NE(NULL, region->mr)
		TH_LOG("%s", strerror(errno));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES));
}

/* Returns its status once it ended, or -1 if it does not */
static int wait_for(pid_t pid, unsigned int ms)
{
	uint64_t end = now_ms() + ms;
	int status;

	do {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		sleep_ms(20);
	} while (now_ms() < end);
	return -1;
}

/*
 * A process that runs ndctl when it is told. It is forked in advance: the thread
 * that registers has the address space locked while it waits.
 */
static pid_t prepare_ndctl(const char *what, const char *namespace, int *tell)
{
	int ends[2];
	char byte;
	pid_t pid;

	if (pipe(ends))
		die("no pipe");
	fflush(NULL);
	pid = fork();
	if (!pid) {
		close(ends[1]);
		if (read(ends[0], &byte, 1) == 1)
			execlp("ndctl", "ndctl", what, namespace, NULL);
		_exit(127);
	}
	close(ends[0]);
	*tell = ends[1];
	return pid;
}

TEST_F(frozen, another_namespace_goes)
{
	const char *namespace = getenv("DAX_RETARGET_NAMESPACE");
	pid_t disable, enable;
	int status, go, go_back;
	uint64_t begin;

	SKIP_IF(return, permission_missing("DAX_RETARGET_NAMESPACE",
					   "disable a namespace"));
	disable = prepare_ndctl("disable-namespace", namespace, &go);
	enable = prepare_ndctl("enable-namespace", namespace, &go_back);
	begin_to_register(_metadata, self);
	begin = now_ms();
	ASSERT_EQ(1, write(go, "g", 1));
	status = wait_for(disable, LIMIT_MS);
	TH_LOG("%s: status %d after %lu ms", namespace, status,
	       now_ms() - begin);
	EXPECT_EQ(0, status)
		TH_LOG("HELD UP by a registration on a frozen file system");
	EXPECT_FALSE(region_thread_done(&self->thread));
	finish(_metadata, self);

	if (status < 0)
		EXPECT_EQ(0, wait_for(disable, patience_ms()));
	ASSERT_EQ(1, write(go_back, "g", 1));
	EXPECT_EQ(0, wait_for(enable, patience_ms()));
	close(go);
	close(go_back);
}

/* A process that waits there can be killed, or at least ends after the thaw */
TEST_F(frozen, the_owner_is_killed)
{
	struct stats now;
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		nic_register(nic_open(nic_of_child()), self->region.map, self->region.len);
		pause();
	}
	sleep_ms(2000);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	sleep_ms(500);
	EXPECT_EQ(0, thaw(self));
	status = wait_for(pid, LIMIT_MS);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_TRUE(stats_wait(&self->bench.before, &now));
}

TEST_HARNESS_MAIN
