// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget revoke: take pages back by hand
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>

#include "dax_retarget.h"

const char revoke_usage[] =
"Usage: dax-retarget revoke SELECTOR... [OPTION...]\n"
"\n"
"Take pages back from devices at once, as if their blocks left the file. What\n"
"the device writes there from now on is lost, and it reads zeros; the file keeps\n"
"its blocks, and its content. This cannot be undone: the owner has to register\n"
"its memory again. Needs CAP_SYS_ADMIN over the owners.\n"
"\n"
"Selectors, all of which have to match; at least one is needed:\n"
"  -i, --id N          this pin, see list\n"
"  -d, --device NAME   pins of this PCI device or RDMA device\n"
"  -p, --pid PID       pins of this process\n"
"  -f, --file PATH     pages of this file\n"
"  -m, --mount DIR     pages of files of the file system DIR is on\n"
"With --file:\n"
"  -o, --offset BYTES  from here on (default: 0)\n"
"  -l, --length BYTES  so many (default: all)\n"
"  a page that is in the range in part is taken, too; K, M, G, T are understood\n"
"\n"
"  -b, --bytes         exact numbers of bytes\n"
"  -j, --json\n"
"  -h, --help\n"
"\n"
"Exit status 1 if no pin matches.\n";

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

int cmd_revoke(int argc, char **argv)
{
	static const struct option options[] = {
		{ "id", required_argument, NULL, 'i' },
		{ "device", required_argument, NULL, 'd' },
		{ "pid", required_argument, NULL, 'p' },
		{ "file", required_argument, NULL, 'f' },
		{ "mount", required_argument, NULL, 'm' },
		{ "offset", required_argument, NULL, 'o' },
		{ "length", required_argument, NULL, 'l' },
		{ "bytes", no_argument, NULL, 'b' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	bool exact = false, json = false;
	struct selector selector = { };
	struct revoked revoked;
	int option, ret;

	while ((option = next_option(argc, argv, "i:d:p:f:m:o:l:bjh",
				     options)) != -1) {
		switch (option) {
		case 'i':
			selector.by_id = true;
			selector.id = parse_number("--id", optarg, INT32_MAX);
			/* The kernel refuses it, but cannot say it so well */
			if (!selector.id)
				usage_error("--id 0: pins count from 1");
			break;
		case 'd':
			if (!*optarg)
				usage_error("--device: empty");
			selector.device = optarg;
			break;
		case 'p':
			selector.by_pid = true;
			selector.pid = parse_number("--pid", optarg, INT32_MAX);
			break;
		case 'f':
			select_file(&selector, optarg);
			break;
		case 'm':
			select_mount(&selector, optarg);
			break;
		case 'o':
			selector.by_offset = true;
			selector.offset = parse_size("--offset", optarg);
			break;
		case 'l':
			selector.by_length = true;
			selector.length = parse_size("--length", optarg);
			if (!selector.length)
				usage_error("--length 0: nothing to take back");
			break;
		case 'b':
			exact = true;
			break;
		case 'j':
			json = true;
			break;
		}
	}
	no_arguments(argc, argv);
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
