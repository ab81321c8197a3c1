// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page-cache equivalence, by experiment: what a pin of a DAX file loses by an
 * operation is what it must lose, and nothing that a pin of the page cache of
 * the same file system would not lose. See lib_twin.c for what is compared, and
 * lib_ops.c for the operations.
 *
 * First a matrix. Every operation is done to
 *
 *   whole    a file of data, registered as a whole and mapped; to all shapes of
 *            ranges and sizes, if it can free blocks
 *   part     a file of which pages in the middle are registered, from within a
 *            page to within a page, and unmapped before the operation; to the
 *            shapes that divide the region
 *   sparse   a file with holes and unwritten extents that ends within a page,
 *            registered as a whole; to the shapes that cross kinds of extents
 *
 * each with a device that writes and with one that only reads, which for "part"
 * has no more than a read-only mapping. Shapes at the edges of 2M entries are
 * for
 *
 *   large    2M of blocks that CPU and IOMMU map as one, and pages beside them
 *   inside   pages within 2M of blocks that the CPU maps as one
 *
 * and the operations that free or move blocks, or could drop entries. Freed
 * blocks are given to another file in
 *
 *   victim   a file of data that is large enough for its blocks to be wanted
 *
 * Then random sequences of operations. A sequence that fails is made as short
 * as possible, and printed as --replay takes it.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib_twin.h"

#define DEFAULT_STEPS	400
#define DEFAULT_SEED	1
#define MAX_SEQUENCE	12

#define UNIT		512UL	/* where the large layout has its 2M */

static const struct layout layouts[] = {
	{ .name = "whole", .nr_pages = 8, .nr = 8 },
	{ .name = "part", .nr_pages = 16, .first = 4, .nr = 8,
	  .mid_page = true, .unmap = true, .read_only_map = true },
	{ .name = "sparse", .nr_pages = 8, .tail = 3000, .nr = 9,
	  .sparse = true, .unmap = true },
	{ .name = "large", .nr_pages = UNIT + 512 + 20, .first = UNIT,
	  .nr = 512 + 16, .large = true },
	{ .name = "victim", .nr_pages = 64, .nr = 64, .unmap = true },
	{ .name = "inside", .nr_pages = UNIT + 512 + 20, .first = UNIT + 100,
	  .nr = 64, .mid_page = true, .large = true },
};

#define NR_SMALL	3
#define LARGE		(&layouts[3])
#define VICTIMS		(&layouts[4])
#define INSIDE		(&layouts[5])

/* The matrix */

#define ON_WHOLE	0x1
#define ON_PART		0x2
#define ON_SPARSE	0x4
#define ON_ALL		0x7
/* For operations that free or move blocks only */
#define IF_FREES	0x10

struct shape {
	uint64_t a, b;
	unsigned int on;
};

#define P(n)		((n) * PAGE)

/* Regions begin at page 0 or 4, and end at page 8 or 12 */
static const struct shape ranges[] = {
	{ P(5), P(2), ON_ALL },				/* aligned */
	{ P(4) + 1000, P(3) - 300, ON_ALL },		/* not aligned */
	{ P(6), P(1), ON_ALL | IF_FREES },		/* a page */
	{ P(6) + 96, 200, ON_WHOLE | IF_FREES },	/* within a page */
	{ P(2), P(3), ON_PART | IF_FREES },		/* over the start */
	{ 0, P(16), ON_WHOLE | ON_SPARSE },		/* all, and more */
	{ P(6), P(2), ON_WHOLE | IF_FREES },		/* up to the end */
	{ P(11), P(2), ON_WHOLE | IF_FREES },		/* behind the end */
	{ P(7) + 500, P(4), ON_SPARSE },		/* over the end */
	{ 0, P(8) + 3000, ON_SPARSE | IF_FREES },	/* all, not aligned */
	{ P(4), 0, ON_WHOLE | IF_FREES },		/* nothing */
};

