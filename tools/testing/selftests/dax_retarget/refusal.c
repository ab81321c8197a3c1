// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which memory can be registered, and with which error it is refused.
 *
 * Where pins of DAX files are not possible (parameter off, no translation by an
 * IOMMU, a NIC without DMA of its own), everything is as in a kernel without
 * them. Where they are possible, plain memory regions of shared mappings get
 * pins. Private mappings, holes that cannot be filled and other users of
 * long-term pins get none.
 *
 *   refusal [--expect on|off|pt|noengine]	default: what the machine looks like
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glob.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../../../mm/gup_test.h"
#include "lib.h"

#define LEN	(8 * PAGE)
#define MISSING	(-1)	/* the machine has not got what it takes */
#define WRONG	(-2)	/* it was registered, but not as it should be */

static struct nic *nic;
static const char *missing;

static int no(const char *what)
{
	missing = what;
	return MISSING;
}

/* errno of a registration, which is undone at once */
static int try_register(void *map, size_t len, bool read_only)
{
	struct ibv_mr *mr = read_only ? nic_register_read_only(nic, map, len) :
					nic_register(nic, map, len);
	int error = mr ? 0 : errno;

	if (mr)
		nic_deregister(mr);
	return error;
}

static void *map_or_die(int fd, int prot, int flags)
{
	void *map = mmap(NULL, LEN, prot, flags, fd, 0);

	if (map == MAP_FAILED)
		die("cannot map");
	return map;
}

/* Register a file that is mapped in some way */
static int try_file(enum writer_id content, int prot, int flags, bool read_only)
{
	int fd = file_create("file", LEN, content);
	void *map = map_or_die(fd, prot, flags);
	int error = try_register(map, LEN, read_only);

	munmap(map, LEN);
	close(fd);
	return error;
}

static int anonymous(void)
{
	void *map = map_or_die(-1, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS);
	int error = try_register(map, LEN, false);

	munmap(map, LEN);
	return error;
}

