// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: report pages that were taken back
 *
 * A hook must not wait for user space and must not allocate. So a hook leaves an
 * event in a ring, and a worker hands the event to the listener. When the ring is
 * full, the event is lost. Lost events are counted, and the next event carries
 * the count.
 */

#include <linux/dax_retarget.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "internal.h"

#define SLOTS	4096	/* a power of two */

static const struct dax_event_listener *listener;	/* set once, at boot */

static DEFINE_SPINLOCK(lock);	/* protects all below */
static struct dax_event *ring;
static unsigned int head, tail;	/* next to write and next to read; both wrap */
static u64 total, lost;
static u64 overflow;	/* those of @lost that the ring had no room for */

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
		if (!listener->send(&event)) {
			spin_lock(&lock);
			lost++;
			spin_unlock(&lock);
		}
		put_pid(event.owner);
		cond_resched();
	}
}

static bool wanted(void)
{
	const struct dax_event_listener *to = READ_ONCE(listener);

	return to && to->wanted();
}

static bool wants_paths(void)
{
	const struct dax_event_listener *to = READ_ONCE(listener);

	return to && to->wants_paths();
}

/**
 * dax_event_place_init - say which file an event is about
 * @place: gets the file, and its path if a reader of events may see paths
 * @file: the file
 *
 * Context: does not sleep
 */
void dax_event_place_init(struct dax_event_place *place,
			  struct dax_pinned_file *file)
{
	const char *path = NULL;

	place->dev = file->dev;
	place->ino = file->ino;
	if (wants_paths())
		dax_pinned_file_path(file, place->path, sizeof(place->path),
				     &path);
	if (path)
		memmove(place->path, path, strlen(path) + 1);
	else
		place->path[0] = '\0';
}

static void describe(struct dax_event *event, struct dax_pin *pin)
{
	event->pin = pin->id;
	event->device = pin->region.device;
	strscpy(event->consumer, pin->consumer);
	event->owner = get_pid(pin->owner);
	event->owner_start = pin->owner_start;
	memcpy(event->comm, pin->comm, sizeof(event->comm));
	event->uid = pin->cred->euid;
	event->writable = pin->region.writable;
	event->pages = pin->region.nr_pinned;
	event->retargeted = pin->region.nr_retargeted;
}

/**
 * dax_event - note that pages of a pin were taken back, or failed
 * @range: range of the pin that has the pages
 * @first: index, within the pin, of the first page that the event is about
 * @last: index of the last page
 * @place: the file
 * @reason: why
 * @count: number of these pages that were taken back, or failed
 *
 * Context: under the region's mutex. Does not sleep.
 */
void dax_event(struct dax_pin_range *range, unsigned long first,
	       unsigned long last, struct dax_event_place *place,
	       enum dax_retarget_reason reason, unsigned long count)
{
	struct retarget_region *region = &range->pin->region;
	bool is_wanted = wanted();
	struct dax_event *event;

	lockdep_assert_held(&region->mutex);

	place->offset = (u64)(range->node.start + (first - range->first)) <<
			PAGE_SHIFT;
	spin_lock(&lock);
	total++;
	if (!is_wanted)
		goto out;
	if (!ring || head - tail == SLOTS) {
		lost++;
		overflow++;
		goto out;
	}

	event = &ring[head++ % SLOTS];
	describe(event, range->pin);
	event->number = total;
	event->lost = lost;
	event->overflow = overflow;
	event->time = ktime_get_boottime_ns();
	event->reason = reason;
	event->count = count;
	event->place = *place;
	event->length = (u64)(last - first + 1) << PAGE_SHIFT;
	event->iova = region->state == RETARGET_LIVE ?
		      region->iova + ((u64)first << PAGE_SHIFT) : 0;
	queue_work(system_unbound_wq, &work);
out:
	spin_unlock(&lock);
}

/**
 * dax_event_totals - read the counters of events
 * @all: gets the number of events since boot
 * @missed: gets the number of events that could not be sent
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

/**
 * dax_event_overflow - read the number of events that the ring had no room for
 *
 * Return: that number since boot
 *
 * Context: any but interrupts
 */
u64 dax_event_overflow(void)
{
	u64 nr;

	spin_lock(&lock);
	nr = overflow;
	spin_unlock(&lock);
	return nr;
}

/**
 * dax_event_listen - set the listener for events
 * @to: the only listener, for good
 *
 * Context: at boot
 */
void dax_event_listen(const struct dax_event_listener *to)
{
	WRITE_ONCE(listener, to);
}

static int __init dax_event_init(void)
{
	if (!dax_retarget_enabled())
		return 0;
	ring = vcalloc(SLOTS, sizeof(*ring));
	return ring ? 0 : -ENOMEM;
}
subsys_initcall(dax_event_init);
