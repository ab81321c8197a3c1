// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget: numbers, names and tables for people
 *
 * Users choose the names of files and processes: such a name must not control
 * the terminal, and must not look like a line of its own.
 */

#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "../../include/linux/dax_retarget_refusals.h"
#include "dax_retarget.h"
#include "enum_names.h"

/* A copy in which bytes other than printable ASCII and UTF-8 are \ooo */
char *printable(const char *s)
{
	char *copy = xrealloc(NULL, strlen(s) + 1, 4), *to = copy;
	unsigned char c;

	while ((c = *s++)) {
		/* 0x80 to 0x9f are controls in terminals without UTF-8 only */
		if (c < 0x20 || c == 0x7f || c == '\\')
			to += sprintf(to, "\\%03o", c);
		else if (c == 0xc2 && (unsigned char)*s >= 0x80 &&
			 (unsigned char)*s < 0xa0)	/* C1 in UTF-8 */
			to += sprintf(to, "\\%03o", c);
		else
			*to++ = c;
	}
	*to = '\0';
	return copy;
}

char *human_size(uint64_t bytes, bool exact)
{
	static const char units[] = "BKMGTPE";
	double size = bytes;
	int unit = 0;

	if (exact)
		return xasprintf("%" PRIu64, bytes);
	while (size >= 1024) {
		size /= 1024;
		unit++;
	}
	if (!unit)
		return xasprintf("%" PRIu64, bytes);
	/* 99.96 would become 100.0 */
	if (size < 9.995 && (bytes & ((1ULL << (10 * unit)) - 1)))
		return xasprintf("%.1f%c", size, units[unit]);
	return xasprintf("%.0f%c", size, units[unit]);
}

char *human_duration(uint64_t nanoseconds)
{
	uint64_t s = nanoseconds / 1000000000;

	if (s < 60)
		return xasprintf("%" PRIu64 "s", s);
	if (s < 3600)
		return xasprintf("%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	if (s < 86400)
		return xasprintf("%" PRIu64 "h%02" PRIu64 "m", s / 3600,
				 s / 60 % 60);
	return xasprintf("%" PRIu64 "d%02" PRIu64 "h", s / 86400,
			 s / 3600 % 24);
}

char *user_name(uint32_t uid)
{
	static struct {
		bool known;
		uint32_t uid;
		char name[64];
	} last;
	struct passwd *passwd;

	/* A list is long and has few users */
	if (!last.known || last.uid != uid) {
		passwd = getpwuid(uid);
		if (passwd)
			snprintf(last.name, sizeof(last.name), "%s",
				 passwd->pw_name);
		else
			snprintf(last.name, sizeof(last.name), "%" PRIu32, uid);
		last.uid = uid;
		last.known = true;
	}
	return xstrdup(last.name);
}

/* The file as a user knows it, or what there is to know */
char *place_text(const struct place *place)
{
	char *path = place_path(place), *text;

	if (path) {
		text = printable(path);
		free(path);
		return text;
	}
	return xasprintf("dev %u:%u inode %" PRIu64 "%s", place->major,
			 place->minor, place->inode,
			 place->gone ? " (gone)" : "");
}

char *range_text(const struct place *place, bool exact)
{
	char *offset = human_size(place->offset, exact);
	char *length = human_size(place->length, exact);
	char *text = xasprintf("%s+%s", offset, length);

	free(offset);
	free(length);
	return text;
}

static const char *name_of(const char *const *names, size_t nr, uint32_t value)
{
	return value < nr ? names[value] : "unknown";
}

const char *access_name(uint32_t access)
{
	return name_of(access_names, ARRAY_SIZE(access_names), access);
}

const char *state_name(uint32_t state)
{
	return name_of(state_names, ARRAY_SIZE(state_names), state);
}

const char *reason_name(uint32_t reason)
{
	return name_of(reason_names, ARRAY_SIZE(reason_names), reason);
}

const char *refusal_name(uint32_t refusal)
{
	return name_of(refusal_names, ARRAY_SIZE(refusal_names), refusal);
}

const char *refusal_words(uint32_t refusal)
{
	static const struct {
		uint32_t refusal;
		const char *words;
	} table[] = { DAX_RETARGET_REFUSALS };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].refusal == refusal)
			return table[i].words;
	return "a reason that this command does not know";
}

/**
 * struct table - cells that become aligned columns
 * @columns: number of columns
 * @heading: of each; numbers have theirs begin with '>' and stand to the right
 * @cell: row by row, owned by the table
 * @nr: number of cells
 * @max: room for cells
 */
struct table {
	unsigned int columns;
	const char *heading[24];
	char **cell;
	size_t nr;
	size_t max;
};

struct table *table_new(unsigned int columns, ...)
{
	struct table *table = xrealloc(NULL, 1, sizeof(*table));
	unsigned int i, n = 0;
	va_list args;

	memset(table, 0, sizeof(*table));
	va_start(args, columns);
	for (i = 0; i < columns; i++) {
		table->heading[n] = va_arg(args, const char *);
		n += !!table->heading[n];
	}
	va_end(args);
	table->columns = n;
	return table;
}

void table_add(struct table *table, char *cell)
{
	table->cell = make_room(table->cell, table->nr, &table->max,
				sizeof(*table->cell));
	table->cell[table->nr++] = cell;
}

static void print_row(const struct table *table, const size_t *width,
		      const char *const *cell)
{
	bool right;
	unsigned int i;

	for (i = 0; i < table->columns; i++) {
		right = table->heading[i][0] == '>';
		if (i == table->columns - 1 && !right)
			printf("%s", cell[i]);
		else
			printf(right ? "%*s" : "%-*s", (int)width[i], cell[i]);
		if (i < table->columns - 1)
			printf("  ");
	}
	putchar('\n');
}

/* Print and free it. @max_rows: 0 for all */
void table_print(struct table *table, unsigned int max_rows)
{
	size_t width[ARRAY_SIZE(table->heading)], i, len;
	const char *heading[ARRAY_SIZE(table->heading)];
	size_t nr = table->nr;

	if (max_rows && nr > (size_t)max_rows * table->columns)
		nr = (size_t)max_rows * table->columns;
	for (i = 0; i < table->columns; i++) {
		heading[i] = table->heading[i] + (table->heading[i][0] == '>');
		width[i] = strlen(heading[i]);
	}
	for (i = 0; i < nr; i++) {
		len = strlen(table->cell[i]);
		if (width[i % table->columns] < len)
			width[i % table->columns] = len;
	}
	print_row(table, width, heading);
	for (i = 0; i < nr; i += table->columns)
		print_row(table, width, (const char *const *)&table->cell[i]);
	for (i = 0; i < table->nr; i++)
		free(table->cell[i]);
	free(table->cell);
	free(table);
}
