// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test-only: an NVDIMM whose errors can be cleared
 *
 * A write to a page of persistent memory that failed has the firmware clear the
 * error, and then the kernel maps the page again. QEMU's NVDIMM has no such method.
 * This module answers for the firmware: each error can be cleared, and is.
 */

#include <linux/acpi.h>
#include <linux/device.h>
#include <linux/libnvdimm.h>
#include <linux/module.h>
#include <linux/ndctl.h>

static struct acpi_device *root;
static struct nvdimm_bus_descriptor *bus;
static ndctl_fn firmware;

static int answer(struct nvdimm_bus_descriptor *desc, struct nvdimm *nvdimm,
		  unsigned int cmd, void *buf, unsigned int len, int *result)
{
	struct nd_cmd_clear_error *clear = buf;
	struct nd_cmd_ars_cap *cap = buf;

	if (nvdimm)
		return firmware(desc, nvdimm, cmd, buf, len, result);
	switch (cmd) {
	case ND_CMD_ARS_CAP:
		cap->status = 0;
		cap->clear_err_unit = 256;
		break;
	case ND_CMD_CLEAR_ERROR:
		clear->status = 0;
		clear->cleared = clear->length;
		break;
	default:
		return firmware(desc, nvdimm, cmd, buf, len, result);
	}
	*result = 0;
	return 0;
}

static int __init nvdimm_clear_init(void)
{
	root = acpi_dev_get_first_match_dev("ACPI0012", NULL, -1);
	if (!root)
		return -ENODEV;
	/* The first member of what the driver, which is not ours, keeps there */
	bus = dev_get_drvdata(&root->dev);
	if (!bus || !bus->provider_name ||
	    strcmp(bus->provider_name, "ACPI.NFIT")) {
		acpi_dev_put(root);
		return -ENODEV;
	}
	firmware = bus->ndctl;
	bus->ndctl = answer;
	return 0;
}

static void __exit nvdimm_clear_exit(void)
{
	bus->ndctl = firmware;
	acpi_dev_put(root);
}

module_init(nvdimm_clear_init);
module_exit(nvdimm_clear_exit);

MODULE_DESCRIPTION("test-only: clear errors of QEMU's NVDIMMs");
MODULE_LICENSE("GPL");