static int shared_memory(void)
{
	int fd = memfd_create("memory", 0);
	void *map;
	int error;

	if (ftruncate(fd, LEN))
		die("cannot extend a memfd");
	map = map_or_die(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
	error = try_register(map, LEN, false);
	munmap(map, LEN);
	close(fd);
	return error;
}

static int shared(void)
{
	return try_file(FILLED, PROT_READ | PROT_WRITE, MAP_SHARED, false);
}

static int shared_read_only_region(void)
{
	return try_file(FILLED, PROT_READ | PROT_WRITE, MAP_SHARED, true);
}

static int hole(void)
{
	return try_file(ZERO, PROT_READ | PROT_WRITE, MAP_SHARED, false);
}

static int hole_read_only_region(void)
{
	return try_file(ZERO, PROT_READ | PROT_WRITE, MAP_SHARED, true);
}

static int read_only_mapping(void)
{
	return try_file(FILLED, PROT_READ, MAP_SHARED, true);
}

static int read_only_mapping_of_hole(void)
{
	return try_file(ZERO, PROT_READ, MAP_SHARED, true);
}

static int read_only_mapping_to_write(void)
{
	return try_file(FILLED, PROT_READ, MAP_SHARED, false);
}

/* The file has the pages, and the process has read them; then @prot */
static int try_touched(int prot, bool read_only)
{
	int fd = file_create("file", LEN, FILLED);
	char *map = map_or_die(fd, PROT_READ, MAP_SHARED);
	size_t i;
	int error;

	for (i = 0; i < LEN; i += PAGE)
		*(volatile char *)(map + i);
	if (mprotect(map, LEN, prot))
		die("cannot protect");
	error = try_register(map, LEN, read_only);
	munmap(map, LEN);
	close(fd);
	return error;
}

static int touched_mapping_to_write(void)
{
	return try_touched(PROT_READ, false);
}

static int touched_mapping_without_access(void)
{
	return try_touched(PROT_NONE, true);
}

static int private(void)
{
	return try_file(FILLED, PROT_READ | PROT_WRITE, MAP_PRIVATE, false);
}

static int private_read_only_region(void)
{
	return try_file(FILLED, PROT_READ | PROT_WRITE, MAP_PRIVATE, true);
}

/* A private copy of a page is not the file's, but anonymous memory */
static int private_written(void)
{
	int fd = file_create("file", LEN, FILLED);
	char *map = map_or_die(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	int error;

	memset(map, 1, LEN);
	error = try_register(map, LEN, false);
	munmap(map, LEN);
	close(fd);
	return error;
}

static int beyond_end(void)
{
	int fd = file_create("file", LEN / 2, FILLED);
	void *map = map_or_die(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
	int error = try_register(map, LEN, false);

	munmap(map, LEN);
	close(fd);
	return error;
}

static int read_only_descriptor(void)
{
	int fd = file_create("file", LEN, FILLED);
	int error, fd_ro;
	void *map;

	close(fd);
	fd_ro = file_open("file", O_RDONLY);
	map = map_or_die(fd_ro, PROT_READ, MAP_SHARED);
	error = try_register(map, LEN, true);
	munmap(map, LEN);
	close(fd_ro);
	return error;
}

/* Device-dax has no blocks that could go to other use, so it needs no pin */
static int device_dax(void)
{
	struct ibv_mr *mr;
	int fd, error;
	long pinned;
	void *map;
	glob_t g;

	if (glob("/dev/dax*", 0, NULL, &g) || !g.gl_pathc)
		return no("no device-dax");
	fd = open(g.gl_pathv[0], O_RDWR);
	globfree(&g);
	if (fd < 0)
		die("cannot open device-dax");
	map = mmap(NULL, PAGE_2M, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		die("cannot map device-dax");
	pinned = stat_read("pages_pinned");
	mr = nic_register(nic, map, PAGE_2M);
	error = mr ? 0 : errno;
	if (mr && stat_read("pages_pinned") != pinned) {
		ksft_print_msg("device-dax: %ld pages are in a pin\n",
			       stat_read("pages_pinned") - pinned);
		error = WRONG;
	}
	if (mr)
		nic_deregister(mr);
	munmap(map, PAGE_2M);
	close(fd);
	return error;
}

static int memory_lock_limit(void)
{
	struct rlimit old, low;
	int error;

	if (getrlimit(RLIMIT_MEMLOCK, &old))
		die("cannot get the limit");
	low = old;
	low.rlim_cur = LEN / 2;
	if (setrlimit(RLIMIT_MEMLOCK, &low))
		die("cannot set the limit");
	/* With the capability a process may lock memory beyond its limit */
	capability_set(CAP_IPC_LOCK, false);
	error = shared();
	capability_set(CAP_IPC_LOCK, true);
	if (setrlimit(RLIMIT_MEMLOCK, &old))
		die("cannot reset the limit");
	return error;
}

static int io_uring_fixed_buffer(void)
{
	struct io_uring_params params = { 0 };
	int ring = syscall(__NR_io_uring_setup, 1, &params);
	struct iovec iov;
	int fd, error = 0;
	void *map;

	if (ring < 0)
		return no("no io_uring");
	fd = file_create("file", LEN, FILLED);
	map = file_map(fd, 0, LEN);
	iov.iov_base = map;
	iov.iov_len = LEN;
	if (syscall(__NR_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov,
		    1))
		error = errno;
	close(ring);
	munmap(map, LEN);
	close(fd);
	return error;
}

/* What any other user of FOLL_LONGTERM gets, by the kernel's own test device */
static int gup(int prot, int map_flags, unsigned int flags)
{
	int gup_fd = open("/sys/kernel/debug/gup_test", O_RDWR);
	struct pin_longterm_test args = { .size = LEN, .flags = flags };
	int fd, error = 0;
	void *map;

	if (gup_fd < 0)
		return no("no gup_test (CONFIG_GUP_TEST)");
	fd = file_create("file", LEN, FILLED);
	map = map_or_die(fd, prot, map_flags);
	args.addr = (uintptr_t)map;
	if (ioctl(gup_fd, PIN_LONGTERM_TEST_START, &args))
		error = errno;
	else
		ioctl(gup_fd, PIN_LONGTERM_TEST_STOP);
	close(gup_fd);
	munmap(map, LEN);
	close(fd);
	return error;
}

static int gup_write(void)
{
	return gup(PROT_READ | PROT_WRITE, MAP_SHARED,
		   PIN_LONGTERM_TEST_FLAG_USE_WRITE);
}

static int gup_write_fast(void)
{
	return gup(PROT_READ | PROT_WRITE, MAP_SHARED,
		   PIN_LONGTERM_TEST_FLAG_USE_WRITE |
		   PIN_LONGTERM_TEST_FLAG_USE_FAST);
}

static int gup_read(void)
{
	return gup(PROT_READ, MAP_SHARED, 0);
}

static int gup_read_fast(void)
{
	return gup(PROT_READ, MAP_SHARED, PIN_LONGTERM_TEST_FLAG_USE_FAST);
}

static int gup_private(void)
{
	return gup(PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
}

/*
 * @stock is what a kernel without pins answers, @on what one with them does.
 * Writing needs a writable mapping, whatever it is of: EFAULT.
 */
static const struct {
	const char *what;
	int (*attempt)(void);
	int stock, on;
} table[] = {
	{ "anonymous memory", anonymous, 0, 0 },
	{ "memfd", shared_memory, 0, 0 },
	{ "device-dax", device_dax, 0, 0 },
	{ "shared mapping", shared, EOPNOTSUPP, 0 },
	{ "shared mapping, region that is only read",
		shared_read_only_region, EOPNOTSUPP, 0 },
	{ "hole in a writable mapping", hole, EOPNOTSUPP, 0 },
	{ "hole in a writable mapping, region that is only read",
		hole_read_only_region, EOPNOTSUPP, 0 },
	{ "read-only mapping", read_only_mapping, EOPNOTSUPP, 0 },
	{ "file opened read-only", read_only_descriptor, EOPNOTSUPP, 0 },
	{ "hole in a read-only mapping",
		read_only_mapping_of_hole, EOPNOTSUPP, EOPNOTSUPP },
	{ "read-only mapping, region to write to",
		read_only_mapping_to_write, EOPNOTSUPP, EFAULT },
	{ "read-only mapping that was read, region to write to",
		touched_mapping_to_write, EOPNOTSUPP, EFAULT },
	{ "mapping that was read and is without access now",
		touched_mapping_without_access, EOPNOTSUPP, EFAULT },
	{ "mapping beyond the end of the file", beyond_end, EOPNOTSUPP, EFAULT },
	{ "private mapping", private, EOPNOTSUPP, EOPNOTSUPP },
	{ "private mapping, written to", private_written, 0, 0 },
	{ "private mapping, region that is only read",
		private_read_only_region, EOPNOTSUPP, EOPNOTSUPP },
	{ "memory-lock limit too low", memory_lock_limit, ENOMEM, ENOMEM },
	{ "io_uring fixed buffer",
		io_uring_fixed_buffer, EOPNOTSUPP, EOPNOTSUPP },
	{ "gup_test, to write", gup_write, EOPNOTSUPP, EOPNOTSUPP },
	{ "gup_test, to write, fast", gup_write_fast, EOPNOTSUPP, EOPNOTSUPP },
	{ "gup_test, to read", gup_read, EOPNOTSUPP, EOPNOTSUPP },
	{ "gup_test, to read, fast", gup_read_fast, EOPNOTSUPP, EOPNOTSUPP },
	{ "gup_test, private mapping", gup_private, EOPNOTSUPP, EOPNOTSUPP },
};

/* A NIC without DMA of its own cannot be told from others: see --expect */
static const char *look_around(void)
{
	const char *cmdline = "/proc/cmdline";
	glob_t g;

	if (!word_in_file(cmdline, "dax_retarget=on"))
		return "off";
	if (word_in_file(cmdline, "iommu=pt") ||
	    word_in_file(cmdline, "iommu.passthrough=1") ||
	    glob("/sys/class/iommu/*", 0, NULL, &g))
		return "pt";
	return "on";
}

static const char *get_expectation(int argc, char **argv)
{
	static const struct option options[] = {
		{ "expect", required_argument, NULL, 'e' },
		{ }
	};
	static const char * const known[] = { "on", "off", "pt", "noengine" };
	const char *expect = look_around();
	unsigned int i;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt != 'e')
			exit(KSFT_FAIL);
		expect = optarg;
	}
	for (i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(expect, known[i]))
			return expect;
	ksft_exit_fail_msg("--expect %s: not one of on, off, pt, noengine\n",
			   expect);
}

int main(int argc, char **argv)
{
	const char *expect;
	struct stats before, now;
	unsigned int i;
	int want, seen, fd;
	bool pins;

	ksft_print_header();
	if (!nic_exists(0))
		ksft_exit_skip("no RDMA device (set DAX_RETARGET_DEV)\n");
	expect = get_expectation(argc, argv);
	pins = !strcmp(expect, "on");
	folder_reset();
	fd = file_create("file", PAGE, FILLED);
	if (!file_is_dax(fd))
		ksft_exit_skip("no DAX files in the folder (set DAX_RETARGET_DIR)\n");
	close(fd);
	ksft_set_plan(ARRAY_SIZE(table) + 1);
	ksft_print_msg("%s, dax_retarget: %s\n", nic_name(0), expect);

	nic = nic_open(0);
	stats_read(&before);

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		want = pins ? table[i].on : table[i].stock;
		seen = table[i].attempt();
		if (seen == MISSING) {
			ksft_test_result_skip("%s: %s\n", table[i].what,
					      missing);
			continue;
		}
		ksft_test_result(seen == want, "%s: %s\n", table[i].what,
				 strerror(want));
		if (seen != want && seen != WRONG)
			ksft_print_msg("it is: %s\n", strerror(seen));
	}
	ksft_test_result(stats_wait(&before, &now), "nothing is left\n");

	nic_close(nic);
	folder_reset();
	ksft_finished();
}
