// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: what file systems and the mm call when pages leave a file
 *
 * A hook takes the pages back from every pin that has them, and returns when no
 * DMA reaches the pages any more. The pages are found by their offset in the
 * file.
 *
 * A file system that knows that blocks are about to be freed says so, by
 * dax_retarget_free_range(). Where the pages of a file are only dropped, by
 * dax_retarget_range(), the blocks may stay in a file: what the device wrote is
 * written back.
 */

#include <linux/bitmap.h>
#include <linux/dax_retarget.h>
#include <linux/dax_retarget_test.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "internal.h"

#include <trace/events/dax_retarget.h>

/* Some pages may have got another mapping since they were replaced */
static void replace_again(struct retarget_region *region, unsigned long first,
			  unsigned long last)
{
	struct retarget_gather gather;

	retarget_hook_begin(&gather);
	retarget_region_replace(region, first, last, &gather);
	retarget_hook_flush(&gather);
	retarget_hook_end(&gather);
}

static struct dax_pin_range *first_range(struct dax_hook *hook)
{
	return hook->range ?: dax_range_first(hook->file, hook->first,
					      hook->last);
}

static struct dax_pin_range *next_range(struct dax_hook *hook,
					struct dax_pin_range *range)
{
	return hook->range ? NULL :
	       dax_range_next(range, hook->first, hook->last);
}

/*
 * One pass over the pages: replace the entries, with @gather, or write back what the
 * device wrote, with @done. Marks the pages where that is the last step for them: a
 * region that registers may become live between two passes, and must find the marks.
 * Returns the number of pages that were not taken back before.
 */
static unsigned long take_pages(struct dax_hook *hook,
				struct dax_pin_range *range,
				struct retarget_gather *gather,
				unsigned long *done)
{
	unsigned long first = hook->first, last = hook->last, from, to;
	struct retarget_region *region = &range->pin->region;
	unsigned long found = 0, marked = 0, bit;

	/* Bits go with the pages of the file: many ranges may have the same page */
	bit = max(first, range->node.start) - hook->first;
	dax_pin_range_clip(range, &first, &last);
	for (from = first; from <= last; from = to + 1) {
		to = retarget_region_batch(region, from, last);
		mutex_lock(&region->mutex);
		if (gather)
			found += retarget_region_replace(region, from, to,
							 gather);
		if (done && hook->batches != retarget_batches_mapped())
			replace_again(region, from, to);
		if (done)
			retarget_region_write_back(region, from, to, done,
						   bit + (from - first));
		if (done || !hook->blocks_stay ||
		    region->state == RETARGET_REGISTERING)
			marked += retarget_region_mark(region, from, to);
		if (marked)
			dax_pin_lost(range->pin);
		if (to == last && marked)
			dax_event(range, first, last, &hook->place,
				  hook->reason, marked);
		mutex_unlock(&region->mutex);
		cond_resched();
	}
	hook->taken += marked;
	return found;
}

static unsigned long replace_entries(struct dax_hook *hook,
				     struct retarget_gather *gather)
{
	struct dax_pin_range *range;
	unsigned long nr = 0;

	for (range = first_range(hook); range; range = next_range(hook, range))
		nr += take_pages(hook, range, gather, NULL);
	return nr;
}

/*
 * The hook is for RETARGET_BATCH pages at most, as blocks stay. Not inlined: the
 * stack has the bitmap only while it is used.
 */
static noinline void write_back(struct dax_hook *hook)
{
	DECLARE_BITMAP(done, RETARGET_BATCH) = {};
	struct dax_pin_range *range;

	for (range = first_range(hook); range; range = next_range(hook, range))
		take_pages(hook, range, NULL, done);
}

static void tell_stopped(struct dax_hook *hook)
{
	struct dax_pin_range *range;

	for (range = first_range(hook); range; range = next_range(hook, range)) {
		struct retarget_region *region = &range->pin->region;
		unsigned long first = hook->first, last = hook->last;

		if (!retarget_region_stopped(region))
			continue;
		dax_pin_range_clip(range, &first, &last);
		mutex_lock(&region->mutex);
		dax_event(range, first, last, &hook->place,
			  DAX_RETARGET_REASON_STOPPED, 0);
		mutex_unlock(&region->mutex);
		cond_resched();
	}
}

