// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the replacement of entries of VT-d page tables
 *
 * The tests work on page tables that no hardware walks: the domain has no
 * IOMMU, or one that is only memory. The name of a test case tells whether the
 * tables are of the first or the second level.
 */

#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "../iommu-pages.h"
#include "iommu.h"

#define IOVA	0x4000000000UL
#define FROM	0x200000000ULL
#define SCRATCH	0x123456000ULL

/* What a device's write sets in an entry of the first level */
#define WRITTEN	((u64)(DMA_FL_PTE_ACCESS | DMA_FL_PTE_DIRTY))

/* Bits for the pages that are found dirty; OFFSET is the one of IOVA */
#define PAGES	2048
#define OFFSET	7

struct bench {
	struct dmar_domain domain;
	struct iommu_retarget_scratch scratch;
	unsigned long iova;		/* of what was mapped */
	size_t size;
	DECLARE_BITMAP(found, PAGES);
	DECLARE_BITMAP(expected, PAGES);
};

static struct dma_pte *new_table(struct kunit *test)
{
	struct dma_pte *table;

	table = iommu_alloc_page_node(NUMA_NO_NODE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, table);
	return table;
}

static int bench_init(struct kunit *test)
{
	struct bench *bench = kunit_kzalloc(test, sizeof(*bench), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, bench);
	test->priv = bench;
	bench->domain.use_first_level = strstarts(test->name, "first_level");
	bench->domain.agaw = width_to_agaw(48);
	bench->domain.nid = NUMA_NO_NODE;
	bench->domain.iommu_coherency = true;
	spin_lock_init(&bench->domain.lock);
	spin_lock_init(&bench->domain.cache_lock);
	INIT_LIST_HEAD(&bench->domain.cache_tags);
	xa_init(&bench->domain.iommu_array);
	bench->domain.pgd = new_table(test);
	INIT_LIST_HEAD(&bench->scratch.tables);
	INIT_LIST_HEAD(&bench->scratch.replaced);
	bench->scratch.phys = SCRATCH;
	return 0;
}

static bool first_level(struct kunit *test)
{
	struct bench *bench = test->priv;

	return bench->domain.use_first_level;
}

/* Attributes of leaves and of pointers to tables, as the driver maps them */
static u64 leaf(struct kunit *test)
{
	if (first_level(test))
		return DMA_FL_PTE_PRESENT | DMA_PTE_WRITE | DMA_FL_PTE_US |
		       WRITTEN;
	return DMA_PTE_READ | DMA_PTE_WRITE | DMA_PTE_SNP;
}

static u64 pointer(struct kunit *test)
{
	return DMA_PTE_READ | DMA_PTE_WRITE |
	       (first_level(test) ? DMA_FL_PTE_US | DMA_FL_PTE_ACCESS : 0);
}

/* Has @val all of @attributes, but for those that hardware would set? */
static bool has(u64 val, u64 attributes)
{
	return !(attributes & ~WRITTEN & ~val);
}

static void free_tables(struct dma_pte *table, int level)
{
	int i;

	for (i = 0; level > 1 && i < BIT(VTD_STRIDE_SHIFT); i++)
		if (dma_pte_present(&table[i]) && !dma_pte_superpage(&table[i]))
			free_tables(phys_to_virt(dma_pte_addr(&table[i])),
				    level - 1);
	iommu_free_page(table);
}

/* The entry of @iova at @level or above, where a large one is */
static struct dma_pte *entry(struct kunit *test, unsigned long iova, int level)
{
	struct bench *bench = test->priv;
	struct dma_pte *table = bench->domain.pgd, *pte;
	int l;

	for (l = agaw_to_level(bench->domain.agaw); ; l--) {
		pte = &table[pfn_level_offset(iova >> VTD_PAGE_SHIFT, l)];
		if (l == level || dma_pte_superpage(pte))
			return pte;
		if (!dma_pte_present(pte))
			pte->val = virt_to_phys(new_table(test)) |
				   pointer(test);
		table = phys_to_virt(dma_pte_addr(pte));
	}
}

static void map(struct kunit *test, unsigned long iova, phys_addr_t phys,
		size_t size, int level)
{
	u64 step = level_size(level) << VTD_PAGE_SHIFT;

	for (; size; size -= step, iova += step, phys += step)
		entry(test, iova, level)->val = phys | leaf(test) |
			(level > 1 ? DMA_PTE_LARGE_PAGE : 0);
}

/* What the device reaches at @iova, if all entries have their attributes */
static phys_addr_t translate(struct kunit *test, unsigned long iova)
{
	struct bench *bench = test->priv;
	struct dma_pte *table = bench->domain.pgd, *pte;
	int l;

	for (l = agaw_to_level(bench->domain.agaw); ; l--) {
		pte = &table[pfn_level_offset(iova >> VTD_PAGE_SHIFT, l)];
		if (!dma_pte_present(pte))
			return 0;
		if (l == 1 || dma_pte_superpage(pte))
			break;
		if (!has(pte->val, pointer(test)))
			return 0;
		table = phys_to_virt(dma_pte_addr(pte));
	}
	/* In a small entry, the bit of large ones means something else */
	if (!has(pte->val, leaf(test)) || (l == 1 && dma_pte_superpage(pte)))
		return 0;
	return (pte->val & VTD_PAGE_MASK) |
	       (iova & ((level_size(l) << VTD_PAGE_SHIFT) - 1));
}

/* [@iova, @iova + @size) of a range at IOVA leads to scratch, the rest to FROM */
static void expect(struct kunit *test, size_t all, unsigned long iova,
		   size_t size)
{
	unsigned long i;

	for (i = IOVA; i < IOVA + all; i += VTD_PAGE_SIZE)
		if (translate(test, i) != (i >= iova && i < iova + size ?
					   SCRATCH : FROM + (i - IOVA)))
			break;
	KUNIT_EXPECT_EQ_MSG(test, i, IOVA + all, "leads to 0x%llx",
			    translate(test, i));
}

