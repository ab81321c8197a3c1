/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The words for why pages cannot be pinned, from the enum "refusal" in
 * Documentation/netlink/specs/dax-retarget.yaml
 *
 * Made by tools/dax_retarget/refusals.py; do not edit.
 */
#ifndef _LINUX_DAX_RETARGET_REFUSALS_H
#define _LINUX_DAX_RETARGET_REFUSALS_H

/* Value and words */
#define DAX_RETARGET_REFUSALS \
	{ DAX_RETARGET_REFUSAL_NONE, \
	  "nothing is in the way" }, \
	{ DAX_RETARGET_REFUSAL_NO_DMA, \
	  "the device does no DMA of its own" }, \
	{ DAX_RETARGET_REFUSAL_NO_IOMMU, \
	  "no IOMMU translates the device's DMA" }, \
	{ DAX_RETARGET_REFUSAL_NOT_PCI, \
	  "the device is not on a PCI bus" }, \
	{ DAX_RETARGET_REFUSAL_PASSTHROUGH, \
	  "the device's IOMMU domain is passed through" }, \
	{ DAX_RETARGET_REFUSAL_NO_REPLACE, \
	  "the IOMMU cannot replace live entries for the device" }, \
	{ DAX_RETARGET_REFUSAL_NESTED, \
	  "the IOMMU domain is the parent of nested ones" }, \
	{ DAX_RETARGET_REFUSAL_NO_DRAIN, \
	  "the IOMMU cannot wait for DMA that is under way (queued invalidation, draining)" }, \
	{ DAX_RETARGET_REFUSAL_CACHING_MODE, \
	  "the IOMMU is emulated by a hypervisor that copies its tables (caching mode)" }, \
	{ DAX_RETARGET_REFUSAL_ATS, \
	  "the device caches translations (ATS)" }, \
	{ DAX_RETARGET_REFUSAL_NOT_COHERENT, \
	  "the device is not cache coherent" }, \
	{ DAX_RETARGET_REFUSAL_BOUNCE, \
	  "the device's DMA may go through bounce buffers" }, \
	{ DAX_RETARGET_REFUSAL_CRASH_KERNEL, \
	  "a crash kernel attaches domains late" }, \
	{ DAX_RETARGET_REFUSAL_STOPPED, \
	  "the device was stopped, as the IOMMU failed; bind its driver again" }, \
	{ DAX_RETARGET_REFUSAL_MANAGED, \
	  "its driver manages the device's DMA itself" }, \
	{ DAX_RETARGET_REFUSAL_PRIVATE_MAPPING, \
	  "a private mapping" }, \
	{ DAX_RETARGET_REFUSAL_FILE_SYSTEM, \
	  "the file system did not opt in" }, \
	{ DAX_RETARGET_REFUSAL_SHARED_BLOCKS, \
	  "the file has, or may have, shared blocks" }, \
	{ DAX_RETARGET_REFUSAL_HOLE, \
	  "a hole in a read-only mapping" }, \
	{ DAX_RETARGET_REFUSAL_NOT_DIRECT, \
	  "the file system is not directly on persistent memory" }, \
	{ DAX_RETARGET_REFUSAL_SEGMENT, \
	  "a segment crosses the device's segment boundary" }, \
	{ DAX_RETARGET_REFUSAL_TEST, \
	  "a test asked for it" }

/* Each value, for readers of trace events, which know no enum */
#define DAX_RETARGET_REFUSAL_VALUES(X) \
	X(DAX_RETARGET_REFUSAL_NONE) \
	X(DAX_RETARGET_REFUSAL_NO_DMA) \
	X(DAX_RETARGET_REFUSAL_NO_IOMMU) \
	X(DAX_RETARGET_REFUSAL_NOT_PCI) \
	X(DAX_RETARGET_REFUSAL_PASSTHROUGH) \
	X(DAX_RETARGET_REFUSAL_NO_REPLACE) \
	X(DAX_RETARGET_REFUSAL_NESTED) \
	X(DAX_RETARGET_REFUSAL_NO_DRAIN) \
	X(DAX_RETARGET_REFUSAL_CACHING_MODE) \
	X(DAX_RETARGET_REFUSAL_ATS) \
	X(DAX_RETARGET_REFUSAL_NOT_COHERENT) \
	X(DAX_RETARGET_REFUSAL_BOUNCE) \
	X(DAX_RETARGET_REFUSAL_CRASH_KERNEL) \
	X(DAX_RETARGET_REFUSAL_STOPPED) \
	X(DAX_RETARGET_REFUSAL_MANAGED) \
	X(DAX_RETARGET_REFUSAL_PRIVATE_MAPPING) \
	X(DAX_RETARGET_REFUSAL_FILE_SYSTEM) \
	X(DAX_RETARGET_REFUSAL_SHARED_BLOCKS) \
	X(DAX_RETARGET_REFUSAL_HOLE) \
	X(DAX_RETARGET_REFUSAL_NOT_DIRECT) \
	X(DAX_RETARGET_REFUSAL_SEGMENT) \
	X(DAX_RETARGET_REFUSAL_TEST)

#endif /* _LINUX_DAX_RETARGET_REFUSALS_H */
