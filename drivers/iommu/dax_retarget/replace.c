// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: replace the translations of a region's IOVAs, and flush
 *
 * A hook first replaces the entries of all regions that overlap its range, then
 * flushes each domain once. In between, a page counts as taken back while the
 * IOTLB may still hold the old frame. A second hook that finds such a page must
 * not return before a flush. So each hook flushes the whole overlap of its range
 * with a live region, even if no entry is left to replace.
 */

#include <linux/bitmap.h>
#include <linux/dax_retarget_test.h>
#include <linux/iommu_retarget.h>
#include <linux/mm.h>

#include <trace/events/dax_retarget.h>

/**
 * retarget_gather_init - begin to collect flushes
 * @gather: the flushes of a hook
 *
 * Context: any
 */
void retarget_gather_init(struct retarget_gather *gather)
{
	gather->nr = 0;
}

/**
 * retarget_gather_flush - flush all that was collected, and wait for it
 * @gather: the flushes of a hook; empty afterwards
 *
 * Context: the regions whose domains are in @gather cannot go away. May be called
 *	    under a region's mutex.
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
		atomic_long_inc(&gather->slot[i].stats->stat[RETARGET_STAT_FLUSHES]);
	}
	retarget_stat_add(RETARGET_STAT_FLUSHES, gather->nr);
	gather->nr = 0;
}

static struct iommu_iotlb_gather *gather_for(struct retarget_gather *gather,
					     struct retarget_region *region)
{
	unsigned int i;

	for (i = 0; i < gather->nr; i++)
		if (gather->slot[i].domain == region->domain)
			return &gather->slot[i].iotlb;

	if (gather->nr == RETARGET_DOMAINS)
		retarget_gather_flush(gather);

	i = gather->nr++;
	gather->slot[i].domain = region->domain;
	gather->slot[i].stats = region->stats;
	iommu_iotlb_gather_init(&gather->slot[i].iotlb);
	return &gather->slot[i].iotlb;
}

/* Point pages [@first, @last] of a live region at its scratch page */
static void replace(struct retarget_region *region, unsigned long first,
		    unsigned long last, struct iommu_iotlb_gather *iotlb)
{
	const struct iommu_retarget_ops *ops = region->domain->ops->retarget;
	phys_addr_t scratch = page_to_phys(region->scratch);
	struct retarget_extent *extent;

	for_each_retarget_extent(extent, region, first, last) {
		unsigned long from = first, to = last;
		unsigned long pfn = retarget_extent_clip(extent, &from, &to);
		size_t size = (to - from + 1) << PAGE_SHIFT;

		WARN_ON_ONCE(ops->replace(region->domain,
					  region->iova + (from << PAGE_SHIFT),
					  PFN_PHYS(pfn), scratch, size,
					  &region->tables, iotlb) != size);
	}
}

/**
 * retarget_region_take - take pages of a region back from its device
 * @region: the region
 * @first: index of the first page
 * @last: index of the last page
 * @blocks_stay: the blocks may stay in a file: write back what the device wrote
 * @gather: collects the flush, which the caller does before the region may go
 *
 * Context: under @region's mutex. May sleep; does not allocate.
 * Return: number of pages that were not taken back before
 */
unsigned long retarget_region_take(struct retarget_region *region,
				   unsigned long first, unsigned long last,
				   bool blocks_stay,
				   struct retarget_gather *gather)
{
	struct iommu_iotlb_gather *iotlb = NULL;
	unsigned long begin, end, nr = 0;

	lockdep_assert_held(&region->mutex);

	if (region->state == RETARGET_DEAD)
		return 0;

	if (region->state == RETARGET_LIVE) {
		iotlb = gather_for(gather, region);
		iommu_iotlb_gather_add_range(iotlb,
					     region->iova + (first << PAGE_SHIFT),
					     (last - first + 1) << PAGE_SHIFT);
	}

	begin = first;
	for_each_clear_bitrange_from(begin, end, region->retargeted, last + 1) {
		if (iotlb)
			replace(region, begin, end - 1, iotlb);
		nr += end - begin;
		cond_resched();
	}

	/* Write back now: once the pages are marked, a later sync skips them */
	if (nr && blocks_stay) {
		retarget_gather_flush(gather);
		retarget_region_write_back(region, first, last);
	}
	bitmap_set(region->retargeted, first, last - first + 1);

