// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory under a pin fails with a real machine check. The kernel then unmaps the
 * page from its direct map, so that whoever touches the page in the kernel dies:
 * an instruction that writes a cache line back needs a translation, too. No sync
 * and no end of a pin touches the page, and neither do hooks. The pages beside it
 * are written back as ever. The failure stays counted, and once the error is
 * cleared, the page is like any other.
 *
 * poison.c has what devices and administrators see of a failure. An error that
 * MADV_HWPOISON injects leaves the direct map alone.
 *
 * Needs a command that has memory fail, DAX_RETARGET_MEMORY_ERROR, which gets the
 * physical address.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_trace.h"
#include "lib_writeback.h"

#define PAGES	16UL
#define BAD	5UL	/* the page that fails */

FIXTURE(machine_check)
{
	struct bench bench;
	struct region region;
	struct mount_info mount;
	struct extents block;	/* of the bad page */
	uint64_t phys[PAGES];
	struct write_backs seen;
	long failed;
	bool cleared;
};

/* What happens to a file one page of which has failed */
enum after {
	FSYNC,
	SYNCFS,
	MSYNC,
	PUNCH,
	PUNCH_BESIDE,
	TRUNCATE,
	TRUNCATE_WITHIN,
	UNLINK,
	DEREGISTER,
	UNMOUNT,
};

FIXTURE_VARIANT(machine_check)
{
	enum after after;
	bool dirty;	/* the CPU has written to the page, too */
	bool writes;	/* pages that are left have to be written back */
};

FIXTURE_VARIANT_ADD(machine_check, fsync) {
	.after = FSYNC,
	.writes = true,
};

FIXTURE_VARIANT_ADD(machine_check, fsync_dirty) {
	.after = FSYNC,
	.dirty = true,
	.writes = true,
};

FIXTURE_VARIANT_ADD(machine_check, syncfs) {
	.after = SYNCFS,
	.writes = true,
};

FIXTURE_VARIANT_ADD(machine_check, syncfs_dirty) {
	.after = SYNCFS,
	.dirty = true,
	.writes = true,
};

FIXTURE_VARIANT_ADD(machine_check, msync_dirty) {
	.after = MSYNC,
	.dirty = true,
	.writes = true,
};

FIXTURE_VARIANT_ADD(machine_check, punch) {
	.after = PUNCH,
};

FIXTURE_VARIANT_ADD(machine_check, punch_dirty) {
	.after = PUNCH,
	.dirty = true,
};

FIXTURE_VARIANT_ADD(machine_check, punch_beside) {
	.after = PUNCH_BESIDE,
	.dirty = true,
};

FIXTURE_VARIANT_ADD(machine_check, truncate) {
	.after = TRUNCATE,
	.dirty = true,
};

FIXTURE_VARIANT_ADD(machine_check, truncate_within) {
	.after = TRUNCATE_WITHIN,
	.dirty = true,
};

FIXTURE_VARIANT_ADD(machine_check, unlink) {
	.after = UNLINK,
	.dirty = true,
};

FIXTURE_VARIANT_ADD(machine_check, deregister) {
	.after = DEREGISTER,
	.writes = true,
};

FIXTURE_VARIANT_ADD(machine_check, deregister_dirty) {
	.after = DEREGISTER,
	.dirty = true,
	.writes = true,
};

FIXTURE_VARIANT_ADD(machine_check, unmount) {
	.after = UNMOUNT,
	.dirty = true,
};

static const char *command_missing(void)
{
	return permission_missing("DAX_RETARGET_MEMORY_ERROR",
				  "have memory fail, by a command");
}

FIXTURE_SETUP(machine_check)
{
	struct region *region = &self->region;
	unsigned long i;

	SKIP_IF(return, command_missing() ?: mount_find(&self->mount) ?:
			bench_open(&self->bench));
	if (variant->after == UNMOUNT)
		SKIP_IF(return, umount_missing(&self->mount));
	if (variant->after == PUNCH || variant->after == PUNCH_BESIDE)
		SKIP_IF(return, punch_missing());
	/* It is sent to processes that have the page mapped */
	signal(SIGBUS, SIG_IGN);
	region_open(&self->bench, region, "file", PAGES);
	SKIP_IF(return, write_backs_open(region->fd));
	for (i = 0; i < PAGES; i++)
		self->phys[i] = physical_address(region->map + i * PAGE);
	file_extents(region->fd, BAD * PAGE, PAGE, &self->block);
	ASSERT_EQ(PAGE, extents_size(&self->block));
	ASSERT_EQ(0, fsync(region->fd));
	self->failed = stat_read("pages_failed");
}

