// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device writes to a medium without asking the file system. So a file system
 * that devices can write to is not remounted read-only, like one with a file
 * that is open for writing. Devices that only read do not hinder it. A mount
 * can be read-only at any time, while the file system is not.
 *
 * A freeze is not refused, as it is short. Devices go on writing: a program
 * that takes a snapshot of persistent memory has to stop them itself.
 *
 * Remounts the folder that is tested: only if DAX_RETARGET_UMOUNT is in the
 * environment; with DAX_RETARGET_EMERGENCY, also all other file systems.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_netlink.h"

#define PAGES	32UL
#define LEN	(PAGES * PAGE)

FIXTURE(readonly)
{
	struct bench bench;
	struct region region;
	struct mount_info mount;
	long retargeted;
};

FIXTURE_SETUP(readonly)
{
	SKIP_IF(return, bench_open(&self->bench) ?: mount_find(&self->mount) ?:
			permission_missing("DAX_RETARGET_UMOUNT",
					   "remount the file system"));
	region_open(&self->bench, &self->region, "file", PAGES);
	self->retargeted = stat_read("pages_retargeted");
}

FIXTURE_TEARDOWN(readonly)
{
	mount_change(&self->mount, 0);
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

/* The device has all its pages, and reaches no other */
static bool nothing_lost(FIXTURE_DATA(readonly) * self)
{
	int fd = file_open(self->region.name, O_RDWR);
	bool coherent;

	coherent = first_incoherent_page(&self->bench, self->region.mr, 0, fd,
					 0, PAGES) < 0;
	close(fd);
	return coherent && stat_read("pages_retargeted") == self->retargeted;
}

/* The messages the kernel logs from now on */
static int log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);

	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
		die("cannot read the kernel log");
	return fd;
}

/* Is there a message of DAX retarget with both words? */
static bool log_has(int fd, const char *word, const char *other)
{
	char line[1024];
	ssize_t len;

	while ((len = read(fd, line, sizeof(line) - 1)) > 0 || errno == EPIPE) {
		if (len < 0)
			continue;
		line[len] = 0;
		if (strstr(line, "dax_retarget:") && strstr(line, word) &&
		    strstr(line, other))
			return true;
	}
	return false;
}

/* Does the device change a file of a file system that is read-only? Says so */
static bool read_only_file_changes(FIXTURE_DATA(readonly) * self)
{
	int fd = file_open(self->region.name, O_RDONLY);
	off_t where = -1;
	unsigned long i;
	uint64_t word;

	if (conn_write_pages(self->bench.conn, self->region.mr, 0, PAGES,
			     DEVICE2))
		die("the device cannot write");
	for (i = 0; i < PAGES && where < 0; i++) {
		if (pread(fd, &word, sizeof(word), i * PAGE) != sizeof(word))
			die("cannot read page %lu", i);
		if (written_by(&word, DEVICE2))
			where = i * PAGE;
	}
	if (where >= 0)
		printf("# READ-ONLY FILE CHANGED at byte %ld: %s\n",
		       (long)where, describe(&word));
	close(fd);
	return where >= 0;
}

static const char *device_name(const struct mount_info *info)
{
	const char *slash = strrchr(info->source, '/');

	return slash ? slash + 1 : info->source;
}

TEST_F(readonly, refused_with_write_pin)
{
	int log = log_open(), error;

	/* An open file would have the remount refused without any pin */
	region_unmap(&self->region);
	error = mount_change(&self->mount, MS_RDONLY);
	EXPECT_EQ(EBUSY, error);
	if (!error) {
		EXPECT_FALSE(read_only_file_changes(self));
		mount_change(&self->mount, 0);
	}
	EXPECT_TRUE(log_has(log, device_name(&self->mount), "read-only"));
	close(log);
	EXPECT_TRUE(nothing_lost(self));

	region_deregister(&self->region);
	EXPECT_EQ(0, mount_change(&self->mount, MS_RDONLY));
	EXPECT_EQ(0, mount_change(&self->mount, 0));
}

/* One page of one file counts, and a pin that is not mapped yet does */
TEST_F(readonly, refused_while_registering)
{
	struct region_thread thread = {
		.bench = &self->bench,
		.region = &self->region,
		.len = PAGE,
	};

	SKIP_IF(return, switches_missing());
	region_deregister(&self->region);
	region_register_begin(&thread, WINDOW_MS);
	EXPECT_EQ(EBUSY, mount_change(&self->mount, MS_RDONLY));
	region_thread_end(&thread);
	ASSERT_NE(NULL, self->region.mr);
	region_unmap(&self->region);
	EXPECT_EQ(EBUSY, mount_change(&self->mount, MS_RDONLY));

	region_deregister(&self->region);
	EXPECT_EQ(0, mount_change(&self->mount, MS_RDONLY));
}

