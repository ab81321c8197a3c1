// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the replacement of entries of VT-d second-level page tables
 *
 * The tests work on page tables that no hardware walks: the domain has no
 * IOMMU, so a flush does nothing.
 */

#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "../iommu-pages.h"
#include "iommu.h"

#define IOVA	0x4000000000UL
#define FROM	0x200000000ULL
#define SCRATCH	0x123456000ULL
#define ATTRS	(DMA_PTE_READ | DMA_PTE_WRITE | DMA_PTE_SNP)

struct bench {
	struct dmar_domain domain;
	struct iommu_retarget_scratch scratch;
	size_t size;			/* of what was mapped */
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
	bench->domain.agaw = width_to_agaw(48);
	bench->domain.nid = NUMA_NO_NODE;
	bench->domain.iommu_coherency = true;
	spin_lock_init(&bench->domain.cache_lock);
	INIT_LIST_HEAD(&bench->domain.cache_tags);
	bench->domain.pgd = new_table(test);
	INIT_LIST_HEAD(&bench->scratch.tables);
	INIT_LIST_HEAD(&bench->scratch.replaced);
	bench->scratch.phys = SCRATCH;
	return 0;
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
				   DMA_PTE_READ | DMA_PTE_WRITE;
		table = phys_to_virt(dma_pte_addr(pte));
	}
}

static void map(struct kunit *test, unsigned long iova, phys_addr_t phys,
		size_t size, int level)
{
	u64 step = level_size(level) << VTD_PAGE_SHIFT;

	for (; size; size -= step, iova += step, phys += step)
		entry(test, iova, level)->val = phys | ATTRS |
			(level > 1 ? DMA_PTE_LARGE_PAGE : 0);
}

/* What the device reaches at @iova, if its entry has all attributes */
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
		table = phys_to_virt(dma_pte_addr(pte));
	}
	if ((pte->val & ATTRS) != ATTRS)
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
static void settle(struct kunit *test, size_t size, unsigned long expected)
{
	struct bench *bench = test->priv;

	bench->size = size;
	KUNIT_ASSERT_EQ(test, 0,
			intel_retarget_ops.reserve(&bench->domain.domain, size,
						   &bench->scratch));
	intel_retarget_ops.settle(&bench->domain.domain, IOVA, size,
				  &bench->scratch);
	KUNIT_EXPECT_EQ(test, expected, bench->scratch.nr_tables);
	KUNIT_EXPECT_EQ(test, expected, list_count_nodes(&bench->scratch.tables));
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

static void release(struct kunit *test, size_t size)
{
	struct bench *bench = test->priv;

	KUNIT_EXPECT_EQ(test, bench->scratch.shares,
			intel_retarget_ops.release(&bench->domain.domain, IOVA,
						   size, &bench->scratch));
	KUNIT_EXPECT_FALSE(test, bench->scratch.shares);
}

static void bench_exit(struct kunit *test)
{
	struct bench *bench = test->priv;
	int i;

	release(test, bench->size);
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

	release(test, 4 * SZ_2M);
	KUNIT_EXPECT_EQ(test, 0, translate(test, IOVA + SZ_2M));
	KUNIT_EXPECT_EQ(test, SCRATCH, translate(test, iova));
	KUNIT_EXPECT_EQ(test, FROM, translate(test, IOVA));
}

/* Entries with other bits than the first of their table keep them */
static void attributes_differ(struct kunit *test)
{
	map(test, IOVA, FROM, SZ_1M, 1);
	entry(test, IOVA + SZ_8K, 1)->val |= DMA_SL_PTE_DIRTY;
	settle(test, SZ_1M, 0);
	KUNIT_EXPECT_EQ(test, 0, replace(test, IOVA, SZ_1M));
	expect(test, SZ_1M, IOVA, SZ_1M);
	KUNIT_EXPECT_EQ(test, SCRATCH | ATTRS | DMA_SL_PTE_DIRTY,
			entry(test, IOVA + SZ_8K, 1)->val);
	KUNIT_EXPECT_EQ(test, SCRATCH | ATTRS,
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
	release(test, 3 * SZ_2M);
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
	release(test, 2UL * SZ_1G);
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

/* Without an IOMMU there is nothing that does not confirm */
static void flush(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct iommu_retarget_range range = { .start = IOVA, .last = IOVA };

	KUNIT_EXPECT_EQ(test, 0,
			intel_retarget_ops.flush(&bench->domain.domain, &range,
						 1));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(small_entries),
	KUNIT_CASE(whole_tables),
	KUNIT_CASE(attributes_differ),
	KUNIT_CASE(split_2m),
	KUNIT_CASE(whole_2m),
	KUNIT_CASE(split_1g),
	KUNIT_CASE(whole_1g),
	KUNIT_CASE(mixed_entries),
	KUNIT_CASE(no_table_left),
	KUNIT_CASE(leads_elsewhere),
	KUNIT_CASE(not_mapped),
	KUNIT_CASE(without_coherency),
	KUNIT_CASE(flush),
	{}
};

static struct kunit_suite suite = {
	.name = "intel_iommu_retarget",
	.init = bench_init,
	.exit = bench_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
