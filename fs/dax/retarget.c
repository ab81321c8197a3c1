// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: what file systems and the mm call, and how pages get pinned
 *
 * The part of DAX retarget that knows of files, VMAs, page faults and page maps.
 * What happens to a device is in drivers/iommu/dax_retarget/.
 */

#include <linux/blkdev.h>
#include <linux/dax.h>
#include <linux/dax_retarget.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "../../drivers/iommu/dax_retarget/internal.h"

/**
 * dax_retarget_range - the blocks of a range of a file go to other use
 * @mapping: pages of the file
 * @lstart: first byte that goes
 * @lend: last byte that goes, or -1 for all there are
 *
 * A page that is only partly in the range keeps its block and is left alone.
 * When this returns, no device reaches the blocks any more.
 *
 * Context: before the blocks are freed, with page faults on the range excluded
 *	    until they are. May sleep, also in reclaim; neither allocates nor
 *	    waits for user space.
 */
void dax_retarget_range(struct address_space *mapping, loff_t lstart,
			loff_t lend)
{
	pgoff_t first = DIV_ROUND_UP_ULL(lstart, PAGE_SIZE);
	pgoff_t end = lend == -1 ? ULONG_MAX : (lend + 1ULL) >> PAGE_SHIFT;

	if (first >= end || dax_retarget_broken(DAX_BREAK_hook))
		return;
	dax_retarget_file(mapping, first, end - 1,
			  mapping_exiting(mapping) ? DAX_RETARGET_REASON_EVICT :
						     DAX_RETARGET_REASON_TRUNCATE);
}
EXPORT_SYMBOL_NS_GPL(dax_retarget_range, DAX_RETARGET);

/**
 * dax_retarget_inode - an inode is about to be freed
 * @inode: an inode with pins
 *
 * The final truncation has taken all pages back, save those of a bad inode,
 * which keeps its blocks but not its life.
 *
 * Context: from clear_inode(). May sleep, also in reclaim.
 */
void dax_retarget_inode(struct inode *inode)
{
	unsigned long nr;

	if (!dax_retarget_broken(DAX_BREAK_hook)) {
		nr = dax_retarget_file(&inode->i_data, 0, ULONG_MAX,
				       DAX_RETARGET_REASON_EVICT);
		WARN_ON_ONCE(nr && !is_bad_inode(inode));
	}
	dax_pinned_file_detach(&inode->i_data);
}

/**
 * dax_retarget_pagemap - persistent memory goes away
 * @pgmap: its page map, to which no reference can be taken any more
 *
 * Context: from memunmap_pages(), before the memmap is freed. May sleep.
 */
void dax_retarget_pagemap(struct dev_pagemap *pgmap)
{
	int i;

	if (pgmap->type != MEMORY_DEVICE_FS_DAX ||
	    dax_retarget_broken(DAX_BREAK_remove))
		return;
	for (i = 0; i < pgmap->nr_range; i++)
		dax_retarget_frames(PHYS_PFN(pgmap->ranges[i].start),
				    PHYS_PFN(range_len(&pgmap->ranges[i])));
}

/**
 * dax_retarget_assert_gone - no device may reach a page that is torn down
 * @mapping: pages of a file
 * @pgoff: offset of a page that has been truncated
 *
 * Catches a way to free blocks that calls no hook. With CONFIG_DEBUG_VM only.
 *
 * Context: where the DAX entry of the page was deleted. May sleep.
 */
void dax_retarget_assert_gone(struct address_space *mapping, pgoff_t pgoff)
{
	if (IS_ENABLED(CONFIG_DEBUG_VM))
		WARN_ON_ONCE(dax_pinned_file_reaches(mapping, pgoff));
}

/**
 * dax_pins_sync_super - make durable what devices wrote to a file system
 * @sb: the file system
 *
 * Its writeback looks at dirty inodes alone, and one that only a device has
 * written to is not. Nor would the log, which is clean then, flush the medium.
 *
 * Context: as dax_pins_sync_range()
 */
