// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: KUnit tests of the registry of pins and of the hooks
 *
 * All parts of a pin but the IOMMU are the real ones. The domain keeps a table
 * of frames, which the tests read, and counts flushes. The file is an inode
 * without a file system.
 */

#include <kunit/device.h>
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/bitmap.h>
#include <linux/dax_retarget.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/scatterlist.h>

#include "internal.h"

#define NR	64UL	/* pages of a pin */
#define IOVA	0x40000000UL
#define DOMAINS	(RETARGET_DOMAINS + 1)

/* What the device of a domain reaches, and the number of flushes */
struct fake_domain {
	struct iommu_domain domain;
	struct kunit *test;
	struct device *dev;
	phys_addr_t iova;
	phys_addr_t table[NR];
	unsigned int flushes;
	unsigned int ranges;	/* of the last flush, with their bounds */
	unsigned long flush_start;
	unsigned long flush_last;
	bool stale;		/* replaced, and not flushed yet */
	size_t leaf_size;	/* of large entries */
	long needed;
	bool no_memory;
	bool broken;		/* no entry can be replaced */
	bool unconfirmed;	/* no flush is confirmed */
	long maps_left;		/* calls until mapping a page fails; 0: never */
	void (*on_flush)(struct kunit *test);
};

static struct fake_domain *to_fake(struct iommu_domain *domain)
{
	return container_of(domain, struct fake_domain, domain);
}

static enum dax_retarget_refusal fake_refusal(struct iommu_domain *domain,
					      struct device *dev)
{
	return DAX_RETARGET_REFUSAL_NONE;
}

static void fake_claim(struct iommu_domain *domain)
{
}

static void fake_visit_devices(struct iommu_domain *domain,
			       iommu_retarget_device_fn fn, void *arg)
{
	fn(to_fake(domain)->dev, arg);
}

static int fake_reserve(struct iommu_domain *domain, size_t size,
			struct iommu_retarget_scratch *scratch)
{
	return to_fake(domain)->no_memory ? -ENOMEM : 0;
}

static void fake_settle(struct iommu_domain *domain, unsigned long iova,
			size_t size, struct iommu_retarget_scratch *scratch)
{
	scratch->leaf_size = to_fake(domain)->leaf_size ?: PAGE_SIZE;
	scratch->nr_tables = to_fake(domain)->needed;
}

static int fake_replace(struct iommu_domain *domain, unsigned long iova,
			phys_addr_t old, size_t size,
			struct iommu_retarget_scratch *scratch)
{
	struct fake_domain *fake = to_fake(domain);
	unsigned long i = (iova - fake->iova) >> PAGE_SHIFT;
	unsigned long end = i + (size >> PAGE_SHIFT);

	KUNIT_ASSERT_LE(fake->test, end, NR);
	if (fake->broken)
		return -EIO;
	for (; i < end; i++, old += PAGE_SIZE) {
		if (fake->table[i] != scratch->phys)
			KUNIT_EXPECT_EQ(fake->test, fake->table[i], old);
		fake->table[i] = scratch->phys;
	}
	fake->stale = true;
	return 0;
}

static int fake_flush(struct iommu_domain *domain,
		      const struct iommu_retarget_range *range, unsigned int nr)
{
	struct fake_domain *fake = to_fake(domain);
	unsigned int i;

	fake->flushes++;
	fake->ranges = nr;
	fake->flush_start = ULONG_MAX;
	fake->flush_last = 0;
	for (i = 0; i < nr; i++) {
		fake->flush_start = min(fake->flush_start, range[i].start);
		fake->flush_last = max(fake->flush_last, range[i].last);
	}
	fake->stale = false;
	if (fake->on_flush)
		fake->on_flush(fake->test);
	return fake->unconfirmed ? -EIO : 0;
}

static bool fake_release(struct iommu_domain *domain, unsigned long iova,
			 size_t size, struct iommu_retarget_scratch *scratch)
{
	return false;
}

static const struct iommu_retarget_ops fake_retarget_ops = {
	.refusal	= fake_refusal,
	.claim		= fake_claim,
	.for_each_device = fake_visit_devices,
	.reserve	= fake_reserve,
	.settle		= fake_settle,
	.replace	= fake_replace,
	.flush		= fake_flush,
	.release	= fake_release,
};

static phys_addr_t *fake_entry(struct iommu_domain *domain, unsigned long iova)
{
	struct fake_domain *fake = to_fake(domain);

	KUNIT_ASSERT_GE(fake->test, iova, fake->iova);
	KUNIT_ASSERT_LT(fake->test, iova, fake->iova + (NR << PAGE_SHIFT));
	return &fake->table[(iova - fake->iova) >> PAGE_SHIFT];
}

static int fake_map_pages(struct iommu_domain *domain, unsigned long iova,
			  phys_addr_t paddr, size_t pgsize, size_t pgcount,
			  int prot, gfp_t gfp, size_t *mapped)
{
	struct fake_domain *fake = to_fake(domain);

	for (; pgcount; pgcount--) {
		if (fake->maps_left && !--fake->maps_left)
			return -ENOMEM;
		KUNIT_EXPECT_EQ(fake->test, 0, *fake_entry(domain, iova));
		*fake_entry(domain, iova) = paddr;
		iova += pgsize;
		paddr += pgsize;
		*mapped += pgsize;
	}
	return 0;
}

static size_t fake_unmap_pages(struct iommu_domain *domain, unsigned long iova,
			       size_t pgsize, size_t pgcount,
			       struct iommu_iotlb_gather *gather)
{
	size_t i;

	for (i = 0; i < pgcount; i++) {
		KUNIT_EXPECT_NE(to_fake(domain)->test, 0,
				*fake_entry(domain, iova));
		*fake_entry(domain, iova) = 0;
		iova += pgsize;
	}
	return pgcount * pgsize;
}

static phys_addr_t fake_iova_to_phys(struct iommu_domain *domain,
				     dma_addr_t iova)
{
	return *fake_entry(domain, iova);
}

static const struct iommu_domain_ops fake_ops = {
	.map_pages	= fake_map_pages,
	.unmap_pages	= fake_unmap_pages,
	.iova_to_phys	= fake_iova_to_phys,
	.retarget	= &fake_retarget_ops,
};

struct bench {
	struct kunit *test;
	struct device *dev;
	struct device_dma_parameters dma_parms;
	struct super_block sb;
	struct inode inode;
	struct fake_domain domain[DOMAINS];
	struct page *memory;	/* the file's blocks, NR of them in one piece */
	struct page *pages[NR];
};

/* A pin and its scatterlist */
struct region {
	struct dax_pin *pin;
	struct fake_domain *fake;
	struct sg_table sgt;
};

