/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Steps of DAX retarget that a test can leave out, hold up or make fail
 *
 * A test shows that it notices a fault by making the fault. To add a fault, add
 * its name to one of the tables below: each name becomes a constant and a
 * file in dax_retarget/ of debugfs. Without CONFIG_DAX_RETARGET_TEST no step
 * can be left out.
 */
#ifndef _LINUX_DAX_RETARGET_TEST_H
#define _LINUX_DAX_RETARGET_TEST_H

#include <linux/types.h>

struct dentry;

/* Steps to leave out: DAX_BREAK_hook, break/hook and so on */
#define DAX_RETARGET_BREAKAGES(X)					       \
	X(hook)			/* hooks take nothing back */		       \
	X(flush)		/* the IOTLB is flushed */		       \
	X(flush_whole)		/* for all pages, and not for the first alone */ \
	X(marks)		/* marks are applied when a pin goes live */   \
	X(live)			/* what a domain maps is the hooks' business at once */ \
	X(owns)			/* a consumer is told which pages are a pin's */ \
	X(tell_loss)		/* a consumer is told that its pin lost pages */ \
	X(stay_stopped)		/* no program starts a device that was stopped */ \
	X(detach)		/* a pin detaches before it leaves the index */ \
	X(write_back)		/* CPU caches are written back */	       \
	X(dirty)		/* what the IOMMU found dirty is written back */ \
	X(distrust)		/* an emulated IOMMU's dirty bits are not relied on */ \
	X(dirty_flush)		/* the IOTLB is flushed after a page was made clean */ \
	X(skip_failed)		/* memory that failed is not written back */   \
	X(medium)		/* syncfs flushes the medium */		       \
	X(remove)		/* memory that is removed is taken back */     \
	X(report_failure)	/* a failure of memory is reported */	       \
	X(segment)		/* batches end at segment boundaries */	       \
	X(refuse_remount)	/* write pins refuse a read-only remount */    \
	/* Steps of the callers, where a patch for tests leaves them out */    \
	X(keep_inode)		/* the shrinker spares pinned inodes */	       \
	X(refuse_sharing)	/* pinned files refuse to share blocks */      \
	X(refuse_shared)	/* files with shared blocks refuse pins */     \
	X(drop_entries)		/* unsharing on XFS drops the DAX entries */   \
	X(refuse_donor)		/* ext4 refuses a DAX donor of extents */      \
	X(exact)		/* XFS spares pages that keep their block */   \
	X(overwrite)		/* XFS overwrites in place where it can */     \
	X(repair)		/* online repair of XFS calls the hook */      \
	X(exchange_tail)	/* an exchange flushes its last page, too */   \
	X(unmap_boot_loader)	/* ext4's swap of boot loader inodes unmaps */ \
	X(sync_clean)		/* fsync looks at files without dirty pages */ \
	X(sync_super)		/* syncfs writes back what devices wrote */    \
	X(truncate_dying)	/* truncation of a dying inode calls the hook */ \
	X(check_removed)	/* entries of removed memory are not looked at */

/* Windows to hold open: DAX_WINDOW_unmapped, delay_ms/unmapped and so on */
#define DAX_RETARGET_WINDOWS(X)						       \
	X(registered)		/* all pages are known, none is mapped */      \
	X(mapping)		/* entries are written, the pin is not live */ \
	X(detached)		/* the pin is still in the index */	       \
	X(left_index)		/* the pin still has its memory */	       \
	X(unmapping)		/* the pin is detached, its IOVAs are mapped */

/* Failures of the IOMMU: DAX_FAIL_table, fail/table and so on */
#define DAX_RETARGET_FAILURES(X)					       \
	X(table)		/* no page table is left for a split */	       \
	X(replace)		/* an entry cannot be replaced */	       \
	X(flush)		/* a flush is not confirmed */

#define DAX_RETARGET_ENUM(name) DAX_BREAK_##name,
enum dax_retarget_breakage {
	DAX_RETARGET_BREAKAGES(DAX_RETARGET_ENUM)
};

#undef DAX_RETARGET_ENUM

#define DAX_RETARGET_ENUM(name) DAX_WINDOW_##name,
enum dax_retarget_window {
	DAX_RETARGET_WINDOWS(DAX_RETARGET_ENUM)
};

#undef DAX_RETARGET_ENUM

#define DAX_RETARGET_ENUM(name) DAX_FAIL_##name,
enum dax_retarget_failure {
	DAX_RETARGET_FAILURES(DAX_RETARGET_ENUM)
};

#undef DAX_RETARGET_ENUM

#ifdef CONFIG_DAX_RETARGET_TEST
bool dax_retarget_broken(enum dax_retarget_breakage step);
void dax_retarget_hold(enum dax_retarget_window window);
bool dax_retarget_shrinks_inodes(void);
bool dax_retarget_fails(enum dax_retarget_failure failure);
bool dax_retarget_should_fail(void);
void dax_retarget_test_init(struct dentry *dir);
#else
static inline bool dax_retarget_broken(enum dax_retarget_breakage step)
{
	return false;
}

static inline void dax_retarget_hold(enum dax_retarget_window window)
{
}

static inline bool dax_retarget_fails(enum dax_retarget_failure failure)
{
	return false;
}

static inline bool dax_retarget_should_fail(void)
{
	return false;
}

static inline void dax_retarget_test_init(struct dentry *dir)
{
}
#endif

#endif /* _LINUX_DAX_RETARGET_TEST_H */
