// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: replace what IOVAs of a pin lead to, and flush
 *
 * A hook first replaces the entries of all pins it meets, then flushes once a
 * domain. In between, a page counts as retargeted while the IOTLB may still
 * know the old frame. A second hook that meets such a page must not return
 * before the flush either, so it flushes what overlaps its range, whether or
 * not there was anything left to replace.
 */

#include <linux/bitmap.h>
#include <linux/dax_retarget.h>
#include <linux/mm.h>

#include "internal.h"

#include <trace/events/dax_retarget.h>

/**
 * retarget_gather_init - begin to collect flushes
 * @gather: what a hook owes
 */
void retarget_gather_init(struct retarget_gather *gather)
{
	gather->nr = 0;
}

/**
 * retarget_gather_flush - flush all that was collected, and wait for it
 * @gather: what a hook owes; empty afterwards
 *
 * Context: the pins whose domains are in @gather cannot leave the index. May
 *	    be called under a pin's mutex.
 */
void retarget_gather_flush(struct retarget_gather *gather)
{
	unsigned int i;

	for (i = 0; i < gather->nr; i++) {
		struct iommu_domain *domain = gather->slot[i].domain;
		struct iommu_iotlb_gather *iotlb = &gather->slot[i].iotlb;

		if (!dax_retarget_broken(DAX_BREAK_flush))
			domain->ops->retarget->sync(domain, iotlb);
		trace_dax_retarget_flush(domain, iotlb->start, iotlb->end);
		atomic_long_inc(&gather->slot[i].stats->stat[DAX_STAT_FLUSHES]);
	}
	dax_retarget_stat_add(DAX_STAT_FLUSHES, gather->nr);
	gather->nr = 0;
}

static struct iommu_iotlb_gather *gather_for(struct retarget_gather *gather,
					     struct dax_pin *pin)
{
	unsigned int i;

	for (i = 0; i < gather->nr; i++)
		if (gather->slot[i].domain == pin->domain)
			return &gather->slot[i].iotlb;

	if (gather->nr == RETARGET_DOMAINS)
		retarget_gather_flush(gather);

	i = gather->nr++;
	gather->slot[i].domain = pin->domain;
	gather->slot[i].stats = pin->stats;
	iommu_iotlb_gather_init(&gather->slot[i].iotlb);
	return &gather->slot[i].iotlb;
}

/**
 * dax_pin_find_extent - find the extent of a page, or the next one
 * @pin: the pin
 * @index: index of the page
 *
 * Context: under @pin's mutex
 * Return: index of the first extent that ends above page @index
 */
