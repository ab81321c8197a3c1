/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the measurements of cost.c share. A file of measurements has a function a
 * group, which the table of groups in cost.c names.
 */
#ifndef _DAX_RETARGET_COST_H
#define _DAX_RETARGET_COST_H

#include "lib.h"

/* What is measured, and how often */
struct cost_options {
	bool large;		/* entries are of 2 MiB, and not of 4 KiB */
	bool cached;		/* CPU caches are written back: no eADR */
	bool pins;		/* files can be registered here */
	size_t size;		/* of what is measured */
	unsigned int times;	/* of which the least counts */
	unsigned int files;	/* of the group "many" */
	unsigned int regions;	/* of the group "crowd" */
	const char *devdax[2];	/* device-dax, of 4 KiB and of 2 MiB pages */
	const char *other;	/* folder on a file system without pins */
};

extern struct cost_options options;
extern struct nic *nic;

/* A mapped file whose blocks lie side by side; all its pages are in memory */
struct subject {
	const char *name;
	int fd;
	uint64_t pos;		/* where the blocks begin */
	size_t len;
	void *map;
};

uint64_t instructions(void);
uint64_t task_time(void);
void report(const char *name, uint64_t value, const char *unit);
void progress(const char *what);
uint64_t least(uint64_t a, uint64_t b);

void populate(void *map, size_t len);
void subject_open(struct subject *subject, const char *name, size_t len);
void subject_unmap(struct subject *subject);
void subject_close(struct subject *subject);
struct ibv_mr *subject_register(struct subject *subject);
void *devdax_map(int *fd);
void *memory_map(size_t len, int *fd);
void *memory_map_contiguous(size_t len, int *fd);

void cost_blocks(void);
void cost_regions(void);
void cost_mappings(void);
void cost_page(void);
void cost_sync(void);
void cost_register(void);
void cost_shmem(void);
void cost_memory(void);
void cost_path(void);
void cost_many(void);
void cost_crowd(void);
void cost_beside(void);
void cost_ranges(void);
void cost_readers(void);
void cost_kernel_memory(void);

#endif
