/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DAX retarget: what the files of this folder share
 *
 * A pin is a region (linux/iommu_retarget.h), the ranges of files with the
 * region's pages, and an owner. The order of calls, from the top:
 *
 *   netlink_event.c, netlink.c   administration
 *   revoke.c
 *   frames.c, sync.c, bind.c     the mm, file systems, the IOMMU core
 *   hooks.c                      file systems, the mm
 *   domain.c, register.c, pin.c  consumers
 *   loss.c                       consumers that are told of losses
 *   event.c, table.c, range.c    events, the table of pins, the index
 *   file.c
 *
 * Lock order, with the locks of the callers:
 *
 *   mmap_lock > invalidate_lock > dax_pinned_file.rwsem > retarget_region.mutex
 *     > locks of the DMA API and the IOMMU driver
 *
 * retarget_device.rwsem is taken before a region's mutex, by the steps of a region's
 * life. No hook takes it.
 *
 * A hook may run in reclaim (eviction of an inode). So no code allocates under
 * the rwsem of a file or the mutex of a region.
 *
 * What a hook waits for is bounded: the rwsem is held for writing to change a tree,
 * and for reading by other hooks and syncs; the mutex is held for a batch of
 * pages. A reader of the list of pins holds neither.
 */
#ifndef _FS_DAX_INTERNAL_H
#define _FS_DAX_INTERNAL_H

#include <linux/interval_tree.h>
#include <linux/iommu_retarget.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/rhashtable-types.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <uapi/linux/dax_retarget_netlink.h>

struct address_space;
struct dax_pin_request;
struct dax_pinned_super;
struct dev_pagemap;
struct sk_buff;
struct super_block;

/**
 * struct dax_pin - what one consumer object lets devices reach
 * @region: the pages
 * @start: user address of the first page, at registration
 * @ranges: struct dax_pin_range of the pin, by index of the first page; changed by
 *          the task that registers or ends the pin
 * @newest: the range with the highest index; for that task only
 * @refs: one for the consumer and each reader of the table of pins
 * @id: number in the table of pins, or 0
 * @consumer: name of the consumer's device
 * @cred: of the owner
 * @owner: thread group that registered the pin
 * @owner_start: when it started, in nanoseconds since boot
 * @comm: its name
 * @created: when the pin got its first page, in nanoseconds since boot
 * @lost: tells the consumer that pages were lost, or %NULL; with @lost_data and
 *        @loss_told under the region's mutex
 * @lost_data: for @lost
 * @loss_told: @loss_work was queued
 * @loss_work: calls @lost
 */
struct dax_pin {
	struct retarget_region region;
	unsigned long start;
	struct xarray ranges;
	struct dax_pin_range *newest;

	/*
	 * For administrators, see table.c. What is not refs is set before the
	 * pin enters the table, and does not change afterwards.
	 */
	refcount_t refs;
	u32 id;
	char *consumer;
	const struct cred *cred;
	struct pid *owner;
	u64 owner_start;
	char comm[TASK_COMM_LEN];
	u64 created;

	void (*lost)(void *data);
	void *lost_data;
	bool loss_told;
	struct work_struct loss_work;
};

/**
 * struct dax_pin_range - contiguous pages of one file in a pin
 * @node: page offsets in the file; changed under the file's rwsem
 * @pin: the pin, which outlives its ranges
 * @file: the file, on which each range holds a reference
 * @written: a sync writes the pages back: the device may write, and CPU caches hold
 *           back what it writes
 * @first: index, within the pin, of the page at @node.start
 * @older: the pin's range before this one
 * @pgmap: keeps the memmap of the frames until the pin is live; then %NULL
 * @rcu: for readers of &dax_pin.ranges
 */
struct dax_pin_range {
	struct interval_tree_node node;
	struct dax_pin *pin;
	struct dax_pinned_file *file;
	bool written;
	unsigned long first;
	struct dax_pin_range *older;
	struct dev_pagemap *pgmap;
	struct rcu_head rcu;
};

/**
 * struct dax_pinned_file - a file that has pins
 *
 * Holds no reference to the inode. A pin may outlive the inode, and then this
 * structure outlives the inode, too.
 *
 * @dev: block device of the file system
 * @ino: inode number
 * @rwsem: for write to change the trees or the bounds of a range; for read by a
 *         hook, from before the first replaced entry until after the flush, so
 *         that no pin goes away in between
 * @written: ranges that a sync writes back, by page offset
 * @clean: all other ranges
 * @hooks: number of hooks at work, from before the first replaced entry until
 *         after the flush
 * @refs: one for each range and each running hook
 * @mapping: the file's pages, the key of the table of files; %NULL once the inode
 *           is gone. Protected by the lock of the table.
 * @node: in the table of files
 * @super: the file system; %NULL once the inode is gone
 * @number: of the file, from 1
 * @link: in the list of files of @super
 * @rcu: for readers of the table
 */
