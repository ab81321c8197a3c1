// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where pages cannot be taken back from a device, the device is stopped before
 * their blocks are freed: an entry that cannot be replaced, a large entry that
 * cannot be split, a flush that is not confirmed. Test switches make each happen.
 *
 * A device that is stopped does no DMA at all, makes no new pins, and is reported:
 * in the kernel log, to administrators and in the list of devices, for which see
 * command/stopped.sh. The file system goes on as ever.
 *
 * The device stays stopped until its driver is bound anew, which the test does
 * with the command in NICS.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_vfio.h"

#define PAGES	64UL
#define FIRST	16UL	/* pages that lose their blocks */
#define NR	32UL

/* Of PCI's configuration space */
#define COMMAND		4
#define BUS_MASTER	4

/* Of messages */
#define CRITICAL	2

FIXTURE(fail_closed)
{
	struct bench bench;
	struct region region;
	uint64_t pos;		/* of the region in the file */
	struct device device;
	int log;
	int victim;
};

enum hook { PUNCH, TRUNCATE, UNLINK, DEREGISTER };

FIXTURE_VARIANT(fail_closed)
{
	const char *fault;
	enum hook hook;
	bool large;	/* a 2M entry, of which a part goes */
};

FIXTURE_VARIANT_ADD(fail_closed, replace_punch) {
	.fault = "fail/replace",
	.hook = PUNCH,
};

FIXTURE_VARIANT_ADD(fail_closed, replace_truncate) {
	.fault = "fail/replace",
	.hook = TRUNCATE,
};

FIXTURE_VARIANT_ADD(fail_closed, replace_unlink) {
	.fault = "fail/replace",
	.hook = UNLINK,
};

FIXTURE_VARIANT_ADD(fail_closed, flush_punch) {
	.fault = "fail/flush",
	.hook = PUNCH,
};

FIXTURE_VARIANT_ADD(fail_closed, flush_truncate) {
	.fault = "fail/flush",
	.hook = TRUNCATE,
};

FIXTURE_VARIANT_ADD(fail_closed, flush_deregister) {
	.fault = "fail/flush",
	.hook = DEREGISTER,
};

FIXTURE_VARIANT_ADD(fail_closed, table_punch) {
	.fault = "fail/table",
	.hook = PUNCH,
	.large = true,
};

FIXTURE_SETUP(fail_closed)
{
	struct region *region = &self->region;

	self->victim = -1;
	self->pos = 0;
	SKIP_IF(return, bench_open(&self->bench) ?: switches_missing() ?:
			device_find(0, &self->device));
	if (variant->hook == PUNCH)
		SKIP_IF(return, punch_missing());
	ASSERT_TRUE(switch_exists(variant->fault))
		TH_LOG("NOTHING FAILS: no switch %s", variant->fault);
	self->log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	ASSERT_LE(0, self->log);
	ASSERT_LE(0, lseek(self->log, 0, SEEK_END));
	folder_rest();
	self->victim = victim_create();
	if (!variant->large)
		region_open(&self->bench, region, "file", PAGES);
	else if (!region_open_aligned(&self->bench, region, "file", PAGE_2M,
				      &self->pos))
		SKIP(return, "the file system has no aligned run of 2 MiB");
	leave_little_space(8 << 20);
}

/* Begin with a new NIC: connections do not survive a device that was stopped */
static void make_nic_anew(FIXTURE_DATA(fail_closed) * self)
{
	conn_close(self->bench.conn);
	nic_close(self->bench.nic);
	device_unbind(&self->device);
	devices_bind();
	self->bench.nic = nic_open(0);
	self->bench.conn = conn_open(self->bench.nic);
}

FIXTURE_TEARDOWN(fail_closed)
{
	switches_reset("fail");
	region_close(&self->region);
	if (self->victim >= 0)
		close(self->victim);
	close(self->log);
	make_nic_anew(self);
	EXPECT_TRUE(bench_close(&self->bench));
}

static bool is_bus_master(FIXTURE_DATA(fail_closed) * self)
{
	char path[128];
	uint16_t command;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config",
		 self->device.name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || pread(fd, &command, 2, COMMAND) != 2)
		die("cannot read %s", path);
	close(fd);
	return command & BUS_MASTER;
}

/* Critical messages of the kernel that say that the device is stopped */
static unsigned int nr_reports(FIXTURE_DATA(fail_closed) * self)
{
	unsigned int nr = 0;
	char line[1024];
	ssize_t len;

	for (;;) {
		len = read(self->log, line, sizeof(line) - 1);
		if (len < 0 && errno == EAGAIN)
			return nr;
		/* Some were overwritten (EPIPE), or one is too long (EINVAL) */
		line[len > 0 ? len : 0] = 0;
		if (strtoul(line, NULL, 10) % 8 != CRITICAL ||
		    !strstr(line, "dax_retarget") || !strstr(line, "stopped") ||
		    !strstr(line, self->device.name))
			continue;
		printf("# %s", strchr(line, ';') + 1);
		nr++;
	}
}

