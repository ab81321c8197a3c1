// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/dax-retarget.yaml */
/* YNL-GEN kernel source */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink-gen.h"

#include <uapi/linux/dax_retarget_netlink.h>
#include <linux/list.h>

/* DAX_RETARGET_CMD_REVOKE - do */
static const struct nla_policy dax_retarget_revoke_nl_policy[DAX_RETARGET_A_REVOKE_LENGTH + 1] = {
	[DAX_RETARGET_A_REVOKE_ID] = NLA_POLICY_MIN(NLA_U32, 1),
	[DAX_RETARGET_A_REVOKE_DEVICE] = { .type = NLA_NUL_STRING, },
	[DAX_RETARGET_A_REVOKE_PID] = { .type = NLA_U32, },
	[DAX_RETARGET_A_REVOKE_MAJOR] = { .type = NLA_U32, },
	[DAX_RETARGET_A_REVOKE_MINOR] = { .type = NLA_U32, },
	[DAX_RETARGET_A_REVOKE_INODE] = { .type = NLA_UINT, },
	[DAX_RETARGET_A_REVOKE_OFFSET] = { .type = NLA_UINT, },
	[DAX_RETARGET_A_REVOKE_LENGTH] = { .type = NLA_UINT, },
};

/* Ops table for dax_retarget */
static const struct genl_split_ops dax_retarget_nl_ops[] = {
	{
		.cmd	= DAX_RETARGET_CMD_PIN_GET,
		.start	= dax_retarget_nl_pin_start,
		.dumpit	= dax_retarget_nl_pin_get_dumpit,
		.done	= dax_retarget_nl_pin_done,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd	= DAX_RETARGET_CMD_DEVICE_GET,
		.dumpit	= dax_retarget_nl_device_get_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd	= DAX_RETARGET_CMD_STATUS_GET,
		.doit	= dax_retarget_nl_status_get_doit,
		.flags	= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= DAX_RETARGET_CMD_REVOKE,
		.doit		= dax_retarget_nl_revoke_doit,
		.policy		= dax_retarget_revoke_nl_policy,
		.maxattr	= DAX_RETARGET_A_REVOKE_LENGTH,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= DAX_RETARGET_CMD_SUBSCRIBE,
		.doit	= dax_retarget_nl_subscribe_doit,
		.flags	= GENL_CMD_CAP_DO,
	},
};

static const struct genl_multicast_group dax_retarget_nl_mcgrps[] = {
	[DAX_RETARGET_NLGRP_EVENTS] = { "events", },
};

static void __dax_retarget_nl_sock_priv_init(void *priv)
{
	dax_retarget_nl_sock_priv_init(priv);
}

static void __dax_retarget_nl_sock_priv_destroy(void *priv)
{
	dax_retarget_nl_sock_priv_destroy(priv);
}

struct genl_family dax_retarget_nl_family __ro_after_init = {
	.name		= DAX_RETARGET_FAMILY_NAME,
	.version	= DAX_RETARGET_FAMILY_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.split_ops	= dax_retarget_nl_ops,
	.n_split_ops	= ARRAY_SIZE(dax_retarget_nl_ops),
	.mcgrps		= dax_retarget_nl_mcgrps,
	.n_mcgrps	= ARRAY_SIZE(dax_retarget_nl_mcgrps),
	.sock_priv_size	= sizeof(struct list_head),
	.sock_priv_init	= __dax_retarget_nl_sock_priv_init,
	.sock_priv_destroy = __dax_retarget_nl_sock_priv_destroy,
};
