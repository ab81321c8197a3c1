// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: what all mappings of a region have in common
 *
 * A region that the DMA API maps has one mapping (map.c). A consumer that manages
 * IOMMU domains maps the pages into as many domains, and at as many IOVAs, as it
 * likes (domain.c).
 */

#include <linux/iommu_retarget.h>
#include <linux/mm.h>

#include "../iommu-pages.h"

/**
 * retarget_mapping_init - begin a mapping
 * @mapping: the mapping, zeroed
 * @domain: the IOMMU domain
 *
 * Context: any
 */
void retarget_mapping_init(struct retarget_mapping *mapping,
			   struct iommu_domain *domain)
{
	INIT_LIST_HEAD(&mapping->link);
	INIT_LIST_HEAD(&mapping->scratch.tables);
	INIT_LIST_HEAD(&mapping->scratch.replaced);
	mapping->domain = domain;
}

/**
 * retarget_mapping_set_up - what takes the place of pages of a mapping
 * @region: a region with pages
 * @mapping: a mapping of it that is about to be made
 *
 * Context: the task that registers the region; no page with other caching is added
 *	    afterwards
 */
void retarget_mapping_set_up(struct retarget_region *region,
			     struct retarget_mapping *mapping)
{
	const struct iommu_retarget_ops *ops = mapping->domain->ops->retarget;

	mapping->scratch.phys = page_to_phys(region->page);
	mapping->scratch.track = region->writable && region->cached &&
				 ops->tracks_writes &&
				 ops->tracks_writes(mapping->domain);
}

/**
 * retarget_mapping_clip - the pages that a mapping and a range have in common
 * @mapping: the mapping
 * @first: index of the first page of the range; becomes the first in common
 * @last: index of the last page of the range; becomes the last in common
 *
 * Context: under the region's mutex
 * Return: false if there is none
 */
bool retarget_mapping_clip(const struct retarget_mapping *mapping,
			   unsigned long *first, unsigned long *last)
{
	*first = max(*first, mapping->first);
	if (*first >= mapping->end)
		return false;
	*last = min(*last, mapping->end - 1);
	return *first <= *last;
}

/**
 * retarget_mapping_flush - flush all IOVAs of a mapping
 * @region: the region
 * @mapping: the mapping
 *
 * If the flush is not confirmed, the devices of the domain are stopped.
 *
 * Context: may be called under the region's mutex
 */
void retarget_mapping_flush(struct retarget_region *region,
			    struct retarget_mapping *mapping)
{
	struct iommu_domain *domain = mapping->domain;
	struct iommu_retarget_range range = {
		.start = mapping->iova,
		.last = retarget_mapping_iova(mapping, mapping->end) - 1,
	};

	if (domain->ops->retarget->flush(domain, &range, 1))
		retarget_domain_stop(domain,
				     "the IOMMU did not confirm a flush");
}

/**
 * retarget_mapping_release - free the page tables of a mapping
 * @region: a region with pages
 * @mapping: a mapping that is in no list and was unmapped
 *
 * Context: may sleep
 */
void retarget_mapping_release(struct retarget_region *region,
			      struct retarget_mapping *mapping)
{
	struct iommu_retarget_scratch *scratch = &mapping->scratch;
	int i;

	retarget_region_count(region, RETARGET_STAT_TABLE_PAGES,
			      -scratch->nr_tables);
	iommu_put_pages_list(&scratch->tables);
	iommu_put_pages_list(&scratch->replaced);
	for (i = 0; i < ARRAY_SIZE(scratch->shared); i++)
		if (scratch->shared[i])
			iommu_free_page(scratch->shared[i]);
}
