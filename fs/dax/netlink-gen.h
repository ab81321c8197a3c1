/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/dax-retarget.yaml */
/* YNL-GEN kernel header */

#ifndef _LINUX_DAX_RETARGET_GEN_H
#define _LINUX_DAX_RETARGET_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/dax_retarget_netlink.h>
#include <linux/list.h>

int dax_retarget_nl_pin_start(struct netlink_callback *cb);
int dax_retarget_nl_pin_done(struct netlink_callback *cb);

int dax_retarget_nl_pin_get_dumpit(struct sk_buff *skb,
				   struct netlink_callback *cb);
int dax_retarget_nl_device_get_dumpit(struct sk_buff *skb,
				      struct netlink_callback *cb);
int dax_retarget_nl_status_get_doit(struct sk_buff *skb,
				    struct genl_info *info);
int dax_retarget_nl_revoke_doit(struct sk_buff *skb, struct genl_info *info);
int dax_retarget_nl_subscribe_doit(struct sk_buff *skb, struct genl_info *info);

enum {
	DAX_RETARGET_NLGRP_EVENTS,
};

extern struct genl_family dax_retarget_nl_family;

void dax_retarget_nl_sock_priv_init(struct list_head *priv);
void dax_retarget_nl_sock_priv_destroy(struct list_head *priv);

#endif /* _LINUX_DAX_RETARGET_GEN_H */