void dax_pins_sync_super(struct super_block *sb)
{
	dax_pinned_files_sync(sb);
	/* Also what pins wrote back that lost their pages, or ended */
	if (sb->s_bdev && blk_queue_dax(bdev_get_queue(sb->s_bdev)) &&
	    !dax_retarget_broken(DAX_BREAK_medium))
		blkdev_issue_flush(sb->s_bdev);
}

static bool vma_is_retargetable(struct dax_pin *pin, struct vm_area_struct *vma)
{
	if (!vma_is_fsdax(vma))
		return false;
	/* Not VM_SHARED: a shared mapping of a file opened for reading lacks it */
	if (!(vma->vm_flags & VM_MAYSHARE)) {
		dax_pin_refused(pin, DAX_RETARGET_REFUSAL_PRIVATE_MAPPING);
		return false;
	}
	if (!vma->vm_file->f_mapping->a_ops->dax_pin_device) {
		dax_pin_refused(pin, DAX_RETARGET_REFUSAL_FILE_SYSTEM);
		return false;
	}
	return true;
}

/* Does the file have @page at @pgoff? Its entry may be a large one. */
static bool dax_entry_is_of(struct address_space *mapping, pgoff_t pgoff,
			    struct page *page)
{
	struct page *first = NULL;
	dax_entry_t cookie;

	cookie = dax_lock_mapping_entry(mapping, pgoff, &first);
	if (!cookie)
		return false;
	dax_unlock_mapping_entry(mapping, pgoff, cookie);
	return first && (page == first || page_to_pfn(page) ==
			 page_to_pfn(first) + pgoff % (PMD_SIZE / PAGE_SIZE));
}

/*
 * May a pin of @mapping follow what happens to @page? Not for the zero page of
 * a hole, which stays when the hole is filled; for memory behind a device
 * mapper target, which may be moved under the file system; for a page that some
 * stale page table entry still shows.
 */
static enum dax_retarget_refusal page_refusal(struct page *page,
					      struct address_space *mapping,
					      pgoff_t pgoff,
					      struct dax_device *dax_dev)
{
	struct address_space *noted;

	if (dax_retarget_should_fail())
		return DAX_RETARGET_REFUSAL_TEST;
	if (!is_zone_device_page(page))
		return DAX_RETARGET_REFUSAL_HOLE;
	if (page->pgmap->type != MEMORY_DEVICE_FS_DAX ||
	    page->pgmap->owner != dax_get_private(dax_dev))
		return DAX_RETARGET_REFUSAL_NOT_DIRECT;
	/* The DAX entry, and with it this field, may be gone: see file.c */
	noted = READ_ONCE(page->mapping);
	if (!noted || (noted == mapping && page->index == pgoff))
		return DAX_RETARGET_REFUSAL_NONE;
	/* A page that was copied on write stays noted as shared */
	if (noted == PAGE_MAPPING_DAX_SHARED &&
	    dax_entry_is_of(mapping, pgoff, page))
		return DAX_RETARGET_REFUSAL_NONE;
	return DAX_RETARGET_REFUSAL_STALE_ENTRY;
}

/*
 * Look up the frames of a range that is in the index, note them, and drop the
 * references. Returns how many pages belong to the pin now, or an error.
 */
static long pin_frames(struct dax_pin *pin, struct dax_pin_range *range,
		       struct dax_device *dax_dev, struct vm_area_struct *vma,
		       unsigned long addr, unsigned long index,
		       unsigned long nr, unsigned int gup_flags,
		       struct page **pages)
{
	struct address_space *mapping = vma->vm_file->f_mapping;
	pgoff_t pgoff = linear_page_index(vma, addr);
	enum dax_retarget_refusal refusal = DAX_RETARGET_REFUSAL_NONE;
	long found, good = 0, i;
	int id;

	/*
	 * Resolve a hole to a block where user space could, so that the pin is
	 * of the file even for a device that only reads.
	 */
	if (vma->vm_flags & VM_WRITE)
		gup_flags |= FOLL_WRITE;

	/* Removal of the DAX device, hence of the memmap, waits for readers */
	id = dax_read_lock();
	if (!dax_alive(dax_dev) || dax_retarget_should_fail()) {
		dax_read_unlock(id);
		return -EOPNOTSUPP;
	}

