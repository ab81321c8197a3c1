// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory fails under a pin. The device keeps the page: scratch in its place
 * would turn an error that is detected into zeros that are not. But the failure
 * is announced, once for each pin that reaches the page, and the page can leave
 * the file like any other.
 *
 * Errors are injected, and a page that failed keeps the mark until its
 * namespace is made anew: only if DAX_RETARGET_POISON is in the environment.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_trace.h"

#define PAGES	16UL
#define BAD	5UL	/* the page that fails */

FIXTURE(poison)
{
	struct bench bench;
	struct region region;
	uint64_t pos;		/* in the file, of the region */
	unsigned long bad;	/* the page of the region that fails */
	/* Pages that are looked at, of the region */
	unsigned long first, end;
	uint64_t phys;		/* of the bad page */
	long retargeted;
	long failed;
};

static const char *events_open(void)
{
	if (!trace_open())
		return "no kernel tracing (root, tracefs)";
	/* Where there is no such event, the test is to fail */
	trace_enable("dax_retarget/dax_pin_memory_failure");
	return NULL;
}

FIXTURE_SETUP(poison)
{
	SKIP_IF(return, bench_open(&self->bench) ?:
			permission_missing("DAX_RETARGET_POISON",
					   "mark memory as failed"));
	if (access("/proc/sys/vm/memory_failure_recovery", F_OK))
		SKIP(return, "no CONFIG_MEMORY_FAILURE");
	SKIP_IF(return, events_open());
	region_open(&self->bench, &self->region, "file", PAGES);
	self->bad = BAD;
	self->end = PAGES;
	self->phys = physical_address(self->region.map + BAD * PAGE);
	self->retargeted = stat_read("pages_retargeted");
	self->failed = stat_read("pages_failed");
}

FIXTURE_TEARDOWN(poison)
{
	region_close(&self->region);
	trace_close();
	EXPECT_TRUE(bench_close(&self->bench));
}

static void *sigbus_at;

static void on_sigbus(int signal, siginfo_t *info, void *context)
{
	sigbus_at = info->si_addr;
}

/* The process that meets the error gets SIGBUS, as without pins */
static int be_the_finder(FIXTURE_DATA(poison) * self)
{
	struct sigaction action = {
		.sa_sigaction = on_sigbus,
		.sa_flags = SA_SIGINFO,
	};
	int fd = file_open("file", O_RDWR);
	char *map = file_map_aligned(fd, self->pos, self->region.len,
				     self->region.len);
	char *bad = map + self->bad * PAGE;

	if (sigaction(SIGBUS, &action, NULL))
		die("no handler");
	if (madvise(bad, PAGE, MADV_HWPOISON))
		die("cannot inject an error");
	if (sigbus_at != bad) {
		printf("# SIGBUS at %p, not at %p\n", sigbus_at, bad);
		return 1;
	}
	return 0;
}

/* Have the page fail under a process that has no region */
static void fail(struct __test_metadata *_metadata, FIXTURE_DATA(poison) * self)
{
	int status;
	pid_t pid;

	trace_clear();
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		region_unmap(&self->region);
		_exit(be_the_finder(self));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status)
		TH_LOG("the process that met the error: status 0x%x", status);
}

/* Events for @index of a pin, whose frame is @phys */
static unsigned int nr_events(unsigned long index, uint64_t phys)
{
	struct trace_event event;
	unsigned int nr = 0;
	FILE *trace;

	trace = trace_begin();
	while (trace_next(trace, &event)) {
		if (strcmp(event.name, "dax_pin_memory_failure"))
			continue;
		printf("# %s\n", event.fields);
		if (trace_field(&event, "index") == index &&
		    strtoull(strstr(event.fields, "pfn=") + 4, NULL, 0) ==
		    phys / PAGE)
			nr++;
	}
	return nr;
}

/* The first of some pages of the region that is not the file's, or -1 */
static long incoherent(FIXTURE_DATA(poison) * self, int fd, unsigned long first,
		       unsigned long end)
{
	return first_incoherent_page(&self->bench, self->region.mr, first, fd,
				     self->pos / PAGE + first, end - first);
}

/* The failure is announced, and no device lost the page */
static void check_failed(struct __test_metadata *_metadata,
			 FIXTURE_DATA(poison) * self, int fd, long pins)
{
	struct translation found;

	EXPECT_EQ(pins, nr_events(self->bad, self->phys))
		TH_LOG("NOT ANNOUNCED as it should be");
	EXPECT_EQ(pins, stat_read("pages_failed") - self->failed);
	EXPECT_EQ(0, stat_read("pages_retargeted") - self->retargeted)
		TH_LOG("the error is masked");
	if (translations_visible())
		EXPECT_TRUE(translation_leads_to(self->phys, PAGE, &found));
	/* The error is injected: a device can use the memory as before */
	EXPECT_EQ(-1, incoherent(self, fd, self->first, self->end));
}

/* The page leaves the file, and nothing is special about it */
static void take_it(struct __test_metadata *_metadata,
		    FIXTURE_DATA(poison) * self, int fd)
{
	uint64_t pos = self->pos + self->bad * PAGE;
	bool can_punch = !punch_missing();
	struct translation found;
	uint64_t start = now_ms();
	long nr = 1;

	if (can_punch) {
		ASSERT_EQ(0, file_punch(fd, pos, PAGE));
	} else {
		/* With what is behind it */
		ASSERT_EQ(0, ftruncate(fd, pos));
		nr = self->region.len / PAGE - self->bad;
	}
	EXPECT_GE(5000, now_ms() - start);
	EXPECT_EQ(nr, stat_read("pages_retargeted") - self->retargeted);
	if (translations_visible())
		EXPECT_FALSE(translation_leads_to(self->phys, PAGE, &found));
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, self->region.mr,
				      self->bad, 1, DEVICE2));
	EXPECT_EQ(-1, incoherent(self, fd, self->first, self->bad));
	if (!can_punch)
		return;
	EXPECT_EQ(-1, file_find_difference(fd, pos, PAGE, ZERO));
	EXPECT_EQ(-1, incoherent(self, fd, self->bad + 1, self->end));
}

