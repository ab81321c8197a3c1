// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of a registration and of its end: of a DAX file, of device-dax and of
 * memory; and what memory the kernel takes for it.
 */

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cost.h"

struct costs {
	uint64_t begin, end;
};

static struct ibv_mr *register_counted(void *map, size_t len, uint64_t *cost)
{
	struct ibv_mr *mr;
	uint64_t begin;

	begin = instructions();
	mr = nic_register(nic, map, len);
	*cost = least(*cost, instructions() - begin);
	if (!mr)
		die("cannot register");
	return mr;
}

static void deregister_counted(struct ibv_mr *mr, uint64_t *cost)
{
	uint64_t begin;

	begin = instructions();
	nic_deregister(mr);
	*cost = least(*cost, instructions() - begin);
}

static void measure_mapping(const char *name, void *map, size_t len)
{
	uint64_t cost = UINT64_MAX, end = UINT64_MAX;
	char text[64];
	unsigned int i;

	for (i = 0; i < options.times; i++)
		deregister_counted(register_counted(map, len, &cost), &end);
	snprintf(text, sizeof(text), "register.%s", name);
	report(text, cost, "instructions");
	snprintf(text, sizeof(text), "deregister.%s", name);
	report(text, end, "instructions");
}

static void measure_fsdax(void)
{
	uint64_t cost = UINT64_MAX, end = UINT64_MAX;
	struct subject subject;
	struct ibv_mr *mr;

	subject_open(&subject, "subject", options.size);
	measure_mapping("fsdax", subject.map, subject.len);
	mr = register_counted(subject.map, subject.len, &cost);
	if (ftruncate(subject.fd, 0))
		die("cannot truncate");
	deregister_counted(mr, &end);
	report("deregister.retargeted", end, "instructions");
	subject_close(&subject);
}

/* As in subject_open(), no large page can map what is not to be mapped so */
void *devdax_map(int *fd)
{
	const char *device = options.devdax[options.large];
	void *map;

	if (!device)
		return NULL;
	*fd = open(device, O_RDWR);
	if (*fd < 0)
		die("cannot open %s", device);
	map = file_map_aligned(*fd, options.large ? 0 : PAGE, options.size,
			       PAGE_2M);
	populate(map, options.size);
	return map;
}

void cost_register(void)
{
	void *map;
	int fd;

	measure_fsdax();
	map = options.cached ? devdax_map(&fd) : NULL;
	if (!map)
		return;
	measure_mapping("devdax", map, options.size);
	munmap(map, options.size);
	close(fd);
}

/* First in a guest: later no page may have a neighbour that is free */
void cost_shmem(void)
{
	void *map;
	int fd;

	map = memory_map_contiguous(options.size, &fd);
	measure_mapping("shmem", map, options.size);
	munmap(map, options.size);
	close(fd);
	/* Small pages are unpinned one by one */
	map = memory_map(options.size, &fd);
	measure_mapping("shmem_small", map, options.size);
	munmap(map, options.size);
	close(fd);
}

/* Memory that is of no DAX file, in pages of 2 MiB */
static void measure_huge_pages(void)
{
	size_t len = options.size;
	char *map;

	map = mmap(NULL, len + PAGE_2M, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		die("no memory");
	map = (char *)(((uintptr_t)map + PAGE_2M - 1) / PAGE_2M * PAGE_2M);
	madvise(map, len, MADV_HUGEPAGE);
	populate(map, len);
	measure_mapping("huge_pages", map, len);
	munmap(map, len);
}

#define REGISTERING	8	/* threads */
#define MAPPING		4
#define ROUNDS		40
#define THREAD_PAGES	256UL

/* One that registers memory, over and over */
static void *run_registering(void *map)
{
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		struct ibv_mr *mr = nic_register(nic, map, THREAD_PAGES * PAGE);

		if (!mr)
			die("cannot register");
		nic_deregister(mr);
	}
	return NULL;
}

/* One that maps memory and unmaps it */
static void *run_mapping(void *unused)
{
	unsigned int i;
	void *map;

	for (i = 0; i < ROUNDS * 4; i++) {
		map = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (map == MAP_FAILED)
			die("no memory");
		populate(map, 16 * PAGE);
		munmap(map, 16 * PAGE);
	}
	return unused;
}

static void measure_threads(void)
{
	pthread_t threads[REGISTERING + MAPPING];
	size_t len = REGISTERING * THREAD_PAGES * PAGE;
	uint64_t cost;
	unsigned int i;
	char *map;
	int fd;

	map = memory_map_contiguous(len, &fd);
	cost = instructions();
	for (i = 0; i < REGISTERING + MAPPING; i++)
		if (i < REGISTERING ?
		    pthread_create(&threads[i], NULL, run_registering,
				   map + i * THREAD_PAGES * PAGE) :
		    pthread_create(&threads[i], NULL, run_mapping, NULL))
			die("no thread");
	for (i = 0; i < REGISTERING + MAPPING; i++)
		pthread_join(threads[i], NULL);
	report("register.threads", instructions() - cost, "instructions");
	munmap(map, len);
	close(fd);
}

