/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Regions of memory that a device reaches, and how to take pages back
 *
 * The wall between fs/dax/, which knows files, and drivers/iommu/dax_retarget/,
 * which knows devices, IOMMU domains and page frames. fs/dax/ calls
 * drivers/iommu/dax_retarget/ through this header, and never the other way
 * round.
 *
 * A page is named by its index from the start of the region. The consumer's
 * region may hold other memory as well: only the pages in the extents belong to
 * struct retarget_region. A "last" page is within its range, an "end" is behind
 * it.
 */
#ifndef _LINUX_IOMMU_RETARGET_H
#define _LINUX_IOMMU_RETARGET_H

#include <linux/atomic.h>
#include <linux/dma-direction.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/types.h>
#include <uapi/linux/dax_retarget_netlink.h>

struct device;
struct page;
struct sg_table;

/**
 * enum retarget_state - phases of a region's life, in order
 * @RETARGET_REGISTERING: the region's pages are being collected, no IOVA leads to
 *                        them; a hook marks pages
 * @RETARGET_LIVE: the device can reach the pages; a hook replaces entries
 * @RETARGET_UNMAPPED: no translation is left, what the device wrote is being
 *                     written back; a hook marks pages. A region that its
 *                     device's driver left behind stays in this phase.
 * @RETARGET_DEAD: a hook has nothing to do
 */
enum retarget_state {
	RETARGET_REGISTERING,
	RETARGET_LIVE,
	RETARGET_UNMAPPED,
	RETARGET_DEAD,
};

/* First the counters of what exists now, then the counters since boot */
enum retarget_stat {
	RETARGET_STAT_PINS,
	RETARGET_STAT_FILES,
	RETARGET_STAT_PAGES_PINNED,
	RETARGET_STAT_SCRATCH_PAGES,
	RETARGET_STAT_TABLE_PAGES,
	RETARGET_STAT_PAGES_RETARGETED,
	RETARGET_STAT_HOOKS,
	RETARGET_STAT_RETARGETS,
	RETARGET_STAT_FLUSHES,
	RETARGET_STAT_PAGES_FLUSHED,
	RETARGET_STAT_PAGES_FAILED,
	RETARGET_STAT_NR,
};

/**
 * struct retarget_stats - counters of one device
 * @next: in the list of all; never removed, as devices come back
 * @name: of the device
 * @stat: counters
 */
struct retarget_stats {
	struct retarget_stats *next;
	char *name;
	atomic_long_t stat[RETARGET_STAT_NR];
};

/**
 * struct retarget_extent - a run of contiguous page frames
 * @first: index of its first page in the region
 * @nr: number of pages
 * @pfn: first page frame number
 */
struct retarget_extent {
	unsigned long first;
	unsigned long nr;
	unsigned long pfn;
};

/**
 * struct retarget_region - pages that one device reaches
 * @mutex: taken by hooks and by the steps of the region's life; protects @state,
 *         @cached, @extents, @retargeted, their numbers, @tables, @iova, @sgt and
 *         the entries in the IOMMU. The task that registers the region sets
 *         @scratch, @retargeted and @stats before a hook can find a page.
 * @state: phase
 * @writable: may the device write?
 * @cached: do CPU caches hold back what the device writes from the medium?
 * @dev: the device, with a reference
 * @domain: the IOMMU domain of @dev; there while a driver is bound to @dev, hence
 *          while the region is live
 * @nr_pages: pages of the whole region
 * @scratch: zeroed page, of this region only, that replaces pages taken back
 * @tables: reserved page table pages
 * @nr_tables: number of elements of @tables when the region became live
 * @retargeted: a bit for each page of the region that was taken back. A bitmap
 *              and not a set of intervals, since a hook cannot allocate.
 * @extents: frames, in order of index
 * @nr_extents: used elements of @extents
 * @max_extents: allocated elements of @extents
 * @iova: IOVA of page 0, when live
 * @sgt: mapped scatterlist, when live
 * @dir: direction @sgt is mapped for
 * @attrs: DMA attributes @sgt is mapped with
 * @nr_pinned: pages in @extents
 * @nr_retargeted: bits in @retargeted
 * @stats: counters of @dev; %NULL before the first page
 */
struct retarget_region {
	struct mutex mutex;	/* taken last, see fs/dax/internal.h */
	enum retarget_state state;
	bool writable;
	bool cached;
	struct device *dev;
	struct iommu_domain *domain;
	unsigned long nr_pages;
	struct page *scratch;
	struct list_head tables;
	long nr_tables;
	unsigned long *retargeted;
	struct retarget_extent *extents;
	unsigned long nr_extents;
	unsigned long max_extents;
	dma_addr_t iova;
	struct sg_table *sgt;
	enum dma_data_direction dir;
	unsigned long attrs;
	unsigned long nr_pinned;
	unsigned long nr_retargeted;
	struct retarget_stats *stats;
};

