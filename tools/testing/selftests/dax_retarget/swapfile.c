// SPDX-License-Identifier: GPL-2.0-only
/*
 * No DAX file becomes a swap file, so a pinned one does not.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/swap.h>
#include <unistd.h>

#include "lib_harness.h"

#define PAGES	64UL

FIXTURE(swap)
{
	struct bench bench;
	struct region region;
};

FIXTURE_SETUP(swap)
{
	SKIP_IF(return, bench_open(&self->bench));
	region_open(&self->bench, &self->region, "file", PAGES);
}

FIXTURE_TEARDOWN(swap)
{
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

TEST_F(swap, pinned_file_is_not_swapped_to)
{
	struct region *region = &self->region;
	char path[64], command[128];
	int error;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", region->fd);
	snprintf(command, sizeof(command),
		 "mkswap /proc/%d/fd/%d > /dev/null 2>&1", getpid(),
		 region->fd);
	if (system(command))
		SKIP(return, "mkswap fails");
	error = swapon(path, 0) ? errno : 0;
	if (error == ENOSYS)
		SKIP(return, "no CONFIG_SWAP");
	if (!error)
		swapoff(path);
	EXPECT_EQ(EINVAL, error);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES));
}

TEST_HARNESS_MAIN
