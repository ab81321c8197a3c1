/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which memory the kernel writes back from the CPU caches to persistent memory.
 */
#ifndef _DAX_RETARGET_WRITEBACK_H
#define _DAX_RETARGET_WRITEBACK_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_WRITE_BACKS	512

/* What was written back between write_backs_start() and write_backs_stop() */
struct write_backs {
	unsigned int times[MAX_WRITE_BACKS];	/* each page of interest */
	unsigned int after[MAX_WRITE_BACKS];	/* the last DMA to lost pages */
	uint64_t total;		/* sum of times */
	uint64_t announced;	/* pages in events of pins */
	uint64_t counted;	/* by the kernel's counter */
	uint64_t by_entries;	/* DAX entries written back */
	uint64_t before;	/* what the counter was */
	bool flushed;		/* the medium, after the last of them */
};

int write_cache_get(int fd);
void write_cache_set(int fd, int value);
bool tracks_writes(void);
const char *write_backs_open(int fd);
void write_backs_close(void);
void write_backs_start(struct write_backs *seen);
void write_backs_stop(struct write_backs *seen, const uint64_t *phys,
		      unsigned long nr);

#endif
