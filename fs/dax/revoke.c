// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: take pages back at an administrator's request
 */

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
	    strcmp(revocation->device, pin->region.stats->name))
		return false;
	if (revocation->owner && revocation->owner != pin->owner)
		return false;
	if (!revocation->allowed(pin, revocation->data))
		return false;
	revocation->matched++;
	return true;
}

static unsigned long revoke_part(struct dax_pinned_file *file, pgoff_t first,
				 pgoff_t last, void *arg)
{
	struct dax_revocation *revocation = arg;
	struct retarget_gather gather;
	struct dax_event_place place;
	struct dax_pin_range *range;
	unsigned long nr, sum = 0;
	bool placed = false;

	/* If the caller is killed, finish the walk without taking pages back */
	if (fatal_signal_pending(current))
		return 0;
	retarget_gather_init(&gather);
	for_each_dax_pin_range(range, file, first, last) {
		struct dax_pin *pin = range->pin;

		if (!matches(revocation, pin))
			continue;
		if (!placed)
			dax_event_place_init(&place, file);
		placed = true;
		/* The blocks stay in the file */
		nr = dax_pin_range_take(range, first, last, true,
					DAX_RETARGET_REASON_REVOKE, &place,
					&gather);
		if (nr && pin->revoked != revocation->number) {
			pin->revoked = revocation->number;
			revocation->pins++;
		}
		sum += nr;
	}
	retarget_gather_flush(&gather);
	return sum;
}

static void revoke_file(struct dax_pinned_file *file, void *arg)
{
	struct dax_revocation *revocation = arg;

	if (revocation->by_dev && revocation->dev != file->dev)
		return;
	if (revocation->by_ino && revocation->ino != file->ino)
		return;

	revocation->pages += dax_pinned_file_visit(file, revocation->first,
						   revocation->last,
						   revoke_part, revocation);
}

/**
 * dax_pins_revoke - take pages back at an administrator's request
 * @revocation: which pages; counts the pages taken back
 *
 * A pin that is still being registered loses the pages that it has so far. The
 * function ends early when the caller is killed.
 *
 * Context: one request at a time. May sleep.
 */
void dax_pins_revoke(struct dax_revocation *revocation)
{
	dax_pinned_files_visit(revoke_file, revocation);
}
