// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver of a device is unbound. Pins that it left behind are unmapped while
 * the device's IOMMU domain is certain to be there: before others may change the
 * domain, as a write to "type" of the IOMMU group does.
 *
 * No driver here leaves a pin behind; pin_kunit.c has one that does. So this test
 * sees the order of the calls, by probes. It unbinds the driver of the second NIC
 * and makes the NIC anew, by the command in NICS.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_trace.h"

#define PAGES	4UL

FIXTURE(unbind)
{
	struct bench bench;
	struct region region;	/* of the other NIC */
	struct device device;
	char type[PATH_MAX + 8];	/* file of its IOMMU group */
	bool bound;
};

FIXTURE_SETUP(unbind)
{
	char path[256], target[PATH_MAX];

	SKIP_IF(return, bench_open(&self->bench) ?:
			device_find(1, &self->device));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group",
		 self->device.name);
	if (!realpath(path, target))
		SKIP(return, "%s has no IOMMU group", self->device.name);
	snprintf(self->type, sizeof(self->type), "%s/type", target);
	if (!trace_open() ||
	    !trace_probe("pins_leave", "dax_pins_leave_device") ||
	    !trace_return("domain_unused", "iommu_device_unuse_default_domain"))
		SKIP(return, "no probes (CONFIG_KPROBE_EVENTS)");
	region_open(&self->bench, &self->region, "file", PAGES);
	self->bound = true;
}

FIXTURE_TEARDOWN(unbind)
{
	if (!self->bound)
		devices_bind();
	trace_close();
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

TEST_F(unbind, pins_leave_before_the_domain_can)
{
	bool left = false, unused = false;
	struct trace_event event;
	FILE *trace;

	trace_clear();
	device_unbind(&self->device);
	self->bound = false;
	trace = trace_begin();
	while (trace_next(trace, &event)) {
		if (!strcmp(event.name, "pins_leave")) {
			EXPECT_FALSE(unused)
				TH_LOG("PINS LEAVE TOO LATE: the domain may be gone");
			left = true;
		} else if (!strcmp(event.name, "domain_unused")) {
			unused = true;
		}
	}
	EXPECT_TRUE(left)
		TH_LOG("no call of dax_pins_leave_device()");
	EXPECT_TRUE(unused);

	/* Another domain for the group, and back; the other NIC's pin stays */
	write_file(self->type, "identity");
	write_file(self->type, "DMA");
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, self->region.mr, 0,
					    self->region.fd, 0, PAGES));
	write_file(self->type, "DMA-FQ");
}

TEST_HARNESS_MAIN
