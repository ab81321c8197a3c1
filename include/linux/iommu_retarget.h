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
#include <linux/device.h>
#include <linux/dma-direction.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <uapi/linux/dax_retarget_netlink.h>

struct page;
struct sg_table;

/**
 * enum retarget_state - phases of a region's life, in order
 * @RETARGET_REGISTERING: the region's pages are being collected and mapped, and
 *                        the device knows no IOVA; a hook marks pages
 * @RETARGET_LIVE: the device can reach the pages; a hook replaces entries
 * @RETARGET_DETACHED: no translation to a page in the extents is left, what the
 *                     device wrote is being written back; a hook marks pages. A
 *                     region that its device's driver left behind stays in this
 *                     phase.
 */
enum retarget_state {
	RETARGET_REGISTERING,
	RETARGET_LIVE,
	RETARGET_DETACHED,
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
	RETARGET_STAT_STOPS,
	RETARGET_STAT_NR,
};

/**
 * struct retarget_device - what is known of a device, by name
 *
 * Stays for good, as devices come back.
 *
 * @next: in the list of all
 * @name: of the device
 * @stat: counters
 * @bound: is a driver bound to the device? With @driver, @refusal, @domain_type
 *         and @tracks_writes protected by @lock
 * @driver: name of the driver
 * @refusal: why the device does not qualify
 * @domain_type: name of the type of its IOMMU domain
 * @tracks_writes: can the IOMMU tell which pages the device wrote to? False if the
 *                 device does not qualify.
 * @revokes: does a consumer of the device revoke regions that have lost pages? Set for
 *           good; read without a lock.
 * @stopped: was the device stopped, as the IOMMU failed? Until a driver is bound
 *           again. Set before the hook that met the failure returns; read without
 *           a lock.
 * @rwsem: for read by a task that maps, detaches or unmaps a region, for write
 *         when the device loses its driver, hence its domain
 * @lock: protects @regions, and what administrators are told
 * @regions: mapped regions of the device
 */
