// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: which pins reach which pages of a file
 *
 * Each file with pins has an interval tree of the pinned page offsets. The key
 * is the file's address_space and not a page: DAX entries and page->mapping
 * come and go (punching 4K out of a 2M entry drops the entry of 511 pages that
 * stay), while a pinned page offset stays pinned.
 *
 * A file is looked up by a hash of its address_space. AS_DAX_PINNED in the
 * mapping is set exactly while the file is in the table, and is all that a file
 * without pins pays.
 */

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/dax_retarget.h>
#include <linux/dcache.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/pagemap.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "internal.h"

#include <trace/events/dax_retarget.h>

/* Protects the table, the removal from it, and dax_pinned_file.mapping */
static DEFINE_SPINLOCK(files_lock);
static DEFINE_HASHTABLE(files, 10);

static struct dax_pinned_file *find_locked(struct address_space *mapping)
{
	struct dax_pinned_file *file;

	lockdep_assert_held(&files_lock);
	hash_for_each_possible(files, file, hash, (unsigned long)mapping)
		if (file->mapping == mapping)
			return file;
	return NULL;
}

static struct dax_pinned_file *file_find(struct address_space *mapping)
{
	struct dax_pinned_file *file;

	spin_lock(&files_lock);
	file = find_locked(mapping);
	if (file)
		refcount_inc(&file->refs);
	spin_unlock(&files_lock);
	return file;
}

static struct dax_pinned_file *file_find_or_add(struct address_space *mapping)
{
	struct dax_pinned_file *file, *new;

	file = file_find(mapping);
	if (file)
		return file;

	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return NULL;
	init_rwsem(&new->rwsem);
	lock_in_reclaim(&new->rwsem);
	new->ranges = RB_ROOT_CACHED;
	refcount_set(&new->refs, 1);
	new->mapping = mapping;
	new->dev = mapping->host->i_sb->s_dev;
	new->ino = mapping->host->i_ino;

	spin_lock(&files_lock);
	file = find_locked(mapping);
	if (file) {
		refcount_inc(&file->refs);
	} else {
		hash_add(files, &new->hash, (unsigned long)mapping);
		set_bit(AS_DAX_PINNED, &mapping->flags);
		dax_retarget_stat_add(DAX_STAT_FILES, 1);
		swap(file, new);
	}
	spin_unlock(&files_lock);
	kfree(new);
	return file;
}

/* The inode can leave memory again: let the shrinker see it */
static void unpin_mapping(struct address_space *mapping)
{
	struct inode *inode = mapping->host;

	/* Eviction takes i_lock after clear_inode(): it waits here if it must */
	spin_lock(&inode->i_lock);
	clear_bit(AS_DAX_PINNED, &mapping->flags);
	inode_add_lru(inode);
	spin_unlock(&inode->i_lock);
}

/**
 * dax_pinned_file_put - drop a reference to a pinned file
 * @file: the file
 *
 * Context: any but interrupts
 */
void dax_pinned_file_put(struct dax_pinned_file *file)
{
	bool last;

	spin_lock(&files_lock);
	last = refcount_dec_and_test(&file->refs);
	if (last) {
		hash_del(&file->hash);
		if (file->mapping)
			unpin_mapping(file->mapping);
	}
	spin_unlock(&files_lock);
	if (last) {
		dax_retarget_stat_add(DAX_STAT_FILES, -1);
		kfree(file);
	}
}

/**
 * dax_pinned_file_detach - forget the inode of a pinned file
 * @mapping: the pages of an inode that is about to be freed
 *
 * The pins stay; all their pages of the file have been retargeted.
 */
void dax_pinned_file_detach(struct address_space *mapping)
{
	struct dax_pinned_file *file;

	spin_lock(&files_lock);
	file = find_locked(mapping);
	if (file) {
		file->mapping = NULL;
		clear_bit(AS_DAX_PINNED, &mapping->flags);
	}
	spin_unlock(&files_lock);
}

