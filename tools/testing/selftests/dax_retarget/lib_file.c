// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files for the tests of DAX retarget: content that names its origin, the
 * blocks a file has, and how to have the file system give freed blocks to
 * another file.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib.h"

/* From XFS's uapi header, which is none of the kernel's */
struct xfs_fs_eofblocks {
	uint32_t eof_version, eof_flags;
	uint32_t eof_uid, eof_gid, eof_prid, pad32;
	uint64_t eof_min_file_size;
	uint64_t pad64[12];
};

#define XFS_IOC_FREE_EOFBLOCKS		_IOR('X', 58, struct xfs_fs_eofblocks)
#define XFS_EOFBLOCKS_VERSION		1
#define XFS_EOF_FLAGS_MINFILESIZE	(1 << 4)

#define CHUNK		(64 * PAGE)
#define VICTIM_SEED	(16 * PAGE)

static const char * const writer_names[] = {
	[ZERO]		= "zeros",
	[FILLED]	= "the file's first content",
	[DEVICE]	= "the device",
	[DEVICE2]	= "the device, through another region",
	[VICTIM]	= "the new owner of the blocks",
	[PROCESS]	= "write()",
};

static uint64_t word_for(enum writer_id id, uint64_t pos)
{
	return id == ZERO ? 0 : (uint64_t)id << 56 | pos / 8;
}

/**
 * fill - make content
 * @buf: gets it
 * @len: its length, a multiple of 8
 * @id: its writer
 * @pos: where it belongs, a multiple of 8
 */
void fill(void *buf, size_t len, enum writer_id id, uint64_t pos)
{
	uint64_t *word = buf;
	size_t i;

	for (i = 0; i < len / 8; i++)
		word[i] = word_for(id, pos + i * 8);
}

/* Where @buf is first not as fill() makes it, or -1 */
ssize_t find_difference(const void *buf, size_t len, enum writer_id id,
			uint64_t pos)
{
	const uint64_t *word = buf;
	size_t i;

	for (i = 0; i < len / 8; i++)
		if (word[i] != word_for(id, pos + i * 8))
			return i * 8;
	return -1;
}

bool written_by(const void *word, enum writer_id id)
{
	return *(const uint64_t *)word >> 56 == id;
}

const char *describe(const void *word)
{
	static char text[128];
	uint64_t value;

	memcpy(&value, word, sizeof(value));
	if (!value)
		return "zeros";
	if (value >> 56 > PROCESS)
		return "foreign data";
	snprintf(text, sizeof(text), "data of %s for page %lu",
		 writer_names[value >> 56],
		 (unsigned long)((value << 8 >> 8) * 8 / PAGE));
	return text;
}

static const char *folder(void)
{
	static char path[512];
	const char *dir = getenv("DAX_RETARGET_DIR");

	snprintf(path, sizeof(path), "%s/dax_retarget.test",
		 dir ? dir : "/mnt");
	return path;
}

