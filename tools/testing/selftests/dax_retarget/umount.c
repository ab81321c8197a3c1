// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file system can be unmounted, or shut down, while a device has pages of it.
 * Unmounting takes no longer, and the device goes on. What the device writes
 * after the inode is gone is not in the file system. Blocks that become free on
 * the way, also those that only the next mount frees, are safe from the device.
 *
 * Unmounts the folder that is tested, and mounts it again: only if
 * DAX_RETARGET_UMOUNT is in the environment.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "lib_harness.h"

#define PAGES	32UL
#define LEN	(PAGES * PAGE)

/* XFS_IOC_GOINGDOWN is the same as EXT4_IOC_SHUTDOWN, flags included */
#define SHUTDOWN		_IOR('X', 125, uint32_t)
#define SHUTDOWN_DEFAULT	0	/* flush all first */
#define SHUTDOWN_LOG_FLUSH	1	/* flush the log first */
#define SHUTDOWN_NO_LOG_FLUSH	2

FIXTURE(umount)
{
	struct bench bench;
	struct region region;
	struct mount_info mount;
	int victim;
	bool away;
};

static const char *shutdown_missing(const struct mount_info *info)
{
	if (strcmp(info->type, "xfs") && strcmp(info->type, "ext4"))
		return "only XFS and ext4 can be shut down";
	return NULL;
}

FIXTURE_SETUP(umount)
{
	SKIP_IF(return, bench_open(&self->bench) ?:
			umount_missing(&self->mount));
	self->victim = victim_create();
	region_open(&self->bench, &self->region, "file", PAGES);
}

static void mount_back(FIXTURE_DATA(umount) * self)
{
	mount_again(&self->mount);
	self->away = false;
}

FIXTURE_TEARDOWN(umount)
{
	if (self->away)
		mount_back(self);
	region_close(&self->region);
	if (self->victim >= 0)
		close(self->victim);
	EXPECT_TRUE(bench_close(&self->bench));
}

/* Nothing of ours keeps the file system */
static void let_go(FIXTURE_DATA(umount) * self)
{
	region_unmap(&self->region);
	if (self->victim >= 0)
		close(self->victim);
	self->victim = -1;
}

static uint64_t time_umount(FIXTURE_DATA(umount) * self)
{
	uint64_t start;

	let_go(self);
	sync();
	start = now_ms();
	if (umount(self->mount.dir))
		die("cannot unmount %s", self->mount.dir);
	self->away = true;
	return now_ms() - start;
}

/* The file system's own program has nothing to complain about */
static void expect_clean(struct __test_metadata *_metadata,
			 FIXTURE_DATA(umount) * self)
{
	int status;

	if (!self->away)
		time_umount(self);
	status = mount_check(&self->mount);
	if (status == 127)
		TH_LOG("not checked: no program for it");
	else
		EXPECT_EQ(0, status);
	mount_back(self);
}

/* Wait until so many pages have been taken back */
static bool retargeted_by(long goal)
{
	uint64_t end = now_ms() + patience_ms();

	while (stat_read("pages_retargeted") < goal) {
		if (now_ms() > end)
			return false;
		sleep_ms(10);
	}
	return stat_read("pages_retargeted") == goal;
}

/* All pages, by way of a mapping: that works where read() does not any more */
static unsigned long pages_not_seen(FIXTURE_DATA(umount) * self,
				    enum writer_id id)
{
	unsigned long i, wrong = 0;

	if (conn_write_pages(self->bench.conn, self->region.mr, 0, PAGES, id))
		die("the device cannot write");
	for (i = 0; i < PAGES; i++)
		if (!written_by((char *)self->region.map + i * PAGE, id))
			wrong++;
	return wrong;
}

TEST_F(umount, under_remote_writes)
{
	struct region *region = &self->region;
	long retargeted = stat_read("pages_retargeted");
	struct writer *writer;
	struct extents old;
	uint64_t usual, took;
	unsigned long i;
	int fd, error;

	file_extents(region->fd, 0, LEN, &old);
	writer = writer_start(self->bench.nic, region->mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));

	took = time_umount(self);
	error = writer_wait(writer, 2);
	EXPECT_EQ(0, error)
		TH_LOG("traffic: %s", conn_error(error));
	EXPECT_EQ(0, writer_stop(writer));
	EXPECT_EQ((long)PAGES, stat_read("pages_retargeted") - retargeted);

	mount_back(self);
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 0, PAGES,
				      DEVICE2));
	EXPECT_EQ(0, device_find_writer(&self->mount, &old, DEVICE2));
	fd = file_open(region->name, O_RDWR);
	for (i = 0; i < PAGES; i++) {
		EXPECT_EQ(-1, file_find_difference(fd, i * PAGE, PROBE, DEVICE))
			TH_LOG("page %lu is not what the device wrote last", i);
	}
	close(fd);

	region_deregister(region);
	usual = time_umount(self);
	TH_LOG("took %lu ms, unpinned %lu ms", took, usual);
	EXPECT_LE(took, 20 * usual + 1000);
	expect_clean(_metadata, self);
}

