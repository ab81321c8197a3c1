// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: map a region for a device, and unmap it
 *
 * The DMA API maps the region. The functions here check that the region is one
 * run of IOVAs, point pages that were taken back meanwhile at scratch, and make
 * sure that no translation is left at the end. A region may hold much other
 * memory, which no hook may have to wait for: it is mapped and unmapped without
 * the region's mutex.
 */

#include <linux/bitmap.h>
#include <linux/dax_retarget_test.h>
#include <linux/dma-mapping.h>
#include <linux/iommu_retarget.h>
#include <linux/mm.h>

#include <trace/events/dax_retarget.h>

/**
 * retarget_limit_batch - limit the size of an entry of a scatterlist
 * @dev: the device that does the DMA
 * @index: index of the next page of the region
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
void retarget_limit_batch(struct device *dev, unsigned long index,
			  unsigned long *nr_pages, unsigned int *max_segment)
{
	unsigned long mask = dma_get_seg_boundary(dev) >> PAGE_SHIFT;

	if (dax_retarget_broken(DAX_BREAK_segment))
		return;
	if (index && !(index & mask)) {
		*nr_pages = 1;
		*max_segment = PAGE_SIZE;
		return;
	}
	*nr_pages = min(*nr_pages, mask - (index & mask) + 1);
}

/* Does an entry cross a boundary? See retarget_limit_batch() */
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

static size_t region_size(const struct retarget_region *region)
{
	return (size_t)region->nr_pages << PAGE_SHIFT;
}

static int dma_map(struct retarget_region *region, struct sg_table *sgt,
		   unsigned long attrs)
{
	int ret;

	if (dax_retarget_should_fail())
		return -EIO;
	ret = dma_map_sgtable(region->dev, sgt, region->dir, attrs);
	if (ret || one_iova_range(region, sgt))
		return ret;
	dma_unmap_sgtable(region->dev, sgt, region->dir, attrs);
	return -EOPNOTSUPP;
}

/*
 * The next pages with frames, from @first on, of which the mutex is held at a
 * time. No frames are added any more.
 */
static bool next_batch(const struct retarget_region *region,
		       unsigned long *first, unsigned long *last)
{
	struct retarget_extent *extent = retarget_region_find(region, *first);

	if (extent == region->extents + region->nr_extents)
		return false;
	*first = max(*first, extent->first);
	*last = retarget_region_batch(region, *first, region->nr_pages - 1);
	return true;
}

static void go_live(struct retarget_region *region, struct sg_table *sgt,
		    unsigned long attrs)
{
	struct retarget_device *device = region->device;

	mutex_lock(&region->mutex);
	region->sgt = sgt;
	region->attrs = attrs;
	list_add(&region->dma.link, &region->mappings);
	/* Readers of the list take no lock, and look at @iova afterwards */
	smp_store_release(&region->state, RETARGET_LIVE);
	mutex_unlock(&region->mutex);

	spin_lock(&device->lock);
	list_add_tail(&region->link, &device->regions);
	spin_unlock(&device->lock);
}

static void flush_all(struct retarget_region *region)
{
	retarget_mapping_flush(region, &region->dma);
}

/*
 * Hooks marked pages before the region was live. The device knows no IOVA yet. From
 * now on a hook replaces the entry itself, so no mark is missed.
 */
static unsigned long apply_marks(struct retarget_region *region)
{
	unsigned long first = 0, last, marked = 0;
	struct retarget_gather gather;

	retarget_hook_begin(&gather);
	for (; next_batch(region, &first, &last); first = last + 1) {
		mutex_lock(&region->mutex);
		marked += retarget_region_apply_marks(region, first, last,
						      &gather);
		mutex_unlock(&region->mutex);
		cond_resched();
	}
	retarget_hook_flush(&gather);
	retarget_hook_end(&gather);
	return marked;
}

/**
 * retarget_region_map - let the device reach a region
 * @region: a region with pages, all of which are registered
 * @sgt: all pages of the region, whole pages, in order, from batches that
 *	 retarget_limit_batch() has seen
 * @attrs: attributes for dma_map_sgtable()
 *
 * Pages that were taken back since their registration are mapped as scratch.
 * Hooks wait for none of the region's other memory: the region is mapped without
 * its mutex, and a hook only marks pages until the region is live.
 *
 * Context: process context; the device knows no IOVA of the region yet. May
 *	    sleep.
 * Return: 0; -EOPNOTSUPP if the IOVAs of the region would not be one range;
 *	   -ENOMEM; -EINTR if the task is killed; or what dma_map_sgtable() returns
 */
