// SPDX-License-Identifier: GPL-2.0-only
/*
 * A worker of the stress test: random operations on files that it shares with
 * others or not, and on regions of them, and what has to be true of their
 * pages.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress.h"

#define MIN_PAGES	8UL	/* of a file; a smaller one is replaced */
#define MAX_PAGES	1024UL
#define REGIONS		6	/* at a time */
#define RANGE		64UL	/* pages an operation takes away at most */
#define SAMPLE		2	/* pages of a region to look at afterwards */

/* Modes of fallocate(), and one that is not */
#define PUNCH		(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO_RANGE	FALLOC_FL_ZERO_RANGE
#define COLLAPSE	FALLOC_FL_COLLAPSE_RANGE
#define INSERT		FALLOC_FL_INSERT_RANGE
#define TRUNCATE	(-1)

/* --- Files --- */

/* One that an operation is about */
struct target {
	struct slot *slot;
	uint32_t id;
	int fd;
	unsigned long pages;
};

static bool is_mine(uint32_t id)
{
	long nr = (long)(id >> 20) - 1 - SHARED_FILES;

	return nr >= 0 && nr / OWN_FILES == me - shared->jobs;
}

static bool change_slot(struct slot *slot, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&slot->id, &from, to, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* Other workers see the file once it is full, or as full as space allows */
static int make_file(struct slot *slot)
{
	uint32_t id = (slot - shared->slots + 1) << 20 |
		      (add(slot->count, 1) & 0xfffff);
	size_t size = (MIN_PAGES << pick(1 + pick(8))) * PAGE;
	int ret, fd = open_file('f', id, O_CREAT | O_EXCL);

	if (fd < 0)
		return -errno;
	ret = ftruncate(fd, size) ? -errno : 0;
	if (!ret && pick(2))
		fallocate(fd, 0, 0, size);
	if (!ret)
		ret = write_words(fd, id, 0, size, FILLED);
	close(fd);
	if ((ret && ret != -ENOSPC) || !change_slot(slot, 0, id))
		remove_file('f', id);
	return ret;
}

static void forget_file(struct target *t)
{
	if (change_slot(t->slot, t->id, 0))
		remove_file('f', t->id);
}

static int open_target(struct target *t)
{
	struct stat st;
	int ret = 0;

	t->slot = &shared->slots[pick(SHARED_FILES)];
	if (pick(2))
		t->slot = &shared->slots[SHARED_FILES + pick(OWN_FILES) +
					 (me - shared->jobs) * OWN_FILES];
	if (!load(t->slot->id))
		ret = make_file(t->slot);
	t->id = load(t->slot->id);
	if (!t->id)
		return ret ?: -ENOENT;
	t->fd = open_file('f', t->id, 0);
	if (t->fd >= 0 && !fstat(t->fd, &st) &&
	    st.st_size >= (off_t)(MIN_PAGES * PAGE)) {
		t->pages = st.st_size / PAGE;
		return 0;
	}
	/* Others cut it short, or it never reached the medium */
	ret = t->fd < 0 ? -errno : -ENOENT;
	close(t->fd);
	forget_file(t);
	return ret;
}

/* --- Regions, each of a part of a file --- */

/* Did a page leave its file? Of a shared file, only LOST is ever certain. */
enum page_state { UNKNOWN, KEPT, LOST };

struct part {
	struct region region;
	uint32_t id;		/* of the file */
	unsigned long first, nr; /* pages of the file */
	unsigned int epoch;
	bool read_only;
	bool unlinked;
	uint8_t state[MAX_PAGES];
};

static struct part parts[REGIONS];
static struct nic *nic;
static struct conn *conn;

static struct part *next_part(struct part *p)
{
	while (p < parts + REGIONS && !p->region.mr)
		p++;
	return p < parts + REGIONS ? p : NULL;
}

static void set_state(uint32_t id, unsigned long begin, unsigned long end,
		      enum page_state state)
{
	struct part *p;
	unsigned long i;

	for (p = next_part(parts); p; p = next_part(p + 1)) {
		for (i = 0; i < p->nr && p->id == id; i++)
			if (p->first + i >= begin && p->first + i < end &&
			    p->state[i] != LOST)
				p->state[i] = state;
	}
}

/* A file without a name goes when nobody has it open, and its pages with it */
static void file_was_unlinked(uint32_t id)
{
	bool is_open = false;
	struct part *p;

	for (p = next_part(parts); p; p = next_part(p + 1)) {
		if (p->id != id)
			continue;
		p->unlinked = true;
		is_open |= p->region.map || p->region.fd >= 0;
	}
	if (!is_open && is_mine(id))
		set_state(id, 0, ULONG_MAX, LOST);
}

static void expect_device(int error)
{
	if (!error)
		return;
	fail(NO_ERROR, "the device cannot: %s", conn_error(error));
	_exit(0);
}

/* Nobody may see there what belongs to another file */
static void check_owner(const uint64_t *buf, size_t len, uint32_t id,
			uint64_t pos, const char *where)
{
	size_t i;

	for (i = 0; i < len / 8; i++) {
		if (!buf[i] || owner(buf[i]) == id)
			continue;
		fail(NOT_FOREIGN, "FOREIGN DATA %s of %x at byte %lu: %s",
		     where, id, pos + i * 8, tell(buf[i]));
		return;
	}
	add(shared->good[NOT_FOREIGN], 1);
}

static void device_write(struct part *p, unsigned long page)
{
	uint64_t buf[PROBE / 8];

	if (p->read_only)
		return;
	fill(buf, PROBE, DEVICE, place(p->id, page * PAGE));
	expect_device(conn_write(conn, p->region.mr, (page - p->first) * PAGE,
				 buf, PROBE));
}

static void device_read(struct part *p, unsigned long page, size_t offset,
			uint64_t *buf)
{
	expect_device(conn_read(conn, p->region.mr,
				(page - p->first) * PAGE + offset, buf,
				PROBE));
	check_owner(buf, PROBE, p->id, page * PAGE + offset, "by the device");
}

/* The end of a page is not zeros in a file, and no device writes there */
static void check_lost(struct part *p, unsigned long page)
{
	/* An inode goes once no process looks at it any more */
	uint64_t buf[PROBE / 8], end = now_ms() + (p->unlinked ? 30000 : 0);
	ssize_t diff;

	device_write(p, page);
	do {
		device_read(p, page, PAGE - PROBE, buf);
		diff = find_difference(buf, PROBE, ZERO, 0);
	} while (diff >= 0 && now_ms() < end);
	if (diff < 0)
		add(shared->good[LOST_IS_GONE], 1);
	else
		fail(LOST_IS_GONE, "LOST PAGE REACHED, %lu of file %x: %s",
		     page, p->id, tell(buf[diff / 8]));
}

static void check_kept(struct part *p, unsigned long page)
{
	uint64_t buf[PROBE / 8], pos = page * PAGE;
	int fd = p->region.fd < 0 ? open_file('f', p->id, 0) :
				    dup(p->region.fd);
	bool same;

	if (fd < 0)
		return;
	same = !write_words(fd, p->id, pos, PROBE, PROCESS);
	device_read(p, page, 0, buf);
	same &= find_difference(buf, PROBE, PROCESS, place(p->id, pos)) < 0;
	if (same && !p->read_only) {
		device_write(p, page);
		same = pread(fd, buf, PROBE, pos) == PROBE &&
		       find_difference(buf, PROBE, DEVICE,
				       place(p->id, pos)) < 0;
	}
	close(fd);
	if (same)
		add(shared->good[KEPT_IS_COHERENT], 1);
	else if (load(shared->removing) != MEMORY)
		fail(KEPT_IS_COHERENT, "KEPT PAGE NOT COHERENT, %lu of file %x: %s",
		     page, p->id, tell(buf[0]));
}

static void check_page(struct part *p, unsigned long page)
{
	uint64_t buf[PROBE / 8];

	switch (p->state[page - p->first]) {
	case KEPT:
		check_kept(p, page);
		break;
	case LOST:
		check_lost(p, page);
		break;
	default:
		device_write(p, page);
		device_read(p, page, PAGE - PROBE, buf);
	}
}

/* For some pages of a file, among [@begin, @end), that are registered */
static void for_some_pages(uint32_t id, unsigned long begin, unsigned long end,
			   void (*what)(struct part *p, unsigned long page))
{
	unsigned long from, to;	/* as @begin and @end, but of one region */
	struct part *p;
	int i;

	for (p = next_part(parts); p; p = next_part(p + 1)) {
		from = begin > p->first ? begin : p->first;
		to = end < p->first + p->nr ? end : p->first + p->nr;
		for (i = 0; i < SAMPLE && p->id == id && from < to; i++)
			what(p, from + pick(to - from));
	}
}

/* --- Operations: 0, a negative errno, or --- */

#define REFUSED		1	/* as it has to be, or may be */

static int op_deregister(struct part *p)
{
	region_close(&p->region);
	if (p->unlinked)
		file_was_unlinked(p->id);
	return 0;
}

static int op_register(struct target *t, int unused)
{
	struct part *p = &parts[pick(REGIONS)];
	struct region *r = &p->region;
	int error;

	if (r->mr)
		op_deregister(p);
	p->id = t->id;
	p->epoch = load(shared->epoch);
	p->unlinked = false;
	p->read_only = !pick(5);
	p->first = pick(2) ? 0 : pick(t->pages);
	p->nr = 1 + pick(t->pages - p->first);
	if (pick(2))
		p->nr = t->pages - p->first;
	if (p->nr > MAX_PAGES)
		p->nr = MAX_PAGES;
	memset(p->state, is_mine(t->id) ? KEPT : UNKNOWN, sizeof(p->state));

	r->len = p->nr * PAGE;
	r->map = file_map(t->fd, p->first * PAGE, r->len);
	r->mr = (p->read_only ? nic_register_read_only : nic_register)(nic,
			r->map, r->len);
	error = errno;
	if (r->mr) {
		r->fd = pick(2) ? dup(t->fd) : -1;
		return 0;
	}
	region_unmap(r);
	if (error == EOPNOTSUPP &&
	    (!is_mine(t->id) || load(t->slot->cloned) == t->id)) {
		forget_file(t);
		return REFUSED;
	}
	/* Cut short by others, or no space for a hole */
	return error == EFAULT ? REFUSED : -error;
}

static int op_device(struct part *p)
{
	int i;

	for (i = 0; i < 2 * SAMPLE; i++)
		check_page(p, p->first + pick(p->nr));
	return 0;
}

static int op_let_go(struct part *p)
{
	region_unmap(&p->region);
	if (p->unlinked)
		file_was_unlinked(p->id);
	return 0;
}

/* Page faults; beyond the end of the file, and without space, they fail */
static int op_fault(struct part *p)
{
	if (!p->region.map)
		return REFUSED;
	madvise(p->region.map, p->region.len, MADV_DONTNEED);
	if (madvise(p->region.map, p->region.len, MADV_POPULATE_WRITE))
		return errno == EFAULT ? REFUSED : -errno;
	return 0;
}

/* A child inherits mappings, and the NIC, with which our regions outlive us */
static int op_fork(struct part *p)
{
	unsigned long nap = pick(300000), offset = PAGE / 2;
	bool die = pick(2);
	pid_t pid = fork();

	if (pid)
		return pid < 0 ? -errno : 0;
	if (p->region.map)
		fill((char *)p->region.map + offset, 8, FILLED,
		     place(p->id, p->first * PAGE + offset));
	usleep(nap);
	if (die)
		kill(getpid(), SIGKILL);
	region_unmap(&p->region);
	_exit(0);
}

static int op_free(struct target *t, int mode)
{
	unsigned long begin = pick(t->pages - 1), end = ULONG_MAX;
	unsigned long nr = t->pages - 1 - begin;
	uint64_t pos = begin * PAGE, len;
	int ret;

	len = (1 + pick(nr < RANGE ? nr : RANGE)) * PAGE;
	/* Pages that are in the range in part stay */
	if (mode == TRUNCATE && pick(2))
		pos += PROBE + 8 * pick((PAGE - PROBE) / 8);
	if (mode == PUNCH || mode == ZERO_RANGE) {
		pos += pick(2) ? 0 : 8 * pick(PAGE / 8);
		end = (pos + len) / PAGE;
	}
	begin = (pos + PAGE - 1) / PAGE;
	if (mode == INSERT && t->pages > MAX_PAGES)
		mode = COLLAPSE;

	/* Have the IOMMU cache what is about to go */
	for_some_pages(t->id, begin, end, device_write);
	ret = mode == TRUNCATE ? ftruncate(t->fd, pos) :
				 fallocate(t->fd, mode, pos, len);
	ret = ret ? -errno : 0;
	set_state(t->id, begin, end, ret ? UNKNOWN : LOST);
	for_some_pages(t->id, begin, end, check_page);

	/* Somebody else may have cut it short */
	if (ret == -EINVAL && !is_mine(t->id))
		return REFUSED;
	if (ret || mode != TRUNCATE)
		return ret;
	/* Larger again, perhaps with blocks that no region has */
	if (pick(2) && ftruncate(t->fd, t->pages * PAGE))
		ret = -errno;
	if (!ret && pick(2))
		ret = write_words(t->fd, t->id, begin * PAGE,
				  (t->pages - begin) * PAGE, FILLED);
	return ret;
}

static int op_unlink(struct target *t, int unused)
{
	forget_file(t);
	close(t->fd);
	t->fd = -1;
	file_was_unlinked(t->id);
	return 0;
}

static int op_reflink(struct target *t, int unused)
{
	bool pinned = false;
	struct part *p;
	int fd, ret;

	for (p = next_part(parts); p; p = next_part(p + 1))
		pinned |= p->id == t->id && p->epoch == load(shared->epoch);
	store(t->slot->cloned, t->id);
	fd = openat(dir, ".", O_RDWR | O_TMPFILE, 0600);
	ret = fd < 0 || ioctl(fd, FICLONE, t->fd) ? -errno : 0;
	close(fd);
	if (ret == -ETXTBSY && pinned)
		add(shared->good[NOT_SHARED], 1);
	if (!ret && pinned)
		fail(NOT_SHARED, "PINNED FILE SHARED: %x", t->id);
	/* It cannot be registered any more */
	if (!ret)
		return op_unlink(t, 0);
	return ret == -ETXTBSY || ret == -EOPNOTSUPP ? REFUSED : ret;
}

static int op_write(struct target *t, int preallocate)
{
	unsigned long first = pick(t->pages), nr = 1 + pick(t->pages - first);

	if (!preallocate)
		return write_words(t->fd, t->id, first * PAGE, nr * PAGE,
				   FILLED);
	return fallocate(t->fd, 0, first * PAGE, nr * PAGE) ? -errno : 0;
}

static int op_read(struct target *t, int unused)
{
	static uint64_t buf[64 * PAGE / 8];
	uint64_t pos;
	ssize_t n;

	for (pos = 0; (n = pread(t->fd, buf, sizeof(buf), pos)) > 0; pos += n)
		check_owner(buf, n, t->id, pos, "in a file");
	return n < 0 ? -errno : 0;
}

static int op_sync(struct target *t, int all)
{
	return (all ? syncfs(t->fd) : fsync(t->fd)) ? -errno : 0;
}

static const struct operation {
	const char *name;
	unsigned int weight;
	int (*on_part)(struct part *p);
	int (*on_file)(struct target *t, int argument);
	int argument;
} operations[] = {
	{ "register",	20, .on_file = op_register },
	{ "deregister",	4, op_deregister },
	{ "device",	25, op_device },
	{ "let go",	10, op_let_go },
	{ "fault",	5, op_fault },
	{ "fork",	3, op_fork },
	{ "punch",	10, .on_file = op_free, PUNCH },
	{ "zero range",	3, .on_file = op_free, ZERO_RANGE },
	{ "collapse",	3, .on_file = op_free, COLLAPSE },
	{ "insert",	3, .on_file = op_free, INSERT },
	{ "truncate",	6, .on_file = op_free, TRUNCATE },
	{ "unlink",	4, .on_file = op_unlink },
	{ "reflink",	3, .on_file = op_reflink },
	{ "allocate",	3, .on_file = op_write, true },
	{ "write",	6, .on_file = op_write, false },
	{ "read",	5, .on_file = op_read },
	{ "fsync",	2, .on_file = op_sync, false },
	{ "syncfs",	1, .on_file = op_sync, true },
};

const char *operation_name(unsigned int i)
{
	return i < ARRAY_SIZE(operations) ? operations[i].name : NULL;
}

static const struct operation *pick_operation(void)
{
	const struct operation *op = operations;
	unsigned int i, sum = 0, n;

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		sum += operations[i].weight;
	for (n = pick(sum); n >= op->weight; op++)
		n -= op->weight;
	return op;
}

static void run_operation(const struct operation *op)
{
	struct part *p = &parts[pick(REGIONS)];
	unsigned int nr = op - operations;
	int ret = REFUSED;
	struct target t;

	doing(op->name);
	if (op->on_part && p->region.mr) {
		ret = op->on_part(p);
	} else if (op->on_file) {
		ret = open_target(&t);
		if (!ret) {
			ret = op->on_file(&t, op->argument);
			close(t.fd);
		}
	}
	if (ret) {
		add(shared->refused[nr], 1);
	} else {
		add(shared->done[nr], 1);
		add(shared->good[NO_ERROR], 1);
	}
	if (ret == -ENOSPC)
		store(shared->wants_space, true);
	else if (ret < 0 && ret != -ENOENT && load(shared->removing) != MEMORY)
		fail(NO_ERROR, "%s", strerror(-ret));
}

/* The file system goes, and the pages with it. The device does not stop. */
static void let_file_system_go(unsigned int epoch)
{
	struct part *p;
	int i;

	for (i = 0; i < REGIONS; i++)
		region_unmap(&parts[i].region);
	close(dir);
	doing("waiting for children");
	while (waitpid(-1, NULL, 0) > 0)
		;
	store(me->let_go, epoch);
	while (load(shared->epoch) == epoch) {
		/* The checker, which would mount it again, is gone */
		if (!load(shared->jobs[options.jobs].pid))
			_exit(0);
		doing("writing without a file");
		for (p = next_part(parts); p; p = next_part(p + 1))
			device_write(p, p->first + pick(p->nr));
		sleep_ms(10);
	}
	dir = folder_open();
	doing("looking for pages that are left");
	for (p = next_part(parts); p; p = next_part(p + 1)) {
		p->unlinked = false;
		set_state(p->id, 0, ULONG_MAX, LOST);
		check_lost(p, p->first + pick(p->nr));
	}
}

/* VFIO gives a device to one process at a time */
static unsigned int nic_of_worker(void)
{
	if (!consumer_is_rdma())
		return me - shared->jobs;
	return nic_exists(1) ? pick(2) : 0;
}

/**
 * work - live the life of a worker
 *
 * It ends in an orderly way, with exit(), or by SIGKILL at any time.
 */
void work(void)
{
	unsigned int epoch;
	unsigned long i;

	for (i = 0; i < REGIONS; i++)
		parts[i].region.fd = -1;
	reseed(me - shared->jobs, me->life, 0);
	nic = nic_open(nic_of_worker());
	conn = conn_open(nic);
	for (i = 1; !load(shared->stop); i++) {
		epoch = load(shared->epoch);
		if (epoch & 1)
			let_file_system_go(epoch);
		else if (dir < 0)
			dir = folder_open();
		reseed(me - shared->jobs, me->life, i);
		if (!pick(100))
			break;
		run_operation(pick_operation());
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	doing("ending");
	if (pick(2))
		return;
	for (i = 0; i < REGIONS; i++)
		region_close(&parts[i].region);
	conn_close(conn);
	nic_close(nic);
}
