// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file system can be unmounted while a device has pages of it: it takes no
 * longer, the device goes on, and what it writes from then on is not in the
 * file system.
 *
 * Unmounts the folder that is tested, and mounts it again: only if
 * DAX_RETARGET_UMOUNT is in the environment.
 */

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib_harness.h"

#define PAGES	32UL

FIXTURE(umount)
{
	struct bench bench;
	struct region region;
	char dir[256];
	char command[1024];	/* that mounts it again */
	bool away;
};

/* Is @dir a mount point? Then note how it was mounted */
static bool find_mount(FIXTURE_DATA(umount) * self, const char *dir)
{
	FILE *mounts = setmntent("/proc/mounts", "r");
	struct mntent *m;
	bool found = false;

	while (mounts && (m = getmntent(mounts))) {
		if (strcmp(m->mnt_dir, dir))
			continue;
		found = true;
		snprintf(self->dir, sizeof(self->dir), "%s", dir);
		snprintf(self->command, sizeof(self->command),
			 "mount -t '%s' -o '%s' '%s' '%s'", m->mnt_type,
			 m->mnt_opts, m->mnt_fsname, dir);
	}
	if (mounts)
		endmntent(mounts);
	return found;
}

FIXTURE_SETUP(umount)
{
	const char *dir = getenv("DAX_RETARGET_DIR");
	const char *missing = bench_open(&self->bench);

	if (missing)
		SKIP(return, "%s", missing);
	if (!getenv("DAX_RETARGET_UMOUNT"))
		SKIP(return, "would unmount the file system: set DAX_RETARGET_UMOUNT to allow it");
	if (!find_mount(self, dir ? dir : "/mnt"))
		SKIP(return, "the folder is not a mount point");
	region_open(&self->bench, &self->region, "file", PAGES);
}

static void mount_again(FIXTURE_DATA(umount) * self)
{
	if (system(self->command))
		die("cannot mount again: %s", self->command);
	self->away = false;
}

FIXTURE_TEARDOWN(umount)
{
	if (self->away)
		mount_again(self);
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

static uint64_t time_umount(FIXTURE_DATA(umount) * self)
{
	uint64_t start;

	sync();
	start = now_ms();
	if (umount(self->dir))
		die("cannot unmount %s", self->dir);
	self->away = true;
	return now_ms() - start;
}

TEST_F(umount, under_remote_writes)
{
	struct region *region = &self->region;
	long retargeted = stat_read("pages_retargeted");
	struct writer *writer;
	uint64_t usual, took;
	unsigned long i;
	int dir, fd, error;

	writer = writer_start(self->bench.nic, region->mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));
	region_unmap(region);

	took = time_umount(self);
	error = writer_wait(writer, 2);
	EXPECT_EQ(0, error)
		TH_LOG("traffic: %s", conn_error(error));
	EXPECT_EQ(0, writer_stop(writer));
	EXPECT_EQ((long)PAGES, stat_read("pages_retargeted") - retargeted);

	mount_again(self);
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 0, PAGES,
				      DEVICE2));
	dir = folder_open();
	fd = openat(dir, region->name, O_RDWR);
	ASSERT_LE(0, fd);
	close(dir);
	for (i = 0; i < PAGES; i++) {
		EXPECT_EQ(-1, file_find_difference(fd, i * PAGE, PROBE, DEVICE))
			TH_LOG("page %lu is not what the device wrote last", i);
	}
	close(fd);

	region_deregister(region);
	usual = time_umount(self);
	mount_again(self);
	TH_LOG("took %lu ms, unpinned %lu ms", took, usual);
	EXPECT_LE(took, 20 * usual + 1000);
}

TEST_HARNESS_MAIN
