// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: which devices qualify, and what is known of them
 *
 * A device qualifies if an IOMMU translates its DMA, if entries of its domain
 * can be replaced while the device uses them, and if only the IOMMU keeps
 * translations and no bounce buffer copies the data.
 *
 * The answer is noted when a driver is bound to the device, for administrators:
 * to ask at any other time would take the device's lock.
 */

#include <linux/crash_dump.h>
#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/iommu-dma.h>
#include <linux/iommu_retarget.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/swiotlb.h>

static struct retarget_device *devices;

/**
 * retarget_device_find - find a device by name
 * @name: of the device
 *
 * Context: any
 * Return: the device, which stays, or %NULL
 */
struct retarget_device *retarget_device_find(const char *name)
{
	struct retarget_device *device = NULL;

	while ((device = retarget_device_next(device)))
		if (!strcmp(device->name, name))
			break;
	return device;
}

/* Why can a domain not be used for a device, whoever maps pages into the domain? */
static enum dax_retarget_refusal domain_refusal(struct iommu_domain *domain,
						struct device *dev)
{
	enum dax_retarget_refusal refusal;
	struct retarget_device *device;

	if (!domain->ops->retarget)
		return DAX_RETARGET_REFUSAL_NO_REPLACE;
	refusal = domain->ops->retarget->refusal(domain, dev);
	if (refusal)
		return refusal;
	if (!dev_is_dma_coherent(dev))
		return DAX_RETARGET_REFUSAL_NOT_COHERENT;
	if (is_kdump_kernel())
		return DAX_RETARGET_REFUSAL_CRASH_KERNEL;
	device = retarget_device_find(dev_name(dev));
	if (device && READ_ONCE(device->stopped))
		return DAX_RETARGET_REFUSAL_STOPPED;
	return DAX_RETARGET_REFUSAL_NONE;
}

struct domain_answer {
	struct iommu_domain *domain;
	enum dax_retarget_refusal refusal;
	struct device *dev;
};

static const char *domain_type(struct iommu_domain *domain)
{
	if (!domain)
		return "none";
	switch (domain->type) {
	case IOMMU_DOMAIN_BLOCKED:
		return "blocked";
	case IOMMU_DOMAIN_IDENTITY:
		return "identity";
	case IOMMU_DOMAIN_UNMANAGED:
		return "unmanaged";
	case IOMMU_DOMAIN_DMA:
		return "DMA";
	case IOMMU_DOMAIN_DMA_FQ:
		return "DMA-FQ";
	default:
		return "other";
	}
}

static bool tracks_writes(struct iommu_domain *domain)
{
	const struct iommu_retarget_ops *ops = domain->ops->retarget;

	return ops->tracks_writes && ops->tracks_writes(domain);
}

/* For administrators: when the driver was bound, the domain was not there yet */
static void note_answer(struct device *dev, struct iommu_domain *domain,
			enum dax_retarget_refusal refusal)
{
	struct retarget_device *device = retarget_device_find(dev_name(dev));

	if (!device)
		return;
	spin_lock(&device->lock);
	device->refusal = refusal;
	device->domain_type = domain_type(domain);
	device->tracks_writes = !refusal && tracks_writes(domain);
	spin_unlock(&device->lock);
}

static void ask_device(struct device *dev, void *arg)
{
	struct domain_answer *answer = arg;
	enum dax_retarget_refusal refusal;

	if (!answer->dev)
		answer->dev = get_device(dev);
	refusal = dev_is_pci(dev) ? domain_refusal(answer->domain, dev) :
				    DAX_RETARGET_REFUSAL_NOT_PCI;
	note_answer(dev, answer->domain, refusal);
	if (!answer->refusal)
		answer->refusal = refusal;
}

/**
 * retarget_domain_refusal - why can a consumer's domain not be used?
 * @domain: a domain that a consumer manages
 * @dev: gets one of its devices, with a reference, or %NULL if it has none
 *
 * Context: may sleep
 * Return: the reason, which holds for one of the devices; or
 *	   %DAX_RETARGET_REFUSAL_NONE if all qualify
 */
enum dax_retarget_refusal retarget_domain_refusal(struct iommu_domain *domain,
						  struct device **dev)
{
	struct domain_answer answer = { .domain = domain };

	*dev = NULL;
	if (domain->type != IOMMU_DOMAIN_UNMANAGED || !domain->ops->retarget)
		return DAX_RETARGET_REFUSAL_NO_REPLACE;
	answer.refusal = domain->ops->retarget->refusal(domain, NULL);
	/* First, so that a device that comes later is asked as well */
	if (!answer.refusal)
		domain->ops->retarget->claim(domain);
	domain->ops->retarget->for_each_device(domain, ask_device, &answer);
	*dev = answer.dev;
	return answer.refusal;
}

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
	refusal = domain_refusal(domain, dev);
	if (refusal)
		return refusal;
	if (to_pci_dev(dev)->untrusted || is_swiotlb_force_bounce(dev))
		return DAX_RETARGET_REFUSAL_BOUNCE;
	return DAX_RETARGET_REFUSAL_NONE;
}

