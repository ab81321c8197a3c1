// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget: which devices reach files on persistent memory by DMA, what was
 * taken back from them, and taking it back by hand
 *
 * The administrator's side of the generic netlink family "dax-retarget". Each
 * verb is a file of its own.
 */

#include <string.h>

#include "dax_retarget.h"

#define VERSION "1.0"

static const struct verb *const verbs[] = {
	&list_verb,
	&devices_verb,
	&monitor_verb,
	&stats_verb,
	&top_verb,
	&revoke_verb,
	&doctor_verb,
};

static void print_verbs(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  %-8s  %s\n", verbs[i]->name, verbs[i]->summary);
}

static const struct verb command = {
	.arguments = "VERB [OPTION...]",
	.description =
"Show and take back what devices reach of files on persistent memory (fsdax).\n",
	.print_list = print_verbs,
	.notes =
"After a verb, --help tells of the verb.\n"
"\n"
"Exit status: 0 done; 1 failed, or nothing was found to be revoked, or doctor\n"
"found something in the way; 2 wrong usage; 3 DAX retarget is off, or the kernel\n"
"does not have it; 4 no permission.\n",
	.takes_arguments = true,
};

static void list_verbs(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		puts(verbs[i]->name);
}

static int run_verb(int argc, char **argv)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(argv[0], verbs[i]->name))
			continue;
		/* Errors of getopt_long() are to name the command */
		argv[0] = (char []){ "dax-retarget" };
		return verbs[i]->run(argc, argv);
	}
	usage_error("%s: no such verb", argv[0]);
}

int main(int argc, char **argv)
{
	bool version = false;
	const struct verb_option options[] = {
		OPT_FLAG('V', "version", &version, "print the version"),
		OPT_HELP(),
		OPT_END()
	};
	int first, ret = EXIT_OK;

	/* A reader that went away is then an error of write(), handled below */
	signal(SIGPIPE, SIG_IGN);

	if (argc == 2 && !strcmp(argv[1], "--list-verbs")) {
		list_verbs();
	} else {
		first = parse_options(argc, argv, &command, options);
		if (version)
			puts("dax-retarget " VERSION);
		else if (first == argc)
			usage_error("a verb is missing");
		else
			ret = run_verb(argc - first, argv + first);
	}
	finish_output();
	return ret;
}
