// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: the memory of a region
 *
 * A hook cannot allocate. So all memory that a hook needs is allocated while
 * the region registers: a bitmap of the pages taken back, the scratch page, and
 * space for the extents. map.c reserves the page tables for splitting.
 */

#include <linux/bitmap.h>
#include <linux/device.h>
#include <linux/iommu_retarget.h>
#include <linux/mm.h>
#include <linux/slab.h>

/**
 * retarget_region_init - begin a region
 * @region: the region, zeroed
 * @dev: the device that does the DMA
 * @domain: the domain in which the DMA API maps the region; %NULL if the consumer
 *          maps it, see domain.c
 * @nr_pages: pages of the region
 * @writable: may the device write?
 *
 * Context: any
 */
void retarget_region_init(struct retarget_region *region, struct device *dev,
			  struct iommu_domain *domain, unsigned long nr_pages,
			  bool writable)
{
	mutex_init(&region->mutex);
	retarget_lock_in_reclaim(&region->mutex);
	INIT_LIST_HEAD(&region->mappings);
	INIT_LIST_HEAD(&region->link);
	retarget_mapping_init(&region->dma, domain);
	region->state = RETARGET_REGISTERING;
	region->dev = get_device(dev);
	region->nr_pages = nr_pages;
	region->writable = writable;
	region->dir = writable ? DMA_BIDIRECTIONAL : DMA_TO_DEVICE;
}

/* Make room for one more extent */
static int grow_extents(struct retarget_region *region)
{
	struct retarget_extent *extents, *old;
	unsigned long max;

	if (region->nr_extents < region->max_extents)
		return 0;

	/* For a file in very many extents this may be more than kvmalloc() gives */
	max = max(4UL, 2 * region->max_extents);
	extents = kvmalloc_array(max, sizeof(*extents),
				 GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!extents)
		return -ENOMEM;

	old = region->extents;
	if (old)
		memcpy(extents, old, region->nr_extents * sizeof(*extents));
	mutex_lock(&region->mutex);
	region->extents = extents;
	region->max_extents = max;
	mutex_unlock(&region->mutex);
	kvfree(old);
	return 0;
}

/**
 * retarget_region_prepare - allocate the memory that registering a run of pages
 * takes
 * @region: a region that registers
 *
 * Context: the task that registers the region. May sleep.
 * Return: 0 or -ENOMEM
 */
int retarget_region_prepare(struct retarget_region *region)
{
	if (!region->device) {
		region->device = retarget_device_get(retarget_region_name(region));
		if (!region->device)
			return -ENOMEM;
	}
	if (!region->retargeted) {
		region->retargeted = kvcalloc(BITS_TO_LONGS(region->nr_pages),
					      sizeof(long), GFP_KERNEL_ACCOUNT);
		if (!region->retargeted)
			return -ENOMEM;
	}
	if (!region->page) {
		region->page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!region->page)
			return -ENOMEM;
		retarget_region_count(region, RETARGET_STAT_SCRATCH_PAGES, 1);
	}
	return grow_extents(region);
}

/**
 * retarget_region_release - free the scratch page and the page tables
 * @region: a region that no hook finds any more
 *
 * retarget_region_owns() stays valid until retarget_region_free().
 *
 * Context: may sleep
 */
void retarget_region_release(struct retarget_region *region)
{
	/* Too late: a block may have been freed under the translation */
	WARN_ON_ONCE(region->state == RETARGET_LIVE);
	retarget_region_unmap(region);
	retarget_region_unmap_domains(region);

	if (region->device) {
		retarget_region_count(region, RETARGET_STAT_PAGES_PINNED,
				      -region->nr_pinned);
		retarget_mapping_release(region, &region->dma);
	}
	if (region->page) {
		retarget_region_count(region, RETARGET_STAT_SCRATCH_PAGES, -1);
		__free_page(region->page);
		region->page = NULL;
	}
}

/**
 * retarget_region_free - forget a region
 * @region: a region after retarget_region_release(), or without pages
 *
 * Context: may sleep
 */
void retarget_region_free(struct retarget_region *region)
{
	kvfree(region->extents);
	kvfree(region->retargeted);
	put_device(region->dev);
}
