// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget revoke: take pages back by hand
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "dax_retarget.h"

static void print_result(const struct revoked *revoked, bool json, bool exact)
{
	uint64_t bytes = revoked->pages * revoked->page_size;
	struct json_object *object;
	char *size;

	if (json) {
		object = json_object_new_object();
		put_number(object, "pins", revoked->pins);
		put_number(object, "pages", revoked->pages);
		put_number(object, "bytes", bytes);
		print_json_value(object);
		return;
	}
	size = human_size(bytes, exact);
	printf("%s (%" PRIu64 " page%s) taken back from %" PRIu64 " pin%s\n",
	       size, revoked->pages, revoked->pages == 1 ? "" : "s",
	       revoked->pins, revoked->pins == 1 ? "" : "s");
	free(size);
}

static int run_revoke(int argc, char **argv)
{
	bool exact = false, json = false;
	struct selector selector = { };
	struct revoked revoked;
	const struct verb_option options[] = {
		OPT_HEADING("Selectors, all of which have to match; at least one is needed:"),
		OPT_SELECT('i', id, &selector, "ID", "this pin, see list"),
		OPT_SELECT('d', device, &selector, "NAME",
			   "pins of this PCI device or RDMA device"),
		OPT_SELECT('p', pid, &selector, "PID", "pins of this process"),
		OPT_SELECT('f', file, &selector, "PATH", "pages of this file"),
		OPT_SELECT('m', mount, &selector, "DIR",
			   "pages of files of the file system DIR is on"),
		OPT_HEADING("With --file:"),
		OPT_SELECT('o', offset, &selector, "BYTES",
			   "from here on (default: 0)"),
		OPT_SELECT('l', length, &selector, "BYTES",
			   "so many (default: all)"),
		OPT_HEADING("Output:"),
		OPT_FLAG('b', "bytes", &exact, "exact numbers of bytes"),
		OPT_FLAG('j', "json", &json, "one object"),
		OPT_HELP(),
		OPT_END()
	};
	int ret;

	parse_options(argc, argv, &revoke_verb, options);
	if (selector.device && !*selector.device)
		usage_error("--device: empty");
	if (!selector.by_id && !selector.device && !selector.by_pid &&
	    !selector.by_dev)
		usage_error("say what to take back: --id, --device, --pid, --file or --mount");
	if ((selector.by_offset || selector.by_length) && !selector.by_inode)
		usage_error("--offset and --length need --file");
	if (selector.offset + selector.length < selector.offset)
		usage_error("--offset and --length: too large");

	if (selector.device)
		resolve_device(&selector);
	ret = do_revoke(&selector, &revoked);
	if (ret == -ESRCH)
		fail(EXIT_FAILED, "no such process");
	if (ret)
		fail(EXIT_FAILED, "no pin matches");
	print_result(&revoked, json, exact);
	return EXIT_OK;
}

const struct verb revoke_verb = {
	.name = "revoke",
	.arguments = "SELECTOR... [OPTION...]",
	.summary = "take pages back from devices",
	.description =
"Take pages back from devices at once, as if their blocks left the file. What\n"
"the device writes there from now on is lost, and it reads zeros; the file keeps\n"
"its blocks, and its content. This cannot be undone: the owner has to register\n"
"its memory again. Needs CAP_SYS_ADMIN over the owners.\n",
	.notes =
"BYTES may end in K, M, G or T. A page that is in the range in part is taken,\n"
"too. Exit status 1 if no pin matches.\n",
	.run = run_revoke,
};
