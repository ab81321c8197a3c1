// SPDX-License-Identifier: GPL-2.0-only
/*
 * The persistent memory goes away under pins, with a file system mounted and
 * files in every state: a driver is unbound, of a namespace, a region or of all
 * NVDIMMs. The removal waits for no device, and DMA goes to scratch from then
 * on. Processes that have the files open get errors. When the memory comes
 * back, no device has written to it.
 *
 * Needs ndctl, and takes the namespace under the folder that is tested away for
 * a while: only if DAX_RETARGET_REMOVE is in the environment.
 */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_writeback.h"

#define PAGES	16UL

/* What stands for all NVDIMMs of a machine together */
#define ROOT_DRIVER	"/sys/bus/acpi/drivers/nfit/"

/* The state of a file when its memory goes */
#define OPEN	0x1
#define MAPPED	0x2
#define DIRTY	0x4	/* by the CPU, and never synced */
#define PINNED	0x8
#define UNLINKED 0x10
#define LARGE	0x20	/* one DAX entry of 2M, where it can be had */

static const struct {
	const char *name;
	unsigned int state;
} states[] = {
	{ "traffic",	PINNED | OPEN | MAPPED },
	{ "dirty",	PINNED | OPEN | MAPPED | DIRTY },
	{ "mapped",	PINNED | MAPPED },
	{ "open",	PINNED | OPEN },
	{ "closed",	PINNED },
	{ "unlinked",	PINNED | OPEN | UNLINKED },
	{ "orphan",	PINNED | MAPPED | DIRTY | UNLINKED },
	{ "unpinned",	OPEN | MAPPED | DIRTY },
	{ "large",	PINNED | OPEN | MAPPED | DIRTY | LARGE },
};

#define FILES	ARRAY_SIZE(states)

FIXTURE(removal)
{
	struct bench bench;
	struct mount_info mount;
	char device[64];	/* pfn0.0, for example */
	char namespace[64];
	char region[64];
	char root[64];		/* ACPI0012:00, for example */
	struct region files[FILES];
	uint64_t pos[FILES];	/* in the file, of what is mapped */
	struct extents blocks[FILES];
	uint64_t phys[FILES];
	struct writer *writer;
	int dir;
	bool mounted;
};

enum way { UNBIND, UNBIND_REGION, UNBIND_ROOT, DISABLE_NAMESPACE };

FIXTURE_VARIANT(removal)
{
	enum way way;
	enum { MOUNTED, DETACHED, UNMOUNTED } before;
	bool caches_persist;	/* nothing is ever written back */
	bool deregister;	/* before the files are closed */
};

FIXTURE_VARIANT_ADD(removal, unbind)
{
	.way = UNBIND,
};

FIXTURE_VARIANT_ADD(removal, unbind_caches_persist)
{
	.way = UNBIND,
	.caches_persist = true,
};

FIXTURE_VARIANT_ADD(removal, unbind_detached)
{
	.way = UNBIND,
	.before = DETACHED,
};

FIXTURE_VARIANT_ADD(removal, unbind_region)
{
	.way = UNBIND_REGION,
	.deregister = true,
};

/* All NVDIMMs at a time, as if their controller was gone */
FIXTURE_VARIANT_ADD(removal, unbind_root)
{
	.way = UNBIND_ROOT,
};

/*
 * ndctl (as of 76) refuses while anything is mounted, and has no option to
 * force it. Unmounting takes all pages back. So this variant says nothing of
 * the hook: regions that have no page left outlive the memory.
 */
FIXTURE_VARIANT_ADD(removal, disable_namespace_unmounted)
{
	.way = DISABLE_NAMESPACE,
	.before = UNMOUNTED,
};

/* Where the memory of a block device comes from */
static const char *find_device(FIXTURE_DATA(removal) * self)
{
	char path[PATH_MAX], target[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/block/%s/device",
		 basename(self->mount.source));
	if (!realpath(path, target))
		return "not on a block device of an NVDIMM";
	snprintf(self->device, sizeof(self->device), "%.63s", basename(target));
	snprintf(self->region, sizeof(self->region), "%.63s",
		 basename(dirname(target)));
	strcat(path, "/namespace");
	f = fopen(path, "r");
	if (!f || fscanf(f, "%63s", self->namespace) != 1)
		self->namespace[0] = 0;
	if (f)
		fclose(f);
	return self->namespace[0] ? NULL : "not on a namespace in fsdax mode";
}

