/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One table of file operations, of those that move blocks or pages of a file,
 * and of those that should not. Tests name an operation, and do it to one file
 * by op_apply(), or to several sides by op_run().
 */
#ifndef _DAX_RETARGET_LIB_OPS_H
#define _DAX_RETARGET_LIB_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* One of several files to which the same is done */
struct side {
	const char *name;
	int dir;		/* folder of the file */
	int fd;			/* -1 when it was closed for good */
	bool swapped;		/* with the boot loader's file */
	void *map;		/* that an operation may close; or NULL */
	size_t map_len;
};

#define SIDE_FILE	"file"

/* What an operation wants to be told */
enum op_arguments {
	OP_NOTHING,
	OP_SIZE,		/* a: size of the file */
	OP_SIZES,		/* a, then b: sizes of the file */
	OP_RANGE,		/* a: first byte, b: number of bytes */
};

#define OP_FREES	0x1	/* blocks leave the file, or their place */
#define OP_LAST		0x2	/* there is no file afterwards */
#define OP_SLOW		0x4	/* or loud for the rest of the machine */

struct op_type {
	const char *name;
	long (*run)(const struct op_type *type, struct side *side, uint64_t a,
		    uint64_t b);
	enum op_arguments arguments;
	int mode;		/* of fallocate(), advice, ... */
	unsigned int flags;
	int refused;		/* errno that a pinned file may give */
	unsigned int weight;	/* among random operations */
};

struct op {
	const struct op_type *type;
	uint64_t a, b;
};

extern const struct op_type op_types[];
extern const unsigned int nr_op_types;

const struct op_type *op_find(const char *name);
bool op_possible(const struct op_type *type);
long op_run(const struct op *op, struct side *side);
long op_apply(const char *name, int fd, uint64_t a, uint64_t b);
int op_print(const struct op *op, char *buf, size_t len);
const char *op_result(long result);
uint64_t side_size(const struct side *side);
void side_unmap(struct side *side);

#endif