/* Reserve page tables for what was mapped, and keep what it needs */
static void settle_at(struct kunit *test, unsigned long iova, size_t size,
		      unsigned long expected)
{
	struct bench *bench = test->priv;

	bench->iova = iova;
	bench->size = size;
	KUNIT_ASSERT_EQ(test, 0,
			intel_retarget_ops.reserve(&bench->domain.domain, size,
						   &bench->scratch));
	intel_retarget_ops.settle(&bench->domain.domain, iova, size,
				  &bench->scratch);
	KUNIT_EXPECT_EQ(test, expected, bench->scratch.nr_tables);
	KUNIT_EXPECT_EQ(test, expected, list_count_nodes(&bench->scratch.tables));
}

static void settle(struct kunit *test, size_t size, unsigned long expected)
{
	settle_at(test, IOVA, size, expected);
}

/* The same, to find out what the device writes from now on */
static void track(struct kunit *test, size_t size, unsigned long expected)
{
	struct bench *bench = test->priv;

	bench->scratch.track = true;
	settle(test, size, expected);
}

static unsigned long left(struct kunit *test)
{
	struct bench *bench = test->priv;

	return list_count_nodes(&bench->scratch.tables);
}

static int replace(struct kunit *test, unsigned long iova, size_t size)
{
	struct bench *bench = test->priv;

	return intel_retarget_ops.replace(&bench->domain.domain, iova,
					  FROM + (iova - IOVA), size,
					  &bench->scratch);
}

static void release(struct kunit *test)
{
	struct bench *bench = test->priv;

	KUNIT_EXPECT_EQ(test, bench->scratch.shares,
			intel_retarget_ops.release(&bench->domain.domain,
						   bench->iova, bench->size,
						   &bench->scratch));
	KUNIT_EXPECT_FALSE(test, bench->scratch.shares);
}

static void bench_exit(struct kunit *test)
{
	struct bench *bench = test->priv;
	int i;

	release(test);
	iommu_put_pages_list(&bench->scratch.tables);
	iommu_put_pages_list(&bench->scratch.replaced);
	for (i = 0; i < ARRAY_SIZE(bench->scratch.shared); i++)
		if (bench->scratch.shared[i])
			iommu_free_page(bench->scratch.shared[i]);
	if (bench->domain.pgd)
		free_tables(bench->domain.pgd,
			    agaw_to_level(bench->domain.agaw));
}

static void small_entries(struct kunit *test)
{
	struct bench *bench = test->priv;
	unsigned long iova = IOVA + SZ_2M - 3 * SZ_4K;

	map(test, IOVA, FROM, SZ_4M, 1);
	settle(test, SZ_4M, 0);
	KUNIT_EXPECT_EQ(test, SZ_4K, bench->scratch.leaf_size);
	KUNIT_EXPECT_NULL(test, bench->scratch.shared[1]);
	/* Across two tables */
	KUNIT_EXPECT_EQ(test, 0, replace(test, iova, 5 * SZ_4K));
	expect(test, SZ_4M, iova, 5 * SZ_4K);
	/* What is scratch already stays scratch */
	KUNIT_EXPECT_EQ(test, 0, replace(test, iova - SZ_4K, 6 * SZ_4K));
	expect(test, SZ_4M, iova - SZ_4K, 6 * SZ_4K);
	KUNIT_EXPECT_FALSE(test, bench->scratch.shares);
	KUNIT_EXPECT_EQ(test, SZ_4K, bench->scratch.leaf_size);
}

/* A table of small entries that goes as a whole is kept until the mapping is gone */
static void whole_tables(struct kunit *test)
{
	struct bench *bench = test->priv;
	unsigned long iova = IOVA + SZ_2M - SZ_4K;

	map(test, IOVA, FROM, 4 * SZ_2M, 1);
	settle(test, 4 * SZ_2M, 0);
	/* The last page of one table, two tables, the first page of the next */
	KUNIT_EXPECT_EQ(test, 0, replace(test, iova, 2 * SZ_2M + SZ_8K));
	expect(test, 4 * SZ_2M, iova, 2 * SZ_2M + SZ_8K);
	KUNIT_EXPECT_EQ(test, 2, list_count_nodes(&bench->scratch.replaced));
	KUNIT_EXPECT_EQ(test, entry(test, IOVA + SZ_2M, 2)->val,
			entry(test, IOVA + 2 * SZ_2M, 2)->val);
	/* A flush of a page is to invalidate cached pointers to the tables */
	KUNIT_EXPECT_EQ(test, SZ_2M, bench->scratch.leaf_size);
	/* What is scratch already stays scratch, in whole and in part */
	KUNIT_EXPECT_EQ(test, 0, replace(test, iova, 2 * SZ_2M));
	KUNIT_EXPECT_EQ(test, 0, replace(test, IOVA + SZ_2M + SZ_4K, SZ_4K));
	expect(test, 4 * SZ_2M, iova, 2 * SZ_2M + SZ_8K);
	KUNIT_EXPECT_EQ(test, 2, list_count_nodes(&bench->scratch.replaced));

	release(test);
	KUNIT_EXPECT_EQ(test, 0, translate(test, IOVA + SZ_2M));
	KUNIT_EXPECT_EQ(test, SCRATCH, translate(test, iova));
	KUNIT_EXPECT_EQ(test, FROM, translate(test, IOVA));
}

/* Entries with other bits than the first of their table keep them */
static void attributes_differ(struct kunit *test)
{
	u64 dirty = first_level(test) ? DMA_FL_PTE_DIRTY : DMA_SL_PTE_DIRTY;

	map(test, IOVA, FROM, SZ_1M, 1);
	entry(test, IOVA + SZ_8K, 1)->val ^= dirty;
	settle(test, SZ_1M, 0);
	KUNIT_EXPECT_EQ(test, 0, replace(test, IOVA, SZ_1M));
	expect(test, SZ_1M, IOVA, SZ_1M);
	KUNIT_EXPECT_EQ(test, SCRATCH | (leaf(test) ^ dirty),
			entry(test, IOVA + SZ_8K, 1)->val);
	KUNIT_EXPECT_EQ(test, SCRATCH | leaf(test),
			entry(test, IOVA + SZ_4K, 1)->val);
}

