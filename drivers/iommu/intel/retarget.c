// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replace live entries of VT-d page tables, of the first or the second level
 *
 * An entry is exchanged as a whole, by one locked compare-and-exchange, for one
 * that differs in the address only: hardware that walks the table finds the old
 * page or the new one.
 *
 * A large entry that lies partly in a range is split: a table of 512 equivalent
 * entries is filled, made visible, and put in the entry's place by the same kind
 * of exchange. Then the small entries are replaced. Until the flush, hardware may
 * hold translations of both sizes, and uses the one or the other.
 *
 * A large entry that lies wholly in a range is exchanged for a pointer to a
 * table whose entries all lead to the scratch page, and so is the pointer to a table
 * of small entries. Each mapping has one such table, which takes the place of any
 * number of entries. Unmapping would free the table once for each, so the pointers
 * are taken out before. The tables of small entries that were exchanged stay until
 * the mapping is gone, since hardware may walk them until the flush.
 *
 * Entries of the first level have a dirty bit, which the IOMMU sets when a device
 * writes. Where the bits count, an exchange keeps the bit, or takes it along: to all
 * entries of a table that takes the place of a large entry, and to the pointer to a
 * shared table. A table of small entries, which has many bits, is not exchanged then.
 *
 * No lock is needed, as elsewhere in the VT-d driver: the caller owns the
 * range, and a table that holds an entry of the range is not freed.
 */

#include <linux/align.h>
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/cacheflush.h>
#include <linux/dax_retarget_test.h>
#include <linux/iommu.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/pci-ats.h>
#include <linux/sched/signal.h>

#include "../iommu-pages.h"
#include "iommu.h"

/* Beside DMA_SL_PTE_DIRTY */
#define DMA_SL_PTE_ACCESS	BIT_ULL(8)

static enum dax_retarget_refusal
intel_retarget_refusal(struct iommu_domain *domain, struct device *dev)
{
	struct device_domain_info *info;

	/* Its devices are those of other domains */
	if (to_dmar_domain(domain)->nested_parent)
		return DAX_RETARGET_REFUSAL_NESTED;
	if (!dev)
		return DAX_RETARGET_REFUSAL_NONE;
	info = dev_iommu_priv_get(dev);
	if (!info)
		return DAX_RETARGET_REFUSAL_NO_REPLACE;
	/* A flush by register, without queued invalidation, does not drain */
	if (!info->iommu->qi || !cap_write_drain(info->iommu->cap) ||
	    !cap_read_drain(info->iommu->cap))
		return DAX_RETARGET_REFUSAL_NO_DRAIN;
	/* A hypervisor that shadows the table unmaps an entry to replace it */
	if (cap_caching_mode(info->iommu->cap))
		return DAX_RETARGET_REFUSAL_CACHING_MODE;
	/*
	 * A device that does not answer an invalidation of its own cache makes
	 * the flush spin for ever. The cache is enabled while a device is attached.
	 */
	if (info->ats_supported)
		return DAX_RETARGET_REFUSAL_ATS;
	return DAX_RETARGET_REFUSAL_NONE;
}

static void intel_retarget_claim(struct iommu_domain *domain)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	unsigned long flags;

	spin_lock_irqsave(&dmar_domain->lock, flags);
	WRITE_ONCE(dmar_domain->retargeted, true);
	spin_unlock_irqrestore(&dmar_domain->lock, flags);
}

/**
 * intel_retarget_refuses - may a device not be attached to a domain?
 * @domain: the domain, to whose list of devices @dev was added
 * @dev: a device that is about to translate by @domain
 *
 * Context: under @domain's lock
 * Return: true if @domain has entries that are replaced while devices use them, and
 *	   @dev does not qualify for that
 */
bool intel_retarget_refuses(struct dmar_domain *domain, struct device *dev)
{
	return domain->retargeted &&
	       intel_retarget_refusal(&domain->domain, dev);
}

