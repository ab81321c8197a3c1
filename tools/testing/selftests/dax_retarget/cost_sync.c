// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of fsync for a file to which nothing, or little, was written since the last
 * one.
 */

#include <stdio.h>
#include <unistd.h>

#include "cost.h"

static uint64_t cost_of_fsync(int fd)
{
	uint64_t cost = UINT64_MAX, begin;
	unsigned int i;

	for (i = 0; i < options.times + 2; i++) {
		begin = instructions();
		if (fsync(fd))
			die("cannot sync");
		cost = least(cost, instructions() - begin);
	}
	return cost;
}

void cost_sync(void)
{
	struct subject subject;
	struct ibv_mr *mr;

	subject_open(&subject, "subject", options.size);
	report("fsync.unpinned", cost_of_fsync(subject.fd), "instructions");
	if (options.pins) {
		mr = nic_register_read_only(nic, subject.map, subject.len);
		if (!mr)
			die("cannot register for reading");
		report("fsync.read_pin", cost_of_fsync(subject.fd),
		       "instructions");
		nic_deregister(mr);
		mr = subject_register(&subject);
		report("fsync.write_pin", cost_of_fsync(subject.fd),
		       "instructions");
		nic_deregister(mr);
	}
	subject_close(&subject);
}

#define WRITTEN_PAGES	16UL

/*
 * Where the IOMMU tells what a device wrote: a sync after nothing, and one after
 * 64 KiB, of which no page was read before, as QEMU does not notice the write then
 */
void cost_tracked(void)
{
	struct conn *conn = conn_open(nic);
	uint64_t cost = UINT64_MAX, begin;
	struct subject subject;
	struct ibv_mr *mr;
	unsigned int i;

	subject_open(&subject, "subject", options.size);
	mr = subject_register(&subject);
	report("fsync.tracked_nothing", cost_of_fsync(subject.fd),
	       "instructions");
	for (i = 0; i < options.times + 2; i++) {
		if (conn_write_pages(conn, mr, 0, WRITTEN_PAGES, DEVICE))
			die("the NIC cannot write");
		begin = instructions();
		if (fsync(subject.fd))
			die("cannot sync");
		cost = least(cost, instructions() - begin);
	}
	report("fsync.tracked_64k", cost, "instructions");
	nic_deregister(mr);
	subject_close(&subject);
	conn_close(conn);
}
