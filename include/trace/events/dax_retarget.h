/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM dax_retarget

#if !defined(_TRACE_DAX_RETARGET_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_DAX_RETARGET_H

#include <linux/dax_retarget_refusals.h>
#include <linux/device.h>
#include <linux/iommu_retarget.h>
#include <linux/tracepoint.h>
#include <uapi/linux/dax_retarget_netlink.h>

/* Programs that read the events know no enum */
#define DAX_RETARGET_TELL(value)	TRACE_DEFINE_ENUM(value);
DAX_RETARGET_REFUSAL_VALUES(DAX_RETARGET_TELL)
DAX_RETARGET_TELL(DAX_RETARGET_REASON_TRUNCATE)
DAX_RETARGET_TELL(DAX_RETARGET_REASON_EVICT)
DAX_RETARGET_TELL(DAX_RETARGET_REASON_REMOVE)
DAX_RETARGET_TELL(DAX_RETARGET_REASON_REVOKE)
#undef DAX_RETARGET_TELL

#ifndef _TRACE_DAX_RETARGET_REASONS
#define _TRACE_DAX_RETARGET_REASONS
#define DAX_RETARGET_REASONS					\
	{ DAX_RETARGET_REASON_TRUNCATE,	"truncate" },		\
	{ DAX_RETARGET_REASON_EVICT,	"evict" },		\
	{ DAX_RETARGET_REASON_REMOVE,	"remove" },		\
	{ DAX_RETARGET_REASON_REVOKE,	"revoke" }
#endif

TRACE_EVENT(dax_pin_refused,
	TP_PROTO(struct device *dev, enum dax_retarget_refusal refusal),
	TP_ARGS(dev, refusal),
	TP_STRUCT__entry(
		__string(dev, dev ? dev_name(dev) : "none")
		__field(int, refusal)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->refusal = refusal;
	),
	TP_printk("dev=%s reason=\"%s\"", __get_str(dev),
		  __print_symbolic(__entry->refusal, DAX_RETARGET_REFUSALS))
);

TRACE_EVENT(dax_pin_register,
	TP_PROTO(struct retarget_region *region, dev_t sb_dev, unsigned long ino,
		 pgoff_t pgoff, unsigned long nr, unsigned long index),
	TP_ARGS(region, sb_dev, ino, pgoff, nr, index),
	TP_STRUCT__entry(
		__field(void *, pin)
		__string(dev, retarget_region_name(region))
		__field(dev_t, sb_dev)
		__field(unsigned long, ino)
		__field(pgoff_t, pgoff)
		__field(unsigned long, nr)
		__field(unsigned long, index)
	),
	TP_fast_assign(
		__entry->pin = region;
		__assign_str(dev);
		__entry->sb_dev = sb_dev;
		__entry->ino = ino;
		__entry->pgoff = pgoff;
		__entry->nr = nr;
		__entry->index = index;
	),
	TP_printk("pin=%p dev=%s file=%d:%d/%lu page_offset=%lu pages=%lu index=%lu",
		  __entry->pin, __get_str(dev), MAJOR(__entry->sb_dev),
		  MINOR(__entry->sb_dev), __entry->ino, __entry->pgoff,
		  __entry->nr, __entry->index)
);

TRACE_EVENT(dax_pin_map,
	TP_PROTO(struct retarget_region *region, unsigned long marked),
	TP_ARGS(region, marked),
	TP_STRUCT__entry(
		__field(void *, pin)
		__string(dev, retarget_region_name(region))
		__field(u64, iova)
		__field(unsigned long, nr)
		__field(unsigned long, marked)
		__field(bool, writable)
	),
	TP_fast_assign(
		__entry->pin = region;
		__assign_str(dev);
		__entry->iova = region->iova;
		__entry->nr = region->nr_pages;
		__entry->marked = marked;
		__entry->writable = region->writable;
	),
	TP_printk("pin=%p dev=%s iova=0x%llx pages=%lu marked=%lu access=%s",
		  __entry->pin, __get_str(dev), __entry->iova, __entry->nr,
		  __entry->marked, __entry->writable ? "rw" : "ro")
);

