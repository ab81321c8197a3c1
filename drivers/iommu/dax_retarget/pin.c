// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: the life of a pin
 *
 * A pin is what one consumer object (an RDMA memory region, say) lets one
 * device reach. The principle: the registry is the pin. No page reference is
 * held, so nothing in the file system or the mm waits for a pin, and a pin can
 * be taken back page by page at any time.
 *
 *   create    Allocates the pin, if the device qualifies.
 *
 *   register  dax_pin_user_pages(), batch by batch. Enters the file pages in
 *             the index first, then looks the frames up, notes them, and drops
 *             their references. From the first moment a hook finds the pages;
 *             it can but mark them, since no IOVA leads to them yet.
 *
 *   map       dax_pin_map_sgtable(). Maps the region for DMA, with marked pages
 *             as scratch: somebody pinned, then somebody punched, which is
 *             legal. Now the pin is live.
 *
 *   retarget  Any number of times: a hook points pages at the pin's scratch
 *             page and flushes the IOTLB (retarget.c).
 *
 *   end       dax_pin_end(). Unmaps, flushes the IOTLB, writes back CPU caches
 *             (sync.c), and only then leaves the index: in the other order a
 *             block could be freed and reused under a translation that still
 *             works, and fsync would miss what is not written back yet.
 *
 * Which steps meet which is decided by the pin's mutex: map, retarget and end
 * exclude one another. Registering is a matter of one task.
 *
 * A region may hold other memory beside fsdax pages. That is pinned as ever;
 * dax_pin_owns_page() tells a consumer which is which, since the memmap of
 * persistent memory may be gone while the region is not.
 */

#include <linux/bitmap.h>
#include <linux/dax_retarget.h>
#include <linux/dma-mapping.h>
#include <linux/export.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "../iommu-pages.h"
#include "internal.h"

#include <trace/events/dax_retarget.h>

/**
 * dax_pin_alloc - allocate a pin
 * @dev: the device that does the DMA
 * @domain: its IOMMU domain
 * @start: user address of the region, page aligned
 * @nr_pages: pages of the region
 * @writable: may the device write?
 * @consumer: name of the consumer's device, for administrators
 *
 * Context: may sleep
 * Return: the pin, or %NULL if there is no memory
 */
struct dax_pin *dax_pin_alloc(struct device *dev, struct iommu_domain *domain,
			      unsigned long start, unsigned long nr_pages,
			      bool writable, const char *consumer)
{
	struct dax_pin *pin;

	pin = kzalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);
	if (!pin)
		return NULL;
	pin->consumer = kstrdup(consumer, GFP_KERNEL_ACCOUNT);
	if (!pin->consumer) {
		kfree(pin);
		return NULL;
	}
	mutex_init(&pin->mutex);
	lock_in_reclaim(&pin->mutex);
	refcount_set(&pin->refs, 1);
	INIT_LIST_HEAD(&pin->tables);
	INIT_LIST_HEAD(&pin->ranges);
	pin->state = DAX_PIN_REGISTERING;
	pin->dev = get_device(dev);
	pin->domain = domain;
	pin->start = start;
	pin->nr_pages = nr_pages;
	pin->writable = writable;
	pin->dir = writable ? DMA_BIDIRECTIONAL : DMA_TO_DEVICE;
	return pin;
}

/**
 * dax_pin_create - begin a pin
 * @dev: the device that does the DMA; %NULL for one without DMA of its own
 * @start: user address of the region, page aligned
 * @nr_pages: pages of the region
 * @writable: may the device write?
 * @consumer: name of the consumer's device, for administrators
 *
 * Context: process context, a driver is bound to @dev. May sleep.
 * Return: the pin, to be freed by dax_pin_free(); %NULL if the region has to do
 *	   without, since the kernel was not booted with dax_retarget=on or the
 *	   device does not qualify; or ERR_PTR(-ENOMEM)
 */
struct dax_pin *dax_pin_create(struct device *dev, unsigned long start,
			       unsigned long nr_pages, bool writable,
			       const char *consumer)
{
	struct iommu_domain *domain;
	struct dax_pin *pin;

	/* The bitmap of retargeted pages counts in int */
	if (!dax_retarget_enabled() || nr_pages > INT_MAX)
		return NULL;
	domain = dax_retarget_domain(dev);
	if (!domain || dax_retarget_should_fail())
		return NULL;
	pin = dax_pin_alloc(dev, domain, start, nr_pages, writable, consumer);
	return pin ?: ERR_PTR(-ENOMEM);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_create, DAX_RETARGET);

/**
 * dax_pin_prepare - allocate what registering more pages takes
 * @pin: a pin that registers
 * @nr: number of pages to come
 *
 * Not done at creation, because most regions have no page of fsdax.
 *
 * Context: the task that registers the pin. May sleep.
 * Return: 0 or -ENOMEM
 */
