// SPDX-License-Identifier: GPL-2.0-only
/*
 * Limits of a user without privileges in registering files. command.sh tests
 * what such a user sees, and that he cannot take pages back; scratch.c, that
 * scratch pages tell him nothing.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib_harness.h"

#define NOBODY	65534
#define LIMIT	16UL	/* pages that nobody may lock */

FIXTURE(security)
{
	struct bench bench;
};

FIXTURE_SETUP(security)
{
	SKIP_IF(return, bench_open(&self->bench));
}

FIXTURE_TEARDOWN(security)
{
	EXPECT_TRUE(bench_close(&self->bench));
}

static void become_nobody(void)
{
	struct rlimit limit;

	/* For VFIO, a device takes some */
	limit.rlim_cur = locked_memory() + LIMIT * PAGE;
	limit.rlim_max = limit.rlim_cur;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgroups(0, NULL) ||
	    setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		die("cannot become nobody");
}

/* Run @what as nobody, with a device and @fd. Returns what @what returns. */
static int as_nobody(int (*what)(struct nic *nic, int fd), int fd)
{
	struct nic *nic;
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		nic = nic_open(nic_of_child());
		become_nobody();
		_exit(what(nic, fd));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		die("the user's process failed");
	return WEXITSTATUS(status);
}

/* Pins of the same page count each time, up to the limit. Returns how many. */
static int register_all(struct nic *nic, int fd)
{
	struct ibv_mr *mr[4 * LIMIT];
	int nr = 0, i;
	void *map;

	map = file_map(fd, 0, PAGE);
	while (nr < 4 * LIMIT) {
		mr[nr] = nic_register(nic, map, PAGE);
		if (!mr[nr])
			break;
		nr++;
	}
	if (errno != ENOMEM)
		return 200;
	for (i = 0; i < nr; i++)
		nic_deregister(mr[i]);
	/* And what was given back can be had again */
	mr[0] = nic_register(nic, map, PAGE);
	if (!mr[0])
		return 201;
	nic_deregister(mr[0]);
	return nr;
}

TEST_F(security, locked_memory_is_limited)
{
	int fd = file_create("file", PAGE, FILLED);

	EXPECT_EQ(LIMIT, as_nobody(register_all, fd));
	close(fd);
}

/* With a descriptor for reading only, and a mapping that fits it */
static int register_for_writing(struct nic *nic, int fd)
{
	struct ibv_mr *mr;
	void *map;

	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		return 200;
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return 201;
	mr = nic_register(nic, map, PAGE);
	if (mr)
		return 202;
	mr = nic_register_read_only(nic, map, PAGE);
	if (!mr)
		return 203;
	/* A region lends no rights on the file */
	if (!ftruncate(fd, 0) ||
	    !file_punch(fd, 0, PAGE))
		return 204;
	nic_deregister(mr);
	return 0;
}

TEST_F(security, a_reader_cannot_write)
{
	int fd = file_create("file", PAGE, FILLED);
	int readable = file_open("file", O_RDONLY);

	EXPECT_EQ(0, as_nobody(register_for_writing, readable));
	EXPECT_EQ(-1, file_find_difference(fd, 0, PAGE, FILLED));
	close(readable);
	close(fd);
}

/* A region for reading stays one, whatever is asked for later */
TEST_F(security, rereg_gains_no_write_access)
{
	int fd = file_create("file", PAGE, FILLED), error;
	uint64_t word = 0;
	struct ibv_pd *pd;
	struct ibv_mr *mr;
	struct conn *conn;

	SKIP_IF(return, consumer_is_rdma() ? NULL : "no RDMA device");
	mr = nic_register_read_only(self->bench.nic, file_map(fd, 0, PAGE),
				    PAGE);
	ASSERT_NE(NULL, mr);
	pd = mr->pd;

	error = nic_rereg(mr, IBV_REREG_MR_CHANGE_ACCESS, IBV_ACCESS_LOCAL_WRITE |
			  IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ, pd);
	EXPECT_NE(0, error);
	if (error == EOPNOTSUPP)
		TH_LOG("this device changes no access");
	else
		EXPECT_EQ(0, nic_rereg(mr, IBV_REREG_MR_CHANGE_ACCESS,
				       IBV_ACCESS_REMOTE_READ, pd));
	EXPECT_EQ(0, conn_read(self->bench.conn, mr, 0, &word, sizeof(word)));
	EXPECT_TRUE(written_by(&word, FILLED));

	conn = conn_open(self->bench.nic);
	EXPECT_NE(0, conn_write(conn, mr, 0, &word, sizeof(word)));
	conn_close(conn);
	EXPECT_EQ(-1, file_find_difference(fd, 0, PAGE, FILLED));
	nic_deregister(mr);
	close(fd);
}

/* Regions of processes that died do not count against the limit */
static int die_with_region(struct nic *nic, int fd)
{
	return nic_register(nic, file_map(fd, 0, LIMIT * PAGE),
			    LIMIT * PAGE) ? 0 : errno;
}

TEST_F(security, the_dead_hold_nothing)
{
	int fd = file_create("file", LIMIT * PAGE, FILLED), i;
	struct stats now;

	for (i = 0; i < 20; i++)
		ASSERT_EQ(0, as_nobody(die_with_region, fd));
	EXPECT_TRUE(stats_wait(&self->bench.before, &now));
	close(fd);
}

/* Scratch pages and page tables in reserve are the user's memory */
TEST_F(security, reserves_are_charged)
{
	struct stats before, now;
	struct cgroup group;
	struct ibv_mr *mr[32];
	uint64_t pos;
	long charged;
	void *map;
	int fd, i;

	SKIP_IF(return, group_open(&group));
	fd = file_create_aligned("file", PAGE_2M, &pos);
	if (fd < 0) {
		group_close(&group);
		SKIP(return, "no 2 MiB of blocks in one piece, aligned");
	}
	map = file_map_aligned(fd, pos, PAGE_2M, PAGE_2M);

	/* The first region of all takes memory that the others do not */
	nic_deregister(nic_register(self->bench.nic, map, PAGE_2M));
	stats_read(&before);
	charged = group_stat(&group, "kernel");
	for (i = 0; i < ARRAY_SIZE(mr); i++) {
		mr[i] = nic_register(self->bench.nic, map, PAGE_2M);
		ASSERT_NE(NULL, mr[i]);
	}
	stats_read(&now);
	/* What was charged in advance and not used yet is a few pages */
	charged = group_stat(&group, "kernel") - charged;
	TH_LOG("%zu regions: %ld scratch pages, %ld tables, %ld KiB charged",
	       ARRAY_SIZE(mr), now.scratch_pages - before.scratch_pages,
	       now.table_pages - before.table_pages, charged / 1024);
	EXPECT_EQ(ARRAY_SIZE(mr), now.scratch_pages - before.scratch_pages);
	EXPECT_LE((long)((now.scratch_pages - before.scratch_pages +
			  now.table_pages - before.table_pages) * PAGE),
		  charged);
	for (i = 0; i < ARRAY_SIZE(mr); i++)
		nic_deregister(mr[i]);
	munmap(map, PAGE_2M);
	close(fd);
	group_close(&group);
}

TEST_HARNESS_MAIN
