// SPDX-License-Identifier: GPL-2.0-only
/*
 * A DAX file that a device has registered, and its twins: a file of the same
 * content and layout on the same type of file system without DAX, and one on
 * tmpfs, whose page cache pages a device has registered. A sequence of
 * operations is done to all of them. Then every page of the region is touched
 * through the device and through the file.
 *
 * A page is kept if the file at its offset and the device's page are the same
 * memory: what is written to the file is what the device reads and, if the
 * device may write, the other way round. Otherwise it is lost. A page has left
 * if its block is no longer the file's at that offset. These are the rules:
 *
 *   - What has left is lost. Moreover, the blocks that the file had are read
 *     from the block device after the device has written to all pages: what it
 *     has just written is in the blocks of the pages that were kept, and in no
 *     other.
 *   - What DAX has lost, the reference has lost, and what tmpfs has, if the
 *     device may write; then these two agree, where tmpfs has the operation.
 *   - What DAX has lost has left, or else nothing of its content has: a page that
 *     is still part of the file is not lost. (Both references may drop more.)
 *   - Results, sizes and contents are the same.
 *
 * A device cannot write to the reference: Linux allows no such long-term pin of
 * a page cache that writes back. So there a pin that only reads stands for it,
 * and a process writes what the device writes to the others.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib_twin.h"

#define MAX_PAGES	(PAGE_2M / PAGE + 32)	/* of a region */
#define TOKEN_AT	2048			/* within a page */
#define MARGIN		1000			/* of a page not registered */
#define CONNS		2			/* keep the engine busy */

/* A file, with what is known of its pages in the region */
struct twin {
	struct side side;
	struct nic *nic;
	struct ibv_mr *mr;
	uintptr_t start;		/* address of the region's first page */
	bool kept[MAX_PAGES];
	char *content;
	size_t size, room;
};

static struct bench bench;
static struct conn *conns[CONNS];
static struct twin twins[NR_SIDES];
static struct ibv_mr *inbox_mr;
static char *inbox;			/* what the device reads */
static char *before_content;
static size_t before_size, before_room;
static int raw = -1;			/* the block device */
static char file_system[32];
static uint64_t blocks[MAX_PAGES];	/* where the pages were */
static bool left[MAX_PAGES], replaced[MAX_PAGES];
static unsigned int generation;

static const char * const side_names[NR_SIDES] = {
	"DAX", "reference", "tmpfs",
};

static void __printf(2, 3) fail(struct outcome *outcome, const char *fmt, ...)
{
	size_t used = strlen(outcome->text);
	va_list args;

	outcome->failed = true;
	va_start(args, fmt);
	vsnprintf(outcome->text + used, sizeof(outcome->text) - used, fmt,
		  args);
	va_end(args);
}

/* Each token is written once, so that an older one is known for what it is */
static uint64_t token(unsigned int gen, unsigned long page)
{
	return ((uint64_t)gen << 24 | page) * PAGE;
}

static bool is_token(const void *buf, enum writer_id id, unsigned int gen,
		     unsigned long page)
{
	return find_difference(buf, PROBE, id, token(gen, page)) < 0;
}

/* As describe(), of the page that a token is for */
static const char *describe_token(const void *buf)
{
	uint64_t word;

	memcpy(&word, buf, sizeof(word));
	if (written_by(&word, DEVICE) || written_by(&word, PROCESS))
		word &= ~(((1ULL << 23) - 1) << 33);
	return describe(&word);
}

/* If the device wrote it in this generation: to which page? */
static long token_page(const void *buf, unsigned int gen)
{
	uint64_t word;

	memcpy(&word, buf, sizeof(word));
	if (!written_by(&word, DEVICE) || (word << 8 >> 8) / 512 >> 24 != gen)
		return -1;
	return (word << 8 >> 8) / 512 & 0xffffff;
}

/* The block device of a folder, and the type of its file system */
static const char *find_device(int dir)
{
	char line[1024], id[32], *bar, type[32], source[256];
	const char *why = "no mountinfo in /proc";
	struct stat st;
	FILE *f;

	if (fstat(dir, &st))
		die("cannot stat the folder");
	snprintf(id, sizeof(id), " %u:%u ", major(st.st_dev),
		 minor(st.st_dev));
	f = fopen("/proc/self/mountinfo", "r");
	while (f && raw < 0 && fgets(line, sizeof(line), f)) {
		why = "the folder's block device is not there";
		bar = strstr(line, " - ");
		if (!bar || !strstr(line, id) ||
		    sscanf(bar, " - %31s %255s", type, source) != 2)
			continue;
		snprintf(file_system, sizeof(file_system), "%s", type);
		raw = open(source, O_RDONLY | O_DIRECT);
	}
	if (f)
		fclose(f);
	return raw < 0 ? why : NULL;
}