int dax_pin_prepare(struct dax_pin *pin, unsigned long nr)
{
	struct dax_pin_extent *extents, *old;
	unsigned long max;
	int ret;

	if (!pin->retargeted) {
		pin->retargeted = kvcalloc(BITS_TO_LONGS(pin->nr_pages),
					   sizeof(long), GFP_KERNEL_ACCOUNT);
		if (!pin->retargeted)
			return -ENOMEM;
	}

	if (!pin->id) {
		ret = dax_pin_publish(pin);
		if (ret)
			return ret;
	}

	if (!pin->scratch) {
		pin->scratch = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!pin->scratch)
			return -ENOMEM;
		dax_pin_count(pin, DAX_STAT_SCRATCH_PAGES, 1);
	}

	if (pin->nr_extents + nr <= pin->max_extents)
		return 0;

	/* A file in very many pieces asks for more than can be had at once */
	max = max(pin->nr_extents + nr, 2 * pin->max_extents);
	extents = kvmalloc_array(max, sizeof(*extents),
				 GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!extents)
		return -ENOMEM;

	mutex_lock(&pin->mutex);
	old = pin->extents;
	if (old)
		memcpy(extents, old, pin->nr_extents * sizeof(*extents));
	pin->extents = extents;
	pin->max_extents = max;
	mutex_unlock(&pin->mutex);
	kvfree(old);
	return 0;
}

/**
 * dax_pin_add_frames - note which frames a pin's pages are
 * @pin: a pin that registers, after dax_pin_prepare()
 * @first: index of the first page, above all that were noted before
 * @pages: the pages
 * @nr: number of pages
 * @cached: do CPU caches hold back what is written to them from the medium?
 *
 * Context: the task that registers the pin; it holds references to @pages. May
 *	    sleep.
 */
void dax_pin_add_frames(struct dax_pin *pin, unsigned long first,
			struct page **pages, unsigned long nr, bool cached)
{
	struct dax_pin_extent *extent = NULL;
	unsigned long i;

	mutex_lock(&pin->mutex);
	pin->cached |= cached;
	if (pin->nr_extents)
		extent = &pin->extents[pin->nr_extents - 1];
	for (i = 0; i < nr; i++) {
		unsigned long pfn = page_to_pfn(pages[i]);

		if (extent && extent->first + extent->nr == first + i &&
		    extent->pfn + extent->nr == pfn) {
			extent->nr++;
			continue;
		}
		extent = &pin->extents[pin->nr_extents++];
		extent->first = first + i;
		extent->nr = 1;
		extent->pfn = pfn;
	}
	pin->nr_pinned += nr;
	mutex_unlock(&pin->mutex);
	dax_pin_count(pin, DAX_STAT_PAGES_PINNED, nr);
}

/**
 * dax_pin_put_pgmaps - let the memory of a pin's frames go away
 * @pin: a pin that became live, or never will
 *
 * While it registers, a pin keeps the memmap, because the DMA API looks at it.
 * Afterwards dax_retarget_pagemap() finds the frames.
 *
 * Context: the task that registers or ends the pin
 */
void dax_pin_put_pgmaps(struct dax_pin *pin)
{
	struct dax_pin_range *range;

	list_for_each_entry(range, &pin->ranges, link) {
		put_dev_pagemap(range->pgmap);
		range->pgmap = NULL;
	}
}

/**
 * dax_pin_is_empty - has a pin no pages?
 * @pin: the pin, or %NULL
 *
 * Return: true if none of the region's pages is an fsdax page of @pin
 */
bool dax_pin_is_empty(struct dax_pin *pin)
{
	return !pin || !pin->nr_extents;
}
EXPORT_SYMBOL_NS_GPL(dax_pin_is_empty, DAX_RETARGET);

/**
 * dax_pin_owns_page - does a page of a region belong to its pin?
 * @pin: the pin, or %NULL
 * @index: index of the page within the region
 *
 * Such a page has no reference to drop, and its struct page may be gone.
 *
 * Context: no more pages are registered. Valid until dax_pin_free().
 * Return: true if the page belongs to @pin
 */
bool dax_pin_owns_page(struct dax_pin *pin, unsigned long index)
{
	unsigned long low = 0, high;

	if (dax_pin_is_empty(pin))
		return false;

	high = pin->nr_extents;
	while (low < high) {
		unsigned long mid = low + (high - low) / 2;
		struct dax_pin_extent *extent = &pin->extents[mid];

		if (index < extent->first)
			high = mid;
		else if (index >= extent->first + extent->nr)
			low = mid + 1;
		else
			return true;
	}
	return false;
}
EXPORT_SYMBOL_NS_GPL(dax_pin_owns_page, DAX_RETARGET);