	if (nr) {
		region->nr_retargeted += nr;
		retarget_region_count(region, RETARGET_STAT_PAGES_RETARGETED,
				      nr);
		retarget_region_count(region, RETARGET_STAT_RETARGETS, 1);
		trace_dax_retarget(region, first, last, nr);
	}
	return nr;
}

/**
 * retarget_region_take_frames - take those pages back that are in page frames
 * @region: the region
 * @first: index of the first page to consider
 * @last: index of the last page to consider
 * @pfn: first page frame number
 * @nr: number of frames
 * @gather: collects the flush, which the caller does before the region may go
 *
 * Context: as retarget_region_take()
 * Return: number of pages that were not taken back before
 */
unsigned long retarget_region_take_frames(struct retarget_region *region,
					  unsigned long first,
					  unsigned long last, unsigned long pfn,
					  unsigned long nr,
					  struct retarget_gather *gather)
{
	struct retarget_extent *extent;
	unsigned long done = 0;

	lockdep_assert_held(&region->mutex);

	for_each_retarget_extent(extent, region, first, last) {
		unsigned long from = first, to = last, begin, end;
		unsigned long clipped = retarget_extent_clip(extent, &from, &to);

		/* The frames of the extent that are in both ranges */
		begin = max(clipped, pfn);
		end = min(clipped + (to - from + 1), pfn + nr);
		if (begin >= end)
			continue;
		done += retarget_region_take(region, from + (begin - clipped),
					     from + (end - 1 - clipped), false,
					     gather);
	}
	return done;
}

/**
 * retarget_region_apply_marks - point pages at scratch that were taken too early
 * @region: a region that has just become live
 * @gather: collects the flush, which the caller does
 *
 * A region that registers has no entry that a hook could replace, so the hook
 * marks the page.
 *
 * Context: under @region's mutex; the device does not know an IOVA yet
 */
void retarget_region_apply_marks(struct retarget_region *region,
				 struct retarget_gather *gather)
{
	struct iommu_iotlb_gather *iotlb = gather_for(gather, region);
	unsigned long begin, end;

	lockdep_assert_held(&region->mutex);

	iommu_iotlb_gather_add_range(iotlb, region->iova,
				     region->nr_pages << PAGE_SHIFT);
	for_each_set_bitrange(begin, end, region->retargeted, region->nr_pages)
		replace(region, begin, end - 1, iotlb);
}

/**
 * retarget_region_unmark - clear the marks of pages that were given up
 * @region: a region that registers
 * @first: index of the first page
 * @last: index of the last page
 *
 * Context: the task that registers the region; no hook knows the pages. May
 *	    sleep.
 */
void retarget_region_unmark(struct retarget_region *region, unsigned long first,
			    unsigned long last)
{
	unsigned long i;

	mutex_lock(&region->mutex);
	for (i = first; i <= last; i++)
		region->nr_retargeted -= test_bit(i, region->retargeted);
	bitmap_clear(region->retargeted, first, last - first + 1);
	mutex_unlock(&region->mutex);
}

/**
 * retarget_region_reaches - does the device reach a page?
 * @region: the region
 * @index: index of the page
 *
 * Context: may sleep
 * Return: true if the frame of the page is known and the page was not taken back
 */
bool retarget_region_reaches(struct retarget_region *region,
			     unsigned long index)
{
	bool reaches;

	mutex_lock(&region->mutex);
	reaches = region->state != RETARGET_DEAD &&
		  retarget_region_owns(region, index) &&
		  !test_bit(index, region->retargeted);
	mutex_unlock(&region->mutex);
	return reaches;
}

/**
 * retarget_region_reaches_frame - does the device reach a page frame?
 * @region: the region
 * @first: index of the first page to consider
 * @last: index of the last page to consider
 * @pfn: page frame number
 * @index: gets the index of the page
 *
 * Context: under @region's mutex. Does not sleep.
 * Return: true if one of the pages has the frame and was not taken back
 */
bool retarget_region_reaches_frame(struct retarget_region *region,
				   unsigned long first, unsigned long last,
				   unsigned long pfn, unsigned long *index)
{
	struct retarget_extent *extent;

	lockdep_assert_held(&region->mutex);

	for_each_retarget_extent(extent, region, first, last) {
		unsigned long from = first, to = last;
		unsigned long clipped = retarget_extent_clip(extent, &from, &to);

		if (pfn < clipped || pfn > clipped + (to - from))
			continue;
		*index = from + (pfn - clipped);
		return !test_bit(*index, region->retargeted);
	}
	return false;
}