static int reference_folder(const char *env)
{
	const char *base = getenv(env);
	char path[512];
	int dir;

	if (!base)
		return -1;
	snprintf(path, sizeof(path), "%s/dax_retarget.reference", base);
	if (mkdir(path, 0700) && errno != EEXIST)
		die("cannot make %s", path);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	if (dir < 0)
		die("cannot open %s", path);
	return dir;
}

/* Returns NULL, or why there can be no twins here */
const char *twins_open(void)
{
	const char *missing;
	struct statfs dax, reference;
	int i;

	if (!getenv("DAX_RETARGET_REFERENCE") || !getenv("DAX_RETARGET_TMPFS"))
		return "no file systems to compare with: run equivalence.sh";
	missing = bench_open(&bench);
	if (missing)
		return missing;
	twins[SIDE_DAX].side.dir = folder_open();
	twins[SIDE_REFERENCE].side.dir =
		reference_folder("DAX_RETARGET_REFERENCE");
	twins[SIDE_TMPFS].side.dir = reference_folder("DAX_RETARGET_TMPFS");
	for (i = 0; i < NR_SIDES; i++) {
		twins[i].side.name = side_names[i];
		twins[i].side.fd = -1;
	}

	if (fstatfs(twins[SIDE_DAX].side.dir, &dax) ||
	    fstatfs(twins[SIDE_REFERENCE].side.dir, &reference))
		die("cannot learn the type of a file system");
	if (dax.f_type != reference.f_type)
		return "the reference is another type of file system";
	missing = find_device(twins[SIDE_DAX].side.dir);
	if (missing)
		return missing;

	conns[0] = bench.conn;
	for (i = 1; i < CONNS; i++)
		conns[i] = conn_open(bench.nic);
	inbox = mmap(NULL, MAX_PAGES * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (inbox == MAP_FAILED)
		die("no memory");
	inbox_mr = nic_register(bench.nic, inbox, MAX_PAGES * PAGE);
	if (!inbox_mr)
		die("cannot register memory");
	return NULL;
}

/* Returns whether the kernel's counters are what they were */
bool twins_close(void)
{
	int i;

	nic_deregister(inbox_mr);
	for (i = 1; i < CONNS; i++)
		conn_close(conns[i]);
	for (i = 0; i < NR_SIDES; i++)
		close(twins[i].side.dir);
	close(raw);
	return bench_close(&bench);
}

const char *twins_file_system(void)
{
	return file_system;
}

/* The device */

static void transfer(struct twin *twin, int n, enum ibv_wr_opcode opcode,
		     uintptr_t addr, void *buf, size_t len)
{
	if (conn_post(conns[n], twin->mr, addr, inbox_mr, buf, len, opcode))
		die("cannot post a request");
}

static void wait_for(struct twin *twin, int n)
{
	int error = conn_complete(conns[n]);

	if (error)
		die("the device cannot reach the file on %s: %s",
		    twin->side.name, conn_error(error));
}

/* The device writes a token to every @step-th page of the region */
static void device_write(struct twin *twin, unsigned int gen, unsigned long nr,
			 unsigned long step)
{
	unsigned int pending[CONNS] = {}, n = 0;
	uint64_t probe[PROBE / 8];
	unsigned long i;

	for (i = 0; i < nr; i += step) {
		n = (n + 1) % CONNS;
		if (pending[n] == CONN_DEPTH)
			wait_for(twin, n);
		else
			pending[n]++;
		fill(probe, PROBE, DEVICE, token(gen, i));
		transfer(twin, n, IBV_WR_RDMA_WRITE,
			 twin->start + i * PAGE + TOKEN_AT, probe, PROBE);
	}
	for (n = 0; n < CONNS; n++)
		while (pending[n]--)
			wait_for(twin, n);
}

/* The device reads all of the region, into the inbox */
static void device_read(struct twin *twin, unsigned long nr)
{
	uintptr_t begin = (uintptr_t)twin->mr->addr;
	uintptr_t end = begin + twin->mr->length;
	uintptr_t middle = twin->start + nr / 2 * PAGE;
	uintptr_t page = (begin + PAGE - 1) / PAGE * PAGE;
	unsigned int pending[CONNS] = {}, n;

	/* A transfer that begins with a page meets one page a packet */
	if (middle <= page)
		middle = page;
	if (page > begin) {
		transfer(twin, 0, IBV_WR_RDMA_READ, begin,
			 inbox + (begin - twin->start), page - begin);
		pending[0]++;
	}
	if (middle > page) {
		transfer(twin, 0, IBV_WR_RDMA_READ, page,
			 inbox + (page - twin->start), middle - page);
		pending[0]++;
	}
	if (end > middle) {
		transfer(twin, 1, IBV_WR_RDMA_READ, middle,
			 inbox + (middle - twin->start), end - middle);
		pending[1]++;
	}
	for (n = 0; n < CONNS; n++)
		while (pending[n]--)
			wait_for(twin, n);
}

static void process_write(struct twin *twin, enum writer_id id,
			  unsigned int gen, const struct layout *layout,
			  unsigned long step)
{
	uint64_t probe[PROBE / 8];
	unsigned long i;

	for (i = 0; i < layout->nr; i += step) {
		fill(probe, PROBE, id, token(gen, i));
		if (pwrite(twin->side.fd, probe, PROBE,
			   (layout->first + i) * PAGE + TOKEN_AT) != PROBE)
			die("cannot write to the file on %s",
			    twin->side.name);
	}
}

/* Of each page of the region, the place on the block device, or 0 */
static void find_blocks(struct twin *twin, const struct layout *layout,
			uint64_t *where)
{
	static struct extents extents;
	unsigned long page;
	unsigned int i;
	uint64_t pos;

	file_extents(twin->side.fd, layout->first * PAGE, layout->nr * PAGE,
		     &extents);
	memset(where, 0, layout->nr * sizeof(*where));
	for (i = 0; i < extents.nr; i++) {
		for (pos = 0; pos < extents.list[i].len; pos += PAGE) {
			page = (extents.list[i].pos + pos) / PAGE;
			where[page - layout->first] = extents.list[i].phys +
						      pos;
		}
	}
}

/* Files */

enum page_kind { DATA, HOLE, UNWRITTEN };

/* The page that the mapping begins with: 2M entries are mapped whole */
static unsigned long first_mapped(const struct layout *layout)
{
	return layout->large ? layout->first / 512 * 512 : layout->first;
}

static enum page_kind kind_of(const struct layout *layout, unsigned long page)
{
	static const enum page_kind kinds[] = {
		DATA, HOLE, HOLE, UNWRITTEN, UNWRITTEN, DATA, UNWRITTEN, HOLE,
	};

	if (!layout->sparse)
		return DATA;
	return kinds[page % ARRAY_SIZE(kinds)];
}

/*
 * Page by page: a longer write would have the page cache take large folios,
 * which can be kept or lost only as a whole.
 */
static void fill_file(struct twin *twin, const struct layout *layout)
{
	unsigned long page, end = layout->nr_pages + !!layout->tail;
	uint64_t pos, buf[PAGE / 8];
	int fd = twin->side.fd;

	if (!layout->large &&
	    ftruncate(fd, layout->nr_pages * PAGE + layout->tail))
		die("cannot set the size of the file on %s", twin->side.name);
	for (page = layout->large ? first_mapped(layout) : 0; page < end;
	     page++) {
		pos = page * PAGE;
		switch (kind_of(layout, page)) {
		case HOLE:
			break;
		case UNWRITTEN:
			if (fallocate(fd, FALLOC_FL_KEEP_SIZE, pos, PAGE) &&
			    errno != EOPNOTSUPP)
				die("no space for the file on %s",
				    twin->side.name);
			break;
		case DATA:
			fill(buf, PAGE, FILLED, pos);
			if (pwrite(fd, buf, page < layout->nr_pages ? PAGE :
				   layout->tail, pos) < 0)
				die("cannot fill the file on %s",
				    twin->side.name);
		}
	}
	if (layout->large &&
	    ftruncate(fd, layout->nr_pages * PAGE))
		die("cannot set the size of the file on %s", twin->side.name);
}

/*
 * Registering a writable mapping of a DAX file gives blocks to holes and makes
 * unwritten extents written. So that the twins stay alike, write zeros there.
 */
static void fill_region(struct twin *twin, const struct layout *layout)
{
	static const char zeros[PAGE];
	uint64_t size = side_size(&twin->side);
	unsigned long i;

	if (!layout->sparse || twin == &twins[SIDE_DAX])
		return;
	for (i = layout->first; i < layout->first + layout->nr; i++) {
		uint64_t pos = i * PAGE;
		size_t len = size - pos < PAGE ? size - pos : PAGE;

		if (kind_of(layout, i) != DATA &&
		    pwrite(twin->side.fd, zeros, len, pos) != (ssize_t)len)
			die("cannot fill the file on %s", twin->side.name);
	}
}

static int twin_create(struct twin *twin)
{
	int fd = openat(twin->side.dir, SIDE_FILE,
			O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd < 0)
		die("cannot create a file on %s", twin->side.name);
	return fd;
}

/* Have the boot loader's file empty again: another file takes its blocks */
static void empty_boot_loader(struct side *side)
{
	struct op swap = { .type = op_find("swap_boot") };
	struct side empty = {
		.fd = openat(side->dir, "empty", O_RDWR | O_CREAT, 0600),
	};

	if (empty.fd < 0 || op_run(&swap, &empty))
		die("cannot empty the boot loader's file");
	close(empty.fd);
	if (unlinkat(side->dir, "empty", 0))
		die("cannot unlink a file");
	side->swapped = false;
}

static void close_twin(struct twin *twin)
{
	struct side *side = &twin->side;

	if (twin->mr)
		nic_deregister(twin->mr);
	twin->mr = NULL;
	side_unmap(side);
	if (side->fd >= 0)
		close(side->fd);
	side->fd = -1;
	if (side->swapped)
		empty_boot_loader(side);
	if (unlinkat(side->dir, SIDE_FILE, 0) && errno != ENOENT)
		die("cannot unlink the file on %s", side->name);
}

/*
 * Open the DAX file with blocks that a 2M entry can map. File systems do not
 * promise it: look where the blocks are, and move them within the file to where
 * they fit. The namespace itself is aligned.
 */
static bool open_large(struct twin *twin, const struct layout *layout)
{
	size_t size = layout->nr_pages * PAGE;
	struct layout mapped = {
		.first = first_mapped(layout),
		.nr = layout->nr_pages - first_mapped(layout),
	};
	static struct extents beginning;
	unsigned long i = 0;
	uint64_t shift;
	int tries;

	for (tries = 0; tries < 3; tries++) {
		twin->side.fd = twin_create(twin);
		if (fallocate(twin->side.fd, 0, 0, size))
			return false;
		file_extents(twin->side.fd, 0, PAGE, &beginning);
		shift = beginning.list[0].phys % PAGE_2M;
		if (shift && fallocate(twin->side.fd, FALLOC_FL_INSERT_RANGE, 0,
				       shift))
			return false;
		find_blocks(twin, &mapped, blocks);
		for (i = 0; i < mapped.nr; i++)
			if (!blocks[0] || blocks[i] != blocks[0] + i * PAGE)
				break;
		if (i == mapped.nr && blocks[0] % PAGE_2M == 0)
			return true;
		/* What was freed is not free yet */
		close(twin->side.fd);
		if (syncfs(twin->side.dir))
			die("cannot sync");
	}
	twin->side.fd = -1;
	return false;
}

/* Does the file system lay files out so? */
bool layout_possible(const struct layout *layout)
{
	struct twin *twin = &twins[SIDE_DAX];
	bool possible = !layout->large || open_large(twin, layout);

	close_twin(twin);
	return possible;
}

static void register_region(struct twin *twin, const struct layout *layout,
			    const struct sequence *sequence)
{
	bool read_only = twin != &twins[SIDE_TMPFS] &&
			 (!sequence->write_pin || twin != &twins[SIDE_DAX]);
	/* Only a region of RDMA may begin and end within a page */
	bool mid_page = layout->mid_page && consumer_is_rdma();
	size_t len = layout->nr * PAGE, margin = mid_page ? MARGIN : 0;
	unsigned long first = first_mapped(layout);
	struct side *side = &twin->side;
	char path[64];
	void *start;
	int fd;

	side->map_len = len;
	if (layout->large)
		side->map_len = (layout->nr_pages - first) * PAGE;
	if (!sequence->write_pin && layout->read_only_map) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", side->fd);
		fd = open(path, O_RDONLY);
		side->map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd,
				 layout->first * PAGE);
		if (fd < 0 || side->map == MAP_FAILED)
			die("cannot map the file on %s", side->name);
		close(fd);
	} else if (layout->large) {
		side->map = file_map_aligned(side->fd, first * PAGE,
					     side->map_len, PAGE_2M);
	} else {
		side->map = file_map(side->fd, layout->first * PAGE, len);
	}
	start = side->map + (layout->first - first) * PAGE;
	twin->start = (uintptr_t)start;
	twin->mr = read_only ?
		nic_register_read_only(bench.nic, start + margin,
				       len - 2 * margin) :
		nic_register(bench.nic, start + margin, len - 2 * margin);
	if (!twin->mr)
		die("cannot register the file on %s", side->name);
	if (layout->unmap)
		side_unmap(side);
}

