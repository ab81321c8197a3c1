// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget: command line
 *
 * Each verb has one table of options. It makes what getopt_long() needs, the
 * help, and by "VERB --list-opts" the list that the completion of the shell and
 * the check of the man page read.
 */

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dax_retarget.h"

#define LINE_WIDTH	80
#define MAX_OPTIONS	16

static const struct verb *current_verb;

static void __attribute__((noreturn)) point_at_help(void)
{
	const char *name = current_verb->name;

	fprintf(stderr, "Try 'dax-retarget %s%s--help'.\n", name ?: "",
		name ? " " : "");
	exit(EXIT_USAGE);
}

void usage_error(const char *fmt, ...)
{
	va_list args;

	fputs("dax-retarget: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	point_at_help();
}

void parse_flag(const struct verb_option *option, const char *text)
{
	*(bool *)option->value = true;
}

void parse_seconds(const struct verb_option *option, const char *text)
{
	double *seconds = option->value;
	char *rest;

	*seconds = strtod(text, &rest);
	if (rest == text || *rest || !isfinite(*seconds) || *seconds < 0 ||
	    *seconds > 1e9)
		usage_error("--%s %s: not a number of seconds", option->name,
			    text);
}

/* Digits, and what follows them in @rest */
static uint64_t read_digits(const struct verb_option *option, const char *text,
			    int base, char **rest)
{
	uint64_t n;

	/* strtoull() takes signs and white space */
	if (*text < '0' || *text > '9')
		usage_error("--%s %s: not a number", option->name, text);
	errno = 0;
	n = strtoull(text, rest, base);
	if (errno)
		usage_error("--%s %s: too large", option->name, text);
	return n;
}

uint64_t parse_number(const struct verb_option *option, const char *text,
		      uint64_t max)
{
	char *rest;
	uint64_t n = read_digits(option, text, 10, &rest);

	if (*rest)
		usage_error("--%s %s: not a number", option->name, text);
	if (n > max)
		usage_error("--%s %s: too large", option->name, text);
	return n;
}

void parse_count(const struct verb_option *option, const char *text)
{
	uint64_t *count = option->value;

	*count = parse_number(option, text, UINT64_MAX);
	if (!*count)
		usage_error("--%s 0: at least 1", option->name);
}

/* Bytes, decimal or hexadecimal, with K, M, G or T for powers of 1024 */
uint64_t parse_size(const struct verb_option *option, const char *text)
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
		usage_error("--%s %s: not a size", option->name, text);
	shift = 10 * (unit - units + 1);
	if (n << shift >> shift != n)
		usage_error("--%s %s: too large", option->name, text);
	return n << shift;
}

/* An option as the help and the man page write it: "-d, --device NAME" */
static char *synopsis(const struct verb_option *option)
{
	return xasprintf("-%c, --%s%s%s", option->letter, option->name,
			 option->argument ? " " : "", option->argument ?: "");
}

/* Words from @indent on, where the cursor is, up to the end of the line */
static void print_wrapped(const char *text, int indent)
{
	int column = indent, len;

	while (*text) {
		len = strcspn(text, " ");
		if (column > indent && column + 1 + len > LINE_WIDTH) {
			printf("\n%*s", indent, "");
			column = indent;
		} else if (column > indent) {
			putchar(' ');
			column++;
		}
		printf("%.*s", len, text);
		column += len;
		text += len;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_options(const struct verb_option *options)
{
	const struct verb_option *option;
	int width = 0, len;
	char *left;

	for (option = options; option->help; option++) {
		left = option->letter ? synopsis(option) : xstrdup("");
		len = strlen(left);
		if (len > width)
			width = len;
		free(left);
	}
	for (option = options; option->help; option++) {
		if (!option->letter) {
			printf("%s%s\n", option == options ? "" : "\n",
			       option->help);
			continue;
		}
		left = synopsis(option);
		printf("  %-*s  ", width, left);
		print_wrapped(option->help, width + 4);
		free(left);
	}
}

static void print_help(const struct verb *verb,
		       const struct verb_option *options)
{
	printf("Usage: dax-retarget %s%s%s\n\n%s\n", verb->name ?: "",
	       verb->name ? " " : "", verb->arguments ?: "[OPTION...]",
	       verb->description);
	if (verb->print_list) {
		verb->print_list();
		putchar('\n');
	}
	print_options(options);
	if (verb->notes)
		printf("\n%s", verb->notes);
}

static void list_options(const struct verb_option *options)
{
	const struct verb_option *option;
	char *line;

	for (option = options; option->help; option++) {
		if (!option->letter)
			continue;
		line = synopsis(option);
		puts(line);
		free(line);
	}
}

static void __attribute__((noreturn)) end_well(void)
{
	finish_output();
	exit(EXIT_OK);
}

static const struct verb_option *by_letter(const struct verb_option *options,
					   int letter)
{
	while (options->help && options->letter != letter)
		options++;
	return options->help ? options : NULL;
}

int parse_options(int argc, char **argv, const struct verb *verb,
		  const struct verb_option *options)
{
	const struct verb_option *option;
	char shorts[2 * MAX_OPTIONS + 2] = "";
	struct option longs[MAX_OPTIONS + 1] = { };
	size_t nr = 0, len = 0;
	int letter;

	current_verb = verb;
	if (argc == 2 && !strcmp(argv[1], "--list-opts")) {
		list_options(options);
		end_well();
	}

	/* Options after a verb are the verb's */
	if (!verb->name)
		shorts[len++] = '+';
	for (option = options; option->help; option++) {
		if (!option->letter)
			continue;
		if (nr == MAX_OPTIONS)
			fail(EXIT_FAILED, "more than %d options", MAX_OPTIONS);
		longs[nr++] = (struct option){
			.name = option->name,
			.has_arg = option->argument ? required_argument :
						      no_argument,
			.val = option->letter,
		};
		shorts[len++] = option->letter;
		if (option->argument)
			shorts[len++] = ':';
	}

	optind = 0;
	while ((letter = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		option = by_letter(options, letter);
		if (!option)	/* getopt_long() has told why */
			point_at_help();
		if (!option->parse) {
			print_help(verb, options);
			end_well();
		}
		option->parse(option, optarg);
	}
	if (!verb->takes_arguments && optind < argc)
		usage_error("%s: no argument expected", argv[optind]);
	return optind;
}
