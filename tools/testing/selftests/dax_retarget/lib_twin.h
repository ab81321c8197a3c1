/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The same operations on a pinned DAX file and on its twins in the page cache,
 * and what can be said afterwards about the pages that each of them has lost.
 */
#ifndef _DAX_RETARGET_LIB_TWIN_H
#define _DAX_RETARGET_LIB_TWIN_H

#include "lib.h"
#include "lib_ops.h"

#define MAX_OPS		16

enum side_id {
	SIDE_DAX,
	SIDE_REFERENCE,		/* same file system without DAX */
	SIDE_TMPFS,
	NR_SIDES,
};

/* What files are like, and which of their pages are registered */
struct layout {
	const char *name;
	unsigned long nr_pages;	/* whole pages of the file */
	unsigned long tail;	/* and bytes behind them */
	unsigned long first;	/* page that the region begins with */
	unsigned long nr;	/* pages of the region */
	bool mid_page;		/* the region begins and ends within a page */
	bool sparse;		/* with holes and unwritten extents */
	bool large;		/* its blocks from 2M on can be mapped as 2M */
	bool unmap;		/* before the operation */
	bool read_only_map;	/* for pins that only read */
};

struct sequence {
	const struct layout *layout;
	bool write_pin;
	bool tmpfs;		/* have a twin there, too */
	bool victim;		/* give freed blocks to another file */
	unsigned int nr_ops;
	struct op ops[MAX_OPS];
};

struct outcome {
	bool failed;
	char text[4096];	/* why */
	const char *skipped;	/* why */
	bool refused;		/* by DAX alone, on purpose */
	bool no_tmpfs;		/* one has the operation, the other not */
	long result;		/* of the last operation, on DAX */
	unsigned long left;
	unsigned long lost[NR_SIDES];
	unsigned long victim_pages;
};

const char *twins_open(void);
bool twins_close(void);
const char *twins_file_system(void);
bool layout_possible(const struct layout *layout);
void sequence_run(const struct sequence *sequence, struct outcome *outcome);

#endif
