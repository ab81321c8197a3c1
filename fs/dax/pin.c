// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: the life of a pin
 *
 * A pin is what one consumer object (an RDMA memory region, say) lets one
 * device reach. The principle: the registry is the pin. No page reference is
 * held, so nothing in the file system or the mm waits for a pin, and a pin can
 * be taken back page by page at any time.
 *
 *   create    dax_pin_create(). Allocates the pin, if the device qualifies.
 *
 *   register  dax_pin_user_pages(), batch by batch (register.c). Enters the file
 *             pages in the index first, then looks the frames up, notes them, and
 *             drops their references. From the first moment a hook finds the
 *             pages. The hook only marks the pages, since no IOVA leads to them
 *             yet.
 *
 *   map       dax_pin_map_sgtable(). Maps the region for DMA, with marked pages
 *             as scratch: a file may lose a page between registration and
 *             mapping. Now the pin is live.
 *
 *   retarget  Any number of times: a hook points pages at the region's scratch
 *             page and flushes the IOTLB (hooks.c).
 *
 *   end       dax_pin_end(). Unmaps, flushes the IOTLB, writes back CPU caches,
 *             and only then leaves the index: in the other order a block could
 *             be freed and reused under a translation that still works, and
 *             fsync would miss what is not written back yet.
 *
 * Under the region's mutex, map, retarget and end exclude one another. One task
 * registers a pin.
 *
 * A region may hold other memory beside pages of DAX files. The other memory is
 * pinned by page references. A consumer asks dax_pin_owns_page(), and not the
 * struct page, whether a page belongs to the pin: the memmap of persistent memory
 * may be gone while the region exists.
 *
 * A consumer may pass NULL for a pin to each function but dax_pin_map_sgtable():
 * all memory of such a region is pinned by page references.
 */

#include <linux/dax_retarget.h>
#include <linux/dax_retarget_test.h>
#include <linux/export.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/slab.h>

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
	retarget_region_init(&pin->region, dev, domain, nr_pages, writable);
	refcount_set(&pin->refs, 1);
	INIT_LIST_HEAD(&pin->ranges);
	pin->start = start;
	return pin;
}

/**
 * dax_pin_create - begin a pin
 * @dev: the device that does the DMA; %NULL if the CPU moves the data
 * @start: user address of the region, page aligned
 * @nr_pages: pages of the region
 * @writable: may the device write?
 * @consumer: name of the consumer's device, for administrators
 *
 * Context: process context, a driver is bound to @dev. May sleep.
 * Return: the pin, for dax_pin_put(); %NULL if the kernel was not booted with
 *	   dax_retarget=on or the device does not qualify, so that the region has
 *	   no pin; or ERR_PTR(-ENOMEM)
 */
struct dax_pin *dax_pin_create(struct device *dev, unsigned long start,
			       unsigned long nr_pages, bool writable,
			       const char *consumer)
{
	enum dax_retarget_refusal refusal;
	struct iommu_domain *domain;
	struct dax_pin *pin;

	/* The bitmap of pages taken back counts in int */
	if (!dax_retarget_enabled() || nr_pages > INT_MAX)
		return NULL;
	domain = dev ? iommu_get_domain_for_dev(dev) : NULL;
	refusal = retarget_device_refusal(dev, domain);
	if (!refusal && dax_retarget_should_fail())
		refusal = DAX_RETARGET_REFUSAL_TEST;
	if (refusal) {
		trace_dax_pin_refused(dev, refusal);
		return NULL;
	}
	pin = dax_pin_alloc(dev, domain, start, nr_pages, writable, consumer);
	return pin ?: ERR_PTR(-ENOMEM);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_create, DAX_RETARGET);

/**
 * dax_pin_prepare - allocate the memory that registering more pages takes
 * @pin: a pin that registers
 * @nr: number of pages to come
 *
 * Context: the task that registers the pin. May sleep.
 * Return: 0 or -ENOMEM
 */
int dax_pin_prepare(struct dax_pin *pin, unsigned long nr)
{
	int ret;

	ret = retarget_region_prepare(&pin->region, nr);
	if (ret)
		return ret;
	return pin->id ? 0 : dax_pin_publish(pin);
}

/*
 * The memory may be removed now: dax_retarget_pagemap() takes its frames back
 */
static void put_pgmaps(struct dax_pin *pin)
{
	struct dax_pin_range *range;

	list_for_each_entry(range, &pin->ranges, link) {
		put_dev_pagemap(range->pgmap);
		range->pgmap = NULL;
	}
}