static int bench_init(struct kunit *test)
{
	struct bench *bench = kunit_kzalloc(test, sizeof(*bench), GFP_KERNEL);
	struct inode *inode;
	unsigned long i;

	KUNIT_ASSERT_NOT_NULL(test, bench);
	test->priv = bench;
	bench->test = test;
	bench->dev = kunit_device_register(test, "dax-retarget-kunit");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, bench->dev);
	bench->dev->dma_parms = &bench->dma_parms;
	dma_set_max_seg_size(bench->dev, UINT_MAX);
	bench->dev->dma_mask = &bench->dev->coherent_dma_mask;
	KUNIT_ASSERT_EQ(test, 0, dma_set_mask(bench->dev, DMA_BIT_MASK(64)));

	bench->memory = alloc_pages(GFP_KERNEL, get_order(NR << PAGE_SHIFT));
	KUNIT_ASSERT_NOT_NULL(test, bench->memory);
	for (i = 0; i < NR; i++)
		bench->pages[i] = bench->memory + i;

	inode = &bench->inode;
	inode_init_once(inode);
	spin_lock_init(&inode->i_lock);
	inode->i_sb = &bench->sb;
	bench->sb.s_time_gran = 1;
	inode->i_mapping = &inode->i_data;
	inode->i_data.host = inode;
	inode->i_ino = 4711;
	set_nlink(inode, 1);

	for (i = 0; i < DOMAINS; i++) {
		bench->domain[i].test = test;
		bench->domain[i].dev = bench->dev;
		bench->domain[i].domain.ops = &fake_ops;
		bench->domain[i].domain.type = IOMMU_DOMAIN_UNMANAGED;
		bench->domain[i].domain.pgsize_bitmap = PAGE_SIZE;
		bench->domain[i].iova = IOVA;
	}
	return 0;
}

static void bench_exit(struct kunit *test)
{
	struct bench *bench = test->priv;

	KUNIT_EXPECT_FALSE(test, mapping_dax_pinned(&bench->inode.i_data));
	KUNIT_EXPECT_FALSE(test, mapping_dax_written(&bench->inode.i_data));
	if (bench->memory)
		__free_pages(bench->memory, get_order(NR << PAGE_SHIFT));
}

static struct address_space *file_of(struct bench *bench)
{
	return &bench->inode.i_data;
}

static void region_begin(struct bench *bench, struct region *region,
			 unsigned int domain)
{
	region->fake = &bench->domain[domain];
	region->pin = dax_pin_alloc(bench->dev, &region->fake->domain, 0, NR,
				    false, "kunit");
	KUNIT_ASSERT_NOT_NULL(bench->test, region->pin);
	KUNIT_ASSERT_EQ(bench->test, 0, dax_pin_prepare(region->pin));
}

/* As region_add(), with the frames from number @frame on */
static struct dax_pin_range *region_add_at(struct bench *bench,
					   struct region *region, pgoff_t pgoff,
					   unsigned long nr,
					   unsigned long first,
					   unsigned long frame)
{
	struct dax_pinned_file *file = dax_pinned_file_make(file_of(bench));
	struct dax_pin_range *range;

	KUNIT_ASSERT_NOT_NULL(bench->test, file);
	range = dax_pin_add_range(region->pin, file, pgoff, nr, first, false);
	dax_pinned_file_put(file);
	KUNIT_ASSERT_NOT_NULL(bench->test, range);
	KUNIT_ASSERT_EQ(bench->test, 0, dax_pin_prepare(region->pin));
	retarget_region_add_frames(&region->pin->region, first,
				   page_to_pfn(bench->pages[frame]), nr, false);
	return range;
}

/* Pages of the file become pages [@first, @first + @nr) of the region */
static struct dax_pin_range *region_add(struct bench *bench,
					struct region *region, pgoff_t pgoff,
					unsigned long nr, unsigned long first)
{
	return region_add_at(bench, region, pgoff, nr, first, pgoff);
}

static int region_map(struct bench *bench, struct region *region)
{
	unsigned long i;
	int ret;

	ret = sg_alloc_table(&region->sgt, 1, GFP_KERNEL);
	KUNIT_ASSERT_EQ(bench->test, 0, ret);
	sg_set_page(region->sgt.sgl, bench->memory, NR << PAGE_SHIFT, 0);
	region->fake->iova = page_to_phys(bench->memory);
	for (i = 0; i < NR; i++)
		region->fake->table[i] = page_to_phys(bench->pages[i]);
	return dax_pin_map_sgtable(region->pin, &region->sgt, 0);
}

static void region_end(struct region *region)
{
	dax_pin_end(region->pin);
	dax_pin_put(region->pin);
	sg_free_table(&region->sgt);
}

/* A live region of the whole file */
static void region_make(struct bench *bench, struct region *region,
			unsigned int domain)
{
	region_begin(bench, region, domain);
	region_add(bench, region, 0, NR, 0);
	KUNIT_ASSERT_EQ(bench->test, 0, region_map(bench, region));
}

static unsigned long truncate(struct bench *bench, pgoff_t first, pgoff_t last)
{
	return dax_pinned_file_take(file_of(bench), first, last, false,
				    DAX_RETARGET_REASON_TRUNCATE);
}

/* As truncate(), where the blocks stay in a file */
static unsigned long move(struct bench *bench, pgoff_t first, pgoff_t last)
{
	return dax_pinned_file_take(file_of(bench), first, last, true,
				    DAX_RETARGET_REASON_TRUNCATE);
}

static bool reaches(struct bench *bench, pgoff_t pgoff)
{
	return dax_pinned_file_reaches(file_of(bench), pgoff, pgoff);
}

/* Pages [@first, @last] lead to scratch, and all others to the file? */
static void expect_lost(struct bench *bench, struct region *region,
			unsigned long first, unsigned long last)
{
	phys_addr_t scratch = page_to_phys(region->pin->region.page);
	unsigned long i;

	for (i = 0; i < NR; i++)
		KUNIT_EXPECT_EQ_MSG(bench->test, region->fake->table[i],
				    i >= first && i <= last ? scratch :
				    page_to_phys(bench->pages[i]),
				    "page %lu", i);
	KUNIT_EXPECT_FALSE(bench->test, region->fake->stale);
}

static void parameter(struct kunit *test)
{
	static const char * const nonsense[] = {
		"", "On", "on ", "onn", "1", "yes", "off,on", "nonsense",
	};
	bool on, revokes;
	int i;

	KUNIT_EXPECT_TRUE(test, dax_retarget_parse_mode("on", &on, &revokes));
	KUNIT_EXPECT_TRUE(test, on && !revokes);
	KUNIT_EXPECT_TRUE(test, dax_retarget_parse_mode("revoke", &on, &revokes));
	KUNIT_EXPECT_TRUE(test, on && revokes);
	KUNIT_EXPECT_TRUE(test, dax_retarget_parse_mode("off", &on, &revokes));
	KUNIT_EXPECT_FALSE(test, on || revokes);
	for (i = 0; i < ARRAY_SIZE(nonsense); i++) {
		on = true;
		KUNIT_EXPECT_FALSE_MSG(test,
				       dax_retarget_parse_mode(nonsense[i],
							       &on, &revokes),
				       "\"%s\"", nonsense[i]);
		KUNIT_EXPECT_FALSE(test, on || revokes);
	}
}

