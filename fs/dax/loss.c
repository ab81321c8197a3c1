// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: tell a consumer that a pin has lost pages
 *
 * With dax_retarget=revoke, a region that has lost a page of a file is of no use any
 * more: a peer that writes to the region has to get an error, in place of writing to
 * a scratch page for ever. A hook cannot wait for a device that forgets a key, so a
 * worker asks the consumer to have its device forget the region, soon after the hook.
 * Until then the device reaches the scratch page, as with dax_retarget=on.
 */

#include <linux/dax_retarget.h>
#include <linux/dax_retarget_test.h>
#include <linux/export.h>
#include <linux/workqueue.h>

#include "internal.h"

static void tell_consumer(struct work_struct *work)
{
	struct dax_pin *pin = container_of(work, struct dax_pin, loss_work);
	void (*lost)(void *data);
	void *data;

	/* dax_pin_unwatch() waits for this worker, without the mutex */
	mutex_lock(&pin->region.mutex);
	lost = pin->lost;
	data = pin->lost_data;
	mutex_unlock(&pin->region.mutex);
	if (lost)
		lost(data);
}

/**
 * dax_pin_loss_init - nobody watches for losses yet
 * @pin: a new pin
 *
 * Context: any
 */
void dax_pin_loss_init(struct dax_pin *pin)
{
	INIT_WORK(&pin->loss_work, tell_consumer);
}

/**
 * dax_pin_lost - a hook has taken pages of a pin back
 * @pin: the pin
 *
 * Context: under the mutex of @pin's region. Does not sleep.
 */
void dax_pin_lost(struct dax_pin *pin)
{
	lockdep_assert_held(&pin->region.mutex);

	if (!pin->lost || pin->loss_told || dax_retarget_broken(DAX_BREAK_tell_loss))
		return;
	pin->loss_told = true;
	queue_work(system_unbound_wq, &pin->loss_work);
}

/**
 * dax_pin_watch - have a consumer told when a pin loses a page
 * @pin: a pin that is mapped, or %NULL
 * @lost: called once in process context, soon after the first page was lost, or soon
 *	  after this call if that was before; may sleep
 * @data: for @lost
 *
 * @lost is not called unless the kernel was booted with dax_retarget=revoke.
 *
 * Context: may sleep. dax_pin_unwatch() comes before dax_pin_end().
 */
void dax_pin_watch(struct dax_pin *pin, void (*lost)(void *data), void *data)
{
	if (!pin || !dax_retarget_revokes)
		return;

	WRITE_ONCE(pin->region.device->revokes, true);
	mutex_lock(&pin->region.mutex);
	pin->lost = lost;
	pin->lost_data = data;
	if (pin->region.nr_retargeted)
		dax_pin_lost(pin);
	mutex_unlock(&pin->region.mutex);
}
EXPORT_SYMBOL_NS_GPL(dax_pin_watch, DAX_RETARGET);

/**
 * dax_pin_unwatch - no longer have the consumer told
 * @pin: the pin, or %NULL
 *
 * Context: may sleep. Waits for the function of dax_pin_watch() if that runs.
 * Return: true if the consumer was told
 */
bool dax_pin_unwatch(struct dax_pin *pin)
{
	bool told;

	if (!pin || !dax_retarget_revokes)
		return false;

	mutex_lock(&pin->region.mutex);
	told = pin->loss_told;
	pin->lost = NULL;
	/* The next call of dax_pin_watch() tells again */
	pin->loss_told = false;
	mutex_unlock(&pin->region.mutex);
	return !cancel_work_sync(&pin->loss_work) && told;
}
EXPORT_SYMBOL_NS_GPL(dax_pin_unwatch, DAX_RETARGET);
