// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: map a region into domains that a consumer manages
 *
 * VFIO and iommufd map memory into IOMMU domains that devices use already, at IOVAs
 * that user space chose. A domain may come later than the pages, and may go while the
 * pages stay. So a region has any number of mappings, which are made and removed at
 * any time.
 *
 * A device may use an IOVA from the moment that the IOVA is mapped. So pages are mapped
 * under the region's mutex, a batch at a time, and are the hooks' business when the
 * mutex is dropped. A page that was taken back is mapped as scratch from the start.
 *
 * A mapping is removed in the order in which a region ends: its entries are pointed at
 * scratch and flushed while hooks still find the mapping, then the mapping leaves the
 * list, and then the IOVAs are unmapped.
 */

#include <linux/bitmap.h>
#include <linux/dax_retarget_test.h>
#include <linux/iommu_retarget.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "../iommu-pages.h"

/*
 * Counts the batches that were mapped in regions that were live before. A hook that
 * lets the mutex go between its passes looks whether there were any.
 */
static atomic_long_t batches = ATOMIC_LONG_INIT(0);

/**
 * retarget_batches_mapped - count the batches mapped in live regions
 *
 * If the number differs from an earlier one, a page that was replaced in all mappings
 * of a region may have another mapping since.
 *
 * Context: any. Exact for a region whose mutex is held at both calls.
 * Return: the number since boot
 */
long retarget_batches_mapped(void)
{
	return atomic_long_read(&batches);
}

/* A mapping that has no page yet */
static struct retarget_mapping *make_mapping(struct retarget_region *region,
					     struct iommu_domain *domain,
					     dma_addr_t iova,
					     unsigned long first)
{
	struct retarget_mapping *mapping;

	mapping = kzalloc(sizeof(*mapping), GFP_KERNEL_ACCOUNT);
	if (!mapping)
		return NULL;
	retarget_mapping_init(mapping, domain);
	mapping->iova = iova;
	mapping->first = first;
	mapping->end = first;
	retarget_mapping_set_up(region, mapping);
	mutex_lock(&region->mutex);
	if (list_empty(&region->mappings))
		WRITE_ONCE(region->iova,
			   iova - ((dma_addr_t)first << PAGE_SHIFT));
	list_add_tail(&mapping->link, &region->mappings);
	mutex_unlock(&region->mutex);
	return mapping;
}

/*
 * Where a batch of pages ends that begins with page @first and ends before @end. The
 * mutex is held for a batch. A batch does not cut what one entry can translate, and is
 * small if it has pages that were taken back, which are mapped one by one.
 */
static unsigned long batch_end(struct retarget_region *region,
			       struct retarget_mapping *mapping,
			       unsigned long first, unsigned long end,
			       unsigned long pfn)
{
	unsigned long large = SZ_1G >> PAGE_SHIFT;
	unsigned long page = retarget_mapping_iova(mapping, first) >> PAGE_SHIFT;
	unsigned long near = min(end, first + large);
	unsigned long most = RETARGET_REPLACE_BATCH;

	/* Without the mutex: a mark that comes later makes the batch take longer */
	if (data_race(find_next_bit(region->retargeted, near, first)) < near)
		most = RETARGET_BATCH;
	else if (mapping->domain->pgsize_bitmap & SZ_1G &&
		 IS_ALIGNED(page | pfn, large) && end - first >= large)
		return first + large;
	/* To where the next such entry may begin */
	end = min(end, first + (large - (page & (large - 1))));
	large = PMD_SIZE >> PAGE_SHIFT;
	return min(end, first + (most - (page & (large - 1))));
}

