// SPDX-License-Identifier: GPL-2.0-only
/*
 * Regions beyond 4 GiB. A device's segment boundary is usually there, and the
 * DMA API may pad up to it, with the memory that lies behind a run. Behind a
 * run of a file lies another file.
 *
 * The region needs no file of 4 GiB. It is one small file mapped again and
 * again, with another file, or memory, at the boundary.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_writeback.h"

#define BOUNDARY	(4UL << 30)
#define CHUNK		(16UL << 20)	/* of the file that is repeated */

/* What the region is made of, in chunks of the address space */
enum content {
	REPEATED,	/* the file that is mapped again and again */
	SINGLE,		/* the file that is mapped once */
	MEMORY,
};

struct piece {
	enum content content;
	size_t len;
};

struct file {
	int fd;
	uint64_t pos;	/* of a contiguous, aligned run of CHUNK bytes */
	uint64_t phys;
};

FIXTURE(huge)
{
	struct bench bench;
	struct file repeated, single;
	int memory;
	int write_cache;
	char *map;		/* page aligned */
	size_t len;
	struct ibv_mr *mr;
	size_t single_at;	/* where in the region it begins */
};

FIXTURE_VARIANT(huge)
{
	size_t skip;		/* bytes at the start that are not registered */
	struct piece pieces[4];
};

/* A run of blocks across the boundary, wherever the region begins */
FIXTURE_VARIANT_ADD(huge, run_across)
{
	.skip = PAGE_2M + 100,
	.pieces = {
		{ REPEATED, BOUNDARY - CHUNK / 2 },
		{ SINGLE, CHUNK },
	},
};

/* A run ends at the boundary: behind it in memory is what nobody registered */
FIXTURE_VARIANT_ADD(huge, run_before)
{
	.pieces = {
		{ REPEATED, BOUNDARY - CHUNK },
		{ SINGLE, CHUNK },
		{ REPEATED, CHUNK },
	},
};

/* A run ends a little before the boundary, and the next one crosses it */
FIXTURE_VARIANT_ADD(huge, run_a_little_before)
{
	.pieces = {
		{ REPEATED, BOUNDARY - CHUNK - PAGE },
		{ SINGLE, CHUNK },
		{ REPEATED, CHUNK },
	},
};

FIXTURE_VARIANT_ADD(huge, run_across_behind_memory)
{
	.pieces = {
		{ REPEATED, BOUNDARY - CHUNK },
		{ MEMORY, CHUNK / 2 },
		{ SINGLE, CHUNK },
	},
};

/* Memory crosses the boundary, behind a file */
FIXTURE_VARIANT_ADD(huge, memory_across)
{
	.pieces = {
		{ REPEATED, BOUNDARY - CHUNK - CHUNK / 2 },
		{ SINGLE, CHUNK },
		{ MEMORY, CHUNK },
	},
};

static bool file_prepare(struct file *file, const char *name)
{
	void *map;

	file->fd = file_create_aligned(name, CHUNK, &file->pos);
	if (file->fd < 0)
		return false;
	file_fill(file->fd, file->pos, CHUNK, FILLED);
	map = file_map(file->fd, file->pos, PAGE);
	file->phys = physical_address(map);
	munmap(map, PAGE);
	return file->phys;
}

static void map_piece(FIXTURE_DATA(huge) * self, const struct piece *piece,
		      size_t at)
{
	size_t done, len;
	int fd = self->memory;
	off_t pos = 0;

	if (piece->content == SINGLE)
		self->single_at = at;
	if (piece->content == SINGLE) {
		fd = self->single.fd;
		pos = self->single.pos;
	} else if (piece->content == REPEATED) {
		fd = self->repeated.fd;
		pos = self->repeated.pos;
	}
	for (done = 0; done < piece->len; done += len) {
		len = piece->len - done < CHUNK ? piece->len - done : CHUNK;
		if (mmap(self->map + at + done, len, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, pos) == MAP_FAILED)
			die("cannot map %zu bytes at %zu", len, at + done);
	}
}

