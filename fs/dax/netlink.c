// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: the requests of administrators
 *
 * The requests of the generic netlink family "dax-retarget", which is described
 * in Documentation/netlink/specs/dax-retarget.yaml. This file fills the answers
 * and decides what a requester may see:
 *
 * - A user sees the pins of the user's own processes, if the user's pid
 *   namespace has a number for the process.
 * - CAP_SYS_ADMIN in a user namespace shows the pins of that namespace and of
 *   the namespaces below, and allows to revoke them.
 * - A process without a number in the requester's pid namespace is listed
 *   without a number. The user's number is that of the requester's user
 *   namespace.
 * - A path may be out of a user's reach. Paths and IOVAs need CAP_SYS_ADMIN in
 *   the initial user namespace.
 * - The group of events tells of all pins, so a member needs CAP_SYS_ADMIN in the
 *   initial network namespace (netlink_event.c). Numbers in its events are those of
 *   the initial namespaces. A user may subscribe to the events of the user's own
 *   pins.
 *
 * The credentials of the task that sends the request decide; another task may
 * read the rest of the answer. A task can be tricked into writing to a socket
 * that another user opened. So the opener of the socket must be the same user
 * as the sender, or must have the capability as well.
 */

#include <linux/cred.h>
#include <linux/dax_retarget.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/timekeeping.h>
#include <linux/user_namespace.h>
#include <linux/xarray.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "internal.h"
#include "netlink-gen.h"

/* A dump of pins: the requester, and the position of the dump */
struct pin_dump {
	const struct cred *cred;
	struct pid_namespace *pid_ns;
	bool user;		/* the same user opened the socket */
	bool admin;		/* CAP_SYS_ADMIN in @cred's user namespace */
	unsigned long id;	/* of the pin */
	unsigned long index;	/* where the pin's next range begins, or above */
};

static bool may_see(struct pin_dump *dump, struct dax_pin *pin)
{
	return (dump->user && uid_eq(pin->cred->euid, dump->cred->euid) &&
		pid_nr_ns(pin->owner, dump->pid_ns)) ||
	       (dump->admin &&
		in_userns(dump->cred->user_ns, pin->cred->user_ns));
}

static bool may_see_all(struct pin_dump *dump)
{
	return dump->admin && dump->cred->user_ns == &init_user_ns;
}

/**
 * dax_netlink_sender_opened - did the user that sends a request open the socket?
 * @skb: the request
 *
 * Context: the sender's
 *
 * Return: whether it did
 */
bool dax_netlink_sender_opened(const struct sk_buff *skb)
{
	const struct file *file = NETLINK_CB(skb).sk->sk_socket->file;

	return uid_eq(file->f_cred->euid, current_euid());
}

/* Add the attributes that all ranges of a pin share */
static int put_pin(struct sk_buff *skb, struct pin_dump *dump,
		   struct dax_pin *pin)
{
	pid_t pid = pid_nr_ns(pin->owner, dump->pid_ns);
	u32 state;

	switch (READ_ONCE(pin->region.state)) {
	case RETARGET_REGISTERING:
		state = DAX_RETARGET_STATE_REGISTERING;
		break;
	case RETARGET_LIVE:
		state = DAX_RETARGET_STATE_LIVE;
		break;
	default:
		state = DAX_RETARGET_STATE_ENDING;
		break;
	}

	if (nla_put_u32(skb, DAX_RETARGET_A_PIN_ID, pin->id) ||
	    nla_put_string(skb, DAX_RETARGET_A_PIN_DEVICE, pin->region.device->name) ||
	    nla_put_string(skb, DAX_RETARGET_A_PIN_CONSUMER, pin->consumer) ||
	    (pid && nla_put_u32(skb, DAX_RETARGET_A_PIN_PID, pid)) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_START_TIME,
			 pin->owner_start) ||
	    nla_put_string(skb, DAX_RETARGET_A_PIN_COMM, pin->comm) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_UID,
			from_kuid_munged(dump->cred->user_ns,
					 pin->cred->euid)) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_AGE,
			 ktime_get_boottime_ns() - pin->created) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_ACCESS, pin->region.writable ?
			DAX_RETARGET_ACCESS_WRITE : DAX_RETARGET_ACCESS_READ) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_STATE, state) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_PAGES,
			 READ_ONCE(pin->region.nr_pinned)) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_PAGES_RETARGETED,
			 READ_ONCE(pin->region.nr_retargeted)) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_PAGE_SIZE, PAGE_SIZE))
		return -EMSGSIZE;
	return 0;
}