static const struct shape sizes[] = {
	{ P(5), .on = ON_ALL },
	{ P(5) + 1234, .on = ON_ALL },
	{ 0, .on = ON_WHOLE | IF_FREES },
	{ 100, .on = ON_WHOLE | IF_FREES },
	{ P(8) - 1, .on = ON_WHOLE | IF_FREES },
	{ P(8) + 100, .on = ON_WHOLE | ON_SPARSE | IF_FREES },
	{ P(20), .on = ON_ALL | IF_FREES },
};

static const struct shape two_sizes[] = {
	{ P(5), P(8), ON_ALL },
	{ P(5) + 100, P(10), ON_ALL },
	{ 0, P(8) - 10, ON_WHOLE },
};

static const struct shape nothing[] = {
	{ .on = ON_ALL },
};

/* At the edges of 2M, by operation, or of a region within */
static const struct {
	const char *op;
	uint64_t a, b;
	bool inside;
} large_shapes[] = {
	{ "punch", P(UNIT), PAGE_2M },
	{ "punch", P(UNIT), P(1) },
	{ "punch", P(UNIT + 511), P(1) },
	{ "punch", P(UNIT - 2), P(4) },
	{ "punch", P(UNIT + 509) + 100, P(5) },
	{ "truncate", P(UNIT + 300) + 50 },
	{ "truncate", P(UNIT + 512) },
	{ "collapse", P(UNIT), PAGE_2M },
	{ "collapse", P(UNIT + 508), P(8) },
	{ "insert", P(UNIT), PAGE_2M },
	{ "insert", P(UNIT + 511), P(1) },
	{ "zero", P(UNIT + 500) + 9, P(20) },
	{ "madvise_remove", P(UNIT + 100), P(3) },
	{ "write", P(UNIT + 500) + 9, P(20) },
	{ "write_direct", P(UNIT + 100), P(3) },
	{ "store", P(UNIT + 10), P(3) },
	{ "fadvise_dontneed", P(UNIT), PAGE_2M },
	{ "swap_extents" },
	{ "drop_caches_closed" },
	{ "truncate_twice", P(UNIT + 300), P(UNIT + 512) },
	{ "open_truncate" },
	{ "zero_keep_size", P(UNIT + 500) + 9, P(20) },
	{ "exchange_range", P(UNIT), PAGE_2M },
	{ "exchange_range", P(UNIT + 509), P(5) },
	{ "swap_boot" },
	{ "unlink" },
	{ "rename_over" },
	{ "punch", P(UNIT), PAGE_2M, true },
	{ "punch", P(UNIT + 10), P(4), true },
	{ "punch", P(UNIT + 90) + 100, P(20), true },
	{ "truncate", P(UNIT + 130) + 50, .inside = true },
	{ "collapse", P(UNIT), P(8), true },
	{ "insert", P(UNIT + 120), P(1), true },
	{ "exchange_range", P(UNIT + 160), P(8), true },
	{ "swap_extents", .inside = true },
};

static unsigned int nr_shapes(const struct op_type *type,
			      const struct shape **shapes)
{
	switch (type->arguments) {
	case OP_SIZE:
		*shapes = sizes;
		return ARRAY_SIZE(sizes);
	case OP_SIZES:
		*shapes = two_sizes;
		return ARRAY_SIZE(two_sizes);
	case OP_RANGE:
		*shapes = ranges;
		return ARRAY_SIZE(ranges);
	default:
		*shapes = nothing;
		return ARRAY_SIZE(nothing);
	}
}

/* What an operation did, over all its shapes and layouts */
struct sum {
	unsigned int runs;
	unsigned long left, reference, lost;
	unsigned long tmpfs_runs, tmpfs, tmpfs_dax;
	unsigned long victim_pages;
	const char *skipped;
	bool refused;
	bool unsupported;
	long result;
};

static struct sum *sums;	/* by operation and pin */
static unsigned int nr_runs;

static struct sum *sum_of(const struct op_type *type, bool write_pin)
{
	return &sums[2 * (type - op_types) + write_pin];
}

static void print_sequence(const struct sequence *sequence)
{
	char text[128];
	unsigned int i;

	printf("#   --replay '%s,%s", sequence->layout->name,
	       sequence->write_pin ? "write" : "read");
	for (i = 0; i < sequence->nr_ops; i++) {
		op_print(&sequence->ops[i], text, sizeof(text));
		printf(",%s", text);
	}
	printf("'\n");
}

