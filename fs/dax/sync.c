// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: make durable what devices wrote
 *
 * fsync and syncfs look for pages that the CPU dirtied. What devices wrote has no
 * tag in the file, so pins for writing are asked as well. A file system with such
 * pins refuses a read-only remount, since devices go on writing.
 */

#include <linux/bitmap.h>
#include <linux/blkdev.h>
#include <linux/dax.h>
#include <linux/dax_retarget.h>
#include <linux/dax_retarget_test.h>
#include <linux/errseq.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "internal.h"

/*
 * Write back pages [@first, @last] of the file, RETARGET_BATCH at most. Several pins
 * often share pages: one write-back of each page is enough. Returns their number.
 */
static unsigned long sync_part(struct dax_pinned_file *file, pgoff_t first,
			       pgoff_t last, void *unused)
{
	DECLARE_BITMAP(done, RETARGET_BATCH) = {};
	unsigned long nr = 0, all = last - first + 1;
	struct dax_pin_range *range;

	for_each_dax_written_range(range, file, first, last) {
		struct retarget_region *region = &range->pin->region;
		unsigned long from = first, to = last, offset;

		dax_pin_range_clip(range, &from, &to);
		/* Where the range begins in the part; the bits go with its pages */
		offset = range->node.start > first ?
			 range->node.start - first : 0;
		mutex_lock(&region->mutex);
		nr += retarget_region_write_back(region, from, to, done, offset);
		mutex_unlock(&region->mutex);
		if (nr == all)
			break;
	}
	return nr;
}

static void sync_pages(struct dax_pinned_file *file, pgoff_t first,
		       pgoff_t last)
{
	dax_pinned_file_visit(file, first, last, true, sync_part, NULL);
}

/**
 * dax_pins_sync_range - make durable what devices wrote to a range of a file
 * @mapping: pages of the file
 * @lstart: first byte
 * @lend: last byte
 *
 * When the function returns, a flush of the medium makes durable all DMA that had
 * ended before the call. Where the IOMMU does not tell what a device wrote, all
 * pages that a device could have written are written back.
 *
 * Context: where a file is made durable. May sleep, does not allocate.
 */
void dax_pins_sync_range(struct address_space *mapping, loff_t lstart,
			 loff_t lend)
{
	struct dax_pinned_file *file = dax_pinned_file_get(mapping);

	if (!file)
		return;
	sync_pages(file, lstart >> PAGE_SHIFT, lend >> PAGE_SHIFT);
	dax_pinned_file_put(file);
}

static void sync_file(struct dax_pinned_file *file, void *unused)
{
	sync_pages(file, 0, ULONG_MAX);
}

/* Covers what pins wrote back when they ended or lost their pages, too */
static void flush_medium(struct super_block *sb)
{
	int ret;

	if (dax_retarget_broken(DAX_BREAK_medium))
		return;
	if (!sb->s_bdev || !blk_queue_dax(bdev_get_queue(sb->s_bdev)))
		return;
	ret = blkdev_issue_flush(sb->s_bdev);
	/* For syncfs to return */
	if (ret)
		errseq_set(&sb->s_wb_err, ret);
}

/**
 * dax_pins_sync_super - make durable what devices wrote to a file system
 * @sb: the file system
 *
 * The writeback of a file system visits dirty inodes only, and an inode that only
 * a device has written to is clean. The log is clean as well, and would not flush
 * the medium.
 *
 * Context: as dax_pins_sync_range()
 */
void dax_pins_sync_super(struct super_block *sb)
{
	dax_pinned_files_visit(sb, sync_file, NULL);
	flush_medium(sb);
}

/* The first that is found of those who keep a file system writable */
struct writer {
	bool found;
	u64 ino;
	pid_t pid;
	char comm[TASK_COMM_LEN];
};

/* A pin whose pages in the part were all taken back writes to scratch */
static unsigned long find_writer_of_part(struct dax_pinned_file *file,
					 pgoff_t first, pgoff_t last, void *arg)
{
	struct writer *writer = arg;
	struct dax_pin_range *range;

	for_each_dax_pin_range(range, file, first, last) {
		struct dax_pin *pin = range->pin;
		unsigned long from = first, to = last;

		if (writer->found)
			break;
		dax_pin_range_clip(range, &from, &to);
		if (!pin->region.writable ||
		    !retarget_region_reaches(&pin->region, from, to))
			continue;
		writer->found = true;
		writer->ino = file->ino;
		writer->pid = pid_nr(pin->owner);
		memcpy(writer->comm, pin->comm, sizeof(writer->comm));
	}
	return 0;
}

static void find_writer(struct dax_pinned_file *file, void *arg)
{
	struct writer *writer = arg;

	if (!writer->found)
		dax_pinned_file_visit(file, 0, ULONG_MAX, false,
				      find_writer_of_part, writer);
}

/**
 * dax_pins_write_to - can devices write to files of a file system?
 * @sb: the file system
 *
 * Context: process context, may sleep
 * Return: true if a pin for writing has pages of a file of @sb that were not taken
 *	   back. The result is logged, since an administrator finds no open file.
 */
bool dax_pins_write_to(struct super_block *sb)
{
	struct writer writer = {};

	if (dax_retarget_broken(DAX_BREAK_refuse_remount))
		return false;
	dax_pinned_files_visit(sb, find_writer, &writer);
	if (!writer.found)
		return false;
	pr_notice_ratelimited("dax_retarget: %s stays writable: %s[%d] has a region that a device can write to, of inode %llu, which remounting read-only cannot stop\n",
			      sb->s_id, writer.comm, writer.pid, writer.ino);
	return true;
}
