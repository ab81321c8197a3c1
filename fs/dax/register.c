// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: how pages get pinned
 *
 * Pages of a file enter the index before their frames are looked up, so that a
 * hook finds the pages from the first moment on. The frames are those of the
 * file's DAX entries. A page without an entry leaves the index again, is faulted
 * in, and enters anew: page faults may take as long as they like, and nothing
 * else waits for them.
 */

#include <linux/dax.h>
#include <linux/dax_retarget.h>
#include <linux/dax_retarget_test.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/mmu_context.h>
#include <linux/pagemap.h>
#include <linux/range.h>

#include "internal.h"

#include <trace/events/dax_retarget.h>

/* Page faults for one page, each of which a hole punch may follow */
#define MAX_TRIES	100

static void refused(struct dax_pin *pin, enum dax_retarget_refusal refusal)
{
	trace_dax_pin_refused(pin->region.dev, refusal);
}

static bool vma_is_retargetable(struct dax_pin_request *request,
				struct vm_area_struct *vma)
{
	if (!vma_is_fsdax(vma))
		return false;
	/* Not VM_SHARED: a shared mapping of a file opened for reading lacks it */
	if (!(vma->vm_flags & VM_MAYSHARE)) {
		trace_dax_pin_refused(request->dev,
				      DAX_RETARGET_REFUSAL_PRIVATE_MAPPING);
		return false;
	}
	if (!vma->vm_file->f_mapping->a_ops->dax_pin_device) {
		trace_dax_pin_refused(request->dev,
				      DAX_RETARGET_REFUSAL_FILE_SYSTEM);
		return false;
	}
	return true;
}

/* Frames are not looked up in page tables, so nothing else asks */
static bool vma_permits(struct vm_area_struct *vma, unsigned int gup_flags)
{
	bool write = gup_flags & FOLL_WRITE;

	return vma->vm_flags & (write ? VM_WRITE : VM_READ) &&
	       !(vma->vm_flags & (VM_IO | VM_PFNMAP | VM_SHADOW_STACK)) &&
	       arch_vma_access_permitted(vma, write, false,
					 vma->vm_mm != current->mm);
}

static bool is_alive(struct dax_device *dax_dev)
{
	return dax_alive(dax_dev) && !dax_retarget_should_fail();
}

/* The page map of a range's frames; keeps their memmap until the pin is live */
static struct dev_pagemap *keep_pgmap(struct dax_pin_range *range,
				      unsigned long pfn)
{
	if (!range->pgmap && !dax_retarget_should_fail())
		range->pgmap = get_dev_pagemap(pfn, NULL);
	return range->pgmap;
}

/*
 * How many of the frames does the device of the file's pages have? Memory behind a
 * device mapper target may move under the file system, and is of another device.
 */
static unsigned long direct_frames(struct dev_pagemap *pgmap,
				   struct dax_device *dax_dev,
				   unsigned long pfn, unsigned long nr)
{
	int i;

	if (pgmap->type != MEMORY_DEVICE_FS_DAX ||
	    pgmap->owner != dax_get_private(dax_dev))
		return 0;
	for (i = 0; i < pgmap->nr_range; i++) {
		unsigned long last = PHYS_PFN(pgmap->ranges[i].end);

		if (pfn >= PHYS_PFN(pgmap->ranges[i].start) && pfn <= last)
			return min(nr, last - pfn + 1);
	}
	return 0;
}

/* Frames up to the first one whose memory failed */
static unsigned long good_frames(unsigned long pfn, unsigned long nr)
{
	unsigned long good;

	if (!retarget_frames_failed())
		return nr;
	for (good = 0; good < nr; good++)
		if (retarget_frame_has_failed(pfn + good))
			break;
	return good;
}

/*
 * Note the next frames of a range that is in the index. Returns the number of pages
 * that belong to the pin now: 0 if the first page has no frame yet; or an error.
 *
 * The frames are those of the file's entries, which go under the lock that keeps
 * page faults out; a page table entry may be stale, and so may an entry of a file
 * that shares blocks, which is refused. No page reference is taken.
 * If the page leaves the file, a hook marks it, or has marked it already: the DAX
 * entry goes after the hook.
 */
static long note_frames(struct dax_pin *pin, struct dax_pin_range *range,
			struct dax_device *dax_dev,
			struct address_space *mapping, pgoff_t pgoff,
			unsigned long index, unsigned long nr,
			struct page **pages)
{
	struct dev_pagemap *pgmap;
	unsigned long pfn, i;
	int id;

	if (retarget_region_prepare(&pin->region))
		return -ENOMEM;

