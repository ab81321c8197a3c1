// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: consumers that map pins into IOMMU domains themselves
 *
 * VFIO and iommufd have domains of their own, in use by devices, and give out IOVAs
 * that user space chose. Such a consumer takes these steps for each part of a region:
 *
 *   dax_pin_file_pages()	pages of a DAX file become pages of the pin
 *   dax_pin_map_domain()	for each domain
 *
 * one part after the other, and before the next part is looked at: a page is known to
 * hooks before a device reaches it. A domain that comes later gets the pages by
 * dax_pin_map_domain() as well; one that goes loses them by dax_pin_unmap_domain().
 *
 * Which pages are the pin's is asked by dax_pin_run(), and never learned from
 * iommu_iova_to_phys(): a page that was taken back leads to scratch, which is no page
 * of the consumer's.
 */

#include <linux/dax_retarget.h>
#include <linux/dax_retarget_test.h>
#include <linux/export.h>

#include "internal.h"

#include <trace/events/dax_retarget.h>

static bool refuses(struct iommu_domain *domain)
{
	struct device *dev;
	enum dax_retarget_refusal refusal;

	refusal = retarget_domain_refusal(domain, &dev);
	if (!refusal && dax_retarget_should_fail())
		refusal = DAX_RETARGET_REFUSAL_TEST;
	if (refusal && dev)
		trace_dax_pin_refused(dev, refusal);
	put_device(dev);
	return refusal;
}

/**
 * dax_pin_map_domain - let the devices of a domain reach pages of a pin
 * @pin: the pin
 * @domain: a domain that the consumer manages
 * @iova: IOVA of page @first
 * @first: index of the first page, within the region
 * @nr: number of pages; those that are not the pin's are left out
 * @prot: flags for iommu_map()
 *
 * Pages that left their file are mapped as scratch. If the function fails, some of the
 * pages may be mapped: dax_pin_unmap_domain() or dax_pin_end() unmaps them.
 *
 * Context: process context, one task at a time for a pin; no file system is waiting
 *	    for the caller's locks. The domain stays until dax_pin_unmap_domain() or
 *	    dax_pin_end(). May sleep.
 * Return: 0; -EOPNOTSUPP if a device of @domain does not qualify; -ENOMEM; or what
 *	   iommu_map() returns
 */
int dax_pin_map_domain(struct dax_pin *pin, struct iommu_domain *domain,
		       dma_addr_t iova, unsigned long first, unsigned long nr,
		       int prot)
{
	int ret;

	if (refuses(domain))
		return -EOPNOTSUPP;
	dax_retarget_hold(DAX_WINDOW_registered);
	ret = retarget_region_map_domain(&pin->region, domain, iova, first, nr,
					 prot);
	dax_pin_put_pgmaps(pin);
	if (!ret)
		trace_dax_pin_map(&pin->region, 0);
	return ret;
}
EXPORT_SYMBOL_NS_GPL(dax_pin_map_domain, DAX_RETARGET);

/**
 * dax_pin_unmap_domain - take pages of a pin from the devices of a domain
 * @pin: the pin, or %NULL
 * @domain: the domain
 * @iova: IOVA of the first page
 * @nr: number of pages; all that were mapped by one or several calls of
 *	dax_pin_map_domain()
 *
 * When the function returns, no hook uses @domain for these pages. The pages stay in
 * the pin.
 *
 * Context: as dax_pin_map_domain(). Does not allocate; waits for hooks.
 */
void dax_pin_unmap_domain(struct dax_pin *pin, struct iommu_domain *domain,
			  dma_addr_t iova, unsigned long nr)
{
	if (pin)
		retarget_region_unmap_domain(&pin->region, domain, iova, nr);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_unmap_domain, DAX_RETARGET);

/**
 * dax_pin_run - how many pages are alike?
 * @pin: the pin, or %NULL
 * @index: index of a page of the region
 * @nr: number of pages from there to look at
 * @owned: gets whether the pages are the pin's
 *
 * Context: as dax_pin_map_domain(), until dax_pin_put()
 * Return: number of pages from @index on, @nr at most, all of which are the pin's or
 *	   none of which is
 */
unsigned long dax_pin_run(struct dax_pin *pin, unsigned long index,
			  unsigned long nr, bool *owned)
{
	struct retarget_extent *extent;
	struct retarget_region *region;
	unsigned long run = 0;

	*owned = false;
	if (!pin || dax_retarget_broken(DAX_BREAK_owns))
		return nr;
	region = &pin->region;
	for_each_retarget_extent(extent, region, index, index + nr - 1) {
		if (extent->first > index + run)
			return *owned ? run : min(nr, extent->first - index);
		*owned = true;
		run = min(nr, extent->first + extent->nr - index);
	}
	return *owned ? run : nr;
}
EXPORT_SYMBOL_NS_GPL(dax_pin_run, DAX_RETARGET);
