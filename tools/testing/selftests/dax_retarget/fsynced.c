// SPDX-License-Identifier: GPL-2.0-only
/*
 * Work for a machine whose power is cut, and the check of what it left behind.
 *
 *   fsynced work BOOT SEED    never returns; promises on stdout
 *   fsynced check PROMISES    are they kept?
 *
 * Several processes have files registered, and a device writes to all of them:
 *
 *   recorder   appends to a file, which grows page by page under new regions
 *   shaper     punches, truncates, extends or deletes each file under its
 *              region, and gives it its name by a rename
 *   wrecker    does to a file whatever moves or frees blocks, while the device
 *              writes; keeps deleted files registered
 *
 * The first two sync what they did and then promise it, a line each, to another
 * machine: it reads the output, and keeps its power. Files have numbers that
 * are never used again, which are their names as well:
 *
 *   record FILE PAGE          the device's record is in this page
 *   file FILE PAGES           this is the file: D is a page with the device's
 *                             record, 0 one of zeros
 *   gone FILE                 no such file any more
 *
 * Promised data is not touched again. But blocks change hands all the time.
 * Data that a device wrote to one file and that is in another is an error, too:
 * the device has reached blocks that left its file, or the file system gave
 * them away too early.
 *
 * With DAX_RETARGET_NO_SYNC set, work promises without having synced.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib.h"
#include "lib_ops.h"

#define MAX_FILE	(16UL << 20)	/* bytes, more than any file here has */

#define RECORDS		48UL		/* pages of a recorder's file */
#define MAX_WINDOW	4UL		/* pages of its regions, at most */
#define MAX_SHAPED	16UL		/* pages of a shaper's file, at most */
#define WRECKED		32UL		/* pages of a wrecker's file */
#define KEPT		4U		/* regions that outlive their work */

/* A process that works */
struct worker {
	unsigned int boot, index;
	unsigned int seed;
	unsigned int nr_files;
	struct nic *nic;
	struct conn *conn;
	int dir;
	struct region kept[KEPT];
	unsigned int nr_kept;
};

static bool no_sync;

/* Never the same twice, so that data of an earlier boot has a name too */
static uint64_t next_file(struct worker *worker)
{
	if (worker->nr_files == 0xffff)
		die("no more numbers");
	return (uint64_t)worker->boot << 20 | worker->index << 16 |
	       ++worker->nr_files;
}

static unsigned long random_below(struct worker *worker, unsigned long n)
{
	return rand_r(&worker->seed) % n;
}

/* fill() names the position; let it name the file too */
static uint64_t record_at(uint64_t file, uint64_t pos)
{
	return file * MAX_FILE + pos;
}

static uint64_t file_of(const uint64_t *word)
{
	return (*word << 8 >> 8) * 8 / MAX_FILE;
}

static int try_record(struct conn *conn, struct ibv_mr *mr, uint64_t pos,
		      uint64_t file, uint64_t file_pos)
{
	uint64_t record[PROBE / 8];

	fill(record, PROBE, DEVICE, record_at(file, file_pos));
	return conn_write(conn, mr, pos, record, PROBE);
}

/* Have the device write to a page of a region that begins at @start */
static void write_record(struct worker *worker, struct region *region,
			 uint64_t file, uint64_t start, unsigned long page)
{
	int error = try_record(worker->conn, region->mr, page * PAGE, file,
			       start + page * PAGE);

	if (error)
		die("the device cannot write: %s", conn_error(error));
}

static void write_records(struct worker *worker, struct region *region,
			  uint64_t file)
{
	unsigned long i;

	for (i = 0; i < region->len / PAGE; i++)
		write_record(worker, region, file, 0, i);
}

static void open_region(struct worker *worker, struct region *region, int fd,
			uint64_t pos, unsigned long nr_pages)
{
	region->fd = fd;
	region->len = nr_pages * PAGE;
	region->map = file_map(fd, pos, region->len);
	region->mr = nic_register(worker->nic, region->map, region->len);
	if (!region->mr)
		die("cannot register");
}