struct dax_pinned_file {
	dev_t dev;
	u64 ino;
	struct rw_semaphore rwsem;
	struct rb_root_cached written;
	struct rb_root_cached clean;
	atomic_t hooks;
	refcount_t refs;
	struct address_space *mapping;
	struct rhash_head node;
	struct dax_pinned_super *super;
	u64 number;
	struct list_head link;
	struct rcu_head rcu;
};

/* parameter.c */
bool dax_retarget_parse_mode(const char *mode, bool *on, bool *revokes);
extern bool dax_retarget_revokes;

/* file.c */
struct dax_pinned_file *dax_pinned_file_get(struct address_space *mapping);
struct dax_pinned_file *dax_pinned_file_make(struct address_space *mapping);
void dax_pinned_file_put(struct dax_pinned_file *file);
void dax_pinned_file_detach(struct address_space *mapping);
bool dax_pinned_file_path(struct dax_pinned_file *file, char *buf, int size,
			  const char **path);
void dax_pinned_files_visit(struct super_block *sb,
			    void (*visit)(struct dax_pinned_file *file,
					  void *arg),
			    void *arg);

/* loss.c */
void dax_pin_loss_init(struct dax_pin *pin);
void dax_pin_lost(struct dax_pin *pin);

/* range.c */
struct dax_pin_range *dax_pin_add_range(struct dax_pin *pin,
					struct dax_pinned_file *file,
					pgoff_t pgoff, unsigned long nr,
					unsigned long first, bool written);
void dax_pin_trim_range(struct dax_pin *pin, unsigned long nr);
void dax_pin_remove_range(struct dax_pin *pin);

/* Looks at pages [@first, @last] of a file; what it returns is added up */
typedef unsigned long (*dax_visit_part_fn)(struct dax_pinned_file *file,
					   pgoff_t first, pgoff_t last,
					   void *arg);
unsigned long dax_pinned_file_visit(struct dax_pinned_file *file, pgoff_t first,
				    pgoff_t last, bool written,
				    dax_visit_part_fn visit, void *arg);

/* Looks at pages [@first, @last] of the file of a range */
typedef void (*dax_visit_range_fn)(struct dax_pin_range *range, pgoff_t first,
				   pgoff_t last, void *arg);
void dax_pin_visit(struct dax_pin *pin, dax_visit_range_fn visit, void *arg);

static inline struct dax_pin_range *
dax_to_pin_range(struct interval_tree_node *node)
{
	return node ? container_of(node, struct dax_pin_range, node) : NULL;
}

/* The first range of a file with pages of [@first, @last]; under its rwsem */
static inline struct dax_pin_range *
dax_range_first(struct dax_pinned_file *file, pgoff_t first, pgoff_t last)
{
	return dax_to_pin_range(interval_tree_iter_first(&file->written, first,
							 last) ?:
				interval_tree_iter_first(&file->clean, first,
							 last));
}

static inline struct dax_pin_range *
dax_range_next(struct dax_pin_range *range, pgoff_t first, pgoff_t last)
{
	struct interval_tree_node *node;

	node = interval_tree_iter_next(&range->node, first, last);
	if (!node && range->written)
		node = interval_tree_iter_first(&range->file->clean, first,
						last);
	return dax_to_pin_range(node);
}

/**
 * for_each_dax_pin_range - the ranges of a file with pages of a range of it
 * @range: the range of a pin
 * @file: the file; under its rwsem
 * @first: first page offset
 * @last: last page offset
 *
 * dax_pin_range_clip() tells what @range and the range of the file have in
 * common.
 */
#define for_each_dax_pin_range(range, file, first, last)		\
	for ((range) = dax_range_first(file, first, last); (range);	\
	     (range) = dax_range_next(range, first, last))

/**
 * for_each_dax_written_range - the ranges that a sync writes back
 * @range: the range of a pin
 * @file: the file; under its rwsem
 * @first: first page offset
 * @last: last page offset
 *
 * In order of their first page offset.
 */
#define for_each_dax_written_range(range, file, first, last)		      \
	for ((range) = dax_to_pin_range(interval_tree_iter_first(	      \
					&(file)->written, first, last));      \
	     (range);							      \
	     (range) = dax_to_pin_range(interval_tree_iter_next(	      \
					&(range)->node, first, last)))

/**
 * dax_pin_range_clip - the pages that a range of a pin and one of a file share
 * @range: the range of the pin
 * @first: first page offset; becomes the index, within the pin, of the first page
 * @last: last page offset; becomes the index of the last page
 */