static void split_2m(struct kunit *test)
{
	struct bench *bench = test->priv;
	unsigned long iova = IOVA + SZ_2M + 5 * SZ_4K;

	map(test, IOVA, FROM, 2 * SZ_2M, 2);
	settle(test, 2 * SZ_2M, 2);
	KUNIT_EXPECT_EQ(test, SZ_2M, bench->scratch.leaf_size);
	KUNIT_EXPECT_NOT_NULL(test, bench->scratch.shared[0]);
	KUNIT_EXPECT_NULL(test, bench->scratch.shared[1]);
	KUNIT_EXPECT_EQ(test, 0, replace(test, iova, SZ_4K));
	expect(test, 2 * SZ_2M, iova, SZ_4K);
	KUNIT_EXPECT_EQ(test, 1, left(test));
	KUNIT_EXPECT_TRUE(test, dma_pte_superpage(entry(test, IOVA, 2)));
	KUNIT_EXPECT_FALSE(test, dma_pte_superpage(entry(test, iova, 2)));
	KUNIT_EXPECT_FALSE(test, bench->scratch.shares);
}

/* A large entry that goes as a whole needs no table of the reserve */
static void whole_2m(struct kunit *test)
{
	struct bench *bench = test->priv;

	map(test, IOVA, FROM, 3 * SZ_2M, 2);
	settle(test, 3 * SZ_2M, 3);
	KUNIT_EXPECT_EQ(test, 0, replace(test, IOVA + SZ_2M, 2 * SZ_2M));
	KUNIT_EXPECT_EQ(test, 3, left(test));
	KUNIT_EXPECT_TRUE(test, bench->scratch.shares);
	expect(test, 3 * SZ_2M, IOVA + SZ_2M, 2 * SZ_2M);
	/* Both lead to the same table */
	KUNIT_EXPECT_EQ(test, entry(test, IOVA + SZ_2M, 2)->val,
			entry(test, IOVA + 2 * SZ_2M, 2)->val);
	/* Parts of what is scratch as a whole */
	KUNIT_EXPECT_EQ(test, 0, replace(test, IOVA + SZ_2M + SZ_4K, SZ_2M));
	/* A range that ends within the first: split, and the others stay */
	KUNIT_EXPECT_EQ(test, 0, replace(test, IOVA + SZ_4K, 2 * SZ_2M));
	expect(test, 3 * SZ_2M, IOVA + SZ_4K, 3 * SZ_2M - SZ_4K);

	/* Unmapping must not find the shared table */
	release(test);
	KUNIT_EXPECT_EQ(test, 0, translate(test, IOVA + SZ_2M));
	KUNIT_EXPECT_EQ(test, FROM, translate(test, IOVA));
	KUNIT_EXPECT_EQ(test, SCRATCH, translate(test, IOVA + SZ_4K));
}

static void split_1g(struct kunit *test)
{
	struct bench *bench = test->priv;
	unsigned long iova = IOVA + 300 * SZ_2M + 511 * SZ_4K;

	map(test, IOVA, FROM, SZ_1G, 3);
	settle(test, SZ_1G, 513);
	KUNIT_EXPECT_EQ(test, SZ_1G, bench->scratch.leaf_size);
	/* The last page of one 2M entry and the first of the next */
	KUNIT_EXPECT_EQ(test, 0, replace(test, iova, 2 * SZ_4K));
	KUNIT_EXPECT_EQ(test, 510, left(test));
	expect(test, SZ_1G, iova, 2 * SZ_4K);
	KUNIT_EXPECT_TRUE(test, dma_pte_superpage(entry(test, IOVA, 2)));
}

static void whole_1g(struct kunit *test)
{
	struct bench *bench = test->priv;

	map(test, IOVA, FROM, 2UL * SZ_1G, 3);
	settle(test, 2UL * SZ_1G, 2 * 513);
	KUNIT_EXPECT_EQ(test, 0, replace(test, IOVA, SZ_1G));
	KUNIT_EXPECT_EQ(test, 2 * 513, left(test));
	KUNIT_EXPECT_TRUE(test, bench->scratch.shares);
	KUNIT_EXPECT_EQ(test, SCRATCH, translate(test, IOVA));
	KUNIT_EXPECT_EQ(test, SCRATCH, translate(test, IOVA + SZ_1G - SZ_4K));
	KUNIT_EXPECT_EQ(test, FROM + SZ_1G, translate(test, IOVA + SZ_1G));
	release(test);
	KUNIT_EXPECT_EQ(test, 0, translate(test, IOVA));
	KUNIT_EXPECT_EQ(test, FROM + SZ_1G, translate(test, IOVA + SZ_1G));
}

static void mixed_entries(struct kunit *test)
{
	map(test, IOVA, FROM, SZ_2M, 1);
	map(test, IOVA + SZ_2M, FROM + SZ_2M, SZ_2M, 2);
	map(test, IOVA + 2 * SZ_2M, FROM + 2 * SZ_2M, SZ_2M, 1);
	settle(test, 3 * SZ_2M, 1);
	KUNIT_EXPECT_EQ(test, 0, replace(test, IOVA + SZ_1M, 2 * SZ_2M));
	expect(test, 3 * SZ_2M, IOVA + SZ_1M, 2 * SZ_2M);
}

static void no_table_left(struct kunit *test)
{
	struct bench *bench = test->priv;

	map(test, IOVA, FROM, SZ_2M, 2);
	settle(test, SZ_2M, 1);
	iommu_put_pages_list(&bench->scratch.tables);
	INIT_LIST_HEAD(&bench->scratch.tables);
	KUNIT_EXPECT_EQ(test, -ENOMEM, replace(test, IOVA, SZ_4K));
	expect(test, SZ_2M, 0, 0);
	KUNIT_EXPECT_TRUE(test, dma_pte_superpage(entry(test, IOVA, 2)));
}