static void print_outcome(const struct outcome *outcome)
{
	const char *line = outcome->text;
	int len;

	for (; *line; line += len + !!line[len]) {
		len = strcspn(line, "\n");
		printf("#   %.*s\n", len, line);
	}
}

/* Returns whether all was well */
static bool run(const struct sequence *sequence, struct outcome *outcome)
{
	nr_runs++;
	sequence_run(sequence, outcome);
	if (!outcome->failed)
		return true;
	print_sequence(sequence);
	print_outcome(outcome);
	fflush(stdout);
	return false;
}

static bool run_one(const struct sequence *sequence, struct sum *sum)
{
	static struct outcome outcome;
	bool ok = run(sequence, &outcome);

	sum->runs++;
	sum->skipped = outcome.skipped;
	sum->result = outcome.result;
	sum->left += outcome.left;
	sum->reference += outcome.lost[SIDE_REFERENCE];
	sum->lost += outcome.lost[SIDE_DAX];
	sum->refused |= outcome.refused;
	sum->victim_pages += outcome.victim_pages;
	sum->unsupported = outcome.result == -EOPNOTSUPP ||
			   outcome.result == -ENOTTY;
	if (sequence->tmpfs && !outcome.no_tmpfs && !outcome.refused) {
		sum->tmpfs_runs++;
		sum->tmpfs += outcome.lost[SIDE_TMPFS];
		sum->tmpfs_dax += outcome.lost[SIDE_DAX];
	}
	return ok;
}

static void report(bool ok, const struct op_type *type, const char *name,
		   const struct sum *sum)
{
	if (!ok)
		ksft_test_result_fail("%s: %s\n", type->name, name);
	else if (sum->skipped)
		ksft_test_result_skip("%s: %s: %s\n", type->name, name,
				      sum->skipped);
	else if (sum->unsupported && !sum->refused)
		ksft_test_result_skip("%s: %s: no such operation on %s (%s)\n",
				      type->name, name, twins_file_system(),
				      op_result(sum->result));
	else
		ksft_test_result_pass("%s: %s\n", type->name, name);
	fflush(stdout);
}

static void run_small(const struct op_type *type, unsigned int nr)
{
	const struct layout *layout = &layouts[nr];
	struct sequence sequence = { .layout = layout, .nr_ops = 1 };
	const struct shape *shapes;
	unsigned int i, n = nr_shapes(type, &shapes);
	struct sum *sum = NULL;
	bool ok = true;
	int pin;

	for (pin = 1; pin >= 0; pin--) {
		sum = sum_of(type, pin);
		for (i = 0; i < n; i++) {
			if (!(shapes[i].on & 1 << nr) ||
			    (shapes[i].on & IF_FREES &&
			     !(type->flags & OP_FREES)))
				continue;
			sequence.write_pin = pin;
			sequence.tmpfs = pin && !(type->flags & OP_LAST);
			sequence.ops[0] = (struct op) {
				type, shapes[i].a, shapes[i].b
			};
			ok &= run_one(&sequence, sum);
			/* One answer is as good as many */
			if (sum->unsupported)
				break;
		}
	}
	report(ok, type, layout->name, sum);
}

static bool has_large(const struct op_type *type)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(large_shapes); i++)
		if (!strcmp(large_shapes[i].op, type->name))
			return true;
	return false;
}

static void run_large(const struct op_type *type, bool possible)
{
	struct sequence sequence = { .nr_ops = 1 };
	const char *skipped = NULL;
	struct sum *sum = NULL;
	unsigned int i, n = 0;
	bool ok = true;
	int pin;

	if (!possible) {
		ksft_test_result_skip("%s: large: no aligned run of 2 MiB on %s\n",
				      type->name, twins_file_system());
		return;
	}
	for (i = 0; i < ARRAY_SIZE(large_shapes); i++) {
		if (strcmp(large_shapes[i].op, type->name))
			continue;
		sequence.layout = large_shapes[i].inside ? INSIDE : LARGE;
		sequence.ops[0] = (struct op) {
			type, large_shapes[i].a, large_shapes[i].b
		};
		for (pin = 1; pin >= 0; pin--) {
			/* Runs take long: both pins for the first shape only */
			if (n && pin == n % 2)
				continue;
			sequence.write_pin = pin;
			sum = sum_of(type, pin);
			ok &= run_one(&sequence, sum);
			if (sum->skipped)
				skipped = sum->skipped;
		}
		n++;
		/* One answer is as good as many */
		if (sum->unsupported)
			break;
	}
	sum->skipped = skipped;
	report(ok, type, LARGE->name, sum);
}

