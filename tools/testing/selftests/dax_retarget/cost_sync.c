// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of fsync for a file to which nothing was written since the last one.
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
