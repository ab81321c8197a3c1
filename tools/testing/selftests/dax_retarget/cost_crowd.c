// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of many regions, which many threads make and end: of a DAX file, and of
 * device-dax. Each region is of 2 MiB, and the regions share the pages of one file.
 */

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cost.h"

#define THREADS	64

struct worker {
	pthread_t thread;
	char *map;
	struct ibv_mr **mrs;
	unsigned long nr;
};

static void *run_registering(void *arg)
{
	struct worker *worker = arg;
	unsigned long i;

	for (i = 0; i < worker->nr; i++) {
		worker->mrs[i] = nic_register(nic, worker->map +
					      i * PAGE_2M % options.size,
					      PAGE_2M);
		if (!worker->mrs[i])
			die("cannot register");
	}
	return NULL;
}

static void *run_deregistering(void *arg)
{
	struct worker *worker = arg;
	unsigned long i;

	for (i = 0; i < worker->nr; i++)
		nic_deregister(worker->mrs[i]);
	return NULL;
}

/* Returns the instructions of all threads together */
static uint64_t run_all(struct worker *workers, void *(*run)(void *))
{
	uint64_t begin = instructions();
	unsigned int i;

	for (i = 0; i < THREADS; i++)
		if (pthread_create(&workers[i].thread, NULL, run, &workers[i]))
			die("no thread");
	for (i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	return instructions() - begin;
}

static void measure_crowd(const char *name, const char *how_many, void *map,
			  unsigned long nr)
{
	struct ibv_mr **mrs = calloc(nr, sizeof(*mrs));
	struct worker workers[THREADS];
	uint64_t cost, end;
	char text[64];
	unsigned int i;

	if (!mrs)
		die("no memory");
	for (i = 0; i < THREADS; i++) {
		workers[i].map = map;
		workers[i].mrs = mrs + i * (nr / THREADS);
		workers[i].nr = nr / THREADS;
	}
	cost = run_all(workers, run_registering);
	end = run_all(workers, run_deregistering);
	snprintf(text, sizeof(text), "crowd_register.%s.%s", name, how_many);
	report(text, cost / nr, "instructions");
	snprintf(text, sizeof(text), "crowd_deregister.%s.%s", name, how_many);
	report(text, end / nr, "instructions");
	free(mrs);
}

static void measure_growth(const char *name, void *map)
{
	measure_crowd(name, "quarter", map, options.regions / 4);
	measure_crowd(name, "all", map, options.regions);
}

void cost_crowd(void)
{
	struct subject subject;
	void *map;
	int fd;

	subject_open(&subject, "crowd", options.size);
	measure_growth("fsdax", subject.map);
	subject_close(&subject);

	map = devdax_map(&fd);
	if (!map)
		return;
	measure_growth("devdax", map);
	munmap(map, options.size);
	close(fd);
}
