// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget list: which process lets which device reach which file
 */

#include <inttypes.h>
#include <stdlib.h>

#include "dax_retarget.h"

/* Consecutive messages with the same id are one pin */
static void print_json(const struct pins *pins)
{
	struct json_object *array = json_object_new_array();
	struct json_object *object = NULL, *ranges = NULL;
	size_t i;

	for (i = 0; i < pins->nr; i++) {
		const struct pin *pin = &pins->pin[i];

		if (!i || pins->pin[i - 1].id != pin->id) {
			object = json_of_pin(pin);
			put_seconds(object, "age", pin->age);
			put_string(object, "state", state_name(pin->state));
			ranges = json_object_new_array();
			json_object_object_add(object, "ranges", ranges);
			json_object_array_add(array, object);
		}
		object = json_of_place(&pin->place);
		put_bool(object, "gone", pin->place.gone);
		json_object_array_add(ranges, object);
	}
	print_json_value(array);
}

/* Columns that add_pin() fills */
#define PIN_COLUMNS	11

static void add_pin(struct table *table, const struct pin *pin, bool exact)
{
	table_add(table, xasprintf("%" PRIu32, pin->id));
	table_add(table, printable(pin->device));
	table_add(table, printable(pin->consumer));
	table_add(table, pin->has_pid ? xasprintf("%" PRIu32, pin->pid) :
					xstrdup("-"));
	table_add(table, printable(pin->comm));
	table_add(table, user_name(pin->uid));
	table_add(table, xstrdup(access_name(pin->access)));
	table_add(table, xstrdup(state_name(pin->state)));
	table_add(table, human_size(pin->pages * pin->page_size, exact));
	table_add(table, human_size(pin->pages_retargeted * pin->page_size,
				    exact));
	table_add(table, human_duration(pin->age));
}

static void print_table(const struct pins *pins, bool exact, bool verbose)
{
	struct table *table;
	size_t i;
	int n;

	table = table_new(15, ">ID", "DEVICE", "CONSUMER", ">PID", "COMM",
			  "USER", "ACCESS", "STATE", ">SIZE", ">LOST", ">AGE",
			  "RANGE", verbose ? "IOVA" : "FILE",
			  verbose ? ">STARTED" : NULL, verbose ? "FILE" : NULL);
	for (i = 0; i < pins->nr; i++) {
		const struct pin *pin = &pins->pin[i];

		if (!i || pins->pin[i - 1].id != pin->id)
			add_pin(table, pin, exact);
		else
			for (n = 0; n < PIN_COLUMNS; n++)
				table_add(table, xstrdup(""));
		table_add(table, range_text(&pin->place, exact));
		if (verbose) {
			table_add(table, pin->place.has_iova ?
				  xasprintf("0x%" PRIx64, pin->place.iova) :
				  xstrdup("-"));
			table_add(table, human_duration(pin->start_time));
		}
		table_add(table, place_text(&pin->place));
	}
	table_print(table, 0);
}

static int run_list(int argc, char **argv)
{
	bool json = false, exact = false, verbose = false;
	struct selector selector = { };
	struct pins pins = { };
	const struct verb_option options[] = {
		OPT_SELECT('d', device, &selector, "NAME",
			   "only of this PCI device or RDMA device"),
		OPT_SELECT('p', pid, &selector, "PID", "only of this process"),
		OPT_SELECT('f', file, &selector, "PATH",
			   "only with pages of this file"),
		OPT_SELECT('m', mount, &selector, "DIR",
			   "only with files of the file system DIR is on"),
		OPT_FLAG('b', "bytes", &exact, "exact numbers of bytes"),
		OPT_FLAG('v', "verbose", &verbose,
			 "with IOVA and start of the owner"),
		OPT_FLAG('j', "json", &json,
			 "one array of pins, each with its ranges"),
		OPT_HELP(),
		OPT_END()
	};

	parse_options(argc, argv, &list_verb, options);

	get_pins(&pins, &selector);
	read_mounts();
	if (json)
		print_json(&pins);
	else
		print_table(&pins, exact, verbose);
	free_pins(&pins);
	return EXIT_OK;
}

const struct verb list_verb = {
	.name = "list",
	.summary =
"pins: which process lets which device reach which range of a file",
	.description =
"List pins: which process lets which device reach which range of which file.\n"
"Without CAP_SYS_ADMIN, those of the own processes.\n",
	.notes =
"A pin with several ranges has a line for each; what is the same is said once.\n",
	.run = run_list,
};