/* Has the CPU one entry of 2M for the region's first page? */
static bool mapped_as_2m(const struct twin *twin)
{
	struct page_region found;
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.start = twin->start,
		.end = twin->start + PAGE,
		.vec = (uintptr_t)&found,
		.vec_len = 1,
		.category_mask = PAGE_IS_HUGE,
		.return_mask = PAGE_IS_HUGE,
	};
	int fd = open("/proc/self/pagemap", O_RDONLY), nr;

	if (fd < 0)
		die("cannot open /proc/self/pagemap");
	nr = ioctl(fd, PAGEMAP_SCAN, &scan);
	close(fd);
	return nr == 1;
}

static void read_content(struct twin *twin)
{
	ssize_t n;

	if (twin->side.fd < 0) {
		twin->size = 0;
		return;
	}
	twin->size = side_size(&twin->side);
	if (twin->size > twin->room) {
		twin->room = twin->size + PAGE_2M;
		free(twin->content);
		twin->content = malloc(twin->room);
		if (!twin->content)
			die("no memory");
	}
	n = pread(twin->side.fd, twin->content, twin->size, 0);
	if (n != (ssize_t)twin->size)
		die("cannot read the file on %s", twin->side.name);
}

static void keep_content(struct twin *twin)
{
	if (twin->size > before_room) {
		before_room = twin->room;
		free(before_content);
		before_content = malloc(before_room);
		if (!before_content)
			die("no memory");
	}
	memcpy(before_content, twin->content, twin->size);
	before_size = twin->size;
}

