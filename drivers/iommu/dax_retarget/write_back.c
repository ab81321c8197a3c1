// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: write back what devices wrote
 *
 * The DMA of a device may end in the CPU caches. On some platforms these are not
 * part of the persistence domain, and fsync has to write them back. fsync looks
 * for pages that the CPU dirtied: it finds no record of what a device wrote, and
 * the DAX entry of a pinned page, which holds the dirty tag, may be gone. So a
 * region for writing writes back the pages that its device can have written: when
 * a file is synced, when the region ends, and when a hook takes pages back whose
 * blocks may stay in a file.
 *
 * Where the entries of the IOMMU have dirty bits, these are the pages that are dirty.
 * A page is made clean, the IOTLB is flushed, and the page is written back, in this
 * order: what the device writes meanwhile either is written back now, or makes the
 * page dirty again. All of it happens under one hold of the region's mutex, so that
 * another sync does not find the page clean and return before it is written back.
 *
 * Memory that failed is not touched: the CPU may have no mapping of it any more.
 */

#include <linux/bitmap.h>
#include <linux/dax_retarget_test.h>
#include <linux/iommu_retarget.h>
#include <linux/libnvdimm.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/set_memory.h>

#include <trace/events/dax_retarget.h>

/* Pages that are written back between two calls of cond_resched() */
#define RUN	256UL

static bool any_failed;

/**
 * retarget_frame_failed - note that persistent memory has failed
 * @pfn: page frame number
 *
 * A region's write-back that begins after this call, and after the region's mutex
 * was free once, leaves the page alone. Writing the page anew by the CPU clears
 * the mark, see test_and_clear_pmem_poison().
 *
 * Context: the memmap of @pfn stays; before the CPU's mapping of the page goes
 */
void retarget_frame_failed(unsigned long pfn)
{
	SetPageHWPoison(pfn_to_page(pfn));
	WRITE_ONCE(any_failed, true);
}

/**
 * retarget_frames_failed - has any persistent memory failed?
 *
 * Context: any
 * Return: true if retarget_frame_failed() was ever called
 */
bool retarget_frames_failed(void)
{
	return READ_ONCE(any_failed);
}

/**
 * retarget_frame_has_failed - has the memory of a page failed?
 * @pfn: page frame number, whose memmap stays
 *
 * When the memory is written anew, the mark is cleared before the CPU's mapping
 * is back. So the mapping counts as well.
 *
 * Context: any
 * Return: true if so
 */
bool retarget_frame_has_failed(unsigned long pfn)
{
	struct page *page = pfn_to_page(pfn);

	return retarget_frames_failed() &&
	       (PageHWPoison(page) || !kernel_page_present(page));
}

static void write_back_frames(unsigned long pfn, unsigned long nr)
{
	if (IS_ENABLED(CONFIG_DEBUG_VM) && retarget_frames_failed())
		WARN_ON_ONCE(!kernel_page_present(pfn_to_page(pfn)));
	arch_wb_cache_pmem(pfn_to_kaddr(pfn), nr << PAGE_SHIFT);
}

/* Write back frames, one by one if some may have failed. Returns their number. */
static unsigned long write_back_good(unsigned long pfn, unsigned long nr)
{
	unsigned long end = pfn + nr, done = 0;

	if (!retarget_frames_failed()) {
		write_back_frames(pfn, nr);
		return nr;
	}
	for (; pfn < end; pfn++) {
		if (retarget_frame_has_failed(pfn) &&
		    !dax_retarget_broken(DAX_BREAK_skip_failed))
			continue;
		write_back_frames(pfn, 1);
		done++;
	}
	return done;
}

/*
 * Write back those of pages [@first, @last] that were not taken back, and are not
 * in @done, whose bit 0 is of page @base, which may wrap
 */
static unsigned long write_back(struct retarget_region *region,
				unsigned long first, unsigned long last,
				unsigned long pfn, unsigned long *done,
				unsigned long base)
{
	unsigned long begin, end, nr = 0;

	for (begin = first; begin <= last; begin = end) {
		end = min(last + 1, begin + RUN);
		if (test_bit(begin, region->retargeted)) {
			end = find_next_zero_bit(region->retargeted, last + 1,
						 begin);
			continue;
		}
		end = find_next_bit(region->retargeted, end, begin);
		if (done && test_bit(begin - base, done)) {
			end = base + find_next_zero_bit(done, end - base,
							begin - base);
			continue;
		}
		if (done) {
			end = base + find_next_bit(done, end - base,
						   begin - base);
			bitmap_set(done, begin - base, end - begin);
		}
		nr += write_back_good(pfn + (begin - first), end - begin);
		cond_resched();
	}
	return nr;
}

