// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: send events to administrators
 *
 * The events of the generic netlink family "dax-retarget". event.c has the ring
 * of events, and netlink.c the rest of the family.
 */

#include <linux/dax_retarget.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>

#include "internal.h"
#include "netlink-gen.h"

static bool event_wanted(void)
{
	return genl_has_listeners(&dax_retarget_nl_family, &init_net,
				  DAX_RETARGET_NLGRP_EVENTS);
}

static int put_event(struct sk_buff *skb, const struct dax_event *event)
{
	if (nla_put_uint(skb, DAX_RETARGET_A_PIN_EVENT, event->number) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_EVENTS_LOST, event->lost) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_TIME, event->time) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_REASON, event->reason) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_EVENT_PAGES, event->count) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_ID, event->pin) ||
	    nla_put_string(skb, DAX_RETARGET_A_PIN_DEVICE,
			   event->device->name) ||
	    nla_put_string(skb, DAX_RETARGET_A_PIN_CONSUMER, event->consumer) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_PID, pid_nr(event->owner)) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_START_TIME,
			 event->owner_start) ||
	    nla_put_string(skb, DAX_RETARGET_A_PIN_COMM, event->comm) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_UID,
			from_kuid_munged(&init_user_ns, event->uid)) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_ACCESS, event->writable ?
			DAX_RETARGET_ACCESS_WRITE : DAX_RETARGET_ACCESS_READ) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_PAGES, event->pages) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_PAGES_RETARGETED,
			 event->retargeted) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_MAJOR,
			MAJOR(event->place.dev)) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_MINOR,
			MINOR(event->place.dev)) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_INODE, event->place.ino) ||
	    (event->place.path[0] &&
	     nla_put_string(skb, DAX_RETARGET_A_PIN_PATH, event->place.path)) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_OFFSET,
			 event->place.offset) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_LENGTH, event->length) ||
	    (event->iova && nla_put_uint(skb, DAX_RETARGET_A_PIN_IOVA,
					 event->iova)) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_PAGE_SIZE, PAGE_SIZE))
		return -EMSGSIZE;
	return 0;
}

/* A subscriber whose socket is full gets ENOBUFS, and sees a gap in the numbers */
static bool event_send(const struct dax_event *event)
{
	struct sk_buff *skb;
	void *header;

	skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!skb)
		return false;
	header = genlmsg_put(skb, 0, 0, &dax_retarget_nl_family, 0,
			     DAX_RETARGET_CMD_EVENT_NTF);
	if (!header || put_event(skb, event)) {
		nlmsg_free(skb);
		return false;
	}
	genlmsg_end(skb, header);
	genlmsg_multicast_netns(&dax_retarget_nl_family, &init_net, skb, 0,
				DAX_RETARGET_NLGRP_EVENTS, GFP_KERNEL);
	return true;
}

static const struct dax_event_listener listener = {
	.wanted	= event_wanted,
	.send	= event_send,
};

static int __init dax_retarget_event_init(void)
{
	if (!dax_retarget_enabled())
		return 0;
	dax_event_listen(&listener);
	return 0;
}
device_initcall(dax_retarget_event_init);	/* after the family is there */