/* The bit that hardware sets when a device writes, or 0 */
static u64 dirty_bit(struct dmar_domain *domain)
{
	return domain->use_first_level ? DMA_FL_PTE_DIRTY : 0;
}

/* Bits of an entry that hardware sets, on the second level where iommufd asks for it */
static u64 hardware_bits(struct dmar_domain *domain)
{
	return domain->use_first_level ? DMA_FL_PTE_ACCESS | DMA_FL_PTE_DIRTY :
					 DMA_SL_PTE_ACCESS | DMA_SL_PTE_DIRTY;
}

/* An entry for @table; hardware would set the accessed bit by itself */
static u64 table_entry(struct dmar_domain *domain, struct dma_pte *table)
{
	u64 val = virt_to_phys(table) | DMA_PTE_READ | DMA_PTE_WRITE;

	if (domain->use_first_level)
		val |= DMA_FL_PTE_US | DMA_FL_PTE_ACCESS;
	return val;
}

/* Bytes that an entry of @level translates */
static size_t leaf_size(int level)
{
	return level_size(level) << VTD_PAGE_SHIFT;
}

/* Does an entry of @level at @iova translate nothing behind @end? */
static bool is_whole(unsigned long iova, unsigned long end, int level)
{
	return IS_ALIGNED(iova, leaf_size(level)) &&
	       end - iova >= leaf_size(level);
}

/* Is it the shared table to which entries of @level may lead? */
static bool is_shared(struct iommu_retarget_scratch *scratch,
		      struct dma_pte *table, int level)
{
	return level >= 2 && level - 2 < ARRAY_SIZE(scratch->shared) &&
	       table == scratch->shared[level - 2];
}

/*
 * The entry that translates @iova, and its level. That is a leaf; or with @end, the
 * pointer to a table of small entries that ends before it; or with @scratch, the
 * pointer to a shared table.
 */