static void leads_elsewhere(struct kunit *test)
{
	map(test, IOVA, FROM, SZ_2M, 1);
	map(test, IOVA + SZ_2M, FROM + SZ_2M, SZ_2M, 2);
	settle(test, 2 * SZ_2M, 1);
	entry(test, IOVA + SZ_8K, 1)->val += SZ_1G;
	KUNIT_EXPECT_EQ(test, -EIO, replace(test, IOVA, SZ_16K));
	/* All others are replaced */
	KUNIT_EXPECT_EQ(test, SCRATCH, translate(test, IOVA + SZ_4K));
	KUNIT_EXPECT_EQ(test, SCRATCH, translate(test, IOVA + SZ_8K + SZ_4K));
	KUNIT_EXPECT_EQ(test, FROM + SZ_1G + SZ_8K,
			translate(test, IOVA + SZ_8K));
	entry(test, IOVA + SZ_2M, 2)->val += SZ_1G;
	KUNIT_EXPECT_EQ(test, -EIO, replace(test, IOVA + SZ_2M, SZ_2M));
}

static void not_mapped(struct kunit *test)
{
	map(test, IOVA, FROM, SZ_4K, 1);
	settle(test, SZ_4K, 0);
	/* The next entry is missing, and so is the table of the next 2M */
	KUNIT_EXPECT_EQ(test, -EIO, replace(test, IOVA, SZ_4M));
	expect(test, SZ_4K, IOVA, SZ_4K);
	KUNIT_EXPECT_EQ(test, 0, translate(test, IOVA + SZ_4K));
}

static void without_coherency(struct kunit *test)
{
	struct bench *bench = test->priv;

	bench->domain.iommu_coherency = false;
	map(test, IOVA, FROM, 2 * SZ_2M, 2);
	settle(test, 2 * SZ_2M, 2);
	KUNIT_EXPECT_EQ(test, 0, replace(test, IOVA + SZ_2M - SZ_8K,
					 SZ_2M + SZ_8K));
	expect(test, 2 * SZ_2M, IOVA + SZ_2M - SZ_8K, SZ_2M + SZ_8K);
}

static void tracks_writes(struct kunit *test)
{
	struct bench *bench = test->priv;

	KUNIT_EXPECT_EQ(test,
			first_level(test) &&
			!boot_cpu_has(X86_FEATURE_HYPERVISOR),
			intel_retarget_ops.tracks_writes(&bench->domain.domain));
}

/* The device writes to @iova: bits of the entry that translates it */
static void write(struct kunit *test, unsigned long iova)
{
	entry(test, iova, 1)->val |= WRITTEN;
}

/* The bits that writes set in the entry of @iova at @level or above */
static u64 written(struct kunit *test, unsigned long iova, int level)
{
	return entry(test, iova, level)->val & WRITTEN;
}

static unsigned long bit_of(unsigned long iova)
{
	return OFFSET + ((iova - IOVA) >> VTD_PAGE_SHIFT);
}

/* read_dirty() is to find [@iova, @iova + @size), too */
static void expect_dirty(struct kunit *test, unsigned long iova, size_t size)
{
	struct bench *bench = test->priv;

	bitmap_set(bench->expected, bit_of(iova), size >> VTD_PAGE_SHIFT);
}

/* Of [@iova, @iova + @size), the pages are found that are expected, and no others */
static void read_dirty(struct kunit *test, unsigned long iova, size_t size)
{
	struct bench *bench = test->priv;
	unsigned long nr;

	bitmap_zero(bench->found, PAGES);
	nr = intel_retarget_ops.read_and_clear_dirty(&bench->domain.domain,
						     iova, size,
						     &bench->scratch,
						     bench->found,
						     bit_of(iova));
	/* One that fails is enough: dirty_edges() has thousands */
	KUNIT_ASSERT_TRUE_MSG(test,
			      bitmap_equal(bench->found, bench->expected,
					   PAGES),
			      "at 0x%lx + 0x%zx: found %*pbl, not %*pbl",
			      iova, size, PAGES, bench->found, PAGES,
			      bench->expected);
	KUNIT_ASSERT_EQ(test, bitmap_weight(bench->found, PAGES), nr);
	bitmap_zero(bench->expected, PAGES);
}

/* iommufd reads dirty bits of the second level: no entry loses one */
static void dirty_tracking(struct kunit *test)
{
	struct bench *bench = test->priv;
	u64 dirty = DMA_SL_PTE_DIRTY;
	unsigned long i;

	map(test, IOVA, FROM, SZ_2M, 2);
	map(test, IOVA + SZ_2M, FROM + SZ_2M, SZ_2M, 1);
	settle(test, 2 * SZ_2M, 1);
	bench->domain.dirty_tracking = true;
	entry(test, IOVA, 2)->val |= dirty;
	entry(test, IOVA + SZ_2M, 1)->val |= dirty;
	KUNIT_EXPECT_EQ(test, 0, replace(test, IOVA, 2 * SZ_2M));
	KUNIT_EXPECT_FALSE(test, bench->scratch.shares);
	expect(test, 2 * SZ_2M, IOVA, 2 * SZ_2M);
	for (i = IOVA; i < IOVA + 2 * SZ_2M; i += SZ_4K)
		if (!(entry(test, i, 1)->val & dirty) != (i > IOVA + SZ_2M))
			break;
	KUNIT_EXPECT_EQ(test, i, IOVA + 2 * SZ_2M);
}

/* What the driver mapped is clean afterwards, but for what others mapped */
static void track_clears(struct kunit *test)
{
	struct bench *bench = test->priv;
	unsigned long iova = IOVA + 5 * SZ_4K, i;
	size_t size = SZ_4M + 3 * SZ_4K;

	map(test, IOVA, FROM, SZ_2M, 1);
	map(test, IOVA + SZ_2M, FROM + SZ_2M, SZ_2M, 2);
	map(test, IOVA + SZ_4M, FROM + SZ_4M, SZ_2M, 1);
	bench->scratch.track = true;
	settle_at(test, iova, size, 1);
	for (i = IOVA; i < IOVA + SZ_4M + SZ_2M; i += SZ_4K)
		if (written(test, i, 1) !=
		    (i >= iova && i < iova + size ? 0 : WRITTEN))
			break;
	KUNIT_EXPECT_EQ(test, i, IOVA + SZ_4M + SZ_2M);
	expect(test, SZ_4M + SZ_2M, 0, 0);
	read_dirty(test, iova, size);
	KUNIT_EXPECT_EQ(test, SZ_2M, bench->scratch.leaf_size);
}