/* The pin's newest range, if it goes on where the new pages begin */
static struct dax_pin_range *range_before(struct dax_pin *pin,
					  struct dax_pinned_file *file,
					  pgoff_t pgoff, unsigned long first)
{
	struct dax_pin_range *range;

	if (list_empty(&pin->ranges))
		return NULL;
	range = list_last_entry(&pin->ranges, struct dax_pin_range, link);
	if (range->file != file || range->node.last + 1 != pgoff ||
	    range->first + (pgoff - range->node.start) != first)
		return NULL;
	return range;
}

/* The mutex, too, for those who look at a pin's ranges and not at a file's */
static void set_last(struct dax_pin_range *range, unsigned long last)
{
	struct dax_pinned_file *file = range->file;

	down_write(&file->rwsem);
	mutex_lock(&range->pin->mutex);
	interval_tree_remove(&range->node, &file->ranges);
	range->node.last = last;
	interval_tree_insert(&range->node, &file->ranges);
	mutex_unlock(&range->pin->mutex);
	up_write(&file->rwsem);
}

/**
 * dax_pin_add_range - let the hooks know that pages are about to be pinned
 * @pin: the pin
 * @mapping: pages of the file
 * @pgoff: first page offset
 * @nr: number of pages
 * @first: index of the first page within the pin
 *
 * From here on, a hook that takes one of the pages back marks it in the pin.
 *
 * Context: the task that registers @pin; @mapping's inode is held by a VMA. May
 *	    sleep and allocate.
 * Return: the range that ends with the new pages (an older one is extended if
 *	   it can be), or %NULL if there is no memory
 */
struct dax_pin_range *dax_pin_add_range(struct dax_pin *pin,
					struct address_space *mapping,
					pgoff_t pgoff, unsigned long nr,
					unsigned long first)
{
	struct dax_pinned_file *file;
	struct dax_pin_range *range;

	file = file_find_or_add(mapping);
	if (!file)
		return NULL;

	range = range_before(pin, file, pgoff, first);
	if (range) {
		set_last(range, range->node.last + nr);
		dax_pinned_file_put(file);
		goto out;
	}

	range = kzalloc(sizeof(*range), GFP_KERNEL_ACCOUNT);
	if (!range) {
		dax_pinned_file_put(file);
		return NULL;
	}
	range->pin = pin;
	range->file = file;
	range->first = first;
	range->node.start = pgoff;
	range->node.last = pgoff + nr - 1;
	mutex_lock(&pin->mutex);
	list_add_tail(&range->link, &pin->ranges);
	mutex_unlock(&pin->mutex);

	down_write(&file->rwsem);
	interval_tree_insert(&range->node, &file->ranges);
	up_write(&file->rwsem);
	if (pin->writable)
		atomic_long_inc(&file->nr_writable);
out:
	trace_dax_pin_register(pin, mapping->host->i_sb->s_dev,
			       mapping->host->i_ino, pgoff, nr, first);
	return range;
}

/**
 * dax_pin_remove_range - take a range out of the index
 * @range: a range of a pin; freed
 *
 * Context: the task that registers or ends the pin; no translation to the pages
 *	    is left. May sleep; waits for hooks that run on the file.
 */
void dax_pin_remove_range(struct dax_pin_range *range)
{
	struct dax_pinned_file *file = range->file;

	down_write(&file->rwsem);
	interval_tree_remove(&range->node, &file->ranges);
	up_write(&file->rwsem);
	if (range->pin->writable)
		atomic_long_dec(&file->nr_writable);

	mutex_lock(&range->pin->mutex);
	list_del(&range->link);
	mutex_unlock(&range->pin->mutex);
	dax_pinned_file_put(file);
	kfree(range);
}

/**
 * dax_pin_trim_range - give up the last pages of a range
 * @range: the newest range of a pin that registers
 * @nr: pages at its end that could not be pinned
 *
 * Marks on these pages are forgotten as well: they belong to this attempt, and
 * the next one may find other blocks there. Frees @range if nothing is left.
 *
 * Context: the task that registers the pin. May sleep.
 */