/**
 * retarget_device_next - the next of all devices that are known
 * @device: a device, or %NULL for the first
 *
 * Context: any
 * Return: the next device, or %NULL
 */
struct retarget_device *retarget_device_next(struct retarget_device *device)
{
	if (device)
		return device->next;
	/* Pairs with retarget_device_get(): an element of the list is complete */
	return smp_load_acquire(&devices);
}

/**
 * retarget_device_get - find a device, or note it
 * @name: of the device
 *
 * Context: may sleep
 * Return: the device, which stays, or %NULL if there is no memory
 */
struct retarget_device *retarget_device_get(const char *name)
{
	static DEFINE_MUTEX(mutex);
	struct retarget_device *device;

	mutex_lock(&mutex);
	device = retarget_device_find(name);
	if (device)
		goto out;
	device = kzalloc(sizeof(*device), GFP_KERNEL);
	if (!device)
		goto out;
	device->name = kstrdup(name, GFP_KERNEL);
	if (!device->name) {
		kfree(device);
		device = NULL;
		goto out;
	}
	init_rwsem(&device->rwsem);
	spin_lock_init(&device->lock);
	INIT_LIST_HEAD(&device->regions);
	device->next = devices;
	/* Readers take no lock, see retarget_device_next() */
	smp_store_release(&devices, device);
out:
	mutex_unlock(&mutex);
	return device;
}

/**
 * retarget_device_bound - note whether a device qualifies
 * @dev: a PCI device to which a driver was bound
 *
 * Context: under @dev's lock. May sleep.
 */
void retarget_device_bound(struct device *dev)
{
	struct retarget_device *device = retarget_device_get(dev_name(dev));
	enum dax_retarget_refusal refusal;
	const char *type = "unknown";
	struct iommu_domain *domain;
	bool tracks = false;

	/* Without memory the device is not listed, and can be used */
	if (!device)
		return;
	WRITE_ONCE(device->stopped, false);
	if (to_pci_driver(dev->driver)->driver_managed_dma) {
		/* Such a driver, VFIO's for example, may change domains */
		refusal = DAX_RETARGET_REFUSAL_MANAGED;
	} else {
		domain = iommu_get_domain_for_dev(dev);
		type = domain_type(domain);
		refusal = retarget_device_refusal(dev, domain);
		if (!refusal)
			tracks = tracks_writes(domain);
	}
	spin_lock(&device->lock);
	device->bound = true;
	strscpy(device->driver, dev->driver->name);
	device->refusal = refusal;
	device->domain_type = type;
	device->tracks_writes = tracks;
	spin_unlock(&device->lock);
}

/**
 * retarget_device_describe - what was noted of a device
 * @device: the device
 * @driver: gets the name of its driver; 32 bytes
 * @refusal: gets why the device does not qualify
 * @domain_type: gets the name of the type of its IOMMU domain
 * @tracks_writes: gets whether the IOMMU can tell which pages the device wrote to;
 *                 false if the device does not qualify
 *
 * Context: does not sleep
 * Return: true if a driver is bound to the device
 */
bool retarget_device_describe(struct retarget_device *device, char *driver,
			      enum dax_retarget_refusal *refusal,
			      const char **domain_type, bool *tracks_writes)
{
	bool bound;

	spin_lock(&device->lock);
	bound = device->bound;
	memcpy(driver, device->driver, sizeof(device->driver));
	*refusal = device->refusal;
	*domain_type = device->domain_type;
	*tracks_writes = device->tracks_writes;
	spin_unlock(&device->lock);
	if (READ_ONCE(device->stopped)) {
		*refusal = DAX_RETARGET_REFUSAL_STOPPED;
		*tracks_writes = false;
	}
	return bound;
}

static struct retarget_region *first_region(struct retarget_device *device)
{
	struct retarget_region *region;

	spin_lock(&device->lock);
	region = list_first_entry_or_null(&device->regions,
					  struct retarget_region, link);
	spin_unlock(&device->lock);
	return region;
}

/**
 * retarget_device_leave - take all regions from a device that loses its domain
 * @dev: the device
 *
 * A region that was left behind stays detached: a hook only marks its pages.
 * When the function returns, no hook uses the domain.
 *
 * Context: @dev's domain is still there. May sleep, waits for hooks.
 * Return: number of regions that were left behind
 */
unsigned long retarget_device_leave(struct device *dev)
{
	struct retarget_device *device = retarget_device_find(dev_name(dev));
	struct retarget_region *region;
	unsigned long nr = 0;

	if (!device)
		return 0;

	spin_lock(&device->lock);
	device->bound = false;
	spin_unlock(&device->lock);

	/* The task that ends a region waits here, so the region stays */
	down_write(&device->rwsem);
	while ((region = first_region(device))) {
		retarget_region_detach_locked(region);
		retarget_region_unmap_locked(region);
		nr++;
	}
	up_write(&device->rwsem);
	/* A hook may still have to flush the domain */
	if (nr)
		retarget_hooks_wait();
	return nr;
}
