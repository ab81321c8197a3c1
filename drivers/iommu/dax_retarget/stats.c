// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: counters
 *
 * dax_retarget/stats in debugfs has a name and a number on each line. The first
 * group counts what exists now, and goes back to zero with the last pin. The
 * second group counts from boot.
 */

#include <linux/atomic.h>
#include <linux/dax_retarget_test.h>
#include <linux/debugfs.h>
#include <linux/init.h>
#include <linux/iommu_retarget.h>
#include <linux/seq_file.h>

#define CREATE_TRACE_POINTS
#include <trace/events/dax_retarget.h>

static atomic_long_t stats[RETARGET_STAT_NR];

static const char * const names[RETARGET_STAT_NR] = {
	[RETARGET_STAT_PINS]		= "pins",
	[RETARGET_STAT_FILES]		= "files",
	[RETARGET_STAT_PAGES_PINNED]	= "pages_pinned",
	[RETARGET_STAT_SCRATCH_PAGES]	= "scratch_pages",
	[RETARGET_STAT_TABLE_PAGES]	= "table_pages",
	[RETARGET_STAT_PAGES_RETARGETED]	= "pages_retargeted",
	[RETARGET_STAT_HOOKS]		= "hooks",
	[RETARGET_STAT_RETARGETS]	= "retargets",
	[RETARGET_STAT_FLUSHES]		= "flushes",
	[RETARGET_STAT_PAGES_FLUSHED]	= "pages_flushed",
	[RETARGET_STAT_PAGES_FAILED]	= "pages_failed",
	[RETARGET_STAT_STOPS]		= "stops",
};

/**
 * retarget_stat_add - add to a counter
 * @stat: which counter
 * @value: what to add to it
 *
 * Context: any
 */
void retarget_stat_add(enum retarget_stat stat, long value)
{
	atomic_long_add(value, &stats[stat]);
}

/**
 * retarget_stat_read - read a counter
 * @stat: which counter
 *
 * Context: any
 * Return: its value
 */
long retarget_stat_read(enum retarget_stat stat)
{
	return atomic_long_read(&stats[stat]);
}

/**
 * retarget_region_count - add to the counter of a region's device, and to the
 * sum
 * @region: a region with pages
 * @stat: which counter
 * @value: what to add to it
 *
 * Context: any
 */
void retarget_region_count(struct retarget_region *region,
			   enum retarget_stat stat, long value)
{
	atomic_long_add(value, &region->device->stat[stat]);
	retarget_stat_add(stat, value);
}

static int stats_show(struct seq_file *m, void *unused)
{
	int i;

	for (i = 0; i < RETARGET_STAT_NR; i++)
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
