// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget stats: totals
 */

#include <inttypes.h>
#include <stdlib.h>

#include "dax_retarget.h"

/* Print and free */
static void print_line(const char *what, char *value)
{
	printf("%-36s %s\n", what, value);
	free(value);
}

/* A number that is not known is "-" */
static void print_number(const char *what, uint64_t n, bool known)
{
	print_line(what, known ? xasprintf("%" PRIu64, n) : xstrdup("-"));
}

static void print_size(const char *what, uint64_t bytes, bool exact, bool known)
{
	print_line(what, known ? human_size(bytes, exact) : xstrdup("-"));
}

static void print_text(const struct device *total, const struct status *status,
		       bool exact)
{
	bool known = total->has_counters;

	printf("%-36s %s\n", "enabled (dax_retarget=on)",
	       status->enabled ? "yes" : "no");
	print_number("pins", total->pins, known);
	print_size("pinned", total->bytes_pinned, exact, known);
	print_number("scratch pages", total->scratch_pages, known);
	print_number("page tables in reserve", total->table_pages, known);
	print_size("lost, since boot", total->bytes_retargeted, exact, known);
	print_number("times pages were taken, since boot", total->retargets,
		     known);
	print_number("flushes of the IOTLB, since boot", total->flushes, known);
	print_number("events, since boot", status->events, true);
	print_number("events that were not sent", status->events_lost, true);
}

static void put_counters(struct json_object *object, const struct device *total)
{
	put_number(object, "pins", total->pins);
	put_number(object, "pinned", total->bytes_pinned);
	put_number(object, "scratch_pages", total->scratch_pages);
	put_number(object, "table_pages", total->table_pages);
	put_number(object, "lost", total->bytes_retargeted);
	put_number(object, "retargets", total->retargets);
	put_number(object, "flushes", total->flushes);
}

static void print_json(const struct device *total, const struct status *status)
{
	struct json_object *object = json_object_new_object();

	put_bool(object, "enabled", status->enabled);
	if (total->has_counters)
		put_counters(object, total);
	put_number(object, "events", status->events);
	put_number(object, "events_lost", status->events_lost);
	print_json_value(object);
}

static int run_stats(int argc, char **argv)
{
	bool exact = false, json = false;
	const struct verb_option options[] = {
		OPT_FLAG('b', "bytes", &exact, "exact numbers of bytes"),
		OPT_FLAG('j', "json", &json, "one object"),
		OPT_HELP(),
		OPT_END()
	};
	struct devices devices = { };
	struct device total = { .has_counters = true };
	struct status status;
	size_t i;

	parse_options(argc, argv, &stats_verb, options);

	get_devices(&devices);
	get_status(&status);
	for (i = 0; i < devices.nr; i++) {
		total.has_counters &= devices.device[i].has_counters;
		total.pins += devices.device[i].pins;
		total.bytes_pinned += devices.device[i].bytes_pinned;
		total.bytes_retargeted += devices.device[i].bytes_retargeted;
		total.retargets += devices.device[i].retargets;
		total.flushes += devices.device[i].flushes;
		total.scratch_pages += devices.device[i].scratch_pages;
		total.table_pages += devices.device[i].table_pages;
	}
	free_devices(&devices);
	if (!total.has_counters)
		fprintf(stderr, "dax-retarget: the kernel tells what devices have only to readers with CAP_SYS_ADMIN\n");
	if (json)
		print_json(&total, &status);
	else
		print_text(&total, &status, exact);
	return EXIT_OK;
}

const struct verb stats_verb = {
	.name = "stats",
	.summary = "totals",
	.description =
"Totals over all devices that have a driver, and of events. The kernel tells the\n"
"totals of devices to readers with CAP_SYS_ADMIN only.\n",
	.run = run_stats,
};