unsigned long dax_pin_find_extent(struct dax_pin *pin, unsigned long index)
{
	unsigned long low = 0, high = pin->nr_extents;

	while (low < high) {
		unsigned long mid = low + (high - low) / 2;

		if (pin->extents[mid].first + pin->extents[mid].nr <= index)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Point pages [@first, @last] of a live pin at its scratch page */
static void replace(struct dax_pin *pin, unsigned long first,
		    unsigned long last, struct iommu_iotlb_gather *iotlb)
{
	const struct iommu_retarget_ops *ops = pin->domain->ops->retarget;
	unsigned long i;

	for (i = dax_pin_find_extent(pin, first); i < pin->nr_extents; i++) {
		struct dax_pin_extent *extent = &pin->extents[i];
		unsigned long begin, end;
		size_t size;

		if (extent->first > last)
			break;
		begin = max(first, extent->first);
		end = min(last, extent->first + extent->nr - 1);
		size = (end - begin + 1) << PAGE_SHIFT;
		WARN_ON_ONCE(ops->replace(pin->domain,
					  pin->iova + (begin << PAGE_SHIFT),
					  PFN_PHYS(extent->pfn +
						   begin - extent->first),
					  page_to_phys(pin->scratch), size,
					  &pin->tables, iotlb) != size);
	}
}

/**
 * dax_pin_retarget - take pages of a pin back
 * @pin: the pin
 * @first: index of the first page
 * @last: index of the last page
 * @stays: the blocks stay in a file, so what the device wrote has to last
 * @gather: collects the flush that the caller owes before it unlocks the file
 *
 * Context: under @pin's mutex and the file's rwsem. May sleep; does not
 *	    allocate.
 * Return: number of pages that were not taken back before
 */
unsigned long dax_pin_retarget(struct dax_pin *pin, unsigned long first,
			       unsigned long last, bool stays,
			       struct retarget_gather *gather)
{
	struct iommu_iotlb_gather *iotlb = NULL;
	unsigned long begin, end, nr = 0;

	lockdep_assert_held(&pin->mutex);

	if (pin->state == DAX_PIN_DEAD)
		return 0;

	if (pin->state == DAX_PIN_LIVE) {
		iotlb = gather_for(gather, pin);
		iommu_iotlb_gather_add_range(iotlb,
					     pin->iova + (first << PAGE_SHIFT),
					     (last - first + 1) << PAGE_SHIFT);
	}

	for (begin = find_next_zero_bit(pin->retargeted, last + 1, first);
	     begin <= last;
	     begin = find_next_zero_bit(pin->retargeted, last + 1, end)) {
		end = find_next_bit(pin->retargeted, last + 1, begin);
		if (iotlb)
			replace(pin, begin, end - 1, iotlb);
		nr += end - begin;
		cond_resched();
	}

	/* The last of it, and who syncs later does not find the pages any more */
	if (nr && stays) {
		retarget_gather_flush(gather);
		dax_pin_write_back_locked(pin, first, last);
	}
	bitmap_set(pin->retargeted, first, last - first + 1);

	if (nr) {
		pin->nr_retargeted += nr;
		dax_pin_count(pin, DAX_STAT_PAGES_RETARGETED, nr);
		dax_pin_count(pin, DAX_STAT_RETARGETS, 1);
		trace_dax_retarget(pin, first, last, nr);
	}
	return nr;
}

/**
 * dax_pin_retarget_frames - take those pages of a pin back that are in frames
 * @pin: the pin
 * @first: index of the first page to consider
 * @last: index of the last page to consider
 * @pfn: first page frame number
 * @nr: number of frames
 * @gather: collects the flush that the caller owes before it unlocks the file
 *
 * Context: as dax_pin_retarget()
 * Return: number of pages that were not taken back before
 */
unsigned long dax_pin_retarget_frames(struct dax_pin *pin, unsigned long first,
				      unsigned long last, unsigned long pfn,
				      unsigned long nr,
				      struct retarget_gather *gather)
{
	unsigned long i, done = 0;

	lockdep_assert_held(&pin->mutex);

	for (i = dax_pin_find_extent(pin, first); i < pin->nr_extents; i++) {
		struct dax_pin_extent *extent = &pin->extents[i];
		unsigned long begin, end;

		if (extent->first > last)
			break;
		/* As frames: what @extent has in both ranges */
		begin = max3(extent->pfn, pfn,
			     extent->pfn + max(first, extent->first) -
			     extent->first);
		end = min3(extent->pfn + extent->nr, pfn + nr,
			   extent->pfn + min(last + 1,
					     extent->first + extent->nr) -
			   extent->first);
		if (begin >= end)
			continue;
		done += dax_pin_retarget(pin,
					 extent->first + begin - extent->pfn,
					 extent->first + end - 1 - extent->pfn,
					 false, gather);
	}
	return done;
}

/**
 * dax_pin_find_failure - does a device reach a frame with an error?
 * @pin: the pin
 * @first: index of the first page to consider
 * @last: index of the last page to consider
 * @pfn: page frame number
 * @index: gets the index of the page
 *
 * Context: under @pin's mutex. May sleep; does not allocate.
 * Return: true if it does
 */
bool dax_pin_find_failure(struct dax_pin *pin, unsigned long first,
			  unsigned long last, unsigned long pfn,
			  unsigned long *index)
{
	unsigned long i;

	lockdep_assert_held(&pin->mutex);

	for (i = dax_pin_find_extent(pin, first); i < pin->nr_extents; i++) {
		struct dax_pin_extent *extent = &pin->extents[i];

		if (extent->first > last)
			break;
		if (pfn < extent->pfn || pfn >= extent->pfn + extent->nr)
			continue;
		*index = extent->first + (pfn - extent->pfn);
		if (*index < first || *index > last)
			continue;
		if (test_bit(*index, pin->retargeted))
			return false;
		trace_dax_pin_memory_failure(pin, *index, pfn);
		return true;
	}
	return false;
}

/**
 * dax_pin_apply_marks - point pages at scratch that were taken back too early
 * @pin: a pin that has just become live
 * @gather: collects the flush that the caller owes
 *
 * A hook cannot replace an entry that does not exist yet, and marks the page.
 *
 * Context: under @pin's mutex, the device does not know an IOVA yet
 */
void dax_pin_apply_marks(struct dax_pin *pin, struct retarget_gather *gather)
{
	struct iommu_iotlb_gather *iotlb = gather_for(gather, pin);
	unsigned long begin, end;

	lockdep_assert_held(&pin->mutex);

	iommu_iotlb_gather_add_range(iotlb, pin->iova,
				     pin->nr_pages << PAGE_SHIFT);
	for_each_set_bitrange(begin, end, pin->retargeted, pin->nr_pages)
		replace(pin, begin, end - 1, iotlb);
}