static struct dma_pte *find_entry(struct dmar_domain *domain,
				  unsigned long iova, unsigned long end,
				  struct iommu_retarget_scratch *scratch,
				  int *level)
{
	struct dma_pte *table = domain->pgd, *pte;
	int l;

	for (l = agaw_to_level(domain->agaw); ; l--) {
		pte = &table[pfn_level_offset(iova >> VTD_PAGE_SHIFT, l)];
		if (!dma_pte_present(pte))
			return NULL;
		if (l == 1 || dma_pte_superpage(pte) ||
		    (l == 2 && end && is_whole(iova, end, l)))
			break;
		table = phys_to_virt(dma_pte_addr(pte));
		if (scratch && is_shared(scratch, table, l))
			break;
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
	u64 step = leaf_size(level - 1);
	struct dma_pte *table = take_table(tables);
	u64 old, new, leaf;
	int i;

	if (!table)
		return false;
	new = table_entry(domain, table);

	old = READ_ONCE(pte->val);
	do {
		leaf = old;
		if (level == 2)
			leaf &= ~DMA_PTE_LARGE_PAGE;
		/* Most of what a split costs */
#pragma GCC unroll 8
		for (i = 0; i < BIT(VTD_STRIDE_SHIFT); i++, leaf += step)
			table[i].val = leaf;
		make_visible(domain, table, VTD_PAGE_SIZE);
	} while (!try_cmpxchg64(&pte->val, &old, new));
	make_visible(domain, pte, sizeof(*pte));
	return true;
}

static bool replace_leaf(struct dma_pte *pte, u64 old, phys_addr_t from,
			 phys_addr_t to)
{
	do {
		if ((old & VTD_PAGE_MASK) == to)
			return true;
		if ((old & VTD_PAGE_MASK) != from)
			return false;
	} while (!try_cmpxchg64(&pte->val, &old,
				(old & ~VTD_PAGE_MASK) | to));
	return true;
}

/* Replace the small entries of [@from, @from + @size), which are in one table */
static bool replace_small(struct dmar_domain *domain, struct dma_pte *first,
			  phys_addr_t from, size_t size, phys_addr_t to)
{
	u64 attributes = READ_ONCE(first->val) & ~VTD_PAGE_MASK;
	struct dma_pte *pte = first;
	phys_addr_t end = from + size;
	bool done = true;

	/* Most entries have the attributes of the first */
	for (; from < end; from += VTD_PAGE_SIZE, pte++) {
		u64 old = from | attributes;

		if (!try_cmpxchg64(&pte->val, &old, to | attributes))
			done &= replace_leaf(pte, old, from, to);
	}
	make_visible(domain, first, (void *)pte - (void *)first);
	return done;
}

/*
 * Let the shared table of its level take the place of a large entry, or of the table
 * of small entries that an entry points to
 */
static bool share_entry(struct dmar_domain *domain, struct dma_pte *pte,
			int level, phys_addr_t from,
			struct iommu_retarget_scratch *scratch)
{
	u64 old = READ_ONCE(pte->val), same = ~hardware_bits(domain);
	struct dma_pte *small = scratch->shared[0];
	u64 shared, large;

	if (level - 2 >= ARRAY_SIZE(scratch->shared) ||
	    !scratch->shared[level - 2])
		return false;
	shared = table_entry(domain, scratch->shared[level - 2]);
	large = from | (small->val & ~VTD_PAGE_MASK) | DMA_PTE_LARGE_PAGE;
	do {
		if (!((old ^ shared) & same))
			return true;
		if (old & DMA_PTE_LARGE_PAGE ? (old ^ large) & same :
					       !(old & VTD_PAGE_MASK))
			return false;
		/* In a pointer, hardware ignores the dirty bit */
	} while (!try_cmpxchg64(&pte->val, &old,
				shared | (old & dirty_bit(domain))));

	if (!(old & DMA_PTE_LARGE_PAGE))
		list_add(&virt_to_page(phys_to_virt(old & VTD_PAGE_MASK))->lru,
			 &scratch->replaced);
	return true;
}

/* Are the entries of tables told apart, by bits that hardware sets? */
static bool counts_writes(struct dmar_domain *domain,
			  struct iommu_retarget_scratch *scratch)
{
	return scratch->track || domain->dirty_tracking;
}

/* May an entry be exchanged with all that it leads to? */
static bool may_share(struct dmar_domain *domain, struct dma_pte *pte, int level,
		      struct iommu_retarget_scratch *scratch)
{
	u64 val = READ_ONCE(pte->val);

	return !counts_writes(domain, scratch) || val & DMA_PTE_LARGE_PAGE ||
	       is_shared(scratch, phys_to_virt(val & VTD_PAGE_MASK), level - 1);
}

/*
 * Replace entry @first of @level as a whole, and those of its table that follow and
 * end before @end. *@done gets the bytes that they translate.
 */
static bool share_entries(struct dmar_domain *domain, struct dma_pte *first,
			  int level, unsigned long iova, unsigned long end,
			  phys_addr_t from,
			  struct iommu_retarget_scratch *scratch, size_t *done)
{
	size_t size = leaf_size(level);
	struct dma_pte *pte = first;
	bool good = true;

	scratch->shares = true;
	/* The size of a batch is read without the lock */
	if (scratch->leaf_size < size)
		WRITE_ONCE(scratch->leaf_size, size);
	*done = 0;
	/* What follows a 1G entry may be a table of large entries */
	do {
		good &= share_entry(domain, pte++, level, from + *done,
				    scratch);
		*done += size;
	} while (level == 2 && !IS_ALIGNED((unsigned long)pte, VTD_PAGE_SIZE) &&
		 end - (iova + *done) >= size &&
		 may_share(domain, pte, level, scratch));
	make_visible(domain, first, (void *)pte - (void *)first);
	return good;
}

static int intel_retarget_replace(struct iommu_domain *domain,
				  unsigned long iova, phys_addr_t from,
				  size_t size,
				  struct iommu_retarget_scratch *scratch)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	unsigned long end = iova + size;
	/* On the second level, a pointer to a table cannot keep the dirty bit */
	bool splits = dmar_domain->dirty_tracking;
	unsigned long whole = scratch->shared[0] &&
			      !counts_writes(dmar_domain, scratch) ? end : 0;
	struct dma_pte *pte;
	int level, ret = 0;

	while (iova < end) {
		size_t done = VTD_PAGE_SIZE;

		pte = find_entry(dmar_domain, iova, whole, NULL, &level);
		if (!pte) {
			ret = -EIO;
		} else if (level > 1 && (splits || !is_whole(iova, end, level))) {
			if (split_leaf(dmar_domain, pte, level,
				       &scratch->tables))
				continue;
			ret = -ENOMEM;
			done = leaf_size(level) - (iova & (leaf_size(level) - 1));
		} else if (level > 1) {
			if (!share_entries(dmar_domain, pte, level, iova, end,
					   from, scratch, &done))
				ret = -EIO;
		} else {
			done = min(end - iova, leaf_size(2) -
					       (iova & (leaf_size(2) - 1)));
			if (!replace_small(dmar_domain, pte, from, done,
					   scratch->phys))
				ret = -EIO;
		}
		iova += done;
		from += done;
		cond_resched();
	}
	return ret;
}

