/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DAX retarget: what its files share among themselves and with fs/dax/
 *
 * Lock order, with the locks of the callers:
 *
 *   mmap_lock > invalidate_lock > dax_pinned_file.rwsem > dax_pin.mutex
 *     > locks of the DMA API and the IOMMU driver
 *
 * A hook may run in reclaim (eviction of an inode), so nothing is allocated
 * under rwsem, and only with memalloc_nofs under a pin's mutex.
 */
#ifndef _DAX_RETARGET_INTERNAL_H
#define _DAX_RETARGET_INTERNAL_H

#include <linux/atomic.h>
#include <linux/dax_retarget_test.h>
#include <linux/dma-direction.h>
#include <linux/interval_tree.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/uidgid.h>

#include <uapi/linux/dax_retarget_netlink.h>

/**
 * enum dax_pin_state - phases of a pin's life, in order
 * @DAX_PIN_REGISTERING: its pages are being collected, no IOVA leads to them;
 *                       a hook marks pages
 * @DAX_PIN_LIVE: the device can reach its pages; a hook replaces entries
 * @DAX_PIN_UNMAPPED: no translation is left, what the device wrote is being
 *                    written back; a hook marks pages. A pin that its device's
 *                    driver left behind stays so.
 * @DAX_PIN_DEAD: a hook has nothing to do
 */
enum dax_pin_state {
	DAX_PIN_REGISTERING,
	DAX_PIN_LIVE,
	DAX_PIN_UNMAPPED,
	DAX_PIN_DEAD,
};

/**
 * struct dax_pin_extent - a run of contiguous page frames
 * @first: index, within the pin, of its first page
 * @nr: number of pages
 * @pfn: first page frame number
 */
struct dax_pin_extent {
	unsigned long first;
	unsigned long nr;
	unsigned long pfn;
};

/**
 * struct dax_pin - what one consumer object lets one device reach
 *
 * Pages are named by their index from the start of the consumer's region, which
 * may hold other memory as well: only the pages in @extents belong to the pin.
 *
 * @mutex: taken by the hooks and by the steps of the pin's life; protects
 *         @state, @cached, @extents, @retargeted, @tables and the entries in
 *         the IOMMU
 * @state: phase
 * @writable: may the device write?
 * @cached: do CPU caches hold back what the device writes from the medium?
 * @dev: the device, with a reference
 * @domain: the IOMMU domain of @dev; there while a driver is bound to it, hence
 *          while the pin is live, see dax_pins_leave_device()
 * @start: user address of the first page, at registration
 * @nr_pages: pages of the whole region
 * @scratch: zeroed page, of this pin only, that replaces pages taken back
 * @tables: reserved page table pages
 * @nr_tables: how many there were when the pin became live
 * @retargeted: a bit for each page of the region that was taken back. A bitmap
 *              and not a set of intervals, since a hook cannot allocate.
 * @extents: frames, in order of index
 * @nr_extents: used elements of @extents
 * @max_extents: allocated elements of @extents
 * @iova: IOVA of page 0, when live
 * @sgt: mapped scatterlist, when live
 * @dir: direction @sgt is mapped for
 * @attrs: DMA attributes @sgt is mapped with
 * @ranges: struct dax_pin_range of the pin, in order of index; changed under
 *          @mutex by the task that registers or ends the pin
 * @nr_pinned: pages in @extents
 * @nr_retargeted: bits in @retargeted
 * @refs: one for the consumer and each reader of the table of pins
 * @id: number in the table of pins, or 0
 * @stats: counters of @dev
 * @consumer: name of the consumer's device
 * @cred: of the owner
 * @owner: thread group that registered the pin
 * @owner_start: when it started, in nanoseconds since boot
 * @comm: its name
 * @created: when the pin got its first page, in nanoseconds since boot
 * @revoked: last request of revocation that took pages from it; requests come
 *           one at a time
 */
struct dax_pin {
	struct mutex mutex;	/* taken last, see above */
	enum dax_pin_state state;
	bool writable;
	bool cached;
	struct device *dev;
	struct iommu_domain *domain;
	unsigned long start;
	unsigned long nr_pages;
	struct page *scratch;
	struct list_head tables;
	long nr_tables;
	unsigned long *retargeted;
	struct dax_pin_extent *extents;
	unsigned long nr_extents;
	unsigned long max_extents;
	dma_addr_t iova;
	struct sg_table *sgt;
	enum dma_data_direction dir;
	unsigned long attrs;
	struct list_head ranges;
	unsigned long nr_pinned;
	unsigned long nr_retargeted;

	/* For administrators, see owner.c */
	refcount_t refs;
	u32 id;
	struct dax_device_stats *stats;
	char *consumer;
	const struct cred *cred;
	struct pid *owner;
	u64 owner_start;
	char comm[TASK_COMM_LEN];
	u64 created;
	u64 revoked;
};