/* Entries of 1 GiB would tell too little */
static void track_splits_1g(struct kunit *test)
{
	struct bench *bench = test->priv;
	unsigned long i, iova = IOVA + 2 * SZ_2M;

	map(test, IOVA, FROM, SZ_1G, 3);
	track(test, SZ_1G, 512);
	KUNIT_EXPECT_EQ(test, SZ_2M, bench->scratch.leaf_size);
	KUNIT_EXPECT_NULL(test, bench->scratch.shared[1]);
	for (i = IOVA; i < IOVA + SZ_1G; i += SZ_2M)
		if (!dma_pte_superpage(entry(test, i, 2)) ||
		    written(test, i, 2))
			break;
	KUNIT_EXPECT_EQ(test, i, IOVA + SZ_1G);
	expect(test, SZ_1G, 0, 0);

	write(test, iova);
	/* All but the first page and the last are parts of whole entries */
	KUNIT_EXPECT_EQ(test, 0, replace(test, IOVA + SZ_4K,
					 SZ_1G - 2 * SZ_4K));
	KUNIT_EXPECT_EQ(test, 510, left(test));
	expect(test, SZ_1G, IOVA + SZ_4K, SZ_1G - 2 * SZ_4K);
	expect_dirty(test, iova, SZ_2M);
	read_dirty(test, IOVA, 3 * SZ_2M);
}

/* A table of small entries between large ones knows what was written, and stays */
static void track_keeps_tables(struct kunit *test)
{
	struct bench *bench = test->priv;
	unsigned long iova = IOVA + SZ_2M + 7 * SZ_4K;

	map(test, IOVA, FROM, SZ_2M, 2);
	map(test, IOVA + SZ_2M, FROM + SZ_2M, SZ_2M, 1);
	map(test, IOVA + SZ_4M, FROM + SZ_4M, SZ_2M, 2);
	track(test, 3 * SZ_2M, 2);
	write(test, iova);
	KUNIT_EXPECT_EQ(test, 0, replace(test, IOVA, 3 * SZ_2M));
	KUNIT_EXPECT_TRUE(test, list_empty(&bench->scratch.replaced));
	expect(test, 3 * SZ_2M, IOVA, 3 * SZ_2M);
	expect_dirty(test, iova, SZ_4K);
	read_dirty(test, IOVA, 3 * SZ_2M);
}

/* Devices may have written before: what is dirty stays so */
static void track_live(struct kunit *test)
{
	struct bench *bench = test->priv;

	map(test, IOVA, FROM, SZ_2M, 1);
	map(test, IOVA + SZ_2M, FROM + SZ_2M, SZ_2M, 2);
	bench->scratch.live = true;
	track(test, 2 * SZ_2M, 1);
	expect_dirty(test, IOVA, 2 * SZ_2M);
	read_dirty(test, IOVA, 2 * SZ_2M);
	read_dirty(test, IOVA, 2 * SZ_2M);
}

static void dirty_small(struct kunit *test)
{
	static const int dirty[] = { 0, 1, 7, 8, 63, 496, 511, 512, 1023 };
	u64 clean = leaf(test) & ~WRITTEN;
	unsigned long iova;
	int i;

	map(test, IOVA, FROM, SZ_4M, 1);
	track(test, SZ_4M, 0);
	read_dirty(test, IOVA, SZ_4M);
	for (i = 0; i < ARRAY_SIZE(dirty); i++) {
		iova = IOVA + dirty[i] * SZ_4K;
		write(test, iova);
		expect_dirty(test, iova, SZ_4K);
	}
	/* That a device read is of no interest */
	entry(test, IOVA + SZ_8K, 1)->val |= DMA_FL_PTE_ACCESS;
	read_dirty(test, IOVA, SZ_4M);
	for (i = 0; i < ARRAY_SIZE(dirty); i++)
		KUNIT_EXPECT_EQ(test, (FROM + dirty[i] * SZ_4K) | clean,
				entry(test, IOVA + dirty[i] * SZ_4K, 1)->val);
	expect(test, SZ_4M, 0, 0);
	read_dirty(test, IOVA, SZ_4M);

	for (iova = IOVA; iova < IOVA + SZ_4M; iova += SZ_4K)
		write(test, iova);
	expect_dirty(test, IOVA, SZ_4M);
	read_dirty(test, IOVA, SZ_4M);
	read_dirty(test, IOVA, SZ_4M);
}

/*
 * One dirty entry and all ranges near it, which begin and end at each place of a
 * cache line, and in one table or in two
 */
static void dirty_edges(struct kunit *test)
{
	unsigned long base = IOVA + SZ_2M - 16 * SZ_4K, start, end, iova;
	int first, nr, page;

	map(test, IOVA, FROM, SZ_4M, 1);
	track(test, SZ_4M, 0);
	for (first = 0; first < 9; first++)
		for (nr = 1; nr < 20; nr++)
			for (page = 0; page < 32; page++) {
				start = base + first * SZ_4K;
				end = start + nr * SZ_4K;
				iova = base + page * SZ_4K;
				write(test, iova);
				if (iova >= start && iova < end)
					expect_dirty(test, iova, SZ_4K);
				read_dirty(test, start, end - start);
				/* Found now, or still there to be found */
				if (iova < start || iova >= end)
					expect_dirty(test, iova, SZ_4K);
				read_dirty(test, IOVA, SZ_4M);
			}
}