/* At the cut, files are registered that no process works on */
static void keep_region(struct worker *worker, const struct region *region)
{
	struct region *slot = &worker->kept[worker->nr_kept++ % KEPT];

	if (slot->mr)
		region_close(slot);
	*slot = *region;
}

/* Each of the ways in which a file can be synced */
static void sync_pages(struct worker *worker, int fd, void *map, size_t len)
{
	int ret;

	if (no_sync)
		return;
	switch (random_below(worker, 8)) {
	case 0:
		ret = syncfs(fd);
		break;
	case 1:
	case 2:
		ret = msync(map, len, MS_SYNC);
		break;
	case 3:
	case 4:
		ret = fdatasync(fd);
		break;
	default:
		ret = fsync(fd);
	}
	if (ret)
		die("cannot sync");
}

static void sync_fd(int fd)
{
	if (!no_sync && fsync(fd))
		die("cannot sync");
}

static int create_file(struct worker *worker, const char *name)
{
	int fd = openat(worker->dir, name, O_RDWR | O_CREAT | O_EXCL, 0600);

	if (fd < 0)
		die("cannot create %s", name);
	return fd;
}

/* Size, and with it either blocks or a hole that registration has to fill */
static void give_size(struct worker *worker, int fd, size_t size)
{
	int error = random_below(worker, 2) ? posix_fallocate(fd, 0, size) : 0;

	if (error || ftruncate(fd, size))
		die("cannot make a file %zu bytes long", size);
}

static void record_file(struct worker *worker)
{
	uint64_t file = next_file(worker);
	unsigned long page = 0, nr, i;
	struct region region = {};
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "%lx", file);
	fd = create_file(worker, name);
	sync_fd(worker->dir);
	for (; page < RECORDS; page += nr) {
		nr = 1 + random_below(worker, MAX_WINDOW);
		give_size(worker, fd, (page + nr) * PAGE);
		open_region(worker, &region, dup(fd), page * PAGE, nr);
		for (i = 0; i < nr; i++) {
			write_record(worker, &region, file, page * PAGE, i);
			sync_pages(worker, fd, region.map + i * PAGE, PAGE);
			printf("record %lx %lu\n", file, page + i);
		}
		keep_region(worker, &region);
	}
	close(fd);
}

static void free_range(struct worker *worker, int fd, uint64_t pos, size_t len)
{
	int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int mode = random_below(worker, 2) ? punch : FALLOC_FL_ZERO_RANGE;

	if (fallocate(fd, mode, pos, len))
		die("cannot free a range");
}

/* @pages describes the file, before and after */
static void shape_file(struct worker *worker, int fd, char *pages)
{
	unsigned long nr_pages = strlen(pages);
	unsigned long first = random_below(worker, nr_pages);
	unsigned long end = first + 1 + random_below(worker, nr_pages - first);

	switch (random_below(worker, 4)) {
	case 0:
		if (ftruncate(fd, first * PAGE))
			die("cannot truncate");
		pages[first] = 0;
		break;
	case 1:
		/* A page that comes back is one of zeros */
		if (ftruncate(fd, first * PAGE) || ftruncate(fd, end * PAGE))
			die("cannot truncate");
		memset(pages + first, '0', end - first);
		pages[end] = 0;
		break;
	case 2:
		free_range(worker, fd, first * PAGE, (end - first) * PAGE);
		memset(pages + first, '0', end - first);
		break;
	}
}

