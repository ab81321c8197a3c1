// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: persistent memory that goes away, or fails
 *
 * The mm names the memory by page frame. Both events are rare, so the functions
 * walk all pins, and no index of frames is kept.
 */

#include <linux/dax_retarget.h>
#include <linux/dax_retarget_test.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/range.h>
#include <linux/timekeeping.h>

#include "internal.h"

#include <trace/events/dax_retarget.h>

/* Page frames to look for, and the number of pages taken back */
struct frames {
	unsigned long pfn;
	unsigned long nr;
	unsigned long done;
};

static void visit_pins(dax_visit_range_fn visit, struct frames *frames)
{
	u64 start = ktime_get_boottime_ns();
	struct dax_pin *pin;
	unsigned long id = 0;

	while ((pin = dax_pin_get_next(id))) {
		id = pin->id + 1UL;
		/* Newer pins have no such frame, and may be many */
		if (pin->created <= start)
			dax_pin_visit(pin, visit, frames);
		dax_pin_put(pin);
		cond_resched();
	}
}

/* The next pages of @range, between these page offsets, that are in @frames */
static bool find_frames(struct dax_pin_range *range, struct frames *frames,
			pgoff_t *first, pgoff_t *last)
{
	struct retarget_region *region = &range->pin->region;
	bool found;

	dax_pin_range_clip(range, first, last);
	mutex_lock(&region->mutex);
	found = retarget_region_find_frame(region, frames->pfn, frames->nr,
					   first, last);
	mutex_unlock(&region->mutex);
	*first = range->node.start + (*first - range->first);
	*last = range->node.start + (*last - range->first);
	return found;
}

static void take_frames(struct dax_pin_range *range, pgoff_t first,
			pgoff_t last, void *arg)
{
	struct frames *frames = arg;
	struct dax_hook hook = {
		.file = range->file,
		.range = range,
		.reason = DAX_RETARGET_REASON_REMOVE,
		.first = first,
		.last = last,
	};

	while (hook.first <= last && find_frames(range, frames, &hook.first,
						 &hook.last)) {
		dax_event_place_init(&hook.place, range->file);
		frames->done += dax_hook_take(&hook);
		hook.first = hook.last + 1;
		hook.last = last;
	}
}

/**
 * dax_pins_take_frames - take page frames back from all devices
 * @pfn: first page frame number
 * @nr: number of frames
 *
 * A pin that is made meanwhile has no such frame.
 *
 * Context: no new reference to the frames can be taken. May sleep; does not
 *	    allocate, does not wait for user space.
 * Return: number of pages taken back, counted once for each pin
 */
unsigned long dax_pins_take_frames(unsigned long pfn, unsigned long nr)
{
	struct frames frames = { .pfn = pfn, .nr = nr };

	visit_pins(take_frames, &frames);
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

static void report_failure(struct dax_pin_range *range, pgoff_t first,
			   pgoff_t last, void *arg)
{
	struct retarget_region *region = &range->pin->region;
	struct dax_event_place place;
	struct frames *frames = arg;
	unsigned long index;

	/* The mutex also waits for a write-back of the page */
	if (!find_frames(range, frames, &first, &last))
		return;
	index = range->first + (first - range->node.start);
	mutex_lock(&region->mutex);
	if (!test_bit(index, region->retargeted)) {
		trace_dax_pin_memory_failure(region, index, frames->pfn);
		dax_event_place_init(&place, range->file);
		dax_event(range, index, index, &place,
			  DAX_RETARGET_REASON_MEMORY_FAILURE, 1);
		retarget_region_count(region, RETARGET_STAT_PAGES_FAILED, 1);
	}
	mutex_unlock(&region->mutex);
}

/**
 * dax_pins_memory_failure - persistent memory that devices may reach has failed
 * @pfn: page frame number
 * @simulated: the memory is good, and a test says that it failed
 *
 * Sends an event and takes nothing back: from a scratch page the device would
 * read zeros, where it now gets an error. When the function returns, the page is
 * not written back any more.
 *
 * Context: from memory_failure(), which holds the page map, and before the CPU's
 *	    mapping of the page goes. May sleep, does not allocate.
 */
void dax_pins_memory_failure(unsigned long pfn, bool simulated)
{
	struct frames frames = { .pfn = pfn, .nr = 1 };

	if (dax_retarget_broken(DAX_BREAK_report_failure))
		return;
	if (!simulated)
		retarget_frame_failed(pfn);
	visit_pins(report_failure, &frames);
}
