/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Long-term DMA to files on persistent memory (fsdax)
 *
 * A pin lets a device reach pages of an fsdax file for any time, without a page
 * reference. When the file system takes such a page back, the file system calls a
 * hook, and the hook points the device's IOVA for the page at a scratch page. See
 * fs/dax/pin.c for the life of a pin.
 *
 * Two parties meet here: consumers, which make pins (RDMA umem), and file
 * systems and the mm, which call the hooks. IOMMU drivers offer struct
 * iommu_retarget_ops of linux/iommu.h.
 */
#ifndef _LINUX_DAX_RETARGET_H
#define _LINUX_DAX_RETARGET_H

#include <linux/jump_label.h>
#include <linux/mm.h>
#include <linux/types.h>

struct address_space;
struct dax_pin;
struct dev_pagemap;
struct device;
struct inode;
struct iommu_domain;
struct page;
struct sg_table;
struct super_block;

/**
 * struct dax_pin_request - a region of memory that is being registered
 * @dev: the device that does the DMA, for which the DMA API maps the region; %NULL if
 *       the CPU moves the data
 * @domain: a domain that the consumer maps the region into, in place of @dev; or %NULL
 * @mm: whose memory it is, with a reference to its users; %NULL for the current task's
 * @start: user address of the region, page aligned
 * @nr_pages: pages of the region
 * @writable: may the device write?
 * @consumer: name of the consumer's device, for administrators; %NULL if the region
 *            must not have pages of DAX files
 * @pin: gets the region's pin, for dax_pin_complete(); %NULL as long as no page is
 *       of a DAX file
 * @dax_end: for dax_pin_user_pages(): where the mapping of the DAX file ends
 */
struct dax_pin_request {
	struct device *dev;
	struct iommu_domain *domain;
	struct mm_struct *mm;
	unsigned long start;
	unsigned long nr_pages;
	bool writable;
	const char *consumer;
	struct dax_pin *pin;
	unsigned long dax_end;
};

#ifdef CONFIG_DAX_RETARGET

DECLARE_STATIC_KEY_FALSE(dax_retarget_key);

/**
 * dax_retarget_enabled - was the kernel booted with dax_retarget=on, or =revoke?
 *
 * Return: true if pins can exist at all. Costs nothing where it is false.
 */
static inline bool dax_retarget_enabled(void)
{
	return static_branch_unlikely(&dax_retarget_key);
}

/* For consumers */
void dax_pin_limit_batch(const struct dax_pin_request *request,
			 unsigned long start, unsigned long *nr_pages,
			 unsigned int *max_segment);
long dax_pin_user_pages(struct dax_pin_request *request, unsigned long start,
			unsigned long nr_pages, unsigned int gup_flags,
			struct page **pages);
bool dax_pin_owns_page(struct dax_pin *pin, unsigned long index);
struct dax_pin *dax_pin_complete(struct dax_pin *pin);
int dax_pin_map_sgtable(struct dax_pin *pin, struct sg_table *sgt,
			unsigned long attrs);
void dax_pin_end(struct dax_pin *pin);
void dax_pin_put(struct dax_pin *pin);
void dax_pin_watch(struct dax_pin *pin, void (*lost)(void *data), void *data);
bool dax_pin_unwatch(struct dax_pin *pin);

/* For consumers that map into domains of their own */
long dax_pin_file_pages(struct dax_pin_request *request, unsigned long start,
			unsigned long nr_pages, unsigned int gup_flags);
int dax_pin_map_domain(struct dax_pin *pin, struct iommu_domain *domain,
		       dma_addr_t iova, unsigned long first, unsigned long nr,
		       int prot);
void dax_pin_unmap_domain(struct dax_pin *pin, struct iommu_domain *domain,
			  dma_addr_t iova, unsigned long nr);
unsigned long dax_pin_run(struct dax_pin *pin, unsigned long index,
			  unsigned long nr, bool *owned);
bool dax_pin_device_stopped(struct device *dev);

/* For file systems and the mm; callers test mapping_dax_pinned() first */
void dax_retarget_range(struct address_space *mapping, loff_t lstart,
			loff_t lend);