/* The device reads all pages as @id wrote them */
static void expect_device_reads(struct __test_metadata *_metadata,
				FIXTURE_DATA(readonly) * self,
				enum writer_id id)
{
	uint64_t buf[PROBE / 8];
	unsigned long i;

	for (i = 0; i < PAGES; i++) {
		ASSERT_EQ(0, conn_read(self->bench.conn, self->region.mr,
				       i * PAGE, buf, PROBE));
		EXPECT_EQ(-1, find_difference(buf, PROBE, id, i * PAGE))
			TH_LOG("page %lu reads as %s", i, describe(buf));
	}
}

/* A device that is told to read has a translation that lets it do no more */
TEST_F(readonly, allowed_with_read_pin)
{
	struct region *region = &self->region;

	region_deregister(region);
	region->mr = nic_register_read_only(self->bench.nic, region->map, LEN);
	ASSERT_NE(NULL, region->mr);
	region_unmap(region);

	ASSERT_EQ(0, mount_change(&self->mount, MS_RDONLY));
	expect_device_reads(_metadata, self, FILLED);

	ASSERT_EQ(0, mount_change(&self->mount, 0));
	region->fd = file_open(region->name, O_RDWR);
	file_fill(region->fd, 0, LEN, PROCESS);
	expect_device_reads(_metadata, self, PROCESS);
	EXPECT_EQ(0, stat_read("pages_retargeted") - self->retargeted);
}

/* A write pin counts beside a read pin, and beside pins of other files */
TEST_F(readonly, refused_until_last_write_pin_is_gone)
{
	struct region *region = &self->region, second;
	struct ibv_mr *reader;

	reader = nic_register_read_only(self->bench.nic, region->map, LEN);
	ASSERT_NE(NULL, reader);
	region_open(&self->bench, &second, "second", PAGES);
	region_unmap(&second);
	region_unmap(region);

	EXPECT_EQ(EBUSY, mount_change(&self->mount, MS_RDONLY));
	region_deregister(region);
	EXPECT_EQ(EBUSY, mount_change(&self->mount, MS_RDONLY));
	region_deregister(&second);
	EXPECT_EQ(0, mount_change(&self->mount, MS_RDONLY));
	nic_deregister(reader);
}

/* A region without pages writes to no file: the administrator has a way out */
TEST_F(readonly, allowed_when_all_was_revoked)
{
	struct region *region = &self->region, second;
	char name[32];
	struct netlink netlink;
	int log = log_open();

	SKIP_IF(return, netlink_open(&netlink));
	region_open(&self->bench, &second, "second", PAGES);
	ASSERT_EQ(0, netlink_revoke_file(&netlink, region->fd));
	region_unmap(region);
	ASSERT_EQ(0, ftruncate(second.fd, PAGE));
	region_unmap(&second);
	EXPECT_EQ(EBUSY, mount_change(&self->mount, MS_RDONLY));
	snprintf(name, sizeof(name), "[%d]", getpid());
	EXPECT_TRUE(log_has(log, "stays writable", name));
	close(log);

	second.fd = file_open(second.name, O_RDWR);
	ASSERT_EQ(0, netlink_revoke_file(&netlink, second.fd));
	close(second.fd);
	second.fd = -1;
	ASSERT_EQ(0, mount_change(&self->mount, MS_RDONLY));
	EXPECT_FALSE(read_only_file_changes(self));
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, second.mr, 0, PAGES,
				      DEVICE2));
	ASSERT_EQ(0, mount_change(&self->mount, 0));

	region_close(&second);
	netlink_close(&netlink);
}

/* A device that writes to an unlinked file writes to no file system */
TEST_F(readonly, allowed_when_pinned_file_is_gone)
{
	struct region *region = &self->region;
	uint64_t end = now_ms() + patience_ms();
	int error;

	file_unlink(region->name);
	region_unmap(region);
	/* XFS takes its time to free an inode, and is busy until then */
	while ((error = mount_change(&self->mount, MS_RDONLY)) == EBUSY &&
	       now_ms() < end)
		sleep_ms(20);
	EXPECT_EQ(0, error);
	EXPECT_EQ((long)PAGES,
		  stat_read("pages_retargeted") - self->retargeted);
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 0, PAGES,
				      DEVICE));
}

