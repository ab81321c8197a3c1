// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pin lives as long as its memory region, whatever becomes of the mapping,
 * the descriptor and the process; then nothing of it is left. Each test ends
 * with the kernel's counters back where they were.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib_harness.h"

#define PAGES	16UL

FIXTURE(lifetime)
{
	struct bench bench;
	struct region region;
};

FIXTURE_SETUP(lifetime)
{
	SKIP_IF(return, bench_open(&self->bench));
	region_open(&self->bench, &self->region, "file", PAGES);
}

FIXTURE_TEARDOWN(lifetime)
{
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

TEST_F(lifetime, outlives_mapping_and_descriptor)
{
	struct region *region = &self->region;
	int fd;

	region_unmap(region);
	fd = file_open(region->name, O_RDWR);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0, fd, 0,
					    PAGES));
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 0, PAGES,
				      DEVICE2));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0, fd, 0,
					    1));
	close(fd);
}

/* Only the pin knows the file, and its inode stays in memory */
TEST_F(lifetime, outlives_memory_pressure)
{
	struct region *region = &self->region;
	long retargeted = stat_read("pages_retargeted");
	int fd;

	region_unmap(region);
	sync();
	write_file("/proc/sys/vm/drop_caches", "3");
	write_file("/proc/sys/vm/drop_caches", "2");

	EXPECT_EQ(0, stat_read("pages_retargeted") - retargeted);
	fd = file_open(region->name, O_RDWR);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0, fd, 0,
					    PAGES));
	close(fd);
}

TEST_F(lifetime, outlives_fork)
{
	struct region *region = &self->region;
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* The child has mapping and descriptors, and no region */
		*(char *)region->map = 1;
		_exit(ftruncate(region->fd, PAGES / 2 * PAGE) ? 1 : 0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);

	EXPECT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 0, PAGES,
				      DEVICE2));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES / 2));
	ASSERT_EQ(0, ftruncate(region->fd, PAGES * PAGE));
	EXPECT_EQ(-1, file_find_difference(region->fd, PAGES / 2 * PAGE,
					   PAGES / 2 * PAGE, ZERO));
}

TEST_F(lifetime, deregister_after_truncate)
{
	struct region *region = &self->region;

	ASSERT_EQ(0, ftruncate(region->fd, 0));
	region_deregister(region);

	/* The file can have pins again, of its new blocks */
	file_fill(region->fd, 0, region->len, FILLED);
	region->mr = nic_register(self->bench.nic, region->map, region->len);
	ASSERT_NE(NULL, region->mr);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES));
}

TEST_F(lifetime, deregister_after_unlink)
{
	struct region *region = &self->region;

	file_unlink(region->name);
	region_unmap(region);
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 0, PAGES,
				      DEVICE));
	region_deregister(region);
}

/* Register and truncate a file, write to it for ever */
static void __noreturn be_a_process(int ready, bool exits)
{
	struct nic *nic = nic_open(nic_of_child());
	int fd = file_create("child", PAGES * PAGE, FILLED);
	void *map = file_map(fd, 0, PAGES * PAGE);
	struct ibv_mr *mr = nic_register(nic, map, PAGES * PAGE);
	struct writer *writer;

	if (!mr)
		die("cannot register");
	writer = writer_start(nic, mr, PAGES, DEVICE);
	if (writer_wait(writer, 1) || ftruncate(fd, PAGES / 2 * PAGE) ||
	    writer_wait(writer, 1))
		die("traffic ended");
	if (write(ready, "x", 1) != 1)
		die("cannot tell");
	if (exits)
		_exit(0);
	while (1)
		pause();
}

static void start_and_end(struct __test_metadata *_metadata,
			  FIXTURE_DATA(lifetime) * self, bool exits)
{
	int ready[2], status, fd;
	struct stats before, now;
	pid_t pid;
	char c;

	stats_read(&before);
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(ready[0]);
		be_a_process(ready[1], exits);
	}
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &c, 1));
	close(ready[0]);
	if (!exits)
		ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(exits, WIFEXITED(status));

	EXPECT_TRUE(stats_wait(&before, &now))
		TH_LOG("%ld pins are left", now.pins - before.pins);
	fd = file_open("child", O_RDWR);
	EXPECT_EQ(0, ftruncate(fd, 0));
	close(fd);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, self->region.mr, 0,
					    self->region.fd, 0, PAGES));
}

TEST_F(lifetime, ends_with_exit)
{
	start_and_end(_metadata, self, true);
}

TEST_F(lifetime, ends_with_sigkill)
{
	start_and_end(_metadata, self, false);
}

TEST_HARNESS_MAIN