/* The root is unbound only if no other memory goes with it */
static const char *find_root(FIXTURE_DATA(removal) * self)
{
	const char *missing = NULL;
	glob_t g;

	if (glob("/sys/bus/nd/devices/region*", 0, NULL, &g) || g.gl_pathc != 1)
		missing = "would remove other NVDIMMs, too";
	globfree(&g);
	if (glob(ROOT_DRIVER "ACPI*", 0, NULL, &g))
		missing = "no NVDIMM by ACPI";
	else
		snprintf(self->root, sizeof(self->root), "%.63s",
			 basename(g.gl_pathv[0]));
	globfree(&g);
	return missing;
}

static void prepare(FIXTURE_DATA(removal) * self, unsigned int i)
{
	struct region *file = &self->files[i];
	unsigned int state = states[i].state;

	if (!(state & LARGE)) {
		region_open(&self->bench, file, states[i].name, PAGES);
	} else if (!region_open_aligned(&self->bench, file, states[i].name,
					PAGE_2M, &self->pos[i])) {
		printf("# no file with 2M pages\n");
		return;
	}
	file_extents(file->fd, self->pos[i], file->len, &self->blocks[i]);
	self->phys[i] = physical_address(file->map);
	if (!(state & PINNED))
		region_deregister(file);
	if (state & UNLINKED)
		file_unlink(file->name);
	/* What region_open() wrote is in DAX entries, too; that is clean */
	if (fsync(file->fd))
		die("cannot sync");
	if (state & DIRTY)
		memset(file->map, 1, file->len / 2);
	if (!(state & MAPPED)) {
		munmap(file->map, file->len);
		file->map = NULL;
	}
	if (!(state & OPEN)) {
		close(file->fd);
		file->fd = -1;
	}
}

FIXTURE_SETUP(removal)
{
	unsigned int i;

	SKIP_IF(return, bench_open(&self->bench) ?:
			permission_missing("DAX_RETARGET_REMOVE",
					   "remove the persistent memory"));
	if (system("ndctl version > /dev/null"))
		SKIP(return, "no ndctl");
	SKIP_IF(return, mount_find(&self->mount) ?: find_device(self));
	if (variant->way == UNBIND_ROOT)
		SKIP_IF(return, find_root(self));
	self->mounted = true;
	self->dir = folder_open();
	/* The setting ends with the block device */
	if (variant->caches_persist)
		write_cache_set(self->dir, 0);
	/* File systems may send it to processes that have pages mapped */
	signal(SIGBUS, SIG_IGN);
	for (i = 0; i < FILES; i++)
		self->files[i].fd = -1;
}

FIXTURE_TEARDOWN(removal)
{
	if (self->mounted)
		EXPECT_TRUE(bench_close(&self->bench));
}

static bool take_away(FIXTURE_DATA(removal) * self, enum way way)
{
	switch (way) {
	case UNBIND:
		return shell("echo %s > /sys/bus/nd/drivers/nd_pmem/unbind",
			     self->device);
	case DISABLE_NAMESPACE:
		return shell("ndctl disable-namespace %s > /dev/null 2>&1",
			     self->namespace);
	case UNBIND_REGION:
		return shell("echo %s > /sys/bus/nd/drivers/nd_region/unbind",
			     self->region);
	case UNBIND_ROOT:
		return shell("echo %s > " ROOT_DRIVER "unbind", self->root);
	}
	return false;
}