	/*
	 * The removal of the DAX device, hence of the memmap, waits for readers.
	 * No page fault here: it may take long.
	 */
	id = dax_read_lock();
	if (!is_alive(dax_dev)) {
		dax_read_unlock(id);
		return -EOPNOTSUPP;
	}
	nr = dax_mapping_frames(mapping, pgoff, nr, &pfn);
	pgmap = nr ? keep_pgmap(range, pfn) : NULL;
	dax_read_unlock(id);
	if (!nr)
		return 0;
	if (pgmap)
		nr = direct_frames(pgmap, dax_dev, pfn, nr);
	if (!pgmap || !nr) {
		refused(pin, DAX_RETARGET_REFUSAL_NOT_DIRECT);
		return -EOPNOTSUPP;
	}
	nr = good_frames(pfn, nr);
	if (!nr)
		return -EFAULT;
	retarget_region_add_frames(&pin->region, index, pfn, nr,
				   dax_write_cache_enabled(dax_dev));
	for (i = 0; pages && i < nr; i++)
		pages[i] = pfn_to_page(pfn + i);
	return nr;
}

/*
 * Enter pages in the index, and note their frames, up to the first page that has
 * none. Returns as note_frames().
 */
static long pin_present(struct dax_pin *pin, struct address_space *mapping,
			pgoff_t pgoff, unsigned long index, unsigned long nr,
			struct page **pages)
{
	struct dax_pin_range *range = NULL;
	struct dax_device *dax_dev = NULL;
	struct dax_pinned_file *file;
	unsigned long done = 0;
	long ret = -ENOMEM;

	/*
	 * A file system that takes pages out of the file holds this lock
	 * exclusively, from before the hook until the DAX entries are gone. So a
	 * pin that missed the hook finds no entry that is about to go. Reflink
	 * holds the lock as well: either reflink sees that the file is pinned, or
	 * the file system sees that the file was reflinked.
	 */
	filemap_invalidate_lock_shared(mapping);
	file = dax_pinned_file_make(mapping);
	if (file)
		dax_dev = mapping->a_ops->dax_pin_device(mapping);
	if (dax_dev)
		range = dax_pin_add_range(pin, file, pgoff, nr, index,
					  pin->region.writable &&
					  dax_write_cache_enabled(dax_dev));
	/* A file that is refused does not count as pinned, not for a moment */
	if (file && !dax_dev) {
		dax_pinned_file_put(file);
		file = NULL;
		refused(pin, DAX_RETARGET_REFUSAL_SHARED_BLOCKS);
		ret = -EOPNOTSUPP;
	}
	filemap_invalidate_unlock_shared(mapping);

	if (range) {
		do {
			ret = note_frames(pin, range, dax_dev, mapping,
					  pgoff + done, index + done, nr - done,
					  pages ? pages + done : NULL);
			done += max(ret, 0);
		} while (ret > 0 && done < nr);
		dax_pin_trim_range(pin, nr - done);
	}
	if (file)
		dax_pinned_file_put(file);
	return done ?: ret;
}

/*
 * Have the file allocate blocks, where user space could do so by a write, and enter
 * them in the file's mapping. So the pin has a block of the file even for a device
 * that only reads.
 */
static long fault_in(struct vm_area_struct *vma, unsigned long addr,
		     unsigned long nr, unsigned int gup_flags)
{
	if (vma->vm_flags & VM_WRITE)
		gup_flags |= FOLL_WRITE;
	if (dax_retarget_should_fail())
		return -EFAULT;
	return get_user_pages_remote(vma->vm_mm, addr, nr,
				     gup_flags & ~FOLL_LONGTERM, NULL, NULL) ?:
	       -EFAULT;
}

/* A device that may write changes the file, as a page fault for writing does */
static void note_change(struct dax_pin *pin, struct vm_area_struct *vma)
{
	struct super_block *sb = file_inode(vma->vm_file)->i_sb;

	if (!pin->region.writable || !(vma->vm_flags & VM_WRITE))
		return;
	sb_start_pagefault(sb);
	file_update_time(vma->vm_file);
	sb_end_pagefault(sb);
}

static long pin_fsdax(struct dax_pin *pin, struct vm_area_struct *vma,
		      unsigned long addr, unsigned long index, unsigned long nr,
		      unsigned int gup_flags, struct page **pages)
{
	struct address_space *mapping = vma->vm_file->f_mapping;
	pgoff_t pgoff = linear_page_index(vma, addr);
	unsigned int tries = 0;
	long ret;

	ret = dax_pin_prepare(pin);
	if (ret)
		return ret;
	note_change(pin, vma);

	ret = pin_present(pin, mapping, pgoff, index, nr, pages);
	while (!ret) {
		/* The page leaves the file again and again */
		if (tries++ == MAX_TRIES)
			return -EFAULT;
		ret = fault_in(vma, addr, nr, gup_flags);
		if (ret < 0)
			return ret;
		nr = min_t(long, nr, ret);
		ret = pin_present(pin, mapping, pgoff, index, nr, pages);
		if (!ret && !(vma->vm_flags & VM_WRITE)) {
			/* The zero page */
			refused(pin, DAX_RETARGET_REFUSAL_HOLE);
			return -EOPNOTSUPP;
		}
		/*
		 * The page has left the file again while the pages behind it
		 * were faulted in. One page at a time takes less time.
		 */
		nr = 1;
	}
	return ret;
}

