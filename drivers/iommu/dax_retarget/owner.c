// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: whose a pin is
 *
 * A table of the pins that have pages, for administrators who ask who holds a
 * file. It is nothing the protocol depends on: a pin enters it with its first
 * page and leaves it at its end. References keep no more than the structure.
 */

#include <linux/cred.h>
#include <linux/dax_retarget.h>
#include <linux/export.h>
#include <linux/list.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/xarray.h>

#include "internal.h"

static DEFINE_XARRAY_ALLOC1(pins);
static u32 next_id;

/* Pins whose consumer did not tell its handle yet; few, as it does at once */
static DEFINE_SPINLOCK(nameless_lock);
static LIST_HEAD(nameless);

/**
 * dax_pin_publish - enter a pin in the table
 * @pin: a pin that gets its first page
 *
 * Context: the task that registers the pin, which becomes its owner. May sleep.
 * Return: 0 or -ENOMEM
 */
int dax_pin_publish(struct dax_pin *pin)
{
	struct task_struct *leader = current->group_leader;
	int ret;

	pin->stats = dax_device_stats(dev_name(pin->dev));
	if (!pin->stats)
		return -ENOMEM;
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

	pin->registrar = get_pid(task_pid(current));
	spin_lock(&nameless_lock);
	list_add(&pin->nameless, &nameless);
	spin_unlock(&nameless_lock);
	dax_pin_count(pin, DAX_STAT_PINS, 1);
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
	spin_lock(&nameless_lock);
	list_del_init(&pin->nameless);
	spin_unlock(&nameless_lock);
	dax_pin_count(pin, DAX_STAT_PINS, -1);
}

/* Name the newest pin of this task without a name. Returns false if none is. */
static bool name_newest(u32 handle)
{
	struct pid *task = task_pid(current);
	struct dax_pin *pin;
	bool found = false;

	spin_lock(&nameless_lock);
	list_for_each_entry(pin, &nameless, nameless) {
		if (pin->registrar != task)
			continue;
		WRITE_ONCE(pin->handle, handle);
		list_del_init(&pin->nameless);
		found = true;
		break;
	}
	spin_unlock(&nameless_lock);
	return found;
}

/**
 * dax_pin_set_handle - tell how the consumer numbers its newest object
 * @handle: number, such as that of a memory region in the RDMA core
 *
 * The number is given to an object after it was made, by code that does not know
 * the pin. But the same task made that pin before, and no other since.
 *
 * Context: the task that has registered the pin. Does nothing if there is none.
 */
void dax_pin_set_handle(u32 handle)
{
	name_newest(handle);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_set_handle, DAX_RETARGET);

/**
 * dax_pin_change_handle - tell that a new object takes the place of another
 * @consumer: name of the consumer's device
 * @from: number of the old object
 * @to: number of the new one
 *
 * The new object may have a pin of its own, or take over that of the old one.
 *
 * Context: the task that has made the new object. Walks all pins if it has none
 *	    of its own; may sleep.
 */
void dax_pin_change_handle(const char *consumer, u32 from, u32 to)
{
	struct dax_pin *pin;
	unsigned long id = 0;

	if (name_newest(to))
		return;
	while ((pin = dax_pin_get_next(id))) {
		id = pin->id + 1;
		if (READ_ONCE(pin->handle) == from &&
		    !strcmp(pin->consumer, consumer))
			WRITE_ONCE(pin->handle, to);
		dax_pin_put(pin);
		cond_resched();
	}
}
EXPORT_SYMBOL_NS_GPL(dax_pin_change_handle, DAX_RETARGET);

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
 * dax_pin_put - drop a reference to the structure of a pin
 * @pin: the pin
 *
 * Context: may sleep
 */
void dax_pin_put(struct dax_pin *pin)
{
	if (!refcount_dec_and_test(&pin->refs))
		return;
	if (pin->cred)
		put_cred(pin->cred);
	put_pid(pin->owner);
	put_pid(pin->registrar);
	kvfree(pin->extents);
	kvfree(pin->retargeted);
	put_device(pin->dev);
	kfree(pin->consumer);
	kfree(pin);
}
