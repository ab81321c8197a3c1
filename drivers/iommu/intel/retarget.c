// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replace live entries of VT-d second-level page tables
 *
 * An entry is exchanged as a whole, by one locked compare-and-exchange, for one
 * that differs in the address only: hardware that walks the table finds the old
 * page or the new one. A large entry is first split: a table of 512 equivalent
 * entries is filled, made visible, and put in the entry's place by the same
 * kind of exchange. Hardware may then hold translations of both sizes; until
 * the flush they all are what the table said before or says now.
 *
 * No lock is needed, as nowhere in VT-d: the caller owns the range, and a table
 * that holds an entry of it is not freed.
 */

#include <linux/align.h>
#include <linux/cacheflush.h>
#include <linux/dax_retarget.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/pci-ats.h>

#include "../iommu-pages.h"
#include "iommu.h"

static bool intel_retarget_supported(struct iommu_domain *domain,
				     struct device *dev)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	/*
	 * Caching mode: a hypervisor that shadows the table replaces an entry by
	 * unmapping it first. ATS: a device that does not answer an invalidation
	 * of its own cache would make the flush spin for ever.
	 */
	return info && !dmar_domain->use_first_level &&
	       !dmar_domain->nested_parent &&
	       cap_write_drain(info->iommu->cap) &&
	       cap_read_drain(info->iommu->cap) &&
	       !cap_caching_mode(info->iommu->cap) && !info->ats_enabled;
}

/* The entry that translates @pfn, at whatever level, and that level */
static struct dma_pte *find_leaf(struct dmar_domain *domain, unsigned long pfn,
				 int *level)
{
	struct dma_pte *table = domain->pgd, *pte;
	int l;

	for (l = agaw_to_level(domain->agaw); ; l--) {
		pte = &table[pfn_level_offset(pfn, l)];
		if (!dma_pte_present(pte))
			return NULL;
		if (l == 1 || dma_pte_superpage(pte))
			break;
		table = phys_to_virt(dma_pte_addr(pte));
	}
	*level = l;
	return pte;
}

static void make_visible(struct dmar_domain *domain, void *addr, int size)
{
	if (!domain->iommu_coherency)
		clflush_cache_range(addr, size);
}

static struct dma_pte *take_table(struct list_head *tables)
{
	struct page *page;

	page = list_first_entry_or_null(tables, struct page, lru);
	if (!page)
		return NULL;
	list_del(&page->lru);
	return page_address(page);
}

/* Replace large entry @pte of @level by a table that says the same */
static bool split_leaf(struct dmar_domain *domain, struct dma_pte *pte,
		       int level, struct list_head *tables)
{
	u64 step = level_size(level - 1) << VTD_PAGE_SHIFT;
	struct dma_pte *table = take_table(tables);
	u64 old, new, leaf;
	int i;

	if (!table)
		return false;
	new = virt_to_phys(table) | DMA_PTE_READ | DMA_PTE_WRITE;

	old = READ_ONCE(pte->val);
	do {
		leaf = old;
		if (level == 2)
			leaf &= ~DMA_PTE_LARGE_PAGE;
		for (i = 0; i < BIT(VTD_STRIDE_SHIFT); i++, leaf += step)
			table[i].val = leaf;
		make_visible(domain, table, VTD_PAGE_SIZE);
	} while (!try_cmpxchg64(&pte->val, &old, new));
	make_visible(domain, pte, sizeof(*pte));
	return true;
}

static bool replace_leaf(struct dma_pte *pte, phys_addr_t from, phys_addr_t to)
{
	u64 old = READ_ONCE(pte->val);

	do {
		if ((old & VTD_PAGE_MASK) != from)
			return false;
	} while (!try_cmpxchg64(&pte->val, &old,
				(old & ~VTD_PAGE_MASK) | to));
	return true;
}

static size_t intel_retarget_replace(struct iommu_domain *domain,
				     unsigned long iova, phys_addr_t from,
				     phys_addr_t to, size_t size,
				     struct list_head *tables,
				     struct iommu_iotlb_gather *gather)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	unsigned long end = iova + size, begin;
	struct dma_pte *pte, *first;
	size_t done = 0;
	int level;

	while (iova < end) {
		pte = find_leaf(dmar_domain, iova >> VTD_PAGE_SHIFT, &level);
		if (!pte)
			return done;
		if (level > 1) {
			/* All of it has to be flushed, not only what changes */
			begin = ALIGN_DOWN(iova,
					   level_size(level) << VTD_PAGE_SHIFT);
			iommu_iotlb_gather_add_range(gather, begin,
						     level_size(level) <<
						     VTD_PAGE_SHIFT);
			if (!split_leaf(dmar_domain, pte, level, tables))
				return done;
			continue;
		}

		begin = iova;
		first = pte;
		do {
			if (replace_leaf(pte, from, to))
				done += VTD_PAGE_SIZE;
			iova += VTD_PAGE_SIZE;
			from += VTD_PAGE_SIZE;
			pte++;
		} while (iova < end && !first_pte_in_page(pte));
		make_visible(dmar_domain, first, (void *)pte - (void *)first);
		iommu_iotlb_gather_add_range(gather, begin, iova - begin);
	}
	return done;
}

/* Tables that it takes to split an entry of @level and all below it */
static unsigned long tables_for(int level)
{
	return level == 1 ? 0 :
	       1 + (level > 2 ? tables_for(level - 1) << VTD_STRIDE_SHIFT : 0);
}

static long intel_retarget_reserve(struct iommu_domain *domain,
				   unsigned long iova, size_t size,
				   struct list_head *tables)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	unsigned long end = iova + size, need = 0, i;
	struct dma_pte *pte;
	int level;
	void *table;

	while (iova < end) {
		pte = find_leaf(dmar_domain, iova >> VTD_PAGE_SHIFT, &level);
		if (WARN_ON_ONCE(!pte))
			return -EINVAL;
		need += tables_for(level);
		/* A table of small entries needs nothing: go on behind it */
		iova = ALIGN(iova + 1, level_size(max(level, 2)) <<
				       VTD_PAGE_SHIFT);
	}

	for (i = 0; i < need; i++) {
		table = iommu_alloc_page_node(dmar_domain->nid,
					      GFP_KERNEL_ACCOUNT);
		if (!table)
			return -ENOMEM;
		list_add(&virt_to_page(table)->lru, tables);
		cond_resched();
	}
	return need;
}

static void intel_retarget_sync(struct iommu_domain *domain,
				struct iommu_iotlb_gather *gather)
{
	/* Not a leaf-only invalidation: a large entry may have become a table */
	cache_tag_flush_range(to_dmar_domain(domain), gather->start,
			      gather->end, 0);
}

const struct iommu_retarget_ops intel_retarget_ops = {
	.supported	= intel_retarget_supported,
	.reserve	= intel_retarget_reserve,
	.replace	= intel_retarget_replace,
	.sync		= intel_retarget_sync,
};