/*
 * Without page walk coherency, the CPU may hold an old copy of an entry in which the
 * IOMMU has set the bit since.
 *
 * The dirty bits of an emulated IOMMU are not relied on. QEMU's IOMMU caches the
 * translation of a read and sets no bit for a write through it; and it sets bits by
 * plain writes, which may bring an entry back that was exchanged meanwhile. Other
 * hypervisors are not known to be better.
 */
static bool intel_retarget_tracks_writes(struct iommu_domain *domain)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);

	if (!dirty_bit(dmar_domain))
		return false;
	/* QEMU tells of no coherency, and has it */
	return dax_retarget_broken(DAX_BREAK_distrust) ||
	       (dmar_domain->iommu_coherency &&
		!boot_cpu_has(X86_FEATURE_HYPERVISOR));
}

static void *alloc_table(struct iommu_domain *domain)
{
	return iommu_alloc_page_node(to_dmar_domain(domain)->nid,
				     GFP_KERNEL_ACCOUNT);
}

static int intel_retarget_reserve(struct iommu_domain *domain, size_t size,
				  struct iommu_retarget_scratch *scratch)
{
	/* At most: one for each 2M entry, and one for each 1G entry */
	unsigned long n = (size >> 21) + (size >> 30);
	void *table;
	int i;

