// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: replace the translations of a region's IOVAs, and flush
 *
 * A hook goes through these steps, each for all regions that overlap its range:
 *
 * - replace the entries; a large entry that lies partly in the range is split
 * - flush each domain once
 * - write back what the device wrote, if the blocks may stay in a file
 * - mark the pages. Where nothing is written back, the pages are marked with the
 *   replacement already.
 *
 * Between replacement and flush the IOTLB may still hold the old frame, and for a
 * large entry translations of both sizes: a device reaches the old page or the
 * new one. A second hook that finds such a page must not return before a flush.
 * So each hook gathers the whole overlap of its range with a live region, even if
 * no entry is left to replace. The hook may drop what it gathered only if it
 * finds all pages marked and no other hook is at work, see fs/dax/hooks.c.
 *
 * The flush of a small range need not remove a large translation, or a cached pointer
 * to a page table. A hook that finds an entry split or replaced as a whole cannot know
 * whether that was flushed. So what is gathered is rounded out to the size of the
 * region's largest entry.
 */

#include <linux/align.h>
#include <linux/bitmap.h>
#include <linux/dax_retarget_test.h>
#include <linux/iommu_retarget.h>
#include <linux/mm.h>
#include <linux/srcu.h>
#include <linux/string.h>

#include <trace/events/dax_retarget.h>

/* Read by hooks, from before the first replacement until after the flush */
DEFINE_STATIC_SRCU(hooks);

/**
 * retarget_hook_begin - begin to replace entries
 * @gather: collects the flushes
 *
 * Context: may sleep afterwards
 */
void retarget_hook_begin(struct retarget_gather *gather) __acquires(&hooks)
{
	gather->srcu = srcu_read_lock(&hooks);
	gather->nr = 0;
}

/**
 * retarget_hook_end - no more entries are replaced, and all were flushed
 * @gather: of retarget_hook_begin()
 *
 * What was gathered and not flushed is dropped.
 *
 * Context: any
 */
void retarget_hook_end(struct retarget_gather *gather) __releases(&hooks)
{
	srcu_read_unlock(&hooks, gather->srcu);
}

/**
 * retarget_hooks_wait - wait for all hooks that have begun
 *
 * Context: may sleep
 */
void retarget_hooks_wait(void)
{
	synchronize_srcu(&hooks);
}

static int flush(struct iommu_domain *domain,
		 const struct iommu_retarget_range *range, unsigned int nr)
{
	if (dax_retarget_broken(DAX_BREAK_flush))
		return 0;
	if (dax_retarget_fails(DAX_FAIL_flush))
		return -EIO;
	if (dax_retarget_broken(DAX_BREAK_flush_whole)) {
		struct iommu_retarget_range page = {
			.start = range->start,
			.last = range->start + PAGE_SIZE - 1,
		};

		return domain->ops->retarget->flush(domain, &page, 1);
	}
	return domain->ops->retarget->flush(domain, range, nr);
}

/**
 * retarget_hook_flush - flush all that was gathered, and wait for it
 * @gather: the flushes; empty afterwards
 *
 * A device whose flush is not confirmed is stopped.
 *
 * Context: the regions in @gather cannot go away. May be called under a region's
 *	    mutex.
 */
void retarget_hook_flush(struct retarget_gather *gather)
{
	unsigned int i, j;

	for (i = 0; i < gather->nr; i++) {
		struct retarget_region *region = gather->slot[i].region;
		const struct iommu_retarget_range *range = gather->slot[i].range;
		struct iommu_domain *domain = gather->slot[i].domain;
		unsigned int nr = gather->slot[i].nr;

		if (flush(domain, range, nr))
			retarget_domain_stop(domain,
					     "the IOMMU did not confirm a flush");
		for (j = 0; j < nr; j++)
			trace_dax_retarget_flush(domain, range[j].start,
						 range[j].last);
		retarget_region_count(region, RETARGET_STAT_FLUSHES, 1);
	}
	gather->nr = 0;
}