void dax_pin_trim_range(struct dax_pin_range *range, unsigned long nr)
{
	unsigned long pages = range->node.last - range->node.start + 1;
	struct dax_pin *pin = range->pin;
	unsigned long first = range->first + pages - nr;
	unsigned long i;

	if (!nr)
		return;

	if (pages == nr)
		dax_pin_remove_range(range);
	else
		set_last(range, range->node.last - nr);

	/* No hook reaches these pages any more */
	mutex_lock(&pin->mutex);
	for (i = first; i < first + nr; i++)
		pin->nr_retargeted -= test_bit(i, pin->retargeted);
	bitmap_clear(pin->retargeted, first, nr);
	mutex_unlock(&pin->mutex);
}

static struct dax_pin_range *to_range(struct interval_tree_node *node)
{
	return node ? container_of(node, struct dax_pin_range, node) : NULL;
}

/* Ranges with pages in [@first, @last], in order of their first page offset */
static struct dax_pin_range *first_range(struct dax_pinned_file *file,
					 pgoff_t first, pgoff_t last)
{
	return to_range(interval_tree_iter_first(&file->ranges, first, last));
}

static struct dax_pin_range *next_range(struct dax_pin_range *range,
					pgoff_t first, pgoff_t last)
{
	return to_range(interval_tree_iter_next(&range->node, first, last));
}

/* Indexes, within the pin, of the pages of @range in [@first, @last] */
static void range_clip(struct dax_pin_range *range, pgoff_t first, pgoff_t last,
		       unsigned long *begin, unsigned long *end)
{
	first = max(first, range->node.start);
	last = min(last, range->node.last);
	*begin = range->first + (first - range->node.start);
	*end = range->first + (last - range->node.start);
}

/*
 * A name of the file within @buf, or NULL if none is known or short enough.
 * Without a reference to inode or dentry, which could be the last: a pin keeps
 * no file system from being unmounted, and nor does a look at it.
 */
static const char *find_path(struct dax_pinned_file *file, char *buf, int size)
{
	struct dentry *alias = NULL;
	char *path = NULL;

	rcu_read_lock();
	spin_lock(&files_lock);
	if (file->mapping)
		alias = d_find_alias_rcu(file->mapping->host);
	spin_unlock(&files_lock);
	if (alias)
		path = dentry_path_raw(alias, buf, size);
	rcu_read_unlock();
	return IS_ERR(path) ? NULL : path;
}

static void place_init(struct dax_event_place *place,
		       struct dax_pinned_file *file)
{
	const char *path = NULL;

	place->dev = file->dev;
	place->ino = file->ino;
	if (dax_event_wanted())
		path = find_path(file, place->path, sizeof(place->path));
	if (path)
		memmove(place->path, path, strlen(path) + 1);
	else
		place->path[0] = '\0';
}

/*
 * Take back what pages [@first, @last] of the file have in @range, and tell.
 * Under the file's rwsem. Returns the number of pages.
 */
static unsigned long retarget_range(struct dax_pin_range *range, pgoff_t first,
				    pgoff_t last, bool stays,
				    enum dax_retarget_reason reason,
				    struct dax_event_place *place,
				    struct retarget_gather *gather)
{
	struct dax_pin *pin = range->pin;
	unsigned long begin, end, nr;

	range_clip(range, first, last, &begin, &end);
	mutex_lock(&pin->mutex);
	nr = dax_pin_retarget(pin, begin, end, stays, gather);
	if (nr) {
		place->offset = (u64)(range->node.start + begin -
				      range->first) << PAGE_SHIFT;
		dax_event(pin, begin, end - begin + 1, place, reason, nr);
	}
	mutex_unlock(&pin->mutex);
	cond_resched();
	return nr;
}

/*
 * Call @visit under the file's rwsem for each part of [@first, @last] that has
 * pins. The parts are small, so that neither a registration nor whoever looks at
 * a pin waits until terabytes are written back. Returns the sum.
 */
