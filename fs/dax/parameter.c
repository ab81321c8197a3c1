// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: the boot parameter
 *
 * dax_retarget=on lets pins be made. Without the parameter a consumer behaves as
 * on a kernel without this feature, with the same errors, and a hook costs a jump
 * label. dax_retarget=revoke is on, and regions that lose pages end, see loss.c.
 */

#include <linux/dax_retarget.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "internal.h"

static const struct {
	const char *name;
	bool on, revokes;
} modes[] = {
	{ "off" },
	{ "on", .on = true },
	{ "revoke", .on = true, .revokes = true },
};

/* Do regions end that lose a page? */
bool dax_retarget_revokes __read_mostly;

DEFINE_STATIC_KEY_FALSE(dax_retarget_key);
EXPORT_SYMBOL_GPL(dax_retarget_key);

/**
 * dax_retarget_parse_mode - read the value of the boot parameter
 * @mode: the value
 * @on: gets true if the value turns pins on; false for an unknown value
 * @revokes: gets true if regions end that lose a page
 *
 * Context: any
 * Return: false if the value is unknown
 */
bool dax_retarget_parse_mode(const char *mode, bool *on, bool *revokes)
{
	int i;

	*on = false;
	*revokes = false;
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(mode, modes[i].name))
			continue;
		*on = modes[i].on;
		*revokes = modes[i].revokes;
		return true;
	}
	return false;
}

static int __init dax_retarget_setup(char *str)
{
	bool on;

	if (!dax_retarget_parse_mode(str, &on, &dax_retarget_revokes))
		pr_warn("dax_retarget: unknown mode \"%s\", staying off; known modes are \"off\", \"on\" and \"revoke\"\n",
			str);
	if (on)
		static_branch_enable(&dax_retarget_key);
	else
		static_branch_disable(&dax_retarget_key);
	return 1;
}
__setup("dax_retarget=", dax_retarget_setup);