static void new_file(struct worker *worker)
{
	unsigned long nr_pages = 1 + random_below(worker, MAX_SHAPED);
	uint64_t file = next_file(worker);
	char name[32], before[40], pages[MAX_SHAPED + 1] = {};
	struct region region = {};
	int fd;

	snprintf(name, sizeof(name), "%lx", file);
	snprintf(before, sizeof(before), "%s.new", name);
	fd = create_file(worker, before);
	give_size(worker, fd, nr_pages * PAGE);
	open_region(worker, &region, fd, 0, nr_pages);
	write_records(worker, &region, file);
	memset(pages, 'D', nr_pages);
	shape_file(worker, fd, pages);
	/* Data that it writes to pages that are gone does not come back */
	write_records(worker, &region, file);

	sync_fd(fd);
	if (renameat(worker->dir, before, worker->dir, name))
		die("cannot rename");
	sync_fd(worker->dir);
	if (random_below(worker, 3)) {
		printf("file %s %s\n", name, pages);
	} else {
		if (unlinkat(worker->dir, name, 0))
			die("cannot unlink");
		sync_fd(worker->dir);
		printf("gone %s\n", name);
	}
	keep_region(worker, &region);
}

/* A file that a device writes to without a pause, until its slot is needed */
struct wreck {
	struct region region;
	struct side side;
	uint64_t file;
	struct conn *conn;
	pthread_t thread;
	bool stop;
};

static void *write_on(void *arg)
{
	struct wreck *wreck = arg;
	unsigned long i = 0;
	int error;

	while (!__atomic_load_n(&wreck->stop, __ATOMIC_ACQUIRE)) {
		error = try_record(wreck->conn, wreck->region.mr, i * PAGE,
				   wreck->file, i * PAGE);
		if (error)
			die("the device cannot write: %s", conn_error(error));
		i = (i + 1) % WRECKED;
	}
	return NULL;
}

/* Those that leave all positions multiples of what find_stray() looks at */
static const char * const wrecking[] = {
	"truncate", "truncate_twice", "open_truncate", "punch", "punch",
	"punch", "collapse", "insert", "zero", "zero_keep_size", "allocate",
	"madvise_remove", "swap_extents", "exchange_range", "write",
	"write_direct", "store", "fsync", "copy_in", "copy_out", "clone_out",
	"rename", "link", "setxattr",
};

static void wreck_open(struct worker *worker, struct wreck *wreck)
{
	struct side *side = &wreck->side;
	char name[32];

	wreck->file = next_file(worker);
	snprintf(name, sizeof(name), "%lx", wreck->file);
	if (mkdirat(worker->dir, name, 0700))
		die("cannot make a folder");
	*side = (struct side) { .name = SIDE_FILE };
	side->dir = openat(worker->dir, name, O_RDONLY | O_DIRECTORY);
	if (side->dir < 0)
		die("cannot open a folder");
	side->fd = openat(side->dir, SIDE_FILE, O_RDWR | O_CREAT, 0600);
	if (side->fd < 0)
		die("cannot create a file");
	give_size(worker, side->fd, WRECKED * PAGE);
	open_region(worker, &wreck->region, dup(side->fd), 0, WRECKED);

	wreck->stop = false;
	if (pthread_create(&wreck->thread, NULL, write_on, wreck))
		die("no thread");
}

static void wreck_close(struct wreck *wreck)
{
	__atomic_store_n(&wreck->stop, true, __ATOMIC_RELEASE);
	pthread_join(wreck->thread, NULL);
	region_close(&wreck->region);
	unlinkat(wreck->side.dir, SIDE_FILE, 0);
	if (wreck->side.fd >= 0)
		close(wreck->side.fd);
	close(wreck->side.dir);
}