/* Blocks that are freed become another file's */
static void run_victim(const struct op_type *type)
{
	struct sequence sequence = {
		.layout = VICTIMS,
		.write_pin = true,
		.victim = true,
		.nr_ops = 1,
		.ops[0] = {
			type, P(16), type->arguments == OP_SIZES ? P(64) : P(32)
		},
	};
	struct sum *sum = sum_of(type, true);
	bool ok = run_one(&sequence, sum);

	report(ok, type, VICTIMS->name, sum);
}

static void print_sums(void)
{
	const char *fs = twins_file_system();
	unsigned int i;
	int pin;

	printf("# pages of all runs of an operation: what left, and what was lost\n");
	printf("# %-5s %-20s %-5s %4s %6s %6s %9s  %s\n", "fs", "operation",
	       "pin", "runs", "left", "lost", "reference", "");
	for (i = 0; i < nr_op_types; i++) {
		for (pin = 1; pin >= 0; pin--) {
			struct sum *sum = sum_of(&op_types[i], pin);

			if (!sum->runs)
				continue;
			printf("# %-5s %-20s %-5s %4u %6lu %6lu %9lu ", fs,
			       op_types[i].name, pin ? "write" : "read",
			       sum->runs, sum->left, sum->lost, sum->reference);
			if (sum->unsupported && !sum->refused)
				printf(" unsupported");
			if (sum->refused)
				printf(" refused on DAX (%s)",
				       op_result(-op_types[i].refused));
			if (sum->lost > sum->left)
				printf(" %lu replaced in place",
				       sum->lost - sum->left);
			if (sum->reference > sum->lost)
				printf(" reference loses %lu more",
				       sum->reference - sum->lost);
			if (sum->tmpfs_runs)
				printf(" (of %lu tmpfs loses %lu)",
				       sum->tmpfs_dax, sum->tmpfs);
			if (sum->victim_pages)
				printf(" victim has %lu", sum->victim_pages);
			printf("\n");
		}
	}
}

static unsigned int matrix_size(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < nr_op_types; i++)
		n += NR_SMALL + has_large(&op_types[i]) +
		     !!(op_types[i].flags & OP_FREES);
	return n;
}

static void run_matrix(void)
{
	bool large = layout_possible(LARGE);
	uint64_t start = now_ms();
	unsigned int i, n;

	for (i = 0; i < nr_op_types; i++) {
		for (n = 0; n < NR_SMALL; n++)
			run_small(&op_types[i], n);
		if (has_large(&op_types[i]))
			run_large(&op_types[i], large);
		if (op_types[i].flags & OP_FREES)
			run_victim(&op_types[i]);
	}
	print_sums();
	printf("# matrix: %u runs in %lu s\n", nr_runs,
	       (now_ms() - start) / 1000);
}

/* Random sequences */

static uint64_t random_state;

static uint64_t random_number(uint64_t below)
{
	return next_random(&random_state) % below;
}

/* Mostly of whole pages, and mostly within the file */
static void random_arguments(struct op *op, const struct layout *layout)
{
	uint64_t pages = layout->nr_pages + 2;

	op->a = P(random_number(pages));
	op->b = P(1 + random_number(5));
	if (op->type->arguments == OP_SIZES)
		op->b = P(random_number(pages + 2));
	if (random_number(3))
		return;
	op->a += random_number(PAGE);
	op->b += random_number(PAGE);
	if (op->type->arguments == OP_RANGE && !random_number(3))
		op->b %= PAGE;
}