int retarget_region_map(struct retarget_region *region, struct sg_table *sgt,
			unsigned long attrs)
{
	struct retarget_mapping *mapping = &region->dma;
	const struct iommu_retarget_ops *ops = mapping->domain->ops->retarget;
	int ret;

	if (crosses_boundary(region, sgt)) {
		trace_dax_pin_refused(region->dev, DAX_RETARGET_REFUSAL_SEGMENT);
		return -EOPNOTSUPP;
	}
	retarget_mapping_set_up(region, mapping);
	ret = ops->reserve(mapping->domain, region_size(region),
			   &mapping->scratch);
	if (ret)
		return ret;

	down_read(&region->device->rwsem);
	ret = dma_map(region, sgt, attrs);
	if (!ret) {
		WRITE_ONCE(region->iova, sg_dma_address(sgt->sgl));
		mapping->iova = region->iova;
		mapping->end = region->nr_pages;
		ops->settle(mapping->domain, mapping->iova, region_size(region),
			    &mapping->scratch);
		WRITE_ONCE(region->leaf_size, mapping->scratch.leaf_size);
		/* The IOTLB may hold entries as dirty that are clean now */
		if (mapping->scratch.track)
			flush_all(region);
		retarget_region_count(region, RETARGET_STAT_TABLE_PAGES,
				      mapping->scratch.nr_tables);
		dax_retarget_hold(DAX_WINDOW_mapping);
		go_live(region, sgt, attrs);
		trace_dax_pin_map(region, apply_marks(region));
	}
	up_read(&region->device->rwsem);
	return ret;
}

/**
 * retarget_region_detach_locked - point a region's pages at scratch for good
 * @region: a region in any phase
 *
 * As retarget_region_detach(), with the device's rwsem held.
 *
 * Context: see there
 */
void retarget_region_detach_locked(struct retarget_region *region)
{
	struct retarget_gather gather;
	unsigned long first, last;

	mutex_lock(&region->mutex);
	if (region->state != RETARGET_LIVE) {
		region->state = RETARGET_DETACHED;
		mutex_unlock(&region->mutex);
		return;
	}
	mutex_unlock(&region->mutex);

	retarget_hook_begin(&gather);
	/* The pages are not marked: a sync still has to write them back */
	for (first = 0; next_batch(region, &first, &last); first = last + 1) {
		mutex_lock(&region->mutex);
		retarget_region_replace(region, first, last, &gather);
		mutex_unlock(&region->mutex);
		cond_resched();
	}
	retarget_hook_flush(&gather);
	retarget_hook_end(&gather);

	mutex_lock(&region->mutex);
	region->state = RETARGET_DETACHED;
	mutex_unlock(&region->mutex);
}

/**
 * retarget_region_detach - take the pages of a region from its device
 * @region: a region in any phase
 *
 * When the function returns, no translation to a page in the extents is left, and
 * what the device wrote is written back. The IOVAs stay mapped.
 *
 * Context: process context; the device has been told to stop. May sleep, does
 *	    not allocate.
 * Return: false if the device was stopped, as the IOMMU failed
 */
bool retarget_region_detach(struct retarget_region *region)
{
	unsigned long first, last;

	if (!region->device)
		return true;
	down_read(&region->device->rwsem);
	retarget_region_detach_locked(region);
	up_read(&region->device->rwsem);

	/* Before it is mapped, the region's device has written nothing */
	if (!region->leaf_size)
		return true;
	/* A hook that waits for the mutex waits for one batch, not for terabytes */
	for (first = 0; next_batch(region, &first, &last); first = last + 1) {
		last = min(last, first + RETARGET_BATCH - 1);
		mutex_lock(&region->mutex);
		retarget_region_write_back(region, first, last, NULL, 0);
		mutex_unlock(&region->mutex);
		cond_resched();
	}
	return !retarget_region_stopped(region);
}

/**
 * retarget_region_unmap_locked - unmap the IOVAs of a region
 * @region: a region in any phase
 *
 * As retarget_region_unmap(), with the device's rwsem held.
 *
 * Context: see there
 */
void retarget_region_unmap_locked(struct retarget_region *region)
{
	struct retarget_mapping *mapping = &region->dma;
	const struct iommu_retarget_ops *ops;
	struct sg_table *sgt;

	mutex_lock(&region->mutex);
	sgt = region->sgt;
	region->sgt = NULL;
	list_del_init(&mapping->link);
	mutex_unlock(&region->mutex);
	/* The domain is there only as long as the region is mapped */
	if (!sgt)
		return;

	dax_retarget_hold(DAX_WINDOW_unmapping);
	ops = mapping->domain->ops->retarget;
	/*
	 * The IOVAs are free once they are unmapped: no cached entry of a page
	 * table may lead to our tables then
	 */
	if (ops->release(mapping->domain, mapping->iova, region_size(region),
			 &mapping->scratch))
		flush_all(region);
	dma_unmap_sgtable(region->dev, sgt, region->dir, region->attrs);
	/* The DMA API may have left the flush for later, and scratch goes now */
	flush_all(region);

	spin_lock(&region->device->lock);
	list_del_init(&region->link);
	spin_unlock(&region->device->lock);
}

/**
 * retarget_region_unmap - unmap the IOVAs of a region
 * @region: a region in any phase; after retarget_region_detach() no hook waits for
 *	    this function, whatever else the region holds
 *
 * Context: process context. May sleep, does not allocate.
 */
void retarget_region_unmap(struct retarget_region *region)
{
	if (!region->device)
		return;
	down_read(&region->device->rwsem);
	retarget_region_unmap_locked(region);
	up_read(&region->device->rwsem);
}
