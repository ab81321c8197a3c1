// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: which pins reach which pages of a file
 *
 * Each file with pins has interval trees of the pinned page offsets: one of the
 * ranges that a sync writes back, and one of all others. The key is the file's
 * address_space and not a page: DAX entries come and go (punching 4K out of a
 * 2M entry drops the entry of 511 pages that stay), while a pinned page offset
 * stays pinned.
 *
 * Each pin has its ranges by their index. Readers of a pin's ranges take no lock
 * that a hook waits for.
 */

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/memremap.h>
#include <linux/pagemap.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "internal.h"

#include <trace/events/dax_retarget.h>

static struct rb_root_cached *tree_of(struct dax_pin_range *range)
{
	return range->written ? &range->file->written : &range->file->clean;
}

/* The pin's newest range, if the new pages can be added to it */
static struct dax_pin_range *range_before(struct dax_pin *pin,
					  struct dax_pinned_file *file,
					  pgoff_t pgoff, unsigned long first,
					  bool written)
{
	struct dax_pin_range *range = pin->newest;

	if (!range || range->file != file || range->written != written ||
	    range->node.last + 1 != pgoff ||
	    range->first + (pgoff - range->node.start) != first)
		return NULL;
	return range;
}

static void set_last(struct dax_pin_range *range, unsigned long last)
{
	struct dax_pinned_file *file = range->file;

	down_write(&file->rwsem);
	interval_tree_remove(&range->node, tree_of(range));
	/* The list of pins reads without a lock */
	WRITE_ONCE(range->node.last, last);
	interval_tree_insert(&range->node, tree_of(range));
	up_write(&file->rwsem);
}

/**
 * dax_pin_add_range - let the hooks know that pages are about to be pinned
 * @pin: the pin
 * @file: the file
 * @pgoff: first page offset
 * @nr: number of pages
 * @first: index of the first page within the pin
 * @written: a sync writes the pages back
 *
 * From here on, a hook that takes one of the pages back marks it in the pin.
 *
 * Context: the task that registers @pin; @file's inode is held by a VMA. May
 *	    sleep and allocate.
 * Return: the range that ends with the new pages (an older one is extended if
 *	   it can be), or %NULL if there is no memory
 */
struct dax_pin_range *dax_pin_add_range(struct dax_pin *pin,
					struct dax_pinned_file *file,
					pgoff_t pgoff, unsigned long nr,
					unsigned long first, bool written)
{
	struct dax_pin_range *range;

	/* Before the device can write. The inode is held, so the mapping is there */
	if (written && !test_bit(AS_DAX_WRITTEN, &file->mapping->flags))
		set_bit(AS_DAX_WRITTEN, &file->mapping->flags);

	range = range_before(pin, file, pgoff, first, written);
	if (range) {
		set_last(range, range->node.last + nr);
		goto out;
	}

	range = kzalloc(sizeof(*range), GFP_KERNEL_ACCOUNT);
	if (!range)
		return NULL;
	range->pin = pin;
	range->file = file;
	range->written = written;
	range->first = first;
	range->node.start = pgoff;
	range->node.last = pgoff + nr - 1;
	range->older = pin->newest;
	if (xa_is_err(xa_store(&pin->ranges, first, range,
			       GFP_KERNEL_ACCOUNT))) {
		kfree(range);
		return NULL;
	}
	refcount_inc(&file->refs);
	pin->newest = range;

	down_write(&file->rwsem);
	interval_tree_insert(&range->node, tree_of(range));
	up_write(&file->rwsem);
out:
	trace_dax_pin_register(&pin->region, file->dev, file->ino, pgoff, nr,
			       first);
	return range;
}

/**
 * dax_pin_remove_range - take the newest range of a pin out of the index
 * @pin: a pin with ranges
 *
 * Context: the task that registers or ends the pin; no translation to the pages
 *	    is left. May sleep; waits for hooks that run on the file.
 */
void dax_pin_remove_range(struct dax_pin *pin)
{
	struct dax_pin_range *range = pin->newest;
	struct dax_pinned_file *file = range->file;

	pin->newest = range->older;
	down_write(&file->rwsem);
	interval_tree_remove(&range->node, tree_of(range));
	xa_erase(&pin->ranges, range->first);
	up_write(&file->rwsem);

	put_dev_pagemap(range->pgmap);
	dax_pinned_file_put(file);
	kfree_rcu(range, rcu);
}

