// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: switches that break the protocol, for tests that must notice
 *
 * In dax_retarget/ of debugfs, "break" has a file for each breakage: the file
 * leaves a step out. "delay_ms" has a file for each window: the file holds the
 * window open. "fail" has a file for each failure of the IOMMU. The tables are
 * in linux/dax_retarget_test.h. "fail_dax_retarget" makes steps fail that can
 * fail, as CONFIG_FAULT_INJECTION does with allocations, and "steps_failed"
 * counts the steps that failed.
 *
 * ALLOW_ERROR_INJECTION() cannot replace "fail_dax_retarget": it fails a
 * function from a breakpoint's handler, which runs as an NMI, where
 * should_fail() does not look at the task's fail-nth.
 */

#include <linux/atomic.h>
#include <linux/dax_retarget_test.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/fault-inject.h>
#include <linux/kernel.h>
#include <linux/pagemap.h>

#define NAME(name) #name,
static const char * const steps[] = { DAX_RETARGET_BREAKAGES(NAME) };
static const char * const windows[] = { DAX_RETARGET_WINDOWS(NAME) };
static const char * const failures[] = { DAX_RETARGET_FAILURES(NAME) };
#undef NAME

static bool broken[ARRAY_SIZE(steps)];
static u32 delay_ms[ARRAY_SIZE(windows)];
static bool failing[ARRAY_SIZE(failures)];
static atomic_t steps_failed;
static DECLARE_FAULT_ATTR(fail_dax_retarget);

/**
 * dax_retarget_broken - is a step to be left out?
 * @step: the step
 *
 * Exported without a namespace, for the hooks in modules of file systems.
 *
 * Context: any
 * Return: true if a test asked for it
 */
bool dax_retarget_broken(enum dax_retarget_breakage step)
{
	return READ_ONCE(broken[step]);
}
EXPORT_SYMBOL_GPL(dax_retarget_broken);

/**
 * dax_retarget_shrinks_inodes - may the shrinker evict pinned inodes?
 *
 * For linux/pagemap.h, which does not include the tables.
 *
 * Context: any
 * Return: true if a test left "keep_inode" out
 */
bool dax_retarget_shrinks_inodes(void)
{
	return dax_retarget_broken(DAX_BREAK_keep_inode);
}

/**
 * dax_retarget_hold - hold a window open for as long as a test wants
 * @window: the window
 *
 * A test ends the wait by writing 0 to the window's file.
 *
 * Context: may sleep
 */
void dax_retarget_hold(enum dax_retarget_window window)
{
	u32 waited;

	for (waited = 0; waited < READ_ONCE(delay_ms[window]); waited += 20)
		msleep(20);
}

/**
 * dax_retarget_fails - does the IOMMU fail?
 * @failure: how
 *
 * Context: any
 * Return: true if a test asked for it
 */
bool dax_retarget_fails(enum dax_retarget_failure failure)
{
	return READ_ONCE(failing[failure]);
}

/**
 * dax_retarget_should_fail - is a step to fail that can fail?
 *
 * Context: any
 * Return: true if a test asked for it
 */
bool dax_retarget_should_fail(void)
{
	if (!should_fail(&fail_dax_retarget, 1))
		return false;
	atomic_inc(&steps_failed);
	return true;
}

/**
 * dax_retarget_test_init - create the switches
 * @dir: the folder in debugfs
 *
 * Context: at boot
 */
void dax_retarget_test_init(struct dentry *dir)
{
	struct dentry *sub;
	int i;

	sub = debugfs_create_dir("break", dir);
	for (i = 0; i < ARRAY_SIZE(steps); i++)
		debugfs_create_bool(steps[i], 0600, sub, &broken[i]);
	sub = debugfs_create_dir("delay_ms", dir);
	for (i = 0; i < ARRAY_SIZE(windows); i++)
		debugfs_create_u32(windows[i], 0600, sub, &delay_ms[i]);
	sub = debugfs_create_dir("fail", dir);
	for (i = 0; i < ARRAY_SIZE(failures); i++)
		debugfs_create_bool(failures[i], 0600, sub, &failing[i]);
	debugfs_create_atomic_t("steps_failed", 0400, dir, &steps_failed);
	fault_create_debugfs_attr("fail_dax_retarget", dir, &fail_dax_retarget);
}
