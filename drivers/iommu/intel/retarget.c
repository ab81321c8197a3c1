// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replace live entries of VT-d second-level page tables
 *
 * An entry is exchanged as a whole, by one locked compare-and-exchange, for one
 * that differs in the address only: hardware that walks the table finds the old
 * page or the new one. A large entry is first split: a table of 512 equivalent
 * entries is filled, made visible, and put in the entry's place by the same
 * kind of exchange. The split alone changes no translation, so hardware may
 * hold translations of both sizes for a while. Frames are changed only after a
 * flush has removed the large translations.
 *
 * No lock is needed, as elsewhere in the VT-d driver: the caller owns the
 * range, and a table that holds an entry of the range is not freed.
 */

#include <linux/align.h>
#include <linux/cacheflush.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/pci-ats.h>

#include "../iommu-pages.h"
#include "iommu.h"

static enum dax_retarget_refusal
intel_retarget_refusal(struct iommu_domain *domain, struct device *dev)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	if (!info)
		return DAX_RETARGET_REFUSAL_NO_REPLACE;
	if (dmar_domain->use_first_level)
		return DAX_RETARGET_REFUSAL_FIRST_LEVEL;
	if (dmar_domain->nested_parent)
		return DAX_RETARGET_REFUSAL_NESTED;
	/* A flush by register, without queued invalidation, does not drain */
	if (!info->iommu->qi || !cap_write_drain(info->iommu->cap) ||
	    !cap_read_drain(info->iommu->cap))
		return DAX_RETARGET_REFUSAL_NO_DRAIN;
	/* A hypervisor that shadows the table unmaps an entry to replace it */
	if (cap_caching_mode(info->iommu->cap))
		return DAX_RETARGET_REFUSAL_CACHING_MODE;
	/*
	 * A device that does not answer an invalidation of its own cache makes
	 * the flush spin for ever.
	 */
	if (info->ats_enabled)
		return DAX_RETARGET_REFUSAL_ATS;
	return DAX_RETARGET_REFUSAL_NONE;
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

/* Replace large entry @pte of @level by a table with the same translations */
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

/*
 * Split all large entries of the range. The flush comes before any frame is
 * changed, so that translations of two sizes never differ, and covers the old
 * entries as a whole: an invalidation that is smaller than a large translation
 * need not remove it.
 */
static bool split_range(struct dmar_domain *domain, unsigned long iova,
			size_t size, struct list_head *tables)
{
	unsigned long end = iova + size, flush_start = ULONG_MAX, flush_end = 0;
	struct dma_pte *pte;
	bool done = true;
	int level;

	while (iova < end && done) {
		pte = find_leaf(domain, iova >> VTD_PAGE_SHIFT, &level);
		if (pte && level > 1) {
			unsigned long leaf = level_size(level) << VTD_PAGE_SHIFT;

			flush_start = min(flush_start, ALIGN_DOWN(iova, leaf));
			flush_end = max(flush_end, ALIGN(iova + 1, leaf));
			done = split_leaf(domain, pte, level, tables);
			continue;
		}
		iova = ALIGN(iova + 1, level_size(2) << VTD_PAGE_SHIFT);
		cond_resched();
	}
	if (flush_end)
		cache_tag_flush_range(domain, flush_start, flush_end - 1, 0);
	return done;
}

static size_t intel_retarget_replace(struct iommu_domain *domain,
				     unsigned long iova, phys_addr_t from,
				     phys_addr_t to, size_t size,
				     struct list_head *tables,
				     struct iommu_iotlb_gather *gather)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	unsigned long end = iova + size;
	struct dma_pte *pte, *first;
	size_t done = 0;
	int level;

	if (!split_range(dmar_domain, iova, size, tables))
		return 0;

	iommu_iotlb_gather_add_range(gather, iova, size);
	while (iova < end) {
		pte = find_leaf(dmar_domain, iova >> VTD_PAGE_SHIFT, &level);
		if (!pte)
			break;
		first = pte;
		do {
			if (replace_leaf(pte, from, to))
				done += VTD_PAGE_SIZE;
			iova += VTD_PAGE_SIZE;
			from += VTD_PAGE_SIZE;
			pte++;
		} while (iova < end && !first_pte_in_page(pte));
		make_visible(dmar_domain, first, (void *)pte - (void *)first);
		cond_resched();
	}
	return done;
}

static unsigned long intel_retarget_needed(struct iommu_domain *domain,
					   unsigned long iova, size_t size)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	unsigned long end = iova + size, need = 0;
	int level;

	while (iova < end) {
		if (!find_leaf(dmar_domain, iova >> VTD_PAGE_SHIFT, &level))
			break;
		/* A 1G entry splits into a table of 2M entries, and so on */
		if (level == 3)
			need += 1 + BIT(VTD_STRIDE_SHIFT);
		else if (level == 2)
			need++;
		/* A table of small entries is not split: go on behind it */
		iova = ALIGN(iova + 1, level_size(max(level, 2)) <<
				       VTD_PAGE_SHIFT);
	}
	return need;
}

static int intel_retarget_reserve(struct iommu_domain *domain, size_t size,
				  struct list_head *tables)
{
	/* At most: one for each 2M entry, and one for each 1G entry */
	unsigned long n = (size >> 21) + (size >> 30);
	void *table;

	for (; n; n--) {
		table = iommu_alloc_page_node(to_dmar_domain(domain)->nid,
					      GFP_KERNEL_ACCOUNT);
		if (!table)
			return -ENOMEM;
		list_add(&virt_to_page(table)->lru, tables);
		cond_resched();
	}
	return 0;
}

static void intel_retarget_sync(struct iommu_domain *domain,
				struct iommu_iotlb_gather *gather)
{
	/* Not a leaf-only invalidation: a large entry may have become a table */
	cache_tag_flush_range(to_dmar_domain(domain), gather->start,
			      gather->end, 0);
}

const struct iommu_retarget_ops intel_retarget_ops = {
	.refusal	= intel_retarget_refusal,
	.reserve	= intel_retarget_reserve,
	.needed		= intel_retarget_needed,
	.replace	= intel_retarget_replace,
	.sync		= intel_retarget_sync,
};