static unsigned long visit_windows(struct dax_pinned_file *file, pgoff_t first,
				   pgoff_t last,
				   unsigned long (*visit)(struct dax_pinned_file *file,
							  pgoff_t first,
							  pgoff_t last,
							  void *arg),
				   void *arg)
{
	struct dax_pin_range *range;
	unsigned long sum = 0;
	pgoff_t end;

	for (;;) {
		down_read(&file->rwsem);
		range = first_range(file, first, last);
		if (range) {
			first = max(first, range->node.start);
			end = min(last, first + DAX_SYNC_BATCH - 1);
			sum += visit(file, first, end, arg);
		}
		up_read(&file->rwsem);
		if (!range || end == last)
			return sum;
		first = end + 1;
		cond_resched();
	}
}

/* What a hook says of the pages */
struct hook {
	bool stays;
	enum dax_retarget_reason reason;
	struct dax_event_place place;
};

static unsigned long retarget_window(struct dax_pinned_file *file,
				     pgoff_t first, pgoff_t last, void *arg)
{
	struct retarget_gather gather;
	struct dax_pin_range *range;
	struct hook *hook = arg;
	unsigned long nr = 0;

	retarget_gather_init(&gather);
	for (range = first_range(file, first, last); range;
	     range = next_range(range, first, last))
		nr += retarget_range(range, first, last, hook->stays,
				     hook->reason, &hook->place, &gather);
	retarget_gather_flush(&gather);
	return nr;
}

/**
 * dax_retarget_file - take pages of a file back from all devices
 * @mapping: pages of the file
 * @first: first page offset
 * @last: last page offset
 * @reason: why
 *
 * When it returns, no DMA through a pin reaches the pages any more, and pins
 * that are still being made will not let any through.
 *
 * Context: the caller excludes page faults on the range (invalidate_lock, or no
 *	    VMA is left). May sleep; neither allocates nor waits for user space.
 * Return: number of pages taken back, counted once for each pin
 */
unsigned long dax_retarget_file(struct address_space *mapping, pgoff_t first,
				pgoff_t last, enum dax_retarget_reason reason)
{
	struct hook hook = { .reason = reason };
	struct dax_pinned_file *file;
	unsigned long nr;

	file = file_find(mapping);
	if (!file)
		return 0;

	/*
	 * Pages below the end of the file may move in it, or to another, which
	 * can have a name where this one has none. A deleted file takes its own
	 * along.
	 */
	hook.stays = (mapping->host->i_nlink || !mapping_exiting(mapping)) &&
		     first < DIV_ROUND_UP_ULL(i_size_read(mapping->host),
					      PAGE_SIZE);
	place_init(&hook.place, file);
	if (hook.stays) {
		/* No page is pinned between two windows: see the context */
		nr = visit_windows(file, first, last, retarget_window, &hook);
	} else {
		down_read(&file->rwsem);
		nr = retarget_window(file, first, last, &hook);
		up_read(&file->rwsem);
	}

	dax_retarget_stat_add(DAX_STAT_HOOKS, 1);
	if (nr)
		trace_dax_retarget_file(mapping->host->i_sb->s_dev,
					mapping->host->i_ino, first, last,
					reason, nr);
	dax_pinned_file_put(file);
	return nr;
}

/**
 * dax_pinned_file_reaches - does a device reach a page of a file?
 * @mapping: pages of the file
 * @pgoff: page offset
 *
 * Context: may sleep
 * Return: true if the page is in a pin, its frame is known, and it was not
 *	   taken back
 */
bool dax_pinned_file_reaches(struct address_space *mapping, pgoff_t pgoff)
{
	struct dax_pin_range *range;
	struct dax_pinned_file *file;
	bool reaches = false;

	file = file_find(mapping);
	if (!file)
		return false;

	down_read(&file->rwsem);
	for (range = first_range(file, pgoff, pgoff); range;
	     range = next_range(range, pgoff, pgoff)) {
		struct dax_pin *pin = range->pin;
		unsigned long index = range->first +
				      (pgoff - range->node.start);

		mutex_lock(&pin->mutex);
		reaches |= pin->state != DAX_PIN_DEAD &&
			   dax_pin_owns_page(pin, index) &&
			   !test_bit(index, pin->retargeted);
		mutex_unlock(&pin->mutex);
	}
	up_read(&file->rwsem);
	dax_pinned_file_put(file);
	return reaches;
}

