// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget: errors, memory, time and signals
 *
 * An error that a verb cannot handle ends the command, so that callers need not
 * look for it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dax_retarget.h"

volatile sig_atomic_t stopped;

void fail(int status, const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fputs("dax-retarget: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(status);
}

/*
 * What was printed has to arrive. A reader that went away, as head(1) does, is
 * no error.
 */
void finish_output(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return;
	if (errno == EPIPE || stopped)
		exit(EXIT_OK);
	fail(EXIT_FAILED, "cannot write: %s", strerror(errno));
}

static void *checked(void *memory)
{
	if (!memory)
		fail(EXIT_FAILED, "out of memory");
	return memory;
}

void *xrealloc(void *old, size_t nr, size_t size)
{
	return checked(reallocarray(old, nr, size));
}

char *xstrdup(const char *s)
{
	return checked(strdup(s));
}

char *xvasprintf(const char *fmt, va_list args)
{
	char *s;

	return checked(vasprintf(&s, fmt, args) < 0 ? NULL : s);
}

char *xasprintf(const char *fmt, ...)
{
	va_list args;
	char *s;

	va_start(args, fmt);
	s = xvasprintf(fmt, args);
	va_end(args);
	return s;
}

void *make_room(void *array, size_t nr, size_t *max, size_t size)
{
	if (nr < *max)
		return array;
	*max = *max * 2 + 64;
	return xrealloc(array, *max, size);
}

int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void stop(int signal)
{
	stopped = 1;
}

/* For verbs that run until a signal: they end in good order, with status 0 */
void catch_signals(void)
{
	struct sigaction action = { .sa_handler = stop };

	/* No SA_RESTART: a write to a reader that sleeps has to end as well */
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}
