// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget: which pins are meant
 *
 * The options of list and revoke that select pins, what they match, and which
 * device the kernel is told.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "dax_retarget.h"

void select_id(const struct verb_option *option, const char *text)
{
	struct selector *selector = option->value;

	selector->by_id = true;
	selector->id = parse_number(option, text, INT32_MAX);
	/* The kernel refuses it, but with a less helpful message */
	if (!selector->id)
		usage_error("--id 0: pins count from 1");
}

void select_device(const struct verb_option *option, const char *text)
{
	struct selector *selector = option->value;

	selector->device = text;
}

void select_pid(const struct verb_option *option, const char *text)
{
	struct selector *selector = option->value;

	selector->by_pid = true;
	selector->pid = parse_number(option, text, INT32_MAX);
}

static void select_dev(struct selector *selector, const char *path,
		       struct stat *st)
{
	if (stat(path, st))
		fail(errno == EACCES ? EXIT_NO_PERMISSION : EXIT_FAILED,
		     "%s: %s", path, strerror(errno));
	if (selector->by_dev && (selector->major != major(st->st_dev) ||
				 selector->minor != minor(st->st_dev)))
		usage_error("%s: not in the same file system as the other", path);
	selector->by_dev = true;
	selector->major = major(st->st_dev);
	selector->minor = minor(st->st_dev);
}

void select_file(const struct verb_option *option, const char *text)
{
	struct selector *selector = option->value;
	struct stat st;

	if (selector->by_inode)
		usage_error("--file can be given once");
	select_dev(selector, text, &st);
	if (!S_ISREG(st.st_mode))
		usage_error("%s: not a regular file", text);
	selector->by_inode = true;
	selector->inode = st.st_ino;
}

void select_mount(const struct verb_option *option, const char *text)
{
	struct stat st;

	select_dev(option->value, text, &st);
	if (!S_ISDIR(st.st_mode))
		usage_error("%s: not a directory", text);
}

void select_offset(const struct verb_option *option, const char *text)
{
	struct selector *selector = option->value;

	selector->by_offset = true;
	selector->offset = parse_size(option, text);
}

void select_length(const struct verb_option *option, const char *text)
{
	struct selector *selector = option->value;

	selector->by_length = true;
	selector->length = parse_size(option, text);
	if (!selector->length)
		usage_error("--length 0: nothing to take back");
}

/* Offset and length are left to the kernel */
bool is_selected(const struct selector *selector, const struct pin *pin)
{
	if (selector->by_id && selector->id != pin->id)
		return false;
	if (selector->device && strcmp(selector->device, pin->device) &&
	    strcmp(selector->device, pin->consumer))
		return false;
	if (selector->by_pid && (!pin->has_pid || selector->pid != pin->pid))
		return false;
	if (selector->by_dev && (selector->major != pin->place.major ||
				 selector->minor != pin->place.minor))
		return false;
	return !selector->by_inode || selector->inode == pin->place.inode;
}

/*
 * The kernel revokes by the device that does the DMA. Replace an RDMA device by
 * that device, unless another RDMA device would lose pages as well. sysfs knows
 * the device; its pins tell it of an RDMA device in another network namespace.
 */
void resolve_device(struct selector *selector)
{
	const char *consumer = selector->device;
	struct selector all = { };
	struct pins pins = { };
	char *device = selector->resolved;
	size_t i;

	get_pins(&pins, &all);
	rdma_parent(consumer, device, sizeof(selector->resolved));
	for (i = 0; i < pins.nr; i++)
		if (!device[0] && !strcmp(pins.pin[i].consumer, consumer))
			snprintf(device, sizeof(selector->resolved), "%s",
				 pins.pin[i].device);
	for (i = 0; device[0] && i < pins.nr; i++)
		if (!strcmp(pins.pin[i].device, device) &&
		    strcmp(pins.pin[i].consumer, consumer))
			fail(EXIT_FAILED,
			     "%s does DMA for %s as well: name it, or single pins",
			     device, pins.pin[i].consumer);
	free_pins(&pins);
	if (device[0])
		selector->device = device;
}