/*
 * Is nothing left of a page's content? Pages without any beforehand say
 * nothing, but a token is in each.
 */
static bool content_went(struct twin *twin, unsigned long page)
{
	static const uint64_t zeros[PAGE / 8];
	uint64_t now[PAGE / 8] = {}, before[PAGE / 8] = {};
	size_t pos = page * PAGE, i;
	bool any = false;

	if (pos < twin->size)
		memcpy(now, twin->content + pos,
		       twin->size - pos < PAGE ? twin->size - pos : PAGE);
	if (!memcmp(now, zeros, PAGE))
		return true;
	if (pos < before_size)
		memcpy(before, before_content + pos,
		       before_size - pos < PAGE ? before_size - pos : PAGE);
	for (i = 0; i < PAGE / 8; i++) {
		if (!before[i])
			continue;
		if (now[i])
			return false;
		any = true;
	}
	return any;
}

/* Which pages have left, and which were replaced where they are? */
static void note_departures(const struct layout *layout)
{
	static uint64_t now[MAX_PAGES];
	struct twin *dax = &twins[SIDE_DAX];
	unsigned long i;

	if (dax->side.fd < 0) {
		memset(left, true, sizeof(left));
		return;
	}
	find_blocks(dax, layout, now);
	for (i = 0; i < layout->nr; i++) {
		if (now[i] != blocks[i])
			left[i] = true;
		if (content_went(dax, layout->first + i))
			replaced[i] = true;
	}
}