/*
 * Call @visit for each file with pins. A reference keeps a file in the table,
 * hence the iteration valid over the unlocked part.
 */
static void visit_files(void (*visit)(struct dax_pinned_file *file, void *arg),
			void *arg)
{
	struct dax_pinned_file *file, *last = NULL;
	int bucket;

	spin_lock(&files_lock);
	hash_for_each(files, bucket, file, hash) {
		refcount_inc(&file->refs);
		spin_unlock(&files_lock);
		if (last)
			dax_pinned_file_put(last);
		last = file;
		visit(file, arg);
		spin_lock(&files_lock);
	}
	spin_unlock(&files_lock);
	if (last)
		dax_pinned_file_put(last);
}

/* Page frames, and what was found of them */
struct frames {
	unsigned long pfn;
	unsigned long nr;
	unsigned long done;
};

/* Tell of pages [@begin, @end] of a pin, in @range. Under the pin's mutex. */
static void frames_event(struct dax_pin_range *range, unsigned long begin,
			 unsigned long end, enum dax_retarget_reason reason,
			 unsigned long nr)
{
	struct dax_event_place place;

	place_init(&place, range->file);
	place.offset = (u64)(range->node.start + begin - range->first) <<
		       PAGE_SHIFT;
	dax_event(range->pin, begin, end - begin + 1, &place, reason, nr);
}

static void retarget_frames_of(struct dax_pinned_file *file, void *arg)
{
	struct dax_pin_range *range;
	struct retarget_gather gather;
	struct frames *frames = arg;

	retarget_gather_init(&gather);
	down_read(&file->rwsem);
	for (range = first_range(file, 0, ULONG_MAX); range;
	     range = next_range(range, 0, ULONG_MAX)) {
		unsigned long begin, end, nr;

		range_clip(range, 0, ULONG_MAX, &begin, &end);
		mutex_lock(&range->pin->mutex);
		nr = dax_pin_retarget_frames(range->pin, begin, end,
					     frames->pfn, frames->nr, &gather);
		if (nr)
			frames_event(range, begin, end,
				     DAX_RETARGET_REASON_REMOVE, nr);
		mutex_unlock(&range->pin->mutex);
		frames->done += nr;
		cond_resched();
	}
	retarget_gather_flush(&gather);
	up_read(&file->rwsem);
}

/**
 * dax_retarget_frames - take page frames back from all devices
 * @pfn: first page frame number
 * @nr: number of frames
 *
 * For memory that goes away. Rare, so it walks all files instead of keeping an
 * index of frames. A file that is added meanwhile has no such frame.
 *
 * Context: no new reference to the frames can be taken. May sleep; neither
 *	    allocates nor waits for user space.
 * Return: number of pages taken back, counted once for each pin
 */
unsigned long dax_retarget_frames(unsigned long pfn, unsigned long nr)
{
	struct frames frames = { .pfn = pfn, .nr = nr };

	visit_files(retarget_frames_of, &frames);
	if (frames.done)
		trace_dax_retarget_file(0, 0, 0, 0, DAX_RETARGET_REASON_REMOVE,
					frames.done);
	return frames.done;
}

static void report_failure_of(struct dax_pinned_file *file, void *arg)
{
	struct dax_pin_range *range;
	struct frames *frames = arg;

	down_read(&file->rwsem);
	for (range = first_range(file, 0, ULONG_MAX); range;
	     range = next_range(range, 0, ULONG_MAX)) {
		unsigned long begin, end, index;

		range_clip(range, 0, ULONG_MAX, &begin, &end);
		mutex_lock(&range->pin->mutex);
		if (dax_pin_find_failure(range->pin, begin, end, frames->pfn,
					 &index)) {
			frames_event(range, index, index,
				     DAX_RETARGET_REASON_MEMORY_FAILURE, 1);
			dax_pin_count(range->pin, DAX_STAT_PAGES_FAILED, 1);
		}
		mutex_unlock(&range->pin->mutex);
		cond_resched();
	}
	up_read(&file->rwsem);
}

