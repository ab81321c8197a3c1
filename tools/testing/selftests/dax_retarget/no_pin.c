// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is of no DAX file is registered as on a kernel without pins: no pin
 * is made for it, not even for a moment. Most regions of most machines are of such
 * memory.
 *
 * The witness is a probe on the function that allocates pins.
 */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_trace.h"

#define PAGES	2048UL	/* several batches of the consumer */

FIXTURE(no_pin)
{
	struct bench bench;
};

FIXTURE_SETUP(no_pin)
{
	SKIP_IF(return, bench_open(&self->bench));
	if (!trace_open() || !trace_probe("pin_made", "retarget_region_init"))
		SKIP(return, "no probe on retarget_region_init() (CONFIG_KPROBE_EVENTS)");
	trace_clear();
}

FIXTURE_TEARDOWN(no_pin)
{
	trace_close();
	EXPECT_TRUE(bench_close(&self->bench));
}

static unsigned int nr_pins_made(void)
{
	struct trace_event event;
	unsigned int nr = 0;
	FILE *trace;

	trace = trace_begin();
	while (trace_next(trace, &event))
		nr += !strcmp(event.name, "pin_made");
	return nr;
}

/* Device and process agree on what is in the region */
static void use(struct __test_metadata *_metadata, FIXTURE_DATA(no_pin) * self,
		struct ibv_mr *mr, char *map)
{
	unsigned long i;

	EXPECT_EQ(0, conn_write_pages(self->bench.conn, mr, 0, 16, DEVICE));
	for (i = 0; i < 16; i++)
		EXPECT_EQ(-1, find_difference(map + i * PAGE, PROBE, DEVICE,
					      i * PAGE));
}

static void register_memory(struct __test_metadata *_metadata,
			    FIXTURE_DATA(no_pin) * self, int flags, int fd)
{
	char *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, flags, fd,
			 0);
	struct ibv_mr *mr;

	ASSERT_NE(MAP_FAILED, (void *)map);
	mr = nic_register(self->bench.nic, map, PAGES * PAGE);
	ASSERT_NE(NULL, mr)
		TH_LOG("%s", strerror(errno));
	EXPECT_EQ(0, nr_pins_made())
		TH_LOG("PIN MADE for memory that is of no DAX file");
	EXPECT_EQ(self->bench.before.pins, stat_read("pins"));
	use(_metadata, self, mr, map);
	nic_deregister(mr);
	munmap(map, PAGES * PAGE);
}

TEST_F(no_pin, of_anonymous_memory)
{
	register_memory(_metadata, self, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

TEST_F(no_pin, of_shared_memory)
{
	int fd = memfd_create("memory", 0);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, PAGES * PAGE));
	register_memory(_metadata, self, MAP_SHARED, fd);
	close(fd);
}

/* The probe sees the pin of a file, also if the file comes last in the region */
TEST_F(no_pin, but_of_a_file_behind_it)
{
	int fd = file_create("file", PAGE, FILLED);
	char *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ibv_mr *mr;

	ASSERT_NE(MAP_FAILED, (void *)map);
	ASSERT_NE(MAP_FAILED,
		  mmap(map + (PAGES - 1) * PAGE, PAGE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, fd, 0));
	mr = nic_register(self->bench.nic, map, PAGES * PAGE);
	ASSERT_NE(NULL, mr)
		TH_LOG("%s", strerror(errno));
	EXPECT_EQ(1, nr_pins_made());
	EXPECT_EQ(self->bench.before.pages_pinned + 1,
		  stat_read("pages_pinned"));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, mr, PAGES - 1, fd, 0,
					    1));
	use(_metadata, self, mr, map);
	nic_deregister(mr);
	munmap(map, PAGES * PAGE);
	close(fd);
}

TEST_HARNESS_MAIN