static void compare_content(struct outcome *outcome, const char *when)
{
	struct twin *dax = &twins[SIDE_DAX], *ref = &twins[SIDE_REFERENCE];
	char saw[256], expected[256];
	size_t pos;

	if (dax->size != ref->size) {
		fail(outcome, "%s: the file on DAX has %zu bytes, the reference %zu\n",
		     when, dax->size, ref->size);
		return;
	}
	if (!dax->size || !memcmp(dax->content, ref->content, dax->size))
		return;
	for (pos = 0; dax->content[pos] == ref->content[pos]; pos++)
		;
	pos = pos / 8 * 8;
	if (pos + 8 > dax->size)
		pos = dax->size - 8;
	snprintf(saw, sizeof(saw), "%s", describe(dax->content + pos));
	snprintf(expected, sizeof(expected), "%s",
		 describe(ref->content + pos));
	fail(outcome,
	     "%s: byte %zu (page %zu) of the file on DAX has %s (%016lx), the reference %s (%016lx)\n",
	     when, pos, pos / PAGE, saw, *(uint64_t *)(dax->content + pos),
	     expected, *(uint64_t *)(ref->content + pos));
}

static void do_operation(const struct sequence *sequence,
			 const struct op *op, struct outcome *outcome)
{
	struct twin *dax = &twins[SIDE_DAX], *ref = &twins[SIDE_REFERENCE];
	char text[128];
	long expected, ret;

	op_print(op, text, sizeof(text));
	outcome->result = op_run(op, &dax->side);
	if (op->type->refused && outcome->result == -op->type->refused) {
		/* The reference would go its own way */
		outcome->refused = true;
		read_content(dax);
		note_departures(sequence->layout);
		if (dax->size != before_size ||
		    memcmp(dax->content, before_content, before_size))
			fail(outcome, "%s: refused, and yet the file has changed\n",
			     text);
		return;
	}
	/* To share nothing is no sharing */
	if (op->type->refused && outcome->result >= 0 &&
	    (op->b || op->type->arguments == OP_NOTHING))
		fail(outcome, "%s: not refused on a pinned DAX file, but %s\n",
		     text, op_result(outcome->result));

	expected = op_run(op, &ref->side);
	if (outcome->result != expected)
		fail(outcome, "%s: %s on DAX, %s on the reference\n", text,
		     op_result(outcome->result), op_result(expected));
	if (sequence->tmpfs) {
		ret = op_run(op, &twins[SIDE_TMPFS].side);
		/* One that did it and one that did not are not alike */
		if (ret < 0 ? outcome->result >= 0 : outcome->result < 0)
			outcome->no_tmpfs = true;
	}
	read_content(dax);
	read_content(ref);
	compare_content(outcome, text);
	note_departures(sequence->layout);
	keep_content(dax);
}