/* Where the CPU moves the data, there is no device that does DMA */
static void no_device(struct kunit *test)
{
	struct dax_pin_request request = {
		.nr_pages = 1,
		.consumer = "kunit",
	};

	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, dax_pin_create(&request));
	KUNIT_EXPECT_NULL(test, request.pin);
}

/*
 * Every function for consumers takes NULL: a region without pages of DAX files
 */
static void no_pin(struct kunit *test)
{
	KUNIT_EXPECT_FALSE(test, dax_pin_owns_page(NULL, 0));
	KUNIT_EXPECT_NULL(test, dax_pin_complete(NULL));
	dax_pin_end(NULL);
	dax_pin_put(NULL);
}

/* A pin without a page is freed once its region is complete */
static void no_page(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region = {};

	region_begin(bench, &region, 0);
	KUNIT_EXPECT_NULL(test, dax_pin_complete(region.pin));

	region_begin(bench, &region, 0);
	region_add(bench, &region, 0, 1, 0);
	KUNIT_EXPECT_PTR_EQ(test, region.pin, dax_pin_complete(region.pin));
	region_end(&region);
}

static unsigned long count_ranges(struct dax_pin *pin)
{
	struct dax_pin_range *range;
	unsigned long nr = 0;

	for (range = pin->newest; range; range = range->older) {
		KUNIT_EXPECT_PTR_EQ(kunit_get_current_test(), range,
				    xa_load(&pin->ranges, range->first));
		nr++;
	}
	return nr;
}

static void index_of_ranges(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region = {};
	struct dax_pin *pin;

	region_begin(bench, &region, 0);
	pin = region.pin;
	region_add(bench, &region, 0, 8, 0);
	KUNIT_EXPECT_TRUE(test, mapping_dax_pinned(file_of(bench)));
	/*
	 * The second range begins where the first ends: they become one range
	 */
	region_add(bench, &region, 8, 8, 8);
	KUNIT_EXPECT_EQ(test, 1, count_ranges(pin));
	/* In the file, but not in the region; then in the region only */
	region_add(bench, &region, 16, 8, 32);
	region_add(bench, &region, 40, 8, 40);
	KUNIT_EXPECT_EQ(test, 3, count_ranges(pin));

	KUNIT_EXPECT_EQ(test, 0, truncate(bench, 24, 39));
	KUNIT_EXPECT_EQ(test, 0, truncate(bench, 48, ULONG_MAX));
	KUNIT_EXPECT_EQ(test, 4, truncate(bench, 14, 17));
	KUNIT_EXPECT_EQ(test, 14, find_first_bit(pin->region.retargeted, NR));
	KUNIT_EXPECT_EQ(test, 16, find_next_zero_bit(pin->region.retargeted, NR, 14));
	KUNIT_EXPECT_EQ(test, 32, find_next_bit(pin->region.retargeted, NR, 16));
	KUNIT_EXPECT_EQ(test, 34, find_next_zero_bit(pin->region.retargeted, NR, 32));
	KUNIT_EXPECT_EQ(test, 28, truncate(bench, 0, ULONG_MAX));
	KUNIT_EXPECT_EQ(test, 32, pin->region.nr_retargeted);
	region_end(&region);
}

static void extents_of_frames(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region = {};
	struct dax_pin *pin;
	unsigned long i;

	region_begin(bench, &region, 0);
	pin = region.pin;
	KUNIT_EXPECT_FALSE(test, dax_pin_owns_page(pin, 0));
	/* Frames 8-15 at 0, 16-23 at 8: one extent; 0-7 at 16; 40-47 at 32 */
	region_add(bench, &region, 8, 8, 0);
	region_add(bench, &region, 16, 8, 8);
	region_add(bench, &region, 0, 8, 16);
	region_add(bench, &region, 40, 8, 32);
	KUNIT_EXPECT_EQ(test, 3, pin->region.nr_extents);
	KUNIT_EXPECT_EQ(test, 32, pin->region.nr_pinned);
	for (i = 0; i < NR; i++) {
		bool owned = i < 24 || (i >= 32 && i < 40);

		KUNIT_EXPECT_EQ_MSG(test, owned, dax_pin_owns_page(pin, i),
				    "page %lu", i);
		KUNIT_EXPECT_EQ_MSG(test, retarget_region_find(&pin->region, i) -
				    pin->region.extents,
				    i < 16 ? 0 : i < 24 ? 1 : i < 40 ? 2 : 3,
				    "page %lu", i);
	}
	/* More extents than were allocated at first */
	for (i = 42; i < NR; i += 2)
		region_add(bench, &region, i, 1, i);
	KUNIT_EXPECT_EQ(test, 14, pin->region.nr_extents);
	KUNIT_EXPECT_EQ(test, 24, pin->region.extents[1].first + pin->region.extents[1].nr);
	region_end(&region);
}

static void trim(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region = {};
	struct dax_pin_range *range;
	struct dax_pin *pin;

	region_begin(bench, &region, 0);
	pin = region.pin;
	range = region_add(bench, &region, 0, 16, 0);
	KUNIT_EXPECT_EQ(test, 4, truncate(bench, 6, 9));
	dax_pin_trim_range(pin, 0);
	KUNIT_EXPECT_EQ(test, 15, range->node.last);
	/*
	 * Marks on pages that were given up are cleared before the next attempt
	 */
	dax_pin_trim_range(pin, 8);
	KUNIT_EXPECT_EQ(test, 7, range->node.last);
	KUNIT_EXPECT_EQ(test, 2, pin->region.nr_retargeted);
	KUNIT_EXPECT_EQ(test, 2, bitmap_weight(pin->region.retargeted, NR));
	KUNIT_EXPECT_EQ(test, 0, truncate(bench, 8, 15));
	dax_pin_trim_range(pin, 8);
	KUNIT_EXPECT_EQ(test, 0, count_ranges(pin));
	KUNIT_EXPECT_EQ(test, 0, pin->region.nr_retargeted);
	KUNIT_EXPECT_FALSE(test, mapping_dax_pinned(file_of(bench)));
	region_end(&region);
}

