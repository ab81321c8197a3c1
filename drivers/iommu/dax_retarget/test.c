// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: switches that break it, for tests that must notice
 *
 * In dax_retarget/ of debugfs: "break" is a mask of steps to leave out
 * (DAX_BREAK_*), the delays widen the windows between two steps of a pin, and
 * "fail_dax_retarget" has steps fail that can, as CONFIG_FAULT_INJECTION does
 * with allocations; "steps_failed" counts them.
 */

#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/fault-inject.h>

#include "internal.h"

static u32 broken;
static u32 delay_map_ms;
static u32 delay_end_ms;
static atomic_t steps_failed;
static DECLARE_FAULT_ATTR(fail_dax_retarget);

/**
 * dax_retarget_broken - shall a step be left out?
 * @step: one of DAX_BREAK_*
 *
 * In no namespace, as hooks in modules need nothing else from here.
 *
 * Return: true if a test asked for it
 */
bool dax_retarget_broken(unsigned long step)
{
	return READ_ONCE(broken) & step;
}
EXPORT_SYMBOL_GPL(dax_retarget_broken);

/**
 * dax_retarget_should_fail - shall a step fail that can?
 *
 * Return: true if a test asked for it
 */
bool dax_retarget_should_fail(void)
{
	if (!should_fail(&fail_dax_retarget, 1))
		return false;
	atomic_inc(&steps_failed);
	return true;
}

/* Whoever asked for it may end it, too */
static void delay(const u32 *ms)
{
	u32 waited;

	for (waited = 0; waited < READ_ONCE(*ms); waited += 20)
		msleep(20);
}

/**
 * dax_retarget_test_delay_map - wait between registering and mapping a pin
 *
 * Context: may sleep
 */
void dax_retarget_test_delay_map(void)
{
	delay(&delay_map_ms);
}

/**
 * dax_retarget_test_delay_end - wait in the middle of the end of a pin
 *
 * Context: may sleep
 */
void dax_retarget_test_delay_end(void)
{
	delay(&delay_end_ms);
}

/**
 * dax_retarget_test_init - create the switches
 * @dir: the folder in debugfs
 */
void dax_retarget_test_init(struct dentry *dir)
{
	debugfs_create_x32("break", 0600, dir, &broken);
	debugfs_create_u32("delay_map_ms", 0600, dir, &delay_map_ms);
	debugfs_create_u32("delay_end_ms", 0600, dir, &delay_end_ms);
	debugfs_create_atomic_t("steps_failed", 0400, dir, &steps_failed);
	fault_create_debugfs_attr("fail_dax_retarget", dir, &fail_dax_retarget);
}