static void wreck_run(struct worker *worker, struct wreck *wreck)
{
	unsigned int i, nr = 4 + random_below(worker, 16);
	struct op op;

	/* Many fail: a range may be behind the end of the file by then */
	for (i = 0; i < nr; i++) {
		op.type = op_find(wrecking[random_below(worker,
							ARRAY_SIZE(wrecking))]);
		op.a = random_below(worker, WRECKED) * PAGE;
		op.b = (1 + random_below(worker, 6)) * PAGE;
		if (!random_below(worker, 3)) {
			op.a += random_below(worker, PAGE / 512) * 512;
			op.b += random_below(worker, PAGE / 512) * 512;
		}
		op_run(&op, &wreck->side);
	}
	switch (random_below(worker, 4)) {
	case 0:
		break;
	case 1:
		/* An inode without a name that a device writes to */
		unlinkat(wreck->side.dir, SIDE_FILE, 0);
		break;
	case 2:
		/* One that goes while the device writes */
		region_unmap(&wreck->region);
		op.type = op_find("unlink");
		op_run(&op, &wreck->side);
		break;
	case 3:
		region_unmap(&wreck->region);
		op.type = op_find("rename_over");
		op_run(&op, &wreck->side);
	}
}

static void wreck_files(struct worker *worker)
{
	static struct wreck wrecks[KEPT];
	struct wreck *wreck = &wrecks[worker->nr_kept++ % KEPT];

	if (wreck->conn)
		wreck_close(wreck);
	else
		wreck->conn = conn_open(worker->nic);
	wreck_open(worker, wreck);
	wreck_run(worker, wreck);
}

static void (*const jobs[])(struct worker *worker) = {
	record_file, record_file, new_file, new_file, wreck_files, wreck_files,
};

static void __noreturn run_job(unsigned int boot, unsigned int seed,
			       unsigned int index, int ready)
{
	struct worker worker = {
		.boot = boot,
		.index = index,
		.seed = seed * ARRAY_SIZE(jobs) + index,
		.dir = folder_open(),
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	worker.nic = nic_open(nic_exists(1) ? index % 2 : 0);
	worker.conn = conn_open(worker.nic);
	if (write(ready, "", 1) != 1)
		die("nobody waits");
	close(ready);
	for (;;)
		jobs[index](&worker);
}

static int work(unsigned int boot, unsigned int seed)
{
	unsigned int i;
	int ready[2];
	char c;

	no_sync = getenv("DAX_RETARGET_NO_SYNC");
	folder_reset();
	if (pipe(ready))
		die("no pipe");
	for (i = 0; i < ARRAY_SIZE(jobs); i++) {
		/* Wreckers sync as they like, and the others with it */
		if (no_sync && jobs[i] == wreck_files)
			continue;
		switch (fork()) {
		case -1:
			die("no process");
		case 0:
			close(ready[0]);
			run_job(boot, seed, i, ready[1]);
		}
	}
	close(ready[1]);
	while (read(ready[0], &c, 1) > 0)
		;
	printf("working\n");
	wait(NULL);
	printf("# a worker ended\n");
	return KSFT_FAIL;
}

/* How many promises there were, and how many were broken */
struct sum {
	unsigned long nr, broken;
};

static int open_promised(const char *name)
{
	int dir = folder_open();
	int fd = openat(dir, name, O_RDONLY);

	close(dir);
	return fd;
}

static bool check_record(int fd, uint64_t file, unsigned long page)
{
	uint64_t record[PROBE / 8] = {};

	return pread(fd, record, PROBE, page * PAGE) == PROBE &&
	       find_difference(record, PROBE, DEVICE,
			       record_at(file, page * PAGE)) < 0;
}

static bool check_pages(int fd, uint64_t file, const char *pages)
{
	unsigned long i, nr = strlen(pages);
	struct stat st;

	if (fstat(fd, &st) || (uint64_t)st.st_size != nr * PAGE)
		return false;
	for (i = 0; i < nr; i++)
		if (pages[i] == 'D' ? !check_record(fd, file, i) :
		    file_find_difference(fd, i * PAGE, PAGE, ZERO) >= 0)
			return false;
	return true;
}

/* Is one promise kept? */
static bool check_promise(const char *what, const char *name, const char *how)
{
	uint64_t file = strtoull(name, NULL, 16);
	int fd = open_promised(name);
	bool kept;

	if (!strcmp(what, "gone"))
		kept = fd < 0 && errno == ENOENT;
	else if (!strcmp(what, "file"))
		kept = fd >= 0 && check_pages(fd, file, how);
	else
		kept = fd >= 0 && check_record(fd, file, atol(how));
	if (fd >= 0)
		close(fd);
	return kept;
}

static void check_promises(FILE *f, const char *kind, struct sum *sum)
{
	char line[256], what[16], name[32], how[MAX_SHAPED + 1];

	rewind(f);
	while (fgets(line, sizeof(line), f)) {
		how[0] = 0;	/* the pages of a file may be none */
		if (sscanf(line, "%15s %31s %16s", what, name, how) < 2)
			die("not a promise: %s", line);
		if (strcmp(what, kind))
			continue;
		sum->nr++;
		if (check_promise(what, name, how))
			continue;
		if (sum->broken++ < 5)
			printf("# PROMISE BROKEN: %s", line);
	}
}

/* Data that a device wrote to another file than @file: where, or -1 */
static off_t find_stray(int fd, uint64_t file, uint64_t *stray)
{
	uint64_t buf[PAGE / 8];
	off_t pos = 0;
	ssize_t len, i;

	for (; (len = pread(fd, buf, PAGE, pos)) > 0; pos += len)
		for (i = 0; i < len / 8; i++)
			if (written_by(&buf[i], DEVICE) &&
			    file_of(&buf[i]) != file) {
				*stray = file_of(&buf[i]);
				return pos + i * 8;
			}
	return -1;
}

/* A folder belongs to a file too: see wreck_open() */
static void check_strays(int dir, uint64_t folder, struct sum *sum)
{
	struct dirent *entry;
	uint64_t file, stray;
	struct stat st;
	off_t pos;
	DIR *d;
	int fd;

	d = fdopendir(dir);
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		fd = openat(dirfd(d), entry->d_name, O_RDONLY);
		if (fd < 0 || fstat(fd, &st))
			die("cannot open %s", entry->d_name);
		file = folder ?: strtoull(entry->d_name, NULL, 16);
		if (S_ISDIR(st.st_mode)) {
			check_strays(fd, file, sum);
			continue;
		}
		sum->nr++;
		pos = find_stray(fd, file, &stray);
		if (pos >= 0 && sum->broken++ < 5)
			printf("# STRAY DATA: file %lx, byte %ld: the device's for file %lx\n",
			       file, (long)pos, stray);
		close(fd);
	}
	closedir(d);
}

