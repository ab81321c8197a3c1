// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: take pages back at an administrator's request
 *
 * The request goes from pin to pin, and looks at the files of those pins alone
 * that the requester may revoke. So a requester holds up no other one.
 */

#include <linux/dax_retarget.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/string.h>

#include "internal.h"

static bool matches(struct dax_revocation *revocation, struct dax_pin *pin)
{
	if (revocation->id && revocation->id != pin->id)
		return false;
	if (revocation->device &&
	    strcmp(revocation->device, pin->region.device->name))
		return false;
	if (revocation->owner && revocation->owner != pin->owner)
		return false;
	return revocation->allowed(pin, revocation->data);
}

static void revoke_range(struct dax_pin_range *range, pgoff_t first,
			 pgoff_t last, void *arg)
{
	struct dax_revocation *revocation = arg;
	struct dax_pinned_file *file = range->file;
	struct dax_hook hook = {
		.file = file,
		.range = range,
		.first = max(first, revocation->first),
		.last = min(last, revocation->last),
		.blocks_stay = true,
		.reason = DAX_RETARGET_REASON_REVOKE,
	};

	if (revocation->by_dev && revocation->dev != file->dev)
		return;
	if (revocation->by_ino && revocation->ino != file->ino)
		return;
	/* If the caller is killed, finish the walk without taking pages back */
	if (hook.first > hook.last || fatal_signal_pending(current))
		return;
	revocation->matched = true;
	dax_event_place_init(&hook.place, file);
	revocation->of_pin += dax_hook_take(&hook);
}

/**
 * dax_pins_revoke - take pages back at an administrator's request
 * @revocation: which pages; counts the pages taken back
 *
 * A pin that is still being registered loses the pages that it has so far. The
 * function ends early when the caller is killed.
 *
 * Context: may sleep
 */
void dax_pins_revoke(struct dax_revocation *revocation)
{
	unsigned long id = revocation->id;
	struct dax_pin *pin;

	while (!fatal_signal_pending(current) && (pin = dax_pin_get_next(id))) {
		id = pin->id + 1UL;
		revocation->of_pin = 0;
		if (matches(revocation, pin))
			dax_pin_visit(pin, revoke_range, revocation);
		revocation->pages += revocation->of_pin;
		revocation->pins += revocation->of_pin > 0;
		dax_pin_put(pin);
		if (revocation->id)
			break;
		cond_resched();
	}
}
