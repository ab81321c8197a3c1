// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernel tracing for the tests of DAX retarget. Some of what they are about is
 * seen nowhere else: a CPU cache that was written back, an event that an
 * administrator is told.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib.h"
#include "lib_trace.h"

#define TRACING		"/sys/kernel/tracing"
#define INSTANCE	TRACING "/instances/dax_retarget_test"
#define PROBES		TRACING "/kprobe_events"
#define GROUP		"dax_retarget_test"

static bool put(const char *path, int flags, const char *text)
{
	int fd = open(path, O_WRONLY | flags);
	bool done;

	if (fd < 0)
		return false;
	done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	return !close(fd) && done;
}

/* Remove the probes of our group, one of which a killed test may have left */
static void remove_probes(void)
{
	char line[512], name[64], command[128];
	FILE *f = fopen(PROBES, "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*[^:]:" GROUP "/%63s", name) != 1)
			continue;
		snprintf(command, sizeof(command), "-:" GROUP "/%s", name);
		if (!put(PROBES, O_APPEND, command))
			die("cannot remove the probe %s", name);
	}
	if (f)
		fclose(f);
}

/* Begin with an empty trace of no event; false if there is no tracing */
bool trace_open(void)
{
	trace_close();
	return !mkdir(INSTANCE, 0700);
}

void trace_close(void)
{
	if (rmdir(INSTANCE) && errno != ENOENT)
		die("cannot remove " INSTANCE);
	remove_probes();
}

static bool probe(char kind, const char *name, const char *definition)
{
	char text[256];

	snprintf(text, sizeof(text), "%c:" GROUP "/%s %s", kind, name,
		 definition);
	if (!put(PROBES, O_APPEND, text))
		return false;
	snprintf(text, sizeof(text), GROUP "/%s", name);
	return trace_enable(text);
}

/**
 * trace_probe - have a kernel function traced
 * @name: of the new event
 * @definition: function and arguments, as kprobe_events takes them
 *
 * Return: false if the kernel has no such function, or no such events
 */
bool trace_probe(const char *name, const char *definition)
{
	return probe('p', name, definition);
}

/**
 * trace_return - have the return of a kernel function traced
 * @name: of the new event
 * @function: the function
 *
 * Return: as trace_probe()
 */
bool trace_return(const char *name, const char *function)
{
	return probe('r', name, function);
}

/* Begin to trace GROUP/EVENT; false if the kernel does not have it */
bool trace_enable(const char *event)
{
	char path[512];

	snprintf(path, sizeof(path), INSTANCE "/events/%s/enable", event);
	return put(path, 0, "1");
}

void trace_clear(void)
{
	if (!put(INSTANCE "/trace", O_TRUNC, "\n"))
		die("cannot clear the trace");
}

/* Begin to read the trace; trace_next() ends it */
FILE *trace_begin(void)
{
	FILE *trace = fopen(INSTANCE "/trace", "r");

	if (!trace)
		die("cannot read the trace");
	return trace;
}

/* Get the next event; false, and @trace is closed, if there is none */
bool trace_next(FILE *trace, struct trace_event *event)
{
	unsigned long held, written;
	char line[1024], *colon;

	while (fgets(line, sizeof(line), trace)) {
		if (sscanf(line, "# entries-in-buffer/entries-written: %lu/%lu",
			   &held, &written) == 2 && held != written)
			die("the trace lost %lu events", written - held);
		/* TASK-PID [CPU] FLAGS TIME: NAME: FIELDS */
		if (line[0] == '#')
			continue;
		colon = strchr(line, '[');
		colon = colon ? strstr(colon, ": ") : NULL;
		if (!colon || sscanf(colon, ": %63[^:]: %511[^\n]", event->name,
				     event->fields) != 2)
			continue;
		return true;
	}
	fclose(trace);
	return false;
}

/* A number that an event has as NAME=NUMBER */
uint64_t trace_field(const struct trace_event *event, const char *name)
{
	size_t len = strlen(name);
	const char *p;

	for (p = strstr(event->fields, name); p; p = strstr(p + 1, name)) {
		if (p[len] == '=' && (p == event->fields || p[-1] == ' '))
			return strtoull(p + len + 1, NULL, 0);
	}
	die("event %s has no field %s: %s", event->name, name, event->fields);
}
