// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs of an administrator change the blocks of a file that is in use: XFS
 * online repair finds out anew which blocks the file has, and ext4 swaps them
 * with those of the boot loader's inode. Devices lose the pages, and so do
 * processes that have the file mapped.
 */

#include <errno.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_ops.h"

#define PAGES	16UL
#define LEN	(PAGES * PAGE)

FIXTURE(repair)
{
	struct bench bench;
	struct mount_info mount;
	struct region region;
	struct extents old;
};

FIXTURE_SETUP(repair)
{
	SKIP_IF(return, bench_open(&self->bench) ?: mount_find(&self->mount));
	region_open(&self->bench, &self->region, "file", PAGES);
	file_extents(self->region.fd, 0, LEN, &self->old);
	ASSERT_EQ(LEN, extents_size(&self->old));
}

FIXTURE_TEARDOWN(repair)
{
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

/* The same mapping, registered again, is of the file as it is now */
static void expect_pinned_anew(struct __test_metadata *_metadata,
			       FIXTURE_DATA(repair) * self)
{
	struct region *region = &self->region;

	region_deregister(region);
	region->mr = nic_register(self->bench.nic, region->map, LEN);
	ASSERT_NE(NULL, region->mr);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES));
}

TEST_F(repair, boot_loader_swap)
{
	long retargeted = stat_read("pages_retargeted");
	struct region *region = &self->region;
	ssize_t seen;

	if (strcmp(self->mount.type, "ext4"))
		SKIP(return, "not ext4");

	/* Page table entries that can be written through */
	fill(region->map, LEN, PROCESS, 0);
	ASSERT_EQ(0, op_apply("swap_boot", region->fd, 0, 0))
		TH_LOG("%s", strerror(errno));
	EXPECT_EQ((long)PAGES, stat_read("pages_retargeted") - retargeted);
	ASSERT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 0, PAGES,
				      DEVICE));
	EXPECT_EQ(0, device_find_writer(&self->mount, &self->old, DEVICE));

	/*
	 * The boot loader had nothing, so the file is a hole now. ftruncate()
	 * would unmap it, so a write makes it as long as it was.
	 */
	file_fill(region->fd, LEN - PAGE, PAGE, PROCESS);
	seen = find_difference(region->map, LEN - PAGE, ZERO, 0);
	/* A fault for writing would never end there either */
	ASSERT_EQ(-1, seen)
		TH_LOG("OLD BLOCK SEEN: %s",
		       describe((char *)region->map + seen));

	expect_pinned_anew(_metadata, self);
	ASSERT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 0, PAGES,
				      DEVICE2));
	EXPECT_EQ(0, device_find_writer(&self->mount, &self->old, DEVICE2));

	/* Leave the boot loader with nothing again */
	region_deregister(region);
	EXPECT_EQ(0, ftruncate(region->fd, 0));
	EXPECT_EQ(0, op_apply("swap_boot", region->fd, 0, 0));
}

/* As in fs/xfs/libxfs/xfs_fs.h */
struct scrub {
	__u32 type;
	__u32 flags;
	__u64 ino;		/* 0: the file of the ioctl */
	__u32 gen, agno;
	__u64 reserved[5];
};

#define SCRUB_METADATA		_IOWR('X', 60, struct scrub)
#define SCRUB_TYPE_BMBTD	12
#define SCRUB_REPAIR		(1U << 0)
#define SCRUB_CORRUPT		(1U << 1)
#define SCRUB_NOT_NEEDED	(1U << 7)
#define SCRUB_FORCE_REBUILD	(1U << 8)

/* errno; or 0, with what repair says in @flags */
static int repair(int fd, __u32 *flags)
{
	struct scrub scrub = {
		.type = SCRUB_TYPE_BMBTD,
		.flags = SCRUB_REPAIR | *flags,
	};

	if (ioctl(fd, SCRUB_METADATA, &scrub))
		return errno;
	*flags = scrub.flags;
	return 0;
}

static const char *repair_missing(const struct mount_info *mount, int error)
{
	if (strcmp(mount->type, "xfs"))
		return "not XFS";
	if (error == EOPNOTSUPP)
		return "no online repair: kernel, or made without reverse mapping";
	return NULL;
}

/* Repair while a device writes to all of the file; returns why it cannot */
static const char *repair_under_writes(struct __test_metadata *_metadata,
				       FIXTURE_DATA(repair) * self,
				       __u32 *flags)
{
	struct region *region = &self->region;
	struct writer *writer;
	const char *missing;
	int error;

	writer = writer_start(self->bench.nic, region->mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));
	error = repair(region->fd, flags);
	EXPECT_EQ(0, writer_wait(writer, 1));
	EXPECT_EQ(0, writer_stop(writer));
	missing = repair_missing(&self->mount, error);
	if (!missing)
		ASSERT_EQ(0, error)
			TH_LOG("%s", strerror(error));
	return missing;
}

/* Repair drops the DAX entries of the file, and devices keep their pages */
TEST_F(repair, nothing_to_repair)
{
	long retargeted = stat_read("pages_retargeted");
	struct region *region = &self->region;
	struct extents now;
	__u32 flags = 0;

	SKIP_IF(return, repair_under_writes(_metadata, self, &flags));
	EXPECT_EQ(SCRUB_NOT_NEEDED, flags & (SCRUB_NOT_NEEDED | SCRUB_CORRUPT));

	write_file("/proc/sys/vm/drop_caches", "3");
	EXPECT_EQ(0, fsync(region->fd));
	file_extents(region->fd, 0, LEN, &now);
	EXPECT_EQ(LEN, extents_shared(&self->old, &now));
	EXPECT_EQ(0, stat_read("pages_retargeted") - retargeted);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES));
	expect_pinned_anew(_metadata, self);
}

/* Repair may find other blocks, or shared ones, so devices lose all pages */
TEST_F(repair, rebuild)
{
	long retargeted = stat_read("pages_retargeted");
	struct region *region = &self->region;
	__u32 flags = SCRUB_FORCE_REBUILD;
	uint64_t word;
	unsigned long i;

	SKIP_IF(return, repair_under_writes(_metadata, self, &flags));
	EXPECT_EQ(0, flags & (SCRUB_NOT_NEEDED | SCRUB_CORRUPT));

	retargeted = stat_read("pages_retargeted") - retargeted;
	EXPECT_EQ((long)PAGES, retargeted)
		TH_LOG("REPAIR TOOK %ld of %lu pages", retargeted, PAGES);
	ASSERT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 0, PAGES,
				      DEVICE2));
	EXPECT_EQ(0, device_find_writer(&self->mount, &self->old, DEVICE2));
	/* The file has kept its data, which the device wrote before */
	for (i = 0; i < PAGES; i++) {
		ASSERT_EQ(sizeof(word), pread(region->fd, &word, sizeof(word),
					      i * PAGE));
		EXPECT_TRUE(written_by(&word, DEVICE))
			TH_LOG("page %lu has %s", i, describe(&word));
	}
	expect_pinned_anew(_metadata, self);
}

TEST_HARNESS_MAIN
