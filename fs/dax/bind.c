// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: a driver is bound to a device, or unbound
 *
 * When a driver is bound, the kernel notes whether the device qualifies, so that
 * administrators can be told.
 *
 * When the driver is unbound, the pins of the device have ended, unless the
 * driver failed to destroy a memory region and left the region behind, as some
 * drivers do when the device does not answer. The IOMMU core calls here before it
 * takes the domain back: the device must not reach a file through a region that
 * nothing can destroy, and no hook may touch the domain afterwards.
 */

#include <linux/dax_retarget.h>
#include <linux/dax_retarget_test.h>
#include <linux/device.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/iommu_retarget.h>
#include <linux/pci.h>

#include "internal.h"

/**
 * dax_pins_leave_device - unmap the pins that a driver left behind
 * @dev: a device whose driver stops to use its IOMMU domain
 *
 * Such a pin stays detached and in the index, so that its file stays pinned, and
 * hooks only mark its pages.
 *
 * Context: process context, @dev's domain is still there. May sleep.
 */
void dax_pins_leave_device(struct device *dev)
{
	unsigned long nr;

	if (!dev_is_pci(dev))
		return;
	nr = retarget_device_leave(dev);
	if (nr)
		dev_warn(dev, "dax_retarget: %lu memory regions have outlived the device's driver; their files stay pinned\n",
			 nr);
}

/**
 * dax_pin_device_stopped - was a device stopped, as the IOMMU failed?
 * @dev: the device
 *
 * Such a device must not do DMA until a driver is bound to it again. A driver that
 * hands the device to a program asks before it lets the program turn bus mastering on,
 * and once more afterwards: the device may be stopped meanwhile.
 *
 * Context: may sleep
 * Return: true if so
 */
bool dax_pin_device_stopped(struct device *dev)
{
	struct retarget_device *device;

	if (!dax_retarget_enabled() ||
	    dax_retarget_broken(DAX_BREAK_stay_stopped))
		return false;
	/* Pairs with the order in which a device is marked and stopped */
	smp_mb();
	device = retarget_device_find(dev_name(dev));
	return device && READ_ONCE(device->stopped);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_device_stopped, DAX_RETARGET);

static int device_changes(struct notifier_block *nb, unsigned long action,
			  void *dev)
{
	if (action == BUS_NOTIFY_BOUND_DRIVER)
		retarget_device_bound(dev);
	return NOTIFY_OK;
}

static struct notifier_block device_changes_block = {
	.notifier_call = device_changes,
};

static int is_bound(struct device *dev, void *unused)
{
	device_lock(dev);
	if (dev->driver)
		retarget_device_bound(dev);
	device_unlock(dev);
	return 0;
}

static int __init dax_retarget_bind_init(void)
{
	int ret;

	if (!dax_retarget_enabled())
		return 0;
	ret = bus_register_notifier(&pci_bus_type, &device_changes_block);
	return ret ?: bus_for_each_dev(&pci_bus_type, NULL, NULL, is_bound);
}
fs_initcall(dax_retarget_bind_init);