/* No process maps the file: the kernel finds the pin by the frame alone */
TEST_F(poison, of_unmapped_file)
{
	int fd;

	region_unmap(&self->region);
	fail(_metadata, self);
	fd = file_open("file", O_RDWR);
	check_failed(_metadata, self, fd, 1);
	take_it(_metadata, self, fd);
	close(fd);
}

/* The 511 neighbours have the same DAX entry, which goes with the page */
TEST_F(poison, of_page_within_2m)
{
	struct region *region = &self->region;

	region_close(region);
	file_unlink("file");
	if (!region_open_aligned(&self->bench, region, "file", PAGE_2M,
				 &self->pos))
		SKIP(return, "the file system has no aligned run of 2 MiB");
	self->bad = 256;
	self->first = self->bad - 8;
	self->end = self->bad + 9;
	self->phys = physical_address(region->map) + self->bad * PAGE;
	self->retargeted = stat_read("pages_retargeted");

	signal(SIGBUS, SIG_IGN);
	fail(_metadata, self);
	check_failed(_metadata, self, region->fd, 1);
	take_it(_metadata, self, region->fd);
}

static unsigned int nr_sigbus;

static void count_sigbus(int signal)
{
	nr_sigbus++;
}

/* The owner of the region has the page mapped, and wants to be told, too */
TEST_F(poison, of_mapped_file)
{
	struct region *region = &self->region;
	struct writer *writer;
	sigset_t set, old;

	ASSERT_EQ(0, prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0,
			   0));
	signal(SIGBUS, count_sigbus);
	sigemptyset(&set);
	sigaddset(&set, SIGBUS);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	writer = writer_start(self->bench.nic, region->mr, PAGES, DEVICE2);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	ASSERT_EQ(0, writer_wait(writer, 1));

	fail(_metadata, self);
	EXPECT_EQ(0, writer_wait(writer, 1));
	EXPECT_EQ(0, writer_stop(writer));
	EXPECT_EQ(1, nr_sigbus);

	check_failed(_metadata, self, region->fd, 1);
	take_it(_metadata, self, region->fd);
}

/* One page in three pins, one of which has lost it and one of which is gone */
TEST_F(poison, of_page_in_several_regions)
{
	struct region *region = &self->region;
	struct bench *bench = &self->bench;
	struct ibv_mr *second, *read_only, *gone, *beside;
	struct nic *other = NULL;

	signal(SIGBUS, SIG_IGN);
	second = nic_register(bench->nic, region->map, region->len);
	ASSERT_NE(NULL, second);
	if (nic_exists(1)) {
		other = nic_open(1);
		read_only = nic_register_read_only(other, region->map,
						   region->len);
	} else {
		read_only = nic_register_read_only(bench->nic, region->map,
						   region->len);
	}
	ASSERT_NE(NULL, read_only);
	gone = nic_register(bench->nic, region->map, region->len);
	ASSERT_NE(NULL, gone);
	nic_deregister(gone);
	beside = nic_register(bench->nic, region->map + (BAD + 1) * PAGE,
			      2 * PAGE);
	ASSERT_NE(NULL, beside);
	region_unmap(region);
	region->fd = file_open("file", O_RDWR);

	fail(_metadata, self);
	check_failed(_metadata, self, region->fd, 3);

	nic_deregister(beside);
	nic_deregister(read_only);
	nic_deregister(second);
	if (other)
		nic_close(other);
	take_it(_metadata, self, region->fd);
}

/* The failure of a page that left the file is announced to no pin */
TEST_F(poison, of_page_that_was_taken)
{
	struct region *region = &self->region;
	uint64_t word = 1;

	SKIP_IF(return, punch_missing());
	region_unmap(region);
	region->fd = file_open("file", O_RDWR);
	ASSERT_EQ(0, file_punch(region->fd, BAD * PAGE, PAGE));
	/* It has a block again, most likely the same one */
	ASSERT_EQ(sizeof(word), pwrite(region->fd, &word, sizeof(word),
				       BAD * PAGE));
	fail(_metadata, self);
	EXPECT_EQ(0, nr_events(BAD, self->phys));
	EXPECT_EQ(0, stat_read("pages_failed") - self->failed);
}

TEST_F(poison, then_deregister)
{
	region_unmap(&self->region);
	fail(_metadata, self);
	EXPECT_EQ(1, stat_read("pages_failed") - self->failed);
	region_deregister(&self->region);
}

TEST_F(poison, then_unlink)
{
	struct region *region = &self->region;
	uint64_t end = now_ms() + patience_ms();

	region_unmap(region);
	fail(_metadata, self);
	file_unlink("file");
	while (stat_read("pages_retargeted") - self->retargeted < (long)PAGES &&
	       now_ms() < end)
		sleep_ms(20);
	EXPECT_EQ((long)PAGES, stat_read("pages_retargeted") - self->retargeted);
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 0, PAGES,
				      DEVICE2));
}

TEST_F(poison, then_sync)
{
	int dir = folder_open(), fd;

	region_unmap(&self->region);
	fail(_metadata, self);
	fd = file_open("file", O_RDWR);
	EXPECT_EQ(0, fsync(fd));
	EXPECT_EQ(0, syncfs(dir));
	close(fd);
	close(dir);
}

TEST_HARNESS_MAIN
