// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: which pins reach which pages of a file
 *
 * Each file with pins has an interval tree of the pinned page offsets. The key
 * is the file's address_space and not a page: DAX entries and page->mapping come
 * and go (punching 4K out of a 2M entry drops the entry of 511 pages that stay),
 * while a pinned page offset stays pinned.
 */

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "internal.h"

#include <trace/events/dax_retarget.h>

/* The pin's newest range, if it ends where the new pages begin */
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

/* Takes the mutex as well, for readers that walk the ranges of the pin */
static void set_last(struct dax_pin_range *range, unsigned long last)
{
	struct dax_pinned_file *file = range->file;

	down_write(&file->rwsem);
	mutex_lock(&range->pin->region.mutex);
	interval_tree_remove(&range->node, &file->ranges);
	range->node.last = last;
	interval_tree_insert(&range->node, &file->ranges);
	mutex_unlock(&range->pin->region.mutex);
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

	file = dax_pinned_file_make(mapping);
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
	mutex_lock(&pin->region.mutex);
	list_add_tail(&range->link, &pin->ranges);
	mutex_unlock(&pin->region.mutex);

	down_write(&file->rwsem);
	interval_tree_insert(&range->node, &file->ranges);
	up_write(&file->rwsem);
	if (pin->region.writable)
		atomic_long_inc(&file->nr_writable);
out:
	trace_dax_pin_register(&pin->region, mapping->host->i_sb->s_dev,
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
	struct retarget_region *region = &range->pin->region;

	down_write(&file->rwsem);
	interval_tree_remove(&range->node, &file->ranges);
	up_write(&file->rwsem);
	if (region->writable)
		atomic_long_dec(&file->nr_writable);

	mutex_lock(&region->mutex);
	list_del(&range->link);
	mutex_unlock(&region->mutex);
	dax_pinned_file_put(file);
	kfree(range);
}

/**
 * dax_pin_trim_range - give up the last pages of a range
 * @range: the newest range of a pin that registers
 * @nr: pages at its end that could not be pinned
 *
 * The marks on these pages are cleared as well: the marks belong to this attempt,
 * and the next attempt may find other blocks. Frees @range if no page is left.
 *
 * Context: the task that registers the pin. May sleep.
 */
void dax_pin_trim_range(struct dax_pin_range *range, unsigned long nr)
{
	unsigned long pages = range->node.last - range->node.start + 1;
	struct dax_pin *pin = range->pin;
	unsigned long end = range->first + pages;

	if (!nr)
		return;

	if (pages == nr)
		dax_pin_remove_range(range);
	else
		set_last(range, range->node.last - nr);
	retarget_region_unmark(&pin->region, end - nr, end - 1);
}

/**
 * dax_pinned_file_visit - look at the parts of a file that have pins
 * @file: the file
 * @first: first page offset
 * @last: last page offset
 * @visit: called for each part, under the file's rwsem for reading
 * @arg: for @visit
 *
 * The parts are small, so that a registration, or a reader of a pin, waits for
 * one part only, and not until terabytes are written back.
 *
 * Context: as @visit; may sleep
 * Return: the sum of what @visit returned
 */
unsigned long dax_pinned_file_visit(struct dax_pinned_file *file, pgoff_t first,
				    pgoff_t last, dax_visit_part_fn visit,
				    void *arg)
{
	struct dax_pin_range *range;
	unsigned long sum = 0;
	pgoff_t part_last;

	for (;;) {
		down_read(&file->rwsem);
		range = dax_to_pin_range(interval_tree_iter_first(&file->ranges,
								  first, last));
		if (range) {
			first = max(first, range->node.start);
			part_last = min(last, first + RETARGET_BATCH - 1);
			sum += visit(file, first, part_last, arg);
		}
		up_read(&file->rwsem);
		if (!range || part_last == last)
			return sum;
		first = part_last + 1;
		cond_resched();
	}
}