/*
 * The file system is away for others, and in use by this process. As long as
 * the inode lives, no page is lost. With the last user the file system goes,
 * and the pages with it.
 */
TEST_F(umount, lazily)
{
	struct region *region = &self->region;
	long retargeted = stat_read("pages_retargeted");
	struct extents old;
	int fd, dir;

	file_extents(region->fd, 0, LEN, &old);
	fd = region->fd;
	region->fd = -1;
	dir = folder_open();
	ASSERT_EQ(0, fchdir(dir));
	close(dir);
	let_go(self);
	ASSERT_EQ(0, umount2(self->mount.dir, MNT_DETACH));
	self->away = true;

	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0, fd, 0,
					    PAGES));
	/* The inode is cached, though nobody has the file open */
	ASSERT_EQ(0, fsync(fd));
	close(fd);
	sleep_ms(200);
	EXPECT_EQ(0, stat_read("pages_retargeted") - retargeted);
	fd = open(region->name, O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0, fd, 0,
					    PAGES));
	close(fd);

	ASSERT_EQ(0, chdir("/"));
	EXPECT_TRUE(retargeted_by(retargeted + PAGES));
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 0, PAGES,
				      DEVICE2));
	EXPECT_EQ(0, device_find_writer(&self->mount, &old, DEVICE2));

	mount_back(self);
	fd = file_open(region->name, O_RDWR);
	EXPECT_EQ(-1, file_find_difference(fd, 0, PROBE, DEVICE));
	close(fd);
	expect_clean(_metadata, self);
}

/*
 * A file is unlinked, and its blocks are freed only when the file system is
 * mounted again: by recovery of the log, or of the list of orphans.
 */
enum leaving {
	LAZILY,
	BY_SHUTDOWN,
};

FIXTURE(unlinked)
{
	FIXTURE_DATA(umount) umount;
};

FIXTURE_VARIANT(unlinked)
{
	enum leaving by;
	uint32_t flags;
	bool synced;	/* the medium knows that it is unlinked */
};

FIXTURE_VARIANT_ADD(unlinked, lazily) {
	.by = LAZILY,
};

FIXTURE_VARIANT_ADD(unlinked, shutdown) {
	.by = BY_SHUTDOWN,
	.flags = SHUTDOWN_DEFAULT,
};

FIXTURE_VARIANT_ADD(unlinked, shutdown_log_flush) {
	.by = BY_SHUTDOWN,
	.flags = SHUTDOWN_LOG_FLUSH,
};

FIXTURE_VARIANT_ADD(unlinked, shutdown_no_log_flush) {
	.by = BY_SHUTDOWN,
	.flags = SHUTDOWN_NO_LOG_FLUSH,
	.synced = true,
};

FIXTURE_SETUP(unlinked)
{
	FIXTURE_DATA(umount) *u = &self->umount;

	SKIP_IF(return, umount_missing(&u->mount));
	if (variant->by == BY_SHUTDOWN)
		SKIP_IF(return, shutdown_missing(&u->mount));
	SKIP_IF(return, bench_open(&u->bench));
	folder_rest();
	u->victim = victim_create();
	region_open(&u->bench, &u->region, "file", PAGES);
	leave_little_space(8 << 20);
	sync();
}

FIXTURE_TEARDOWN(unlinked)
{
	umount_teardown(_metadata, &self->umount, NULL);
}