/* A dirty large entry makes all its pages dirty, until all of them are looked at */
static void dirty_large(struct kunit *test)
{
	unsigned long iova = IOVA + SZ_2M;

	map(test, IOVA, FROM, 3 * SZ_2M, 2);
	track(test, 3 * SZ_2M, 3);
	read_dirty(test, IOVA, 3 * SZ_2M);
	write(test, iova + SZ_8K);
	/* In the middle, to the end, from the start, and behind */
	expect_dirty(test, iova + 3 * SZ_4K, 5 * SZ_4K);
	read_dirty(test, iova + 3 * SZ_4K, 5 * SZ_4K);
	expect_dirty(test, iova + SZ_4K, SZ_2M - SZ_4K);
	read_dirty(test, iova + SZ_4K, SZ_2M);
	expect_dirty(test, iova, SZ_2M - SZ_4K);
	read_dirty(test, iova - SZ_4K, SZ_2M);
	read_dirty(test, iova + SZ_2M, SZ_2M);
	KUNIT_EXPECT_EQ(test, WRITTEN, written(test, iova, 2));
	/* A part of each neighbour, one of which is dirty as well */
	write(test, IOVA);
	expect_dirty(test, iova - SZ_4K, SZ_2M + SZ_4K);
	read_dirty(test, iova - SZ_4K, SZ_2M + SZ_8K);
	KUNIT_EXPECT_EQ(test, 0, written(test, iova, 2));
	expect_dirty(test, IOVA, SZ_2M);
	read_dirty(test, IOVA, 3 * SZ_2M);
	read_dirty(test, IOVA, 3 * SZ_2M);
	expect(test, 3 * SZ_2M, 0, 0);
}

static void dirty_mixed(struct kunit *test)
{
	struct bench *bench = test->priv;

	bench->domain.iommu_coherency = false;
	map(test, IOVA, FROM, SZ_2M, 1);
	map(test, IOVA + SZ_2M, FROM + SZ_2M, SZ_2M, 2);
	map(test, IOVA + SZ_4M, FROM + SZ_4M, SZ_2M, 1);
	track(test, 3 * SZ_2M, 1);
	write(test, IOVA + SZ_2M - SZ_4K);
	write(test, IOVA + SZ_2M);
	write(test, IOVA + SZ_4M);
	expect_dirty(test, IOVA + SZ_2M - SZ_4K, SZ_2M + SZ_8K);
	read_dirty(test, IOVA + SZ_8K, 2 * SZ_2M);
	read_dirty(test, IOVA, 3 * SZ_2M);
}

/* No one knows which of the small entries a dirty large entry stands for */
static void split_hands_dirty(struct kunit *test)
{
	unsigned long i, iova = IOVA + SZ_2M;

	map(test, IOVA, FROM, SZ_4M, 2);
	track(test, SZ_4M, 2);
	write(test, iova);
	KUNIT_EXPECT_EQ(test, 0, replace(test, iova - SZ_4K, SZ_8K));
	expect(test, SZ_4M, iova - SZ_4K, SZ_8K);
	for (i = IOVA; i < IOVA + SZ_4M; i += SZ_4K)
		if (written(test, i, 1) != (i < iova ? 0 : WRITTEN))
			break;
	KUNIT_EXPECT_EQ(test, i, IOVA + SZ_4M);
	/* Now a part of the range can be made clean */
	expect_dirty(test, iova, SZ_16K);
	read_dirty(test, iova - SZ_16K, SZ_32K);
	expect_dirty(test, iova + SZ_16K, SZ_2M - SZ_16K);
	read_dirty(test, IOVA, SZ_4M);
	read_dirty(test, IOVA, SZ_4M);
	expect(test, SZ_4M, iova - SZ_4K, SZ_8K);
}

/* A table of small entries has many dirty bits: it is not exchanged as a whole */
static void small_stay_dirty(struct kunit *test)
{
	/* The first entry of a table is dirty or clean, and others differ from it */
	static const int dirty[] = { 0, 5, 300, 511, 700, 1023 };
	struct bench *bench = test->priv;
	u64 attributes = leaf(test) & ~WRITTEN, table;
	unsigned long iova;
	int i;

	map(test, IOVA, FROM, SZ_4M, 1);
	track(test, SZ_4M, 0);
	table = entry(test, IOVA, 2)->val;
	for (i = 0; i < ARRAY_SIZE(dirty); i++)
		write(test, IOVA + dirty[i] * SZ_4K);
	KUNIT_EXPECT_EQ(test, 0, replace(test, IOVA, SZ_4M - SZ_4K));
	expect(test, SZ_4M, IOVA, SZ_4M - SZ_4K);
	/* Again: what is scratch already keeps the bit, too */
	KUNIT_EXPECT_EQ(test, 0, replace(test, IOVA, SZ_4M));
	expect(test, SZ_4M, IOVA, SZ_4M);
	KUNIT_EXPECT_TRUE(test, list_empty(&bench->scratch.replaced));
	KUNIT_EXPECT_FALSE(test, bench->scratch.shares);
	KUNIT_EXPECT_EQ(test, SZ_4K, bench->scratch.leaf_size);
	KUNIT_EXPECT_EQ(test, table, entry(test, IOVA, 2)->val);

	for (i = 0; i < ARRAY_SIZE(dirty); i++) {
		iova = IOVA + dirty[i] * SZ_4K;
		KUNIT_EXPECT_EQ(test, SCRATCH | attributes | WRITTEN,
				entry(test, iova, 1)->val);
		expect_dirty(test, iova, SZ_4K);
	}
	KUNIT_EXPECT_EQ(test, SCRATCH | attributes,
			entry(test, IOVA + SZ_4K, 1)->val);
	read_dirty(test, IOVA, SZ_4M);
	read_dirty(test, IOVA, SZ_4M);
	expect(test, SZ_4M, IOVA, SZ_4M);
}

