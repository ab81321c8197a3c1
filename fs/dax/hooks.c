// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: what file systems and the mm call when pages leave a file
 *
 * A hook takes the pages back from every pin that has them, and returns when no
 * DMA reaches the pages any more. The pages are found by their offset in the
 * file.
 */

#include <linux/dax_retarget.h>
#include <linux/dax_retarget_test.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "internal.h"

#include <trace/events/dax_retarget.h>

/**
 * dax_pin_range_take - take pages of a file back from one device
 * @range: range of the device's pin
 * @first: first page offset
 * @last: last page offset
 * @blocks_stay: the blocks may stay in a file: write back what the device wrote
 * @reason: why
 * @place: the file, for the event
 * @gather: collects the flush, which the caller does before unlocking the file
 *
 * Context: under the file's rwsem. May sleep; does not allocate.
 * Return: number of pages that were not taken back before
 */
unsigned long dax_pin_range_take(struct dax_pin_range *range, pgoff_t first,
				 pgoff_t last, bool blocks_stay,
				 enum dax_retarget_reason reason,
				 struct dax_event_place *place,
				 struct retarget_gather *gather)
{
	struct retarget_region *region = &range->pin->region;
	unsigned long nr;

	dax_pin_range_clip(range, &first, &last);
	mutex_lock(&region->mutex);
	nr = retarget_region_take(region, first, last, blocks_stay, gather);
	if (nr)
		dax_event(range, first, last, place, reason, nr);
	mutex_unlock(&region->mutex);
	cond_resched();
	return nr;
}

/* What a hook knows about the pages that it takes back */
struct hook {
	bool blocks_stay;
	enum dax_retarget_reason reason;
	struct dax_event_place place;
};

static unsigned long take_part(struct dax_pinned_file *file, pgoff_t first,
			       pgoff_t last, void *arg)
{
	struct retarget_gather gather;
	struct dax_pin_range *range;
	struct hook *hook = arg;
	unsigned long nr = 0;

	retarget_gather_init(&gather);
	for_each_dax_pin_range(range, file, first, last)
		nr += dax_pin_range_take(range, first, last, hook->blocks_stay,
					 hook->reason, &hook->place, &gather);
	retarget_gather_flush(&gather);
	return nr;
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
 * @reason: why
 *
 * When the function returns, no DMA through a pin reaches the pages any more. A
 * pin that is still being registered will map the pages as scratch.
 *
 * Context: the caller excludes page faults on the range (invalidate_lock, or no
 *	    VMA is left). May sleep; does not allocate, does not wait for user
 *	    space.
 * Return: number of pages taken back, counted once for each pin
 */
unsigned long dax_pinned_file_take(struct address_space *mapping, pgoff_t first,
				   pgoff_t last,
				   enum dax_retarget_reason reason)
{
	struct hook hook = { .reason = reason };
	struct dax_pinned_file *file;
	unsigned long nr;

	file = dax_pinned_file_get(mapping);
	if (!file)
		return 0;

	hook.blocks_stay = blocks_may_stay(mapping, first);
	dax_event_place_init(&hook.place, file);
	if (hook.blocks_stay) {
		/* Without page faults, no page is pinned between two parts */
		nr = dax_pinned_file_visit(file, first, last, take_part, &hook);
	} else {
		down_read(&file->rwsem);
		nr = take_part(file, first, last, &hook);
		up_read(&file->rwsem);
	}

	retarget_stat_add(RETARGET_STAT_HOOKS, 1);
	if (nr)
		trace_dax_retarget_file(mapping->host->i_sb->s_dev,
					mapping->host->i_ino, first, last,
					reason, nr);
	dax_pinned_file_put(file);
	return nr;
}

/**
 * dax_retarget_range - take a range back whose blocks leave the file
 * @mapping: pages of the file
 * @lstart: first byte that goes
 * @lend: last byte that goes, or -1 for all bytes from @lstart on
 *
 * A page that is only partly in the range keeps its block and is left alone.
 * When the function returns, no device reaches the blocks any more.
 *
 * Context: before the blocks are freed; page faults on the range are excluded
 *	    until the blocks are freed. May sleep, also in reclaim; does not
 *	    allocate, does not wait for user space.
 */
void dax_retarget_range(struct address_space *mapping, loff_t lstart,
			loff_t lend)
{
	pgoff_t first = DIV_ROUND_UP_ULL(lstart, PAGE_SIZE);
	pgoff_t end = lend == -1 ? ULONG_MAX : (lend + 1ULL) >> PAGE_SHIFT;

	if (dax_retarget_broken(DAX_BREAK_hook))
		return;
	if (first >= end)
		return;
	dax_pinned_file_take(mapping, first, end - 1,
			     mapping_exiting(mapping) ?
			     DAX_RETARGET_REASON_EVICT :
			     DAX_RETARGET_REASON_TRUNCATE);
}
EXPORT_SYMBOL_NS_GPL(dax_retarget_range, DAX_RETARGET);

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
	unsigned long nr;

	if (!dax_retarget_broken(DAX_BREAK_hook)) {
		nr = dax_pinned_file_take(&inode->i_data, 0, ULONG_MAX,
					  DAX_RETARGET_REASON_EVICT);
		WARN_ON_ONCE(nr && !is_bad_inode(inode));
	}
	dax_pinned_file_detach(&inode->i_data);
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

	file = dax_pinned_file_get(mapping);
	if (!file)
		return false;

	down_read(&file->rwsem);
	for_each_dax_pin_range(range, file, pgoff, pgoff) {
		unsigned long first = pgoff, last = pgoff;

		dax_pin_range_clip(range, &first, &last);
		reaches |= retarget_region_reaches(&range->pin->region, first);
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
 * Catches a way to free blocks that calls no hook. With CONFIG_DEBUG_VM only.
 *
 * Context: where the DAX entry of the page was deleted. May sleep.
 */
void dax_retarget_assert_gone(struct address_space *mapping, pgoff_t pgoff)
{
	if (IS_ENABLED(CONFIG_DEBUG_VM))
		WARN_ON_ONCE(dax_pinned_file_reaches(mapping, pgoff));
}