/* Write back pages [@first, @last]; @done and @base as for write_back() */
static unsigned long write_back_all(struct retarget_region *region,
				    unsigned long first, unsigned long last,
				    unsigned long *done, unsigned long base)
{
	struct retarget_extent *extent;
	unsigned long nr = 0;

	for_each_retarget_extent(extent, region, first, last) {
		unsigned long from = first, to = last;
		unsigned long pfn = retarget_extent_clip(extent, &from, &to);

		nr += write_back(region, from, to, pfn, done, base);
	}
	return nr;
}

/*
 * Make the dirty ones of pages [@first, @last] clean in a mapping, and set their bits.
 * Returns their number.
 */
static unsigned long clear_dirty(struct retarget_region *region,
				 struct retarget_mapping *mapping,
				 unsigned long first, unsigned long last,
				 unsigned long *dirty)
{
	const struct iommu_retarget_ops *ops = mapping->domain->ops->retarget;
	unsigned long base = first, found = 0;
	struct retarget_extent *extent;

	if (!retarget_mapping_clip(mapping, &first, &last))
		return 0;
	for_each_retarget_extent(extent, region, first, last) {
		unsigned long from = first, to = last;

		retarget_extent_clip(extent, &from, &to);
		found += ops->read_and_clear_dirty(mapping->domain,
						   retarget_mapping_iova(mapping, from),
						   (to - from + 1) << PAGE_SHIFT,
						   &mapping->scratch, dirty,
						   from - base);
	}
	return found;
}

/*
 * Write back the dirty ones of pages [@first, @last], RETARGET_BATCH at most. Not
 * inlined: the stack has the bitmap only while it is used.
 */
static noinline unsigned long write_back_dirty(struct retarget_region *region,
					       unsigned long first,
					       unsigned long last)
{
	DECLARE_BITMAP(dirty, RETARGET_BATCH) = {};
	unsigned long found = 0, nr = 0, begin, end;
	struct retarget_mapping *mapping;
	struct retarget_extent *extent;
	struct retarget_gather gather;

	list_for_each_entry(mapping, &region->mappings, link)
		found += clear_dirty(region, mapping, first, last, dirty);
	if (!found || dax_retarget_broken(DAX_BREAK_dirty))
		return 0;

	/* What leads to scratch was flushed already */
	if (region->state == RETARGET_LIVE &&
	    !dax_retarget_broken(DAX_BREAK_dirty_flush)) {
		retarget_hook_begin(&gather);
		begin = first + find_first_bit(dirty, last - first + 1);
		end = first + find_last_bit(dirty, last - first + 1);
		retarget_gather_all(&gather, region, begin, end);
		retarget_hook_flush(&gather);
		retarget_hook_end(&gather);
	}
	for_each_retarget_extent(extent, region, first, last) {
		unsigned long from = first, to = last;
		unsigned long pfn = retarget_extent_clip(extent, &from, &to);

		begin = from - first;
		for_each_set_bitrange_from(begin, end, dirty, to - first + 1)
			nr += write_back(region, first + begin, first + end - 1,
					 pfn + (first + begin - from), NULL, 0);
	}
	return nr;
}

/* Can the IOMMU tell which pages devices wrote to? Not once they are unmapped */
static bool tracks(const struct retarget_region *region)
{
	struct retarget_mapping *mapping;

	list_for_each_entry(mapping, &region->mappings, link)
		if (!mapping->scratch.track)
			return false;
	return !list_empty(&region->mappings);
}

/**
 * retarget_region_write_back - write back what a device can have written
 * @region: the region
 * @first: index of the first page
 * @last: index of the last page, of RETARGET_BATCH at most
 * @done: bits of the pages that another region has written back already; gets
 *	  those of the pages that are written back. Or %NULL.
 * @bit: number of the bit of page @first
 *
 * Pages that were taken back are skipped: the device does not reach them any
 * more, and their memory may be gone. Where the IOMMU tells what the device wrote,
 * @done does not count: a page that is made clean has to be written back.
 *
 * Context: under @region's mutex. May sleep; does not allocate.
 * Return: number of bits that were added to @done
 */
unsigned long retarget_region_write_back(struct retarget_region *region,
					 unsigned long first,
					 unsigned long last,
					 unsigned long *done, unsigned long bit)
{
	unsigned long nr;
	bool dirty_only;

	lockdep_assert_held(&region->mutex);

	/* Before it is live, the region's device has written nothing */
	if (!region->writable || !region->cached ||
	    region->state == RETARGET_REGISTERING)
		return 0;
	if (dax_retarget_broken(DAX_BREAK_write_back))
		return 0;

	dirty_only = tracks(region);
	nr = dirty_only ? write_back_dirty(region, first, last) :
			  write_back_all(region, first, last, done, first - bit);
	if (nr) {
		retarget_region_count(region, RETARGET_STAT_PAGES_FLUSHED, nr);
		trace_dax_pin_sync(region, first, nr);
	}
	return dirty_only ? 0 : nr;
}