/* @closes: no operation follows */
static const struct op_type *random_type(const bool *supported, bool closes)
{
	unsigned int i, sum = 0, n;

	for (i = 0; i < nr_op_types; i++)
		if (supported[i] && (closes || !(op_types[i].flags & OP_LAST)))
			sum += op_types[i].weight;
	n = random_number(sum);
	for (i = 0; ; i++) {
		if (!supported[i] || (!closes && op_types[i].flags & OP_LAST))
			continue;
		if (n < op_types[i].weight)
			return &op_types[i];
		n -= op_types[i].weight;
	}
}

static void random_sequence(struct sequence *sequence, const bool *supported)
{
	unsigned int i;

	memset(sequence, 0, sizeof(*sequence));
	sequence->layout = &layouts[random_number(NR_SMALL)];
	sequence->write_pin = random_number(5) < 3;
	sequence->nr_ops = 1 + random_number(MAX_SEQUENCE);
	for (i = 0; i < sequence->nr_ops; i++) {
		struct op *op = &sequence->ops[i];

		op->type = random_type(supported, i + 1 == sequence->nr_ops);
		random_arguments(op, sequence->layout);
	}
}

/* Leave out operations that the file system does not have */
static void find_supported(bool *supported)
{
	struct sequence sequence = {
		.layout = &layouts[0],
		.nr_ops = 1,
	};
	static struct outcome outcome;
	unsigned int i;

	for (i = 0; i < nr_op_types; i++) {
		supported[i] = op_types[i].weight;
		if (!supported[i] || op_types[i].flags & OP_LAST)
			continue;
		sequence.ops[0] = (struct op) { &op_types[i], P(4), P(1) };
		sequence_run(&sequence, &outcome);
		if (outcome.result == -EOPNOTSUPP || outcome.result == -ENOTTY)
			supported[i] = outcome.refused;
	}
}

/* Leave out what the failure does not need */
static void shrink(struct sequence *sequence)
{
	static struct outcome outcome;
	struct sequence shorter;
	unsigned int i = 0;

	while (i < sequence->nr_ops) {
		shorter = *sequence;
		memmove(&shorter.ops[i], &shorter.ops[i + 1],
			(shorter.nr_ops - i - 1) * sizeof(shorter.ops[0]));
		shorter.nr_ops--;
		sequence_run(&shorter, &outcome);
		if (outcome.failed) {
			*sequence = shorter;
			i = 0;
		} else {
			i++;
		}
	}
	sequence_run(sequence, &outcome);
	if (outcome.failed) {
		printf("# the shortest sequence that fails:\n");
		print_sequence(sequence);
		print_outcome(&outcome);
	} else {
		printf("# it fails not always\n");
	}
}

static void run_random(unsigned long steps, uint64_t seed)
{
	bool *supported = calloc(nr_op_types, sizeof(*supported));
	struct sequence sequence;
	static struct outcome outcome;
	unsigned long done = 0, left = 0, lost = 0, reference = 0, n;
	uint64_t start = now_ms();
	bool ok = true;

	find_supported(supported);
	for (n = 0; done < steps; n++) {
		/* A sequence follows from the seed and its number */
		random_state = seed + n * 0x2545f4914f6cdd1d;
		random_sequence(&sequence, supported);
		ok = run(&sequence, &outcome);
		done += sequence.nr_ops;
		left += outcome.left;
		lost += outcome.lost[SIDE_DAX];
		reference += outcome.lost[SIDE_REFERENCE];
		if (!ok) {
			printf("# seed %lu, sequence %lu, after %lu operations\n",
			       seed, n, done);
			shrink(&sequence);
			break;
		}
	}
	printf("# random: %lu operations in %lu sequences, seed %lu, %lu s\n",
	       done, n + !ok, seed, (now_ms() - start) / 1000);
	printf("# of the pages, %lu left, %lu lost, reference lost %lu\n",
	       left, lost, reference);
	ksft_test_result(ok, "random: %lu operations on %s, seed %lu\n", done,
			 twins_file_system(), seed);
	free(supported);
}