/* As "3-5 9" */
static const char *list_pages(const bool *set, unsigned long nr)
{
	static char text[4][128];
	static unsigned int n;
	unsigned long i, last;
	size_t used = 0;
	char *buf;

	n = (n + 1) % 4;
	buf = text[n];
	snprintf(buf, sizeof(text[n]), "none");
	for (i = 0; i < nr && used < sizeof(text[n]) - 24; i = last + 1) {
		last = i;
		if (!set[i])
			continue;
		while (last + 1 < nr && set[last + 1])
			last++;
		used += snprintf(buf + used, sizeof(text[n]) - used,
				 last > i ? "%s%lu-%lu" : "%s%lu",
				 used ? " " : "", i, last);
	}
	return buf;
}

/* The victim */

/* As victim_grow(), for a file system without fallocate() */
static size_t victim_write(int fd, const struct extents *want, uint64_t *got)
{
	static uint64_t page[PAGE / 8];
	static struct extents have;
	size_t size = lseek(fd, 0, SEEK_END);
	uint64_t need = extents_size(want);

	do {
		fill(page, PAGE, VICTIM, size);
		if (pwrite(fd, page, PAGE, size) != (ssize_t)PAGE)
			break;
		size += PAGE;
		if (size % (256 * PAGE))
			continue;
		file_extents(fd, 0, size, &have);
		*got = extents_shared(&have, want);
	} while (*got < need);
	return size;
}

/* Blocks that left become another file's, which the device cannot reach */
static void check_victim(const struct sequence *sequence, int fd,
			 struct outcome *outcome)
{
	const struct layout *layout = sequence->layout;
	struct twin *dax = &twins[SIDE_DAX];
	static struct extents want;
	unsigned long i;
	uint64_t got;
	size_t size;

	want.nr = 0;
	for (i = 0; i < layout->nr; i++) {
		if (!left[i] || !blocks[i])
			continue;
		want.list[want.nr].phys = blocks[i];
		want.list[want.nr++].len = PAGE;
	}
	if (!want.nr)
		return;
	size = victim_grow(fd, &want, &got);
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, PAGE) && errno == EOPNOTSUPP)
		size = victim_write(fd, &want, &got);
	outcome->victim_pages = got / PAGE;
	if (sequence->write_pin)
		device_write(dax, ++generation, layout->nr, 1);
	if (victim_damage(fd, size) >= 0)
		fail(outcome,
		     "VICTIM DAMAGED: a file has changed that was given blocks of pages %s\n",
		     list_pages(left, layout->nr));
	device_read(dax, layout->nr);
	for (i = 0; i < layout->nr; i++)
		if (written_by(inbox + i * PAGE + TOKEN_AT, VICTIM))
			fail(outcome, "VICTIM DISCLOSED: page %lu of the region reads as %s\n",
			     i, describe(inbox + i * PAGE + TOKEN_AT));
}

/* Probes */

/* Is what the device wrote last in the file's blocks, and in no other? */
static void check_blocks(const struct layout *layout, unsigned int gen,
			 struct outcome *outcome)
{
	struct twin *dax = &twins[SIDE_DAX];
	static char buf[512] __attribute__((aligned(512)));
	static bool reached[MAX_PAGES];
	unsigned long i;
	bool any = false;
	long page;

