// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget: who reaches files on persistent memory by DMA, what was taken
 * back from them, and taking it back by hand
 *
 * The administrator's side of the generic netlink family "dax-retarget". Each
 * verb is a file of its own; here is what they share with the command line.
 */

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "dax_retarget.h"

#define VERSION "1.0"

static const char main_usage[] =
"Usage: dax-retarget VERB [OPTION...]\n"
"\n"
"Show and take back what devices reach of files on persistent memory (fsdax).\n"
"\n"
"  list      pins: who reaches which range of which file through which device\n"
"  devices   devices that can have pins, and why others cannot\n"
"  monitor   report live what is taken back\n"
"  stats     totals\n"
"  top       who pins and who lost most, live\n"
"  revoke    take pages back from devices\n"
"  doctor    explain why a device or a file cannot be pinned\n"
"\n"
"  -h, --help     this text; after a verb, that of the verb\n"
"  -V, --version\n"
"\n"
"Exit status: 0 done; 1 failed, or nothing was found to be revoked, or doctor\n"
"found something in the way; 2 wrong usage; 3 the kernel does not have DAX\n"
"retarget; 4 no permission.\n";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage;
} verbs[] = {
	{ "list", cmd_list, list_usage },
	{ "devices", cmd_devices, devices_usage },
	{ "monitor", cmd_monitor, monitor_usage },
	{ "stats", cmd_stats, stats_usage },
	{ "top", cmd_top, top_usage },
	{ "revoke", cmd_revoke, revoke_usage },
	{ "doctor", cmd_doctor, doctor_usage },
};

static const char *verb_usage = main_usage;
static const char *verb_name;
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

void usage_error(const char *fmt, ...)
{
	va_list args;

	fputs("dax-retarget: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\nTry 'dax-retarget %s%s--help'.\n",
		verb_name ?: "", verb_name ? " " : "");
	exit(EXIT_USAGE);
}

/*
 * What was printed has to arrive. That nobody reads any more, as with head(1),
 * is no error.
 */
void finish_output(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return;
	if (errno == EPIPE || stopped)
		exit(EXIT_OK);
	fail(EXIT_FAILED, "cannot write: %s", strerror(errno));
}

void *xrealloc(void *old, size_t nr, size_t size)
{
	void *new = reallocarray(old, nr, size);

	if (!new)
		fail(EXIT_FAILED, "out of memory");
	return new;
}

char *xstrdup(const char *s)
{
	char *copy = strdup(s);

	if (!copy)
		fail(EXIT_FAILED, "out of memory");
	return copy;
}

char *xvasprintf(const char *fmt, va_list args)
{
	char *s;

	if (vasprintf(&s, fmt, args) < 0)
		fail(EXIT_FAILED, "out of memory");
	return s;
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

/* Digits, and what follows them in @rest */
static uint64_t read_digits(const char *option, const char *text, int base,
			    char **rest)
{
	uint64_t n;

	/* strtoull() takes signs and white space */
	if (*text < '0' || *text > '9')
		usage_error("%s %s: not a number", option, text);
	errno = 0;
	n = strtoull(text, rest, base);
	if (errno)
		usage_error("%s %s: too large", option, text);
	return n;
}

uint64_t parse_number(const char *option, const char *text, uint64_t max)
{
	char *rest;
	uint64_t n = read_digits(option, text, 10, &rest);

	if (*rest)
		usage_error("%s %s: not a number", option, text);
	if (n > max)
		usage_error("%s %s: too large", option, text);
	return n;
}

/* Bytes, decimal or hexadecimal, with K, M, G or T for powers of 1024 */
uint64_t parse_size(const char *option, const char *text)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *rest;
	uint64_t n = read_digits(option, text, 0, &rest);
	int shift;

	if (!*rest)
		return n;
	unit = strchr(units, *rest);
	if (!unit || rest[1])
		usage_error("%s %s: not a size", option, text);
	shift = 10 * (unit - units + 1);
	if (n << shift >> shift != n)
		usage_error("%s %s: too large", option, text);
	return n << shift;
}

double parse_seconds(const char *option, const char *text)
{
	char *rest;
	double seconds = strtod(text, &rest);

	if (rest == text || *rest || !isfinite(seconds) || seconds < 0 ||
	    seconds > 1e9)
		usage_error("%s %s: not a number of seconds", option, text);
	return seconds;
}

static void select_dev(struct selector *selector, const char *path,
		       struct stat *st)
{
	if (stat(path, st))
		fail(errno == EACCES ? EXIT_NO_PERMISSION : EXIT_FAILED,
		     "%s: %s", path, strerror(errno));
	if (selector->by_dev && (selector->major != major(st->st_dev) ||
				 selector->minor != minor(st->st_dev)))
		usage_error("%s: not in the same file system as the other", path);
	selector->by_dev = true;
	selector->major = major(st->st_dev);
	selector->minor = minor(st->st_dev);
}

void select_file(struct selector *selector, const char *path)
{
	struct stat st;

	if (selector->by_inode)
		usage_error("--file can be given once");
	select_dev(selector, path, &st);
	if (!S_ISREG(st.st_mode))
		usage_error("%s: not a regular file", path);
	selector->by_inode = true;
	selector->inode = st.st_ino;
}

void select_mount(struct selector *selector, const char *path)
{
	struct stat st;

	select_dev(selector, path, &st);
	if (!S_ISDIR(st.st_mode))
		usage_error("%s: not a directory", path);
}

static void stop(int signal)
{
	stopped = 1;
}

/* For verbs that go on until they are told: end in good order, status 0 */
void catch_signals(void)
{
	struct sigaction action = { .sa_handler = stop };

	/* No SA_RESTART: a write to a reader who sleeps must end as well */
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

int next_option(int argc, char **argv, const char *shorts,
		const struct option *longs)
{
	int option = getopt_long(argc, argv, shorts, longs, NULL);

	switch (option) {
	case 'h':
		fputs(verb_usage, stdout);
		finish_output();
		exit(EXIT_OK);
	case '?':
	case ':':
		fprintf(stderr, "Try 'dax-retarget %s%s--help'.\n",
			verb_name ?: "", verb_name ? " " : "");
		exit(EXIT_USAGE);
	}
	return option;
}

void no_arguments(int argc, char **argv)
{
	if (optind < argc)
		usage_error("%s: no argument expected", argv[optind]);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ }
	};
	size_t i;
	int ret;

	/* So that a reader who went away is an error of write(), handled below */
	signal(SIGPIPE, SIG_IGN);

	/* "+": options after the verb are the verb's */
	if (next_option(argc, argv, "+hV", options) == 'V') {
		puts("dax-retarget " VERSION);
		finish_output();
		return EXIT_OK;
	}
	if (optind == argc)
		usage_error("a verb is missing");

	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(argv[optind], verbs[i].name))
			continue;
		argc -= optind;
		argv += optind;
		verb_name = verbs[i].name;
		verb_usage = verbs[i].usage;
		/* Errors of getopt_long() are to name the command */
		argv[0] = (char []){ "dax-retarget" };
		optind = 0;
		ret = verbs[i].run(argc, argv);
		finish_output();
		return ret;
	}
	usage_error("%s: no such verb", argv[optind]);
}
