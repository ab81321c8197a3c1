// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: the table of pins, and their owners
 *
 * The table has the pins that have pages, so that an administrator can find the
 * processes that hold a file. The protocol does not depend on the table. A pin
 * enters the table with its first page and leaves the table at the pin's end. A
 * reference keeps the structure of a pin, and nothing else of the pin.
 */

#include <linux/cred.h>
#include <linux/dax_retarget.h>
#include <linux/export.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/xarray.h>

#include "internal.h"

static DEFINE_XARRAY_ALLOC1(pins);
static u32 next_id;

/**
 * dax_pin_publish - enter a pin in the table
 * @pin: a pin that gets its first page, after retarget_region_prepare()
 *
 * Context: the task that registers the pin, which becomes its owner. May sleep.
 * Return: 0 or -ENOMEM
 */
int dax_pin_publish(struct dax_pin *pin)
{
	struct task_struct *leader = current->group_leader;
	int ret;

	pin->cred = get_current_cred();
	pin->owner = get_pid(task_tgid(current));
	pin->owner_start = leader->start_boottime;
	get_task_comm(pin->comm, leader);
	pin->created = ktime_get_boottime_ns();

	ret = xa_alloc_cyclic(&pins, &pin->id, pin, xa_limit_31b, &next_id,
			      GFP_KERNEL_ACCOUNT);
	if (ret < 0) {
		pin->id = 0;
		put_cred(pin->cred);
		pin->cred = NULL;
		put_pid(pin->owner);
		pin->owner = NULL;
		return ret;
	}

	retarget_region_count(&pin->region, RETARGET_STAT_PINS, 1);
	return 0;
}

/**
 * dax_pin_unpublish - take a pin out of the table
 * @pin: a pin that ends
 *
 * Context: the task that ends the pin
 */
void dax_pin_unpublish(struct dax_pin *pin)
{
	if (!pin->id)
		return;

	xa_erase(&pins, pin->id);
	retarget_region_count(&pin->region, RETARGET_STAT_PINS, -1);
}

/**
 * dax_pin_get_next - find a pin
 * @id: least number wanted
 *
 * Context: any but interrupts
 * Return: the pin with the least number of at least @id, with a reference for
 *	   dax_pin_put(), or %NULL
 */
struct dax_pin *dax_pin_get_next(unsigned long id)
{
	struct dax_pin *pin;

	xa_lock(&pins);
	pin = xa_find(&pins, &id, ULONG_MAX, XA_PRESENT);
	if (pin)
		refcount_inc(&pin->refs);
	xa_unlock(&pins);
	return pin;
}

/**
 * dax_pin_put - drop a reference to a pin
 * @pin: the pin, or %NULL; after dax_pin_end() if the reference is the consumer's
 *
 * Context: may sleep
 */
void dax_pin_put(struct dax_pin *pin)
{
	if (!pin || !refcount_dec_and_test(&pin->refs))
		return;
	if (pin->cred)
		put_cred(pin->cred);
	put_pid(pin->owner);
	retarget_region_free(&pin->region);
	xa_destroy(&pin->ranges);
	kfree(pin->consumer);
	kfree(pin);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_put, DAX_RETARGET);
