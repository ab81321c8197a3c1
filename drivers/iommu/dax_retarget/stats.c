// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: counters
 *
 * Read from dax_retarget/stats in debugfs: a name and a number a line. The
 * first group is what exists now and goes back to zero with the last pin; the
 * second counts from boot.
 */

#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/init.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"

static atomic_long_t stats[DAX_STAT_NR];
static struct dax_device_stats *devices;

static const char * const names[DAX_STAT_NR] = {
	[DAX_STAT_PINS]			= "pins",
	[DAX_STAT_FILES]		= "files",
	[DAX_STAT_PAGES_PINNED]		= "pages_pinned",
	[DAX_STAT_SCRATCH_PAGES]	= "scratch_pages",
	[DAX_STAT_TABLE_PAGES]		= "table_pages",
	[DAX_STAT_PAGES_RETARGETED]	= "pages_retargeted",
	[DAX_STAT_HOOKS]		= "hooks",
	[DAX_STAT_RETARGETS]		= "retargets",
	[DAX_STAT_FLUSHES]		= "flushes",
	[DAX_STAT_PAGES_FLUSHED]	= "pages_flushed",
	[DAX_STAT_PAGES_FAILED]		= "pages_failed",
};

/**
 * dax_retarget_stat_add - count
 * @stat: which counter
 * @value: what to add to it
 *
 * Context: any
 */
void dax_retarget_stat_add(enum dax_retarget_stat stat, long value)
{
	atomic_long_add(value, &stats[stat]);
}

/**
 * dax_pin_count - count for a pin's device, and for all
 * @pin: a pin that was published
 * @stat: which counter
 * @value: what to add to it
 *
 * Context: any
 */
void dax_pin_count(struct dax_pin *pin, enum dax_retarget_stat stat, long value)
{
	atomic_long_add(value, &pin->stats->stat[stat]);
	dax_retarget_stat_add(stat, value);
}

/**
 * dax_device_stats_find - find the counters of a device
 * @name: of the device
 *
 * Context: any
 * Return: the counters, or %NULL if it never had a pin
 */
const struct dax_device_stats *dax_device_stats_find(const char *name)
{
	struct dax_device_stats *device;

	/* With dax_device_stats(): what is in the list is complete */
	for (device = smp_load_acquire(&devices); device; device = device->next)
		if (!strcmp(device->name, name))
			return device;
	return NULL;
}

/**
 * dax_device_stats - find or make the counters of a device
 * @name: of the device
 *
 * Context: may sleep
 * Return: the counters, which stay, or %NULL if there is no memory
 */
struct dax_device_stats *dax_device_stats(const char *name)
{
	static DEFINE_MUTEX(mutex);
	struct dax_device_stats *device;

	mutex_lock(&mutex);
	device = (struct dax_device_stats *)dax_device_stats_find(name);
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
	device->next = devices;
	/* Readers take no lock, see dax_device_stats_find() */
	smp_store_release(&devices, device);
out:
	mutex_unlock(&mutex);
	return device;
}

static int stats_show(struct seq_file *m, void *unused)
{
	int i;

	for (i = 0; i < DAX_STAT_NR; i++)
		seq_printf(m, "%s %ld\n", names[i],
			   atomic_long_read(&stats[i]));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

static int __init dax_retarget_debugfs(void)
{
	struct dentry *dir = debugfs_create_dir("dax_retarget", NULL);

	debugfs_create_file("stats", 0444, dir, NULL, &stats_fops);
	dax_retarget_test_init(dir);
	return 0;
}
fs_initcall(dax_retarget_debugfs);
