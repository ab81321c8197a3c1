// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget devices: through which devices files can be reached
 */

#include <inttypes.h>
#include <stdlib.h>

#include "dax_retarget.h"

static bool is_of_interest(const struct device *device,
			   struct json_object *rdma)
{
	return json_object_array_length(rdma) ||
	       is_vfio_bound(device->driver) || device->pins ||
	       device->bytes_retargeted || device->retargets ||
	       device->flushes;
}

static struct json_object *json_device(const struct device *device,
				       struct json_object *rdma)
{
	struct json_object *object = json_object_new_object();

	put_string(object, "name", device->name);
	put_string(object, "driver", device->driver);
	json_object_object_add(object, "rdma_devices", json_object_get(rdma));
	put_bool(object, "vfio", is_vfio_bound(device->driver));
	put_bool(object, "retargetable", device->retargetable);
	if (!device->retargetable) {
		put_string(object, "refusal", refusal_name(device->refusal));
		put_string(object, "reason", refusal_words(device->refusal));
	}
	put_string(object, "domain_type", device->domain_type);
	if (device->retargetable) {
		put_bool(object, "tracks_writes", device->tracks_writes);
		put_bool(object, "revokes", device->revokes);
	}
	if (!device->has_counters)
		return object;
	put_number(object, "pins", device->pins);
	put_number(object, "pinned", device->bytes_pinned);
	put_number(object, "lost", device->bytes_retargeted);
	put_number(object, "retargets", device->retargets);
	put_number(object, "flushes", device->flushes);
	put_number(object, "scratch_pages", device->scratch_pages);
	put_number(object, "table_pages", device->table_pages);
	return object;
}

static char *join(struct json_object *names)
{
	size_t i, nr = json_object_array_length(names);
	char *text = xstrdup(nr ? "" : "-"), *longer;

	for (i = 0; i < nr; i++) {
		longer = xasprintf("%s%s%s", text, i ? "," : "",
				   json_object_get_string(json_object_array_get_idx(names, i)));
		free(text);
		text = longer;
	}
	return text;
}

/* Columns that add_counters() fills */
#define COUNTERS	4

static void add_counters(struct table *table, const struct device *device,
			 bool exact)
{
	int n;

	if (device->has_counters) {
		table_add(table, xasprintf("%" PRIu64, device->pins));
		table_add(table, human_size(device->bytes_pinned, exact));
		table_add(table, human_size(device->bytes_retargeted, exact));
		table_add(table, xasprintf("%" PRIu64, device->flushes));
	} else {
		for (n = 0; n < COUNTERS; n++)
			table_add(table, xstrdup("-"));
	}
}

static const char *synced(const struct device *device)
{
	if (!device->retargetable)
		return "-";
	return device->tracks_writes ? "written" : "all";
}

static const char *on_loss(const struct device *device)
{
	if (!device->retargetable)
		return "-";
	return device->revokes ? "revoked" : "scratch";
}

static void add_device(struct table *table, const struct device *device,
		       struct json_object *rdma, bool exact)
{
	table_add(table, printable(device->name));
	table_add(table, printable(device->driver));
	table_add(table, join(rdma));
	table_add(table, printable(device->domain_type));
	table_add(table, xstrdup(synced(device)));
	table_add(table, xstrdup(on_loss(device)));
	add_counters(table, device, exact);
	table_add(table, device->retargetable ? xstrdup("yes") :
		  xasprintf("no: %s", refusal_words(device->refusal)));
}

static int run_devices(int argc, char **argv)
{
	bool all = false, exact = false, json = false, wanted;
	const struct verb_option options[] = {
		OPT_FLAG('a', "all", &all, "all PCI devices that have a driver"),
		OPT_FLAG('b', "bytes", &exact, "exact numbers of bytes"),
		OPT_FLAG('j', "json", &json, "one array of devices"),
		OPT_HELP(),
		OPT_END()
	};
	struct json_object *array = NULL, *rdma;
	struct devices devices = { };
	struct table *table = NULL;
	size_t i;

	parse_options(argc, argv, &devices_verb, options);

	get_devices(&devices);
	if (json)
		array = json_object_new_array();
	else
		table = table_new(11, "DEVICE", "DRIVER", "RDMA", "DOMAIN",
				  "SYNCS", "ON-LOSS", ">PINS", ">PINNED",
				  ">LOST", ">FLUSHES", "VERDICT");
	for (i = 0; i < devices.nr; i++) {
		rdma = rdma_devices_of(devices.device[i].name);
		wanted = all || is_of_interest(&devices.device[i], rdma);
		if (wanted && json)
			json_object_array_add(array,
					      json_device(&devices.device[i],
							  rdma));
		else if (wanted)
			add_device(table, &devices.device[i], rdma, exact);
		json_object_put(rdma);
	}
	if (json)
		print_json_value(array);
	else
		table_print(table, 0);
	free_devices(&devices);
	return EXIT_OK;
}

const struct verb devices_verb = {
	.name = "devices",
	.summary = "devices that can have pins, and why others cannot",
	.description =
"List devices: those of RDMA devices, those given to VFIO, and those that have\n"
"or had pins. VERDICT is what the kernel says of the device and its IOMMU; see\n"
"doctor for what else can be in the way. SYNCS says which pages of pins for\n"
"writing fsync() and the like write back, where the platform needs that:\n"
"\"written\" means the pages that the device wrote to, \"all\" means all pages, since\n"
"the IOMMU does not tell which, and \"-\" means that the device can have no pins.\n"
"ON-LOSS says what becomes of a region that loses a page: \"scratch\" means that\n"
"the device reaches a scratch page there, \"revoked\" that the region's keys die.\n"
"The kernel tells the numbers to readers with CAP_SYS_ADMIN only; other readers\n"
"see \"-\", and miss devices that are listed for their pins alone.\n",
	.run = run_devices,
};
