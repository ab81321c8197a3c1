// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a file system is mounted with dax=inode, an attribute of each file says
 * whether it is a DAX file, from when its inode comes into memory. A DAX file
 * can be pinned, and any other file is registered as on any kernel. A change of
 * the attribute takes effect when the inode leaves memory, and the pages of the
 * file would leave with it: the inode of a pinned file stays until the last pin
 * is gone.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_ioctl.h"

#define PAGES	32UL
#define LEN	(PAGES * PAGE)

FIXTURE(attribute)
{
	struct bench bench;
	struct mount_info mount;
};

/* errno of changing a file's or folder's attribute */
static int set_dax(int fd, bool dax)
{
	struct fsxattr attr;

	if (ioctl(fd, FS_IOC_FSGETXATTR, &attr))
		return errno;
	if (dax)
		attr.fsx_xflags |= FS_XFLAG_DAX;
	else
		attr.fsx_xflags &= ~FS_XFLAG_DAX;
	return ioctl(fd, FS_IOC_FSSETXATTR, &attr) ? errno : 0;
}

/* New files inherit it from their folder */
static int set_folder_dax(bool dax)
{
	int dir = folder_open();
	int error = set_dax(dir, dax);

	close(dir);
	return error;
}

static const char *attribute_missing(struct mount_info *info)
{
	const char *missing = mount_find(info);

	if (missing)
		return missing;
	if (strstr(info->options, "dax=always") ||
	    strstr(info->options, "dax=never"))
		return "the file system is not mounted with dax=inode";
	folder_reset();
	if (set_folder_dax(true))
		return "the file system has no DAX attribute";
	return NULL;
}

FIXTURE_SETUP(attribute)
{
	SKIP_IF(return, attribute_missing(&self->mount) ?:
			bench_open(&self->bench));
}

FIXTURE_TEARDOWN(attribute)
{
	set_folder_dax(true);
	EXPECT_TRUE(bench_close(&self->bench));
}

/* errno of a registration */
static int registration_errno(struct nic *nic, int fd, bool read_only)
{
	void *map = file_map(fd, 0, LEN);
	struct ibv_mr *mr = read_only ? nic_register_read_only(nic, map, LEN) :
					nic_register(nic, map, LEN);
	int error = mr ? 0 : errno;

	if (mr)
		nic_deregister(mr);
	munmap(map, LEN);
	return error;
}

/* Page cache that is written back may not be pinned for writing: see gup.c */
TEST_F(attribute, decides)
{
	struct region region;
	int fd;

	region_open(&self->bench, &region, "file", PAGES);
	EXPECT_TRUE(file_is_dax(region.fd));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region.mr, 0,
					    region.fd, 0, PAGES));
	region_close(&region);

	ASSERT_EQ(0, set_folder_dax(false));
	fd = file_create("cached", LEN, FILLED);
	EXPECT_FALSE(file_is_dax(fd));
	EXPECT_EQ(EFAULT, registration_errno(self->bench.nic, fd, false));
	EXPECT_EQ(0, registration_errno(self->bench.nic, fd, true));

	/* The change takes effect when the inode is looked up the next time */
	EXPECT_EQ(0, set_dax(fd, true));
	close(fd);
	fd = file_open("cached", O_RDWR);
	EXPECT_TRUE(file_is_dax(fd));
	EXPECT_EQ(0, registration_errno(self->bench.nic, fd, false));
	EXPECT_EQ(-1, file_find_difference(fd, 0, LEN, FILLED));
	close(fd);
}