	for (i = 0; i < layout->nr; i++) {
		reached[i] = false;
		if (!blocks[i])
			continue;
		if (pread(raw, buf, sizeof(buf), blocks[i] + TOKEN_AT) !=
		    sizeof(buf))
			die("cannot read the block device");
		page = token_page(buf, gen);
		if (dax->kept[i] && page != (long)i)
			fail(outcome, "page %lu of the region is coherent, but its block has %s\n",
			     i, describe_token(buf));
		reached[i] = !dax->kept[i] && page >= 0;
		any |= reached[i];
	}
	if (any)
		fail(outcome,
		     "DMA REACHED BLOCKS THAT WERE LOST: what the device has just written is in those that were pages %s; of these, left have %s\n",
		     list_pages(reached, layout->nr),
		     list_pages(left, layout->nr));
}

/* Which pages are kept? */
static void probe(const struct sequence *sequence, struct twin *twin,
		  struct outcome *outcome)
{
	const struct layout *layout = sequence->layout;
	bool write = sequence->write_pin && twin != &twins[SIDE_REFERENCE];
	uint64_t end = (layout->first + layout->nr) * PAGE;
	static bool shown[MAX_PAGES], disclosed[MAX_PAGES];
	uint64_t buf[PROBE / 8];
	bool any = false;
	unsigned long i;

	if (side_size(&twin->side) < end && ftruncate(twin->side.fd, end))
		die("cannot extend the file on %s", twin->side.name);
	process_write(twin, PROCESS, ++generation, layout, 1);
	device_read(twin, layout->nr);
	for (i = 0; i < layout->nr; i++) {
		const char *got = inbox + i * PAGE + TOKEN_AT;

		twin->kept[i] = is_token(got, PROCESS, generation, i);
		/* A scratch page has zeros, or what this device wrote */
		disclosed[i] = twin == &twins[SIDE_DAX] && !twin->kept[i] &&
			       !written_by(got, ZERO) &&
			       !written_by(got, DEVICE);
		if (disclosed[i] && !any)
			fail(outcome, "DISCLOSED: page %lu was lost, but the device reads %s\n",
			     i, describe_token(got));
		any |= disclosed[i];
	}
	if (any)
		fail(outcome, "DISCLOSED: in all, pages %s\n",
		     list_pages(disclosed, layout->nr));
	if (!write)
		return;

	device_write(twin, ++generation, layout->nr, 1);
	for (i = 0; i < layout->nr; i++) {
		if (pread(twin->side.fd, buf, PROBE,
			  (layout->first + i) * PAGE + TOKEN_AT) != PROBE)
			die("cannot read the file on %s", twin->side.name);
		shown[i] = is_token(buf, DEVICE, generation, i);
	}
	if (memcmp(shown, twin->kept, layout->nr))
		fail(outcome,
		     "HALF COHERENT on %s: the device sees what is written to pages %s, the file shows what the device writes to %s\n",
		     twin->side.name, list_pages(twin->kept, layout->nr),
		     list_pages(shown, layout->nr));
	if (twin == &twins[SIDE_DAX])
		check_blocks(layout, generation, outcome);
}

static void check_bounds(const struct sequence *sequence,
			 struct outcome *outcome)
{
	unsigned long nr = sequence->layout->nr, i;
	static bool lost[NR_SIDES][MAX_PAGES];
	bool safe = true, same_fs = true, tmpfs = true, needed = true;
	int side;

	memset(outcome->lost, 0, sizeof(outcome->lost));
	outcome->left = 0;
	for (side = 0; side < NR_SIDES; side++) {
		if (side == SIDE_TMPFS && !sequence->tmpfs)
			break;
		for (i = 0; i < nr; i++) {
			lost[side][i] = !twins[side].kept[i];
			outcome->lost[side] += lost[side][i];
		}
	}
	for (i = 0; i < nr; i++) {
		outcome->left += left[i];
		if (left[i] && !lost[SIDE_DAX][i])
			safe = false;
		if (!lost[SIDE_DAX][i]) {
			if (lost[SIDE_TMPFS][i])
				tmpfs = false;
			continue;
		}
		if (!lost[SIDE_REFERENCE][i])
			same_fs = false;
		if (!lost[SIDE_TMPFS][i])
			tmpfs = false;
		if (!left[i] && !replaced[i])
			needed = false;
	}
	if (!safe)
		fail(outcome, "NOT SAFE: pages %s have left the file, but lost are %s\n",
		     list_pages(left, nr), list_pages(lost[SIDE_DAX], nr));
	if (!same_fs)
		fail(outcome, "NEEDLESS LOSS: DAX has lost pages %s, the reference %s\n",
		     list_pages(lost[SIDE_DAX], nr),
		     list_pages(lost[SIDE_REFERENCE], nr));
	if (!needed)
		fail(outcome,
		     "NEEDLESS LOSS: DAX has lost pages %s; left have %s, and replaced were %s\n",
		     list_pages(lost[SIDE_DAX], nr), list_pages(left, nr),
		     list_pages(replaced, nr));
	if (!tmpfs && sequence->tmpfs && !outcome->no_tmpfs &&
	    !outcome->refused)
		fail(outcome, "UNLIKE TMPFS: DAX has lost pages %s, tmpfs %s\n",
		     list_pages(lost[SIDE_DAX], nr),
		     list_pages(lost[SIDE_TMPFS], nr));
}