static int check(const char *path)
{
	static const struct {
		const char *kind, *text;
	} kinds[] = {
		{ "record", "records are there" },
		{ "file", "files are what they were" },
		{ "gone", "deleted files are gone" },
	};
	FILE *f = fopen(path, "r");
	struct sum sum = {};
	unsigned int i;

	if (!f)
		die("cannot open %s", path);
	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(kinds) + 1);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		sum = (struct sum) {};
		check_promises(f, kinds[i].kind, &sum);
		ksft_test_result(!sum.broken, "%lu of %lu %s\n",
				 sum.nr - sum.broken, sum.nr, kinds[i].text);
	}
	sum = (struct sum) {};
	check_strays(folder_open(), 0, &sum);
	ksft_test_result(!sum.broken, "%lu of %lu files have no other's data\n",
			 sum.nr - sum.broken, sum.nr);
	ksft_finished();
}

int main(int argc, char **argv)
{
	setlinebuf(stdout);
	if (argc == 4 && !strcmp(argv[1], "work"))
		return work(atoi(argv[2]), atoi(argv[3]));
	if (argc == 3 && !strcmp(argv[1], "check"))
		return check(argv[2]);
	fprintf(stderr, "Usage: fsynced work BOOT SEED\n"
			"       fsynced check PROMISES\n");
	return KSFT_FAIL;
}