static void map_pieces(FIXTURE_DATA(huge) * self, const struct piece *piece)
{
	size_t at;
	unsigned int i;

	for (i = 0; i < 4; i++)
		self->len += piece[i].len;
	self->map = mmap(NULL, self->len + PAGE_2M, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (self->map == MAP_FAILED)
		die("no address space");
	self->map = (char *)(((uintptr_t)self->map + PAGE_2M - 1) /
			     PAGE_2M * PAGE_2M);
	for (i = 0, at = 0; i < 4; at += piece[i].len, i++)
		map_piece(self, &piece[i], at);
}

FIXTURE_SETUP(huge)
{
	uint64_t start;

	SKIP_IF(return, bench_open(&self->bench) ?: translations_missing());
	if (!file_prepare(&self->repeated, "repeated") ||
	    !file_prepare(&self->single, "single"))
		SKIP(return, "the file system has no aligned runs of %lu MiB",
		     CHUNK >> 20);
	self->memory = memfd_create("memory", 0);
	ASSERT_LE(0, self->memory);
	ASSERT_EQ(0, ftruncate(self->memory, CHUNK));
	map_pieces(self, variant->pieces);
	/* Write-back of gigabytes that nobody wrote would take minutes */
	self->write_cache = write_cache_get(self->single.fd);
	if (self->write_cache > 0)
		write_cache_set(self->single.fd, 0);

	start = now_ms();
	self->mr = nic_register(self->bench.nic, self->map + variant->skip,
				self->len - variant->skip);
	ASSERT_NE(NULL, self->mr)
		TH_LOG("cannot register %zu bytes: %s", self->len,
		       strerror(errno));
	TH_LOG("registered in %lu ms", now_ms() - start);
	/* From here on, offsets are from the region's first page */
	self->single_at -= variant->skip / PAGE * PAGE;
}

FIXTURE_TEARDOWN(huge)
{
	if (self->write_cache > 0)
		write_cache_set(self->single.fd, self->write_cache);
	nic_deregister(self->mr);
	munmap(self->map, self->len);
	close(self->memory);
	close(self->single.fd);
	close(self->repeated.fd);
	EXPECT_TRUE(bench_close(&self->bench));
}

/* A region as whole pages, whatever part of the first one it has */
static struct ibv_mr *whole_pages(FIXTURE_DATA(huge) * self)
{
	static struct ibv_mr mr;

	if (!((uintptr_t)self->mr->addr % PAGE))
		return self->mr;
	mr = *self->mr;
	mr.addr = (void *)((uintptr_t)mr.addr / PAGE * PAGE);
	return &mr;
}

/* The piece that has page @at of the region, and where it is in its file */
static struct file find_page(FIXTURE_DATA(huge) * self,
			     const FIXTURE_VARIANT(huge) *variant, size_t at)
{
	const struct piece *piece = variant->pieces;
	struct file file = { 0 };

	at += variant->skip / PAGE * PAGE;
	for (; at >= piece->len; piece++)
		at -= piece->len;
	if (piece->content == SINGLE)
		file = self->single;
	else if (piece->content == REPEATED)
		file = self->repeated;
	else
		file.fd = self->memory;
	file.pos += at % CHUNK;
	return file;
}

static void check_page(struct __test_metadata *_metadata,
		       FIXTURE_DATA(huge) * self,
		       const FIXTURE_VARIANT(huge) *variant, size_t at)
{
	struct file file = find_page(self, variant, at);

	EXPECT_EQ(-1, first_incoherent_page(&self->bench, whole_pages(self),
					    at / PAGE, file.fd, file.pos / PAGE,
					    1))
		TH_LOG("at 4 GiB %+ld pages", (long)(at - BOUNDARY) / (long)PAGE);
}

/*
 * The device does not reach the memory before and behind a file's run, unless
 * the other file's run is there. If it does, the rest cannot be tested: the
 * kernel no longer knows which IOVA leads where.
 */
static void check_neighbours(struct __test_metadata *_metadata,
			     const struct file *file, const struct file *other)
{
	uint64_t before = file->phys - CHUNK, behind = file->phys + CHUNK;
	uint64_t before_len = CHUNK, behind_len = CHUNK;
	struct translation found = { 0 };

	if (other->phys < file->phys && other->phys + CHUNK > before) {
		before = other->phys + CHUNK;
		before_len = file->phys - before;
	}
	if (other->phys > file->phys && other->phys < behind + CHUNK)
		behind_len = other->phys - behind;
	if (before_len)
		ASSERT_FALSE(translation_leads_to(before, before_len, &found))
			TH_LOG("FOREIGN BLOCK REACHABLE by IOVA 0x%lx",
			       found.iova);
	if (behind_len)
		ASSERT_FALSE(translation_leads_to(behind, behind_len, &found))
			TH_LOG("FOREIGN BLOCK REACHABLE by IOVA 0x%lx",
			       found.iova);
}

/* How often a page of the repeated file is in the region */
static long nr_copies(const FIXTURE_VARIANT(huge) *variant, size_t pos)
{
	const struct piece *piece;
	long nr = 0;

	for (piece = variant->pieces; piece < variant->pieces + 4; piece++) {
		if (piece->content == REPEATED)
			nr += piece->len / CHUNK + (piece->len % CHUNK > pos);
	}
	return nr;
}

static int punch(const struct file *file, uint64_t pos, size_t len)
{
	return file_punch(file->fd, file->pos + pos, len);
}

TEST_F(huge, region)
{
	const size_t end = self->len - variant->skip / PAGE * PAGE;
	const size_t places[] = {
		PAGE, BOUNDARY / 2 - PAGE, BOUNDARY / 2,
		BOUNDARY - 2 * PAGE, BOUNDARY - PAGE, BOUNDARY, BOUNDARY + PAGE,
		self->single_at, self->single_at + CHUNK - PAGE, end - PAGE,
	};
	const uint64_t copied = PAGE_2M + 8 * PAGE;
	struct ibv_mr *mr = whole_pages(self);
	long retargeted, copies;
	uint64_t hole, start;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(places); i++)
		check_page(_metadata, self, variant, places[i]);
	check_neighbours(_metadata, &self->single, &self->repeated);
	check_neighbours(_metadata, &self->repeated, &self->single);

	/* Two pages, on both sides of the boundary if there are such */
	hole = CHUNK - PAGE;
	if (self->single_at + CHUNK > BOUNDARY)
		hole = BOUNDARY - self->single_at;
	hole -= PAGE;
	retargeted = stat_read("pages_retargeted");
	ASSERT_EQ(0, punch(&self->single, hole, 2 * PAGE));
	EXPECT_EQ(2, stat_read("pages_retargeted") - retargeted);
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, mr,
				      (self->single_at + hole) / PAGE, 2,
				      DEVICE2));
	EXPECT_EQ(-1, file_find_difference(self->single.fd,
					   self->single.pos + hole, 2 * PAGE,
					   ZERO));
	check_page(_metadata, self, variant, self->single_at + hole - PAGE);
	if (self->single_at + hole + 2 * PAGE < end)
		check_page(_metadata, self, variant,
			   self->single_at + hole + 2 * PAGE);

	/* One page that the region has many times */
	copies = nr_copies(variant, copied);
	retargeted = stat_read("pages_retargeted");
	start = now_ms();
	ASSERT_EQ(0, punch(&self->repeated, copied, PAGE));
	TH_LOG("%ld pages punched at a time in %lu ms", copies,
	       now_ms() - start);
	EXPECT_EQ(copies, stat_read("pages_retargeted") - retargeted);

	/* And all that the file has */
	retargeted = stat_read("pages_retargeted");
	start = now_ms();
	ASSERT_EQ(0, ftruncate(self->single.fd, 0));
	TH_LOG("%lu pages truncated in %lu ms", CHUNK / PAGE - 2,
	       now_ms() - start);
	EXPECT_EQ((long)(CHUNK / PAGE - 2),
		  stat_read("pages_retargeted") - retargeted);
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, mr,
				      (self->single_at + hole) / PAGE - 2, 6,
				      DEVICE2));
	check_page(_metadata, self, variant, self->single_at - PAGE);
	if (self->single_at + CHUNK < end)
		check_page(_metadata, self, variant, self->single_at + CHUNK);
}

TEST_HARNESS_MAIN