TEST_F(unlinked, victim_stays_intact)
{
	FIXTURE_DATA(umount) *u = &self->umount;
	struct region *region = &u->region;
	long retargeted = stat_read("pages_retargeted");
	struct writer *writer;
	struct extents freed;
	uint64_t got;
	size_t size;
	int error, dir;

	file_extents(region->fd, 0, LEN, &freed);
	writer = writer_start(u->bench.nic, region->mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));

	dir = folder_open();
	file_unlink(region->name);
	if (variant->synced)
		sync();
	if (variant->by == BY_SHUTDOWN) {
		ASSERT_EQ(0, ioctl(dir, SHUTDOWN, &variant->flags))
			TH_LOG("%s", strerror(errno));
	} else {
		ASSERT_EQ(0, umount2(u->mount.dir, MNT_DETACH));
		u->away = true;
	}
	/* The inode is there, and so are its pages */
	EXPECT_EQ(0, stat_read("pages_retargeted") - retargeted);
	EXPECT_EQ(0, writer_wait(writer, 1));
	close(dir);
	let_go(u);
	if (variant->by == BY_SHUTDOWN) {
		ASSERT_EQ(0, umount(u->mount.dir));
		u->away = true;
	}
	EXPECT_TRUE(retargeted_by(retargeted + PAGES));

	mount_back(u);
	u->victim = file_open("victim", O_RDWR);
	EXPECT_FALSE(file_exists(region->name))
		TH_LOG("%s is there again", region->name);
	size = victim_grow(u->victim, &freed, &got);
	TH_LOG("another file has %lu of %lu freed pages", got / PAGE, PAGES);
	ASSERT_LE(PAGES / 4, got / PAGE);

	error = writer_wait(writer, 3);
	EXPECT_EQ(0, error)
		TH_LOG("traffic: %s", conn_error(error));
	EXPECT_EQ(0, writer_stop(writer));
	EXPECT_EQ(-1, victim_damage(u->victim, size));
	expect_clean(_metadata, u);
}

/* A file system that is shut down keeps its pages until it is unmounted */
FIXTURE(shutdown)
{
	FIXTURE_DATA(umount) umount;
};

FIXTURE_VARIANT(shutdown)
{
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(shutdown, flush) { .flags = SHUTDOWN_DEFAULT };
FIXTURE_VARIANT_ADD(shutdown, log_flush) { .flags = SHUTDOWN_LOG_FLUSH };
FIXTURE_VARIANT_ADD(shutdown, no_log_flush) { .flags = SHUTDOWN_NO_LOG_FLUSH };

FIXTURE_SETUP(shutdown)
{
	FIXTURE_DATA(umount) *u = &self->umount;

	SKIP_IF(return, umount_missing(&u->mount) ?:
			shutdown_missing(&u->mount) ?: bench_open(&u->bench));
	u->victim = -1;
	region_open(&u->bench, &u->region, "file", PAGES);
}

FIXTURE_TEARDOWN(shutdown)
{
	umount_teardown(_metadata, &self->umount, NULL);
}

TEST_F(shutdown, keeps_pages_until_umount)
{
	FIXTURE_DATA(umount) *u = &self->umount;
	struct region *region = &u->region;
	long retargeted = stat_read("pages_retargeted");
	struct writer *writer;
	struct extents old;
	int dir, fd;

	file_extents(region->fd, 0, LEN, &old);
	sync();
	writer = writer_start(u->bench.nic, region->mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));

	dir = folder_open();
	ASSERT_EQ(0, ioctl(dir, SHUTDOWN, &variant->flags))
		TH_LOG("%s", strerror(errno));
	close(dir);
	EXPECT_EQ(0, writer_wait(writer, 1));
	EXPECT_EQ(0, writer_stop(writer));
	EXPECT_EQ(0, pages_not_seen(u, DEVICE2));
	EXPECT_EQ(0, pages_not_seen(u, DEVICE));
	EXPECT_EQ(0, stat_read("pages_retargeted") - retargeted);

	let_go(u);
	ASSERT_EQ(0, umount(u->mount.dir));
	u->away = true;
	EXPECT_EQ((long)PAGES, stat_read("pages_retargeted") - retargeted);
	EXPECT_EQ(0, conn_write_pages(u->bench.conn, region->mr, 0, PAGES,
				      DEVICE2));
	EXPECT_EQ(0, device_find_writer(&u->mount, &old, DEVICE2));

	mount_back(u);
	EXPECT_EQ(0, device_find_writer(&u->mount, &old, DEVICE2));
	fd = file_open(region->name, O_RDWR);
	EXPECT_EQ(-1, file_find_difference(fd, 0, PROBE, DEVICE));
	EXPECT_EQ(-1, file_find_difference(fd, LEN - PAGE, PROBE, DEVICE));
	close(fd);
	expect_clean(_metadata, u);
}

TEST_HARNESS_MAIN