/**
 * dax_pins_memory_failure - persistent memory that devices may reach has failed
 * @pfn: page frame number
 *
 * An event, no more: a device that was pointed elsewhere would read zeros where
 * it now gets an error.
 *
 * Context: from memory_failure(), which holds the page map. May sleep, does not
 *	    allocate.
 */
void dax_pins_memory_failure(unsigned long pfn)
{
	struct frames frames = { .pfn = pfn, .nr = 1 };

	if (dax_retarget_broken(DAX_BREAK_report_failure))
		return;
	visit_files(report_failure_of, &frames);
}

static void leave_device_of(struct dax_pinned_file *file, void *dev)
{
	struct dax_pin_range *range;

	/* For write: hooks that run may still have to flush the domain */
	down_write(&file->rwsem);
	for (range = first_range(file, 0, ULONG_MAX); range;
	     range = next_range(range, 0, ULONG_MAX)) {
		struct dax_pin *pin = range->pin;

		mutex_lock(&pin->mutex);
		if (pin->dev == dev && dax_pin_unmap_locked(pin))
			dev_warn_ratelimited(dev, "dax_retarget: a memory region of %s has outlived the device's driver; its file stays pinned\n",
					     pin->consumer);
		mutex_unlock(&pin->mutex);
	}
	up_write(&file->rwsem);
}

/**
 * dax_pins_leave_device - a device has no driver any more
 * @dev: the device
 *
 * Its pins have ended by now, unless the driver failed to destroy what they are
 * of, and left it behind: as some do when the device does not answer. Nothing
 * shall reach files then that nobody knows of, and no hook may touch a domain
 * that can go from now on.
 *
 * Context: process context, @dev's domain is still there. May sleep.
 */
void dax_pins_leave_device(struct device *dev)
{
	visit_files(leave_device_of, dev);
}

/* Write back pages [@first, @last] of the file. Returns how many there were. */
static unsigned long sync_window(struct dax_pinned_file *file, pgoff_t first,
				 pgoff_t last, void *unused)
{
	struct dax_pin_range *range;
	unsigned long nr, done = 0;

	for (range = first_range(file, first, last); range;
	     range = next_range(range, first, last)) {
		unsigned long begin, end;

		range_clip(range, first, last, &begin, &end);
		mutex_lock(&range->pin->mutex);
		nr = dax_pin_write_back_locked(range->pin, begin, end);
		mutex_unlock(&range->pin->mutex);
		done += nr;
		if (nr < end - begin + 1)
			continue;
		/* Several pins often are of the same pages: once is enough */
		if (range->node.last >= last)
			break;
		if (range->node.start <= first)
			first = range->node.last + 1;
	}
	return done;
}

/**
 * dax_pins_sync_range - make durable what devices wrote to a range of a file
 * @mapping: pages of the file
 * @lstart: first byte
 * @lend: last byte
 *
 * DMA that had ended before the call is in reach of a flush of the medium when
 * it returns. Nobody knows what a device has written, so all that it could have
 * is written back.
 *
 * Context: where data of the file is written back for its integrity. May sleep,
 *	    does not allocate.
 */
void dax_pins_sync_range(struct address_space *mapping, loff_t lstart,
			 loff_t lend)
{
	struct dax_pinned_file *file = file_find(mapping);

	if (!file)
		return;
	visit_windows(file, lstart >> PAGE_SHIFT, lend >> PAGE_SHIFT,
		      sync_window, NULL);
	dax_pinned_file_put(file);
}

static bool file_is_of(struct dax_pinned_file *file, struct super_block *sb)
{
	lockdep_assert_held(&files_lock);
	return file->mapping && file->mapping->host->i_sb == sb;
}

static void sync_file_of(struct dax_pinned_file *file, void *sb)
{
	bool wanted;

	spin_lock(&files_lock);
	wanted = file_is_of(file, sb);
	spin_unlock(&files_lock);
	if (wanted)
		visit_windows(file, 0, ULONG_MAX, sync_window, NULL);
}

