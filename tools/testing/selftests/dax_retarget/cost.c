// SPDX-License-Identifier: GPL-2.0-only
/*
 * What DAX retarget costs, in instructions of the CPU.
 *
 * The program prints a line for each measurement, and compares nothing:
 *
 *   cost NAME entry=4k|2m cache=cached|eadr size=BYTES VALUE UNIT
 *
 * The time stamp counter is what counts. In a guest of 'qemu -accel tcg -icount
 * shift=0' the counter is the number of instructions that the guest has executed,
 * and a run repeats. On other machines the program works, and the numbers are
 * those of a clock.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "cost.h"
#include "lib_writeback.h"

#define MAX_SIZES	16

struct cost_options options = {
	.pins = true,
	.times = 3,
	.files = 1000,
	.regions = 61440,
};

struct nic *nic;

/* How often a group is measured */
enum per {
	PER_SIZE,	/* and kind of entry, and cache */
	PER_ENTRY,	/* and cache, with the first size */
	ONCE,		/* with the first of each */
};

static const struct group {
	const char *name;
	void (*measure)(void);
	enum per per;
	const char *what;
} groups[] = {
	{ "blocks", cost_blocks, PER_SIZE,
	  "truncate, punch and unlink, with pins and without" },
	{ "regions", cost_regions, PER_ENTRY,
	  "truncate of a file with several regions" },
	{ "mappings", cost_mappings, PER_ENTRY,
	  "truncate of a file with a region that is mapped several times" },
	{ "page", cost_page, PER_ENTRY, "punch of one page" },
	{ "sync", cost_sync, PER_SIZE, "fsync where nothing was written" },
	{ "register", cost_register, PER_SIZE,
	  "registration of fsdax and device-dax, and its end" },
	{ "shmem", cost_shmem, PER_SIZE, "the same of memory" },
	{ "kernel_memory", cost_kernel_memory, PER_ENTRY,
	  "memory that the kernel takes for regions" },
	{ "memory", cost_memory, ONCE,
	  "registration of memory that is of no DAX file" },
	{ "path", cost_path, ONCE, "RDMA to memory" },
	{ "many", cost_many, ONCE, "a file beside many pinned ones" },
	{ "crowd", cost_crowd, PER_ENTRY, "many regions, made by many threads" },
	{ "ranges", cost_ranges, ONCE, "a region of one page many times" },
	{ "beside", cost_beside, ONCE,
	  "truncate while a region of other memory is made" },
	{ "readers", cost_readers, ONCE,
	  "truncate while programs read the list of pins" },
};

uint64_t instructions(void)
{
	return __rdtsc();
}

/*
 * Instructions of all tasks that exist but this process. The clock of a process is
 * known by its number, see clock_getcpuclockid().
 */
uint64_t task_time(void)
{
	struct timespec t;
	struct dirent *entry;
	uint64_t sum = 0;
	clockid_t clock;
	pid_t pid;
	DIR *dir;

	dir = opendir("/proc");
	if (!dir)
		die("no /proc");
	while ((entry = readdir(dir))) {
		pid = atoi(entry->d_name);
		if (pid > 0 && pid != getpid() &&
		    !clock_getcpuclockid(pid, &clock) &&
		    !clock_gettime(clock, &t))
			sum += t.tv_sec * 1000000000ULL + t.tv_nsec;
	}
	closedir(dir);
	return sum;
}

uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void report(const char *name, uint64_t value, const char *unit)
{
	printf("cost %s entry=%s cache=%s size=%zu %lu %s\n", name,
	       options.large ? "2m" : "4k", options.cached ? "cached" : "eadr",
	       options.size, (unsigned long)value, unit);
	fflush(stdout);
}

void progress(const char *what)
{
	printf("# %s, entries of %s, %s, %zu MiB\n", what,
	       options.large ? "2 MiB" : "4 KiB",
	       options.cached ? "cached" : "eADR", options.size >> 20);
	fflush(stdout);
}

/* Have the process map memory, as the registration of it does */
void populate(void *map, size_t len)
{
	if (madvise(map, len, MADV_POPULATE_WRITE))
		die("cannot have memory mapped");
}

static void write_blocks(int fd, uint64_t pos, size_t len)
{
	static char buf[1 << 20];
	size_t n;

	for (; len; len -= n, pos += n) {
		n = len < sizeof(buf) ? len : sizeof(buf);
		if (pwrite(fd, buf, n, pos) != (ssize_t)n)
			die("cannot write at %lu", (unsigned long)pos);
	}
}

/**
 * subject_open - make the file that is measured
 * @subject: gets it
 * @name: of the file
 * @len: of all its blocks
 *
 * A run of blocks that begins a page behind the start of a large page is one that
 * neither the CPU nor the IOMMU can map by large pages.
 */
void subject_open(struct subject *subject, const char *name, size_t len)
{
	size_t skew = options.large ? 0 : PAGE;

	folder_sync();
	subject->name = name;
	subject->len = len;
	subject->fd = file_create_run(name, skew + len, PAGE_2M, &subject->pos);
	if (subject->fd < 0)
		die("the file system has no run of %zu MiB", len >> 20);
	subject->pos += skew;
	if (subject->pos &&
	    fallocate(subject->fd, PUNCH_HOLE, 0, subject->pos))
		die("cannot punch");
	if (ftruncate(subject->fd, subject->pos + len))
		die("cannot truncate");
	write_blocks(subject->fd, subject->pos, len);
	if (fsync(subject->fd))
		die("cannot sync");
	subject->map = file_map_aligned(subject->fd, subject->pos, len,
					PAGE_2M);
	populate(subject->map, len);
}

