// SPDX-License-Identifier: GPL-2.0-only
/*
 * Register many memory regions of DAX files, and hold them until stdin ends:
 *
 *   many_regions [-u] [-w] DEVICE NUMBER FILE...
 *
 * The files are mapped one behind the other. Region N is of page N of them, over
 * and over. With -w each region is of all of them. With -u the files are unmapped
 * once they are registered, so that nothing but the regions refers to them. Prints
 * "ready" when all regions exist. ib_write_bw has one region only.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <infiniband/verbs.h>

#define ACCESS	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)

static void die(const char *what)
{
	fprintf(stderr, "many_regions: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct ibv_pd *open_nic(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *context;
	struct ibv_pd *pd;

	while (list && *list && strcmp(ibv_get_device_name(*list), name))
		list++;
	if (!list || !*list)
		die(name);
	context = ibv_open_device(*list);
	pd = context ? ibv_alloc_pd(context) : NULL;
	if (!pd)
		die(name);
	return pd;
}

static size_t file_size(const char *file)
{
	struct stat st;

	if (stat(file, &st))
		die(file);
	return st.st_size;
}

/* Map the files at consecutive addresses */
static char *map_files(char **files, size_t size)
{
	char *start = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	char *at = start;
	int fd;

	if (start == MAP_FAILED)
		die("mmap");
	for (; *files; files++) {
		fd = open(*files, O_RDWR);
		if (fd < 0 || mmap(at, file_size(*files),
				   PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			die(*files);
		close(fd);
		at += file_size(*files);
	}
	return start;
}

static int usage(void)
{
	fprintf(stderr,
		"Usage: many_regions [-u] [-w] DEVICE NUMBER FILE...\n");
	return 2;
}

int main(int argc, char **argv)
{
	size_t size = 0, page = sysconf(_SC_PAGESIZE);
	bool unmap = false, whole = false;
	struct ibv_pd *pd;
	char *memory, c;
	int option;
	long nr, i;

	while ((option = getopt(argc, argv, "uw")) != -1) {
		switch (option) {
		case 'u':
			unmap = true;
			break;
		case 'w':
			whole = true;
			break;
		default:
			return usage();
		}
	}
	argv += optind;
	argc -= optind;
	if (argc < 3)
		return usage();

	pd = open_nic(argv[0]);
	nr = atol(argv[1]);
	for (i = 2; i < argc; i++)
		size += file_size(argv[i]);
	memory = map_files(argv + 2, size);
	for (i = 0; i < nr; i++)
		if (!ibv_reg_mr(pd, memory + (whole ? 0 : i * page % size),
				whole ? size : page, ACCESS))
			die("ibv_reg_mr");
	if (unmap)
		munmap(memory, size);
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	/* The kernel deregisters the regions at exit */
	return 0;
}
