/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The generic netlink family "dax-retarget", as far as tests are its users.
 * tools/dax_retarget/ has the administrator's command, and command.sh its tests.
 */
#ifndef _DAX_RETARGET_NETLINK_H
#define _DAX_RETARGET_NETLINK_H

#include <linux/dax_retarget_netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct netlink {
	int fd;
	uint16_t family;
};

/* Looks at the attributes of a message */
typedef void (*netlink_visit_fn)(const void *attributes, size_t len, void *arg);

const char *netlink_open(struct netlink *netlink);
void netlink_close(struct netlink *netlink);
const void *netlink_find(const void *attributes, size_t len, uint16_t type);
long netlink_dump(struct netlink *netlink, uint8_t command,
		  netlink_visit_fn visit, void *arg);
int netlink_revoke_file(struct netlink *netlink, int fd);
int netlink_revoke_device(struct netlink *netlink, const char *device);

#endif