TEST_F(readonly, other_remounts_lose_nothing)
{
	static const unsigned long flags[] = {
		0, MS_NOATIME, MS_SYNCHRONOUS, MS_NODIRATIME | MS_RELATIME, 0,
	};
	struct writer *writer;
	unsigned int i;

	writer = writer_start(self->bench.nic, self->region.mr, PAGES, DEVICE);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_EQ(0, mount_change(&self->mount, flags[i]))
			TH_LOG("remount with flags 0x%lx: %s", flags[i],
			       strerror(errno));
		EXPECT_EQ(0, writer_wait(writer, 1));
	}
	EXPECT_EQ(0, writer_stop(writer));
	EXPECT_TRUE(nothing_lost(self));
}

/* One mount is read-only, and others of the same file system are writable */
TEST_F(readonly, bind_mount_is_not_the_file_system)
{
	char dir[] = "/tmp/dax_retarget.XXXXXX";

	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, mount(self->mount.dir, dir, NULL, MS_BIND, NULL));
	region_unmap(&self->region);
	EXPECT_EQ(0, mount(NULL, dir, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY,
			   NULL));
	EXPECT_TRUE(nothing_lost(self));
	EXPECT_EQ(0, umount(dir));
	rmdir(dir);
	EXPECT_TRUE(nothing_lost(self));
}

static void expect_device_wrote(struct __test_metadata *_metadata, int fd)
{
	unsigned long i;
	uint64_t word;

	for (i = 0; i < PAGES; i++) {
		EXPECT_EQ(sizeof(word), pread(fd, &word, sizeof(word),
					      i * PAGE));
		EXPECT_TRUE(written_by(&word, DEVICE2))
			TH_LOG("page %lu has %s", i, describe(&word));
	}
}

TEST_F(readonly, freeze_does_not_stop_devices)
{
	struct region *region = &self->region;
	int fd = file_open(region->name, O_RDONLY), dir = folder_open();
	uint64_t start = now_ms(), took;
	struct writer *writer;

	writer = writer_start(self->bench.nic, region->mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));
	start = now_ms();
	ASSERT_EQ(0, ioctl(dir, FIFREEZE, 0));
	took = now_ms() - start;
	EXPECT_EQ(0, writer_wait(writer, 1));
	EXPECT_EQ(0, writer_stop(writer));
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 0, PAGES,
				      DEVICE2));
	expect_device_wrote(_metadata, fd);
	ASSERT_EQ(0, ioctl(dir, FITHAW, 0));
	EXPECT_GT(2000, took);

	expect_device_wrote(_metadata, fd);
	close(fd);
	close(dir);
	EXPECT_TRUE(nothing_lost(self));
}

/* A pin can end while the file system is frozen */
TEST_F(readonly, deregister_while_frozen)
{
	int dir = folder_open();
	uint64_t start, took;

	region_unmap(&self->region);
	ASSERT_EQ(0, ioctl(dir, FIFREEZE, 0));
	start = now_ms();
	region_deregister(&self->region);
	took = now_ms() - start;
	ASSERT_EQ(0, ioctl(dir, FITHAW, 0));
	close(dir);
	EXPECT_GT(2000, took);
}

static bool is_read_only(const struct mount_info *mount)
{
	struct statvfs fs;

	if (statvfs(mount->dir, &fs))
		die("cannot look at %s", mount->dir);
	return fs.f_flag & ST_RDONLY;
}

/* SysRq u remounts all that is on block devices, without asking */
TEST_F(readonly, emergency_does_not_stop_devices)
{
	struct region *region = &self->region;
	uint64_t end = now_ms() + patience_ms();
	struct writer *writer;

	SKIP_IF(return, permission_missing("DAX_RETARGET_EMERGENCY",
					   "remount everything"));
	region_unmap(region);
	writer = writer_start(self->bench.nic, region->mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));
	write_file("/proc/sysrq-trigger", "u");
	while (!is_read_only(&self->mount) && now_ms() < end)
		sleep_ms(20);
	ASSERT_TRUE(is_read_only(&self->mount));

	EXPECT_EQ(0, writer_wait(writer, 1));
	EXPECT_EQ(0, writer_stop(writer));
	EXPECT_TRUE(read_only_file_changes(self));
	EXPECT_EQ(0, stat_read("pages_retargeted") - self->retargeted);

	ASSERT_EQ(0, mount_change(&self->mount, 0));
	EXPECT_FALSE(is_read_only(&self->mount));
	EXPECT_TRUE(nothing_lost(self));
}

TEST_HARNESS_MAIN