/**
 * struct dax_pin_range - contiguous pages of one file in a pin
 * @node: page offsets in the file; changed under the file's rwsem and the pin's
 *        mutex
 * @pin: the pin, which outlives its ranges
 * @file: the file, on which each range holds a reference
 * @first: index, within the pin, of the page at @node.start
 * @link: in &dax_pin.ranges
 * @pgmap: keeps the memmap of the frames until the pin is live; then %NULL
 */
struct dax_pin_range {
	struct interval_tree_node node;
	struct dax_pin *pin;
	struct dax_pinned_file *file;
	unsigned long first;
	struct list_head link;
	struct dev_pagemap *pgmap;
};

/**
 * struct dax_pinned_file - a file that has pins
 *
 * Does not keep the inode: it outlives the file where a pin does.
 *
 * @dev: block device of the file system
 * @ino: inode number
 * @rwsem: for write to change @ranges or the bounds of one; for read by a hook,
 *         from before the first replaced entry until after the flush, so that
 *         no pin, hence no domain, goes away in between. For write also to
 *         wait for such hooks, before a domain may go.
 * @ranges: struct dax_pin_range by page offset
 * @nr_writable: how many of them are of pins for writing
 * @refs: one for each range and each running hook
 * @mapping: the file's pages; %NULL once the inode is gone. Protected by the
 *           lock of the table of files.
 * @hash: in the table of files
 */
struct dax_pinned_file {
	dev_t dev;
	u64 ino;
	struct rw_semaphore rwsem;
	struct rb_root_cached ranges;
	atomic_long_t nr_writable;
	refcount_t refs;
	struct address_space *mapping;
	struct hlist_node hash;
};

/* A hook seldom meets more devices than this; with more it flushes more often */
#define RETARGET_DOMAINS	4

/**
 * struct retarget_gather - flushes that a hook owes
 * @nr: used elements of @slot
 * @slot: what to invalidate in which domain, and whom to count it for
 */
struct retarget_gather {
	unsigned int nr;
	struct {
		struct iommu_domain *domain;
		struct dax_device_stats *stats;
		struct iommu_iotlb_gather iotlb;
	} slot[RETARGET_DOMAINS];
};

/* gate.c */
bool dax_retarget_parse_mode(const char *mode, bool *on);
struct iommu_domain *dax_retarget_domain(struct device *dev);
enum dax_retarget_refusal dax_retarget_refusal(struct device *dev,
					       struct iommu_domain *domain);
void dax_pin_refused(struct dax_pin *pin, enum dax_retarget_refusal refusal);

/* owner.c */
int dax_pin_publish(struct dax_pin *pin);
void dax_pin_unpublish(struct dax_pin *pin);
struct dax_pin *dax_pin_get_next(unsigned long id);
void dax_pin_put(struct dax_pin *pin);

/**
 * struct dax_event_place - where in which file
 * @dev: block device of the file system
 * @ino: inode number
 * @offset: first byte
 * @path: a path from the root of the file system, or empty
 */
struct dax_event_place {
	dev_t dev;
	u64 ino;
	u64 offset;
	char path[128];
};

/**
 * struct dax_event - pages of a pin were taken back, or failed
 * @number: of the event, from 1
 * @lost: events before this one that were not sent
 * @time: in nanoseconds since boot
 * @reason: why
 * @count: pages taken back, or failed
 * @place: range of the file
 * @length: of the range in bytes
 * @iova: of the range, or 0
 * @pin: number of the pin
 * @stats: for the name of the device
 * @consumer: as in the pin
 * @owner: as in the pin, with a reference
 * @owner_start: as in the pin
 * @comm: as in the pin
 * @uid: effective user of the owner
 * @writable: as in the pin
 * @pages: pages in the pin
 * @retargeted: those that were taken back, this time included
 */
struct dax_event {
	u64 number;
	u64 lost;
	u64 time;
	enum dax_retarget_reason reason;
	unsigned long count;
	struct dax_event_place place;
	u64 length;
	u64 iova;
	u32 pin;
	struct dax_device_stats *stats;
	char consumer[64];
	struct pid *owner;
	u64 owner_start;
	char comm[TASK_COMM_LEN];
	kuid_t uid;
	bool writable;
	unsigned long pages;
	unsigned long retargeted;
};

/* event.c */
void dax_event(struct dax_pin *pin, unsigned long index, unsigned long nr,
	       const struct dax_event_place *where,
	       enum dax_retarget_reason reason, unsigned long count);
void dax_event_totals(u64 *all, u64 *missed);

/* netlink.c */
bool dax_event_wanted(void);
bool dax_event_send(const struct dax_event *event);

/**
 * struct dax_revocation - what an administrator wants to be taken back
 * @number: of the request
 * @allowed: may the pin be taken from? Sees pins that match all else.
 * @data: for @allowed
 * @id: of the pin, or 0
 * @device: name of the device, or %NULL
 * @owner: process, or %NULL
 * @by_dev: only of the file system on @dev
 * @by_ino: only of the file @ino
 * @dev: block device
 * @ino: inode number
 * @first: first page offset
 * @last: last page offset
 * @pins: gets the number of pins that pages were taken from
 * @pages: gets the number of pages taken back
 * @matched: gets how many ranges matched
 */
