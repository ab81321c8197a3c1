// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: map a region for a device, and unmap it
 *
 * The DMA API maps the region. The functions here check that the region is one
 * run of IOVAs, point pages that were taken back meanwhile at scratch, and make
 * sure that no translation is left at the end.
 */

#include <linux/bitmap.h>
#include <linux/dax_retarget_test.h>
#include <linux/dma-mapping.h>
#include <linux/iommu_retarget.h>
#include <linux/mm.h>

#include "../iommu-pages.h"

#include <trace/events/dax_retarget.h>

/**
 * retarget_region_limit_batch - limit the size of an entry of a scatterlist
 * @region: the region
 * @index: index of the next page
 * @nr_pages: number of pages wanted; lowered if need be
 * @max_segment: largest entry of the region's scatterlist, in bytes; lowered if
 *		 need be
 *
 * The DMA API inserts padding before an entry that would cross a segment boundary
 * of the device. The padding maps the memory behind the entry before: for a file,
 * blocks of another file. So entries have to end at the boundaries, counted from
 * the start of the region: no batch crosses a boundary, and the page behind a
 * boundary is not merged with the page before.
 *
 * Context: any
 */
void retarget_region_limit_batch(const struct retarget_region *region,
				 unsigned long index, unsigned long *nr_pages,
				 unsigned int *max_segment)
{
	unsigned long mask = dma_get_seg_boundary(region->dev) >> PAGE_SHIFT;

	if (dax_retarget_broken(DAX_BREAK_segment))
		return;
	if (index && !(index & mask)) {
		*nr_pages = 1;
		*max_segment = PAGE_SIZE;
		return;
	}
	*nr_pages = min(*nr_pages, mask - (index & mask) + 1);
}

/* Does an entry cross a boundary? See retarget_region_limit_batch() */
static bool crosses_boundary(struct retarget_region *region,
			     struct sg_table *sgt)
{
	unsigned long mask = dma_get_seg_boundary(region->dev);
	unsigned long offset = 0;
	struct scatterlist *sg;
	int i;

	if (dax_retarget_should_fail())
		return true;
	if (dax_retarget_broken(DAX_BREAK_segment))
		return false;
	for_each_sgtable_sg(sgt, sg, i) {
		if ((offset & mask) + sg->length - 1 > mask)
			return true;
		offset += sg->length;
	}
	return false;
}

/* dma-iommu allocates one run of IOVAs for a region; insist on one run */
static bool one_iova_range(struct retarget_region *region, struct sg_table *sgt)
{
	dma_addr_t next = sg_dma_address(sgt->sgl);
	struct scatterlist *sg;
	int i;

	if (dax_retarget_should_fail())
		return false;
	if (dax_retarget_broken(DAX_BREAK_segment))
		return true;
	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (sg_dma_is_swiotlb(sg) || sg_dma_address(sg) != next)
			return false;
		next += sg_dma_len(sg);
	}
	return next - sg_dma_address(sgt->sgl) ==
	       (u64)region->nr_pages << PAGE_SHIFT;
}

static int dma_map(struct retarget_region *region, struct sg_table *sgt,
		   unsigned long attrs)
{
	if (dax_retarget_should_fail())
		return -EIO;
	return dma_map_sgtable(region->dev, sgt, region->dir, attrs);
}

static void dma_unmap(struct retarget_region *region, struct sg_table *sgt,
		      unsigned long attrs)
{
	dma_unmap_sgtable(region->dev, sgt, region->dir, attrs);
	/* The DMA API may have left the flush for later */
	iommu_flush_iotlb_all(region->domain);
}

/* Free the reserved tables that splitting the mapping cannot need */
static void trim_tables(struct retarget_region *region)
{
	struct iommu_domain *domain = region->domain;
	LIST_HEAD(kept);
	long n;

	region->nr_tables = domain->ops->retarget->needed(domain, region->iova,
				(size_t)region->nr_pages << PAGE_SHIFT);
	retarget_region_count(region, RETARGET_STAT_TABLE_PAGES,
			      region->nr_tables);
	for (n = 0; n < region->nr_tables && !list_empty(&region->tables); n++)
		list_move(region->tables.next, &kept);
	iommu_put_pages_list(&region->tables);
	list_splice(&kept, &region->tables);
}

