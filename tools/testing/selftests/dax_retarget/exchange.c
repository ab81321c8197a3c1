// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whole extents change places between two files: with a file that shares no
 * block, and with one that does. A pinned file loses the pages, or keeps all of
 * them where the exchange would give it shared blocks and is refused.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_ioctl.h"
#include "lib_reflink.h"

#define PAGES	16UL
#define LEN	(PAGES * PAGE)

FIXTURE(exchange)
{
	struct bench bench;
	struct region region;
	int other, third;
	struct mount_info mount;
};

FIXTURE_VARIANT(exchange)
{
	bool shared;
};

FIXTURE_VARIANT_ADD(exchange, plain) { .shared = false };
FIXTURE_VARIANT_ADD(exchange, shared) { .shared = true };

FIXTURE_SETUP(exchange)
{
	SKIP_IF(return, bench_open(&self->bench) ?: mount_find(&self->mount));
	if (strcmp(self->mount.type, "xfs"))
		SKIP(return, "only XFS exchanges extents of DAX files");
	region_open(&self->bench, &self->region, "file", PAGES);
	self->other = file_create("other", LEN, PROCESS);
	self->third = file_create("third", 0, ZERO);
	if (variant->shared && clone_errno(self->third, self->other))
		die("no reflink");
	sync();
}

FIXTURE_TEARDOWN(exchange)
{
	close(self->third);
	close(self->other);
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

/* The device writes to none of the files, and not to their old blocks */
static void expect_unreachable(struct __test_metadata *_metadata,
			       FIXTURE_DATA(exchange) * self,
			       const struct extents *old)
{
	int file[] = { self->region.fd, self->other, self->third };
	uint64_t word;
	unsigned int i;
	off_t pos;

	ASSERT_EQ(0, conn_write_pages(self->bench.conn, self->region.mr, 0,
				      PAGES, DEVICE2));
	EXPECT_EQ(0, device_find_writer(&self->mount, old, DEVICE2));
	for (i = 0; i < ARRAY_SIZE(file); i++) {
		for (pos = 0; pread(file[i], &word, sizeof(word), pos) ==
			      sizeof(word); pos += PAGE) {
			EXPECT_FALSE(written_by(&word, DEVICE2))
				TH_LOG("file %u has %s", i, describe(&word));
		}
	}
}

/* xfs_fsr swaps all extents of two files */
TEST_F(exchange, swap_extents)
{
	struct region *region = &self->region;
	long retargeted = stat_read("pages_retargeted");
	struct extents old;
	struct writer *writer;
	char command[256];
	int dir = folder_open();

	file_extents(region->fd, 0, LEN, &old);
	writer = writer_start(self->bench.nic, region->mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));

	snprintf(command, sizeof(command),
		 "cd /proc/self/fd/%d/ && out=$(xfs_io -c 'swapext other' file 2>&1) && [ -z \"$out\" ] || { echo \"# $out\"; exit 1; }",
		 dir);
	ASSERT_EQ(0, system(command));
	close(dir);

	EXPECT_EQ(0, writer_wait(writer, 1));
	EXPECT_EQ(0, writer_stop(writer));
	EXPECT_EQ((long)PAGES, stat_read("pages_retargeted") - retargeted);
	EXPECT_EQ(-1, file_find_difference(region->fd, 0, LEN, PROCESS));
	expect_unreachable(_metadata, self, &old);

	/* The file may be pinned again if its new blocks are its own */
	region_deregister(region);
	region->mr = nic_register(self->bench.nic, region->map, LEN);
	if (variant->shared) {
		EXPECT_EQ(NULL, region->mr);
		EXPECT_EQ(EOPNOTSUPP, errno);
	} else {
		ASSERT_NE(NULL, region->mr);
		EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
						    region->fd, 0, PAGES));
	}
}

TEST_F(exchange, exchange_range)
{
	struct xfs_exchange_range range = {
		.file1_fd = self->other,
		.file1_offset = 4 * PAGE,
		.file2_offset = 4 * PAGE,
		.length = 8 * PAGE,
	};
	struct region *region = &self->region;
	long retargeted = stat_read("pages_retargeted");
	struct extents old;
	struct writer *writer;
	int error;

	file_extents(region->fd, 4 * PAGE, 8 * PAGE, &old);
	writer = writer_start(self->bench.nic, region->mr, PAGES, DEVICE);
	ASSERT_EQ(0, writer_wait(writer, 1));

	error = ioctl(region->fd, XFS_IOC_EXCHANGE_RANGE, &range) ? errno : 0;
	EXPECT_EQ(0, writer_wait(writer, 1));
	EXPECT_EQ(0, writer_stop(writer));
	if (error == EOPNOTSUPP || error == ENOTTY)
		SKIP(return, "the file system was made without exchange of ranges");

	retargeted = stat_read("pages_retargeted") - retargeted;
	if (variant->shared) {
		EXPECT_EQ(ETXTBSY, error);
		EXPECT_EQ(0, retargeted);
		EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
						    region->fd, 0, PAGES));
		EXPECT_FALSE(device_writes_clone(&self->bench, region->mr,
						 self->third, LEN));
		return;
	}
	EXPECT_EQ(0, error);
	EXPECT_EQ(8, retargeted);
	EXPECT_EQ(-1, file_find_difference(region->fd, 4 * PAGE, 8 * PAGE,
					   PROCESS));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, 4));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 12,
					    region->fd, 12, 4));
	ASSERT_EQ(0, conn_write_pages(self->bench.conn, region->mr, 4, 8,
				      DEVICE2));
	EXPECT_EQ(0, device_find_writer(&self->mount, &old, DEVICE2));
}

TEST_HARNESS_MAIN