TRACE_EVENT(dax_retarget,
	TP_PROTO(struct retarget_region *region, unsigned long first, unsigned long last,
		 unsigned long nr),
	TP_ARGS(region, first, last, nr),
	TP_STRUCT__entry(
		__field(void *, pin)
		__string(dev, retarget_region_name(region))
		__field(u64, iova)
		__field(unsigned long, first)
		__field(unsigned long, last)
		__field(unsigned long, nr)
		__field(bool, live)
	),
	TP_fast_assign(
		__entry->pin = region;
		__assign_str(dev);
		__entry->live = region->state == RETARGET_LIVE;
		__entry->iova = __entry->live ?
				region->iova + ((u64)first << PAGE_SHIFT) : 0;
		__entry->first = first;
		__entry->last = last;
		__entry->nr = nr;
	),
	TP_printk("pin=%p dev=%s iova=0x%llx index=%lu-%lu pages=%lu %s",
		  __entry->pin, __get_str(dev), __entry->iova, __entry->first,
		  __entry->last, __entry->nr,
		  __entry->live ? "replaced" : "marked")
);

TRACE_EVENT(dax_retarget_file,
	TP_PROTO(dev_t sb_dev, unsigned long ino, pgoff_t first, pgoff_t last,
		 enum dax_retarget_reason reason, unsigned long nr),
	TP_ARGS(sb_dev, ino, first, last, reason, nr),
	TP_STRUCT__entry(
		__field(dev_t, sb_dev)
		__field(unsigned long, ino)
		__field(pgoff_t, first)
		__field(pgoff_t, last)
		__field(int, reason)
		__field(unsigned long, nr)
	),
	TP_fast_assign(
		__entry->sb_dev = sb_dev;
		__entry->ino = ino;
		__entry->first = first;
		__entry->last = last;
		__entry->reason = reason;
		__entry->nr = nr;
	),
	TP_printk("file=%d:%d/%lu page_offset=%lu-%lu reason=%s pages=%lu",
		  MAJOR(__entry->sb_dev), MINOR(__entry->sb_dev), __entry->ino,
		  __entry->first, __entry->last,
		  __print_symbolic(__entry->reason, DAX_RETARGET_REASONS),
		  __entry->nr)
);

TRACE_EVENT(dax_retarget_flush,
	TP_PROTO(struct iommu_domain *domain, unsigned long start,
		 unsigned long end),
	TP_ARGS(domain, start, end),
	TP_STRUCT__entry(
		__field(void *, domain)
		__field(unsigned long, start)
		__field(unsigned long, end)
	),
	TP_fast_assign(
		__entry->domain = domain;
		__entry->start = start;
		__entry->end = end;
	),
	TP_printk("domain=%p iova=0x%lx-0x%lx", __entry->domain,
		  __entry->start, __entry->end)
);

TRACE_EVENT(dax_pin_sync,
	TP_PROTO(struct retarget_region *region, unsigned long index, unsigned long nr),
	TP_ARGS(region, index, nr),
	TP_STRUCT__entry(
		__field(void *, pin)
		__string(dev, retarget_region_name(region))
		__field(unsigned long, index)
		__field(unsigned long, nr)
	),
	TP_fast_assign(
		__entry->pin = region;
		__assign_str(dev);
		__entry->index = index;
		__entry->nr = nr;
	),
	TP_printk("pin=%p dev=%s index=%lu pages=%lu", __entry->pin,
		  __get_str(dev), __entry->index, __entry->nr)
);

TRACE_EVENT(dax_pin_memory_failure,
	TP_PROTO(struct retarget_region *region, unsigned long index, unsigned long pfn),
	TP_ARGS(region, index, pfn),
	TP_STRUCT__entry(
		__field(void *, pin)
		__string(dev, retarget_region_name(region))
		__field(unsigned long, index)
		__field(unsigned long, pfn)
	),
	TP_fast_assign(
		__entry->pin = region;
		__assign_str(dev);
		__entry->index = index;
		__entry->pfn = pfn;
	),
	TP_printk("pin=%p dev=%s index=%lu pfn=0x%lx", __entry->pin,
		  __get_str(dev), __entry->index, __entry->pfn)
);

TRACE_EVENT(dax_pin_end,
	TP_PROTO(struct retarget_region *region, unsigned long retargeted),
	TP_ARGS(region, retargeted),
	TP_STRUCT__entry(
		__field(void *, pin)
		__string(dev, retarget_region_name(region))
		__field(unsigned long, retargeted)
	),
	TP_fast_assign(
		__entry->pin = region;
		__assign_str(dev);
		__entry->retargeted = retargeted;
	),
	TP_printk("pin=%p dev=%s retargeted=%lu", __entry->pin, __get_str(dev),
		  __entry->retargeted)
);

#endif /* _TRACE_DAX_RETARGET_H */

#include <trace/define_trace.h>
