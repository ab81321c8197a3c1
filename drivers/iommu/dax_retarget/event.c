// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: tell that pages were taken back
 *
 * A hook must not wait, nor allocate. So it leaves a note in a ring, and a worker
 * makes a netlink message of it. When the ring is full the note is lost, which is
 * counted and told with the next event.
 */

#include <linux/dax_retarget.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "internal.h"

#define SLOTS	4096	/* a power of two */

static DEFINE_SPINLOCK(lock);	/* protects all below */
static struct dax_event *ring;
static unsigned int head, tail;	/* where to write, to read; they wrap around */
static u64 total, lost;

static void work_fn(struct work_struct *work);
static DECLARE_WORK(work, work_fn);

static bool take(struct dax_event *event)
{
	bool found;

	spin_lock(&lock);
	found = head != tail;
	if (found)
		*event = ring[tail++ % SLOTS];
	spin_unlock(&lock);
	return found;
}

static void work_fn(struct work_struct *unused)
{
	/* A work item does not run twice at a time */
	static struct dax_event event;

	while (take(&event)) {
		if (!dax_event_send(&event)) {
			spin_lock(&lock);
			lost++;
			spin_unlock(&lock);
		}
		put_pid(event.owner);
		cond_resched();
	}
}

static void describe(struct dax_event *event, struct dax_pin *pin)
{
	event->pin = pin->id;
	event->stats = pin->stats;
	strscpy(event->consumer, pin->consumer);
	event->owner = get_pid(pin->owner);
	event->owner_start = pin->owner_start;
	memcpy(event->comm, pin->comm, sizeof(event->comm));
	event->uid = pin->cred->euid;
	event->writable = pin->writable;
	event->pages = pin->nr_pinned;
	event->retargeted = pin->nr_retargeted;
}

/**
 * dax_event - note that pages of a pin were taken back, or failed
 * @pin: the pin
 * @index: index of the first page of the range that it is about, in the pin
 * @nr: pages of the range
 * @where: file and offset of the range
 * @reason: why
 * @count: pages of the range that were taken back, or failed
 *
 * Context: under @pin's mutex. Does not sleep.
 */
void dax_event(struct dax_pin *pin, unsigned long index, unsigned long nr,
	       const struct dax_event_place *where,
	       enum dax_retarget_reason reason, unsigned long count)
{
	struct dax_event *event;
	bool wanted = dax_event_wanted();

	lockdep_assert_held(&pin->mutex);

	spin_lock(&lock);
	total++;
	if (!wanted)
		goto out;
	if (!ring || head - tail == SLOTS) {
		lost++;
		goto out;
	}

	event = &ring[head++ % SLOTS];
	describe(event, pin);
	event->number = total;
	event->lost = lost;
	event->time = ktime_get_boottime_ns();
	event->reason = reason;
	event->count = count;
	event->place = *where;
	event->length = (u64)nr << PAGE_SHIFT;
	event->iova = pin->state == DAX_PIN_LIVE ?
		      pin->iova + ((u64)index << PAGE_SHIFT) : 0;
	queue_work(system_unbound_wq, &work);
out:
	spin_unlock(&lock);
}

/**
 * dax_event_totals - how many events were there?
 * @all: gets the number of events since boot
 * @missed: gets how many of them could not be sent
 *
 * Context: any but interrupts
 */
void dax_event_totals(u64 *all, u64 *missed)
{
	spin_lock(&lock);
	*all = total;
	*missed = lost;
	spin_unlock(&lock);
}

static int __init dax_event_init(void)
{
	if (!dax_retarget_enabled())
		return 0;
	ring = vcalloc(SLOTS, sizeof(*ring));
	return ring ? 0 : -ENOMEM;
}
subsys_initcall(dax_event_init);