static void hook_before_map(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region = {};

	region_begin(bench, &region, 0);
	region_add(bench, &region, 0, NR, 0);
	KUNIT_EXPECT_EQ(test, 3, truncate(bench, 5, 7));
	KUNIT_EXPECT_EQ(test, 0, region.fake->flushes);
	KUNIT_EXPECT_FALSE(test, reaches(bench, 6));
	KUNIT_EXPECT_TRUE(test, reaches(bench, 8));

	/*
	 * A marked page is mapped as scratch, and the IOTLB holds the scratch
	 * page
	 */
	KUNIT_ASSERT_EQ(test, 0, region_map(bench, &region));
	expect_lost(bench, &region, 5, 7);
	KUNIT_EXPECT_EQ(test, 1, region.fake->flushes);
	region_end(&region);
}

static void hook_on_live_pin(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region = {};
	struct dax_pinned_file *file;
	phys_addr_t iova;

	region_make(bench, &region, 0);
	KUNIT_EXPECT_EQ(test, 0, region.fake->flushes);
	expect_lost(bench, &region, NR, NR);

	KUNIT_EXPECT_EQ(test, 10, truncate(bench, 10, 19));
	expect_lost(bench, &region, 10, 19);
	KUNIT_EXPECT_EQ(test, 1, region.fake->flushes);
	iova = region.fake->iova + (10 << PAGE_SHIFT);
	KUNIT_EXPECT_LE(test, region.fake->flush_start, iova);
	KUNIT_EXPECT_GE(test, region.fake->flush_last,
			iova + (10 << PAGE_SHIFT) - 1);

	/* Over pages that are lost: the rest is replaced, and all is flushed */
	KUNIT_EXPECT_EQ(test, 10, truncate(bench, 5, 24));
	expect_lost(bench, &region, 5, 24);
	KUNIT_EXPECT_EQ(test, 2, region.fake->flushes);

	/* Nothing left to replace: another hook may not have flushed yet */
	file = dax_pinned_file_get(file_of(bench));
	atomic_inc(&file->hooks);
	KUNIT_EXPECT_EQ(test, 0, truncate(bench, 10, 19));
	KUNIT_EXPECT_EQ(test, 3, region.fake->flushes);
	/* No other hook is at work */
	atomic_dec(&file->hooks);
	dax_pinned_file_put(file);
	KUNIT_EXPECT_EQ(test, 0, truncate(bench, 10, 19));
	KUNIT_EXPECT_EQ(test, 3, region.fake->flushes);
	KUNIT_EXPECT_FALSE(test, reaches(bench, 10));
	KUNIT_EXPECT_TRUE(test, reaches(bench, 25));
	region_end(&region);
}

static void count_loss(void *data)
{
	++*(int *)data;
}

/* The consumer is told once, and only while it watches */
static void loss_is_told(struct kunit *test)
{
	struct bench *bench = test->priv;
	bool revokes = dax_retarget_revokes;
	struct region one = {}, two = {};
	int first = 0, late = 0;

	dax_retarget_revokes = true;
	region_make(bench, &one, 0);
	region_make(bench, &two, 1);

	dax_pin_watch(one.pin, count_loss, &first);
	flush_work(&one.pin->loss_work);
	KUNIT_EXPECT_EQ(test, 0, first);
	truncate(bench, 10, 19);
	flush_work(&one.pin->loss_work);
	KUNIT_EXPECT_EQ(test, 1, first);
	truncate(bench, 20, 29);
	flush_work(&one.pin->loss_work);
	KUNIT_EXPECT_EQ(test, 1, first);
	KUNIT_EXPECT_TRUE(test, dax_pin_unwatch(one.pin));
	truncate(bench, 30, 31);
	KUNIT_EXPECT_FALSE(test, work_pending(&one.pin->loss_work));
	/* A worker that is late finds nobody */
	queue_work(system_unbound_wq, &one.pin->loss_work);
	flush_work(&one.pin->loss_work);
	KUNIT_EXPECT_EQ(test, 1, first);

	/* One that begins to watch after the loss */
	dax_pin_watch(two.pin, count_loss, &late);
	flush_work(&two.pin->loss_work);
	KUNIT_EXPECT_EQ(test, 1, late);
	dax_pin_unwatch(two.pin);

	region_end(&one);
	region_end(&two);
	dax_retarget_revokes = revokes;
}

/* Nobody is told where lost regions go on */
static void loss_is_not_told(struct kunit *test)
{
	struct bench *bench = test->priv;
	bool revokes = dax_retarget_revokes;
	struct region region = {};
	int told = 0;

	dax_retarget_revokes = false;
	region_make(bench, &region, 0);
	dax_pin_watch(region.pin, count_loss, &told);
	truncate(bench, 10, 19);
	flush_work(&region.pin->loss_work);
	KUNIT_EXPECT_EQ(test, 0, told);
	KUNIT_EXPECT_FALSE(test, dax_pin_unwatch(region.pin));
	region_end(&region);
	dax_retarget_revokes = revokes;
}

static void hook_on_ended_pin(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region = {};

	region_make(bench, &region, 0);
	/* The device is stopped, the pages are being written back */
	mutex_lock(&region.pin->region.mutex);
	region.pin->region.state = RETARGET_DETACHED;
	mutex_unlock(&region.pin->region.mutex);
	KUNIT_EXPECT_EQ(test, 4, truncate(bench, 0, 3));
	KUNIT_EXPECT_EQ(test, 4, bitmap_weight(region.pin->region.retargeted, NR));
	expect_lost(bench, &region, NR, NR);

	KUNIT_EXPECT_EQ(test, 0, region.fake->flushes);

	mutex_lock(&region.pin->region.mutex);
	region.pin->region.state = RETARGET_LIVE;
	mutex_unlock(&region.pin->region.mutex);
	region_end(&region);
	KUNIT_EXPECT_EQ(test, 0, truncate(bench, 0, ULONG_MAX));
}

static void flush_of_each_domain(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region[DOMAINS] = {};
	int i;

	/* One domain more than a hook gathers before it flushes */
	for (i = 0; i < DOMAINS; i++)
		region_make(bench, &region[i], i);
	KUNIT_EXPECT_EQ(test, DOMAINS, truncate(bench, 0, 0));
	for (i = 0; i < DOMAINS; i++) {
		KUNIT_EXPECT_EQ_MSG(test, 1, bench->domain[i].flushes,
				    "domain %d", i);
		expect_lost(bench, &region[i], 0, 0);
		region_end(&region[i]);
	}
}

/* Two halves of the memory in the same domain; the second is at @pgoff */
static void make_halves(struct bench *bench, struct region *one,
			struct region *two, pgoff_t pgoff)
{
	region_begin(bench, one, 0);
	region_add(bench, one, 0, NR / 2, 0);
	KUNIT_ASSERT_EQ(bench->test, 0, region_map(bench, one));
	region_begin(bench, two, 0);
	region_add_at(bench, two, pgoff, NR / 2, NR / 2, NR / 2);
	KUNIT_ASSERT_EQ(bench->test, 0, region_map(bench, two));
}