/* What the kernel knows of bad blocks of the device under the folder */
static size_t read_bad_blocks(const char *source, char *buf, size_t size)
{
	char path[128];
	struct stat st;
	size_t len;
	FILE *f;

	if (stat(source, &st))
		die("no %s", source);
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/badblocks",
		 major(st.st_rdev), minor(st.st_rdev));
	f = fopen(path, "r");
	if (!f)
		die("no %s", path);
	len = fread(buf, 1, size - 1, f);
	fclose(f);
	buf[len] = 0;
	return len;
}

/*
 * The driver notes the bad block last: the page is out of the direct map then.
 * See the priorities of the machine check notifiers.
 */
static void break_memory(struct __test_metadata *_metadata,
			 FIXTURE_DATA(machine_check) * self)
{
	char command[256], before[PAGE], now[PAGE];
	uint64_t end = now_ms() + patience_ms();

	read_bad_blocks(self->mount.source, before, sizeof(before));
	snprintf(command, sizeof(command), "%s 0x%lx",
		 getenv("DAX_RETARGET_MEMORY_ERROR"),
		 (unsigned long)self->phys[BAD]);
	if (system(command))
		die("fails: %s", command);
	do {
		sleep_ms(20);
		read_bad_blocks(self->mount.source, now, sizeof(now));
	} while (!strcmp(before, now) && now_ms() < end);
	ASSERT_STRNE(before, now)
		TH_LOG("memory at 0x%lx did not fail",
		       (unsigned long)self->phys[BAD]);
	ASSERT_EQ(1, stat_read("pages_failed") - self->failed);
}

/*
 * Have the error cleared, by a write to the block, of whatever file it is now, and
 * past its file system: or the block would fail a later test.
 */
static int clear_error(FIXTURE_DATA(machine_check) * self)
{
	void *page = aligned_alloc(PAGE, PAGE);
	int fd, error = 0;

	memset(page, 0, PAGE);
	fd = open(self->mount.source, O_WRONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		die("cannot open %s", self->mount.source);
	if (pwrite(fd, page, PAGE, self->block.list[0].phys) != (ssize_t)PAGE)
		error = errno;
	close(fd);
	free(page);
	self->cleared = !error;
	return error;
}

FIXTURE_TEARDOWN(machine_check)
{
	region_close(&self->region);
	write_backs_close();
	if (!self->cleared)
		EXPECT_EQ(0, clear_error(self))
			TH_LOG("the error cannot be cleared: later tests may fail");
	EXPECT_TRUE(bench_close(&self->bench));
}

static void mount_anew(FIXTURE_DATA(machine_check) * self)
{
	region_unmap(&self->region);
	if (umount(self->mount.dir))
		die("cannot unmount %s", self->mount.dir);
	mount_again(&self->mount);
}

/* Errors are fine, as the data of one page is lost; the kernel goes on */
static int go_on(FIXTURE_DATA(machine_check) * self, enum after after)
{
	struct region *region = &self->region;
	int dir, ret = 0;

	switch (after) {
	case FSYNC:
		return fsync(region->fd);
	case SYNCFS:
		dir = folder_open();
		ret = syncfs(dir);
		close(dir);
		return ret;
	case MSYNC:
		return msync(region->map, region->len, MS_SYNC);
	case PUNCH:
		return file_punch(region->fd, BAD * PAGE, PAGE);
	case PUNCH_BESIDE:
		return file_punch(region->fd, (BAD - 1) * PAGE, PAGE);
	case TRUNCATE:
		return ftruncate(region->fd, BAD * PAGE);
	case TRUNCATE_WITHIN:
		return ftruncate(region->fd, BAD * PAGE + PROBE);
	case UNLINK:
		file_unlink(region->name);
		region_unmap(region);
		return 0;
	case DEREGISTER:
		region_deregister(region);
		return 0;
	case UNMOUNT:
		mount_anew(self);
		return 0;
	}
	return -1;
}

/* A page that failed is touched by nobody. Those beside it are written back. */
static void check_write_backs(struct __test_metadata *_metadata,
			      FIXTURE_DATA(machine_check) * self, bool writes)
{
	unsigned long i;

	write_backs_stop(&self->seen, self->phys, PAGES);
	EXPECT_EQ(0, self->seen.times[BAD])
		TH_LOG("FAILED PAGE WRITTEN BACK, %u times",
		       self->seen.times[BAD]);
	for (i = 0; i < PAGES; i++) {
		if (i != BAD && writes)
			EXPECT_LT(0, self->seen.times[i])
				TH_LOG("page %lu was not written back", i);
	}
}

TEST_F(machine_check, then)
{
	struct region *region = &self->region;
	char *map = region->map;

	ASSERT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 0, PAGES,
				      DEVICE));
	if (variant->dirty)
		map[BAD * PAGE + PROBE] = 1;
	break_memory(_metadata, self);

	write_backs_start(&self->seen);
	if (go_on(self, variant->after))
		TH_LOG("%s", strerror(errno));
	check_write_backs(_metadata, self, variant->writes);
	EXPECT_EQ(1, stat_read("pages_failed") - self->failed);

	/* The other pages are the device's as before */
	if (variant->after < UNLINK)
		EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
						    region->fd, 0, BAD - 1));
	write_backs_start(&self->seen);
	region_close(region);
	check_write_backs(_metadata, self, false);
}