/* ext4 gives a donor's blocks away without dropping its pages */
TEST_F(attribute, donates_no_extents)
{
	struct move_extent move = { .len = PAGES };
	struct region donor = { 0 };
	struct extents moved;
	long retargeted;
	uint64_t pos;
	int orig;

	if (strcmp(self->mount.type, "ext4"))
		SKIP(return, "not ext4");
	if (!region_open_aligned(&self->bench, &donor, "donor", PAGE_2M, &pos))
		SKIP(return, "no blocks for a large DAX entry");

	/*
	 * A hole in a large entry drops it and leaves the pins: ext4 would put
	 * page cache in the place of an entry, which no kernel survives.
	 */
	ASSERT_EQ(0, file_punch(donor.fd, pos + LEN, PAGE));
	ASSERT_EQ(0, set_folder_dax(false));
	orig = file_create("orig", LEN, PROCESS);
	ASSERT_FALSE(file_is_dax(orig));
	/* ext4 gives no dirty page other blocks */
	ASSERT_EQ(0, fsync(orig));
	retargeted = stat_read("pages_retargeted");

	move.donor_fd = donor.fd;
	move.donor_start = pos / PAGE;
	EXPECT_EQ(-1, ioctl(orig, EXT4_IOC_MOVE_EXT, &move));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(0, stat_read("pages_retargeted") - retargeted);
	file_extents(orig, 0, LEN, &moved);
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, donor.mr, 0, PAGES,
				      DEVICE2));
	EXPECT_EQ(0, device_find_writer(&self->mount, &moved, DEVICE2))
		TH_LOG("DONATED BLOCKS WRITTEN");
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, donor.mr, 0,
					    donor.fd, move.donor_start, PAGES));
	EXPECT_EQ(-1, file_find_difference(orig, 0, LEN, PROCESS));
	close(orig);
	region_close(&donor);
}

TEST_F(attribute, change_takes_no_page)
{
	long retargeted = stat_read("pages_retargeted");
	struct region region;
	struct writer *writer;
	unsigned long i;
	int fd;

	region_open(&self->bench, &region, "file", PAGES);
	ASSERT_TRUE(file_is_dax(region.fd));
	writer = writer_start(self->bench.nic, region.mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));

	ASSERT_EQ(0, set_dax(region.fd, false))
		TH_LOG("%s", strerror(errno));
	sync();
	write_file("/proc/sys/vm/drop_caches", "3");
	EXPECT_EQ(0, writer_wait(writer, 1));
	EXPECT_TRUE(file_is_dax(region.fd));
	EXPECT_EQ(0, stat_read("pages_retargeted") - retargeted);
	EXPECT_EQ(0, writer_stop(writer));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region.mr, 0,
					    region.fd, 0, PAGES));

	/* The same if only the device uses the file: page cache stays, too */
	region_unmap(&region);
	write_file("/proc/sys/vm/drop_caches", "3");
	fd = file_open("file", O_RDWR);
	EXPECT_TRUE(file_is_dax(fd));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region.mr, 0, fd, 0,
					    PAGES));
	close(fd);
	EXPECT_EQ(0, stat_read("pages_retargeted") - retargeted);

	/* The change takes effect once the last pin is gone */
	region_close(&region);
	write_file("/proc/sys/vm/drop_caches", "2");
	fd = file_open("file", O_RDWR);
	EXPECT_FALSE(file_is_dax(fd));
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(-1, file_find_difference(fd, i * PAGE, PROBE,
						   DEVICE));
	EXPECT_EQ(EFAULT, registration_errno(self->bench.nic, fd, false));
	close(fd);
}

/* The blocks of such a file are taken back as those of any other */
TEST_F(attribute, changed_file_is_unlinked)
{
	long retargeted = stat_read("pages_retargeted");
	uint64_t end = now_ms() + patience_ms();
	struct region region;
	struct writer *writer;
	struct extents old;

	region_open(&self->bench, &region, "file", PAGES);
	file_extents(region.fd, 0, LEN, &old);
	ASSERT_EQ(0, set_dax(region.fd, false));
	region_unmap(&region);
	writer = writer_start(self->bench.nic, region.mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));
	EXPECT_EQ(0, stat_read("pages_retargeted") - retargeted);

	file_unlink("file");
	while (stat_read("pages_retargeted") == retargeted && now_ms() < end)
		sleep_ms(10);
	EXPECT_EQ((long)PAGES, stat_read("pages_retargeted") - retargeted);
	EXPECT_EQ(0, writer_wait(writer, 1));
	EXPECT_EQ(0, writer_stop(writer));
	ASSERT_EQ(0, conn_write_pages(self->bench.conn, region.mr, 0, PAGES,
				      DEVICE2));
	EXPECT_EQ(0, device_find_writer(&self->mount, &old, DEVICE2));
	region_close(&region);
}

TEST_HARNESS_MAIN