	for (i = 0; i < ARRAY_SIZE(scratch->shared); i++) {
		if (size < leaf_size(i + 2) || scratch->shared[i])
			continue;
		scratch->shared[i] = alloc_table(domain);
		if (!scratch->shared[i])
			return -ENOMEM;
	}
	for (; n; n--) {
		table = alloc_table(domain);
		if (!table)
			return -ENOMEM;
		list_add(&virt_to_page(table)->lru, &scratch->tables);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* Fill the shared tables as @leaf, one of the mapping's largest entries, asks for */
static void fill_shared(struct dmar_domain *domain, u64 leaf,
			struct iommu_retarget_scratch *scratch)
{
	u64 attributes = leaf & ~VTD_PAGE_MASK & ~DMA_PTE_LARGE_PAGE;
	struct dma_pte *small = scratch->shared[0], *large = scratch->shared[1];
	int i;

	if (!small)
		return;
	for (i = 0; i < BIT(VTD_STRIDE_SHIFT); i++) {
		small[i].val = scratch->phys | attributes;
		if (large)
			large[i].val = table_entry(domain, small);
	}
	make_visible(domain, small, VTD_PAGE_SIZE);
	if (large)
		make_visible(domain, large, VTD_PAGE_SIZE);
}

static void free_shared(struct iommu_retarget_scratch *scratch, int i)
{
	if (scratch->shared[i])
		iommu_free_page(scratch->shared[i]);
	scratch->shared[i] = NULL;
}

/* Is one of the entries of a cache line dirty? Most are not. */
static bool line_is_dirty(const struct dma_pte *pte, u64 dirty)
{
	return (READ_ONCE(pte[0].val) | READ_ONCE(pte[1].val) |
		READ_ONCE(pte[2].val) | READ_ONCE(pte[3].val) |
		READ_ONCE(pte[4].val) | READ_ONCE(pte[5].val) |
		READ_ONCE(pte[6].val) | READ_ONCE(pte[7].val)) & dirty;
}

/*
 * Both bits that hardware sets: QEMU 10.0 sets the dirty bit only if the accessed bit
 * is clear, and hardware sets both at once.
 */
static void clear_dirty(struct dmar_domain *domain, struct dma_pte *pte)
{
	u64 old = READ_ONCE(pte->val);

	while (!try_cmpxchg64(&pte->val, &old, old & ~hardware_bits(domain)))
		;
	make_visible(domain, pte, sizeof(*pte));
}

/* Find and clear the dirty ones of @nr small entries; their bits go to @pages */
static unsigned long clear_small(struct dmar_domain *domain,
				 struct dma_pte *pte, unsigned long nr,
				 unsigned long *pages, unsigned long bit)
{
	const unsigned long line = SMP_CACHE_BYTES / sizeof(*pte);
	u64 dirty = dirty_bit(domain);
	unsigned long i, found = 0;

	BUILD_BUG_ON(SMP_CACHE_BYTES / sizeof(*pte) != 8);
	for (i = 0; i < nr; i++) {
		if (IS_ALIGNED((unsigned long)&pte[i], SMP_CACHE_BYTES) &&
		    nr - i >= line && !line_is_dirty(&pte[i], dirty)) {
			i += line - 1;
			continue;
		}
		if (!(READ_ONCE(pte[i].val) & dirty))
			continue;
		clear_dirty(domain, &pte[i]);
		if (pages)
			__set_bit(bit + i, pages);
		found++;
	}
	return found;
}

static unsigned long
intel_retarget_read_and_clear_dirty(struct iommu_domain *domain,
				    unsigned long iova, size_t size,
				    struct iommu_retarget_scratch *scratch,
				    unsigned long *pages, unsigned long bit)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	unsigned long end = iova + size, found = 0, next, nr;
	struct dma_pte *pte;
	int level;

	for (; iova < end; iova = next, bit += nr) {
		pte = find_entry(dmar_domain, iova, 0, scratch, &level);
		if (!pte)
			break;
		next = min(end, ALIGN(iova + 1, leaf_size(max(level, 2))));
		nr = (next - iova) >> VTD_PAGE_SHIFT;
		if (level == 1) {
			found += clear_small(dmar_domain, pte, nr, pages, bit);
			continue;
		}
		if (!(READ_ONCE(pte->val) & dirty_bit(dmar_domain)))
			continue;
		/* The device may have written to the rest of a larger entry */
		if (next - iova == leaf_size(level))
			clear_dirty(dmar_domain, pte);
		bitmap_set(pages, bit, nr);
		found += nr;
	}
	return found;
}

/*
 * From now on, find out what a device writes: the driver maps entries that are
 * dirty. They stay so if a device may have written to them. Entries of 1 GiB would tell
 * too little.
 */
static void begin_tracking(struct dmar_domain *domain, unsigned long iova,
			   unsigned long end,
			   struct iommu_retarget_scratch *scratch)
{
	struct dma_pte *pte;
	unsigned long next;
	int level;