/**
 * dax_pin_trim_range - give up the last pages of the newest range of a pin
 * @pin: a pin that registers
 * @nr: pages at the end of the range that could not be pinned
 *
 * The marks on these pages are cleared as well: the marks belong to this attempt,
 * and the next attempt may find other blocks. Frees the range if no page is left.
 *
 * Context: the task that registers the pin. May sleep.
 */
void dax_pin_trim_range(struct dax_pin *pin, unsigned long nr)
{
	struct dax_pin_range *range = pin->newest;
	unsigned long pages = range->node.last - range->node.start + 1;
	unsigned long end = range->first + pages;

	if (!nr)
		return;

	if (pages == nr)
		dax_pin_remove_range(pin);
	else
		set_last(range, range->node.last - nr);
	retarget_region_unmark(&pin->region, end - nr, end - 1);
}

/* The lowest range of a tree, or of both, with pages of [@first, @last] */
static struct dax_pin_range *lowest(struct dax_pinned_file *file, pgoff_t first,
				    pgoff_t last, bool written)
{
	struct dax_pin_range *a, *b;

	a = dax_to_pin_range(interval_tree_iter_first(&file->written, first,
						      last));
	if (written)
		return a;
	b = dax_to_pin_range(interval_tree_iter_first(&file->clean, first,
						      last));
	return !a || (b && b->node.start < a->node.start) ? b : a;
}

/**
 * dax_pinned_file_visit - look at the parts of a file that have pins
 * @file: the file
 * @first: first page offset
 * @last: last page offset
 * @written: only parts that a sync writes back
 * @visit: called for each part, under the file's rwsem for reading
 * @arg: for @visit
 *
 * The parts are small, so that a registration waits for one part only, and not
 * until terabytes are written back.
 *
 * Context: as @visit; may sleep
 * Return: the sum of what @visit returned
 */
unsigned long dax_pinned_file_visit(struct dax_pinned_file *file, pgoff_t first,
				    pgoff_t last, bool written,
				    dax_visit_part_fn visit, void *arg)
{
	struct dax_pin_range *range;
	unsigned long sum = 0;
	pgoff_t part_last;

	for (;;) {
		down_read(&file->rwsem);
		range = lowest(file, first, last, written);
		if (range) {
			first = max(first, range->node.start);
			/* Aligned, as large entries mostly are */
			part_last = min(last, first | (RETARGET_BATCH - 1));
			sum += visit(file, first, part_last, arg);
		}
		up_read(&file->rwsem);
		if (!range || part_last == last)
			return sum;
		first = part_last + 1;
		cond_resched();
	}
}

/* The file of the first range from index @first on, with a reference */
static struct dax_pinned_file *file_at(struct dax_pin *pin,
				       unsigned long *first)
{
	struct dax_pinned_file *file = NULL;
	struct dax_pin_range *range;

	rcu_read_lock();
	while ((range = xa_find(&pin->ranges, first, ULONG_MAX, XA_PRESENT))) {
		file = range->file;
		if (refcount_inc_not_zero(&file->refs))
			break;
		/* The range is on its way out */
		file = NULL;
		cpu_relax();
	}
	rcu_read_unlock();
	return file;
}

/* The range at index @first, if it is of @file; stable under the file's rwsem */
static struct dax_pin_range *range_at(struct dax_pin *pin, unsigned long first,
				      struct dax_pinned_file *file)
{
	struct dax_pin_range *range;

	lockdep_assert_held(&file->rwsem);
	rcu_read_lock();
	range = xa_load(&pin->ranges, first);
	if (range && range->file != file)
		range = NULL;
	rcu_read_unlock();
	return range;
}

/**
 * dax_pin_visit - look at the ranges of a pin
 * @pin: the pin, with a reference
 * @visit: called for parts of each range, under its file's rwsem for reading;
 *	   gets the first and the last page offset
 * @arg: for @visit
 *
 * Context: as @visit; may sleep
 */
void dax_pin_visit(struct dax_pin *pin, dax_visit_range_fn visit, void *arg)
{
	struct dax_pinned_file *file;
	struct dax_pin_range *range;
	unsigned long first = 0;

	while ((file = file_at(pin, &first))) {
		pgoff_t from = 0, to;
		bool more;

		do {
			more = false;
			down_read(&file->rwsem);
			range = range_at(pin, first, file);
			if (range && from <= range->node.last) {
				from = max(from, range->node.start);
				to = min(range->node.last,
					 from | (RETARGET_BATCH - 1));
				visit(range, from, to, arg);
				more = to < range->node.last;
				from = to + 1;
			}
			up_read(&file->rwsem);
			cond_resched();
		} while (more);
		dax_pinned_file_put(file);
		if (!++first)
			break;
	}
}
