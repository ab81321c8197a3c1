// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: who may make pins at all
 *
 * The boot parameter turns pins on; a device has to qualify as well. Where the
 * gate is closed, a consumer does what it always did, with the same error. When
 * a device loses its driver, the gate closes behind its pins.
 */

#include <linux/crash_dump.h>
#include <linux/dax_retarget.h>
#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/iommu-dma.h>
#include <linux/pci.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <linux/swiotlb.h>

#include "internal.h"

#define CREATE_TRACE_POINTS
#include <trace/events/dax_retarget.h>

DEFINE_STATIC_KEY_FALSE(dax_retarget_key);
EXPORT_SYMBOL_GPL(dax_retarget_key);

static const struct {
	const char *name;
	bool on;
} modes[] = {
	{ "off", false },
	{ "on", true },
};

/**
 * dax_retarget_parse_mode - read the value of the boot parameter
 * @mode: the value
 * @on: gets what it means; false if it means nothing
 *
 * Context: any
 * Return: false if it means nothing
 */
bool dax_retarget_parse_mode(const char *mode, bool *on)
{
	int i;

	*on = false;
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(mode, modes[i].name))
			continue;
		*on = modes[i].on;
		return true;
	}
	return false;
}

static int __init dax_retarget_setup(char *str)
{
	bool on;

	if (!dax_retarget_parse_mode(str, &on))
		pr_warn("dax_retarget: unknown mode \"%s\", staying off; known modes are \"off\" and \"on\"\n",
			str);
	if (on)
		static_branch_enable(&dax_retarget_key);
	else
		static_branch_disable(&dax_retarget_key);
	return 1;
}
__setup("dax_retarget=", dax_retarget_setup);

/**
 * dax_retarget_refusal - why does a device not qualify?
 * @dev: the device
 * @domain: its IOMMU domain, or %NULL
 *
 * Context: a driver is bound to @dev, so that its domain stays
 * Return: the reason, or %DAX_RETARGET_REFUSAL_NONE if @dev qualifies
 */
enum dax_retarget_refusal dax_retarget_refusal(struct device *dev,
					       struct iommu_domain *domain)
{
	enum dax_retarget_refusal refusal;

	if (!domain || !use_dma_iommu(dev))
		return DAX_RETARGET_REFUSAL_NO_IOMMU;
	if (!dev_is_pci(dev))
		return DAX_RETARGET_REFUSAL_NOT_PCI;
	if (!(domain->type & __IOMMU_DOMAIN_DMA_API))
		return DAX_RETARGET_REFUSAL_PASSTHROUGH;
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

/**
 * dax_pin_refused - report why pages cannot be pinned
 * @pin: a pin that registers
 * @refusal: the reason
 *
 * Context: any
 */
void dax_pin_refused(struct dax_pin *pin, enum dax_retarget_refusal refusal)
{
	trace_dax_pin_refused(pin->dev, refusal);
}

/**
 * dax_retarget_domain - find the domain in which pins of a device are kept
 * @dev: the device that does the DMA; %NULL for one without DMA of its own
 *
 * Context: a driver is bound to @dev, so that its domain stays
 * Return: the domain, or %NULL if @dev does not qualify
 */
struct iommu_domain *dax_retarget_domain(struct device *dev)
{
	enum dax_retarget_refusal refusal;
	struct iommu_domain *domain;

	if (!dev) {
		trace_dax_pin_refused(NULL, DAX_RETARGET_REFUSAL_NO_DMA);
		return NULL;
	}

	domain = iommu_get_domain_for_dev(dev);
	refusal = dax_retarget_refusal(dev, domain);
	if (refusal) {
		trace_dax_pin_refused(dev, refusal);
		return NULL;
	}
	return domain;
}

static int device_changes(struct notifier_block *nb, unsigned long action,
			  void *dev)
{
	if (action == BUS_NOTIFY_UNBOUND_DRIVER)
		dax_pins_leave_device(dev);
	return NOTIFY_OK;
}

static struct notifier_block device_changes_block = {
	.notifier_call = device_changes,
};

static int __init dax_retarget_gate_init(void)
{
	if (!dax_retarget_enabled())
		return 0;
	return bus_register_notifier(&pci_bus_type, &device_changes_block);
}
fs_initcall(dax_retarget_gate_init);
