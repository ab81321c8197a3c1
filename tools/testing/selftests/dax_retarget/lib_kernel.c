// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tests of DAX retarget ask the kernel for: its counters, its switches
 * that break a step, and what the IOMMU's page tables hold.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib.h"

#define DEBUGFS		"/sys/kernel/debug"
#define STATS		DEBUGFS "/dax_retarget/stats"
#define SWITCHES	DEBUGFS "/dax_retarget/"	/* of CONFIG_DAX_RETARGET_TEST */
#define DMA_DEBUG	DEBUGFS "/dma-api/"
#define VMSTAT		"/proc/vmstat"
#define TRANSLATIONS	DEBUGFS "/iommu/intel"

void die(const char *fmt, ...)
{
	int error = errno;
	va_list args;

	va_start(args, fmt);
	printf("# ");
	vprintf(fmt, args);
	printf(" (errno %d: %s)\n", error, strerror(error));
	va_end(args);
	exit(KSFT_FAIL);
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

/* An emulated machine takes its time; no test waits longer for anything */
uint64_t patience_ms(void)
{
	const char *ms = getenv("DAX_RETARGET_PATIENCE");

	return ms ? strtoul(ms, NULL, 10) : 60000;
}

void sleep_ms(unsigned int ms)
{
	usleep(ms * 1000UL);
}

bool stats_exist(void)
{
	return !access(STATS, R_OK);
}

/* The number behind a name in a file of such lines, or -1 */
static long named_number(const char *path, const char *name)
{
	long value = -1, v;
	char n[64];
	FILE *f;

	f = fopen(path, "r");
	if (!f)
		return -1;
	while (fscanf(f, "%63s %ld", n, &v) == 2)
		if (!strcmp(n, name))
			value = v;
	fclose(f);
	return value;
}

long stat_read(const char *name)
{
	return named_number(STATS, name);
}

const char *const leak_names[NR_LEAKS] = {
	[LEAK_PAGE_PINS]	= "pins of pages",
	[LEAK_IOMMU_PAGES]	= "pages of the IOMMU",
	[LEAK_DMA_MAPPINGS]	= "DMA mappings",
};

static long number(const char *path)
{
	long value = 0;
	FILE *f;

	f = fopen(path, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%ld", &value) != 1)
		die("no number in %s", path);
	fclose(f);
	return value;
}

void leaks_read(struct leaks *leaks)
{
	/* Each CPU counts for itself, and adds up now and then */
	named_number("/proc/sys/vm/stat_refresh", "");
	leaks->nr[LEAK_PAGE_PINS] = named_number(VMSTAT, "nr_foll_pin_acquired") -
				    named_number(VMSTAT, "nr_foll_pin_released");
	leaks->nr[LEAK_IOMMU_PAGES] = named_number(VMSTAT, "nr_iommu_pages");
	leaks->nr[LEAK_DMA_MAPPINGS] = number(DMA_DEBUG "nr_total_entries") -
				       number(DMA_DEBUG "num_free_entries");
}

void stats_read(struct stats *stats)
{
	stats->pins = stat_read("pins");
	stats->files = stat_read("files");
	stats->pages_pinned = stat_read("pages_pinned");
	stats->scratch_pages = stat_read("scratch_pages");
	stats->table_pages = stat_read("table_pages");
}

/* A dead process may still be on its way out */
bool stats_wait(const struct stats *before, struct stats *now)
{
	uint64_t end = now_ms() + 5000;

	do {
		stats_read(now);
		if (!memcmp(before, now, sizeof(*now)))
			return true;
		sleep_ms(20);
	} while (now_ms() < end);
	return false;
}

/* NULL, or why the kernel has no switches */
const char *switches_missing(void)
{
	return access(SWITCHES "break", X_OK) ?
	       "no test switches (CONFIG_DAX_RETARGET_TEST)" : NULL;
}

void switch_write(const char *name, unsigned int value)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), SWITCHES "%s", name);
	f = fopen(path, "w");
	if (!f || fprintf(f, "%u", value) < 0 || fclose(f))
		die("cannot write %s", path);
}

