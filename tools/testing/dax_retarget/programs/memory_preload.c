// SPDX-License-Identifier: GPL-2.0-only
/*
 * For LD_PRELOAD: memory that a program gets by posix_memalign() is of the file that
 * the variable MEMORY_FILE of the environment names, at an offset of its own. Programs
 * and tests that know nothing of files register it.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARENA	(1UL << 36)
#define PAGE	4096UL

static char *arena;
static size_t *used;	/* of it and of the file; shared with children */
static int fd = -1;

__attribute__((constructor)) static void begin(void)
{
	const char *name = getenv("MEMORY_FILE");

	if (!name)
		return;
	used = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	arena = mmap(NULL, ARENA, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	fd = open(name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	if (used == MAP_FAILED || arena == MAP_FAILED || fd < 0)
		abort();
	/* Another program may have used the file before this one */
	*used = (lseek(fd, 0, SEEK_END) + PAGE - 1) & -PAGE;
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
	/* A page in front of the memory tells free() the size */
	size_t align = alignment > PAGE ? alignment : PAGE;
	size_t len = (size + PAGE - 1) & -PAGE;
	size_t start;
	char *map;
	int error;

	if (fd < 0) {
		int (*next)(void **memory, size_t alignment, size_t size) =
			dlsym(RTLD_NEXT, "posix_memalign");

		return next(memory, alignment, size);
	}
	start = __atomic_fetch_add(used, len + 2 * align, __ATOMIC_RELAXED);
	map = (char *)(((uintptr_t)arena + start + PAGE + align - 1) & -align);
	start = map - arena;
	if (start + len > ARENA)
		abort();
	error = posix_fallocate(fd, start, len);
	if (error)
		return error;
	if (mmap(map - PAGE, PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ||
	    mmap(map, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 start) == MAP_FAILED)
		return errno;
	*(size_t *)(map - PAGE) = len;
	*memory = map;
	return 0;
}

/* Not given to anybody else, as the child of a fork may still have it */
void free(void *memory)
{
	static void (*next)(void *memory);
	char *map = memory;

	if (fd >= 0 && map > arena && map < arena + ARENA) {
		munmap(map, *(size_t *)(map - PAGE));
		munmap(map - PAGE, PAGE);
		return;
	}
	if (!next)
		next = dlsym(RTLD_NEXT, "free");
	next(memory);
}