/*
 * Hooks marked pages before there was an entry. The device knows no IOVA yet.
 */
static unsigned long apply_marks(struct retarget_region *region)
{
	struct retarget_gather gather;
	unsigned long marked;

	marked = bitmap_weight(region->retargeted, region->nr_pages);
	if (marked && !dax_retarget_broken(DAX_BREAK_marks)) {
		retarget_gather_init(&gather);
		retarget_region_apply_marks(region, &gather);
		retarget_gather_flush(&gather);
	}
	return marked;
}

static int map_locked(struct retarget_region *region, struct sg_table *sgt,
		      unsigned long attrs)
{
	unsigned long marked;
	int ret;

	ret = dma_map(region, sgt, attrs);
	if (ret)
		return ret;
	if (!one_iova_range(region, sgt)) {
		dma_unmap(region, sgt, attrs);
		return -EOPNOTSUPP;
	}

	region->iova = sg_dma_address(sgt->sgl);
	trim_tables(region);
	region->sgt = sgt;
	region->attrs = attrs;
	region->state = RETARGET_LIVE;
	marked = apply_marks(region);
	trace_dax_pin_map(region, marked);
	return 0;
}

/**
 * retarget_region_map - let the device reach a region
 * @region: a region with pages, all of which are registered
 * @sgt: all pages of the region, whole pages, in order, from batches that
 *	 retarget_region_limit_batch() has seen
 * @attrs: attributes for dma_map_sgtable()
 *
 * Pages that were taken back since their registration are mapped as scratch.
 *
 * Context: process context; the device knows no IOVA of the region yet. May
 *	    sleep.
 * Return: 0; -EOPNOTSUPP if the IOVAs of the region would not be one range;
 *	   -ENOMEM; or what dma_map_sgtable() returns
 */
int retarget_region_map(struct retarget_region *region, struct sg_table *sgt,
			unsigned long attrs)
{
	unsigned int nofs;
	int ret;

	if (crosses_boundary(region, sgt)) {
		trace_dax_pin_refused(region->dev, DAX_RETARGET_REFUSAL_SEGMENT);
		return -EOPNOTSUPP;
	}

	/* Before the lock: an allocation may be throttled while hooks wait */
	ret = region->domain->ops->retarget->reserve(region->domain,
			(size_t)region->nr_pages << PAGE_SHIFT,
			&region->tables);
	if (ret)
		return ret;

	mutex_lock(&region->mutex);
	/* Reclaim may evict an inode, and the hook would take this mutex */
	nofs = memalloc_nofs_save();
	ret = map_locked(region, sgt, attrs);
	memalloc_nofs_restore(nofs);
	mutex_unlock(&region->mutex);
	return ret;
}

/**
 * retarget_region_unmap_locked - remove all translations to pages of a region
 * @region: a region in any phase
 *
 * Context: under @region's mutex. May sleep; does not allocate.
 * Return: true if the region was mapped
 */
bool retarget_region_unmap_locked(struct retarget_region *region)
{
	lockdep_assert_held(&region->mutex);

	if (region->state != RETARGET_LIVE)
		return false;
	dma_unmap(region, region->sgt, region->attrs);
	region->state = RETARGET_UNMAPPED;
	return true;
}

/**
 * retarget_region_unmap - take a region from its device
 * @region: a region in any phase
 *
 * When the function returns, no translation is left, what the device wrote is
 * written back, and hooks ignore the region.
 *
 * Context: process context; the device has been told to stop. May sleep, does
 *	    not allocate.
 */
void retarget_region_unmap(struct retarget_region *region)
{
	unsigned long first, nr = region->nr_pages;

	mutex_lock(&region->mutex);
	retarget_region_unmap_locked(region);
	mutex_unlock(&region->mutex);

	/* A hook that waits for the mutex waits for one batch, not for terabytes */
	for (first = 0; first < nr; first += RETARGET_BATCH) {
		mutex_lock(&region->mutex);
		retarget_region_write_back(region, first,
					   min(nr, first + RETARGET_BATCH) - 1);
		mutex_unlock(&region->mutex);
		cond_resched();
	}

	mutex_lock(&region->mutex);
	region->state = RETARGET_DEAD;
	mutex_unlock(&region->mutex);
}