/**
 * dax_pinned_files_sync - write back what devices wrote to a file system
 * @sb: the file system
 *
 * Context: as dax_pins_sync_range()
 */
void dax_pinned_files_sync(struct super_block *sb)
{
	visit_files(sync_file_of, sb);
}

/**
 * dax_pins_write_to - can devices write to files of a file system?
 * @sb: the file system
 *
 * Context: process context
 * Return: true if there is a pin for writing of one of its files. That is
 *	   logged, since no open file is to be found.
 */
bool dax_pins_write_to(struct super_block *sb)
{
	struct dax_pinned_file *file;
	bool found = false;
	int bucket;

	if (dax_retarget_broken(DAX_BREAK_refuse_remount))
		return false;

	spin_lock(&files_lock);
	hash_for_each(files, bucket, file, hash) {
		found = file_is_of(file, sb) &&
			atomic_long_read(&file->nr_writable);
		if (found)
			break;
	}
	spin_unlock(&files_lock);
	if (found)
		pr_notice_ratelimited("dax_retarget: %s stays writable: a device can write to pinned files, which remounting read-only cannot stop\n",
				      sb->s_id);
	return found;
}

/**
 * dax_pinned_file_path - find a name of a pinned file
 * @file: the file
 * @buf: memory for it
 * @size: of @buf
 * @path: gets the name, from the root of the file system, or %NULL if there is
 *	  none that is known
 *
 * Context: does not sleep
 * Return: true if the inode is in memory
 */
bool dax_pinned_file_path(struct dax_pinned_file *file, char *buf, int size,
			  const char **path)
{
	bool known;

	*path = find_path(file, buf, size);
	spin_lock(&files_lock);
	known = file->mapping;
	spin_unlock(&files_lock);
	return known;
}

static bool revocation_matches(struct dax_revocation *revocation,
			       struct dax_pin *pin)
{
	if (revocation->id && revocation->id != pin->id)
		return false;
	if (revocation->device && strcmp(revocation->device, pin->stats->name))
		return false;
	if (revocation->owner && revocation->owner != pin->owner)
		return false;
	if (!revocation->allowed(pin, revocation->data))
		return false;
	revocation->matched++;
	return true;
}

static unsigned long revoke_window(struct dax_pinned_file *file, pgoff_t first,
				   pgoff_t last, void *arg)
{
	struct dax_revocation *revocation = arg;
	struct retarget_gather gather;
	struct dax_event_place place;
	struct dax_pin_range *range;
	unsigned long nr, sum = 0;
	bool placed = false;

	/* Who is killed does not go on, but has to get to the end */
	if (fatal_signal_pending(current))
		return 0;
	retarget_gather_init(&gather);
	for (range = first_range(file, first, last); range;
	     range = next_range(range, first, last)) {
		struct dax_pin *pin = range->pin;

		if (!revocation_matches(revocation, pin))
			continue;
		if (!placed)
			place_init(&place, file);
		placed = true;
		/* The blocks stay in the file */
		nr = retarget_range(range, first, last, true,
				    DAX_RETARGET_REASON_REVOKE, &place,
				    &gather);
		if (nr && pin->revoked != revocation->number) {
			pin->revoked = revocation->number;
			revocation->pins++;
		}
		sum += nr;
	}
	retarget_gather_flush(&gather);
	return sum;
}

static void revoke_of(struct dax_pinned_file *file, void *arg)
{
	struct dax_revocation *revocation = arg;

	if (revocation->by_dev && revocation->dev != file->dev)
		return;
	if (revocation->by_ino && revocation->ino != file->ino)
		return;

	revocation->pages += visit_windows(file, revocation->first,
					   revocation->last, revoke_window,
					   revocation);
}

/**
 * dax_pins_revoke - take pages back because an administrator wants it
 * @revocation: which; counts what was done
 *
 * Of a pin that is still being registered, what it has so far is taken. Ends early
 * when the caller is killed.
 *
 * Context: one request at a time. May sleep.
 */
void dax_pins_revoke(struct dax_revocation *revocation)
{
	visit_files(revoke_of, revocation);
}