/* Add the attributes of a range, under RCU. @buf has PATH_MAX bytes. */
static int put_range(struct sk_buff *skb, struct pin_dump *dump,
		     struct dax_pin_range *range, char *buf, bool alone)
{
	u64 nr = READ_ONCE(range->node.last) - range->node.start + 1;
	struct retarget_region *region = &range->pin->region;
	bool all = may_see_all(dump), known;
	const char *path = NULL;

	known = dax_pinned_file_path(range->file, buf, PATH_MAX,
				     all ? &path : NULL);
	if (nla_put_u32(skb, DAX_RETARGET_A_PIN_MAJOR,
			MAJOR(range->file->dev)) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_MINOR,
			MINOR(range->file->dev)) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_INODE, range->file->ino) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_OFFSET,
			 (u64)range->node.start << PAGE_SHIFT) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_LENGTH, nr << PAGE_SHIFT) ||
	    (!known && nla_put_flag(skb, DAX_RETARGET_A_PIN_GONE)))
		return -EMSGSIZE;
	if (!all)
		return 0;
	/* Pairs with the region becoming live, whose @iova is set then */
	if (smp_load_acquire(&region->state) == RETARGET_LIVE &&
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_IOVA,
			 region->iova + ((u64)range->first << PAGE_SHIFT)))
		return -EMSGSIZE;
	/* A path that does not fit into a message of its own is left out */
	if (path && nla_put_string(skb, DAX_RETARGET_A_PIN_PATH, path) &&
	    !alone)
		return -EMSGSIZE;
	return 0;
}

static int put_message(struct sk_buff *skb, struct netlink_callback *cb,
		       struct dax_pin_range *range, char *buf)
{
	struct pin_dump *dump = (struct pin_dump *)cb->ctx;
	bool alone = !skb->len;
	void *header;
	int ret;

	header = genlmsg_put(skb, NETLINK_CB(cb->skb).portid,
			     cb->nlh->nlmsg_seq, &dax_retarget_nl_family,
			     NLM_F_MULTI, DAX_RETARGET_CMD_PIN_GET);
	if (!header)
		return -EMSGSIZE;
	ret = put_pin(skb, dump, range->pin) ?:
	      put_range(skb, dump, range, buf, alone);
	if (ret)
		genlmsg_cancel(skb, header);
	else
		genlmsg_end(skb, header);
	return ret;
}

/*
 * Add a message for each range that is left, as many as there is space for. Takes
 * no lock that a hook waits for.
 */
static int dump_pin(struct sk_buff *skb, struct netlink_callback *cb,
		    struct dax_pin *pin, char *buf)
{
	struct pin_dump *dump = (struct pin_dump *)cb->ctx;
	struct dax_pin_range *range;
	int ret = 0;

	rcu_read_lock();
	for (range = xa_find(&pin->ranges, &dump->index, ULONG_MAX, XA_PRESENT);
	     range;
	     range = xa_find_after(&pin->ranges, &dump->index, ULONG_MAX,
				   XA_PRESENT)) {
		ret = put_message(skb, cb, range, buf);
		if (ret)
			break;
	}
	rcu_read_unlock();
	return ret;
}

/**
 * dax_retarget_nl_pin_start - begin a dump of the pins
 * @cb: the dump; keeps the requester, as another task may read the rest
 *
 * Return: 0
 */
int dax_retarget_nl_pin_start(struct netlink_callback *cb)
{
	struct pin_dump *dump = (struct pin_dump *)cb->ctx;

	NL_ASSERT_DUMP_CTX_FITS(struct pin_dump);
	dump->cred = get_current_cred();
	dump->pid_ns = get_pid_ns(task_active_pid_ns(current));
	dump->user = dax_netlink_sender_opened(cb->skb);
	dump->admin = netlink_ns_capable(cb->skb, current_user_ns(),
					 CAP_SYS_ADMIN);
	return 0;
}

