/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernel tracing, in an instance of its own that disturbs nobody.
 */
#ifndef _DAX_RETARGET_TRACE_H
#define _DAX_RETARGET_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct trace_event {
	char name[64];
	char fields[512];
};

bool trace_open(void);
void trace_close(void);
bool trace_probe(const char *name, const char *definition);
bool trace_return(const char *name, const char *function);
bool trace_enable(const char *event);
void trace_clear(void);
FILE *trace_begin(void);
bool trace_next(FILE *trace, struct trace_event *event);
uint64_t trace_field(const struct trace_event *event, const char *name);

#endif