int folder_open(void)
{
	int fd = open(folder(), O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		die("cannot open %s", folder());
	return fd;
}

/**
 * folder_end_deletes - have what was deleted be free
 *
 * XFS frees blocks in the background. A request to free blocks behind the end
 * of files waits for that, and here it frees none, as no file is so large.
 * Without the permission for the request, nothing is waited for.
 */
void folder_end_deletes(void)
{
	struct xfs_fs_eofblocks of_no_file = {
		.eof_version = XFS_EOFBLOCKS_VERSION,
		.eof_flags = XFS_EOF_FLAGS_MINFILESIZE,
		.eof_min_file_size = UINT64_MAX,
	};
	int dir = folder_open();

	if (ioctl(dir, XFS_IOC_FREE_EOFBLOCKS, &of_no_file) &&
	    errno != ENOTTY && errno != EPERM)
		die("cannot have XFS free what was deleted");
	close(dir);
}

/* Have what was deleted be free, and all be on the medium */
void folder_sync(void)
{
	int dir = folder_open();

	folder_end_deletes();
	if (syncfs(dir))
		die("cannot sync");
	close(dir);
}

/**
 * folder_rest - have the file system do nothing any more
 *
 * XFS passes over an allocation group that is locked, be it to free blocks or
 * to write them, and new files that should be neighbours would not be. A frozen
 * file system has nothing left to do. To freeze it takes as long as many a
 * test, so not all tests do it. They do so before they make the files.
 */
void folder_rest(void)
{
	int dir = folder_open();

	if (!ioctl(dir, FIFREEZE, 0)) {
		if (ioctl(dir, FITHAW, 0))
			die("cannot thaw the file system");
	} else if (errno != EPERM && errno != EOPNOTSUPP) {
		die("cannot freeze the file system");
	}
	close(dir);
}

/* An empty folder, whatever an earlier test left behind */
void folder_reset(void)
{
	struct dirent *entry;
	DIR *dir;

	if (mkdir(folder(), 0700) && errno != EEXIST)
		die("cannot make %s", folder());
	dir = opendir(folder());
	if (!dir)
		die("cannot open %s", folder());
	while ((entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	folder_sync();
}

void file_fill(int fd, uint64_t pos, size_t len, enum writer_id id)
{
	static uint64_t buf[CHUNK / 8];
	size_t n;

	for (; len; len -= n, pos += n) {
		n = len < CHUNK ? len : CHUNK;
		fill(buf, n, id, pos);
		if (pwrite(fd, buf, n, pos) != (ssize_t)n)
			die("cannot write at %lu", (unsigned long)pos);
	}
}

/* With all blocks allocated and written, or a hole if @id is ZERO */
int file_create(const char *name, size_t size, enum writer_id id)
{
	int dir = folder_open();
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_TRUNC, 0600);

	close(dir);
	if (fd < 0)
		die("cannot create %s", name);
	if (ftruncate(fd, size))
		die("cannot make %s %zu bytes long", name, size);
	if (id != ZERO) {
		if (size && posix_fallocate(fd, 0, size))
			die("no space for %s", name);
		file_fill(fd, 0, size, id);
	}
	return fd;
}

/* Does fallocate() know @mode here? ext2 knows none. */
bool folder_can(int mode)
{
	int fd = file_create("probe_mode", 4 * PAGE, FILLED);
	bool can;

	can = !fallocate(fd, mode, PAGE, PAGE) || errno != EOPNOTSUPP;
	close(fd);
	file_unlink("probe_mode");
	return can;
}

const char *punch_missing(void)
{
	return folder_can(PUNCH_HOLE) ? NULL :
	       "the file system cannot punch holes";
}

/* A file that is there, once more */
int file_open(const char *name, int flags)
{
	int dir = folder_open();
	int fd = openat(dir, name, flags);

	if (fd < 0)
		die("cannot open %s", name);
	close(dir);
	return fd;
}

bool file_exists(const char *name)
{
	int dir = folder_open();
	bool exists = !faccessat(dir, name, F_OK, 0);

	close(dir);
	return exists;
}

int file_punch(int fd, uint64_t pos, size_t len)
{
	return fallocate(fd, PUNCH_HOLE, pos, len);
}

void file_unlink(const char *name)
{
	int dir = folder_open();

	if (unlinkat(dir, name, 0))
		die("cannot unlink %s", name);
	close(dir);
}

/* Are mappings of the file persistent memory itself, and no page cache? */
bool file_is_dax(int fd)
{
	struct statx info;

	return !statx(fd, "", AT_EMPTY_PATH, 0, &info) &&
	       info.stx_attributes & STATX_ATTR_DAX;
}

/* Bytes that no file has */
uint64_t folder_free_space(void)
{
	struct statfs fs;

	if (statfs(folder(), &fs))
		die("cannot learn the free space");
	return fs.f_bfree * fs.f_bsize;
}

/* Where a file is first not as file_fill() made it, or -1 */
off_t file_find_difference(int fd, uint64_t pos, size_t len, enum writer_id id)
{
	static uint64_t buf[CHUNK / 8];
	ssize_t diff;
	size_t n;

	for (; len; len -= n, pos += n) {
		n = len < CHUNK ? len : CHUNK;
		if (pread(fd, buf, n, pos) != (ssize_t)n)
			die("cannot read at %lu", (unsigned long)pos);
		diff = find_difference(buf, n, id, pos);
		if (diff >= 0)
			return pos + diff;
	}
	return -1;
}

void *file_map(int fd, uint64_t pos, size_t len)
{
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 pos);

	if (map == MAP_FAILED)
		die("cannot map a file");
	return map;
}

/* As file_map(), at an address that is a multiple of @align */
void *file_map_aligned(int fd, uint64_t pos, size_t len, size_t align)
{
	char *map, *hole;

	hole = mmap(NULL, len + align, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (hole == MAP_FAILED)
		die("no address space");
	map = (char *)(((uintptr_t)hole + align - 1) / align * align);
	if (mmap(map, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 pos) == MAP_FAILED)
		die("cannot map a file");
	return map;
}

void file_extents(int fd, uint64_t pos, size_t len, struct extents *extents)
{
	static union {
		struct fiemap map;
		char space[sizeof(struct fiemap) +
			   MAX_EXTENTS * sizeof(struct fiemap_extent)];
	} u;
	unsigned int i;

	memset(&u, 0, sizeof(u));
	u.map.fm_start = pos;
	u.map.fm_length = len;
	u.map.fm_flags = FIEMAP_FLAG_SYNC;
	u.map.fm_extent_count = MAX_EXTENTS;
	if (ioctl(fd, FS_IOC_FIEMAP, &u.map))
		die("cannot learn a file's extents");
	if (u.map.fm_mapped_extents == MAX_EXTENTS)
		die("too many extents");

	extents->nr = u.map.fm_mapped_extents;
	for (i = 0; i < extents->nr; i++) {
		struct fiemap_extent *e = &u.map.fm_extents[i];
		uint64_t skip = e->fe_logical < pos ? pos - e->fe_logical : 0;
		uint64_t begin = e->fe_logical + skip;
		uint64_t end = e->fe_logical + e->fe_length;

		if (end > pos + len)
			end = pos + len;
		extents->list[i].pos = begin;
		extents->list[i].phys = e->fe_physical + skip;
		extents->list[i].len = end - begin;
	}
}

uint64_t extents_size(const struct extents *extents)
{
	uint64_t size = 0;
	unsigned int i;

	for (i = 0; i < extents->nr; i++)
		size += extents->list[i].len;
	return size;
}

/* How many bytes of the device do two files share? */
uint64_t extents_shared(const struct extents *a, const struct extents *b)
{
	uint64_t shared = 0, begin, end;
	unsigned int i, j;

	for (i = 0; i < a->nr; i++) {
		for (j = 0; j < b->nr; j++) {
			begin = a->list[i].phys;
			if (begin < b->list[j].phys)
				begin = b->list[j].phys;
			end = a->list[i].phys + a->list[i].len;
			if (end > b->list[j].phys + b->list[j].len)
				end = b->list[j].phys + b->list[j].len;
			if (begin < end)
				shared += end - begin;
		}
	}
	return shared;
}

/* The physical address of mapped memory; 0 if the kernel does not tell it */
uint64_t physical_address(const void *addr)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	if (fd < 0)
		return 0;
	/* Have it mapped */
	madvise((void *)((uintptr_t)addr / PAGE * PAGE), PAGE,
		MADV_POPULATE_READ);
	if (pread(fd, &entry, sizeof(entry), (uintptr_t)addr / PAGE * 8) != 8)
		entry = 0;
	close(fd);
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

/* Where on the device a range of a file is, if it is one piece; else 0 */
static uint64_t contiguous_at(int fd, uint64_t pos, size_t len)
{
	struct extents extents;
	uint64_t next;
	unsigned int i;

	file_extents(fd, pos, len, &extents);
	if (extents_size(&extents) != len)
		return 0;
	next = extents.list[0].phys;
	for (i = 0; i < extents.nr; i++) {
		if (extents.list[i].phys != next)
			return 0;
		next += extents.list[i].len;
	}
	return extents.list[0].phys;
}

/* The physical address of the first byte that the file system counts from */
static uint64_t device_address(void)
{
	int fd = file_create("address", PAGE, FILLED);
	void *map = file_map(fd, 0, PAGE);
	uint64_t phys = physical_address(map);
	struct extents extents;

	file_extents(fd, 0, PAGE, &extents);
	munmap(map, PAGE);
	close(fd);
	file_unlink("address");
	return phys ? phys - extents.list[0].phys : 0;
}

/*
 * Can pages of size @align map a range of a file, which begins at @phys? It is
 * one piece, or its pieces are whole pages of that size.
 */
static bool lies_well(int fd, uint64_t pos, size_t len, size_t align,
		      uint64_t phys)
{
	struct extents extents;
	uint64_t base, at;
	unsigned int i;

	file_extents(fd, pos, len, &extents);
	base = phys - extents.list[0].phys;
	for (i = 0; i < extents.nr; i++) {
		at = base + extents.list[i].phys;
		if ((at - extents.list[i].pos) % align)
			return false;
		if (i && at % align && at != base + extents.list[i - 1].phys +
					      extents.list[i - 1].len)
			return false;
	}
	return extents_size(&extents) == len;
}

/**
 * file_create_run - make a file of blocks that lie side by side
 * @name: of the file
 * @len: of the run
 * @align: the run begins at a multiple of it in the file and in memory
 * @pos: gets where in the file the run begins
 *
 * File systems do not promise to align blocks. So look where they are, and
 * begin the file, after a hole, at an offset that fits. No page of the run is
 * touched: a small DAX entry would be in the way of a large one. The blocks are
 * allocated and not written, and some lie before and behind the run. A run that
 * is longer than @align may have gaps between pages of that size.
 *
 * Return: the file, or -1 if there is no such run of blocks
 */
int file_create_run(const char *name, size_t len, size_t align, uint64_t *pos)
{
	uint64_t start = 0, base = device_address(), phys;
	int fd, i;

	for (i = 0; i < 4; i++) {
		fd = file_create(name, 0, ZERO);
		if (posix_fallocate(fd, start, len + align))
			break;
		file_fill(fd, start, PAGE, FILLED);
		phys = contiguous_at(fd, start, PAGE);
		if (!base || !phys)
			break;
		phys += base;
		*pos = (start + align - 1) / align * align;
		if (lies_well(fd, start, *pos + len - start, align, phys))
			return fd;
		start = phys % align;
		close(fd);
		file_unlink(name);
		folder_sync();
	}
	close(fd);
	return -1;
}

/* A file of which one page of size @align can be mapped, at *@pos */
int file_create_aligned(const char *name, size_t align, uint64_t *pos)
{
	return file_create_run(name, align, align, pos);
}

/**
 * leave_little_space - fill the file system
 * @left: about so many bytes stay free
 *
 * With little space left, freed blocks soon go to another file. The space goes
 * to a file that is never written, which takes no time.
 */
void leave_little_space(size_t left)
{
	int dir = folder_open();
	int fd = openat(dir, "ballast", O_RDWR | O_CREAT, 0600);
	off_t size = lseek(fd, 0, SEEK_END);
	struct statfs fs;
	size_t step;

	if (fd < 0)
		die("cannot create the ballast");
	for (step = 1UL << 40; step >= PAGE; ) {
		if (fstatfs(fd, &fs))
			die("cannot learn the free space");
		if (fs.f_bavail * fs.f_bsize <= left)
			break;
		if (step > fs.f_bavail * fs.f_bsize - left)
			step = (fs.f_bavail * fs.f_bsize - left) / PAGE * PAGE;
		if (step < PAGE)
			break;
		if (posix_fallocate(fd, size, step))
			step /= 2;
		else
			size += step;
	}
	close(fd);
	close(dir);
}

/**
 * victim_create - make a file that is to be given another's blocks
 *
 * File systems look for space near the blocks that a file has. So call this
 * right before the other file is created, and the two are neighbours.
 *
 * Return: the file
 */
int victim_create(void)
{
	return file_create("victim", VICTIM_SEED, VICTIM);
}

/**
 * victim_grow - give free blocks to the victim
 * @fd: from victim_create()
 * @want: blocks it should have
 * @got: gets how many bytes of @want it has
 *
 * Takes free blocks until it has all that are wanted, or there are no more. The
 * file is full of what VICTIM writes.
 *
 * Return: size of the file
 */
size_t victim_grow(int fd, const struct extents *want, uint64_t *got)
{
	uint64_t need = extents_size(want);
	size_t size = VICTIM_SEED;
	struct extents have;

	/* XFS gives its last free blocks to no file: not those of @want */
	folder_sync();
	*got = 0;
	while (*got < need && !posix_fallocate(fd, size, 16 * PAGE)) {
		size += 16 * PAGE;
		file_extents(fd, 0, size, &have);
		*got = extents_shared(&have, want);
	}
	file_fill(fd, 0, size, VICTIM);
	return size;
}

/* The first wrong byte of the victim, or -1; prints the writer that it names */
off_t victim_damage(int fd, size_t size)
{
	off_t damage = file_find_difference(fd, 0, size, VICTIM);
	uint64_t word;

	if (damage >= 0) {
		if (pread(fd, &word, sizeof(word), damage) != sizeof(word))
			die("cannot read the victim");
		printf("# VICTIM DAMAGED at byte %ld of %zu: %s\n",
		       (long)damage, size, describe(&word));
	}
	return damage;
}
