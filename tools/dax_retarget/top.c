// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget top: who pins and who lost most, live
 */

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "dax_retarget.h"

const char top_usage[] =
"Usage: dax-retarget top [OPTION...]\n"
"\n"
"Show again and again the processes that pin most and those that lost most.\n"
"\n"
"  -d, --delay SECONDS   between two pictures (default: 2)\n"
"  -n, --iterations N    end after N pictures\n"
"  -b, --batch           one picture after the other, all lines, for files\n"
"  -h, --help\n"
"\n"
"LOST is what living pins have lost, LOST/s since the last picture. Ctrl-C ends.\n";

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

static bool same_user(const struct pin *a, const struct pin *b)
{
	/* Not the pid, which is not known of processes outside its namespace */
	return a->start_time == b->start_time && a->pid == b->pid &&
	       !strcmp(a->comm, b->comm) && !strcmp(a->device, b->device) &&
	       !strcmp(a->consumer, b->consumer);
}

static int by_owner(const void *a, const void *b)
{
	const struct pin *x = a, *y = b;

	if (x->start_time != y->start_time)
		return x->start_time < y->start_time ? -1 : 1;
	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return strcmp(x->comm, y->comm) ?: strcmp(x->device, y->device) ?:
	       strcmp(x->consumer, y->consumer) ?:
	       (x->id > y->id) - (x->id < y->id);
}

static int by_pinned(const void *a, const void *b)
{
	const struct user *x = a, *y = b;

	return (x->pinned < y->pinned) - (x->pinned > y->pinned);
}

static int by_lost(const void *a, const void *b)
{
	const struct user *x = a, *y = b;

	if (x->rate != y->rate)
		return x->rate < y->rate ? 1 : -1;
	return (x->lost < y->lost) - (x->lost > y->lost);
}

static void take_picture(struct picture *picture, const struct picture *before)
{
	static const struct selector all;
	struct timespec now;
	struct user *user = NULL;
	size_t i, j;

	get_pins(&picture->pins, &all);
	clock_gettime(CLOCK_MONOTONIC, &now);
	picture->time = now.tv_sec + now.tv_nsec / 1e9;
	if (picture->pins.nr)
		qsort(picture->pins.pin, picture->pins.nr,
		      sizeof(*picture->pins.pin), by_owner);
	for (i = 0; i < picture->pins.nr; i++) {
		const struct pin *pin = &picture->pins.pin[i];

		/* Further ranges of a pin */
		if (i && pin->id == pin[-1].id)
			continue;
		if (!user || !same_user(user->pin, pin)) {
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
			if (same_user(user->pin, before->user[j].pin) &&
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

int cmd_top(int argc, char **argv)
{
	static const struct option options[] = {
		{ "delay", required_argument, NULL, 'd' },
		{ "iterations", required_argument, NULL, 'n' },
		{ "batch", no_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct picture now = { }, before = { };
	uint64_t iterations = 0, n;
	double delay = 2;
	bool batch = false;
	int option;

	while ((option = next_option(argc, argv, "d:n:bh", options)) != -1) {
		switch (option) {
		case 'd':
			delay = parse_seconds("--delay", optarg);
			if (delay < 0.1)
				usage_error("--delay %s: at least 0.1", optarg);
			break;
		case 'n':
			iterations = parse_number("--iterations", optarg,
						  UINT64_MAX);
			if (!iterations)
				usage_error("--iterations 0: nothing to show");
			break;
		case 'b':
			batch = true;
			break;
		}
	}
	no_arguments(argc, argv);

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