	for (; iova < end; iova = next) {
		pte = find_entry(domain, iova, 0, NULL, &level);
		next = iova;
		if (!pte)
			break;
		if (level > 2 &&
		    split_leaf(domain, pte, level, &scratch->tables))
			continue;
		next = min(end, ALIGN(iova + 1, leaf_size(max(level, 2))));
		if (scratch->live)
			;
		else if (level == 1)
			clear_small(domain, pte,
				    (next - iova) >> VTD_PAGE_SHIFT, NULL, 0);
		else
			clear_dirty(domain, pte);
		cond_resched();
	}
}

static void intel_retarget_settle(struct iommu_domain *domain,
				  unsigned long iova, size_t size,
				  struct iommu_retarget_scratch *scratch)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	unsigned long end = iova + size, n = 0;
	struct dma_pte *pte;
	LIST_HEAD(kept);
	int level, most = 0;

	if (scratch->track)
		begin_tracking(dmar_domain, iova, end, scratch);
	while (iova < end) {
		pte = find_entry(dmar_domain, iova, 0, NULL, &level);
		if (!pte)
			break;
		if (level > most) {
			most = level;
			fill_shared(dmar_domain, READ_ONCE(pte->val), scratch);
		}
		/* A 1G entry splits into a table of 2M entries, and so on */
		if (level == 3)
			n += 1 + BIT(VTD_STRIDE_SHIFT);
		else if (level == 2)
			n++;
		/* A table of small entries is not split: go on behind it */
		iova = ALIGN(iova + 1, leaf_size(max(level, 2)));
		cond_resched();
	}
	scratch->leaf_size = max(scratch->leaf_size, leaf_size(max(most, 1)));
	/* The table of small entries is of use where all entries are small, too */
	if (scratch->leaf_size < leaf_size(3))
		free_shared(scratch, 1);

	for (; n && !list_empty(&scratch->tables); n--) {
		list_move(scratch->tables.next, &kept);
		scratch->nr_tables++;
	}
	iommu_put_pages_list(&scratch->tables);
	list_splice(&kept, &scratch->tables);
}

/* The descriptor for a range: the least aligned block of pages that has it */
static void describe_range(struct dmar_domain *domain, struct intel_iommu *iommu,
			   u16 did, ioasid_t pasid,
			   const struct iommu_retarget_range *range,
			   struct qi_desc *desc)
{
	unsigned int order = fls64((range->start ^ range->last) >>
				   VTD_PAGE_SHIFT);

	u64 start = range->start;
	bool all;

	/* What an IOMMU does with a larger block is not defined: all but a flush */
	all = !cap_pgsel_inv(iommu->cap) ||
	      order > cap_max_amask_val(iommu->cap);
	if (!all)
		start = ALIGN_DOWN(start, VTD_PAGE_SIZE << order);
	/* Without the hint that only leaves changed: tables may have changed */
	if (domain->use_first_level)
		qi_desc_piotlb(did, pasid, start,
			       all ? -1UL : BIT(order), false, desc);
	else if (all)
		qi_desc_iotlb(iommu, did, 0, 0, DMA_TLB_DSI_FLUSH, desc);
	else
		qi_desc_iotlb(iommu, did, start, order, DMA_TLB_PSI_FLUSH,
			      desc);
}

/* Flush what one IOMMU has cached for a domain, and wait */
static int flush_iommu(struct dmar_domain *domain, struct intel_iommu *iommu,
		       u16 did, ioasid_t pasid,
		       const struct iommu_retarget_range *range,
		       unsigned int nr)
{
	struct qi_desc desc[IOMMU_RETARGET_RANGES];
	unsigned int i, tries = 0;
	int err;

	for (i = 0; i < nr; i++)
		describe_range(domain, iommu, did, pasid, &range[i], &desc[i]);
	/* A timeout is of another device's descriptors: ours have none */
	do {
		err = qi_submit_sync(iommu, desc, nr, 0);
	} while (err == -ETIMEDOUT && tries++ < 3);
	return err;
}

/*
 * In a consumer's domain, a device that is being attached or detached has a context
 * entry already, or still, and no cache tag. While there can be an entry, the domain has
 * a number in the IOMMU.
 */