static bool bring_back(FIXTURE_DATA(removal) * self, enum way way)
{
	uint64_t end = now_ms() + patience_ms();
	bool done = false;

	switch (way) {
	case UNBIND:
		done = shell("echo %s > /sys/bus/nd/drivers/nd_pmem/bind",
			     self->device);
		break;
	case DISABLE_NAMESPACE:
		done = shell("ndctl enable-namespace %s > /dev/null 2>&1",
			     self->namespace);
		break;
	case UNBIND_REGION:
		done = shell("echo %s > /sys/bus/nd/drivers/nd_region/bind",
			     self->region);
		break;
	case UNBIND_ROOT:
		done = shell("echo %s > " ROOT_DRIVER "bind", self->root);
		break;
	}
	while (done && access(self->mount.source, F_OK) && now_ms() < end)
		sleep_ms(20);
	return done;
}

/* Every device goes on, and none reaches the memory */
static void check_devices(struct __test_metadata *_metadata,
			  FIXTURE_DATA(removal) * self)
{
	struct translation found = { 0 };
	unsigned int i;

	EXPECT_EQ(0, writer_wait(self->writer, 1));
	for (i = 0; i < FILES; i++) {
		if (translations_visible() && self->phys[i])
			EXPECT_FALSE(translation_leads_to(self->phys[i], PAGE,
							  &found))
				TH_LOG("%s: REMOVED MEMORY REACHABLE by IOVA 0x%lx",
				       states[i].name, found.iova);
		if (self->files[i].mr)
			EXPECT_EQ(0, conn_write_pages(self->bench.conn,
						      self->files[i].mr, 0,
						      PAGES, DEVICE2));
	}
}

static int touch(volatile char *map)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		signal(SIGBUS, SIG_DFL);
		*map = 1;
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("no process");
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* Whatever may be tried with a file whose memory is gone; errors are fine */
static void use_up(struct __test_metadata *_metadata,
		   FIXTURE_DATA(removal) * self, unsigned int i)
{
	struct region *file = &self->files[i];
	uint64_t pos = self->pos[i];
	static char page[PAGE];
	struct ibv_mr *mr;

	if (file->fd >= 0) {
		fsync(file->fd);
		fdatasync(file->fd);
		EXPECT_GT(0, pwrite(file->fd, page, PAGE, pos + PAGE))
			TH_LOG("%s can be written to", file->name);
		file_punch(file->fd, pos + 2 * PAGE, PAGE);
		fallocate(file->fd, FALLOC_FL_ZERO_RANGE, pos + 3 * PAGE, PAGE);
		if (ftruncate(file->fd, pos + file->len / 2))
			errno = 0;
		pread(file->fd, page, PAGE, pos);
		posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
	}
	if (file->map) {
		msync(file->map, file->len, MS_SYNC);
		madvise(file->map, file->len, MADV_DONTNEED);
		EXPECT_EQ(SIGBUS, touch(file->map))
			TH_LOG("%s is still mapped", file->name);
		mr = nic_register(self->bench.nic, file->map, file->len);
		EXPECT_EQ(NULL, mr)
			TH_LOG("%s can be registered", file->name);
		if (mr)
			nic_deregister(mr);
	}
	if (file->fd >= 0)
		fsync(file->fd);
}

static void deregister(struct __test_metadata *_metadata,
		       FIXTURE_DATA(removal) * self)
{
	unsigned int i;

	EXPECT_EQ(0, writer_stop(self->writer));
	for (i = 0; i < FILES; i++)
		region_deregister(&self->files[i]);
}

static void close_all(FIXTURE_DATA(removal) * self)
{
	unsigned int i;

	for (i = 0; i < FILES; i++)
		region_unmap(&self->files[i]);
	if (self->dir >= 0)
		close(self->dir);
	self->dir = -1;
}

/* What becomes of the file system before its memory goes */
static void leave(struct __test_metadata *_metadata,
		  FIXTURE_DATA(removal) * self, int before)
{
	if (before == UNMOUNTED)
		close_all(self);
	if (before != MOUNTED)
		ASSERT_EQ(0, umount2(self->mount.dir,
				     before == DETACHED ? MNT_DETACH : 0));
}