static void one_flush_for_a_domain(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region one = {}, two = {};

	make_halves(bench, &one, &two, NR / 2);
	KUNIT_EXPECT_EQ(test, NR, truncate(bench, 0, ULONG_MAX));
	KUNIT_EXPECT_EQ(test, 1, one.fake->flushes);
	KUNIT_EXPECT_LE(test, one.fake->flush_start, one.fake->iova);
	KUNIT_EXPECT_GE(test, one.fake->flush_last,
			one.fake->iova + (NR << PAGE_SHIFT) - 1);
	KUNIT_EXPECT_FALSE(test, one.fake->stale);
	region_end(&one);
	region_end(&two);
}

/* Blocks that may stay are written back after the one flush for all pins */
static void one_flush_where_blocks_stay(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region one = {}, two = {};

	make_halves(bench, &one, &two, NR / 2);
	KUNIT_EXPECT_EQ(test, NR, move(bench, 0, ULONG_MAX));
	KUNIT_EXPECT_EQ(test, 1, one.fake->flushes);
	KUNIT_EXPECT_FALSE(test, one.fake->stale);
	region_end(&one);
	region_end(&two);
}

/* A flush has a few ranges, and no hull of them all */
static void ranges_of_a_flush(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region = {};
	unsigned long i;

	region_begin(bench, &region, 0);
	/* Every 8th page of the file, and of the region */
	for (i = 0; i < NR; i += 8)
		region_add(bench, &region, i, 1, i);
	KUNIT_ASSERT_EQ(test, 0, region_map(bench, &region));
	KUNIT_EXPECT_EQ(test, 2, truncate(bench, 8, 16));
	KUNIT_EXPECT_EQ(test, 1, region.fake->flushes);
	KUNIT_EXPECT_EQ(test, 2, region.fake->ranges);
	KUNIT_EXPECT_EQ(test, NR / 8 - 2, truncate(bench, 0, ULONG_MAX));
	KUNIT_EXPECT_EQ(test, 2, region.fake->flushes);
	KUNIT_EXPECT_EQ(test, IOMMU_RETARGET_RANGES, region.fake->ranges);
	region_end(&region);
}

/* A flush of a region with large entries is rounded out to their size */
static void large_entries(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region = {};

	bench->domain[0].leaf_size = NR << PAGE_SHIFT;
	region_make(bench, &region, 0);
	KUNIT_EXPECT_EQ(test, 1, truncate(bench, 9, 9));
	KUNIT_EXPECT_EQ(test, 1, region.fake->flushes);
	KUNIT_EXPECT_GE(test, region.fake->flush_last -
			region.fake->flush_start + 1, NR << PAGE_SHIFT);
	region_end(&region);
}

static bool is_stopped(struct region *region)
{
	return retarget_region_stopped(&region->pin->region);
}

/* If the IOMMU fails, the device is stopped */
static void iommu_fails(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region = {};
	long stops = retarget_stat_read(RETARGET_STAT_STOPS);

	region_make(bench, &region, 0);
	region.fake->broken = true;
	KUNIT_EXPECT_EQ(test, 1, truncate(bench, 0, 0));
	KUNIT_EXPECT_TRUE(test, is_stopped(&region));
	KUNIT_EXPECT_EQ(test, stops + 1, retarget_stat_read(RETARGET_STAT_STOPS));
	region.pin->region.device->stopped = false;

	region.fake->broken = false;
	KUNIT_EXPECT_EQ(test, 1, truncate(bench, 1, 1));
	KUNIT_EXPECT_FALSE(test, is_stopped(&region));

	region.fake->unconfirmed = true;
	KUNIT_EXPECT_EQ(test, 1, truncate(bench, 2, 2));
	KUNIT_EXPECT_TRUE(test, is_stopped(&region));
	region.pin->region.device->stopped = false;
	region.fake->unconfirmed = false;
	region_end(&region);
}

/* The end of a pin points all pages at scratch before the pin leaves the index */
static void detach(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region = {};

	region_make(bench, &region, 0);
	KUNIT_EXPECT_EQ(test, 2, truncate(bench, 4, 5));
	KUNIT_EXPECT_TRUE(test, retarget_region_detach(&region.pin->region));
	expect_lost(bench, &region, 0, NR - 1);
	KUNIT_EXPECT_EQ(test, RETARGET_DETACHED, region.pin->region.state);
	KUNIT_EXPECT_EQ(test, 2, region.pin->region.nr_retargeted);
	KUNIT_EXPECT_NOT_NULL(test, region.pin->region.sgt);
	KUNIT_EXPECT_EQ(test, 2, region.fake->flushes);
	region_end(&region);
	/* Before the scratch page goes */
	KUNIT_EXPECT_EQ(test, 3, region.fake->flushes);
}

/* Pins and files do not make each other slow: entering and finding many */
static void many(struct kunit *test)
{
	/* A million; where each memory access is checked, a test would time out */
	const unsigned long each = IS_ENABLED(CONFIG_KASAN) ||
				   IS_ENABLED(CONFIG_KCSAN) ? 50 : 1000;
	const unsigned long files = 1000;
	struct bench *bench = test->priv;
	struct dax_pinned_file *file;
	struct dax_pin_range *range;
	struct region region = {};
	struct inode *inodes;
	unsigned long i, j;

	inodes = kvcalloc(files, sizeof(*inodes), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, inodes);
	region_begin(bench, &region, 0);
	for (i = 0; i < files; i++) {
		inode_init_once(&inodes[i]);
		spin_lock_init(&inodes[i].i_lock);
		inodes[i].i_sb = &bench->sb;
		inodes[i].i_data.host = &inodes[i];
		file = dax_pinned_file_make(&inodes[i].i_data);
		KUNIT_ASSERT_NOT_NULL(test, file);
		for (j = 0; j < each; j++) {
			range = dax_pin_add_range(region.pin, file, 2 * j, 1,
						  i * each + j, false);
			KUNIT_ASSERT_NOT_NULL(test, range);
		}
		dax_pinned_file_put(file);
		cond_resched();
	}
	KUNIT_EXPECT_EQ(test, files * each, count_ranges(region.pin));
	for (i = 0; i < files; i++)
		KUNIT_EXPECT_TRUE(test, mapping_dax_pinned(&inodes[i].i_data));
	region_end(&region);
	for (i = 0; i < files; i++)
		KUNIT_EXPECT_FALSE(test, mapping_dax_pinned(&inodes[i].i_data));
	kvfree(inodes);
}

