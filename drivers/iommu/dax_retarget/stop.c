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

static void stop_device(struct device *dev, void *why)
{
	struct retarget_device *device = retarget_device_find(dev_name(dev));
	/* Before it is stopped: see dax_pin_device_stopped() */
	bool again = device && xchg(&device->stopped, true);

	/* Each time: the device's driver may have started it again */
	if (dev_is_pci(dev))
		stop_bus_master(to_pci_dev(dev));
	if (!device || again)
		return;
	atomic_long_inc(&device->stat[RETARGET_STAT_STOPS]);
	retarget_stat_add(RETARGET_STAT_STOPS, 1);
	dev_crit(dev, "dax_retarget: the device is stopped, as %s; bind its driver again to start it\n",
		 (const char *)why);
}

/**
 * retarget_domain_stop - keep the devices of a domain from all memory
 * @domain: the domain that failed
 * @why: what failed, for the log
 *
 * The devices of @domain stay stopped, and get no new pins, until a driver is bound to
 * them again.
 *
 * Context: may be called under a region's mutex
 */
void retarget_domain_stop(struct iommu_domain *domain, const char *why)
{
	domain->ops->retarget->for_each_device(domain, stop_device,
					       (void *)why);
}