static int flush_numbers(struct dmar_domain *domain,
			 const struct iommu_retarget_range *range,
			 unsigned int nr)
{
	struct iommu_domain_info *info;
	unsigned long i;
	int err, ret = 0;

	xa_lock(&domain->iommu_array);
	xa_for_each(&domain->iommu_array, i, info) {
		err = flush_iommu(domain, info->iommu, info->did,
				  IOMMU_NO_PASID, range, nr);
		if (err)
			ret = err;
	}
	xa_unlock(&domain->iommu_array);
	return ret;
}

/*
 * Not by cache_tag_flush_range(), which does not tell whether the IOMMU confirmed. The
 * device of another domain stays attached while the domain has pins. A device with a
 * translation cache of its own reaches no range, see intel_retarget_refusal().
 */
static int intel_retarget_flush(struct iommu_domain *domain,
				const struct iommu_retarget_range *range,
				unsigned int nr)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	/* Set before the domain has its first page, and for good */
	bool consumers = READ_ONCE(dmar_domain->retargeted);
	struct cache_tag *tag;
	unsigned long flags;
	int err, ret = 0;

	if (consumers)
		ret = flush_numbers(dmar_domain, range, nr);
	spin_lock_irqsave(&dmar_domain->cache_lock, flags);
	list_for_each_entry(tag, &dmar_domain->cache_tags, node) {
		if (tag->type != CACHE_TAG_IOTLB) {
			/* Should not be there, and was not flushed */
			if (consumers)
				ret = -EOPNOTSUPP;
			continue;
		}
		if (consumers && tag->pasid == IOMMU_NO_PASID)
			continue;
		err = flush_iommu(dmar_domain, tag->iommu, tag->domain_id,
				  tag->pasid, range, nr);
		if (err)
			ret = err;
	}
	spin_unlock_irqrestore(&dmar_domain->cache_lock, flags);
	return ret;
}

static bool intel_retarget_release(struct iommu_domain *domain,
				   unsigned long iova, size_t size,
				   struct iommu_retarget_scratch *scratch)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	unsigned long end = iova + size;
	struct dma_pte *pte;
	int level;

	if (!scratch->shares)
		return false;
	while (iova < end) {
		level = 1;
		pte = find_entry(dmar_domain, iova, 0, scratch, &level);
		if (pte && level > 1 && !dma_pte_superpage(pte)) {
			dma_clear_pte(pte);
			make_visible(dmar_domain, pte, sizeof(*pte));
		}
		iova = ALIGN(iova + 1, leaf_size(max(level, 2)));
		cond_resched();
	}
	scratch->shares = false;
	return true;
}

static void intel_retarget_visit_devices(struct iommu_domain *domain,
					 iommu_retarget_device_fn fn, void *arg)
{
	struct dmar_domain *dmar_domain = to_dmar_domain(domain);
	struct device_domain_info *info;
	struct dev_pasid_info *pasid;
	unsigned long flags;

	spin_lock_irqsave(&dmar_domain->lock, flags);
	list_for_each_entry(info, &dmar_domain->devices, link)
		fn(info->dev, arg);
	list_for_each_entry(pasid, &dmar_domain->dev_pasids, link_domain)
		fn(pasid->dev, arg);
	spin_unlock_irqrestore(&dmar_domain->lock, flags);
}

const struct iommu_retarget_ops intel_retarget_ops = {
	.refusal	= intel_retarget_refusal,
	.claim		= intel_retarget_claim,
	.for_each_device = intel_retarget_visit_devices,
	.tracks_writes	= intel_retarget_tracks_writes,
	.reserve	= intel_retarget_reserve,
	.settle		= intel_retarget_settle,
	.replace	= intel_retarget_replace,
	.flush		= intel_retarget_flush,
	.release	= intel_retarget_release,
	.read_and_clear_dirty = intel_retarget_read_and_clear_dirty,
};