/* Write-back goes window by window; the second pin lies across two windows */
static void windows(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region one = {}, two = {};
	unsigned long i;

	make_halves(bench, &one, &two, RETARGET_BATCH - 8);
	KUNIT_EXPECT_EQ(test, NR, move(bench, 0, ULONG_MAX));
	KUNIT_EXPECT_EQ(test, 2, one.fake->flushes);
	KUNIT_EXPECT_FALSE(test, one.fake->stale);
	for (i = 0; i < NR; i++)
		KUNIT_EXPECT_EQ_MSG(test, one.fake->table[i],
				    page_to_phys(i < NR / 2 ?
						 one.pin->region.page :
						 two.pin->region.page),
				    "page %lu", i);
	region_end(&one);
	region_end(&two);
}

static void scratch(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region one = {}, two = {};

	region_make(bench, &one, 0);
	region_make(bench, &two, 1);
	KUNIT_EXPECT_PTR_NE(test, one.pin->region.page, two.pin->region.page);
	KUNIT_EXPECT_NULL(test, memchr_inv(page_address(one.pin->region.page), 0,
					   PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 2 * NR, truncate(bench, 0, ULONG_MAX));
	expect_lost(bench, &one, 0, NR - 1);
	expect_lost(bench, &two, 0, NR - 1);
	region_end(&one);
	region_end(&two);
}

static void frames_go_away(struct kunit *test)
{
	struct bench *bench = test->priv;
	unsigned long pfn = page_to_pfn(bench->memory);
	struct region region = {};

	region_make(bench, &region, 0);
	KUNIT_EXPECT_EQ(test, 0, dax_pins_take_frames(pfn + NR, 1));
	KUNIT_EXPECT_EQ(test, 4, dax_pins_take_frames(pfn + 20, 4));
	expect_lost(bench, &region, 20, 23);
	KUNIT_EXPECT_EQ(test, NR - 24, dax_pins_take_frames(pfn + 20, NR));
	expect_lost(bench, &region, 20, NR - 1);
	region_end(&region);
}

static void memory_fails(struct kunit *test)
{
	struct bench *bench = test->priv;
	unsigned long pfn = page_to_pfn(bench->memory), first = 0;
	unsigned long last = NR - 1;
	struct region region = {};
	struct retarget_region *pages;

	region_make(bench, &region, 0);
	pages = &region.pin->region;
	mutex_lock(&pages->mutex);
	KUNIT_EXPECT_TRUE(test, retarget_region_find_frame(pages, pfn + 9, 1,
							   &first, &last));
	KUNIT_EXPECT_EQ(test, 9, first);
	KUNIT_EXPECT_EQ(test, 9, last);
	first = 10;
	last = NR - 1;
	KUNIT_EXPECT_FALSE(test, retarget_region_find_frame(pages, pfn + 9, 1,
							    &first, &last));
	first = 0;
	KUNIT_EXPECT_FALSE(test, retarget_region_find_frame(pages, pfn + NR, 1,
							    &first, &last));
	KUNIT_EXPECT_TRUE(test, retarget_region_find_frame(pages, pfn + 3, NR,
							   &first, &last));
	KUNIT_EXPECT_EQ(test, 3, first);
	KUNIT_EXPECT_EQ(test, NR - 1, last);
	mutex_unlock(&pages->mutex);
	region_end(&region);
}

static void segment_boundary(struct kunit *test)
{
	struct bench *bench = test->priv;
	unsigned long nr;
	unsigned int max_segment;
	struct region region = {};

	dma_set_seg_boundary(bench->dev, (16 << PAGE_SHIFT) - 1);
	region_begin(bench, &region, 0);
	region_add(bench, &region, 0, NR, 0);

	nr = NR;
	max_segment = UINT_MAX;
	retarget_limit_batch(bench->dev, 0, &nr, &max_segment);
	KUNIT_EXPECT_EQ(test, 16, nr);
	KUNIT_EXPECT_EQ(test, UINT_MAX, max_segment);
	nr = NR;
	retarget_limit_batch(bench->dev, 5, &nr, &max_segment);
	KUNIT_EXPECT_EQ(test, 11, nr);
	nr = NR;
	retarget_limit_batch(bench->dev, 16, &nr, &max_segment);
	KUNIT_EXPECT_EQ(test, 1, nr);
	KUNIT_EXPECT_EQ(test, PAGE_SIZE, max_segment);

	/*
	 * A consumer that did not limit its batches is refused, and can end the
	 * pin
	 */
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, region_map(bench, &region));
	KUNIT_EXPECT_EQ(test, RETARGET_REGISTERING, region.pin->region.state);
	region_end(&region);
}

static void failed_map(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region = {};

	region_begin(bench, &region, 0);
	region_add(bench, &region, 0, NR, 0);
	region.fake->no_memory = true;
	KUNIT_EXPECT_EQ(test, -ENOMEM, region_map(bench, &region));
	sg_free_table(&region.sgt);

	/* Fewer pages mapped than the pin has: not one run of IOVAs */
	region.fake->no_memory = false;
	region.pin->region.nr_pages--;
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, region_map(bench, &region));
	region.pin->region.nr_pages++;
	KUNIT_EXPECT_EQ(test, RETARGET_REGISTERING, region.pin->region.state);
	KUNIT_EXPECT_EQ(test, 1, truncate(bench, 0, 0));
	region_end(&region);
}

static bool allow(struct dax_pin *pin, void *data)
{
	return !data || data == pin;
}

static unsigned long revoke(struct dax_revocation *revocation)
{
	revocation->allowed = allow;
	revocation->pins = 0;
	revocation->pages = 0;
	dax_pins_revoke(revocation);
	return revocation->pages;
}

static void revocation(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct dax_revocation all = { .last = ULONG_MAX }, some;
	struct region one = {}, two = {};

	region_make(bench, &one, 0);
	region_make(bench, &two, 1);

	some = all;
	some.id = one.pin->id;
	some.first = 4;
	some.last = 7;
	KUNIT_EXPECT_EQ(test, 4, revoke(&some));
	KUNIT_EXPECT_EQ(test, 1, some.pins);
	expect_lost(bench, &one, 4, 7);
	expect_lost(bench, &two, NR, NR);

	some = all;
	some.device = "no-such-device";
	KUNIT_EXPECT_EQ(test, 0, revoke(&some));
	some = all;
	some.by_ino = true;
	some.ino = bench->inode.i_ino + 1;
	KUNIT_EXPECT_EQ(test, 0, revoke(&some));
	some = all;
	some.by_dev = true;
	some.dev = MKDEV(1, 1);
	KUNIT_EXPECT_EQ(test, 0, revoke(&some));
	KUNIT_EXPECT_FALSE(test, some.matched);

	/* A pin that the caller may not revoke counts as missing */
	some = all;
	some.data = two.pin;
	KUNIT_EXPECT_EQ(test, NR, revoke(&some));
	KUNIT_EXPECT_TRUE(test, some.matched);
	expect_lost(bench, &one, 4, 7);
	expect_lost(bench, &two, 0, NR - 1);

	some = all;
	some.device = one.pin->region.device->name;
	KUNIT_EXPECT_EQ(test, NR - 4, revoke(&some));
	region_end(&one);
	region_end(&two);
}

