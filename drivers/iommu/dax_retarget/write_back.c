// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: write back what devices wrote
 *
 * The DMA of a device may end in the CPU caches. On some platforms these are not
 * part of the persistence domain, and fsync has to write them back. fsync looks
 * for pages that the CPU dirtied: no record exists of what a device wrote, and
 * the DAX entry of a pinned page, which holds the dirty tag, may be gone. So a
 * region for writing writes back all pages that its device can have written: when
 * a file is synced, when the region ends, and when a hook takes pages back whose
 * blocks may stay in a file.
 */

#include <linux/bitmap.h>
#include <linux/dax_retarget_test.h>
#include <linux/iommu_retarget.h>
#include <linux/libnvdimm.h>
#include <linux/mm.h>

#include <trace/events/dax_retarget.h>

/* Pages that are written back between two calls of cond_resched() */
#define RUN	256UL

/* Write back those of pages [@first, @last] that were not taken back */
static unsigned long write_back(struct retarget_region *region,
				unsigned long first, unsigned long last,
				unsigned long pfn)
{
	unsigned long begin, end, nr = 0;

	for (begin = find_next_zero_bit(region->retargeted, last + 1, first);
	     begin <= last;
	     begin = find_next_zero_bit(region->retargeted, last + 1, end)) {
		end = find_next_bit(region->retargeted,
				    min(last + 1, begin + RUN), begin);
		arch_wb_cache_pmem(pfn_to_kaddr(pfn + (begin - first)),
				   (end - begin) << PAGE_SHIFT);
		nr += end - begin;
		cond_resched();
	}
	return nr;
}

/**
 * retarget_region_write_back - write back what a device can have written
 * @region: the region
 * @first: index of the first page
 * @last: index of the last page
 *
 * Pages that were taken back are skipped: the device does not reach them any
 * more, and their memory may be gone.
 *
 * Context: under @region's mutex. May sleep; does not allocate.
 * Return: number of pages written back
 */
unsigned long retarget_region_write_back(struct retarget_region *region,
					 unsigned long first,
					 unsigned long last)
{
	struct retarget_extent *extent;
	unsigned long nr = 0;

	lockdep_assert_held(&region->mutex);

	if (!region->writable || !region->cached ||
	    (region->state != RETARGET_LIVE &&
	     region->state != RETARGET_UNMAPPED))
		return 0;
	if (dax_retarget_broken(DAX_BREAK_write_back))
		return 0;

	for_each_retarget_extent(extent, region, first, last) {
		unsigned long from = first, to = last;
		unsigned long pfn = retarget_extent_clip(extent, &from, &to);

		nr += write_back(region, from, to, pfn);
	}
	if (nr) {
		retarget_region_count(region, RETARGET_STAT_PAGES_FLUSHED, nr);
		trace_dax_pin_sync(region, first, nr);
	}
	return nr;
}
