// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pinned file shares no block with another: reflink and dedupe from it and to
 * it are refused as for a swap file, a copy that may be a reflink becomes a
 * real one, and a file that shares blocks already cannot be pinned. So no
 * pinned block is ever copied on write.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_reflink.h"

#define PAGES	16UL
#define LEN	(PAGES * PAGE)

FIXTURE(reflink)
{
	struct bench bench;
	struct region region;
	int other;
};

static int clone_range_errno(int to, int from, uint64_t pos, uint64_t len)
{
	struct file_clone_range range = {
		.src_fd = from,
		.src_offset = pos,
		.src_length = len,
		.dest_offset = pos,
	};

	return ioctl(to, FICLONERANGE, &range) ? errno : 0;
}

/* The ioctl reports for each file by itself: errno, or 0 also if they differ */
static int dedupe(int from, const int *to, int *result, unsigned int nr)
{
	union {
		struct file_dedupe_range range;
		char space[sizeof(struct file_dedupe_range) +
			   2 * sizeof(struct file_dedupe_range_info)];
	} u = {
		.range = {
			.src_length = LEN,
			.dest_count = nr,
		},
	};
	unsigned int i;

	for (i = 0; i < nr; i++)
		u.range.info[i].dest_fd = to[i];
	if (ioctl(from, FIDEDUPERANGE, &u.range))
		return errno;
	for (i = 0; i < nr; i++)
		result[i] = u.range.info[i].status < 0 ?
			    -u.range.info[i].status : 0;
	return 0;
}

static int dedupe_errno(int to, int from)
{
	int result = 0;

	return dedupe(from, &to, &result, 1) ?: result;
}

static uint64_t bytes_in_both(int a, int b)
{
	struct extents here, there;

	file_extents(a, 0, LEN, &here);
	file_extents(b, 0, LEN, &there);
	return extents_shared(&here, &there);
}

FIXTURE_SETUP(reflink)
{
	SKIP_IF(return, bench_open(&self->bench) ?: reflink_missing());
	region_open(&self->bench, &self->region, "file", PAGES);
	self->other = file_create("other", LEN, FILLED);
}

FIXTURE_TEARDOWN(reflink)
{
	close(self->other);
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

TEST_F(reflink, refused_while_pinned)
{
	int file = self->region.fd, other = self->other;

	EXPECT_EQ(ETXTBSY, clone_errno(other, file));
	EXPECT_EQ(ETXTBSY, clone_range_errno(other, file, PAGE, PAGE));
	EXPECT_EQ(ETXTBSY, clone_range_errno(other, file, 0, 0));
	EXPECT_EQ(ETXTBSY, dedupe_errno(other, file));
	EXPECT_FALSE(device_writes_clone(&self->bench, self->region.mr, other,
					 LEN));

	EXPECT_EQ(ETXTBSY, clone_errno(file, other));
	EXPECT_EQ(ETXTBSY, clone_range_errno(file, other, PAGE, PAGE));
	EXPECT_EQ(ETXTBSY, dedupe_errno(file, other));
	/* A pinned file shares no blocks with itself */
	EXPECT_EQ(ETXTBSY, ({
		struct file_clone_range range = {
			.src_fd = file,
			.src_length = PAGE,
			.dest_offset = LEN,
		};
		ioctl(file, FICLONERANGE, &range) ? errno : 0;
	}));
	EXPECT_EQ(0, bytes_in_both(file, other));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, self->region.mr, 0,
					    file, 0, PAGES));
}

/*
 * Unsharing gives a page another block, and leaves a dirty entry of 2 MiB as it is:
 * the entry still leads to the block that is the clone's alone now.
 */