static void accounting(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct retarget_device *device;
	struct region region = {};
	int i;

	bench->domain[0].needed = 3;
	region_make(bench, &region, 0);
	device = region.pin->region.device;
	KUNIT_EXPECT_PTR_EQ(test, device,
			    retarget_device_get(dev_name(bench->dev)));
	KUNIT_EXPECT_EQ(test, 1, atomic_long_read(&device->stat[RETARGET_STAT_PINS]));
	KUNIT_EXPECT_EQ(test, NR,
			atomic_long_read(&device->stat[RETARGET_STAT_PAGES_PINNED]));
	KUNIT_EXPECT_EQ(test, 3,
			atomic_long_read(&device->stat[RETARGET_STAT_TABLE_PAGES]));
	KUNIT_EXPECT_EQ(test, 1,
			atomic_long_read(&device->stat[RETARGET_STAT_SCRATCH_PAGES]));
	region_end(&region);
	for (i = RETARGET_STAT_PINS; i <= RETARGET_STAT_TABLE_PAGES; i++)
		KUNIT_EXPECT_EQ_MSG(test, 0, atomic_long_read(&device->stat[i]),
				    "counter %d", i);
}

static void inode_goes_first(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region = {};

	region_make(bench, &region, 0);
	KUNIT_EXPECT_EQ(test, NR, truncate(bench, 0, ULONG_MAX));
	dax_retarget_inode(&bench->inode);
	expect_lost(bench, &region, 0, NR - 1);
	KUNIT_EXPECT_FALSE(test, mapping_dax_pinned(file_of(bench)));
	KUNIT_EXPECT_EQ(test, 0, truncate(bench, 0, ULONG_MAX));
	/* The inode is gone, and the end of the pin must not touch it */
	memset(&bench->inode, 0x6b, sizeof(bench->inode));
	region_end(&region);
	memset(&bench->inode, 0, sizeof(bench->inode));
}

/* A driver left its regions behind, and the domain may be freed next */
static void device_goes_first(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region = {}, begun = {};
	unsigned int flushes;

	region_make(bench, &region, 0);
	region_begin(bench, &begun, 1);
	region_add(bench, &begun, 0, NR, 0);
	KUNIT_EXPECT_EQ(test, 0, retarget_device_leave(bench->dev->parent));
	KUNIT_EXPECT_EQ(test, RETARGET_LIVE, region.pin->region.state);

	KUNIT_EXPECT_EQ(test, 1, retarget_device_leave(bench->dev));
	expect_lost(bench, &region, 0, NR - 1);
	flushes = region.fake->flushes;
	KUNIT_EXPECT_EQ(test, RETARGET_DETACHED, region.pin->region.state);
	KUNIT_EXPECT_EQ(test, RETARGET_REGISTERING, begun.pin->region.state);
	region.pin->region.dma.domain = NULL;
	KUNIT_EXPECT_EQ(test, 8 + 8, truncate(bench, 0, 7));
	KUNIT_EXPECT_EQ(test, 8, region.pin->region.nr_retargeted);
	KUNIT_EXPECT_EQ(test, flushes, region.fake->flushes);

	/* The driver may destroy the region later */
	region_end(&region);
	region_end(&begun);
}

/* A bad inode is not truncated when it goes */
static void bad_inode_goes(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region = {};

	region_make(bench, &region, 0);
	make_bad_inode(&bench->inode);
	dax_retarget_inode(&bench->inode);
	expect_lost(bench, &region, 0, NR - 1);
	KUNIT_EXPECT_FALSE(test, mapping_dax_pinned(file_of(bench)));
	region_end(&region);
	memset(&bench->inode, 0, sizeof(bench->inode));
}

/*
 * The other tests have a region that the DMA API maps. Here are domains that a consumer
 * maps pages into by itself.
 */

static void domain_region(struct bench *bench, struct region *region)
{
	region->fake = &bench->domain[0];
	region->pin = dax_pin_alloc(bench->dev, NULL, 0, NR, false, "kunit");
	KUNIT_ASSERT_NOT_NULL(bench->test, region->pin);
	KUNIT_ASSERT_EQ(bench->test, 0, dax_pin_prepare(region->pin));
	region_add(bench, region, 0, NR, 0);
}

static int domain_map(struct bench *bench, struct region *region,
		      unsigned int domain, unsigned long first, unsigned long nr)
{
	return retarget_region_map_domain(&region->pin->region,
					  &bench->domain[domain].domain,
					  IOVA + (first << PAGE_SHIFT), first,
					  nr, IOMMU_READ);
}

static void domain_unmap(struct bench *bench, struct region *region,
			 unsigned int domain, unsigned long first,
			 unsigned long nr)
{
	dax_pin_unmap_domain(region->pin, &bench->domain[domain].domain,
			     IOVA + (first << PAGE_SHIFT), nr);
}

static void domain_end(struct region *region)
{
	dax_pin_end(region->pin);
	dax_pin_put(region->pin);
}

/* In @domain, pages [@first, @last] lead to scratch, and all others to the file */
static void expect_domain(struct bench *bench, struct region *region,
			  unsigned int domain, unsigned long first,
			  unsigned long last)
{
	struct region view = {
		.pin = region->pin,
		.fake = &bench->domain[domain],
	};

	expect_lost(bench, &view, first, last);
}

static void expect_unmapped(struct bench *bench, unsigned int domain)
{
	unsigned long i;

	for (i = 0; i < NR; i++)
		KUNIT_EXPECT_EQ_MSG(bench->test, 0,
				    bench->domain[domain].table[i], "page %lu",
				    i);
}

/* Part by part: a hook finds what is mapped, and marks the rest */
static void domain_part_by_part(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region;

	domain_region(bench, &region);
	KUNIT_ASSERT_EQ(test, 0, domain_map(bench, &region, 0, 0, 16));
	KUNIT_EXPECT_EQ(test, 16, truncate(bench, 8, 23));
	KUNIT_ASSERT_EQ(test, 0, domain_map(bench, &region, 0, 16, NR - 16));
	expect_domain(bench, &region, 0, 8, 23);
	KUNIT_EXPECT_EQ(test, NR - 24, truncate(bench, 24, ULONG_MAX));
	expect_domain(bench, &region, 0, 8, NR - 1);
	domain_end(&region);
	expect_unmapped(bench, 0);
}

