// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: which devices qualify
 *
 * A device qualifies if an IOMMU translates its DMA, if entries of its domain
 * can be replaced while the device uses them, and if only the IOMMU keeps
 * translations and no bounce buffer copies the data.
 */

#include <linux/crash_dump.h>
#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/iommu-dma.h>
#include <linux/iommu_retarget.h>
#include <linux/pci.h>
#include <linux/swiotlb.h>

/**
 * retarget_device_refusal - why does a device not qualify?
 * @dev: the device; %NULL if the CPU moves the data
 * @domain: its IOMMU domain, or %NULL
 *
 * Context: a driver is bound to @dev, so that its domain stays
 * Return: the reason, or %DAX_RETARGET_REFUSAL_NONE if @dev qualifies
 */
enum dax_retarget_refusal retarget_device_refusal(struct device *dev,
						  struct iommu_domain *domain)
{
	enum dax_retarget_refusal refusal;

	if (!dev)
		return DAX_RETARGET_REFUSAL_NO_DMA;
	if (!domain)
		return DAX_RETARGET_REFUSAL_NO_IOMMU;
	if (!dev_is_pci(dev))
		return DAX_RETARGET_REFUSAL_NOT_PCI;
	if (!(domain->type & __IOMMU_DOMAIN_DMA_API))
		return DAX_RETARGET_REFUSAL_PASSTHROUGH;
	if (!use_dma_iommu(dev))
		return DAX_RETARGET_REFUSAL_NO_IOMMU;
	if (!domain->ops->retarget)
		return DAX_RETARGET_REFUSAL_NO_REPLACE;
	refusal = domain->ops->retarget->refusal(domain, dev);
	if (refusal)
		return refusal;
	if (!dev_is_dma_coherent(dev))
		return DAX_RETARGET_REFUSAL_NOT_COHERENT;
	if (to_pci_dev(dev)->untrusted || is_swiotlb_force_bounce(dev))
		return DAX_RETARGET_REFUSAL_BOUNCE;
	if (is_kdump_kernel())
		return DAX_RETARGET_REFUSAL_CRASH_KERNEL;
	return DAX_RETARGET_REFUSAL_NONE;
}
