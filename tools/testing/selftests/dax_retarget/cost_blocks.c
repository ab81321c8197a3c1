// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of hooks: how much more a truncate, a punch or an unlink executes where
 * the file has pins. The page tables of the process are in the same state with
 * pins and without: all pages are mapped for writing.
 */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cost.h"
#include "lib_vfio.h"

#define MAX_REGIONS	5

enum operation {
	TRUNCATE,
	PUNCH,
	UNLINK,
};

static const char * const names[] = {
	[TRUNCATE]	= "truncate",
	[PUNCH]		= "punch",
	[UNLINK]	= "unlink",
};

static void operate(struct subject *subject, enum operation operation)
{
	int ret = 0;

	switch (operation) {
	case TRUNCATE:
		ret = ftruncate(subject->fd, 0);
		break;
	case PUNCH:
		ret = fallocate(subject->fd, PUNCH_HOLE, subject->pos,
				subject->len);
		break;
	case UNLINK:
		file_unlink(subject->name);
		close(subject->fd);
		subject->fd = -1;
		folder_end_deletes();
		break;
	}
	if (ret)
		die("%s fails", names[operation]);
}

/*
 * With so many regions that have the whole file, or one region that is mapped so many
 * times. *@flushes gets flushes of the IOTLB.
 */
static uint64_t cost_of(enum operation operation, unsigned int nr_regions,
			bool copies, long *flushes)
{
	struct ibv_mr *mr[MAX_REGIONS];
	struct subject subject;
	unsigned int i;
	uint64_t cost;
	long before;

	subject_open(&subject, "subject", options.size);
	for (i = 0; i < nr_regions; i++)
		mr[i] = i && copies ? iommufd_copy(mr[0], 0) :
				      subject_register(&subject);
	/* A file that is mapped is not deleted */
	if (operation == UNLINK)
		subject_unmap(&subject);

	before = stat_read("flushes");
	cost = instructions();
	operate(&subject, operation);
	cost = instructions() - cost;
	*flushes = stat_read("flushes") - before;

	for (i = 0; i < nr_regions; i++)
		nic_deregister(mr[i]);
	subject_close(&subject);
	return cost;
}

static uint64_t least_cost(enum operation operation, unsigned int nr_regions,
			   bool copies, long *flushes)
{
	uint64_t cost = UINT64_MAX;
	unsigned int i;

	for (i = 0; i < options.times; i++)
		cost = least(cost, cost_of(operation, nr_regions,
					   copies, flushes));
	return cost;
}

static void measure_operation(enum operation operation)
{
	char name[32];
	long flushes;

	snprintf(name, sizeof(name), "%s.unpinned", names[operation]);
	report(name, least_cost(operation, 0, false, &flushes), "instructions");
	if (!options.pins)
		return;
	snprintf(name, sizeof(name), "%s.pinned", names[operation]);
	report(name, least_cost(operation, 1, false, &flushes), "instructions");
	snprintf(name, sizeof(name), "%s.flushes", names[operation]);
	report(name, flushes, "flushes");
}

/* A file on tmpfs under a region, which is what a page cache would cost */
static uint64_t truncate_memory(void)
{
	struct ibv_mr *mr;
	uint64_t cost;
	void *map;
	int fd;

	map = memory_map(options.size, &fd);
	mr = nic_register(nic, map, options.size);
	if (!mr)
		die("cannot register memory");
	cost = instructions();
	if (ftruncate(fd, 0))
		die("cannot truncate");
	cost = instructions() - cost;
	nic_deregister(mr);
	munmap(map, options.size);
	close(fd);
	return cost;
}

void cost_blocks(void)
{
	uint64_t cost = UINT64_MAX;
	unsigned int i;

	measure_operation(TRUNCATE);
	measure_operation(PUNCH);
	measure_operation(UNLINK);
	/* The same with each kind of entry, and whatever is under the caches */
	if (!options.pins || options.large || !options.cached)
		return;
	for (i = 0; i < options.times; i++)
		cost = least(cost, truncate_memory());
	report("truncate.tmpfs", cost, "instructions");
}

void cost_regions(void)
{
	long flushes;

	report("truncate.1_region", least_cost(TRUNCATE, 1, false, &flushes),
	       "instructions");
	report("truncate.5_regions",
	       least_cost(TRUNCATE, MAX_REGIONS, false, &flushes),
	       "instructions");
	report("truncate.5_regions.flushes", flushes, "flushes");
}

/* One pin that several IOVA ranges lead to, which only iommufd has */
void cost_mappings(void)
{
	unsigned int nr;
	char name[32];
	long flushes;

	for (nr = 1; nr <= 4; nr *= 2) {
		snprintf(name, sizeof(name), "truncate.%u_mappings", nr);
		report(name, least_cost(TRUNCATE, nr, true, &flushes),
		       "instructions");
	}
	report("truncate.4_mappings.flushes", flushes, "flushes");
}

/* What a punch of one page costs, and of a neighbour of a page that went */
struct page_cost {
	uint64_t first;
	uint64_t second;
};

static void punch_pages(bool pinned, struct page_cost *least_cost)
{
	struct ibv_mr *mr = NULL;
	struct subject subject;
	uint64_t cost, pos;

	subject_open(&subject, "subject", options.size);
	if (pinned)
		mr = subject_register(&subject);
	/* A large entry each time */
	for (pos = subject.pos + PAGE_2M / 2;
	     pos < subject.pos + subject.len; pos += PAGE_2M) {
		/* Or a punch may have to push the journal first */
		if (fsync(subject.fd))
			die("cannot sync");
		cost = instructions();
		if (file_punch(subject.fd, pos, PAGE))
			die("cannot punch");
		least_cost->first = least(least_cost->first,
					  instructions() - cost);
		cost = instructions();
		if (file_punch(subject.fd, pos + PAGE, PAGE))
			die("cannot punch");
		least_cost->second = least(least_cost->second,
					   instructions() - cost);
	}
	if (mr)
		nic_deregister(mr);
	subject_close(&subject);
}

static void measure_page(bool pinned)
{
	struct page_cost cost = { UINT64_MAX, UINT64_MAX };
	unsigned int i;

	/* The journal is in another state each time */
	for (i = 0; i < 4 * options.times; i++)
		punch_pages(pinned, &cost);
	report(pinned ? "page.pinned" : "page.unpinned", cost.first,
	       "instructions");
	report(pinned ? "second_page.pinned" : "second_page.unpinned",
	       cost.second, "instructions");
}

void cost_page(void)
{
	measure_page(false);
	if (options.pins)
		measure_page(true);
}
