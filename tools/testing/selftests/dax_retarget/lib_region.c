// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fixtures of the tests of DAX retarget: a NIC, files that are registered
 * with it, and threads that the kernel holds up while they register.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib.h"

/**
 * bench_open - get ready for a test that needs pins
 * @bench: gets the NIC
 *
 * Return: NULL, or why the test has to be skipped
 */
const char *bench_open(struct bench *bench)
{
	static char why[256];
	struct ibv_mr *mr;
	void *map;
	int fd;

	if (!nic_exists(0))
		return "no RDMA device (set DAX_RETARGET_DEV)";
	if (!stats_exist())
		return "no counters in debugfs: no DAX retarget, or not root";
	folder_reset();

	bench->nic = nic_open(0);
	fd = file_create("probe", PAGE, FILLED);
	if (!file_is_dax(fd))
		return "no DAX files in the folder (set DAX_RETARGET_DIR)";
	map = file_map(fd, 0, PAGE);
	mr = nic_register(bench->nic, map, PAGE);
	if (!mr) {
		snprintf(why, sizeof(why),
			 "%s cannot register files (%s): needs fsdax, dax_retarget=on, an IOMMU",
			 nic_name(0), strerror(errno));
		return why;
	}
	nic_deregister(mr);
	munmap(map, PAGE);
	close(fd);
	file_unlink("probe");

	bench->conn = conn_open(bench->nic);
	stats_read(&bench->before);
	return NULL;
}

/* Returns whether the kernel's counters are what they were */
bool bench_close(struct bench *bench)
{
	struct stats now;
	bool same;

	same = stats_wait(&bench->before, &now);
	if (!same)
		printf("# left: %ld pins, %ld files, %ld pages, %ld scratch pages, %ld tables\n",
		       now.pins - bench->before.pins,
		       now.files - bench->before.files,
		       now.pages_pinned - bench->before.pages_pinned,
		       now.scratch_pages - bench->before.scratch_pages,
		       now.table_pages - bench->before.table_pages);
	conn_close(bench->conn);
	nic_close(bench->nic);
	folder_reset();
	return same;
}

/* Create a file, full of what FILLED writes, map it and register it */
void region_open(struct bench *bench, struct region *region, const char *name,
		 unsigned long nr_pages)
{
	region->name = name;
	region->len = nr_pages * PAGE;
	region->fd = file_create(name, region->len, FILLED);
	region->map = file_map(region->fd, 0, region->len);
	region->mr = nic_register(bench->nic, region->map, region->len);
	if (!region->mr)
		die("cannot register %s", name);
}

/**
 * region_open_aligned - as region_open(), of blocks that a large page can map
 * @bench: with a NIC
 * @region: gets the page
 * @name: of the file
 * @size: of the page
 * @pos: gets where in the file the page begins
 *
 * Return: false if the file system has no such run of blocks
 */
bool region_open_aligned(struct bench *bench, struct region *region,
			 const char *name, size_t size, uint64_t *pos)
{
	region->name = name;
	region->len = size;
	region->fd = file_create_aligned(name, size, pos);
	if (region->fd < 0)
		return false;
	/* Unwritten blocks would take a fault for each small page */
	file_fill(region->fd, *pos, size, FILLED);
	region->map = file_map_aligned(region->fd, *pos, size, size);
	region->mr = nic_register(bench->nic, region->map, size);
	if (!region->mr)
		die("cannot register %s", name);
	return true;
}

void region_deregister(struct region *region)
{
	if (region->mr)
		nic_deregister(region->mr);
	region->mr = NULL;
}

void region_unmap(struct region *region)
{
	if (region->map)
		munmap(region->map, region->len);
	region->map = NULL;
	if (region->fd >= 0)
		close(region->fd);
	region->fd = -1;
}

void region_close(struct region *region)
{
	region_deregister(region);
	region_unmap(region);
}

/**
 * first_incoherent_page - do device and file agree, in both directions?
 * @bench: with a connection
 * @mr: memory region
 * @mr_page: first page in it
 * @fd: file
 * @file_page: page of the file that @mr_page should be
 * @nr: number of pages
 *
 * Return: number of the first page, counted from 0, where what the device
 *	   writes is not in the file, or what is written to the file is not what
 *	   the device reads; -1 if there is none. Changes the pages.
 */