/**
 * dax_pin_limit_batch - limit what becomes one entry of a scatterlist
 * @pin: pin of the region
 * @start: user address of the next page of the region
 * @nr_pages: number of pages wanted; lowered if need be
 * @max_segment: largest entry of the region's scatterlist, in bytes; lowered if
 *		 need be
 *
 * The DMA API pads what is before an entry that would cross a segment boundary
 * of the device, and a pad maps whatever memory lies behind: for a file, another
 * file. So entries have to end at the boundaries, counted from the start of the
 * region: no batch goes beyond one, and the page behind one is not merged with
 * what is before.
 *
 * Context: any
 */
void dax_pin_limit_batch(struct dax_pin *pin, unsigned long start,
			 unsigned long *nr_pages, unsigned int *max_segment)
{
	unsigned long index = (start - pin->start) >> PAGE_SHIFT;
	unsigned long mask = dma_get_seg_boundary(pin->dev) >> PAGE_SHIFT;

	if (dax_retarget_broken(DAX_BREAK_segment))
		return;
	if (index && !(index & mask)) {
		*nr_pages = 1;
		*max_segment = PAGE_SIZE;
		return;
	}
	*nr_pages = min(*nr_pages, mask - (index & mask) + 1);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_limit_batch, DAX_RETARGET);

/* Would the DMA API pad? See dax_pin_limit_batch() */
static bool needs_padding(struct dax_pin *pin, struct sg_table *sgt)
{
	unsigned long mask = dma_get_seg_boundary(pin->dev);
	unsigned long offset = 0;
	struct scatterlist *sg;
	int i;

	for_each_sgtable_sg(sgt, sg, i) {
		if ((offset & mask) + sg->length - 1 > mask)
			return true;
		offset += sg->length;
	}
	return false;
}

/* A region is one run of IOVAs, as dma-iommu allocates it; insist on that */
static bool one_iova_range(struct sg_table *sgt, unsigned long nr_pages)
{
	dma_addr_t next = sg_dma_address(sgt->sgl);
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (sg_dma_is_swiotlb(sg) || sg_dma_address(sg) != next)
			return false;
		next += sg_dma_len(sg);
	}
	return next - sg_dma_address(sgt->sgl) == (u64)nr_pages << PAGE_SHIFT;
}

/* Give back the tables that the mapping, as it turned out, cannot need */
static void trim_tables(struct dax_pin *pin)
{
	LIST_HEAD(kept);
	long n;

	pin->nr_tables = pin->domain->ops->retarget->needed(pin->domain,
				pin->iova, (size_t)pin->nr_pages << PAGE_SHIFT);
	dax_pin_count(pin, DAX_STAT_TABLE_PAGES, pin->nr_tables);
	for (n = 0; n < pin->nr_tables && !list_empty(&pin->tables); n++)
		list_move(pin->tables.next, &kept);
	iommu_put_pages_list(&pin->tables);
	list_splice(&kept, &pin->tables);
}

static int map_locked(struct dax_pin *pin, struct sg_table *sgt,
		      unsigned long attrs)
{
	struct retarget_gather gather;
	unsigned int nofs, marked;
	int ret;

	/* Reclaim that evicts an inode could call a hook on this very pin */
	nofs = memalloc_nofs_save();
	if (dax_retarget_should_fail())
		ret = -EIO;
	else
		ret = dma_map_sgtable(pin->dev, sgt, pin->dir, attrs);
	if (ret)
		goto out;

	if ((!one_iova_range(sgt, pin->nr_pages) &&
	     !dax_retarget_broken(DAX_BREAK_segment)) ||
	    dax_retarget_should_fail()) {
		ret = -EOPNOTSUPP;
		goto out_unmap;
	}
	pin->iova = sg_dma_address(sgt->sgl);

	trim_tables(pin);
	pin->sgt = sgt;
	pin->attrs = attrs;
	pin->state = DAX_PIN_LIVE;
	marked = bitmap_weight(pin->retargeted, pin->nr_pages);
	if (marked && !dax_retarget_broken(DAX_BREAK_marks)) {
		retarget_gather_init(&gather);
		dax_pin_apply_marks(pin, &gather);
		retarget_gather_flush(&gather);
	}
	trace_dax_pin_map(pin, marked);
	goto out;

out_unmap:
	dma_unmap_sgtable(pin->dev, sgt, pin->dir, attrs);
	iommu_flush_iotlb_all(pin->domain);
out:
	memalloc_nofs_restore(nofs);
	return ret;
}

