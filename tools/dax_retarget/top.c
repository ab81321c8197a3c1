// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget top: the processes that pin most and that lost most, live
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dax_retarget.h"

/* A process, through one device */
struct user {
	const struct pin *pin;	/* one of them */
	uint64_t pins;
	uint64_t pinned;
	uint64_t lost;
	double rate;
};

struct picture {
	struct pins pins;
	struct user *user;
	size_t nr;
	double time;
};

/* Greater than, equal to or less than 0, as @a is to @b */
#define COMPARE(a, b)	(((a) > (b)) - ((a) < (b)))

/* The pid alone does not tell: outside of our namespace it is unknown */
static int compare_users(const struct pin *a, const struct pin *b)
{
	return COMPARE(a->start_time, b->start_time) ?:
	       COMPARE(a->pid, b->pid) ?:
	       strcmp(a->comm, b->comm) ?:
	       strcmp(a->device, b->device) ?:
	       strcmp(a->consumer, b->consumer);
}

static int by_user(const void *a, const void *b)
{
	const struct pin *x = a, *y = b;

	return compare_users(x, y) ?: COMPARE(x->id, y->id);
}

/* Most first */
static int by_pinned(const void *a, const void *b)
{
	const struct user *x = a, *y = b;

	return COMPARE(y->pinned, x->pinned);
}

static int by_lost(const void *a, const void *b)
{
	const struct user *x = a, *y = b;

	return COMPARE(y->rate, x->rate) ?: COMPARE(y->lost, x->lost);
}

static void take_picture(struct picture *picture, const struct picture *before)
{
	static const struct selector all;
	struct user *user = NULL;
	size_t i, j;

	get_pins(&picture->pins, &all);
	picture->time = clock_ns(CLOCK_MONOTONIC) / 1e9;
	if (picture->pins.nr)
		qsort(picture->pins.pin, picture->pins.nr,
		      sizeof(*picture->pins.pin), by_user);
	for (i = 0; i < picture->pins.nr; i++) {
		const struct pin *pin = &picture->pins.pin[i];

		/* Further ranges of a pin */
		if (i && pin->id == pin[-1].id)
			continue;
		if (!user || compare_users(user->pin, pin)) {
			picture->user = xrealloc(picture->user, picture->nr + 1,
						 sizeof(*picture->user));
			user = &picture->user[picture->nr++];
			memset(user, 0, sizeof(*user));
			user->pin = pin;
		}
		user->pins++;
		user->pinned += pin->pages * pin->page_size;
		user->lost += pin->pages_retargeted * pin->page_size;
	}
	for (i = 0; i < picture->nr; i++) {
		user = &picture->user[i];
		for (j = 0; j < before->nr; j++)
			if (!compare_users(user->pin, before->user[j].pin) &&
			    user->lost > before->user[j].lost)
				user->rate = (user->lost - before->user[j].lost) /
					     (picture->time - before->time);
	}
}

static void free_picture(struct picture *picture)
{
	free(picture->user);
	free_pins(&picture->pins);
	memset(picture, 0, sizeof(*picture));
}

static void print_users(const struct picture *picture, unsigned int max_rows)
{
	struct table *table = table_new(9, ">PID", "COMM", "USER", "DEVICE",
					"CONSUMER", ">PINS", ">PINNED", ">LOST",
					">LOST/s");
	size_t i;

	for (i = 0; i < picture->nr; i++) {
		const struct user *user = &picture->user[i];

		table_add(table, user->pin->has_pid ?
			  xasprintf("%" PRIu32, user->pin->pid) : xstrdup("-"));
		table_add(table, printable(user->pin->comm));
		table_add(table, user_name(user->pin->uid));
		table_add(table, printable(user->pin->device));
		table_add(table, printable(user->pin->consumer));
		table_add(table, xasprintf("%" PRIu64, user->pins));
		table_add(table, human_size(user->pinned, false));
		table_add(table, human_size(user->lost, false));
		table_add(table, human_size(user->rate, false));
	}
	table_print(table, max_rows);
}

static void print_picture(struct picture *picture, bool batch)
{
	uint64_t pins = 0, pinned = 0, lost = 0;
	char clock[16], *pinned_text, *lost_text;
	unsigned int rows = 0;
	struct winsize size;
	time_t now = time(NULL);
	struct tm tm;
	size_t i;

	for (i = 0; i < picture->nr; i++) {
		pins += picture->user[i].pins;
		pinned += picture->user[i].pinned;
		lost += picture->user[i].lost;
	}
	if (!batch) {
		/* Home, and away with what was there */
		fputs("\033[H\033[2J", stdout);
		rows = 10;
		/* Two tables with title, heading and a blank line each */
		if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) &&
		    size.ws_row > 10)
			rows = (size.ws_row - 8) / 2;
	}
	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &tm));
	pinned_text = human_size(pinned, false);
	lost_text = human_size(lost, false);
	printf("%s  %" PRIu64 " pins of %zu processes, %s pinned, %s lost\n\n",
	       clock, pins, picture->nr, pinned_text, lost_text);
	free(pinned_text);
	free(lost_text);

	if (picture->nr)
		qsort(picture->user, picture->nr, sizeof(*picture->user),
		      by_pinned);
	puts("Pinned most");
	print_users(picture, rows);
	if (picture->nr)
		qsort(picture->user, picture->nr, sizeof(*picture->user),
		      by_lost);
	puts("\nLost most");
	print_users(picture, rows);
	if (batch)
		putchar('\n');
	finish_output();
}

static void pause_for(double seconds)
{
	struct timespec t = {
		.tv_sec = seconds,
		.tv_nsec = (seconds - (time_t)seconds) * 1e9,
	};

	nanosleep(&t, NULL);
}

static int run_top(int argc, char **argv)
{
	struct picture now = { }, before = { };
	uint64_t iterations = 0, n;
	double delay = 2;
	bool batch = false;
	const struct verb_option options[] = {
		OPT_SECONDS('d', "delay", &delay, "SECONDS",
			    "between two pictures (default: 2)"),
		OPT_COUNT('n', "iterations", &iterations, "N",
			  "end after N pictures"),
		OPT_FLAG('b', "batch", &batch,
			 "one picture after the other, all lines, for files"),
		OPT_HELP(),
		OPT_END()
	};

	parse_options(argc, argv, &top_verb, options);
	if (delay < 0.1)
		usage_error("--delay %g: at least 0.1", delay);

	catch_signals();
	for (n = 0; !stopped && (!iterations || n < iterations); n++) {
		if (n)
			pause_for(delay);
		if (stopped)
			break;
		take_picture(&now, &before);
		print_picture(&now, batch);
		free_picture(&before);
		before = now;
		memset(&now, 0, sizeof(now));
	}
	free_picture(&before);
	return EXIT_OK;
}

const struct verb top_verb = {
	.name = "top",
	.summary = "the processes that pin most and that lost most, live",
	.description =
"Show again and again the processes that pin most and those that lost most.\n",
	.notes =
"LOST is what living pins have lost, LOST/s since the last picture. Ctrl-C ends.\n",
	.run = run_top,
};