long first_incoherent_page(struct bench *bench, struct ibv_mr *mr,
			   unsigned long mr_page, int fd,
			   unsigned long file_page, unsigned long nr)
{
	uint64_t buf[PROBE / 8];
	unsigned long i;
	uint64_t pos;
	int error;

	for (i = 0; i < nr; i++)
		file_fill(fd, (file_page + i) * PAGE, PROBE, PROCESS);
	for (i = 0; i < nr; i++) {
		error = conn_read(bench->conn, mr, (mr_page + i) * PAGE, buf,
				  PROBE);
		if (error) {
			printf("# the device cannot read page %lu: %s\n",
			       mr_page + i, conn_error(error));
			return i;
		}
		if (find_difference(buf, PROBE, PROCESS,
				    (file_page + i) * PAGE) >= 0) {
			printf("# the device reads %s in page %lu\n",
			       describe(buf), mr_page + i);
			return i;
		}
	}

	error = conn_write_pages(bench->conn, mr, mr_page, nr, DEVICE);
	if (error) {
		printf("# the device cannot write: %s\n", conn_error(error));
		return 0;
	}
	for (i = 0; i < nr; i++) {
		pos = (file_page + i) * PAGE;
		if (pread(fd, buf, PROBE, pos) != PROBE)
			die("cannot read at %lu", (unsigned long)pos);
		if (find_difference(buf, PROBE, DEVICE,
				    (mr_page + i) * PAGE) >= 0) {
			printf("# the file has %s in page %lu\n",
			       describe(buf), file_page + i);
			return i;
		}
	}
	return -1;
}

/* The first page of a range that the device reads from the victim, or -1 */
long victim_disclosure(struct bench *bench, struct ibv_mr *mr,
		       unsigned long first, unsigned long nr)
{
	uint64_t buf[PROBE / 8];
	unsigned long i;
	int error;

	for (i = first; i < first + nr; i++) {
		error = conn_read(bench->conn, mr, i * PAGE, buf, PROBE);
		if (error)
			die("the device cannot read page %lu: %s", i,
			    conn_error(error));
		if (!written_by(buf, VICTIM))
			continue;
		printf("# VICTIM DISCLOSED: page %lu reads as %s\n", i,
		       describe(buf));
		return i;
	}
	return -1;
}

/* End all windows at once, and open none any more */
void windows_close(void)
{
	switches_reset("delay_ms");
}

bool region_thread_done(struct region_thread *thread)
{
	return __atomic_load_n(&thread->done, __ATOMIC_ACQUIRE);
}

static void *run_register(void *arg)
{
	struct region_thread *thread = arg;
	struct region *region = thread->region;

	region->mr = nic_register(thread->bench->nic, region->map, thread->len);
	__atomic_store_n(&thread->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *run_deregister(void *arg)
{
	struct region_thread *thread = arg;

	region_deregister(thread->region);
	__atomic_store_n(&thread->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void region_thread_start(struct region_thread *thread,
				void *(*run)(void *))
{
	if (pthread_create(&thread->thread, NULL, run, thread))
		die("no thread");
}

/**
 * region_register_begin - have a thread register a region, with a stop
 * @thread: with the region, and how much of it to register
 * @ms: how long its pages stay pinned and not mapped
 *
 * Returns when the pages are pinned, or when the thread is done too early.
 */
void region_register_begin(struct region_thread *thread, unsigned int ms)
{
	long goal = stat_read("pages_pinned") +
		    (thread->pages ?: thread->len / PAGE);

	switch_write("delay_ms/registered", ms);
	region_thread_start(thread, run_register);
	while (stat_read("pages_pinned") < goal && !region_thread_done(thread))
		sleep_ms(5);
}

/**
 * region_deregister_begin - have a thread deregister a region, with stops
 * @thread: with the region
 * @ms: how long its pin stays unmapped in the index, and how long out of it
 *
 * Returns at once: what the pin still has is for the test to look at.
 */
void region_deregister_begin(struct region_thread *thread, unsigned int ms)
{
	switch_write("delay_ms/detached", ms);
	switch_write("delay_ms/left_index", ms);
	region_thread_start(thread, run_deregister);
}

/* Have the thread finish what it does */
void region_thread_end(struct region_thread *thread)
{
	windows_close();
	pthread_join(thread->thread, NULL);
}