/* The pointer to the shared table takes the bit of the large entry along */
static void large_stay_dirty(struct kunit *test)
{
	struct bench *bench = test->priv;
	unsigned long iova = IOVA + SZ_2M;
	u64 shared;

	map(test, IOVA, FROM, 3 * SZ_2M, 2);
	track(test, 3 * SZ_2M, 3);
	shared = virt_to_phys(bench->scratch.shared[0]) | pointer(test);
	write(test, iova);
	KUNIT_EXPECT_EQ(test, 0, replace(test, iova, 2 * SZ_2M));
	KUNIT_EXPECT_EQ(test, shared | WRITTEN, entry(test, iova, 2)->val);
	KUNIT_EXPECT_EQ(test, shared, entry(test, iova + SZ_2M, 2)->val);
	/* Again: what is scratch already keeps the bit, too */
	KUNIT_EXPECT_EQ(test, 0, replace(test, IOVA, 3 * SZ_2M));
	KUNIT_EXPECT_EQ(test, shared | WRITTEN, entry(test, iova, 2)->val);
	expect(test, 3 * SZ_2M, IOVA, 3 * SZ_2M);
	KUNIT_EXPECT_EQ(test, 3, left(test));

	/* To the scratch page, nobody minds */
	write(test, IOVA + SZ_8K);
	expect_dirty(test, iova + SZ_4K, SZ_2M - SZ_4K);
	read_dirty(test, iova + SZ_4K, SZ_2M);
	expect_dirty(test, iova, SZ_2M);
	read_dirty(test, IOVA, 3 * SZ_2M);
	read_dirty(test, IOVA, 3 * SZ_2M);
	expect(test, 3 * SZ_2M, IOVA, 3 * SZ_2M);
	/* One that is clean may have no accessed bit either */
	KUNIT_EXPECT_EQ(test, 0, replace(test, IOVA, 3 * SZ_2M));
	KUNIT_EXPECT_TRUE(test, list_empty(&bench->scratch.replaced));

	release(test);
	KUNIT_EXPECT_EQ(test, 0, entry(test, IOVA, 2)->val);
	KUNIT_EXPECT_EQ(test, 0, entry(test, iova, 2)->val);
}

/* Without an IOMMU there is nothing that does not confirm */
static void flush(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct iommu_retarget_range range = { .start = IOVA, .last = IOVA };

	KUNIT_EXPECT_EQ(test, 0,
			intel_retarget_ops.flush(&bench->domain.domain, &range,
						 1));
}

/*
 * An IOMMU that is only memory, and confirms one flush. The register of the queue's
 * tail begins one byte before the status of descriptor WAIT: where that descriptor
 * is the last of the queue, the tail is 0x200, and its 2 is QI_DONE.
 */
#define WAIT		31
#define DOMAIN_ID	0x123
#define PASID		0x45

struct memory_iommu {
	struct intel_iommu iommu;
	struct q_inval qi;
	struct cache_tag tags[2];
	struct {
		u64 qw0, qw1;
	} queue[QI_LENGTH];
	int status[QI_LENGTH];
};

static struct memory_iommu *add_iommu(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct memory_iommu *memory;
	int i;

	BUILD_BUG_ON((WAIT + 1) << DMAR_IQ_SHIFT != QI_DONE << 8);
	memory = kunit_kzalloc(test, sizeof(*memory), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, memory);
	raw_spin_lock_init(&memory->qi.q_lock);
	memory->qi.desc = memory->queue;
	memory->qi.desc_status = memory->status;
	memory->iommu.qi = &memory->qi;
	memory->iommu.reg = (void __iomem __force *)&memory->status[WAIT] - 1 -
			    DMAR_IQT_REG;

	/* The cache of a device is none of an IOMMU */
	memory->tags[0].type = CACHE_TAG_DEVTLB;
	memory->tags[1].type = CACHE_TAG_IOTLB;
	for (i = 0; i < ARRAY_SIZE(memory->tags); i++) {
		memory->tags[i].iommu = &memory->iommu;
		memory->tags[i].domain_id = DOMAIN_ID;
		memory->tags[i].pasid = PASID;
		list_add_tail(&memory->tags[i].node, &bench->domain.cache_tags);
	}
	return memory;
}

static void flush_ranges(struct kunit *test, struct memory_iommu *memory,
			 const struct iommu_retarget_range *ranges, int n)
{
	struct bench *bench = test->priv;

	memset(memory->status, 0, sizeof(memory->status));
	memory->qi.free_cnt = QI_LENGTH;
	memory->qi.free_head = WAIT - n;
	memory->qi.free_tail = WAIT - n;
	/*
	 * Any other number of descriptors times out, as those of a device that is
	 * gone, where it would wait for ever
	 */
	spin_lock_init(&memory->iommu.device_rbtree_lock);
	writel(DMA_FSTS_ITE, memory->iommu.reg + DMAR_FSTS_REG);
	writel(1, memory->iommu.reg + DMAR_IQER_REG + 4);

	KUNIT_EXPECT_EQ(test, 0,
			intel_retarget_ops.flush(&bench->domain.domain, ranges,
						 n));
	KUNIT_EXPECT_EQ(test, WAIT + 1, memory->qi.free_head);
}

/* Descriptor @i is one for 2^@order pages at @addr, or for all if @order is -1 */
static void expect_descriptor(struct kunit *test, struct memory_iommu *memory,
			      int i, u64 addr, int order)
{
	u64 qw0 = DOMAIN_ID << 16;

	if (first_level(test))
		qw0 |= QI_EIOTLB_TYPE | (u64)memory->tags[1].pasid << 32 |
		       (order < 0 ? QI_GRAN_NONG_PASID : QI_GRAN_PSI_PASID) << 4;
	else
		qw0 |= QI_IOTLB_TYPE | QI_IOTLB_DR(1) | QI_IOTLB_DW(1) |
		       (order < 0 ? 2 : 3) << 4;
	KUNIT_EXPECT_EQ(test, qw0, memory->queue[i].qw0);
	KUNIT_EXPECT_EQ(test, order < 0 ? 0 : addr | order,
			memory->queue[i].qw1);
}

