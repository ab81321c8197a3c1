// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: a driver is unbound from a device
 *
 * The pins of the device have ended by then, unless the driver failed to destroy
 * a memory region and left the region behind, as some drivers do when the device
 * does not answer. The pin of such a region is unmapped here: its device must not
 * reach a file through a region that nothing can destroy, and no hook may touch
 * the IOMMU domain, which can be freed from then on.
 */

#include <linux/dax_retarget.h>
#include <linux/device.h>
#include <linux/init.h>
#include <linux/pci.h>

#include "internal.h"

static void leave_device(struct dax_pinned_file *file, void *dev)
{
	struct dax_pin_range *range;

	/* For write: a hook that runs may still have to flush the domain */
	down_write(&file->rwsem);
	for_each_dax_pin_range(range, file, 0, ULONG_MAX) {
		struct dax_pin *pin = range->pin;

		mutex_lock(&pin->region.mutex);
		if (pin->region.dev == dev &&
		    retarget_region_unmap_locked(&pin->region))
			dev_warn_ratelimited(dev, "dax_retarget: a memory region of %s has outlived the device's driver; its file stays pinned\n",
					     pin->consumer);
		mutex_unlock(&pin->region.mutex);
	}
	up_write(&file->rwsem);
}

/**
 * dax_pins_leave_device - unmap the pins that a driver left behind
 * @dev: the device
 *
 * Such a pin stays unmapped and in the index, so that its file stays pinned, and
 * hooks only mark its pages.
 *
 * Context: process context, @dev's domain is still there. May sleep.
 */
void dax_pins_leave_device(struct device *dev)
{
	dax_pinned_files_visit(leave_device, dev);
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

static int __init dax_retarget_unbind_init(void)
{
	if (!dax_retarget_enabled())
		return 0;
	return bus_register_notifier(&pci_bus_type, &device_changes_block);
}
fs_initcall(dax_retarget_unbind_init);