/* Add a range to those of a slot. Ranges that touch become one. */
static void merge_range(struct iommu_retarget_range *range, unsigned int *nr,
			unsigned long start, unsigned long last)
{
	unsigned long gap, least = ULONG_MAX;
	unsigned int i, nearest = 0;

	for (i = 0; i < *nr; i++) {
		gap = 0;
		if (start > range[i].last)
			gap = start - range[i].last - 1;
		else if (last < range[i].start)
			gap = range[i].start - last - 1;
		if (gap < least) {
			least = gap;
			nearest = i;
		}
	}
	/* With all in use, the nearest range grows over the gap */
	if (least && *nr < IOMMU_RETARGET_RANGES) {
		range[*nr].start = start;
		range[*nr].last = last;
		++*nr;
		return;
	}
	range[nearest].start = min(range[nearest].start, start);
	range[nearest].last = max(range[nearest].last, last);
}

/* Note that pages [@first, @last] of a mapping have to be flushed */
static void gather_mapped(struct retarget_gather *gather,
			  struct retarget_region *region,
			  const struct retarget_mapping *mapping,
			  unsigned long first, unsigned long last)
{
	unsigned long start = retarget_mapping_iova(mapping, first);
	unsigned long end = retarget_mapping_iova(mapping, last + 1);
	unsigned int i;

	start = ALIGN_DOWN(start, mapping->scratch.leaf_size);
	end = ALIGN(end, mapping->scratch.leaf_size);

	for (i = 0; i < gather->nr; i++)
		if (gather->slot[i].domain == mapping->domain &&
		    gather->slot[i].region->dev == region->dev)
			break;
	if (i == RETARGET_DOMAINS) {
		retarget_hook_flush(gather);
		i = 0;
	}
	if (i == gather->nr) {
		gather->slot[i].domain = mapping->domain;
		gather->slot[i].region = region;
		gather->slot[i].nr = 0;
		gather->nr++;
	}
	merge_range(gather->slot[i].range, &gather->slot[i].nr, start, end - 1);
}

/* Point pages [@first, @last] of a mapping at the region's scratch page */
static void replace_mapped(struct retarget_region *region,
			   struct retarget_mapping *mapping,
			   unsigned long first, unsigned long last)
{
	const struct iommu_retarget_ops *ops = mapping->domain->ops->retarget;
	struct retarget_extent *extent;
	int ret = 0;

	for_each_retarget_extent(extent, region, first, last) {
		unsigned long from = first, to = last;
		unsigned long pfn = retarget_extent_clip(extent, &from, &to);

		if (dax_retarget_fails(DAX_FAIL_replace))
			ret = -EIO;
		else if (dax_retarget_fails(DAX_FAIL_table) &&
			 retarget_region_has_large(region))
			ret = -ENOMEM;
		else
			ret = ops->replace(mapping->domain,
					   retarget_mapping_iova(mapping, from),
					   PFN_PHYS(pfn),
					   (to - from + 1) << PAGE_SHIFT,
					   &mapping->scratch) ?: ret;
	}
	/* Before the page is marked, so that no other hook trusts the mark */
	if (ret == -ENOMEM)
		retarget_domain_stop(mapping->domain,
				     "no page table is left to split an entry of the IOMMU");
	else if (ret)
		retarget_domain_stop(mapping->domain,
				     "an entry of the IOMMU cannot be replaced");
}

/* Point pages [@first, @last] of a live region at its scratch page */
static void replace(struct retarget_region *region, unsigned long first,
		    unsigned long last)
{
	struct retarget_mapping *mapping;

	list_for_each_entry(mapping, &region->mappings, link) {
		unsigned long from = first, to = last;

		if (retarget_mapping_clip(mapping, &from, &to))
			replace_mapped(region, mapping, from, to);
	}
}

/**
 * retarget_gather_all - note that pages have to be flushed, in each mapping
 * @gather: the flushes
 * @region: a live region
 * @first: index of the first page
 * @last: index of the last page
 *
 * Context: under @region's mutex
 */
void retarget_gather_all(struct retarget_gather *gather,
			 struct retarget_region *region, unsigned long first,
			 unsigned long last)
{
	struct retarget_mapping *mapping;

	list_for_each_entry(mapping, &region->mappings, link) {
		unsigned long from = first, to = last;

		if (retarget_mapping_clip(mapping, &from, &to))
			gather_mapped(gather, region, mapping, from, to);
	}
}