static inline void dax_pin_range_clip(const struct dax_pin_range *range,
				      unsigned long *first, unsigned long *last)
{
	*first = range->first +
		 (max(*first, range->node.start) - range->node.start);
	*last = range->first +
		(min(*last, range->node.last) - range->node.start);
}

/* pin.c */
struct dax_pin *dax_pin_alloc(struct device *dev, struct iommu_domain *domain,
			      unsigned long start, unsigned long nr_pages,
			      bool writable, const char *consumer);
int dax_pin_create(struct dax_pin_request *request);
void dax_pin_put_pgmaps(struct dax_pin *pin);
int dax_pin_prepare(struct dax_pin *pin);

/* table.c */
int dax_pin_publish(struct dax_pin *pin);
void dax_pin_unpublish(struct dax_pin *pin);
struct dax_pin *dax_pin_get_next(unsigned long id);

/* frames.c */
unsigned long dax_pins_take_frames(unsigned long pfn, unsigned long nr);

/**
 * struct dax_event_place - a place in a file
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
 * @overflow: those of @lost that the ring had no room for
 * @time: in nanoseconds since boot
 * @reason: why
 * @count: pages taken back, or failed
 * @place: range of the file
 * @length: of the range in bytes
 * @iova: of the range, or 0
 * @pin: number of the pin
 * @device: the device
 * @consumer: as in the pin
 * @owner: as in the pin, with a reference
 * @owner_start: as in the pin
 * @comm: as in the pin
 * @uid: effective user of the owner
 * @writable: may the device write?
 * @pages: pages in the pin
 * @retargeted: those that were taken back, this time included
 */
struct dax_event {
	u64 number;
	u64 lost;
	u64 overflow;
	u64 time;
	enum dax_retarget_reason reason;
	unsigned long count;
	struct dax_event_place place;
	u64 length;
	u64 iova;
	u32 pin;
	struct retarget_device *device;
	char consumer[64];
	struct pid *owner;
	u64 owner_start;
	char comm[TASK_COMM_LEN];
	kuid_t uid;
	bool writable;
	unsigned long pages;
	unsigned long retargeted;
};

/**
 * struct dax_event_listener - where events go
 * @wanted: do the events have a reader? Called in any context.
 * @wants_paths: and one that may see paths? Called in any context.
 * @send: send an event; may sleep. Returns false if the message was not made.
 */
struct dax_event_listener {
	bool (*wanted)(void);
	bool (*wants_paths)(void);
	bool (*send)(const struct dax_event *event);
};

/* event.c */
void dax_event_place_init(struct dax_event_place *place,
			  struct dax_pinned_file *file);
void dax_event(struct dax_pin_range *range, unsigned long first,
	       unsigned long last, struct dax_event_place *place,
	       enum dax_retarget_reason reason, unsigned long count);
void dax_event_totals(u64 *all, u64 *missed);
u64 dax_event_overflow(void);
void dax_event_listen(const struct dax_event_listener *listener);

/**
 * struct dax_hook - pages to take back
 * @file: the file
 * @range: only pages of this range of a pin; or %NULL
 * @first: first page offset
 * @last: last page offset
 * @blocks_stay: the blocks may stay in a file: write back what the device wrote.
 *               Then the pages are RETARGET_BATCH at most.
 * @reason: why
 * @place: the file, for the events
 * @taken: gets the number of pages taken back, counted once for each pin
 * @batches: retarget_batches_mapped() when the hook began
 */
struct dax_hook {
	struct dax_pinned_file *file;
	struct dax_pin_range *range;
	pgoff_t first;
	pgoff_t last;
	bool blocks_stay;
	enum dax_retarget_reason reason;
	struct dax_event_place place;
	unsigned long taken;
	long batches;
};

/* hooks.c */
unsigned long dax_hook_take(struct dax_hook *hook);
unsigned long dax_pinned_file_take(struct address_space *mapping, pgoff_t first,
				   pgoff_t last, bool blocks_stay,
				   enum dax_retarget_reason reason);
bool dax_pinned_file_reaches(struct address_space *mapping, pgoff_t first,
			     pgoff_t last);

/* netlink.c */
bool dax_netlink_sender_opened(const struct sk_buff *skb);

/**
 * struct dax_revocation - an administrator's request to take pages back
 * @allowed: may pages of the pin be taken? Called for pins that match all else.
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
 * @of_pin: pages taken back from the pin at hand
 * @pins: gets the number of pins that pages were taken from
 * @pages: gets the number of pages taken back
 * @matched: becomes true if a range matched
 */
struct dax_revocation {
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
	unsigned long of_pin;
	unsigned long pins;
	unsigned long pages;
	bool matched;
};

/* revoke.c */
void dax_pins_revoke(struct dax_revocation *revocation);

#endif /* _FS_DAX_INTERNAL_H */