/**
 * dax_hook_take - take pages of a file back
 * @hook: which pages, and why
 *
 * When the function returns, no DMA through the pins reaches the pages any more. A
 * pin that is still being registered will map the pages as scratch.
 *
 * Context: under the rwsem of @hook's file, for reading. May sleep; does not
 *	    allocate.
 * Return: number of pages taken back, counted once for each pin
 */
unsigned long dax_hook_take(struct dax_hook *hook)
{
	long stops = retarget_stat_read(RETARGET_STAT_STOPS);
	atomic_t *hooks = &hook->file->hooks;
	struct retarget_gather gather;
	unsigned long found;

	hook->taken = 0;
	hook->batches = retarget_batches_mapped();
	/* A mutex orders this before the marks: see the test below */
	atomic_inc(hooks);
	retarget_hook_begin(&gather);

	found = replace_entries(hook, &gather);
	/*
	 * All pages were marked already: by hooks that have flushed, if no other
	 * hook is at work. A hook is counted before its first mark, and until
	 * after its flush. So the marks are read first, and then the counter.
	 */
	smp_rmb();
	if (found || atomic_read(hooks) > 1)
		retarget_hook_flush(&gather);
	if (found && hook->blocks_stay)
		write_back(hook);

	retarget_hook_end(&gather);
	/* Orders the flush before the decrement */
	atomic_dec_return(hooks);

	if (retarget_stat_read(RETARGET_STAT_STOPS) != stops)
		tell_stopped(hook);
	return hook->taken;
}

static unsigned long take_part(struct dax_pinned_file *file, pgoff_t first,
			       pgoff_t last, void *arg)
{
	struct dax_hook *hook = arg;

	hook->first = first;
	hook->last = last;
	return dax_hook_take(hook);
}

/*
 * A block below the end of the file may stay in use: the file system may move the
 * block within the file or to another file, even if this file has no name. The
 * eviction of a deleted file frees its blocks for certain.
 */
static bool blocks_may_stay(struct address_space *mapping, pgoff_t first)
{
	struct inode *inode = mapping->host;

	if (!inode->i_nlink && mapping_exiting(mapping))
		return false;
	return first < DIV_ROUND_UP_ULL(i_size_read(inode), PAGE_SIZE);
}

/**
 * dax_pinned_file_take - take pages of a file back from all devices
 * @mapping: pages of the file
 * @first: first page offset
 * @last: last page offset
 * @blocks_stay: the blocks may stay in a file
 * @reason: why
 *
 * Context: the caller excludes page faults on the range (invalidate_lock, or no
 *	    VMA is left). May sleep; does not allocate, does not wait for user
 *	    space.
 * Return: number of pages taken back, counted once for each pin
 */
unsigned long dax_pinned_file_take(struct address_space *mapping, pgoff_t first,
				   pgoff_t last, bool blocks_stay,
				   enum dax_retarget_reason reason)
{
	struct dax_hook hook = { .reason = reason, .blocks_stay = blocks_stay };
	struct dax_pinned_file *file;
	unsigned long nr;

	file = dax_pinned_file_get(mapping);
	if (!file)
		return 0;

	hook.file = file;
	dax_event_place_init(&hook.place, file);
	if (blocks_stay) {
		/* Without page faults, no page is pinned between two parts */
		nr = dax_pinned_file_visit(file, first, last, false, take_part,
					   &hook);
	} else {
		down_read(&file->rwsem);
		nr = take_part(file, first, last, &hook);
		up_read(&file->rwsem);
	}

	retarget_stat_add(RETARGET_STAT_HOOKS, 1);
	if (nr)
		trace_dax_retarget_file(file->dev, file->ino, first, last,
					reason, nr);
	dax_pinned_file_put(file);
	return nr;
}

/* Whole pages only. A page that is only partly in the range keeps its block. */
static void take_bytes(struct address_space *mapping, loff_t lstart,
		       loff_t lend, bool freed)
{
	pgoff_t first = DIV_ROUND_UP_ULL(lstart, PAGE_SIZE);
	pgoff_t end = lend == -1 ? ULONG_MAX : (lend + 1ULL) >> PAGE_SHIFT;

	if (dax_retarget_broken(DAX_BREAK_hook))
		return;
	if (first >= end)
		return;
	dax_pinned_file_take(mapping, first, end - 1,
			     !freed && blocks_may_stay(mapping, first),
			     mapping_exiting(mapping) ?
			     DAX_RETARGET_REASON_EVICT :
			     DAX_RETARGET_REASON_TRUNCATE);
}