TEST_F(reflink, entry_does_not_outlive_sharing)
{
	const uint64_t page = 100 * PAGE;
	struct ibv_mr *mr;
	uint64_t pos;
	char *map;
	int fd;

	fd = file_create_aligned("large", PAGE_2M, &pos);
	if (fd < 0)
		SKIP(return, "the file system has no aligned run of 2 MiB");
	file_fill(fd, pos, PAGE_2M, FILLED);
	map = file_map_aligned(fd, pos, PAGE_2M, PAGE_2M);
	/* An entry of 2 MiB, then one page shared, then the entry is dirty */
	*(volatile char *)map = 1;
	ASSERT_EQ(0, clone_range_errno(self->other, fd, pos + page, PAGE));
	*(volatile char *)map = 1;
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_UNSHARE_RANGE, pos, PAGE_2M));
	ASSERT_EQ(0, unshare_errno(fd, pos + PAGE_2M));

	mr = nic_register(self->bench.nic, map, PAGE_2M);
	ASSERT_NE(NULL, mr)
		TH_LOG("%s", strerror(errno));
	EXPECT_FALSE(device_writes_clone(&self->bench, mr, self->other,
					 pos + page + PAGE));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, mr, 0, fd, pos / PAGE,
					    PAGE_2M / PAGE));
	nic_deregister(mr);
	munmap(map, PAGE_2M);
	close(fd);
}

/* One pinned page has the whole file refused, for as long as it is pinned */
TEST_F(reflink, refused_for_pin_of_one_page)
{
	struct region *region = &self->region;

	region_deregister(region);
	region->mr = nic_register(self->bench.nic, region->map, PAGE);
	ASSERT_NE(NULL, region->mr);
	EXPECT_EQ(ETXTBSY, clone_errno(self->other, region->fd));
	EXPECT_EQ(ETXTBSY, clone_range_errno(self->other, region->fd, PAGE,
					     PAGE));

	region_deregister(region);
	region->mr = nic_register_read_only(self->bench.nic, region->map, PAGE);
	ASSERT_NE(NULL, region->mr);
	EXPECT_EQ(ETXTBSY, clone_errno(self->other, region->fd));

	region_deregister(region);
	EXPECT_EQ(0, dedupe_errno(region->fd, self->other));
	EXPECT_EQ(0, clone_errno(self->other, region->fd));
}

TEST_F(reflink, refused_for_two_pinned_files)
{
	struct region second;
	int file = self->region.fd;

	region_open(&self->bench, &second, "second", PAGES);
	EXPECT_EQ(ETXTBSY, clone_errno(second.fd, file));
	EXPECT_EQ(ETXTBSY, clone_errno(file, second.fd));
	EXPECT_EQ(ETXTBSY, dedupe_errno(second.fd, file));
	EXPECT_EQ(ETXTBSY, dedupe_errno(file, second.fd));
	EXPECT_FALSE(device_writes_clone(&self->bench, self->region.mr,
					 second.fd, LEN));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, second.mr, 0,
					    second.fd, 0, PAGES));
	region_close(&second);
}

/* Dedupe takes several files at once, and reports on each of them */
TEST_F(reflink, dedupe_reports_each_file)
{
	int third = file_create("third", LEN, FILLED);
	int to[2] = { self->region.fd, self->other }, result[2] = { 0 };

	ASSERT_EQ(0, dedupe(third, to, result, 2));
	EXPECT_EQ(ETXTBSY, result[0]);
	EXPECT_EQ(0, result[1]);
	EXPECT_EQ(LEN, bytes_in_both(third, self->other));
	EXPECT_EQ(0, bytes_in_both(third, self->region.fd));

	to[0] = third;
	ASSERT_EQ(0, dedupe(self->region.fd, to, result, 2));
	EXPECT_EQ(ETXTBSY, result[0]);
	EXPECT_EQ(ETXTBSY, result[1]);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, self->region.mr, 0,
					    self->region.fd, 0, PAGES));
	close(third);
}

/* 0: cp between two files of the folder says nothing of @says; 7: it does */
static int copy_status(const char *option, const char *from, const char *to,
		       const char *says)
{
	int dir = folder_open();
	char command[256];
	int status;

	snprintf(command, sizeof(command),
		 "cd /proc/self/fd/%d/ && LC_ALL=C cp --reflink=%s %s %s 2>&1 | { ! grep -q '%s' || exit 7; }",
		 dir, option, from, to, says);
	status = system(command);
	close(dir);
	return status < 0 ? 255 : WEXITSTATUS(status);
}