/* Map pages [@first, @end), which all were taken back or all were not */
static int map_run(struct retarget_mapping *mapping, unsigned long first,
		   unsigned long end, unsigned long pfn, bool taken, int prot)
{
	struct iommu_domain *domain = mapping->domain;
	int ret = 0;

	if (!taken)
		return iommu_map(domain, retarget_mapping_iova(mapping, first),
				 PFN_PHYS(pfn), (end - first) << PAGE_SHIFT,
				 prot, GFP_KERNEL_ACCOUNT);
	for (; first < end && !ret; first++)
		ret = iommu_map(domain, retarget_mapping_iova(mapping, first),
				mapping->scratch.phys, PAGE_SIZE, prot,
				GFP_KERNEL_ACCOUNT);
	/* The page that failed was not mapped */
	return ret;
}

static bool is_present(struct retarget_mapping *mapping, unsigned long index)
{
	return iommu_iova_to_phys(mapping->domain,
				  retarget_mapping_iova(mapping, index));
}

/*
 * Of pages [@first, @end), unmap what iommu_map() has left, which may be any: IOVAs
 * behind those that were unmapped when it failed.
 */
static void unmap_present(struct retarget_mapping *mapping,
			  unsigned long first, unsigned long end)
{
	unsigned long from, to;

	for (from = first; from < end; from = to) {
		bool present = is_present(mapping, from);

		for (to = from + 1; to < end; to++)
			if (is_present(mapping, to) != present)
				break;
		if (present)
			iommu_unmap(mapping->domain,
				    retarget_mapping_iova(mapping, from),
				    (to - from) << PAGE_SHIFT);
		cond_resched();
	}
}

/* Map pages [@first, @end), which have contiguous frames from @pfn on */
static int map_frames(struct retarget_region *region,
		      struct retarget_mapping *mapping, unsigned long first,
		      unsigned long end, unsigned long pfn, int prot)
{
	unsigned long from, to;
	bool marked, taken;
	int ret;

	for (from = first; from < end; from = to) {
		marked = test_bit(from, region->retargeted);
		taken = marked && !dax_retarget_broken(DAX_BREAK_marks);
		to = marked ? find_next_zero_bit(region->retargeted, end, from) :
			      find_next_bit(region->retargeted, end, from);
		ret = map_run(mapping, from, to, pfn + (from - first), taken,
			      prot);
		if (ret)
			break;
		cond_resched();
	}
	if (from == end)
		return 0;
	unmap_present(mapping, first, end);
	return ret;
}

/* Under the region's mutex, which hooks take in reclaim: no allocation enters a file system */
static int map_batch(struct retarget_region *region,
		     struct retarget_mapping *mapping, unsigned long first,
		     unsigned long end, unsigned long pfn, int prot,
		     struct iommu_retarget_scratch *reserve)
{
	struct iommu_retarget_scratch *scratch = &mapping->scratch;
	const struct iommu_retarget_ops *ops = mapping->domain->ops->retarget;
	unsigned int nofs = memalloc_nofs_save();
	int ret;

	ret = map_frames(region, mapping, first, end, pfn, prot);
	memalloc_nofs_restore(nofs);
	if (ret)
		return ret;

	ops->settle(mapping->domain, retarget_mapping_iova(mapping, first),
		    (end - first) << PAGE_SHIFT, reserve);
	list_splice_init(&reserve->tables, &scratch->tables);
	memcpy(scratch->shared, reserve->shared, sizeof(scratch->shared));
	scratch->nr_tables += reserve->nr_tables;
	scratch->leaf_size = max(scratch->leaf_size, reserve->leaf_size);
	WRITE_ONCE(region->leaf_size,
		   max(region->leaf_size, scratch->leaf_size));
	retarget_region_count(region, RETARGET_STAT_TABLE_PAGES,
			      reserve->nr_tables);
	if (!dax_retarget_broken(DAX_BREAK_live))
		mapping->end = end;
	/* The IOTLB may hold larger entries than are left */
	if (scratch->track)
		retarget_mapping_flush(region, mapping);
	if (region->state == RETARGET_LIVE)
		atomic_long_inc(&batches);
	else
		/* Readers of the list take no lock, and look at @iova afterwards */
		smp_store_release(&region->state, RETARGET_LIVE);
	return 0;
}

