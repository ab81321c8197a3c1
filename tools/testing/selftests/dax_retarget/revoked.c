// SPDX-License-Identifier: GPL-2.0-only
/*
 * With dax_retarget=revoke, a region that loses a page of its file is of no use any
 * more: a peer that uses the region gets an error, soon after the hook. Regions that
 * lose nothing go on, and so does a connection that uses only such regions.
 *
 * Only on a kernel that was booted so.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib_harness.h"

#define PAGES	16UL
#define FIRST	4UL	/* what is punched */
#define NR	8UL

/* How long a peer may go on */
#define SOON_MS	1000

FIXTURE(revoked)
{
	struct bench bench;
	struct region region;
};

static const char *revoke_missing(void)
{
	char line[4096] = "";
	FILE *f = fopen("/proc/cmdline", "r");

	if (!f || !fgets(line, sizeof(line), f))
		die("cannot read the kernel's command line");
	fclose(f);
	if (!consumer_is_rdma())
		return "only regions of RDMA have keys";
	return strstr(line, "dax_retarget=revoke") ?
	       NULL : "boot with dax_retarget=revoke";
}

FIXTURE_SETUP(revoked)
{
	SKIP_IF(return, revoke_missing() ?: bench_open(&self->bench) ?:
			punch_missing());
	region_open(&self->bench, &self->region, "file", PAGES);
}

FIXTURE_TEARDOWN(revoked)
{
	windows_close();
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

/* A connection does not survive an error */
static void connect_anew(struct bench *bench)
{
	conn_close(bench->conn);
	bench->conn = conn_open(bench->nic);
}

/* Write to all pages until there is an error, which is returned, for a while */
static int write_until_error(struct bench *bench, struct ibv_mr *mr)
{
	uint64_t end = now_ms() + SOON_MS;
	int error;

	do {
		error = conn_write_pages(bench->conn, mr, 0, PAGES, DEVICE2);
	} while (!error && now_ms() < end);
	return error;
}

static void expect_revoked(struct __test_metadata *_metadata,
			   FIXTURE_DATA(revoked) *self, struct ibv_mr *mr)
{
	uint64_t start = now_ms();
	int error;

	error = write_until_error(&self->bench, mr);
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR, error)
		TH_LOG("PEER GOES ON: %s", error ? conn_error(error) : "no error");
	TH_LOG("the peer got an error after %lu ms", now_ms() - start);
	connect_anew(&self->bench);
}

static void expect_alive(struct __test_metadata *_metadata,
			 FIXTURE_DATA(revoked) *self, struct ibv_mr *mr)
{
	unsigned int i;

	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, conn_write_pages(self->bench.conn, mr, 0, PAGES,
					      DEVICE));
		sleep_ms(10);
	}
}

TEST_F(revoked, peer_gets_an_error)
{
	struct region *region = &self->region, other;
	struct conn *conn = conn_open(self->bench.nic);

	region_open(&self->bench, &other, "other", PAGES);
	expect_alive(_metadata, self, region->mr);
	ASSERT_EQ(0, file_punch(region->fd, FIRST * PAGE, NR * PAGE));
	expect_revoked(_metadata, self, region->mr);
	EXPECT_EQ(-1, file_find_difference(region->fd, FIRST * PAGE, NR * PAGE,
					   ZERO));

	/* A region of another file goes on, and a connection that knows no other */
	EXPECT_EQ(0, conn_write_pages(conn, other.mr, 0, PAGES, DEVICE));
	expect_alive(_metadata, self, other.mr);
	conn_close(conn);
	region_close(&other);

	/* A new region of the file works */
	region_deregister(region);
	region->mr = nic_register(self->bench.nic, region->map, region->len);
	ASSERT_NE(NULL, region->mr);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, region->mr, 0,
					    region->fd, 0, PAGES));
}

TEST_F(revoked, file_is_deleted)
{
	file_unlink(self->region.name);
	region_unmap(&self->region);
	folder_sync();
	expect_revoked(_metadata, self, self->region.mr);
}