/* A pin counts from when its pages are looked up, though no IOVA leads there */
TEST_F(reflink, refused_while_registering)
{
	struct region *region = &self->region;
	struct region_thread thread = {
		.bench = &self->bench,
		.region = region,
		.len = LEN,
	};
	int copy;

	SKIP_IF(return, switches_missing());
	region_deregister(region);
	region_register_begin(&thread, WINDOW_MS);

	EXPECT_EQ(ETXTBSY, clone_errno(self->other, region->fd));
	EXPECT_EQ(ETXTBSY, clone_errno(region->fd, self->other));
	EXPECT_EQ(ETXTBSY, dedupe_errno(self->other, region->fd));
	EXPECT_EQ(ETXTBSY, dedupe_errno(region->fd, self->other));
	EXPECT_EQ(7, copy_status("always", "file", "clone", "Text file busy"));
	EXPECT_EQ(0, copy_status("auto", "file", "copy", "cannot"));
	EXPECT_FALSE(region_thread_done(&thread))
		TH_LOG("the pin was live before all was tried");
	region_thread_end(&thread);
	ASSERT_NE(NULL, region->mr);

	copy = file_open("copy", O_RDWR);
	EXPECT_EQ(LEN, (size_t)lseek(copy, 0, SEEK_END));
	EXPECT_EQ(-1, file_find_difference(copy, 0, LEN, FILLED));
	EXPECT_EQ(0, bytes_in_both(copy, region->fd));
	EXPECT_FALSE(device_writes_clone(&self->bench, region->mr, copy, LEN));
	EXPECT_FALSE(device_writes_clone(&self->bench, region->mr,
					 self->other, LEN));
	close(copy);
}

/* copy_file_range() copies where it cannot share, and so does cp */
TEST_F(reflink, copy_is_a_copy)
{
	loff_t from = 0, to = 0;
	ssize_t n;

	ASSERT_EQ(0, ftruncate(self->other, 0));
	while ((n = copy_file_range(self->region.fd, &from, self->other, &to,
				    LEN - from, 0)) > 0)
		;
	ASSERT_EQ(0, n)
		TH_LOG("%s", strerror(errno));
	EXPECT_EQ(LEN, (size_t)to);
	EXPECT_EQ(-1, file_find_difference(self->other, 0, LEN, FILLED));
	EXPECT_EQ(0, bytes_in_both(self->region.fd, self->other));
}

TEST_F(reflink, shared_file_is_not_pinned)
{
	struct region *region = &self->region;
	void *map = file_map(self->other, 0, LEN);

	region_deregister(region);
	ASSERT_EQ(0, clone_errno(self->other, region->fd));
	EXPECT_EQ(NULL, nic_register(self->bench.nic, map, LEN));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(NULL, nic_register(self->bench.nic, region->map, LEN));
	EXPECT_EQ(EOPNOTSUPP, errno);
	munmap(map, LEN);

	/* With blocks of its own again the file can be pinned */
	ASSERT_EQ(0, unshare_errno(region->fd, LEN));
	region->mr = nic_register(self->bench.nic, region->map, LEN);
	ASSERT_NE(NULL, region->mr);
	EXPECT_FALSE(device_writes_clone(&self->bench, region->mr,
					 self->other, LEN));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES));
}

/*
 * Copies are allocated ahead, also for blocks that nobody shares: the next
 * write would go there, while a device knows the old block.
 */
TEST_F(reflink, neighbour_of_shared_block_is_not_pinned)
{
	struct region *region = &self->region;
	struct extents before;

	region_deregister(region);
	ASSERT_EQ(0, hint_cow_size(region->fd, 32 * PAGE));
	ASSERT_EQ(0, clone_range_errno(self->other, region->fd, 0, PAGE));
	file_extents(region->fd, PAGE, LEN - PAGE, &before);
	/*
	 * Have the pages mapped for writing while there is no copy yet. A later
	 * fault would go to the copy, and these pages need no fault any more.
	 */
	fill(region->map + PAGE, LEN - PAGE, PROCESS, PAGE);
	file_fill(region->fd, 0, PAGE, PROCESS);

	region->mr = nic_register(self->bench.nic, region->map + PAGE,
				  LEN - PAGE);
	EXPECT_EQ(NULL, region->mr);
	if (!region->mr) {
		EXPECT_EQ(EOPNOTSUPP, errno);
		return;
	}
	/* That was wrong. What harm does it do? */
	file_fill(region->fd, 0, LEN, PROCESS);
	EXPECT_EQ(0, bytes_moved(region->fd, PAGE, LEN - PAGE, &before));
	EXPECT_FALSE(device_writes_clone(&self->bench, region->mr,
					 self->other, LEN));
}

