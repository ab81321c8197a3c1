// SPDX-License-Identifier: GPL-2.0-only
/*
 * A witness of what is durable. A probe on the kernel's function that writes
 * back CPU caches tells for which memory the kernel calls it. Another probe, on
 * a function of the NVDIMM driver, tells when the medium is flushed.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib.h"
#include "lib_trace.h"
#include "lib_writeback.h"

/* How the kernel's addresses of persistent memory differ from physical ones */
static uint64_t direct_map;

static void write_cache_path(int fd, char *path, size_t size)
{
	struct stat st;

	if (fstat(fd, &st))
		die("cannot learn the device of a file");
	snprintf(path, size, "/sys/dev/block/%u:%u/dax/write_cache",
		 major(st.st_dev), minor(st.st_dev));
}

/* Does memory under a file need write-back? -1 if the kernel does not say */
int write_cache_get(int fd)
{
	char path[128];
	int value = -1;
	FILE *f;

	write_cache_path(fd, path, sizeof(path));
	f = fopen(path, "r");
	if (f && fscanf(f, "%d", &value) != 1)
		value = -1;
	if (f)
		fclose(f);
	return value;
}

void write_cache_set(int fd, int value)
{
	char path[128];
	FILE *f;

	write_cache_path(fd, path, sizeof(path));
	f = fopen(path, "w");
	if (!f || fprintf(f, "%d", value) < 0 || fclose(f))
		die("cannot write %s", path);
}

/*
 * Does the IOMMU tell which pages the device wrote to? The environment says so where
 * the kernel relies on an emulated IOMMU, see tracked() in vm/guest-lib.sh
 */
bool tracks_writes(void)
{
	return getenv("DAX_RETARGET_TRACKS");
}

/*
 * Sync a file with one dirty page, and see its memory written back. The direct
 * map is the difference between the kernel's address of the page and the
 * physical one.
 */
static bool find_direct_map(void)
{
	int fd = file_create("calibration", PAGE, FILLED);
	char *map = file_map(fd, 0, PAGE);
	struct trace_event event;
	uint64_t phys, addr = 0;
	FILE *trace;

	*map = 1;
	phys = physical_address(map);
	trace_clear();
	if (fsync(fd))
		die("cannot sync");
	trace = trace_begin();
	while (trace_next(trace, &event)) {
		if (!strcmp(event.name, "writeback") &&
		    trace_field(&event, "size") == PAGE)
			addr = trace_field(&event, "addr");
	}
	munmap(map, PAGE);
	close(fd);
	file_unlink("calibration");
	direct_map = addr - phys;
	return phys && addr;
}

/**
 * write_backs_open - get ready to see write-backs
 * @fd: a file in the memory to watch
 *
 * Return: NULL, or why the test has to be skipped
 */
const char *write_backs_open(int fd)
{
	if (!trace_open() || !trace_enable("fs_dax/dax_writeback_one"))
		return "no kernel tracing (root, tracefs)";
	if (!trace_probe("writeback",
			 "arch_wb_cache_pmem addr=%di:x64 size=%si:x64"))
		return "no probe on arch_wb_cache_pmem() (CONFIG_KPROBE_EVENTS, x86)";
	if (!trace_probe("medium_flush", "nvdimm_flush"))
		return "no probe on nvdimm_flush()";
	trace_enable("dax_retarget/dax_retarget_flush");
	trace_enable("dax_retarget/dax_retarget_file");
	/* Where there is no such event, the test is to fail */
	trace_enable("dax_retarget/dax_pin_sync");
	if (write_cache_get(fd) < 0)
		return "not on an NVDIMM of its own";
	write_cache_set(fd, 1);
	if (!find_direct_map())
		return "cannot see physical addresses";
	return NULL;
}

void write_backs_close(void)
{
	trace_close();
}

void write_backs_start(struct write_backs *seen)
{
	memset(seen, 0, sizeof(*seen));
	seen->before = stat_read("pages_flushed");
	trace_clear();
}

static void note_write_back(struct write_backs *seen, const uint64_t *phys,
			    unsigned long nr, uint64_t start, uint64_t size,
			    unsigned int *since_flush)
{
	unsigned long i;

	for (i = 0; i < nr; i++) {
		/* A page of which only a part is written back does not count */
		if (phys[i] < start || phys[i] + PAGE > start + size)
			continue;
		seen->times[i]++;
		seen->after[i]++;
		since_flush[i]++;
		seen->total++;
		seen->flushed = false;
	}
}

/**
 * write_backs_stop - see what was written back
 * @seen: from write_backs_start()
 * @phys: physical addresses of the pages of interest
 * @nr: number of them
 */
void write_backs_stop(struct write_backs *seen, const uint64_t *phys,
		      unsigned long nr)
{
	static unsigned int since_flush[MAX_WRITE_BACKS];
	struct trace_event event;
	FILE *trace;

	memset(since_flush, 0, sizeof(since_flush));
	trace = trace_begin();
	while (trace_next(trace, &event)) {
		if (!strcmp(event.name, "writeback"))
			note_write_back(seen, phys, nr,
					trace_field(&event, "addr") - direct_map,
					trace_field(&event, "size"),
					since_flush);
		else if (!strcmp(event.name, "medium_flush"))
			seen->flushed = true;
		else if (!strcmp(event.name, "dax_retarget_flush"))
			memset(since_flush, 0, sizeof(since_flush));
		else if (!strcmp(event.name, "dax_retarget_file"))
			/* That flush was one by which pages were lost */
			memcpy(seen->after, since_flush, sizeof(since_flush));
		else if (!strcmp(event.name, "dax_pin_sync"))
			seen->announced += trace_field(&event, "pages");
		else if (!strcmp(event.name, "dax_writeback_one"))
			seen->by_entries++;
	}
	seen->counted = stat_read("pages_flushed") - seen->before;
}