/* Map pages [@first, @end), which have contiguous frames from @pfn on */
static int map_next(struct retarget_region *region,
		    struct retarget_mapping *mapping, unsigned long first,
		    unsigned long end, unsigned long pfn, int prot)
{
	struct iommu_retarget_scratch *scratch = &mapping->scratch;
	struct iommu_retarget_scratch reserve = {
		.phys = scratch->phys,
		.leaf_size = READ_ONCE(scratch->leaf_size),
		.track = scratch->track,
		.live = true,
	};
	int i, ret;

	/* Hooks do not change which tables are shared */
	memcpy(reserve.shared, scratch->shared, sizeof(reserve.shared));
	INIT_LIST_HEAD(&reserve.tables);
	INIT_LIST_HEAD(&reserve.replaced);
	ret = mapping->domain->ops->retarget->reserve(mapping->domain,
						      (end - first) << PAGE_SHIFT,
						      &reserve);
	if (!ret) {
		mutex_lock(&region->mutex);
		ret = map_batch(region, mapping, first, end, pfn, prot,
				&reserve);
		mutex_unlock(&region->mutex);
	}
	if (!ret)
		return 0;

	iommu_put_pages_list(&reserve.tables);
	for (i = 0; i < ARRAY_SIZE(reserve.shared); i++)
		if (reserve.shared[i] && !scratch->shared[i])
			iommu_free_page(reserve.shared[i]);
	return ret;
}

/**
 * retarget_region_map_domain - let the devices of a domain reach pages
 * @region: the region
 * @domain: an IOMMU domain for which retarget_domain_refusal() has no reason
 * @iova: IOVA of page @first
 * @first: index of the first page
 * @nr: number of pages; those that are not in the region's extents are left out
 * @prot: flags for iommu_map()
 *
 * Pages that were taken back are mapped as scratch. A device may use the IOVAs before
 * the function returns. If the function fails, some of the pages may be mapped: the
 * consumer removes the mapping.
 *
 * Context: process context, one task at a time for a region; the domain stays until
 *	    retarget_region_unmap_domain(). May sleep.
 * Return: 0; -ENOMEM; -EINTR if the task is killed; or what iommu_map() returns
 */
int retarget_region_map_domain(struct retarget_region *region,
			       struct iommu_domain *domain, dma_addr_t iova,
			       unsigned long first, unsigned long nr, int prot)
{
	unsigned long last = first + nr - 1, next, end;
	struct retarget_mapping *mapping;
	struct retarget_extent *extent;
	int ret;

	mapping = make_mapping(region, domain, iova, first);
	if (!mapping)
		return -ENOMEM;

	for_each_retarget_extent(extent, region, first, last) {
		unsigned long from = first, to = last;
		unsigned long pfn = retarget_extent_clip(extent, &from, &to);

		for (next = from; next <= to; next = end) {
			end = batch_end(region, mapping, next, to + 1,
					pfn + (next - from));
			ret = map_next(region, mapping, next, end,
				       pfn + (next - from), prot);
			if (ret)
				return ret;
			cond_resched();
		}
	}
	dax_retarget_hold(DAX_WINDOW_mapping);
	mutex_lock(&region->mutex);
	mapping->end = last + 1;
	mutex_unlock(&region->mutex);
	return 0;
}

/* Point the entries of a mapping at scratch, whatever was taken back */
static void replace_all(struct retarget_region *region,
			struct retarget_mapping *mapping)
{
	unsigned long first, last, end = mapping->end;
	struct retarget_gather gather;

	retarget_hook_begin(&gather);
	for (first = mapping->first; first < end; first = last + 1) {
		last = retarget_region_batch(region, first, end - 1);
		mutex_lock(&region->mutex);
		retarget_mapping_replace(region, mapping, first, last, &gather);
		mutex_unlock(&region->mutex);
		cond_resched();
	}
	retarget_hook_flush(&gather);
	retarget_hook_end(&gather);
}