struct retarget_device {
	struct retarget_device *next;
	char *name;
	atomic_long_t stat[RETARGET_STAT_NR];
	bool bound;
	char driver[32];
	enum dax_retarget_refusal refusal;
	const char *domain_type;
	bool tracks_writes;
	bool revokes;
	bool stopped;
	struct rw_semaphore rwsem;
	spinlock_t lock;	/* taken last */
	struct list_head regions;
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
 * struct retarget_mapping - where the devices of an IOMMU domain find pages of a region
 * @link: in @mappings of the region
 * @domain: the IOMMU domain, which stays while the mapping is in the list
 * @iova: IOVA of page @first
 * @first: index of the first page
 * @end: index behind the last page that is mapped; grows while a mapping is made
 * @scratch: the region's scratch page, and the page tables that replacing entries takes
 */
struct retarget_mapping {
	struct list_head link;
	struct iommu_domain *domain;
	dma_addr_t iova;
	unsigned long first;
	unsigned long end;
	struct iommu_retarget_scratch scratch;
};

/**
 * struct retarget_region - pages that devices reach
 * @mutex: taken by hooks, for a batch of pages at a time, and by the steps of the
 *         region's life; protects @state, @cached, @extents, @retargeted, their
 *         numbers, @mappings, what these hold, and replacing entries in the IOMMU.
 *         The task that registers the region sets @page, @retargeted and @device
 *         before a hook can find a page, and @iova before the region is live;
 *         these do not change afterwards.
 * @state: phase
 * @writable: may the device write?
 * @cached: do CPU caches hold back what the device writes from the medium?
 * @dev: the device, with a reference; of several, one; %NULL if the region was mapped
 *       into a domain without devices first
 * @nr_pages: pages of the whole region
 * @page: zeroed page, of this region only, that replaces pages taken back
 * @mappings: where devices find the pages
 * @dma: the mapping of a region that the DMA API maps, as a whole. Its domain is
 *       there while a driver is bound to @dev, hence while the region is live.
 * @leaf_size: bytes that the largest entry of a mapping translates; 0 as long as
 *             nothing is mapped. Read without the mutex.
 * @retargeted: a bit for each page of the region that was taken back. A bitmap
 *              and not a set of intervals, since a hook cannot allocate.
 * @extents: frames, in order of index
 * @nr_extents: used elements of @extents
 * @max_extents: allocated elements of @extents
 * @iova: IOVA of page 0 in the first mapping, when live
 * @sgt: scatterlist mapped by the DMA API; the task that unmaps it takes it out
 *       under @mutex
 * @dir: direction @sgt is mapped for
 * @attrs: DMA attributes @sgt is mapped with
 * @nr_pinned: pages in @extents
 * @nr_retargeted: bits in @retargeted; all are between @first_retargeted and
 *                 @last_retargeted
 * @first_retargeted: see there
 * @last_retargeted: see there
 * @device: what is known of @dev; %NULL before the first page
 * @link: in @regions of @device, while the DMA API maps the region
 */
struct retarget_region {
	struct mutex mutex;	/* taken last, see fs/dax/internal.h */
	enum retarget_state state;
	bool writable;
	bool cached;
	struct device *dev;
	unsigned long nr_pages;
	struct page *page;
	struct list_head mappings;
	struct retarget_mapping dma;
	size_t leaf_size;
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
	unsigned long first_retargeted;
	unsigned long last_retargeted;
	struct retarget_device *device;
	struct list_head link;
};

/* A hook seldom finds regions of more devices; with more, it flushes more often */
#define RETARGET_DOMAINS	4

/**
 * struct retarget_gather - flushes that a hook has to do before it returns
 * @srcu: keeps the domains of the regions
 * @nr: used elements of @slot
 * @slot: a device, its domain, and the ranges to invalidate
 */
struct retarget_gather {
	int srcu;
	unsigned int nr;
	struct {
		struct iommu_domain *domain;
		struct retarget_region *region;	/* one of the device's */
		unsigned int nr;
		struct iommu_retarget_range range[IOMMU_RETARGET_RANGES];
	} slot[RETARGET_DOMAINS];
};

/* Pages that are written back before the locks are dropped for a moment */
#define RETARGET_BATCH	4096UL

/* Pages that are replaced, which takes a small part of the time of a write-back */
#define RETARGET_REPLACE_BATCH	(8 * RETARGET_BATCH)

/* Teach lockdep at once that reclaim, which may evict an inode, calls hooks */
#define retarget_lock_in_reclaim(lock)		\
do {						\
	fs_reclaim_acquire(GFP_KERNEL);		\
	might_lock(lock);			\
	fs_reclaim_release(GFP_KERNEL);		\
} while (0)

/* The name of the device that administrators know the region by */
static inline const char *
retarget_region_name(const struct retarget_region *region)
{
	return region->dev ? dev_name(region->dev) : "none";
}

/* The IOVA of page @index */
static inline dma_addr_t
retarget_mapping_iova(const struct retarget_mapping *mapping,
		      unsigned long index)
{
	return mapping->iova +
	       ((dma_addr_t)(index - mapping->first) << PAGE_SHIFT);
}

/* Has the region entries that lead to more than a page? */
static inline bool
retarget_region_has_large(const struct retarget_region *region)
{
	return READ_ONCE(region->leaf_size) > PAGE_SIZE;
}

/* device.c */
enum dax_retarget_refusal retarget_device_refusal(struct device *dev,
						  struct iommu_domain *domain);
enum dax_retarget_refusal retarget_domain_refusal(struct iommu_domain *domain,
						  struct device **dev);
struct retarget_device *retarget_device_find(const char *name);
struct retarget_device *retarget_device_get(const char *name);
struct retarget_device *retarget_device_next(struct retarget_device *device);
void retarget_device_bound(struct device *dev);
unsigned long retarget_device_leave(struct device *dev);
bool retarget_device_describe(struct retarget_device *device, char *driver,
			      enum dax_retarget_refusal *refusal,
			      const char **domain_type, bool *tracks_writes);

/* stop.c */
void retarget_domain_stop(struct iommu_domain *domain, const char *why);
static inline bool retarget_region_stopped(const struct retarget_region *region)
{
	return READ_ONCE(region->device->stopped);
}

/* region.c */
void retarget_region_init(struct retarget_region *region, struct device *dev,
			  struct iommu_domain *domain, unsigned long nr_pages,
			  bool writable);
int retarget_region_prepare(struct retarget_region *region);
void retarget_region_release(struct retarget_region *region);
void retarget_region_free(struct retarget_region *region);

/* extents.c */
void retarget_region_add_frames(struct retarget_region *region,
				unsigned long first, unsigned long pfn,
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

/* mapping.c; within drivers/iommu/dax_retarget/ only */
void retarget_mapping_init(struct retarget_mapping *mapping,
			   struct iommu_domain *domain);
void retarget_mapping_set_up(struct retarget_region *region,
			     struct retarget_mapping *mapping);
bool retarget_mapping_clip(const struct retarget_mapping *mapping,
			   unsigned long *first, unsigned long *last);
void retarget_mapping_flush(struct retarget_region *region,
			    struct retarget_mapping *mapping);
void retarget_mapping_release(struct retarget_region *region,
			      struct retarget_mapping *mapping);

/* map.c */
void retarget_limit_batch(struct device *dev, unsigned long index,
			  unsigned long *nr_pages, unsigned int *max_segment);
int retarget_region_map(struct retarget_region *region, struct sg_table *sgt,
			unsigned long attrs);
bool retarget_region_detach(struct retarget_region *region);
void retarget_region_unmap(struct retarget_region *region);

/* For device.c only: the device's rwsem is held */
void retarget_region_detach_locked(struct retarget_region *region);
void retarget_region_unmap_locked(struct retarget_region *region);

/* domain.c */
int retarget_region_map_domain(struct retarget_region *region,
			       struct iommu_domain *domain, dma_addr_t iova,
			       unsigned long first, unsigned long nr, int prot);
void retarget_region_unmap_domain(struct retarget_region *region,
				  struct iommu_domain *domain, dma_addr_t iova,
				  unsigned long nr);
void retarget_region_unmap_domains(struct retarget_region *region);
long retarget_batches_mapped(void);

/* replace.c */
void retarget_hook_begin(struct retarget_gather *gather);
void retarget_hook_flush(struct retarget_gather *gather);
void retarget_hook_end(struct retarget_gather *gather);
void retarget_hooks_wait(void);
unsigned long retarget_region_batch(const struct retarget_region *region,
				    unsigned long first, unsigned long last);
unsigned long retarget_region_replace(struct retarget_region *region,
				      unsigned long first, unsigned long last,
				      struct retarget_gather *gather);
unsigned long retarget_region_mark(struct retarget_region *region,
				   unsigned long first, unsigned long last);
void retarget_region_unmark(struct retarget_region *region, unsigned long first,
			    unsigned long last);
bool retarget_region_reaches(struct retarget_region *region,
			     unsigned long first, unsigned long last);
bool retarget_region_find_frame(struct retarget_region *region,
				unsigned long pfn, unsigned long nr,
				unsigned long *first, unsigned long *last);

/* Within drivers/iommu/dax_retarget/ only */
void retarget_gather_all(struct retarget_gather *gather,
			 struct retarget_region *region, unsigned long first,
			 unsigned long last);
void retarget_mapping_replace(struct retarget_region *region,
			      struct retarget_mapping *mapping,
			      unsigned long first, unsigned long last,
			      struct retarget_gather *gather);
unsigned long retarget_region_apply_marks(struct retarget_region *region,
					  unsigned long first,
					  unsigned long last,
					  struct retarget_gather *gather);

/* write_back.c */
unsigned long retarget_region_write_back(struct retarget_region *region,
					 unsigned long first,
					 unsigned long last,
					 unsigned long *done, unsigned long bit);
void retarget_frame_failed(unsigned long pfn);
bool retarget_frame_has_failed(unsigned long pfn);
bool retarget_frames_failed(void);

/* stats.c */
void retarget_stat_add(enum retarget_stat stat, long value);
long retarget_stat_read(enum retarget_stat stat);
void retarget_region_count(struct retarget_region *region,
			   enum retarget_stat stat, long value);

#endif /* _LINUX_IOMMU_RETARGET_H */