static int run_hook(struct region *region, enum hook hook, uint64_t pos)
{
	switch (hook) {
	case PUNCH:
		return file_punch(region->fd, pos + FIRST * PAGE, NR * PAGE);
	case TRUNCATE:
		return ftruncate(region->fd, pos + FIRST * PAGE);
	case UNLINK:
		file_unlink(region->name);
		region_unmap(region);
		folder_sync();
		return 0;
	case DEREGISTER:
		region_deregister(region);
		return file_punch(region->fd, pos + FIRST * PAGE, NR * PAGE);
	}
	return -1;
}

TEST_F(fail_closed, the_device_is_stopped)
{
	struct region *region = &self->region;
	struct writer *writer = NULL;
	struct extents freed;
	struct ibv_mr *mr;
	uint64_t got, start;
	size_t size;
	void *map;
	int fd;

	file_extents(region->fd, self->pos + FIRST * PAGE, NR * PAGE, &freed);
	ASSERT_TRUE(is_bus_master(self));
	if (variant->hook != DEREGISTER) {
		writer = writer_start(self->bench.nic, region->mr, PAGES,
				      DEVICE);
		ASSERT_EQ(0, writer_wait(writer, 1));
	}

	switch_write(variant->fault, 1);
	start = now_ms();
	ASSERT_EQ(0, run_hook(region, variant->hook, self->pos));
	EXPECT_GE(20000, now_ms() - start);
	EXPECT_FALSE(is_bus_master(self))
		TH_LOG("DEVICE GOES ON: it is a bus master");
	EXPECT_EQ(1, nr_reports(self));
	if (!consumer_is_rdma()) {
		/* Its driver is a program, and need not be friendly */
		vfio_start_again(self->bench.nic);
		EXPECT_FALSE(is_bus_master(self))
			TH_LOG("DEVICE GOES ON: its program has started it");
	}

	/* The blocks are another file's, and the device reaches them no more */
	size = victim_grow(self->victim, &freed, &got);
	TH_LOG("another file has %lu of %lu freed pages", got / PAGE, NR);
	EXPECT_LE(NR / 4, got / PAGE);
	if (writer) {
		sleep_ms(1000);
		writer_stop(writer);
	}
	EXPECT_EQ(-1, victim_damage(self->victim, size));

	/* It stays stopped where nothing fails any more */
	switch_write(variant->fault, 0);
	EXPECT_FALSE(is_bus_master(self));
	fd = file_open("victim", O_RDWR);
	map = file_map(fd, 0, PAGE);
	mr = nic_register(self->bench.nic, map, PAGE);
	EXPECT_EQ(NULL, mr)
		TH_LOG("a device that is stopped gets a pin");
	if (mr)
		nic_deregister(mr);
	munmap(map, PAGE);
	close(fd);

	/* Bound anew, it works as before */
	region_close(region);
	make_nic_anew(self);
	EXPECT_TRUE(is_bus_master(self));
	file_unlink("ballast");
	folder_sync();
	region_open(&self->bench, region, "again", PAGES);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES));
	EXPECT_EQ(0, nr_reports(self));
}

/* However much fails, it is reported once */
TEST_F(fail_closed, once)
{
	struct region *region = &self->region;

	if (variant->hook != PUNCH || variant->large)
		SKIP(return, "said by another variant");
	switch_write(variant->fault, 1);
	ASSERT_EQ(0, run_hook(region, variant->hook, self->pos));
	ASSERT_EQ(0, ftruncate(region->fd, 0));
	file_unlink(region->name);
	region_close(region);
	EXPECT_EQ(1, nr_reports(self))
		TH_LOG("the device is stopped more than once");
}

static void *reset_over_and_over(void *nic)
{
	unsigned int i;
	int error = 0;

	for (i = 0; i < 10 && !error; i++)
		error = vfio_reset(nic);
	return (void *)(long)error;
}

/*
 * A reset saves the configuration of the device, waits, and restores what it saved. A
 * program can ask for one at any time.
 */
TEST_F(fail_closed, stopped_during_a_reset)
{
	pthread_t thread;
	void *error;

	if (consumer_is_rdma() || variant->hook != PUNCH || variant->large)
		SKIP(return, "said by another variant");
	ASSERT_EQ(0, pthread_create(&thread, NULL, reset_over_and_over,
				    self->bench.nic));
	sleep_ms(150);
	switch_write(variant->fault, 1);
	ASSERT_EQ(0, run_hook(&self->region, variant->hook, self->pos));
	pthread_join(thread, &error);
	ASSERT_EQ(NULL, error);
	EXPECT_EQ(1, nr_reports(self));
	EXPECT_FALSE(is_bus_master(self))
		TH_LOG("DEVICE GOES ON: a reset has started it");
}

TEST_HARNESS_MAIN
