// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: stop a device when the IOMMU fails
 *
 * If an entry cannot be replaced, or the IOMMU does not confirm a flush, the
 * device may still reach a page that is about to leave its file. The device is
 * then kept from all memory: it may not start DMA any more. The file system goes
 * on only afterwards.
 */

#include <linux/device.h>
#include <linux/iommu_retarget.h>
#include <linux/pci.h>

static void stop_bus_master(struct pci_dev *pdev)
{
	u16 command;

	pci_clear_master(pdev);
	/* The answer comes behind what the device has written before */
	pci_read_config_word(pdev, PCI_COMMAND, &command);
}

/**
 * retarget_region_stop - keep a region's device from all memory
 * @region: a region with pages
 * @why: what failed, for the log
 *
 * The device stays stopped, and gets no new pins, until a driver is bound to it
 * again.
 *
 * Context: may be called under @region's mutex
 */
void retarget_region_stop(struct retarget_region *region, const char *why)
{
	/* Each time: the device's driver may have started it again */
	if (dev_is_pci(region->dev))
		stop_bus_master(to_pci_dev(region->dev));
	if (xchg(&region->device->stopped, true))
		return;
	dev_crit(region->dev, "dax_retarget: the device is stopped, as %s; bind its driver again to start it\n",
		 why);
	retarget_region_count(region, RETARGET_STAT_STOPS, 1);
}