/**
 * dax_pin_map_sgtable - let the device reach the region
 * @pin: a pin that is not empty, with all pages of its region registered
 * @sgt: all pages of the region, whole pages, in order, from batches that
 *	 dax_pin_limit_batch() has seen
 * @attrs: attributes for dma_map_sgtable()
 *
 * Pages that left their file since they were registered are mapped as scratch.
 * The consumer must not hand an IOVA of @sgt to the device, nor a key for it to
 * a peer, before this returns. @sgt is unmapped by dax_pin_end().
 *
 * Context: process context. May sleep.
 * Return: 0; -EOPNOTSUPP if the IOVAs of the region would not be one range; or
 *	   what dma_map_sgtable() returns
 */
int dax_pin_map_sgtable(struct dax_pin *pin, struct sg_table *sgt,
			unsigned long attrs)
{
	int ret;

	if ((needs_padding(pin, sgt) && !dax_retarget_broken(DAX_BREAK_segment)) ||
	    dax_retarget_should_fail()) {
		dax_pin_refused(pin, DAX_RETARGET_REFUSAL_SEGMENT);
		return -EOPNOTSUPP;
	}

	dax_retarget_hold(DAX_WINDOW_registered);

	/* Before the lock: an allocation may be throttled, and hooks wait */
	ret = pin->domain->ops->retarget->reserve(pin->domain,
			(size_t)pin->nr_pages << PAGE_SHIFT, &pin->tables);
	if (ret)
		return ret;

	mutex_lock(&pin->mutex);
	ret = map_locked(pin, sgt, attrs);
	mutex_unlock(&pin->mutex);
	if (!ret)
		dax_pin_put_pgmaps(pin);
	return ret;
}
EXPORT_SYMBOL_NS_GPL(dax_pin_map_sgtable, DAX_RETARGET);

/**
 * dax_pin_unmap_locked - leave no translation to a page of a region
 * @pin: a pin in any state
 *
 * Context: under @pin's mutex. May sleep; does not allocate.
 * Return: true if there was one
 */
bool dax_pin_unmap_locked(struct dax_pin *pin)
{
	lockdep_assert_held(&pin->mutex);

	if (pin->state != DAX_PIN_LIVE)
		return false;
	dma_unmap_sgtable(pin->dev, pin->sgt, pin->dir, pin->attrs);
	/* The DMA API may have left the flush for later */
	iommu_flush_iotlb_all(pin->domain);
	pin->state = DAX_PIN_UNMAPPED;
	return true;
}

static void pin_unmap(struct dax_pin *pin)
{
	mutex_lock(&pin->mutex);
	dax_pin_unmap_locked(pin);
	mutex_unlock(&pin->mutex);

	dax_pin_write_back(pin, 0, pin->nr_pages - 1);

	mutex_lock(&pin->mutex);
	pin->state = DAX_PIN_DEAD;
	mutex_unlock(&pin->mutex);
	dax_retarget_hold(DAX_WINDOW_unmapped);
}

static void pin_leave_index(struct dax_pin *pin)
{
	struct dax_pin_range *range, *next;

	dax_pin_put_pgmaps(pin);
	list_for_each_entry_safe(range, next, &pin->ranges, link)
		dax_pin_remove_range(range);
}

static void account_end(struct dax_pin *pin)
{
	if (!pin->id)
		return;
	dax_pin_count(pin, DAX_STAT_PAGES_PINNED, -pin->nr_pinned);
	if (pin->scratch)
		dax_pin_count(pin, DAX_STAT_SCRATCH_PAGES, -1);
	dax_pin_count(pin, DAX_STAT_TABLE_PAGES, -pin->nr_tables);
	trace_dax_pin_end(pin, pin->nr_retargeted);
	dax_pin_unpublish(pin);
}

/**
 * dax_pin_end - take the region from the device
 * @pin: a pin in any state, or %NULL
 *
 * When it returns, no translation to a page of the region is left, @pin's
 * scatterlist is unmapped, what the device wrote to files is written back, and
 * no hook knows the pin.
 *
 * Context: process context; the device has been told to stop. May sleep, waits
 *	    for hooks that run on the pin's files.
 */
void dax_pin_end(struct dax_pin *pin)
{
	if (!pin)
		return;

	if (!dax_retarget_broken(DAX_BREAK_unmap))
		pin_unmap(pin);
	pin_leave_index(pin);
	dax_retarget_hold(DAX_WINDOW_left_index);
	account_end(pin);
	if (WARN_ON_ONCE(pin->state == DAX_PIN_LIVE))
		pin_unmap(pin);
	iommu_put_pages_list(&pin->tables);
	if (pin->scratch)
		__free_page(pin->scratch);
	pin->scratch = NULL;
}
EXPORT_SYMBOL_NS_GPL(dax_pin_end, DAX_RETARGET);

/**
 * dax_pin_free - forget an ended pin
 * @pin: a pin after dax_pin_end(), or %NULL
 *
 * Context: process context
 */
void dax_pin_free(struct dax_pin *pin)
{
	if (pin)
		dax_pin_put(pin);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_free, DAX_RETARGET);