/* A process ends that has a region of which a page failed */
static int die_with_region(FIXTURE_DATA(machine_check) * self)
{
	struct nic *nic = nic_open(nic_of_child());

	return nic_register(nic, self->region.map, self->region.len) ? 0 : 1;
}

FIXTURE(machine_check_more)
{
	FIXTURE_DATA(machine_check) check;
};

static FIXTURE_VARIANT(machine_check) plain = { .after = FSYNC };

FIXTURE_SETUP(machine_check_more)
{
	machine_check_setup(_metadata, &self->check, &plain);
}

FIXTURE_TEARDOWN(machine_check_more)
{
	machine_check_teardown(_metadata, &self->check, &plain);
}

TEST_F(machine_check_more, then_the_owner_dies)
{
	FIXTURE_DATA(machine_check) * check = &self->check;
	int status, go[2];
	struct stats now;
	char byte;
	pid_t pid;

	region_deregister(&check->region);
	ASSERT_EQ(0, pipe(go));
	fflush(NULL);
	pid = fork();
	if (!pid) {
		if (die_with_region(check))
			_exit(1);
		write(go[1], "r", 1);
		pause();
	}
	ASSERT_EQ(1, read(go[0], &byte, 1));
	break_memory(_metadata, check);
	write_backs_start(&check->seen);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(stats_wait(&check->bench.before, &now));
	check_write_backs(_metadata, check, true);
}

/* What clears the error gives the page back to all, also to the write-back */
TEST_F(machine_check_more, then_it_is_cleared)
{
	FIXTURE_DATA(machine_check) * check = &self->check;
	struct region *region = &check->region;
	char page[PAGE];

	break_memory(_metadata, check);
	EXPECT_EQ(-1, pread(region->fd, page, PAGE, BAD * PAGE));
	EXPECT_EQ(EIO, errno);
	fill(page, PAGE, PROCESS, BAD * PAGE);
	ASSERT_EQ((ssize_t)PAGE, pwrite(region->fd, page, PAGE, BAD * PAGE))
		TH_LOG("%s", strerror(errno));
	check->cleared = true;

	ASSERT_EQ(0, conn_write_pages(check->bench.conn, region->mr, 0, PAGES,
				      DEVICE2));
	EXPECT_EQ(-1, first_incoherent_page(&check->bench, region->mr, 0,
					    region->fd, 0, PAGES));
	write_backs_start(&check->seen);
	EXPECT_EQ(0, fsync(region->fd));
	write_backs_stop(&check->seen, check->phys, PAGES);
	EXPECT_LT(0, check->seen.times[BAD])
		TH_LOG("CLEARED PAGE NOT WRITTEN BACK");
	/* What has failed has failed */
	EXPECT_EQ(1, stat_read("pages_failed") - check->failed);
}

/* Its block is freed, cleared and given to another file */
TEST_F(machine_check_more, then_the_block_moves_on)
{
	FIXTURE_DATA(machine_check) * check = &self->check;
	struct region *region = &check->region;
	struct translation found = { 0 };

	SKIP_IF(return, punch_missing());
	break_memory(_metadata, check);
	ASSERT_EQ(0, file_punch(region->fd, BAD * PAGE, PAGE));
	if (translations_visible())
		EXPECT_FALSE(translation_leads_to(check->phys[BAD], PAGE,
						  &found));
	EXPECT_EQ(0, clear_error(check));
	write_backs_start(&check->seen);
	EXPECT_EQ(0, fsync(region->fd));
	check_write_backs(_metadata, check, true);
}

TEST_HARNESS_MAIN