void cost_memory(void)
{
	void *map;
	int fd;

	measure_huge_pages();
	map = memory_map_contiguous(options.size, &fd);
	measure_mapping("memory", map, options.size);
	/* So little that a new slab shows */
	options.times *= 10;
	measure_mapping("memory_page", map, PAGE);
	options.times /= 10;
	munmap(map, options.size);
	close(fd);
	measure_threads();
}

static long free_memory(void)
{
	char name[64];
	long value, kib = 0;
	FILE *f;

	/* The IOMMU's tables are freed later, by a timer */
	sleep_ms(200);
	/* Each CPU counts for itself, and adds up now and then */
	f = fopen("/proc/sys/vm/stat_refresh", "r");
	if (f) {
		fgetc(f);
		fclose(f);
	}
	f = fopen("/proc/meminfo", "r");
	while (f && fscanf(f, "%63s %ld%*[^\n]", name, &value) == 2)
		if (!strcmp(name, "MemFree:"))
			kib = value;
	if (f)
		fclose(f);
	return kib * 1024;
}

#define ONE_PAGE_REGIONS	2000

/* Bytes that a region of one page takes */
static uint64_t memory_of_pages(char *map)
{
	struct ibv_mr **mrs = calloc(ONE_PAGE_REGIONS, sizeof(*mrs));
	unsigned int i;
	long before;
	uint64_t taken;

	memset(mrs, 1, ONE_PAGE_REGIONS * sizeof(*mrs));
	before = free_memory();
	for (i = 0; i < ONE_PAGE_REGIONS; i++) {
		mrs[i] = nic_register(nic, map + i * PAGE, PAGE);
		if (!mrs[i])
			die("cannot register");
	}
	taken = (before - free_memory()) / ONE_PAGE_REGIONS;
	for (i = 0; i < ONE_PAGE_REGIONS; i++)
		nic_deregister(mrs[i]);
	free(mrs);
	return taken;
}

#define LARGE_REGIONS	64

/* Bytes that one of several regions takes; so small an amount is lost in noise */
static uint64_t memory_of_region(void *map, size_t len)
{
	struct ibv_mr *mrs[LARGE_REGIONS];
	unsigned int i;
	long taken;

	taken = free_memory();
	for (i = 0; i < LARGE_REGIONS; i++) {
		mrs[i] = nic_register(nic, map, len);
		if (!mrs[i])
			die("cannot register");
	}
	taken -= free_memory();
	for (i = 0; i < LARGE_REGIONS; i++)
		nic_deregister(mrs[i]);
	return taken < 0 ? 0 : taken / LARGE_REGIONS;
}

/*
 * Tables of the IOMMU are the same with any memory, so what device-dax takes is
 * no cost of pins.
 */
void cost_kernel_memory(void)
{
	struct subject subject;
	void *map;
	int fd;

	if (!options.cached)
		return;
	subject_open(&subject, "subject", options.size);
	report("kernel_memory.extent.fsdax",
	       memory_of_region(subject.map, subject.len), "bytes");
	/* The same with each kind of entry */
	if (!options.large)
		report("kernel_memory.page.fsdax", memory_of_pages(subject.map),
		       "bytes");
	subject_close(&subject);
	map = devdax_map(&fd);
	if (map) {
		report("kernel_memory.extent.devdax",
		       memory_of_region(map, options.size), "bytes");
		munmap(map, options.size);
		close(fd);
	}
	if (options.large)
		return;
	map = memory_map(ONE_PAGE_REGIONS * PAGE, &fd);
	report("kernel_memory.page.shmem", memory_of_pages(map), "bytes");
	munmap(map, ONE_PAGE_REGIONS * PAGE);
	close(fd);
}

#define WRITES		50
#define BATCHES		10

/*
 * Instructions that the tasks of the kernel execute while the NIC writes to
 * memory. The time that passes says little, as the CPU waits for the engine, and
 * so does what the process executes, which asks again and again.
 */
void cost_path(void)
{
	struct conn *conn = conn_open(nic);
	uint64_t cost = UINT64_MAX, begin;
	unsigned int i, batch;
	struct ibv_mr *mr;
	void *map;
	int fd;

	map = memory_map(16 * PAGE, &fd);
	mr = nic_register(nic, map, 16 * PAGE);
	if (!mr)
		die("cannot register");
	if (conn_write_pages(conn, mr, 0, 16, DEVICE))
		die("the NIC cannot write");
	for (batch = 0; batch < BATCHES; batch++) {
		begin = task_time();
		for (i = 0; i < WRITES; i++)
			if (conn_write_pages(conn, mr, i % 16, 1, DEVICE))
				die("the NIC cannot write");
		cost = least(cost, task_time() - begin);
	}
	report("path", cost / WRITES, "instructions");
	nic_deregister(mr);
	munmap(map, 16 * PAGE);
	close(fd);
	conn_close(conn);
}