/**
 * dax_retarget_nl_pin_done - end a dump of the pins
 * @cb: the dump
 *
 * Return: 0
 */
int dax_retarget_nl_pin_done(struct netlink_callback *cb)
{
	struct pin_dump *dump = (struct pin_dump *)cb->ctx;

	put_pid_ns(dump->pid_ns);
	put_cred(dump->cred);
	return 0;
}

/**
 * dax_retarget_nl_pin_get_dumpit - dump the pins
 * @skb: to be filled
 * @cb: the dump
 *
 * A pin that is there from the begin of the dump to its end is dumped once.
 *
 * Return: length of @skb while there is more to come, 0, or an error
 */
int dax_retarget_nl_pin_get_dumpit(struct sk_buff *skb,
				   struct netlink_callback *cb)
{
	struct pin_dump *dump = (struct pin_dump *)cb->ctx;
	struct dax_pin *pin;
	char *buf;
	int ret = 0;

	buf = kmalloc(PATH_MAX, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;

	while ((pin = dax_pin_get_next(dump->id))) {
		if (pin->id != dump->id)
			dump->index = 0;
		dump->id = pin->id;
		if (may_see(dump, pin))
			ret = dump_pin(skb, cb, pin, buf);
		dax_pin_put(pin);
		if (ret)
			break;
		dump->id++;
		dump->index = 0;
		cond_resched();
	}
	kfree(buf);
	return skb->len ?: ret;
}

static int put_device_stats(struct sk_buff *skb,
			    const struct retarget_device *device)
{
	u64 now[RETARGET_STAT_NR];
	int i;

	for (i = 0; i < RETARGET_STAT_NR; i++)
		now[i] = atomic_long_read(&device->stat[i]);

	if (nla_put_uint(skb, DAX_RETARGET_A_DEVICE_PINS,
			 now[RETARGET_STAT_PINS]) ||
	    nla_put_uint(skb, DAX_RETARGET_A_DEVICE_BYTES_PINNED,
			 now[RETARGET_STAT_PAGES_PINNED] << PAGE_SHIFT) ||
	    nla_put_uint(skb, DAX_RETARGET_A_DEVICE_BYTES_RETARGETED,
			 now[RETARGET_STAT_PAGES_RETARGETED] << PAGE_SHIFT) ||
	    nla_put_uint(skb, DAX_RETARGET_A_DEVICE_RETARGETS,
			 now[RETARGET_STAT_RETARGETS]) ||
	    nla_put_uint(skb, DAX_RETARGET_A_DEVICE_FLUSHES,
			 now[RETARGET_STAT_FLUSHES]) ||
	    nla_put_uint(skb, DAX_RETARGET_A_DEVICE_SCRATCH_PAGES,
			 now[RETARGET_STAT_SCRATCH_PAGES]) ||
	    nla_put_uint(skb, DAX_RETARGET_A_DEVICE_TABLE_PAGES,
			 now[RETARGET_STAT_TABLE_PAGES]))
		return -EMSGSIZE;
	return 0;
}

/* Returns -ENODEV if no driver is bound to the device */
static int put_bound_device(struct sk_buff *skb, struct netlink_callback *cb,
			    struct retarget_device *device)
{
	enum dax_retarget_refusal refusal;
	char driver[sizeof(device->driver)];
	const char *type;
	bool tracks;
	void *header;
	int ret;

