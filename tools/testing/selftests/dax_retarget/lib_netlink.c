// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests of the generic netlink family "dax-retarget". A request that fails
 * ends the test only if nothing could be sent or received at all.
 */

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib.h"
#include "lib_netlink.h"

struct request {
	struct nlmsghdr header;
	struct genlmsghdr generic;
	char attributes[256];
};

static void request_init(struct request *request, uint16_t family,
			 uint8_t command, uint16_t flags)
{
	memset(request, 0, sizeof(*request));
	request->header.nlmsg_type = family;
	request->header.nlmsg_flags = NLM_F_REQUEST | flags;
	request->header.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
	request->generic.cmd = command;
	request->generic.version = 1;
}

static void put(struct request *request, uint16_t type, const void *value,
		size_t size)
{
	struct nlattr *attr = (void *)((char *)request +
				       NLMSG_ALIGN(request->header.nlmsg_len));

	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + size;
	memcpy((char *)attr + NLA_HDRLEN, value, size);
	request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) +
				    NLA_ALIGN(attr->nla_len);
}

static void put_u32(struct request *request, uint16_t type, uint32_t value)
{
	put(request, type, &value, sizeof(value));
}

static const struct nlattr *next_attribute(const struct nlattr *attr,
					   const char *end)
{
	const char *next = (const char *)attr + NLA_ALIGN(attr->nla_len);

	return next + NLA_HDRLEN <= end ? (const void *)next : NULL;
}

/* The value of an attribute of a message, or NULL */
const void *netlink_find(const void *attributes, size_t len, uint16_t type)
{
	const char *end = (const char *)attributes + len;
	const struct nlattr *attr = len >= NLA_HDRLEN ? attributes : NULL;

	for (; attr; attr = next_attribute(attr, end))
		if ((attr->nla_type & NLA_TYPE_MASK) == type)
			return (const char *)attr + NLA_HDRLEN;
	return NULL;
}

/*
 * Send a request, and read the answer to its end. Returns the number of messages,
 * or a negative errno.
 */
static long ask(int fd, struct request *request, netlink_visit_fn visit,
		void *arg)
{
	static __thread uint64_t buf[8192];
	long nr = 0;

	if (send(fd, request, request->header.nlmsg_len, 0) < 0)
		die("cannot send a request");
	for (;;) {
		ssize_t len = recv(fd, buf, sizeof(buf), 0);
		struct nlmsghdr *message = (void *)buf;
		int *error;

		if (len < 0)
			die("no answer");
		for (; NLMSG_OK(message, len); message = NLMSG_NEXT(message, len)) {
			error = NLMSG_DATA(message);
			if (message->nlmsg_type == NLMSG_ERROR)
				return *error ?: nr;
			if (message->nlmsg_type == NLMSG_DONE)
				return *error ?: nr;
			nr++;
			if (visit)
				visit((char *)NLMSG_DATA(message) + GENL_HDRLEN,
				      NLMSG_PAYLOAD(message, GENL_HDRLEN), arg);
		}
	}
}

static void take_family(const void *attributes, size_t len, void *arg)
{
	const uint16_t *id = netlink_find(attributes, len, CTRL_ATTR_FAMILY_ID);

	*(uint16_t *)arg = id ? *id : 0;
}

/* Returns NULL, or why there is no such family */
const char *netlink_open(struct netlink *netlink)
{
	struct request request;

	netlink->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
			     NETLINK_GENERIC);
	if (netlink->fd < 0)
		return "no generic netlink";
	request_init(&request, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	put(&request, CTRL_ATTR_FAMILY_NAME, DAX_RETARGET_FAMILY_NAME,
	    sizeof(DAX_RETARGET_FAMILY_NAME));
	netlink->family = 0;
	if (ask(netlink->fd, &request, take_family, &netlink->family) < 0 ||
	    !netlink->family) {
		netlink_close(netlink);
		return "the kernel has no such netlink family";
	}
	return NULL;
}

void netlink_close(struct netlink *netlink)
{
	close(netlink->fd);
}

/**
 * netlink_dump - have all of something listed
 * @netlink: the family
 * @command: of the dump
 * @visit: called for each message, or NULL
 * @arg: for @visit
 *
 * Return: number of messages, or a negative errno
 */
long netlink_dump(struct netlink *netlink, uint8_t command,
		  netlink_visit_fn visit, void *arg)
{
	struct request request;

	request_init(&request, netlink->family, command, NLM_F_DUMP);
	return ask(netlink->fd, &request, visit, arg);
}

/* Take all pages of a file back by hand. Returns errno. */
int netlink_revoke_file(struct netlink *netlink, int fd)
{
	struct request request;
	struct stat st;
	uint64_t inode;
	long ret;

	if (fstat(fd, &st))
		die("cannot learn the number of a file");
	inode = st.st_ino;
	request_init(&request, netlink->family, DAX_RETARGET_CMD_REVOKE,
		     NLM_F_ACK);
	put_u32(&request, DAX_RETARGET_A_REVOKE_MAJOR, major(st.st_dev));
	put_u32(&request, DAX_RETARGET_A_REVOKE_MINOR, minor(st.st_dev));
	put(&request, DAX_RETARGET_A_REVOKE_INODE, &inode, sizeof(inode));
	ret = ask(netlink->fd, &request, NULL, NULL);
	return ret < 0 ? -ret : 0;
}

/* Take all pages back from a device, by hand. Returns errno. */
int netlink_revoke_device(struct netlink *netlink, const char *device)
{
	struct request request;
	long ret;

	request_init(&request, netlink->family, DAX_RETARGET_CMD_REVOKE,
		     NLM_F_ACK);
	put(&request, DAX_RETARGET_A_REVOKE_DEVICE, device, strlen(device) + 1);
	ret = ask(netlink->fd, &request, NULL, NULL);
	return ret < 0 ? -ret : 0;
}