/* One that comes later has what the pin has then */
static void domain_comes_later(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region;

	domain_region(bench, &region);
	KUNIT_ASSERT_EQ(test, 0, domain_map(bench, &region, 0, 0, NR));
	truncate(bench, 8, 15);
	KUNIT_ASSERT_EQ(test, 0, domain_map(bench, &region, 1, 0, NR));
	expect_domain(bench, &region, 1, 8, 15);
	KUNIT_EXPECT_EQ(test, 8, move(bench, 16, 23));
	expect_domain(bench, &region, 0, 8, 23);
	expect_domain(bench, &region, 1, 8, 23);
	domain_end(&region);
	expect_unmapped(bench, 0);
	expect_unmapped(bench, 1);
}

static struct region *comes_meanwhile;

static void map_meanwhile(struct kunit *test)
{
	struct bench *bench = test->priv;

	bench->domain[0].on_flush = NULL;
	KUNIT_ASSERT_EQ(test, 0, domain_map(bench, comes_meanwhile, 1, 0, NR));
}

/* A hook that writes back lets the mutex go: the page is not marked yet */
static void domain_comes_within_a_hook(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region;

	domain_region(bench, &region);
	KUNIT_ASSERT_EQ(test, 0, domain_map(bench, &region, 0, 0, NR));
	comes_meanwhile = &region;
	bench->domain[0].on_flush = map_meanwhile;
	KUNIT_EXPECT_EQ(test, 8, move(bench, 8, 15));
	expect_domain(bench, &region, 0, 8, 15);
	expect_domain(bench, &region, 1, 8, 15);
	domain_end(&region);
}

/* The other keeps the pages, and no hook looks at the one that is gone */
static void domain_goes(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region;

	domain_region(bench, &region);
	KUNIT_ASSERT_EQ(test, 0, domain_map(bench, &region, 0, 0, NR));
	KUNIT_ASSERT_EQ(test, 0, domain_map(bench, &region, 1, 0, NR));
	truncate(bench, 0, 7);
	domain_unmap(bench, &region, 0, 0, NR);
	expect_unmapped(bench, 0);
	expect_domain(bench, &region, 1, 0, 7);
	KUNIT_EXPECT_EQ(test, 8, truncate(bench, 8, 15));
	expect_unmapped(bench, 0);
	expect_domain(bench, &region, 1, 0, 15);

	/* Without any, the pages are the pin's until it ends */
	domain_unmap(bench, &region, 1, 0, NR);
	expect_unmapped(bench, 1);
	KUNIT_EXPECT_TRUE(test, reaches(bench, 16));
	KUNIT_EXPECT_EQ(test, 8, truncate(bench, 16, 23));
	KUNIT_ASSERT_EQ(test, 0, domain_map(bench, &region, 2, 0, NR));
	expect_domain(bench, &region, 2, 0, 23);
	domain_end(&region);
}

/* Two mappings side by side stay two, and go one by one */
static void domain_has_two_mappings(struct kunit *test)
{
	struct bench *bench = test->priv;
	phys_addr_t *table = bench->domain[0].table;
	struct region region;

	domain_region(bench, &region);
	KUNIT_ASSERT_EQ(test, 0, domain_map(bench, &region, 0, 0, NR / 2));
	KUNIT_ASSERT_EQ(test, 0, domain_map(bench, &region, 0, NR / 2, NR / 2));
	domain_unmap(bench, &region, 0, NR / 2, NR / 2);
	KUNIT_EXPECT_NE(test, 0, table[NR / 2 - 1]);
	KUNIT_EXPECT_EQ(test, 0, table[NR / 2]);
	KUNIT_ASSERT_EQ(test, 0, domain_map(bench, &region, 0, NR / 2, NR / 2));
	domain_unmap(bench, &region, 0, 0, NR / 2);
	KUNIT_EXPECT_EQ(test, 0, table[NR / 2 - 1]);
	KUNIT_EXPECT_NE(test, 0, table[NR / 2]);
	domain_end(&region);
	expect_unmapped(bench, 0);
}

/* What was mapped when it failed is unmapped */
static void domain_cannot_be_mapped(struct kunit *test)
{
	struct bench *bench = test->priv;
	struct region region;
	long left;

	for (left = 1; left <= NR; left++) {
		domain_region(bench, &region);
		KUNIT_ASSERT_EQ(test, 0, domain_map(bench, &region, 1, 0, NR));
		truncate(bench, 8, 15);
		bench->domain[0].maps_left = left;
		KUNIT_EXPECT_EQ(test, -ENOMEM,
				domain_map(bench, &region, 0, 0, NR));
		domain_unmap(bench, &region, 0, 0, NR);
		expect_unmapped(bench, 0);
		expect_domain(bench, &region, 1, 8, 15);
		domain_end(&region);
	}
	bench->domain[0].maps_left = 0;
}

static struct kunit_case cases[] = {
	KUNIT_CASE(parameter),
	KUNIT_CASE(no_device),
	KUNIT_CASE(no_pin),
	KUNIT_CASE(no_page),
	KUNIT_CASE(index_of_ranges),
	KUNIT_CASE(extents_of_frames),
	KUNIT_CASE(trim),
	KUNIT_CASE(hook_before_map),
	KUNIT_CASE(hook_on_live_pin),
	KUNIT_CASE(hook_on_ended_pin),
	KUNIT_CASE(loss_is_told),
	KUNIT_CASE(loss_is_not_told),
	KUNIT_CASE(flush_of_each_domain),
	KUNIT_CASE(one_flush_for_a_domain),
	KUNIT_CASE(one_flush_where_blocks_stay),
	KUNIT_CASE(ranges_of_a_flush),
	KUNIT_CASE(large_entries),
	KUNIT_CASE(iommu_fails),
	KUNIT_CASE(detach),
	KUNIT_CASE_SLOW(many),
	KUNIT_CASE(windows),
	KUNIT_CASE(scratch),
	KUNIT_CASE(frames_go_away),
	KUNIT_CASE(memory_fails),
	KUNIT_CASE(segment_boundary),
	KUNIT_CASE(failed_map),
	KUNIT_CASE(revocation),
	KUNIT_CASE(accounting),
	KUNIT_CASE(inode_goes_first),
	KUNIT_CASE(device_goes_first),
	KUNIT_CASE(bad_inode_goes),
	KUNIT_CASE(domain_part_by_part),
	KUNIT_CASE(domain_comes_later),
	KUNIT_CASE(domain_comes_within_a_hook),
	KUNIT_CASE(domain_goes),
	KUNIT_CASE(domain_has_two_mappings),
	KUNIT_CASE(domain_cannot_be_mapped),
	{}
};

static struct kunit_suite suite = {
	.name = "dax_retarget",
	.init = bench_init,
	.exit = bench_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