	if (!retarget_device_describe(device, driver, &refusal, &type, &tracks))
		return -ENODEV;
	header = genlmsg_put(skb, NETLINK_CB(cb->skb).portid,
			     cb->nlh->nlmsg_seq, &dax_retarget_nl_family,
			     NLM_F_MULTI, DAX_RETARGET_CMD_DEVICE_GET);
	if (!header)
		return -EMSGSIZE;
	ret = nla_put_string(skb, DAX_RETARGET_A_DEVICE_NAME, device->name) ?:
	      nla_put_string(skb, DAX_RETARGET_A_DEVICE_DRIVER, driver) ?:
	      nla_put_string(skb, DAX_RETARGET_A_DEVICE_DOMAIN_TYPE, type);
	if (!ret)
		ret = refusal ? nla_put_u32(skb, DAX_RETARGET_A_DEVICE_REFUSAL,
					    refusal) :
		      nla_put_flag(skb, DAX_RETARGET_A_DEVICE_RETARGETABLE);
	if (!ret && tracks)
		ret = nla_put_flag(skb, DAX_RETARGET_A_DEVICE_TRACKS_WRITES);
	if (!ret && READ_ONCE(device->revokes))
		ret = nla_put_flag(skb, DAX_RETARGET_A_DEVICE_REVOKES);
	/* What others pin is not for everybody */
	if (!ret && netlink_capable(cb->skb, CAP_SYS_ADMIN))
		ret = put_device_stats(skb, device);
	if (ret)
		genlmsg_cancel(skb, header);
	else
		genlmsg_end(skb, header);
	return ret;
}

/**
 * dax_retarget_nl_device_get_dumpit - dump the devices
 * @skb: to be filled
 * @cb: where the dump is: the device that was dumped last
 *
 * Takes no lock of a device: what is told was noted when the driver was bound.
 *
 * Return: length of @skb while there is more to come, 0, or an error
 */
int dax_retarget_nl_device_get_dumpit(struct sk_buff *skb,
				      struct netlink_callback *cb)
{
	/* A device stays in the list, also when others are added */
	struct retarget_device *device = (void *)cb->args[0];
	int ret;

	while ((device = retarget_device_next(device))) {
		ret = put_bound_device(skb, cb, device);
		if (ret && ret != -ENODEV)
			return skb->len ?: ret;
		cb->args[0] = (long)device;
	}
	return skb->len;
}

/**
 * dax_retarget_nl_status_get_doit - answer with the state of the whole feature
 * @skb: the request
 * @info: of the request
 *
 * Return: 0 or an error
 */
int dax_retarget_nl_status_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *reply;
	u64 total, lost;
	void *header;

	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;

	dax_event_totals(&total, &lost);
	header = genlmsg_iput(reply, info);
	if (!header || nla_put_flag(reply, DAX_RETARGET_A_STATUS_ENABLED) ||
	    nla_put_uint(reply, DAX_RETARGET_A_STATUS_EVENTS, total) ||
	    nla_put_uint(reply, DAX_RETARGET_A_STATUS_EVENTS_LOST, lost)) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, header);
	return genlmsg_reply(reply, info);
}

static bool revoke_allowed(struct dax_pin *pin, void *skb)
{
	return netlink_ns_capable(skb, pin->cred->user_ns, CAP_SYS_ADMIN);
}

static int read_request(struct genl_info *info,
			struct dax_revocation *revocation)
{
	struct nlattr **attrs = info->attrs;
	struct nlattr *major = attrs[DAX_RETARGET_A_REVOKE_MAJOR];
	struct nlattr *minor = attrs[DAX_RETARGET_A_REVOKE_MINOR];
	struct nlattr *inode = attrs[DAX_RETARGET_A_REVOKE_INODE];
	u64 offset = 0, length = 0;

	if (attrs[DAX_RETARGET_A_REVOKE_ID])
		revocation->id = nla_get_u32(attrs[DAX_RETARGET_A_REVOKE_ID]);
	if (attrs[DAX_RETARGET_A_REVOKE_DEVICE])
		revocation->device =
			nla_data(attrs[DAX_RETARGET_A_REVOKE_DEVICE]);

	if (!major != !minor || (inode && !major)) {
		NL_SET_ERR_MSG(info->extack,
			       "major and minor go together, inode with them");
		return -EINVAL;
	}
	if (major && (nla_get_u32(major) > MAJOR(~(dev_t)0) ||
		      nla_get_u32(minor) > MINORMASK)) {
		NL_SET_ERR_MSG(info->extack, "no such device number");
		return -EINVAL;
	}
	if (major) {
		revocation->by_dev = true;
		revocation->dev = MKDEV(nla_get_u32(major), nla_get_u32(minor));
	}
	if (inode) {
		revocation->by_ino = true;
		revocation->ino = nla_get_uint(inode);
	}