/*
 * A fault that copied a page leaves it noted as shared, though its block is
 * not: GUP must not wait for a copy of its own.
 */
TEST_F(reflink, copied_pages_are_pinned)
{
	struct region *region = &self->region;
	int clone = file_create("clone", 0, ZERO);
	int fd = file_open("file", O_RDONLY);
	struct ibv_mr *mr;
	void *map;

	region_deregister(region);
	ASSERT_EQ(0, clone_errno(clone, region->fd));
	fill(region->map, LEN, PROCESS, 0);
	close(clone);
	file_unlink("clone");
	ASSERT_EQ(0, unshare_errno(region->fd, LEN));

	map = mmap(NULL, LEN, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	mr = nic_register_read_only(self->bench.nic, map, LEN);
	ASSERT_NE(NULL, mr);
	nic_deregister(mr);
	munmap(map, LEN);
	close(fd);

	region->mr = nic_register(self->bench.nic, region->map, LEN);
	ASSERT_NE(NULL, region->mr);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES));
}

/* Reflinks and dedupes both ways, until told to stop */
struct sharer {
	int file, other;
	bool stop;
	unsigned long shared, refused;
	uint64_t longest;
	int error;
};

static void *share_over_and_over(void *arg)
{
	struct sharer *s = arg;
	unsigned int turn = 0;
	uint64_t start, took;
	int error;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		start = now_ms();
		switch (turn++ % 4) {
		case 0:
			error = clone_errno(s->other, s->file);
			break;
		case 1:
			error = clone_errno(s->file, s->other);
			break;
		case 2:
			error = dedupe_errno(s->other, s->file);
			break;
		default:
			error = dedupe_errno(s->file, s->other);
		}
		took = now_ms() - start;
		if (took > s->longest)
			s->longest = took;
		if (!error) {
			s->shared++;
			/* Or nothing would ever be pinned again */
			error = unshare_errno(s->file, LEN) ?:
				unshare_errno(s->other, LEN);
		} else if (error == ETXTBSY) {
			s->refused++;
			error = 0;
		}
		if (error) {
			s->error = error;
			break;
		}
	}
	return NULL;
}

/*
 * The kernel tries to lock two inodes until neither has a busy page. If pinned
 * pages counted as busy, it would spin for ever.
 */
TEST_F(reflink, races_with_registration)
{
	struct region *region = &self->region;
	struct sharer sharer = { .file = region->fd, .other = self->other };
	unsigned long pinned = 0, refused = 0, in_both = 0;
	uint64_t start, took, longest = 0, end = now_ms() + 10000;
	pthread_t thread;

	region_deregister(region);
	ASSERT_EQ(0, pthread_create(&thread, NULL, share_over_and_over,
				    &sharer));
	while (now_ms() < end && !in_both) {
		start = now_ms();
		region->mr = nic_register(self->bench.nic, region->map, LEN);
		took = now_ms() - start;
		if (took > longest)
			longest = took;
		if (!region->mr) {
			if (errno != EOPNOTSUPP) {
				EXPECT_EQ(EOPNOTSUPP, errno);
				break;
			}
			refused++;
			continue;
		}
		pinned++;
		in_both = bytes_in_both(region->fd, self->other);
		region_deregister(region);
	}
	__atomic_store_n(&sharer.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);

	TH_LOG("pinned %lu, refused %lu, at most %lu ms; shared %lu, refused %lu, at most %lu ms",
	       pinned, refused, longest, sharer.shared, sharer.refused,
	       sharer.longest);
	EXPECT_EQ(0, sharer.error)
		TH_LOG("%s", strerror(sharer.error));
	EXPECT_EQ(0, in_both)
		TH_LOG("a pinned file shares %lu bytes", in_both);
	EXPECT_LT(0, pinned);
	EXPECT_LT(0, sharer.shared);
	EXPECT_LT(0, sharer.refused);
	EXPECT_GT(5000, longest);
	EXPECT_GT(5000, sharer.longest);

	/* The file can be pinned afterwards */
	ASSERT_EQ(0, unshare_errno(region->fd, LEN));
	region->mr = nic_register(self->bench.nic, region->map, LEN);
	ASSERT_NE(NULL, region->mr);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES));
}

TEST_HARNESS_MAIN