/* The half of the file that another region has stays */
TEST_F(revoked, region_of_other_pages_goes_on)
{
	struct region *region = &self->region;
	struct ibv_mr *first, *second;

	region_deregister(region);
	first = nic_register(self->bench.nic, region->map, PAGES / 2 * PAGE);
	second = nic_register(self->bench.nic,
			      (char *)region->map + PAGES / 2 * PAGE,
			      PAGES / 2 * PAGE);
	ASSERT_NE(NULL, first);
	ASSERT_NE(NULL, second);
	ASSERT_EQ(0, ftruncate(region->fd, PAGES / 2 * PAGE));
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, first, 0, PAGES / 2,
				      DEVICE));
	sleep_ms(SOON_MS / 2);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, first, 0, region->fd,
					    0, PAGES / 2));
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR,
		  conn_write_pages(self->bench.conn, second, 0, 1, DEVICE));
	connect_anew(&self->bench);
	nic_deregister(first);
	nic_deregister(second);
}

/* The owner cannot send from the region either */
TEST_F(revoked, local_use_ends)
{
	struct region *region = &self->region, other;
	int error;

	region_open(&self->bench, &other, "other", PAGES);
	ASSERT_EQ(0, file_punch(region->fd, FIRST * PAGE, NR * PAGE));
	sleep_ms(SOON_MS / 2);
	ASSERT_EQ(0, conn_post(self->bench.conn, other.mr,
			       (uintptr_t)other.mr->addr, region->mr,
			       region->map, PAGE, IBV_WR_RDMA_WRITE));
	error = conn_complete(self->bench.conn);
	EXPECT_LT(0, error)
		TH_LOG("OWNER GOES ON: no error");
	TH_LOG("%s", conn_error(error));
	connect_anew(&self->bench);
	region_close(&other);
}

/* The page is lost before there is a key */
TEST_F(revoked, lost_while_it_is_registered)
{
	struct region *region = &self->region;
	struct region_thread thread = {
		.bench = &self->bench,
		.region = region,
		.len = region->len,
	};

	SKIP_IF(return, switches_missing());
	region_deregister(region);
	region_register_begin(&thread, WINDOW_MS);
	ASSERT_EQ(0, file_punch(region->fd, FIRST * PAGE, NR * PAGE));
	region_thread_end(&thread);
	ASSERT_NE(NULL, region->mr);
	expect_revoked(_metadata, self, region->mr);
}

/* Not even the owner gives such a region its keys back */
TEST_F(revoked, rereg_brings_nothing_back)
{
	struct region *region = &self->region;
	unsigned int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ |
			      IBV_ACCESS_REMOTE_WRITE;
	int error;

	error = nic_rereg(region->mr, IBV_REREG_MR_CHANGE_ACCESS, access,
			  region->mr->pd);
	if (error == EOPNOTSUPP)
		SKIP(return, "this device changes no access");
	ASSERT_EQ(0, error);
	expect_alive(_metadata, self, region->mr);
	ASSERT_EQ(0, file_punch(region->fd, FIRST * PAGE, NR * PAGE));
	expect_revoked(_metadata, self, region->mr);
	EXPECT_EQ(EINVAL, nic_rereg(region->mr, IBV_REREG_MR_CHANGE_ACCESS,
				    access, region->mr->pd));
	expect_revoked(_metadata, self, region->mr);
}

/* A revocation and the end of the region do not meet */
TEST_F(revoked, against_deregistration)
{
	struct region *region = &self->region;
	unsigned int i;

	region_close(region);
	for (i = 0; i < 50; i++) {
		region_open(&self->bench, region, "file", PAGES);
		ASSERT_EQ(0, file_punch(region->fd, FIRST * PAGE, NR * PAGE));
		usleep(i % 10 * 100);
		region_close(region);
		file_unlink("file");
	}
	region_open(&self->bench, region, "file", PAGES);
}

TEST_HARNESS_MAIN