	if (attrs[DAX_RETARGET_A_REVOKE_OFFSET])
		offset = nla_get_uint(attrs[DAX_RETARGET_A_REVOKE_OFFSET]);
	if (attrs[DAX_RETARGET_A_REVOKE_LENGTH])
		length = nla_get_uint(attrs[DAX_RETARGET_A_REVOKE_LENGTH]);
	if ((offset || attrs[DAX_RETARGET_A_REVOKE_LENGTH]) && !inode) {
		NL_SET_ERR_MSG(info->extack, "a range needs a file");
		return -EINVAL;
	}
	if (offset + length < offset ||
	    (attrs[DAX_RETARGET_A_REVOKE_LENGTH] && !length)) {
		NL_SET_ERR_MSG(info->extack, "the range is empty or too long");
		return -EINVAL;
	}
	/* A page that is only partly in the range is taken back as well */
	revocation->first = offset >> PAGE_SHIFT;
	revocation->last = length ? (offset + length - 1) >> PAGE_SHIFT :
			   ULONG_MAX;

	if (!revocation->id && !revocation->device && !major &&
	    !attrs[DAX_RETARGET_A_REVOKE_PID]) {
		NL_SET_ERR_MSG(info->extack, "name a pin, device, process or file");
		return -EINVAL;
	}
	return 0;
}

static int reply_revoked(struct genl_info *info,
			 struct dax_revocation *revocation)
{
	struct sk_buff *reply;
	void *header;

	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	header = genlmsg_iput(reply, info);
	if (!header ||
	    nla_put_uint(reply, DAX_RETARGET_A_REVOKE_PINS, revocation->pins) ||
	    nla_put_uint(reply, DAX_RETARGET_A_REVOKE_PAGES,
			 revocation->pages) ||
	    nla_put_u32(reply, DAX_RETARGET_A_REVOKE_PAGE_SIZE, PAGE_SIZE)) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, header);
	return genlmsg_reply(reply, info);
}

/**
 * dax_retarget_nl_revoke_doit - take pages back by hand
 * @skb: the request
 * @info: of the request
 *
 * Return: 0; -EPERM without CAP_SYS_ADMIN in the sender's user namespace;
 *	   -EINVAL if the request makes no sense; -ESRCH if there is no such
 *	   process; -ENOENT if no pin matches that the sender may revoke
 */
int dax_retarget_nl_revoke_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct dax_revocation revocation = {
		.allowed = revoke_allowed,
		.data = skb,
	};
	int ret;

	/* Otherwise the errors would tell a user which pins exist */
	if (!netlink_ns_capable(skb, current_user_ns(), CAP_SYS_ADMIN))
		return -EPERM;
	ret = read_request(info, &revocation);
	if (ret)
		return ret;
	if (info->attrs[DAX_RETARGET_A_REVOKE_PID]) {
		revocation.owner =
			find_get_pid(nla_get_u32(info->attrs[DAX_RETARGET_A_REVOKE_PID]));
		if (!revocation.owner)
			return -ESRCH;
	}

	dax_pins_revoke(&revocation);
	put_pid(revocation.owner);

	if (!revocation.matched)
		return -ENOENT;
	return reply_revoked(info, &revocation);
}

/*
 * The generated group, with a capability that the specification cannot express
 */
static const struct genl_multicast_group groups[] = {
	[DAX_RETARGET_NLGRP_EVENTS] = {
		.name = DAX_RETARGET_MCGRP_EVENTS,
		.flags = GENL_MCAST_CAP_SYS_ADMIN,
	},
};

static int __init dax_retarget_netlink_init(void)
{
	if (!dax_retarget_enabled())
		return 0;
	dax_retarget_nl_family.mcgrps = groups;
	return genl_register_family(&dax_retarget_nl_family);
}
fs_initcall(dax_retarget_netlink_init);