/* As print_sequence() prints it; false if it is not one */
static bool parse_sequence(char *text, struct sequence *sequence)
{
	char *save, *word = strtok_r(text, ",", &save), *end;
	struct op *op;
	unsigned int i;

	for (i = 0; word && i < ARRAY_SIZE(layouts); i++)
		if (!strcmp(layouts[i].name, word))
			sequence->layout = &layouts[i];
	word = strtok_r(NULL, ",", &save);
	if (!sequence->layout || !word)
		return false;
	sequence->write_pin = !strcmp(word, "write");
	while ((word = strtok_r(NULL, ",", &save))) {
		if (sequence->nr_ops == MAX_OPS)
			return false;
		op = &sequence->ops[sequence->nr_ops++];
		end = strchrnul(word, ':');
		if (*end) {
			*end++ = 0;
			op->a = strtoull(end, &end, 0);
			if (*end == ':')
				op->b = strtoull(end + 1, NULL, 0);
		}
		op->type = op_find(word);
		if (!op->type)
			return false;
	}
	return sequence->nr_ops;
}

static void replay(struct sequence *sequence)
{
	static struct outcome outcome;
	bool ok = run(sequence, &outcome);

	printf("# result %s, left %lu, lost %lu, reference lost %lu\n",
	       op_result(outcome.result), outcome.left, outcome.lost[SIDE_DAX],
	       outcome.lost[SIDE_REFERENCE]);
	ksft_test_result(ok, "replay\n");
}

static void usage(FILE *to)
{
	fprintf(to,
		"Usage: equivalence [--matrix] [--random STEPS] [--seed SEED] [--replay SEQUENCE]\n"
		"\n"
		"  --matrix           each operation on each kind of file and shape of range\n"
		"  --random STEPS     sequences of random operations, so many in all\n"
		"  --seed SEED        of the random sequences\n"
		"  --replay SEQUENCE  one that was printed\n"
		"\n"
		"Without any of them: the matrix, and a few random sequences.\n"
		"\n"
		"From the environment (equivalence.sh sets it):\n"
		"  DAX_RETARGET_DIR        folder on a file system mounted with DAX (/mnt)\n"
		"  DAX_RETARGET_REFERENCE  folder on one of the same type without DAX\n"
		"  DAX_RETARGET_TMPFS      folder on tmpfs\n"
		"  DAX_RETARGET_STEPS, DAX_RETARGET_SEED   as --random and --seed (%u, %u)\n",
		DEFAULT_STEPS, DEFAULT_SEED);
}

static uint64_t number(const char *text, uint64_t otherwise)
{
	return text ? strtoull(text, NULL, 0) : otherwise;
}

int main(int argc, char *argv[])
{
	unsigned long steps = number(getenv("DAX_RETARGET_STEPS"),
				     DEFAULT_STEPS);
	uint64_t seed = number(getenv("DAX_RETARGET_SEED"), DEFAULT_SEED);
	bool matrix = false, random = false, same;
	struct sequence sequence = {};
	const char *missing;
	int i;

	for (i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(argv[i], "--help")) {
			usage(stdout);
			return 0;
		} else if (!strcmp(argv[i], "--matrix")) {
			matrix = true;
			continue;
		} else if (value && !strcmp(argv[i], "--random")) {
			random = true;
			steps = number(value, 0);
		} else if (value && !strcmp(argv[i], "--seed")) {
			seed = number(value, 0);
		} else if (!value || strcmp(argv[i], "--replay") ||
			   !parse_sequence(argv[i + 1], &sequence)) {
			usage(stderr);
			return KSFT_FAIL;
		}
		i++;
	}
	if (!matrix && !random && !sequence.nr_ops) {
		matrix = true;
		random = true;
	}

	ksft_print_header();
	missing = twins_open();
	if (missing)
		ksft_exit_skip("%s\n", missing);
	sums = calloc(2 * nr_op_types, sizeof(*sums));
	ksft_set_plan((matrix ? matrix_size() : 0) + random +
		      !!sequence.nr_ops + 1);
	if (matrix)
		run_matrix();
	if (random)
		run_random(steps, seed);
	if (sequence.nr_ops)
		replay(&sequence);
	same = twins_close();
	ksft_test_result(same, "the kernel's counters are what they were\n");
	ksft_finished();
}