/**
 * dax_pin_limit_batch - limit the size of an entry of a scatterlist
 * @pin: pin of the region, or %NULL
 * @start: user address of the next page of the region
 * @nr_pages: number of pages wanted; lowered if need be
 * @max_segment: largest entry of the region's scatterlist, in bytes; lowered if
 *		 need be
 *
 * See retarget_region_limit_batch().
 *
 * Context: any
 */
void dax_pin_limit_batch(struct dax_pin *pin, unsigned long start,
			 unsigned long *nr_pages, unsigned int *max_segment)
{
	if (pin)
		retarget_region_limit_batch(&pin->region,
					    (start - pin->start) >> PAGE_SHIFT,
					    nr_pages, max_segment);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_limit_batch, DAX_RETARGET);

/**
 * dax_pin_owns_page - does a page of a region belong to its pin?
 * @pin: the pin, or %NULL
 * @index: index of the page within the region
 *
 * Such a page has no reference to drop, and its struct page may be gone.
 *
 * Context: the task that registers the pin, or no more pages are registered.
 *	    Valid until dax_pin_put().
 * Return: true if the page belongs to @pin
 */
bool dax_pin_owns_page(struct dax_pin *pin, unsigned long index)
{
	return pin && retarget_region_owns(&pin->region, index);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_owns_page, DAX_RETARGET);

/**
 * dax_pin_complete - all pages of a region are registered
 * @pin: pin of the region, or %NULL
 *
 * Context: process context. May sleep.
 * Return: @pin; or %NULL if none of the region's pages is of a DAX file. @pin is
 *	   freed then.
 */
struct dax_pin *dax_pin_complete(struct dax_pin *pin)
{
	if (!pin || pin->region.nr_extents)
		return pin;
	dax_pin_end(pin);
	dax_pin_put(pin);
	return NULL;
}
EXPORT_SYMBOL_NS_GPL(dax_pin_complete, DAX_RETARGET);

/**
 * dax_pin_map_sgtable - let the device reach the region
 * @pin: a pin that dax_pin_complete() has returned
 * @sgt: all pages of the region, whole pages, in order, from batches that
 *	 dax_pin_limit_batch() has seen
 * @attrs: attributes for dma_map_sgtable()
 *
 * A page that left its file since its registration is mapped as scratch. Before
 * the function returns, the consumer must not give an IOVA of @sgt to the device,
 * and must not give a key of the region to a peer. dax_pin_end() unmaps @sgt.
 *
 * Context: process context. May sleep.
 * Return: 0; -EOPNOTSUPP if the IOVAs of the region would not be one range;
 *	   -ENOMEM; or what dma_map_sgtable() returns
 */
int dax_pin_map_sgtable(struct dax_pin *pin, struct sg_table *sgt,
			unsigned long attrs)
{
	int ret;

	dax_retarget_hold(DAX_WINDOW_registered);
	ret = retarget_region_map(&pin->region, sgt, attrs);
	if (!ret)
		put_pgmaps(pin);
	return ret;
}
EXPORT_SYMBOL_NS_GPL(dax_pin_map_sgtable, DAX_RETARGET);

static void unmap(struct dax_pin *pin)
{
	if (dax_retarget_broken(DAX_BREAK_unmap))
		return;
	retarget_region_unmap(&pin->region);
	dax_retarget_hold(DAX_WINDOW_unmapped);
}

static void leave_index(struct dax_pin *pin)
{
	struct dax_pin_range *range, *next;

	put_pgmaps(pin);
	list_for_each_entry_safe(range, next, &pin->ranges, link)
		dax_pin_remove_range(range);
	dax_retarget_hold(DAX_WINDOW_left_index);
}

/**
 * dax_pin_end - take the region from the device
 * @pin: a pin in any phase, or %NULL
 *
 * When the function returns, no translation to a page of the region is left,
 * the scatterlist is unmapped, what the device wrote to files is written back,
 * and no hook finds the pin.
 *
 * Context: process context; the device has been told to stop. May sleep, waits
 *	    for hooks that run on the pin's files.
 */
void dax_pin_end(struct dax_pin *pin)
{
	if (!pin)
		return;

	unmap(pin);
	leave_index(pin);
	if (pin->id)
		trace_dax_pin_end(&pin->region, pin->region.nr_retargeted);
	retarget_region_release(&pin->region);
	dax_pin_unpublish(pin);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_end, DAX_RETARGET);