/*
 * What the domain knows of writes goes with the mapping; and where it knows nothing,
 * another one may know what goes through that one only.
 */
static void write_back(struct retarget_region *region,
		       struct retarget_mapping *mapping)
{
	unsigned long first, last, end = mapping->end;

	for (first = mapping->first; first < end; first = last + 1) {
		last = min(end - 1, first + RETARGET_BATCH - 1);
		mutex_lock(&region->mutex);
		retarget_region_write_back(region, first, last, NULL, 0);
		mutex_unlock(&region->mutex);
		cond_resched();
	}
}

/* Unmap the IOVAs of a mapping that no hook finds any more */
static void unmap(struct retarget_region *region,
		  struct retarget_mapping *mapping)
{
	struct iommu_domain *domain = mapping->domain;
	struct retarget_extent *extent;

	if (mapping->end > mapping->first) {
		if (domain->ops->retarget->release(domain, mapping->iova,
						   (mapping->end - mapping->first) <<
						   PAGE_SHIFT, &mapping->scratch))
			retarget_mapping_flush(region, mapping);
		for_each_retarget_extent(extent, region, mapping->first,
					 mapping->end - 1) {
			unsigned long from = mapping->first;
			unsigned long to = mapping->end - 1;

			retarget_extent_clip(extent, &from, &to);
			iommu_unmap(domain, retarget_mapping_iova(mapping, from),
				    (to - from + 1) << PAGE_SHIFT);
			cond_resched();
		}
		/* Scratch goes now: not without a flush that was confirmed */
		retarget_mapping_flush(region, mapping);
	}
	retarget_mapping_release(region, mapping);
	kfree(mapping);
}

static void leave_list(struct retarget_region *region,
		       struct retarget_mapping *mapping)
{
	mutex_lock(&region->mutex);
	list_del(&mapping->link);
	mutex_unlock(&region->mutex);
}

/**
 * retarget_region_unmap_domain - take pages of a region from the devices of a domain
 * @region: the region
 * @domain: the IOMMU domain
 * @iova: IOVA of the first page
 * @nr: number of pages; all that were mapped by one or more calls of
 *	retarget_region_map_domain()
 *
 * When the function returns, no hook uses the domain, unless the region has another
 * mapping there.
 *
 * Context: process context, as retarget_region_map_domain(). May sleep, does not
 *	    allocate; waits for hooks.
 */
void retarget_region_unmap_domain(struct retarget_region *region,
				  struct iommu_domain *domain, dma_addr_t iova,
				  unsigned long nr)
{
	dma_addr_t last = iova + ((dma_addr_t)nr << PAGE_SHIFT) - 1;
	struct retarget_mapping *mapping, *next;
	LIST_HEAD(unmapped);

	/* The task that changes the list needs no lock to read it */
	list_for_each_entry_safe(mapping, next, &region->mappings, link) {
		if (mapping->domain != domain || mapping->iova < iova ||
		    mapping->iova > last)
			continue;
		replace_all(region, mapping);
		write_back(region, mapping);
		leave_list(region, mapping);
		list_add(&mapping->link, &unmapped);
	}
	/* A hook may still have to flush the domain */
	if (!list_empty(&unmapped))
		retarget_hooks_wait();
	list_for_each_entry_safe(mapping, next, &unmapped, link)
		unmap(region, mapping);
}

/**
 * retarget_region_unmap_domains - unmap the IOVAs of a region in all domains
 * @region: a region after retarget_region_detach(), that no hook finds any more
 *
 * Context: process context. May sleep, does not allocate.
 */
void retarget_region_unmap_domains(struct retarget_region *region)
{
	struct retarget_mapping *mapping, *next;

	list_for_each_entry_safe(mapping, next, &region->mappings, link) {
		leave_list(region, mapping);
		unmap(region, mapping);
	}
}
