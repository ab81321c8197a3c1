// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI devices behind NICs, for tests that take their drivers away. NICS in the
 * environment is the command that makes the NICs anew.
 */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib.h"

/* Run a command, in which %s is @arg; false if it fails, which is said */
bool shell(const char *fmt, const char *arg)
{
	char command[512];

	snprintf(command, sizeof(command), fmt, arg);
	if (!system(command))
		return true;
	printf("# fails: %s\n", command);
	return false;
}

/**
 * device_find - find the device that does the DMA of a NIC
 * @index: of the NIC
 * @device: gets its name, such as 0000:00:05.0
 *
 * Return: NULL, or why the test has to be skipped
 */
const char *device_find(unsigned int index, struct device *device)
{
	char path[256], target[PATH_MAX];
	const char *missing;

	missing = permission_missing("NICS", "take the driver of a NIC away");
	if (missing)
		return missing;
	if (!nic_exists(index))
		return "not enough devices";
	if (!consumer_is_rdma()) {
		device->nic[0] = 0;
		snprintf(device->name, sizeof(device->name), "%s",
			 nic_name(index));
		return NULL;
	}
	snprintf(device->nic, sizeof(device->nic), "%s", nic_name(index));
	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/device",
		 device->nic);
	if (!realpath(path, target))
		return "the NIC has no device";
	snprintf(device->name, sizeof(device->name), "%.63s",
		 strrchr(target, '/') + 1);
	return NULL;
}

/* Take the driver of a device away, and the NIC */
void device_unbind(const struct device *device)
{
	if ((device->nic[0] && !shell("rdma link delete %s", device->nic)) ||
	    !shell("p=%s; echo $p > /sys/bus/pci/devices/$p/driver/unbind",
		   device->name))
		die("cannot unbind %s", device->name);
}

/* Bring back all NICs that are missing */
void devices_bind(void)
{
	if (!shell("%s > /dev/null", getenv("NICS")))
		die("the NICs are lost");
}
