// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: the life of a pin
 *
 * A pin is what one consumer object (an RDMA memory region, a mapping of VFIO) lets
 * devices reach. The principle: the registry is the pin. No page reference is
 * held, so nothing in the file system or the mm waits for a pin, and a pin can
 * be taken back page by page at any time.
 *
 *   create    At the first page of a DAX file, if the device qualifies.
 *
 *   register  dax_pin_user_pages(), batch by batch (register.c). Enters the file
 *             pages in the index first, then looks the frames up and notes them.
 *             From the first moment a hook finds the pages. The hook only marks
 *             the pages, since the device knows no IOVA yet.
 *
 *   map       dax_pin_map_sgtable(). Maps the region for DMA, makes the pin live,
 *             and points marked pages at scratch: a file may lose a page between
 *             registration and mapping. From the moment the pin is live, a hook
 *             replaces entries itself. The device gets an IOVA only afterwards.
 *             A consumer with IOMMU domains of its own maps by another way, and
 *             goes on to register afterwards: see domain.c.
 *
 *   retarget  Any number of times: a hook points pages at the region's scratch
 *             page and flushes the IOTLB (hooks.c).
 *
 *   end       dax_pin_end(). Points all pages at scratch, flushes the IOTLB, writes
 *             back CPU caches, and only then leaves the index: in the other order
 *             a block could be freed and reused under a translation that still
 *             works, and fsync would miss what is not written back yet. The
 *             IOVAs are unmapped last, when no hook can wait for that any more.
 *
 * Under the region's mutex, the steps of map, retarget and end that change entries
 * of file pages exclude one another. Mapping and unmapping the region, which may
 * hold much other memory, are no such steps. One task registers a pin.
 *
 * A region may hold other memory beside pages of DAX files. The other memory is
 * pinned by page references. A consumer asks dax_pin_owns_page(), and not the
 * struct page, whether a page belongs to the pin: the memmap of persistent memory
 * may be gone while the region exists.
 *
 * A region without pages of DAX files has no pin: a consumer may pass NULL for a
 * pin to each function but dax_pin_map_sgtable() and dax_pin_map_domain().
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
 * @domain: the domain in which the DMA API maps the region; %NULL if the consumer
 *          maps it
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
	xa_init_flags(&pin->ranges, XA_FLAGS_ACCOUNT);
	dax_pin_loss_init(pin);
	pin->start = start;
	return pin;
}

/**
 * dax_pin_create - begin the pin of a region
 * @request: the region
 *
 * Context: process context, a driver is bound to the device. May sleep.
 * Return: 0; -EOPNOTSUPP if the device does not qualify; or -ENOMEM
 */
int dax_pin_create(struct dax_pin_request *request)
{
	enum dax_retarget_refusal refusal;
	struct iommu_domain *domain = NULL;
	struct device *dev;

	if (request->domain) {
		refusal = retarget_domain_refusal(request->domain, &dev);
	} else {
		dev = get_device(request->dev);
		domain = dev ? iommu_get_domain_for_dev(dev) : NULL;
		refusal = retarget_device_refusal(dev, domain);
	}
	if (!refusal && dax_retarget_should_fail())
		refusal = DAX_RETARGET_REFUSAL_TEST;
	if (refusal)
		trace_dax_pin_refused(dev, refusal);
	else
		request->pin = dax_pin_alloc(dev, domain, request->start,
					     request->nr_pages,
					     request->writable,
					     request->consumer);
	put_device(dev);
	if (refusal)
		return -EOPNOTSUPP;
	return request->pin ? 0 : -ENOMEM;
}

/**
 * dax_pin_prepare - allocate the memory that registering more pages takes
 * @pin: a pin that registers
 *
 * Context: the task that registers the pin. May sleep.
 * Return: 0 or -ENOMEM
 */
int dax_pin_prepare(struct dax_pin *pin)
{
	int ret;

	ret = retarget_region_prepare(&pin->region);
	if (ret)
		return ret;
	return pin->id ? 0 : dax_pin_publish(pin);
}

/**
 * dax_pin_put_pgmaps - the memory may be removed again
 * @pin: a pin whose pages are mapped, or are not going to be
 *
 * From now on dax_retarget_pagemap() takes the frames back.
 *
 * Context: the task that registers the pin
 */
void dax_pin_put_pgmaps(struct dax_pin *pin)
{
	struct dax_pin_range *range;

	/* Older ranges have none if this one has none */
	for (range = pin->newest; range && range->pgmap; range = range->older) {
		put_dev_pagemap(range->pgmap);
		range->pgmap = NULL;
	}
}

/**
 * dax_pin_limit_batch - limit the size of an entry of a scatterlist
 * @request: the region
 * @start: user address of the next page of the region
 * @nr_pages: number of pages wanted; lowered if need be
 * @max_segment: largest entry of the region's scatterlist, in bytes; lowered if
 *		 need be
 *
 * See retarget_limit_batch().
 *
 * Context: any
 */
void dax_pin_limit_batch(const struct dax_pin_request *request,
			 unsigned long start, unsigned long *nr_pages,
			 unsigned int *max_segment)
{
	if (dax_retarget_enabled() && request->dev)
		retarget_limit_batch(request->dev,
				     (start - request->start) >> PAGE_SHIFT,
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
		dax_pin_put_pgmaps(pin);
	return ret;
}
EXPORT_SYMBOL_NS_GPL(dax_pin_map_sgtable, DAX_RETARGET);

static void detach(struct dax_pin *pin)
{
	struct dax_event_place place;
	struct dax_pin_range *range = pin->newest;

	if (dax_retarget_broken(DAX_BREAK_detach))
		return;
	if (!retarget_region_detach(&pin->region) && range) {
		dax_event_place_init(&place, range->file);
		mutex_lock(&pin->region.mutex);
		dax_event(range, range->first, range->first +
			  (range->node.last - range->node.start), &place,
			  DAX_RETARGET_REASON_STOPPED, 0);
		mutex_unlock(&pin->region.mutex);
	}
	dax_retarget_hold(DAX_WINDOW_detached);
}

static void leave_index(struct dax_pin *pin)
{
	dax_pin_put_pgmaps(pin);
	while (pin->newest) {
		dax_pin_remove_range(pin);
		cond_resched();
	}
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

	detach(pin);
	leave_index(pin);
	if (pin->id)
		trace_dax_pin_end(&pin->region, pin->region.nr_retargeted);
	retarget_region_release(&pin->region);
	dax_pin_unpublish(pin);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_end, DAX_RETARGET);
