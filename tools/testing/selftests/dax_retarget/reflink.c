// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pinned file shares no block with another: reflink and dedupe from it and to
 * it are refused as for a swap file, a copy that may be a reflink becomes a real
 * one, and a file that shares blocks already cannot be pinned.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib_harness.h"

#define PAGES	16UL

FIXTURE(reflink)
{
	struct bench bench;
	struct region region;
	int other;
};

static bool can_reflink(void)
{
	int from = file_create("from", PAGE, FILLED);
	int to = file_create("to", 0, ZERO);
	bool can = !ioctl(to, FICLONE, from);

	close(from);
	close(to);
	file_unlink("from");
	file_unlink("to");
	return can;
}

FIXTURE_SETUP(reflink)
{
	const char *missing = bench_open(&self->bench);

	if (missing)
		SKIP(return, "%s", missing);
	if (!can_reflink())
		SKIP(return, "the file system has no reflink");
	region_open(&self->bench, &self->region, "file", PAGES);
	self->other = file_create("other", PAGES * PAGE, FILLED);
}

FIXTURE_TEARDOWN(reflink)
{
	close(self->other);
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

static int clone_errno(int to, int from)
{
	return ioctl(to, FICLONE, from) ? errno : 0;
}

/* errno of a dedupe of all pages, 0 also if the content differs */
static int dedupe_errno(int to, int from)
{
	union {
		struct file_dedupe_range range;
		char space[sizeof(struct file_dedupe_range) +
			   sizeof(struct file_dedupe_range_info)];
	} u = {
		.range = {
			.src_length = PAGES * PAGE,
			.dest_count = 1,
		},
	};

	u.range.info[0].dest_fd = to;
	if (ioctl(from, FIDEDUPERANGE, &u.range))
		return errno;
	return u.range.info[0].status < 0 ? -u.range.info[0].status : 0;
}

TEST_F(reflink, refused_while_pinned)
{
	EXPECT_EQ(ETXTBSY, clone_errno(self->other, self->region.fd));
	EXPECT_EQ(ETXTBSY, clone_errno(self->region.fd, self->other));
	EXPECT_EQ(ETXTBSY, dedupe_errno(self->other, self->region.fd));
	EXPECT_EQ(ETXTBSY, dedupe_errno(self->region.fd, self->other));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, self->region.mr, 0,
					    self->region.fd, 0, PAGES));

	/* Not one page of the region has to be in the range */
	region_deregister(&self->region);
	self->region.mr = nic_register(self->bench.nic, self->region.map, PAGE);
	ASSERT_NE(NULL, self->region.mr);
	EXPECT_EQ(ETXTBSY, clone_errno(self->other, self->region.fd));

	/* It is the pin, not the file */
	region_deregister(&self->region);
	EXPECT_EQ(0, dedupe_errno(self->region.fd, self->other));
	EXPECT_EQ(0, clone_errno(self->other, self->region.fd));
}

/* What "cp --reflink=auto" and copy_file_range() do */
TEST_F(reflink, copy_is_a_copy)
{
	struct extents here, there;
	loff_t from = 0, to = 0;
	ssize_t n;

	ASSERT_EQ(0, ftruncate(self->other, 0));
	while ((n = copy_file_range(self->region.fd, &from, self->other, &to,
				    PAGES * PAGE - from, 0)) > 0)
		;
	ASSERT_EQ(0, n)
		TH_LOG("%s", strerror(errno));
	EXPECT_EQ(PAGES * PAGE, (size_t)to);
	EXPECT_EQ(-1, file_find_difference(self->other, 0, PAGES * PAGE,
					   FILLED));
	file_extents(self->region.fd, 0, PAGES * PAGE, &here);
	file_extents(self->other, 0, PAGES * PAGE, &there);
	EXPECT_EQ(0, extents_shared(&here, &there));
}

TEST_F(reflink, shared_file_is_not_pinned)
{
	void *map = file_map(self->other, 0, PAGES * PAGE);

	region_deregister(&self->region);
	ASSERT_EQ(0, clone_errno(self->other, self->region.fd));
	EXPECT_EQ(NULL, nic_register(self->bench.nic, map, PAGES * PAGE));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(NULL, nic_register(self->bench.nic, self->region.map,
				     self->region.len));
	EXPECT_EQ(EOPNOTSUPP, errno);
	munmap(map, PAGES * PAGE);
}

TEST_HARNESS_MAIN