/**
 * dax_retarget_range - take a range back whose blocks may leave the file
 * @mapping: pages of the file
 * @lstart: first byte that goes
 * @lend: last byte that goes, or -1 for all bytes from @lstart on
 *
 * A page that is only partly in the range keeps its block and is left alone.
 * When the function returns, no device reaches the blocks any more. What devices
 * wrote to blocks that may stay in a file is written back.
 *
 * Context: before the blocks are freed or moved; page faults on the range are
 *	    excluded until the blocks are. May sleep, also in reclaim; does not
 *	    allocate, does not wait for user space.
 */
void dax_retarget_range(struct address_space *mapping, loff_t lstart,
			loff_t lend)
{
	take_bytes(mapping, lstart, lend, false);
}
EXPORT_SYMBOL_NS_GPL(dax_retarget_range, DAX_RETARGET);

/**
 * dax_retarget_free_range - take a range back whose blocks are freed
 * @mapping: pages of the file
 * @lstart: first byte that goes
 * @lend: last byte that goes, or -1 for all bytes from @lstart on
 *
 * As dax_retarget_range(), but nothing is written back: what the device wrote goes
 * with the blocks. All pages are taken in one pass, with one flush a device. If the
 * file system fails to free a block afterwards, what the device wrote to the block
 * may be lost by a power cut, whatever is synced.
 *
 * Context: see dax_retarget_range()
 */
void dax_retarget_free_range(struct address_space *mapping, loff_t lstart,
			     loff_t lend)
{
	take_bytes(mapping, lstart, lend, true);
}
EXPORT_SYMBOL_NS_GPL(dax_retarget_free_range, DAX_RETARGET);

/**
 * dax_retarget_inode - an inode is about to be freed
 * @inode: an inode with pins
 *
 * The final truncation has taken all pages back. A bad inode is not truncated:
 * its blocks stay allocated while the inode leaves memory, so its pages are taken
 * back here.
 *
 * Context: from clear_inode(). May sleep, also in reclaim.
 */
void dax_retarget_inode(struct inode *inode)
{
	struct address_space *mapping = &inode->i_data;

	if (!dax_retarget_broken(DAX_BREAK_hook) &&
	    dax_pinned_file_reaches(mapping, 0, ULONG_MAX)) {
		WARN_ON_ONCE(!is_bad_inode(inode));
		dax_pinned_file_take(mapping, 0, ULONG_MAX, true,
				     DAX_RETARGET_REASON_EVICT);
	}
	dax_pinned_file_detach(mapping);
}

/**
 * dax_pinned_file_reaches - does a device reach one of the pages of a file?
 * @mapping: pages of the file
 * @first: first page offset
 * @last: last page offset
 *
 * Context: may sleep
 * Return: true if a page is in a pin, its frame is known, and it was not taken
 *	   back
 */
bool dax_pinned_file_reaches(struct address_space *mapping, pgoff_t first,
			     pgoff_t last)
{
	struct dax_pin_range *range;
	struct dax_pinned_file *file;
	bool reaches = false;

	file = dax_pinned_file_get(mapping);
	if (!file)
		return false;

	down_read(&file->rwsem);
	for_each_dax_pin_range(range, file, first, last) {
		unsigned long from = first, to = last;

		dax_pin_range_clip(range, &from, &to);
		reaches |= retarget_region_reaches(&range->pin->region, from,
						   to);
	}
	up_read(&file->rwsem);
	dax_pinned_file_put(file);
	return reaches;
}

/**
 * dax_retarget_assert_gone - no device may reach a page that is torn down
 * @mapping: pages of a file
 * @pgoff: offset of a page that has been truncated
 *
 * Catches a way to free blocks that calls no hook. Called with CONFIG_DEBUG_VM only.
 *
 * Context: where the DAX entry of the page was deleted. May sleep.
 */
void dax_retarget_assert_gone(struct address_space *mapping, pgoff_t pgoff)
{
	WARN_ON_ONCE(dax_pinned_file_reaches(mapping, pgoff, pgoff));
}