TEST_F(removal, of_memory)
{
	long pinned, retargeted = stat_read("pages_retargeted");
	uint64_t start;
	unsigned int i;

	for (i = 0; i < FILES; i++)
		prepare(self, i);
	pinned = stat_read("pages_pinned") - self->bench.before.pages_pinned;
	self->writer = writer_start(self->bench.nic, self->files[0].mr, PAGES,
				    DEVICE);
	ASSERT_EQ(0, writer_wait(self->writer, 1));
	if (variant->way == DISABLE_NAMESPACE)
		ASSERT_FALSE(take_away(self, DISABLE_NAMESPACE));
	leave(_metadata, self, variant->before);

	start = now_ms();
	ASSERT_TRUE(take_away(self, variant->way));
	self->mounted = false;
	TH_LOG("took %lu ms", now_ms() - start);
	EXPECT_GE(20000, now_ms() - start);
	ASSERT_EQ(-1, access(self->mount.source, F_OK));

	EXPECT_EQ(pinned, stat_read("pages_retargeted") - retargeted);
	check_devices(_metadata, self);

	for (i = 0; i < FILES; i++)
		use_up(_metadata, self, i);
	if (self->dir >= 0) {
		unlinkat(self->dir, "open", 0);
		unlinkat(self->dir, "closed", 0);
		syncfs(self->dir);
	}
	sync();
	if (variant->deregister)
		deregister(_metadata, self);
	close_all(self);
	if (variant->before == MOUNTED)
		ASSERT_EQ(0, umount(self->mount.dir))
			TH_LOG("%s", strerror(errno));
	EXPECT_EQ(pinned, stat_read("pages_retargeted") - retargeted);

	/* The memory is back, the devices never stopped */
	ASSERT_TRUE(bring_back(self, variant->way));
	if (!variant->deregister) {
		check_devices(_metadata, self);
		for (i = 0; i < FILES; i++)
			EXPECT_EQ(0, device_find_writer(&self->mount,
							&self->blocks[i],
							DEVICE2));
		deregister(_metadata, self);
	}

	/* The file system is whole once its log is replayed, or ext2 checked */
	if (!strcmp(self->mount.type, "ext2"))
		shell("e2fsck -fy %s > /dev/null 2>&1 || [ $? = 1 ]",
		      self->mount.source);
	mount_again(&self->mount);
	ASSERT_EQ(0, umount(self->mount.dir));
	EXPECT_EQ(0, mount_check(&self->mount));
	mount_again(&self->mount);
	self->mounted = true;
	region_open(&self->bench, &self->files[0], "again", PAGES);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, self->files[0].mr, 0,
					    self->files[0].fd, 0, PAGES));
	region_close(&self->files[0]);
}

/* A region whose memory goes while it is registered leads to scratch alone */
TEST_F(removal, while_registering)
{
	struct region *file = &self->files[0];
	struct region_thread thread = { .bench = &self->bench, .region = file };
	struct translation found = { 0 };

	SKIP_IF(return, switches_missing());
	if (variant->before == UNMOUNTED)
		SKIP(return, "nothing can be registered any more");
	prepare(self, 0);
	region_deregister(file);
	thread.len = file->len;
	/* The window closes by itself: the removal may wait for that */
	region_register_begin(&thread, 3000);
	leave(_metadata, self, variant->before);
	ASSERT_TRUE(take_away(self, variant->way));
	self->mounted = false;
	region_thread_end(&thread);

	if (file->mr) {
		EXPECT_EQ(0, conn_write_pages(self->bench.conn, file->mr, 0,
					      PAGES, DEVICE2));
		if (translations_visible())
			EXPECT_FALSE(translation_leads_to(self->phys[0], PAGE,
							  &found))
				TH_LOG("REMOVED MEMORY REACHABLE by IOVA 0x%lx",
				       found.iova);
	}
	region_deregister(file);
	close_all(self);
	if (variant->before == MOUNTED)
		ASSERT_EQ(0, umount(self->mount.dir));
	ASSERT_TRUE(bring_back(self, variant->way));
	EXPECT_EQ(0, device_find_writer(&self->mount, &self->blocks[0],
					DEVICE2));
	mount_again(&self->mount);
	self->mounted = true;
}

TEST_HARNESS_MAIN