unsigned int switch_read(const char *name)
{
	unsigned int value;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), SWITCHES "%s", name);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%i", (int *)&value) != 1)
		die("cannot read %s", path);
	fclose(f);
	return value;
}

bool switch_exists(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), SWITCHES "%s", name);
	return !access(path, W_OK);
}

/* Write 0 to all switches of a folder */
void switches_reset(const char *folder)
{
	struct dirent *entry;
	char name[320];
	DIR *dir;

	snprintf(name, sizeof(name), SWITCHES "%s", folder);
	dir = opendir(name);
	if (!dir)
		die("cannot open %s", name);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", folder, entry->d_name);
		switch_write(name, 0);
	}
	closedir(dir);
}

bool translations_visible(void)
{
	return !access(TRANSLATIONS, X_OK);
}

/* NULL, or why translation_leads_to() is of no use */
const char *translations_missing(void)
{
	return translations_visible() ? NULL :
	       "cannot see the IOMMU's tables (root, CONFIG_INTEL_IOMMU_DEBUGFS)";
}

/*
 * A line is the page number of an IOVA and, behind a bar, the entries on the
 * way to its page, the leaf last. The number of entries tells the size of the
 * leaf.
 */
static bool line_leads_to(const char *line, uint64_t phys, size_t len,
			  struct translation *found)
{
	uint64_t pfn, entry, leaf = 0, size, begin;
	const char *bar = strchr(line, '|');
	int levels = 0;
	char *end;

	if (!bar || sscanf(line, "0x%lx", &pfn) != 1)
		return false;
	for (bar++; ; bar = end) {
		entry = strtoull(bar, &end, 16);
		if (end == bar)
			break;
		leaf = entry;
		levels++;
	}
	if (levels < 3 || levels > 5)
		return false;
	size = PAGE << (9 * (5 - levels));
	begin = leaf & 0x000ffffffffff000ULL & ~(size - 1);
	found->iova = pfn * PAGE;
	found->writable = leaf & 2;
	return begin < phys + len && phys < begin + size;
}

/* Does any entry of any IOMMU lead to a range of physical memory? */
bool translation_leads_to(uint64_t phys, size_t len,
			  struct translation *translation)
{
	char path[512], line[512];
	struct dirent *entry;
	bool found = false;
	DIR *dir;
	FILE *f;

	dir = opendir(TRANSLATIONS);
	if (!dir)
		die("cannot open %s", TRANSLATIONS);
	while (!found && (entry = readdir(dir))) {
		snprintf(path, sizeof(path),
			 TRANSLATIONS "/%s/domain_translation_struct",
			 entry->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		while (!found && fgets(line, sizeof(line), f))
			found = line_leads_to(line, phys, len,
					      translation);
		fclose(f);
	}
	closedir(dir);
	return found;
}

/* Is @word one of the words, separated by blanks, of a file? */
bool word_in_file(const char *path, const char *word)
{
	char buf[4096], *save, *w;
	ssize_t len;
	int fd;

	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	len = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (len < 0)
		return false;
	buf[len] = 0;
	for (w = strtok_r(buf, " \t\n", &save); w;
	     w = strtok_r(NULL, " \t\n", &save))
		if (!strcmp(w, word))
			return true;
	return false;
}

/* Give this process a capability, or take it away */
void capability_set(unsigned int capability, bool on)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		die("cannot get capabilities");
	if (on)
		data[0].effective |= 1 << capability;
	else
		data[0].effective &= ~(1 << capability);
	if (syscall(SYS_capset, &header, data))
		die("cannot set capabilities");
}

/* Bytes that count against the process's limit of locked memory, for VFIO */
unsigned long locked_memory(void)
{
	unsigned long kilobytes = 0;
	char line[128];
	FILE *file = fopen("/proc/self/status", "r");

	if (!file)
		die("cannot read /proc/self/status");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "VmLck: %lu kB", &kilobytes) == 1)
			break;
	fclose(file);
	return kilobytes * 1024;
}
