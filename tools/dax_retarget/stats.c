// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget stats: totals
 */

#include <inttypes.h>
#include <stdlib.h>

#include "dax_retarget.h"

static void print_size(const char *what, uint64_t bytes, bool exact)
{
	char *size = human_size(bytes, exact);

	printf("%-36s %s\n", what, size);
	free(size);
}

static void print_number(const char *what, uint64_t n)
{
	printf("%-36s %" PRIu64 "\n", what, n);
}

static void print_text(const struct device *total, const struct status *status,
		       bool exact)
{
	printf("%-36s %s\n", "enabled (dax_retarget=on)",
	       status->enabled ? "yes" : "no");
	print_number("pins", total->pins);
	print_size("pinned", total->bytes_pinned, exact);
	print_number("scratch pages", total->scratch_pages);
	print_number("page tables in reserve", total->table_pages);
	print_size("lost, since boot", total->bytes_retargeted, exact);
	print_number("times pages were taken, since boot", total->retargets);
	print_number("flushes of the IOTLB, since boot", total->flushes);
	print_number("events, since boot", status->events);
	print_number("events that were not sent", status->events_lost);
}

static void print_json(const struct device *total, const struct status *status)
{
	struct json_object *object = json_object_new_object();

	put_bool(object, "enabled", status->enabled);
	put_number(object, "pins", total->pins);
	put_number(object, "pinned", total->bytes_pinned);
	put_number(object, "scratch_pages", total->scratch_pages);
	put_number(object, "table_pages", total->table_pages);
	put_number(object, "lost", total->bytes_retargeted);
	put_number(object, "retargets", total->retargets);
	put_number(object, "flushes", total->flushes);
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
	struct device total = { };
	struct status status;
	size_t i;

	parse_options(argc, argv, &stats_verb, options);

	get_devices(&devices);
	get_status(&status);
	for (i = 0; i < devices.nr; i++) {
		total.pins += devices.device[i].pins;
		total.bytes_pinned += devices.device[i].bytes_pinned;
		total.bytes_retargeted += devices.device[i].bytes_retargeted;
		total.retargets += devices.device[i].retargets;
		total.flushes += devices.device[i].flushes;
		total.scratch_pages += devices.device[i].scratch_pages;
		total.table_pages += devices.device[i].table_pages;
	}
	free_devices(&devices);
	if (json)
		print_json(&total, &status);
	else
		print_text(&total, &status, exact);
	return EXIT_OK;
}

const struct verb stats_verb = {
	.name = "stats",
	.summary = "totals",
	.description = "Totals over all devices that have a driver.\n",
	.run = run_stats,
};