void subject_unmap(struct subject *subject)
{
	if (subject->map)
		munmap(subject->map, subject->len);
	subject->map = NULL;
}

void subject_close(struct subject *subject)
{
	subject_unmap(subject);
	if (subject->fd < 0)
		return;
	close(subject->fd);
	file_unlink(subject->name);
	folder_end_deletes();
}

struct ibv_mr *subject_register(struct subject *subject)
{
	struct ibv_mr *mr = nic_register(nic, subject->map, subject->len);

	if (!mr)
		die("cannot register %s", subject->name);
	return mr;
}

/* Memory that is of no DAX file: a file on tmpfs */
void *memory_map(size_t len, int *fd)
{
	void *map;

	*fd = memfd_create("memory", 0);
	if (*fd < 0 || ftruncate(*fd, len))
		die("no memory");
	map = file_map_aligned(*fd, 0, len, PAGE_2M);
	populate(map, len);
	return map;
}

/*
 * The same, of pages that are neighbours in memory and are mapped each by itself:
 * large pages, at an address where the CPU cannot map them as such. Otherwise what
 * was freed before decides which pages are neighbours, and so what they cost.
 */
void *memory_map_contiguous(size_t len, int *fd)
{
	char *hole, *map;

	write_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled",
		   "force");
	*fd = memfd_create("memory", 0);
	if (*fd < 0 || ftruncate(*fd, len))
		die("no memory");
	map = file_map_aligned(*fd, 0, len, PAGE_2M);
	populate(map, len);
	munmap(map, len);
	write_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled",
		   "never");

	hole = file_map_aligned(*fd, 0, len + PAGE_2M, PAGE_2M);
	map = hole + PAGE;
	if (mmap(map, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, *fd,
		 0) == MAP_FAILED)
		die("cannot map memory");
	munmap(hole, PAGE);
	munmap(map + len, PAGE_2M - PAGE);
	populate(map, len);
	return map;
}

static void set_write_cache(bool cached)
{
	int dir = folder_open();

	options.cached = cached;
	if (write_cache_get(dir) < 0)
		die("the file system is not on an NVDIMM of its own");
	write_cache_set(dir, cached);
	close(dir);
}

static const struct group *find_group(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(groups); i++)
		if (!strcmp(groups[i].name, name))
			return &groups[i];
	fprintf(stderr, "cost: no group %s; --help lists them\n", name);
	exit(2);
}

static void measure(const struct group *group, const size_t *sizes,
		    unsigned int nr_sizes, const char *entries,
		    const char *caches)
{
	const char *entry, *cache;
	unsigned int i;

	for (entry = entries; *entry; entry++) {
		for (cache = caches; *cache; cache++) {
			set_write_cache(*cache == 'c');
			for (i = 0; i < nr_sizes; i++) {
				options.large = *entry == '2';
				options.size = sizes[i];
				progress(group->name);
				group->measure();
				if (group->per != PER_SIZE)
					break;
			}
			if (group->per == ONCE)
				return;
		}
	}
}

static void usage(FILE *f)
{
	unsigned int i;

	fprintf(f, "Usage: cost [option...] GROUP...\n\n"
		"  -s BYTES  size of what is measured; repeated: several (64 MiB)\n"
		"  -e KINDS  4 and 2: entries of 4 KiB, of 2 MiB (42)\n"
		"  -c KINDS  c and e: CPU caches are written back, or not (ce)\n"
		"  -n TIMES  of which the least counts (3)\n"
		"  -f FILES  of the group \"many\" (1000)\n"
		"  -r NUMBER of regions, of the group \"crowd\" (61440)\n"
		"  -o DIR    a folder on a file system without pins\n"
		"  -4 DEVICE device-dax, of 4 KiB pages\n"
		"  -2 DEVICE device-dax, of 2 MiB pages\n"
		"  -x        without pins: the kernel may refuse them\n"
		"  -h        this text\n\n"
		"DAX_RETARGET_DIR is a folder on a file system with DAX (/mnt).\n"
		"The groups:\n");
	for (i = 0; i < ARRAY_SIZE(groups); i++)
		fprintf(f, "  %-14s  %s\n", groups[i].name, groups[i].what);
}

int main(int argc, char **argv)
{
	const char *entries = "42", *caches = "ce";
	size_t sizes[MAX_SIZES] = { 64 << 20 };
	unsigned int nr_sizes = 0;
	int option;

	while ((option = getopt(argc, argv, "s:e:c:n:f:r:o:4:2:xh")) != -1) {
		switch (option) {
		case 's':
			if (nr_sizes == MAX_SIZES)
				die("too many sizes");
			sizes[nr_sizes++] = strtoul(optarg, NULL, 0);
			break;
		case 'e':
			entries = optarg;
			break;
		case 'c':
			caches = optarg;
			break;
		case 'n':
			options.times = atoi(optarg);
			break;
		case 'f':
			options.files = atoi(optarg);
			break;
		case 'r':
			options.regions = atoi(optarg);
			break;
		case 'o':
			options.other = optarg;
			break;
		case '4':
			options.devdax[0] = optarg;
			break;
		case '2':
			options.devdax[1] = optarg;
			break;
		case 'x':
			options.pins = false;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind == argc) {
		usage(stderr);
		return 2;
	}
	if (!options.times || (nr_sizes && !sizes[0]))
		die("nothing to measure");

	folder_reset();
	if (nic_exists(0))
		nic = nic_open(0);
	else if (options.pins)
		die("no device (set DAX_RETARGET_DEV)");
	for (; optind < argc; optind++)
		measure(find_group(argv[optind]), sizes, nr_sizes ?: 1,
			entries, caches);
	/* Pins of the group "many" end with the process */
	set_write_cache(true);
	return 0;
}