void dax_retarget_free_range(struct address_space *mapping, loff_t lstart,
			     loff_t lend);
void dax_retarget_inode(struct inode *inode);
void dax_retarget_assert_gone(struct address_space *mapping, pgoff_t pgoff);
void dax_pins_sync_range(struct address_space *mapping, loff_t lstart,
			 loff_t lend);

/* For file systems and the mm; callers test dax_retarget_enabled() first */
void dax_retarget_pagemap(struct dev_pagemap *pgmap);
void dax_pins_sync_super(struct super_block *sb);
void dax_pins_memory_failure(unsigned long pfn, bool simulated);
bool dax_pins_write_to(struct super_block *sb);

/* For the IOMMU core */
void dax_pins_leave_device(struct device *dev);

#else /* CONFIG_DAX_RETARGET */

static inline bool dax_retarget_enabled(void)
{
	return false;
}

static inline void dax_pin_limit_batch(const struct dax_pin_request *request,
				       unsigned long start,
				       unsigned long *nr_pages,
				       unsigned int *max_segment)
{
}

static inline long dax_pin_user_pages(struct dax_pin_request *request,
				      unsigned long start,
				      unsigned long nr_pages,
				      unsigned int gup_flags,
				      struct page **pages)
{
	return pin_user_pages_fast(start, nr_pages, gup_flags, pages);
}

static inline bool dax_pin_owns_page(struct dax_pin *pin, unsigned long index)
{
	return false;
}

static inline struct dax_pin *dax_pin_complete(struct dax_pin *pin)
{
	return NULL;
}

static inline int dax_pin_map_sgtable(struct dax_pin *pin,
				      struct sg_table *sgt,
				      unsigned long attrs)
{
	return 0;
}

static inline void dax_pin_end(struct dax_pin *pin)
{
}

static inline void dax_pin_put(struct dax_pin *pin)
{
}

static inline void dax_pin_watch(struct dax_pin *pin,
				 void (*lost)(void *data), void *data)
{
}

static inline bool dax_pin_unwatch(struct dax_pin *pin)
{
	return false;
}

static inline long dax_pin_file_pages(struct dax_pin_request *request,
				      unsigned long start,
				      unsigned long nr_pages,
				      unsigned int gup_flags)
{
	return -EOPNOTSUPP;
}

static inline int dax_pin_map_domain(struct dax_pin *pin,
				     struct iommu_domain *domain,
				     dma_addr_t iova, unsigned long first,
				     unsigned long nr, int prot)
{
	return -EOPNOTSUPP;
}

static inline void dax_pin_unmap_domain(struct dax_pin *pin,
					struct iommu_domain *domain,
					dma_addr_t iova, unsigned long nr)
{
}

static inline bool dax_pin_device_stopped(struct device *dev)
{
	return false;
}

static inline unsigned long dax_pin_run(struct dax_pin *pin,
					unsigned long index, unsigned long nr,
					bool *owned)
{
	*owned = false;
	return nr;
}

static inline void dax_retarget_range(struct address_space *mapping,
				      loff_t lstart, loff_t lend)
{
}

static inline void dax_retarget_free_range(struct address_space *mapping,
					   loff_t lstart, loff_t lend)
{
}

static inline void dax_retarget_inode(struct inode *inode)
{
}

static inline void dax_retarget_assert_gone(struct address_space *mapping,
					    pgoff_t pgoff)
{
}

static inline void dax_pins_sync_range(struct address_space *mapping,
				       loff_t lstart, loff_t lend)
{
}

static inline void dax_retarget_pagemap(struct dev_pagemap *pgmap)
{
}

static inline void dax_pins_sync_super(struct super_block *sb)
{
}

static inline void dax_pins_memory_failure(unsigned long pfn, bool simulated)
{
}

static inline bool dax_pins_write_to(struct super_block *sb)
{
	return false;
}

static inline void dax_pins_leave_device(struct device *dev)
{
}

#endif /* CONFIG_DAX_RETARGET */
#endif /* _LINUX_DAX_RETARGET_H */