struct dax_revocation {
	u64 number;
	bool (*allowed)(struct dax_pin *pin, void *data);
	void *data;
	u32 id;
	const char *device;
	struct pid *owner;
	bool by_dev;
	bool by_ino;
	dev_t dev;
	u64 ino;
	pgoff_t first;
	pgoff_t last;
	unsigned long pins;
	unsigned long pages;
	unsigned long matched;
};

/* file.c */
struct dax_pin_range *dax_pin_add_range(struct dax_pin *pin,
					struct address_space *mapping,
					pgoff_t pgoff, unsigned long nr,
					unsigned long first);
void dax_pin_trim_range(struct dax_pin_range *range, unsigned long nr);
void dax_pin_remove_range(struct dax_pin_range *range);
unsigned long dax_retarget_file(struct address_space *mapping, pgoff_t first,
				pgoff_t last, enum dax_retarget_reason reason);
unsigned long dax_retarget_frames(unsigned long pfn, unsigned long nr);
void dax_pinned_files_sync(struct super_block *sb);
void dax_pinned_file_put(struct dax_pinned_file *file);
bool dax_pinned_file_path(struct dax_pinned_file *file, char *buf, int size,
			  const char **path);
void dax_pins_leave_device(struct device *dev);
void dax_pins_revoke(struct dax_revocation *revocation);
void dax_pinned_file_detach(struct address_space *mapping);
bool dax_pinned_file_reaches(struct address_space *mapping, pgoff_t pgoff);

/* pin.c */
struct dax_pin *dax_pin_alloc(struct device *dev, struct iommu_domain *domain,
			      unsigned long start, unsigned long nr_pages,
			      bool writable, const char *consumer);
int dax_pin_prepare(struct dax_pin *pin, unsigned long nr);
void dax_pin_add_frames(struct dax_pin *pin, unsigned long first,
			struct page **pages, unsigned long nr, bool cached);
void dax_pin_put_pgmaps(struct dax_pin *pin);
bool dax_pin_unmap_locked(struct dax_pin *pin);

/* retarget.c */
void retarget_gather_init(struct retarget_gather *gather);
void retarget_gather_flush(struct retarget_gather *gather);
unsigned long dax_pin_find_extent(struct dax_pin *pin, unsigned long index);
unsigned long dax_pin_retarget(struct dax_pin *pin, unsigned long first,
			       unsigned long last, bool stays,
			       struct retarget_gather *gather);
unsigned long dax_pin_retarget_frames(struct dax_pin *pin, unsigned long first,
				      unsigned long last, unsigned long pfn,
				      unsigned long nr,
				      struct retarget_gather *gather);
void dax_pin_apply_marks(struct dax_pin *pin, struct retarget_gather *gather);
bool dax_pin_find_failure(struct dax_pin *pin, unsigned long first,
			  unsigned long last, unsigned long pfn,
			  unsigned long *index);

/* sync.c */

/* Pages that are written back before others get their turn */
#define DAX_SYNC_BATCH	4096UL

void dax_pin_write_back(struct dax_pin *pin, unsigned long first,
			unsigned long last);
unsigned long dax_pin_write_back_locked(struct dax_pin *pin,
					unsigned long first,
					unsigned long last);

/* stats.c */

/* What exists now */
enum dax_retarget_stat {
	DAX_STAT_PINS,
	DAX_STAT_FILES,
	DAX_STAT_PAGES_PINNED,
	DAX_STAT_SCRATCH_PAGES,
	DAX_STAT_TABLE_PAGES,
	/* What happened since boot */
	DAX_STAT_PAGES_RETARGETED,
	DAX_STAT_HOOKS,
	DAX_STAT_RETARGETS,
	DAX_STAT_FLUSHES,
	DAX_STAT_PAGES_FLUSHED,
	DAX_STAT_PAGES_FAILED,
	DAX_STAT_NR,
};

/**
 * struct dax_device_stats - the same for one device
 * @next: in the list of all; never removed, as devices come back
 * @name: of the device
 * @stat: counters
 */
struct dax_device_stats {
	struct dax_device_stats *next;
	char *name;
	atomic_long_t stat[DAX_STAT_NR];
};

void dax_retarget_stat_add(enum dax_retarget_stat stat, long value);
void dax_pin_count(struct dax_pin *pin, enum dax_retarget_stat stat,
		   long value);
struct dax_device_stats *dax_device_stats(const char *name);
const struct dax_device_stats *dax_device_stats_find(const char *name);

/* Tell lockdep before it happens: reclaim that evicts an inode calls a hook */
#define lock_in_reclaim(lock)			\
do {						\
	fs_reclaim_acquire(GFP_KERNEL);		\
	might_lock(lock);			\
	fs_reclaim_release(GFP_KERNEL);		\
} while (0)

#endif /* _DAX_RETARGET_INTERNAL_H */