/* The file is gone: nothing of what the device writes may be on the medium */
static void check_gone(const struct sequence *sequence,
		       struct outcome *outcome)
{
	const struct layout *layout = sequence->layout;
	struct twin *dax = &twins[SIDE_DAX];

	memset(dax->kept, false, sizeof(dax->kept));
	outcome->left = layout->nr;
	outcome->lost[SIDE_DAX] = layout->nr;
	outcome->lost[SIDE_REFERENCE] = layout->nr;
	if (sequence->write_pin) {
		device_write(dax, ++generation, layout->nr, 1);
		check_blocks(layout, generation, outcome);
	}
	device_read(dax, layout->nr);
}

/**
 * sequence_run - do operations to a pinned DAX file and its twins, and compare
 * @sequence: what to do
 * @outcome: gets what was found
 */
void sequence_run(const struct sequence *sequence, struct outcome *outcome)
{
	const struct layout *layout = sequence->layout;
	int nr_sides = sequence->tmpfs ? NR_SIDES : SIDE_TMPFS;
	struct twin *dax = &twins[SIDE_DAX];
	long tables = stat_read("table_pages");
	/* Of many pages of one IOMMU entry, some will do */
	unsigned long step = layout->large ? 32 : 1;
	int s, victim = -1;
	unsigned int i;

	memset(outcome, 0, sizeof(*outcome));
	memset(left, 0, sizeof(left));
	memset(replaced, 0, sizeof(replaced));
	if (layout->large && !open_large(dax, layout)) {
		outcome->skipped = "no aligned run of 2 MiB";
		close_twin(dax);
		return;
	}
	/* File systems look for space near what a file has */
	if (sequence->victim)
		victim = victim_create();
	for (s = 0; s < nr_sides; s++) {
		struct twin *twin = &twins[s];

		if (s != SIDE_DAX || !layout->large)
			twin->side.fd = twin_create(twin);
		twin->side.swapped = false;
		fill_file(twin, layout);
		fill_region(twin, layout);
		register_region(twin, layout, sequence);
	}

	/* It is what it should be, or small pages were tested again */
	if (layout->large && !mapped_as_2m(dax))
		outcome->skipped = "the CPU has no page of 2 MiB";
	else if (layout->large && layout->nr >= 512 &&
		 stat_read("table_pages") == tables)
		outcome->skipped = "the IOMMU has no pages of 2 MiB";

	find_blocks(dax, layout, blocks);
	for (i = 0; i < layout->nr; i++)
		if (!blocks[i])
			fail(outcome, "page %u of the region was given no block\n",
			     i);

	/* Warms the IOTLB up, too */
	generation++;
	for (s = 0; s < nr_sides; s++) {
		if (!sequence->write_pin)
			process_write(&twins[s], PROCESS, generation, layout,
				      step);
		else if (s == SIDE_REFERENCE)
			process_write(&twins[s], DEVICE, generation, layout,
				      step);
		else
			device_write(&twins[s], generation, layout->nr, step);
	}
	if (!sequence->write_pin && !layout->large) {
		device_read(dax, layout->nr);
		for (i = 0; i < layout->nr; i++)
			if (!is_token(inbox + i * PAGE + TOKEN_AT, PROCESS,
				      generation, i))
				fail(outcome, "page %u of the region was never coherent\n",
				     i);
	}
	read_content(dax);
	read_content(&twins[SIDE_REFERENCE]);
	compare_content(outcome, "before");
	keep_content(dax);

	if (sequence->victim)
		leave_little_space(8 << 20);
	for (i = 0; i < sequence->nr_ops && !outcome->failed; i++)
		do_operation(sequence, &sequence->ops[i], outcome);

	if (sequence->victim) {
		check_victim(sequence, victim, outcome);
		close(victim);
		file_unlink("victim");
		file_unlink("ballast");
	}
	if (dax->side.fd < 0) {
		check_gone(sequence, outcome);
	} else {
		for (s = 0; s < nr_sides; s++)
			probe(sequence, &twins[s], outcome);
		check_bounds(sequence, outcome);
	}
	for (s = 0; s < nr_sides; s++)
		close_twin(&twins[s]);
}
