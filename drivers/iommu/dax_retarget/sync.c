// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: write back what devices wrote
 *
 * The DMA of a device ends in the CPU caches, on platforms that do not count
 * these to the persistence domain. fsync has to write them back, but looks for
 * what the CPU wrote: nothing tells it what a device did, and the DAX entry of a
 * pinned page, where dirtiness is kept, may be gone. So a pin for writing writes
 * back all that its device can have written: when a file is synced, when the pin
 * ends, and when a hook takes pages back whose blocks may stay in a file.
 */

#include <linux/bitmap.h>
#include <linux/dax_retarget.h>
#include <linux/libnvdimm.h>
#include <linux/mm.h>

#include "internal.h"

#include <trace/events/dax_retarget.h>

/* Pages between two offers to let others run */
#define RUN	256UL

/**
 * dax_pin_write_back_locked - write back what a device can have written
 * @pin: the pin
 * @first: index of the first page
 * @last: index of the last page
 *
 * Pages that were taken back are not the device's any more, and their memory
 * may be gone.
 *
 * Context: under @pin's mutex. May sleep; does not allocate.
 * Return: number of pages written back
 */
unsigned long dax_pin_write_back_locked(struct dax_pin *pin,
					unsigned long first,
					unsigned long last)
{
	unsigned long i, nr = 0;

	lockdep_assert_held(&pin->mutex);

	if (!pin->writable || !pin->cached ||
	    (pin->state != DAX_PIN_LIVE && pin->state != DAX_PIN_UNMAPPED) ||
	    dax_retarget_broken(DAX_BREAK_write_back))
		return 0;

	for (i = dax_pin_find_extent(pin, first); i < pin->nr_extents; i++) {
		struct dax_pin_extent *extent = &pin->extents[i];
		unsigned long begin, end, stop;

		if (extent->first > last)
			break;
		begin = max(first, extent->first);
		stop = min(last + 1, extent->first + extent->nr);
		for (begin = find_next_zero_bit(pin->retargeted, stop, begin);
		     begin < stop;
		     begin = find_next_zero_bit(pin->retargeted, stop, end)) {
			end = find_next_bit(pin->retargeted,
					    min(stop, begin + RUN), begin);
			arch_wb_cache_pmem(pfn_to_kaddr(extent->pfn +
							begin - extent->first),
					   (end - begin) << PAGE_SHIFT);
			nr += end - begin;
			cond_resched();
		}
	}
	if (nr) {
		dax_pin_count(pin, DAX_STAT_PAGES_FLUSHED, nr);
		trace_dax_pin_sync(pin, first, nr);
	}
	return nr;
}

/**
 * dax_pin_write_back - write back what a device can have written
 * @pin: a pin that cannot go away
 * @first: index of the first page
 * @last: index of the last page
 *
 * Context: may sleep, does not allocate
 */
void dax_pin_write_back(struct dax_pin *pin, unsigned long first,
			unsigned long last)
{
	/* A hook does not wait for terabytes */
	for (; first <= last; first += DAX_SYNC_BATCH) {
		mutex_lock(&pin->mutex);
		dax_pin_write_back_locked(pin, first,
					  min(last,
					      first + DAX_SYNC_BATCH - 1));
		mutex_unlock(&pin->mutex);
		cond_resched();
	}
}
