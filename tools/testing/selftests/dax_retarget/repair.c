// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an administrator's programs do to the blocks of a file that is in use:
 * ext4 swaps them with those of the boot loader's inode. Devices lose the pages, and so does whoever
 * has the file mapped.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib_harness.h"

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
	const char *missing = bench_open(&self->bench) ?:
			      mount_find(&self->mount);

	if (missing)
		SKIP(return, "%s", missing);
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

/* As in the kernel, which does not export it */
#define EXT4_IOC_SWAP_BOOT	_IO('f', 17)

TEST_F(repair, boot_loader_swap)
{
	long retargeted = stat_read("pages_retargeted");
	struct region *region = &self->region;
	ssize_t seen;

	if (strcmp(self->mount.type, "ext4"))
		SKIP(return, "not ext4");

	/* Page table entries that can be written through */
	fill(region->map, LEN, PROCESS, 0);
	ASSERT_EQ(0, ioctl(region->fd, EXT4_IOC_SWAP_BOOT))
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
	/* Nor would a fault for writing ever end */
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
	EXPECT_EQ(0, ioctl(region->fd, EXT4_IOC_SWAP_BOOT));
}

TEST_HARNESS_MAIN