/* As dax_pin_user_pages(); -EOPNOTSUPP where the next page is not for a pin */
static long pin_next(struct dax_pin_request *request, unsigned long start,
		     unsigned long nr_pages, unsigned int gup_flags,
		     struct page **pages)
{
	struct mm_struct *mm = request->mm ?: current->mm;
	struct vm_area_struct *vma;
	long ret = -EOPNOTSUPP;
	unsigned long addr;

	/* The VMA keeps the inode */
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	addr = untagged_addr_remote(mm, start);
	vma = vma_lookup(mm, addr);
	if (!vma || !vma_is_retargetable(request, vma))
		goto out;
	/* A device that does not qualify gets the answer of other kernels first */
	if (!request->pin) {
		ret = dax_pin_create(request);
		if (ret)
			goto out;
	}
	if (!vma_permits(vma, gup_flags)) {
		ret = -EFAULT;
		goto out;
	}
	nr_pages = min(nr_pages, (vma->vm_end - addr) >> PAGE_SHIFT);
	request->dax_end = start + (vma->vm_end - addr);
	ret = pin_fsdax(request->pin, vma, addr,
			(start - request->start) >> PAGE_SHIFT, nr_pages,
			gup_flags, pages);
out:
	mmap_read_unlock(mm);
	return ret;
}

/**
 * dax_pin_file_pages - register pages of a DAX file with the pin of a region
 * @request: the region; gets a pin with its first page of a DAX file
 * @start: user address of the next page of the region
 * @nr_pages: number of pages wanted, within the region
 * @gup_flags: %FOLL_WRITE if the device may write, or 0
 *
 * For consumers that find out by themselves that the page is of a DAX file: pinning it
 * failed with -EOPNOTSUPP. The pages have no reference to drop. The caller passes the
 * pages of the region in order, each page once.
 *
 * Context: process context. May sleep.
 * Return: number of pages; -EOPNOTSUPP if the page is of other memory, the file
 *	   cannot be retargeted, or a device does not qualify; or another error
 */
long dax_pin_file_pages(struct dax_pin_request *request, unsigned long start,
			unsigned long nr_pages, unsigned int gup_flags)
{
	/* The bitmap of pages taken back counts in int */
	if (!dax_retarget_enabled() || request->nr_pages > INT_MAX)
		return -EOPNOTSUPP;
	return pin_next(request, start, nr_pages, gup_flags, NULL);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_file_pages, DAX_RETARGET);

/**
 * dax_pin_user_pages - pin pages of a region, or register them with its pin
 * @request: the region; gets a pin with its first page of a DAX file
 * @start: user address of the next page of the region
 * @nr_pages: number of pages wanted, within the region
 * @gup_flags: flags for pin_user_pages_fast(); %FOLL_LONGTERM is one of them
 * @pages: gets the pages; pages of the pin are valid until the pin is live or
 *	   ended
 *
 * A page of a DAX file becomes a page of the pin and has no reference to drop. For
 * other memory, for a file that cannot be retargeted, and for a device that does
 * not qualify, the function is pin_user_pages_fast() with its errors. The caller
 * passes the pages of the region in order, each page once.
 *
 * Other memory costs what it costs without this function: pin_user_pages_fast()
 * refuses pages of a DAX file, and only then somebody looks whose pages they are.
 *
 * Context: the task whose memory it is. May sleep.
 * Return: number of pages, or an error. Either all pages are pages of the pin, or
 *	   none is.
 */
long dax_pin_user_pages(struct dax_pin_request *request, unsigned long start,
			unsigned long nr_pages, unsigned int gup_flags,
			struct page **pages)
{
	long ret;

	if (start < request->dax_end) {
		ret = pin_next(request, start, nr_pages, gup_flags, pages);
		return ret != -EOPNOTSUPP ? ret :
		       pin_user_pages_fast(start, nr_pages, gup_flags, pages);
	}
	ret = pin_user_pages_fast(start, nr_pages, gup_flags, pages);
	/* The bitmap of pages taken back counts in int */
	if (ret != -EOPNOTSUPP || !dax_retarget_enabled() ||
	    !request->consumer || request->nr_pages > INT_MAX)
		return ret;
	return pin_next(request, start, nr_pages, gup_flags, pages);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_user_pages, DAX_RETARGET);