/* A hook seldom finds regions in more domains; with more, it flushes more often */
#define RETARGET_DOMAINS	4

/**
 * struct retarget_gather - flushes that a hook has to do before it returns
 * @nr: used elements of @slot
 * @slot: the domain, the range to invalidate, and the counters of the device
 */
struct retarget_gather {
	unsigned int nr;
	struct {
		struct iommu_domain *domain;
		struct retarget_stats *stats;
		struct iommu_iotlb_gather iotlb;
	} slot[RETARGET_DOMAINS];
};

/* Pages that are written back before the locks are dropped for a moment */
#define RETARGET_BATCH	4096UL

/* Teach lockdep at once that reclaim, which may evict an inode, calls hooks */
#define retarget_lock_in_reclaim(lock)		\
do {						\
	fs_reclaim_acquire(GFP_KERNEL);		\
	might_lock(lock);			\
	fs_reclaim_release(GFP_KERNEL);		\
} while (0)

/* device.c */
enum dax_retarget_refusal retarget_device_refusal(struct device *dev,
						  struct iommu_domain *domain);

/* region.c */
void retarget_region_init(struct retarget_region *region, struct device *dev,
			  struct iommu_domain *domain, unsigned long nr_pages,
			  bool writable);
int retarget_region_prepare(struct retarget_region *region, unsigned long nr);
void retarget_region_release(struct retarget_region *region);
void retarget_region_free(struct retarget_region *region);

/* extents.c */
void retarget_region_add_frames(struct retarget_region *region,
				unsigned long first, struct page **pages,
				unsigned long nr, bool cached);
struct retarget_extent *
retarget_region_find(const struct retarget_region *region, unsigned long index);
bool retarget_region_owns(const struct retarget_region *region,
			  unsigned long index);

/**
 * for_each_retarget_extent - the extents with pages of a range, in order
 * @extent: the extent
 * @region: the region
 * @first_index: index of the first page of the range
 * @last_index: index of the last page of the range
 *
 * The ends of the first and the last extent may lie outside of the range, see
 * retarget_extent_clip().
 */
#define for_each_retarget_extent(extent, region, first_index, last_index)     \
	for ((extent) = retarget_region_find(region, first_index);	      \
	     (extent) < (region)->extents + (region)->nr_extents &&	      \
	     (extent)->first <= (last_index);				      \
	     (extent)++)

/**
 * retarget_extent_clip - the pages that an extent and a range have in common
 * @extent: an extent of for_each_retarget_extent()
 * @first: index of the first page of the range; becomes the first in common
 * @last: index of the last page of the range; becomes the last in common
 *
 * Return: page frame number of the page that is @first afterwards
 */
static inline unsigned long
retarget_extent_clip(const struct retarget_extent *extent, unsigned long *first,
		     unsigned long *last)
{
	*first = max(*first, extent->first);
	*last = min(*last, extent->first + extent->nr - 1);
	return extent->pfn + (*first - extent->first);
}

/* map.c */
void retarget_region_limit_batch(const struct retarget_region *region,
				 unsigned long index, unsigned long *nr_pages,
				 unsigned int *max_segment);
int retarget_region_map(struct retarget_region *region, struct sg_table *sgt,
			unsigned long attrs);
bool retarget_region_unmap_locked(struct retarget_region *region);
void retarget_region_unmap(struct retarget_region *region);

/* replace.c */
void retarget_gather_init(struct retarget_gather *gather);
void retarget_gather_flush(struct retarget_gather *gather);
unsigned long retarget_region_take(struct retarget_region *region,
				   unsigned long first, unsigned long last,
				   bool blocks_stay,
				   struct retarget_gather *gather);
unsigned long retarget_region_take_frames(struct retarget_region *region,
					  unsigned long first,
					  unsigned long last, unsigned long pfn,
					  unsigned long nr,
					  struct retarget_gather *gather);
void retarget_region_unmark(struct retarget_region *region, unsigned long first,
			    unsigned long last);
bool retarget_region_reaches(struct retarget_region *region,
			     unsigned long index);
bool retarget_region_reaches_frame(struct retarget_region *region,
				   unsigned long first, unsigned long last,
				   unsigned long pfn, unsigned long *index);

/* For map.c only */
void retarget_region_apply_marks(struct retarget_region *region,
				 struct retarget_gather *gather);

/* write_back.c */
unsigned long retarget_region_write_back(struct retarget_region *region,
					 unsigned long first,
					 unsigned long last);

/* stats.c */
void retarget_stat_add(enum retarget_stat stat, long value);
void retarget_region_count(struct retarget_region *region,
			   enum retarget_stat stat, long value);
struct retarget_stats *retarget_stats_get(const char *name);
const struct retarget_stats *retarget_stats_find(const char *name);

#endif /* _LINUX_IOMMU_RETARGET_H */