	/*
	 * No FOLL_LONGTERM: the references do not outlive this function. No
	 * FOLL_PIN: it takes a page that was shared for an anonymous one, as
	 * PAGE_MAPPING_DAX_SHARED has the same bit, and waits for a copy that
	 * is never made.
	 */
	if (dax_retarget_should_fail())
		found = -EFAULT;
	else
		found = get_user_pages(addr, nr, gup_flags, pages);
	if (found <= 0) {
		dax_read_unlock(id);
		return found ?: -EFAULT;
	}

	while (good < found) {
		refusal = page_refusal(pages[good], mapping, pgoff + good,
				       dax_dev);
		if (refusal)
			break;
		good++;
	}
	if (refusal && !good)
		dax_pin_refused(pin, refusal);
	if (good && !range->pgmap) {
		if (!dax_retarget_should_fail())
			range->pgmap = get_dev_pagemap(page_to_pfn(pages[0]),
						       NULL);
		if (!range->pgmap)
			good = 0;
	}
	dax_pin_add_frames(pin, index, pages, good,
			   dax_write_cache_enabled(dax_dev));
	for (i = 0; i < found; i++)
		put_page(pages[i]);
	dax_read_unlock(id);
	return good ?: -EOPNOTSUPP;
}

static long pin_fsdax(struct dax_pin *pin, struct vm_area_struct *vma,
		      unsigned long addr, unsigned long index, unsigned long nr,
		      unsigned int gup_flags, struct page **pages)
{
	struct address_space *mapping = vma->vm_file->f_mapping;
	struct dax_device *dax_dev = NULL;
	struct dax_pin_range *range;
	long ret;

	ret = dax_pin_prepare(pin, nr);
	if (ret)
		return ret;

	/*
	 * Reflink, which needs this lock for itself, either sees that the file
	 * is pinned, or the file system sees that it was reflinked.
	 */
	filemap_invalidate_lock_shared(mapping);
	range = dax_pin_add_range(pin, mapping, linear_page_index(vma, addr),
				  nr, index);
	if (range)
		dax_dev = mapping->a_ops->dax_pin_device(mapping);
	filemap_invalidate_unlock_shared(mapping);
	if (!range)
		return -ENOMEM;

	if (dax_dev) {
		ret = pin_frames(pin, range, dax_dev, vma, addr, index, nr,
				 gup_flags, pages);
	} else {
		ret = -EOPNOTSUPP;
		dax_pin_refused(pin, DAX_RETARGET_REFUSAL_SHARED_BLOCKS);
	}
	dax_pin_trim_range(range, nr - max(ret, 0));
	return ret;
}

/**
 * dax_pin_user_pages - pin pages of a region, or register them with its pin
 * @pin: pin of the region
 * @start: user address of the next page of the region
 * @nr_pages: number of pages wanted, within the region
 * @gup_flags: flags for pin_user_pages_fast(); %FOLL_LONGTERM is one of them
 * @pages: the pages found; valid for those of @pin until it is live or ended
 *
 * fsdax pages become pages of @pin: they have no reference to drop. Where a
 * file cannot be retargeted, and for all other memory, this is
 * pin_user_pages_fast() with its errors. Pages are to be given in order, each
 * once.
 *
 * Context: the task whose memory it is. May sleep.
 * Return: number of pages, which are either all @pin's or all not, or an error
 */
long dax_pin_user_pages(struct dax_pin *pin, unsigned long start,
			unsigned long nr_pages, unsigned int gup_flags,
			struct page **pages)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	long ret = -EOPNOTSUPP;
	unsigned long addr;

	/* Held until the references are dropped: the VMA keeps the inode */
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	addr = untagged_addr_remote(mm, start);
	vma = vma_lookup(mm, addr);
	if (vma && vma_is_retargetable(pin, vma))
		ret = pin_fsdax(pin, vma, addr,
				(start - pin->start) >> PAGE_SHIFT,
				min(nr_pages, (vma->vm_end - addr) >> PAGE_SHIFT),
				gup_flags & ~FOLL_LONGTERM, pages);
	mmap_read_unlock(mm);
	if (ret != -EOPNOTSUPP)
		return ret;
	return pin_user_pages_fast(start, nr_pages, gup_flags, pages);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_user_pages, DAX_RETARGET);
