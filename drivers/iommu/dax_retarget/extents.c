// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: the page frames of a region
 *
 * The frames are noted while the region registers, as runs in order of index.
 * The runs do not change afterwards: a page that is taken back keeps its place.
 */

#include <linux/iommu_retarget.h>
#include <linux/mm.h>

/**
 * retarget_region_add_frames - note the page frames of pages of a region
 * @region: a region that registers, after retarget_region_prepare()
 * @first: index of the first page, above all that were noted before
 * @pfn: first page frame number
 * @nr: number of pages, in as many contiguous frames
 * @cached: do CPU caches hold back from the medium what is written to the pages?
 *
 * Context: the task that registers the region. May sleep.
 */
void retarget_region_add_frames(struct retarget_region *region,
				unsigned long first, unsigned long pfn,
				unsigned long nr, bool cached)
{
	struct retarget_extent *extent = NULL;

	mutex_lock(&region->mutex);
	region->cached |= cached;
	if (region->nr_extents)
		extent = &region->extents[region->nr_extents - 1];
	if (extent && extent->first + extent->nr == first &&
	    extent->pfn + extent->nr == pfn) {
		extent->nr += nr;
	} else {
		extent = &region->extents[region->nr_extents++];
		extent->first = first;
		extent->nr = nr;
		extent->pfn = pfn;
	}
	region->nr_pinned += nr;
	mutex_unlock(&region->mutex);
	retarget_region_count(region, RETARGET_STAT_PAGES_PINNED, nr);
}

/**
 * retarget_region_find - find the extent of a page, or the next one
 * @region: the region
 * @index: index of the page
 *
 * Context: under @region's mutex; in the task that registers the region; or no
 *	    more pages are registered
 * Return: the first extent that ends above page @index, or the end of the array
 */
struct retarget_extent *
retarget_region_find(const struct retarget_region *region, unsigned long index)
{
	unsigned long low = 0, high = region->nr_extents;

	while (low < high) {
		unsigned long mid = low + (high - low) / 2;
		struct retarget_extent *extent = &region->extents[mid];

		if (extent->first + extent->nr <= index)
			low = mid + 1;
		else
			high = mid;
	}
	return region->extents + low;
}

/**
 * retarget_region_owns - is a page in one of the extents of a region?
 * @region: the region
 * @index: index of the page
 *
 * Context: as retarget_region_find()
 * Return: true if the page is in an extent
 */
bool retarget_region_owns(const struct retarget_region *region,
			  unsigned long index)
{
	struct retarget_extent *extent;

	for_each_retarget_extent(extent, region, index, index)
		return true;
	return false;
}
