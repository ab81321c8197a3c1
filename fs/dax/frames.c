// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: persistent memory that goes away, or fails
 *
 * The mm names the memory by page frame. Both events are rare, so the functions
 * walk all files with pins, and no index of frames is kept.
 */

#include <linux/dax_retarget.h>
#include <linux/dax_retarget_test.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/range.h>

#include "internal.h"

#include <trace/events/dax_retarget.h>

/* Page frames to look for, and the number of pages taken back */
struct frames {
	unsigned long pfn;
	unsigned long nr;
	unsigned long done;
};

static void tell(struct dax_pin_range *range, unsigned long first,
		 unsigned long last, enum dax_retarget_reason reason,
		 unsigned long nr)
{
	struct dax_event_place place;

	dax_event_place_init(&place, range->file);
	dax_event(range, first, last, &place, reason, nr);
}

static void take_frames(struct dax_pinned_file *file, void *arg)
{
	struct dax_pin_range *range;
	struct retarget_gather gather;
	struct frames *frames = arg;

	retarget_gather_init(&gather);
	down_read(&file->rwsem);
	for_each_dax_pin_range(range, file, 0, ULONG_MAX) {
		struct retarget_region *region = &range->pin->region;
		unsigned long first = 0, last = ULONG_MAX, nr;

		dax_pin_range_clip(range, &first, &last);
		mutex_lock(&region->mutex);
		nr = retarget_region_take_frames(region, first, last,
						 frames->pfn, frames->nr,
						 &gather);
		if (nr)
			tell(range, first, last, DAX_RETARGET_REASON_REMOVE, nr);
		mutex_unlock(&region->mutex);
		frames->done += nr;
		cond_resched();
	}
	retarget_gather_flush(&gather);
	up_read(&file->rwsem);
}

/**
 * dax_pins_take_frames - take page frames back from all devices
 * @pfn: first page frame number
 * @nr: number of frames
 *
 * A file that gets its first pin meanwhile has no such frame.
 *
 * Context: no new reference to the frames can be taken. May sleep; does not
 *	    allocate, does not wait for user space.
 * Return: number of pages taken back, counted once for each pin
 */
unsigned long dax_pins_take_frames(unsigned long pfn, unsigned long nr)
{
	struct frames frames = { .pfn = pfn, .nr = nr };

	dax_pinned_files_visit(take_frames, &frames);
	if (frames.done)
		trace_dax_retarget_file(0, 0, 0, 0, DAX_RETARGET_REASON_REMOVE,
					frames.done);
	return frames.done;
}

/**
 * dax_retarget_pagemap - persistent memory goes away
 * @pgmap: its page map, to which no reference can be taken any more
 *
 * Context: from memunmap_pages(), before the memmap is freed. May sleep.
 */
void dax_retarget_pagemap(struct dev_pagemap *pgmap)
{
	int i;

	if (dax_retarget_broken(DAX_BREAK_remove))
		return;
	if (pgmap->type != MEMORY_DEVICE_FS_DAX)
		return;
	for (i = 0; i < pgmap->nr_range; i++)
		dax_pins_take_frames(PHYS_PFN(pgmap->ranges[i].start),
				     PHYS_PFN(range_len(&pgmap->ranges[i])));
}

static void report_failure(struct dax_pinned_file *file, void *arg)
{
	struct dax_pin_range *range;
	struct frames *frames = arg;

	down_read(&file->rwsem);
	for_each_dax_pin_range(range, file, 0, ULONG_MAX) {
		struct retarget_region *region = &range->pin->region;
		unsigned long first = 0, last = ULONG_MAX, index;

		dax_pin_range_clip(range, &first, &last);
		mutex_lock(&region->mutex);
		if (retarget_region_reaches_frame(region, first, last,
						  frames->pfn, &index)) {
			trace_dax_pin_memory_failure(region, index,
						     frames->pfn);
			tell(range, index, index,
			     DAX_RETARGET_REASON_MEMORY_FAILURE, 1);
			retarget_region_count(region,
					      RETARGET_STAT_PAGES_FAILED, 1);
		}
		mutex_unlock(&region->mutex);
		cond_resched();
	}
	up_read(&file->rwsem);
}

/**
 * dax_pins_memory_failure - persistent memory that devices may reach has failed
 * @pfn: page frame number
 *
 * Sends an event and takes nothing back: from a scratch page the device would
 * read zeros, where it now gets an error.
 *
 * Context: from memory_failure(), which holds the page map. May sleep, does not
 *	    allocate.
 */
void dax_pins_memory_failure(unsigned long pfn)
{
	struct frames frames = { .pfn = pfn, .nr = 1 };

	if (!dax_retarget_broken(DAX_BREAK_report_failure))
		dax_pinned_files_visit(report_failure, &frames);
}