/**
 * retarget_region_batch - pages to work on while the mutex is held once
 * @region: the region
 * @first: index of the first page
 * @last: index of the last page of all
 *
 * About RETARGET_REPLACE_BATCH pages. A batch does not end within a large entry of the
 * first mapping, which would have to be split, nor within a page table, which is
 * replaced as a whole.
 *
 * Context: any
 * Return: index of the last page of the batch
 */
unsigned long retarget_region_batch(const struct retarget_region *region,
				    unsigned long first, unsigned long last)
{
	size_t size = max(READ_ONCE(region->leaf_size), PMD_SIZE);
	unsigned long iova = READ_ONCE(region->iova);
	unsigned long end = iova +
			    ((first + RETARGET_REPLACE_BATCH) << PAGE_SHIFT);

	end = (ALIGN(end, size) - iova) >> PAGE_SHIFT;
	return min(last, end - 1);
}

/* Was none of the pages taken back? Mostly that takes no look at the bits. */
static bool none_retargeted(const struct retarget_region *region,
			    unsigned long first, unsigned long last)
{
	return !region->nr_retargeted || last < region->first_retargeted ||
	       first > region->last_retargeted;
}

/* As bitmap_set() does, which takes word by word in a loop: 8 for each large entry */
static void set_bits(unsigned long *bits, unsigned long first, unsigned long nr)
{
	unsigned long head = min(nr, -first % BITS_PER_LONG), words;

	bitmap_set(bits, first, head);
	words = (nr - head) / BITS_PER_LONG;
	memset_l(bits + BIT_WORD(first + head), ~0UL, words);
	head += words * BITS_PER_LONG;
	bitmap_set(bits, first + head, nr - head);
}

static void note_retargeted(struct retarget_region *region,
			    unsigned long first, unsigned long last)
{
	if (!region->nr_retargeted) {
		region->first_retargeted = first;
		region->last_retargeted = last;
	}
	region->first_retargeted = min(region->first_retargeted, first);
	region->last_retargeted = max(region->last_retargeted, last);
	set_bits(region->retargeted, first, last - first + 1);
}

/**
 * retarget_region_replace - point pages at scratch that were not taken back yet
 * @region: the region
 * @first: index of the first page
 * @last: index of the last page
 * @gather: collects the flush, which the caller does before the region may go
 *
 * Replaces nothing if the region is not live: the pages are only marked then.
 *
 * Context: under @region's mutex. May sleep; does not allocate.
 * Return: number of pages that were not taken back before
 */
unsigned long retarget_region_replace(struct retarget_region *region,
				      unsigned long first, unsigned long last,
				      struct retarget_gather *gather)
{
	bool live = region->state == RETARGET_LIVE;
	unsigned long begin = first, end, nr = 0;

	lockdep_assert_held(&region->mutex);

	if (live)
		retarget_gather_all(gather, region, first, last);
	if (none_retargeted(region, first, last)) {
		if (live)
			replace(region, first, last);
		return last - first + 1;
	}
	for_each_clear_bitrange_from(begin, end, region->retargeted, last + 1) {
		if (live)
			replace(region, begin, end - 1);
		nr += end - begin;
		cond_resched();
	}
	return nr;
}

/**
 * retarget_mapping_replace - point pages of one mapping at scratch
 * @region: the region
 * @mapping: one of its mappings
 * @first: index of the first page
 * @last: index of the last page
 * @gather: collects the flush, which the caller does before the mapping may go
 *
 * Context: as retarget_region_replace()
 */
void retarget_mapping_replace(struct retarget_region *region,
			      struct retarget_mapping *mapping,
			      unsigned long first, unsigned long last,
			      struct retarget_gather *gather)
{
	lockdep_assert_held(&region->mutex);

	if (region->state != RETARGET_LIVE)
		return;
	gather_mapped(gather, region, mapping, first, last);
	replace_mapped(region, mapping, first, last);
}

