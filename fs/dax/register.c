// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: how pages get pinned
 *
 * The walk of VMAs and page faults. Pages of a file enter the index before they
 * are looked up, so that a hook finds the pages from the first moment on. Pages
 * that cannot be pinned leave the index again.
 */

#include <linux/dax.h>
#include <linux/dax_retarget.h>
#include <linux/dax_retarget_test.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "internal.h"

#include <trace/events/dax_retarget.h>

static void refused(struct dax_pin *pin, enum dax_retarget_refusal refusal)
{
	trace_dax_pin_refused(pin->region.dev, refusal);
}

static bool vma_is_retargetable(struct dax_pin *pin, struct vm_area_struct *vma)
{
	if (!vma_is_fsdax(vma))
		return false;
	/* Not VM_SHARED: a shared mapping of a file opened for reading lacks it */
	if (!(vma->vm_flags & VM_MAYSHARE)) {
		refused(pin, DAX_RETARGET_REFUSAL_PRIVATE_MAPPING);
		return false;
	}
	if (!vma->vm_file->f_mapping->a_ops->dax_pin_device) {
		refused(pin, DAX_RETARGET_REFUSAL_FILE_SYSTEM);
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
 * Can the hooks of @mapping find all that happens to @page? No:
 *
 * - The zero page of a hole stays mapped when the hole is filled.
 * - Memory behind a device mapper target may move under the file system.
 * - A page may be left in a stale page table entry.
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
	/* The DAX entry may be gone, and then this field is NULL: see range.c */
	noted = READ_ONCE(page->mapping);
	if (!noted || (noted == mapping && page->index == pgoff))
		return DAX_RETARGET_REFUSAL_NONE;
	/* A page that was copied on write keeps the mark of a shared page */
	if (noted == PAGE_MAPPING_DAX_SHARED &&
	    dax_entry_is_of(mapping, pgoff, page))
		return DAX_RETARGET_REFUSAL_NONE;
	return DAX_RETARGET_REFUSAL_STALE_ENTRY;
}

/*
 * Look the pages up, and take references. No FOLL_LONGTERM: the references do not
 * outlive the caller. No FOLL_PIN: PAGE_MAPPING_DAX_SHARED has the bit of
 * PAGE_MAPPING_ANON. With FOLL_PIN a page that was shared would be taken for an
 * anonymous one, and GUP would wait for a copy that is never made.
 */
static long look_up(struct vm_area_struct *vma, unsigned long addr,
		    unsigned long nr, unsigned int gup_flags,
		    struct page **pages)
{
	long found;

	/*
	 * Allocate the block of a hole if user space could do so by a write. So
	 * the pin has a block of the file even for a device that only reads.
	 */
	if (vma->vm_flags & VM_WRITE)
		gup_flags |= FOLL_WRITE;
	if (dax_retarget_should_fail())
		return -EFAULT;
	found = get_user_pages(addr, nr, gup_flags, pages);
	return found ?: -EFAULT;
}

/* Keep the memmap of the range's frames until the pin is live */
static bool keep_pgmap(struct dax_pin_range *range, struct page *page)
{
	if (range->pgmap)
		return true;
	if (dax_retarget_should_fail())
		return false;
	range->pgmap = get_dev_pagemap(page_to_pfn(page), NULL);
	return range->pgmap;
}

/* The number of pages, from the first page on, that the pin may have */
static long count_good(struct dax_pin *pin, struct address_space *mapping,
		       pgoff_t pgoff, struct dax_device *dax_dev,
		       struct page **pages, long found)
{
	enum dax_retarget_refusal refusal;
	long good;

	for (good = 0; good < found; good++) {
		refusal = page_refusal(pages[good], mapping, pgoff + good,
				       dax_dev);
		if (!refusal)
			continue;
		if (!good)
			refused(pin, refusal);
		break;
	}
	return good;
}

static bool is_alive(struct dax_device *dax_dev)
{
	return dax_alive(dax_dev) && !dax_retarget_should_fail();
}

/*
 * Look up the frames of a range that is in the index, note them, and drop the
 * references. Returns the number of pages that belong to the pin now, or an
 * error.
 */
static long pin_frames(struct dax_pin *pin, struct dax_pin_range *range,
		       struct dax_device *dax_dev, struct vm_area_struct *vma,
		       unsigned long addr, unsigned long index,
		       unsigned long nr, unsigned int gup_flags,
		       struct page **pages)
{
	long found, good, i;
	int id;

	/*
	 * The removal of the DAX device, hence of the memmap, waits for readers
	 */
	id = dax_read_lock();
	if (!is_alive(dax_dev)) {
		dax_read_unlock(id);
		return -EOPNOTSUPP;
	}
	found = look_up(vma, addr, nr, gup_flags, pages);
	if (found < 0) {
		dax_read_unlock(id);
		return found;
	}

	good = count_good(pin, vma->vm_file->f_mapping,
			  linear_page_index(vma, addr), dax_dev, pages, found);
	if (good && !keep_pgmap(range, pages[0]))
		good = 0;
	retarget_region_add_frames(&pin->region, index, pages, good,
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
	 * Reflink holds this lock exclusively. So either reflink sees that the
	 * file is pinned, or the file system sees that the file was reflinked.
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
		refused(pin, DAX_RETARGET_REFUSAL_SHARED_BLOCKS);
	}
	dax_pin_trim_range(range, nr - max(ret, 0));
	return ret;
}

/* As dax_pin_user_pages(); -EOPNOTSUPP where the next page is not for a pin */
static long pin_next(struct dax_pin *pin, unsigned long start,
		     unsigned long nr_pages, unsigned int gup_flags,
		     struct page **pages)
{
	unsigned long index = (start - pin->start) >> PAGE_SHIFT;
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	long ret = -EOPNOTSUPP;
	unsigned long addr;

	/*
	 * The lock is held until the references are dropped: the VMA keeps the
	 * inode
	 */
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	addr = untagged_addr_remote(mm, start);
	vma = vma_lookup(mm, addr);
	if (vma && vma_is_retargetable(pin, vma))
		ret = pin_fsdax(pin, vma, addr, index,
				min(nr_pages, (vma->vm_end - addr) >> PAGE_SHIFT),
				gup_flags & ~FOLL_LONGTERM, pages);
	mmap_read_unlock(mm);
	return ret;
}

/**
 * dax_pin_user_pages - pin pages of a region, or register them with its pin
 * @pin: pin of the region, or %NULL
 * @start: user address of the next page of the region
 * @nr_pages: number of pages wanted, within the region
 * @gup_flags: flags for pin_user_pages_fast(); %FOLL_LONGTERM is one of them
 * @pages: gets the pages; pages of @pin are valid until @pin is live or ended
 *
 * A page of a DAX file becomes a page of @pin and has no reference to drop. For
 * other memory, for a file that cannot be retargeted, and without a pin, the
 * function is pin_user_pages_fast() with its errors. The caller passes the pages
 * of the region in order, each page once.
 *
 * Context: the task whose memory it is. May sleep.
 * Return: number of pages, or an error. Either all pages are pages of @pin, or
 *	   none is.
 */
long dax_pin_user_pages(struct dax_pin *pin, unsigned long start,
			unsigned long nr_pages, unsigned int gup_flags,
			struct page **pages)
{
	long ret = -EOPNOTSUPP;

	if (pin)
		ret = pin_next(pin, start, nr_pages, gup_flags, pages);
	if (ret != -EOPNOTSUPP)
		return ret;
	return pin_user_pages_fast(start, nr_pages, gup_flags, pages);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_user_pages, DAX_RETARGET);