static void descriptors(struct kunit *test)
{
	static const struct iommu_retarget_range ranges[] = {
		{ IOVA + SZ_4K, IOVA + SZ_8K - 1 },
		/* Across a boundary of 2 MiB: a block of 4 MiB has both pages */
		{ IOVA + SZ_2M - SZ_4K, IOVA + SZ_2M + SZ_4K - 1 },
		{ IOVA + SZ_2M, IOVA + SZ_4M - 1 },
		/* One page more than the IOMMU can do as a block */
		{ IOVA, IOVA + SZ_4M },
	};
	struct memory_iommu *memory = add_iommu(test);
	const u64 drain = BIT_ULL(54) | BIT_ULL(55), by_page = BIT_ULL(39);
	const u64 largest = 10ULL << 48;

	memory->iommu.cap = drain | by_page | largest;
	flush_ranges(test, memory, ranges, 4);
	expect_descriptor(test, memory, WAIT - 4, IOVA + SZ_4K, 0);
	expect_descriptor(test, memory, WAIT - 3, IOVA, 10);
	expect_descriptor(test, memory, WAIT - 2, IOVA + SZ_2M, 9);
	expect_descriptor(test, memory, WAIT - 1, 0, -1);

	memory->iommu.cap = drain | largest;
	flush_ranges(test, memory, ranges, 1);
	expect_descriptor(test, memory, WAIT - 1, 0, -1);
}

/* A device that is being attached has a number of the domain, and no tag */
static void attached_without_tag(struct kunit *test)
{
	static const struct iommu_retarget_range range = { IOVA, IOVA + SZ_4K - 1 };
	struct memory_iommu *memory = add_iommu(test);
	struct bench *bench = test->priv;
	struct iommu_domain_info info = {
		.iommu = &memory->iommu,
		.did = DOMAIN_ID,
	};

	memory->iommu.cap = BIT_ULL(54) | BIT_ULL(55) | BIT_ULL(39) | 10ULL << 48;
	INIT_LIST_HEAD(&bench->domain.cache_tags);
	memory->tags[1].pasid = IOMMU_NO_PASID;
	intel_retarget_ops.claim(&bench->domain.domain);
	KUNIT_ASSERT_EQ(test, 0, xa_err(xa_store(&bench->domain.iommu_array, 0,
						 &info, GFP_KERNEL)));
	flush_ranges(test, memory, &range, 1);
	expect_descriptor(test, memory, WAIT - 1, IOVA, 0);
	xa_destroy(&bench->domain.iommu_array);
}

/* Of a cache that is not flushed, the flush is not confirmed */
static void unexpected_cache(struct kunit *test)
{
	struct iommu_retarget_range range = { IOVA, IOVA + SZ_4K - 1 };
	struct memory_iommu *memory = add_iommu(test);
	struct bench *bench = test->priv;

	list_del(&memory->tags[1].node);
	intel_retarget_ops.claim(&bench->domain.domain);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
			intel_retarget_ops.flush(&bench->domain.domain, &range,
						 1));
}

/* Nor are devices asked that are attached to a domain nested on this one */
static void nested(struct kunit *test)
{
	struct bench *bench = test->priv;

	KUNIT_EXPECT_EQ(test, DAX_RETARGET_REFUSAL_NONE,
			intel_retarget_ops.refusal(&bench->domain.domain, NULL));
	bench->domain.nested_parent = true;
	KUNIT_EXPECT_EQ(test, DAX_RETARGET_REFUSAL_NESTED,
			intel_retarget_ops.refusal(&bench->domain.domain, NULL));
}

#define CASE(level, test) {						\
		.name = level "_" #test,				\
		.run_case = test,					\
		.module_name = KBUILD_MODNAME,				\
	}
#define FIRST_LEVEL(test)	CASE("first_level", test)
#define SECOND_LEVEL(test)	CASE("second_level", test)

static struct kunit_case cases[] = {
	SECOND_LEVEL(small_entries),
	SECOND_LEVEL(whole_tables),
	SECOND_LEVEL(attributes_differ),
	SECOND_LEVEL(split_2m),
	SECOND_LEVEL(whole_2m),
	SECOND_LEVEL(split_1g),
	SECOND_LEVEL(whole_1g),
	SECOND_LEVEL(mixed_entries),
	SECOND_LEVEL(no_table_left),
	SECOND_LEVEL(leads_elsewhere),
	SECOND_LEVEL(not_mapped),
	SECOND_LEVEL(without_coherency),
	SECOND_LEVEL(tracks_writes),
	SECOND_LEVEL(dirty_tracking),
	SECOND_LEVEL(flush),
	SECOND_LEVEL(descriptors),
	SECOND_LEVEL(attached_without_tag),
	SECOND_LEVEL(unexpected_cache),
	SECOND_LEVEL(nested),
	FIRST_LEVEL(small_entries),
	FIRST_LEVEL(whole_tables),
	FIRST_LEVEL(attributes_differ),
	FIRST_LEVEL(split_2m),
	FIRST_LEVEL(whole_2m),
	FIRST_LEVEL(split_1g),
	FIRST_LEVEL(whole_1g),
	FIRST_LEVEL(mixed_entries),
	FIRST_LEVEL(no_table_left),
	FIRST_LEVEL(leads_elsewhere),
	FIRST_LEVEL(not_mapped),
	FIRST_LEVEL(without_coherency),
	FIRST_LEVEL(tracks_writes),
	FIRST_LEVEL(track_clears),
	FIRST_LEVEL(track_splits_1g),
	FIRST_LEVEL(track_keeps_tables),
	FIRST_LEVEL(track_live),
	FIRST_LEVEL(dirty_small),
	FIRST_LEVEL(dirty_edges),
	FIRST_LEVEL(dirty_large),
	FIRST_LEVEL(dirty_mixed),
	FIRST_LEVEL(split_hands_dirty),
	FIRST_LEVEL(small_stay_dirty),
	FIRST_LEVEL(large_stay_dirty),
	FIRST_LEVEL(flush),
	FIRST_LEVEL(descriptors),
	FIRST_LEVEL(attached_without_tag),
	{}
};

static struct kunit_suite suite = {
	.name = "intel_iommu_retarget",
	.init = bench_init,
	.exit = bench_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