/**
 * retarget_region_mark - note that pages were taken back
 * @region: the region
 * @first: index of the first page
 * @last: index of the last page
 *
 * Where blocks may stay in a file, retarget_region_write_back() comes before, under
 * the same hold of the mutex: a sync skips pages that are marked.
 *
 * Context: after retarget_region_replace(). Under @region's mutex. Does not sleep.
 * Return: number of pages that were not taken back before
 */
unsigned long retarget_region_mark(struct retarget_region *region,
				   unsigned long first, unsigned long last)
{
	unsigned long begin = first, end, nr = 0;

	lockdep_assert_held(&region->mutex);

	if (none_retargeted(region, first, last))
		nr = last - first + 1;
	else
		for_each_clear_bitrange_from(begin, end, region->retargeted,
					     last + 1)
			nr += end - begin;
	if (!nr)
		return 0;
	note_retargeted(region, first, last);
	region->nr_retargeted += nr;
	retarget_region_count(region, RETARGET_STAT_PAGES_RETARGETED, nr);
	retarget_region_count(region, RETARGET_STAT_RETARGETS, 1);
	trace_dax_retarget(region, first, last, nr);
	return nr;
}

/**
 * retarget_region_apply_marks - point pages at scratch that were taken too early
 * @region: a region that has just become live
 * @first: index of the first page to look at
 * @last: index of the last page to look at
 * @gather: collects the flush, which the caller does
 *
 * A region that registers has no entry that a hook could replace, so the hook
 * marks the page.
 *
 * Context: under @region's mutex; the device does not know an IOVA yet
 * Return: number of pages that are marked
 */
unsigned long retarget_region_apply_marks(struct retarget_region *region,
					  unsigned long first,
					  unsigned long last,
					  struct retarget_gather *gather)
{
	unsigned long begin = first, end, nr = 0;

	lockdep_assert_held(&region->mutex);

	for_each_set_bitrange_from(begin, end, region->retargeted, last + 1) {
		nr += end - begin;
		/* A breakage, or the device's driver was unbound meanwhile */
		if (dax_retarget_broken(DAX_BREAK_marks) ||
		    region->state != RETARGET_LIVE)
			continue;
		replace(region, begin, end - 1);
		retarget_gather_all(gather, region, begin, end - 1);
	}
	return nr;
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
 * retarget_region_reaches - does the device reach one of some pages?
 * @region: the region
 * @first: index of the first page
 * @last: index of the last page
 *
 * Context: may sleep
 * Return: true if the frame of a page is known and the page was not taken back
 */
bool retarget_region_reaches(struct retarget_region *region,
			     unsigned long first, unsigned long last)
{
	struct retarget_extent *extent;
	bool reaches = false;

	mutex_lock(&region->mutex);
	for_each_retarget_extent(extent, region, first, last) {
		unsigned long from = first, to = last;

		retarget_extent_clip(extent, &from, &to);
		reaches |= find_next_zero_bit(region->retargeted, to + 1,
					      from) <= to;
	}
	mutex_unlock(&region->mutex);
	return reaches;
}

/**
 * retarget_region_find_frame - find pages by their page frames
 * @region: the region
 * @pfn: first page frame number
 * @nr: number of frames
 * @first: index of the first page to consider; becomes the first page found
 * @last: index of the last page to consider; becomes the last page found
 *
 * Finds one run of pages at a time; the caller goes on behind @last.
 *
 * Context: under @region's mutex. Does not sleep.
 * Return: true if pages were found
 */
bool retarget_region_find_frame(struct retarget_region *region,
				unsigned long pfn, unsigned long nr,
				unsigned long *first, unsigned long *last)
{
	struct retarget_extent *extent;

	lockdep_assert_held(&region->mutex);

	for_each_retarget_extent(extent, region, *first, *last) {
		unsigned long from = *first, to = *last, begin, end;
		unsigned long clipped = retarget_extent_clip(extent, &from, &to);

		/* The frames of the extent that are in both ranges */
		begin = max(clipped, pfn);
		end = min(clipped + (to - from + 1), pfn + nr);
		if (begin >= end)
			continue;
		*first = from + (begin - clipped);
		*last = from + (end - 1 - clipped);
		return true;
	}
	return false;
}
