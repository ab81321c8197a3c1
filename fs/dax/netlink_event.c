// SPDX-License-Identifier: GPL-2.0-only
/*
 * DAX retarget: send events
 *
 * The events of the generic netlink family "dax-retarget". event.c has the ring
 * of events, and netlink.c the rest of the family.
 *
 * Administrators join the group of all events. A program without privilege has its
 * socket subscribed to the events of its user's own pins. These are the pins of
 * processes of the same user for which the subscriber's pid namespace has a number.
 * The rules of netlink.c are those of the subscription, too. As each event looks for
 * its subscribers, a user may have only a few subscriptions.
 */

#include <linux/cred.h>
#include <linux/dax_retarget.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/init.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/netlink.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "internal.h"
#include "netlink-gen.h"

#define SUBSCRIPTIONS	16	/* that a user may have */
/* Bytes of an event without path, IOVA and the name of the device */
#define OWN_EVENT_SIZE	384

/* A socket that gets the events of its user's own pins */
struct subscriber {
	struct list_head of_socket;	/* alone in the socket's list */
	struct hlist_node node;
	kuid_t uid;
	struct sock *sk;
	const struct cred *cred;
	struct pid_namespace *pid_ns;
	u64 events;	/* number of the last event */
	u64 lost;	/* events that did not get into the socket */
	u64 overflow;	/* that the ring lost, of all users; @events includes them */
};

static DEFINE_MUTEX(subscribers_mutex);	/* protects all subscribers */
static DEFINE_HASHTABLE(subscribers, 10);	/* by user */
static unsigned int nr_subscribers;	/* a hook reads it without the mutex */

/* How a reader of an event sees it */
struct reader {
	struct user_namespace *user_ns;
	struct pid_namespace *pid_ns;
	bool admin;	/* sees paths and IOVAs */
	u64 number;	/* of the event, for the reader */
	u64 lost;
};

static bool group_wanted(void)
{
	return genl_has_listeners(&dax_retarget_nl_family, &init_net,
				  DAX_RETARGET_NLGRP_EVENTS);
}

static bool event_wanted(void)
{
	return READ_ONCE(nr_subscribers) || group_wanted();
}

static int put_event(struct sk_buff *skb, const struct dax_event *event,
		     const struct reader *reader)
{
	if (nla_put_uint(skb, DAX_RETARGET_A_PIN_EVENT, reader->number) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_EVENTS_LOST, reader->lost) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_TIME, event->time) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_REASON, event->reason) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_EVENT_PAGES, event->count) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_ID, event->pin) ||
	    nla_put_string(skb, DAX_RETARGET_A_PIN_DEVICE,
			   event->device->name) ||
	    nla_put_string(skb, DAX_RETARGET_A_PIN_CONSUMER, event->consumer) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_PID,
			pid_nr_ns(event->owner, reader->pid_ns)) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_START_TIME,
			 event->owner_start) ||
	    nla_put_string(skb, DAX_RETARGET_A_PIN_COMM, event->comm) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_UID,
			from_kuid_munged(reader->user_ns, event->uid)) ||
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
	    (reader->admin && event->place.path[0] &&
	     nla_put_string(skb, DAX_RETARGET_A_PIN_PATH, event->place.path)) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_OFFSET,
			 event->place.offset) ||
	    nla_put_uint(skb, DAX_RETARGET_A_PIN_LENGTH, event->length) ||
	    (reader->admin && event->iova &&
	     nla_put_uint(skb, DAX_RETARGET_A_PIN_IOVA, event->iova)) ||
	    nla_put_u32(skb, DAX_RETARGET_A_PIN_PAGE_SIZE, PAGE_SIZE))
		return -EMSGSIZE;
	return 0;
}

static struct sk_buff *make_message(const struct dax_event *event,
				    const struct reader *reader, size_t size,
				    gfp_t gfp)
{
	struct sk_buff *skb;
	void *header;

	skb = genlmsg_new(size, gfp);
	if (!skb)
		return NULL;
	header = genlmsg_put(skb, 0, 0, &dax_retarget_nl_family, 0,
			     DAX_RETARGET_CMD_EVENT_NTF);
	if (!header || put_event(skb, event, reader)) {
		nlmsg_free(skb);
		return NULL;
	}
	genlmsg_end(skb, header);
	return skb;
}

/* A member whose socket is full gets ENOBUFS, and sees a gap in the numbers */
static bool send_to_group(const struct dax_event *event)
{
	const struct reader reader = {
		.user_ns = &init_user_ns,
		.pid_ns = &init_pid_ns,
		.admin = true,
		.number = event->number,
		.lost = event->lost,
	};
	struct sk_buff *skb = make_message(event, &reader, GENLMSG_DEFAULT_SIZE,
					   GFP_KERNEL);

	if (!skb)
		return false;
	genlmsg_multicast_netns(&dax_retarget_nl_family, &init_net, skb, 0,
				DAX_RETARGET_NLGRP_EVENTS, GFP_KERNEL);
	return true;
}

/* The ring does not say whose events it lost: they count for each subscriber */
static void count_overflow(struct subscriber *subscriber, u64 overflow)
{
	u64 more = overflow - subscriber->overflow;

	if (overflow <= subscriber->overflow)
		return;
	subscriber->overflow = overflow;
	subscriber->events += more;
	subscriber->lost += more;
}

/*
 * As a member of the group does, a subscriber gets ENOBUFS and sees a gap. Under the
 * mutex, so without reclaim; and no larger than need be, as the socket is charged.
 */
static void send_to_subscriber(const struct dax_event *event,
			       struct subscriber *subscriber)
{
	struct reader reader = {
		.user_ns = subscriber->cred->user_ns,
		.pid_ns = subscriber->pid_ns,
	};
	size_t size = OWN_EVENT_SIZE + strlen(event->device->name);
	struct sk_buff *skb;
	long do_not_wait = 0;

	count_overflow(subscriber, event->overflow);
	reader.number = ++subscriber->events;
	reader.lost = subscriber->lost;
	skb = make_message(event, &reader, size, GFP_NOWAIT);
	if (!skb) {
		subscriber->lost++;
		return;
	}
	if (sk_filter(subscriber->sk, skb)) {
		kfree_skb(skb);
		return;
	}
	/* Not by port: another socket may have the port of one that is closed */
	sock_hold(subscriber->sk);
	if (netlink_attachskb(subscriber->sk, skb, &do_not_wait, NULL)) {
		subscriber->lost++;
		return;
	}
	netlink_sendskb(subscriber->sk, skb);
}

static void send_to_subscribers(const struct dax_event *event)
{
	struct subscriber *subscriber;

	mutex_lock(&subscribers_mutex);
	hash_for_each_possible(subscribers, subscriber, node,
			       __kuid_val(event->uid))
		if (uid_eq(subscriber->uid, event->uid) &&
		    pid_nr_ns(event->owner, subscriber->pid_ns))
			send_to_subscriber(event, subscriber);
	mutex_unlock(&subscribers_mutex);
}

static bool event_send(const struct dax_event *event)
{
	bool sent = !group_wanted() || send_to_group(event);

	send_to_subscribers(event);
	return sent;
}

/**
 * dax_retarget_nl_sock_priv_init - initialize what the family knows of a socket
 * @priv: its subscription, or nothing
 */
void dax_retarget_nl_sock_priv_init(struct list_head *priv)
{
	INIT_LIST_HEAD(priv);
}

static void free_subscriber(struct subscriber *subscriber)
{
	if (!subscriber)
		return;
	put_pid_ns(subscriber->pid_ns);
	put_cred(subscriber->cred);
	kfree(subscriber);
}

/**
 * dax_retarget_nl_sock_priv_destroy - end the subscription of a socket
 * @priv: its subscription, or nothing
 */
void dax_retarget_nl_sock_priv_destroy(struct list_head *priv)
{
	struct subscriber *subscriber;

	mutex_lock(&subscribers_mutex);
	subscriber = list_first_entry_or_null(priv, struct subscriber,
					      of_socket);
	if (subscriber) {
		hash_del(&subscriber->node);
		WRITE_ONCE(nr_subscribers, nr_subscribers - 1);
	}
	mutex_unlock(&subscribers_mutex);
	free_subscriber(subscriber);
}

static struct subscriber *new_subscriber(struct sock *sk)
{
	struct subscriber *subscriber;

	subscriber = kzalloc(sizeof(*subscriber), GFP_KERNEL_ACCOUNT);
	if (!subscriber)
		return NULL;
	subscriber->sk = sk;
	subscriber->uid = current_euid();
	subscriber->cred = get_current_cred();
	subscriber->pid_ns = get_pid_ns(task_active_pid_ns(current));
	return subscriber;
}

/* Returns -EUSERS if the user has too many subscriptions */
static int add_subscriber(struct subscriber *new, struct list_head *of_socket)
{
	struct subscriber *subscriber;
	unsigned int nr = 0;

	hash_for_each_possible(subscribers, subscriber, node,
			       __kuid_val(new->uid))
		nr += uid_eq(subscriber->uid, new->uid);
	if (nr >= SUBSCRIPTIONS)
		return -EUSERS;
	new->overflow = dax_event_overflow();
	list_add(&new->of_socket, of_socket);
	hash_add(subscribers, &new->node, __kuid_val(new->uid));
	WRITE_ONCE(nr_subscribers, nr_subscribers + 1);
	return 0;
}

static int put_subscription(struct sk_buff *reply, struct genl_info *info,
			    struct subscriber *subscriber)
{
	void *header;

	count_overflow(subscriber, dax_event_overflow());
	header = genlmsg_iput(reply, info);
	if (!header ||
	    nla_put_uint(reply, DAX_RETARGET_A_STATUS_EVENTS,
			 subscriber->events) ||
	    nla_put_uint(reply, DAX_RETARGET_A_STATUS_EVENTS_LOST,
			 subscriber->lost))
		return -EMSGSIZE;
	genlmsg_end(reply, header);
	return 0;
}

/**
 * dax_retarget_nl_subscribe_doit - send a socket the events of its user's own pins
 * @skb: the request
 * @info: of the request
 *
 * The reply has the number of the last event. To a socket that is subscribed
 * already, it tells of events that did not get into the socket.
 *
 * Return: 0; -EPERM if another user has opened the socket; -EUSERS if the user has
 *	   too many subscriptions; -ENOMEM
 */
int dax_retarget_nl_subscribe_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct sock *sk = NETLINK_CB(skb).sk;
	struct subscriber *subscriber, *new;
	struct list_head *of_socket;
	struct sk_buff *reply;
	int ret = -ENOMEM;

	if (!dax_netlink_sender_opened(skb)) {
		NL_SET_ERR_MSG(info->extack, "another user opened the socket");
		return -EPERM;
	}
	of_socket = genl_sk_priv_get(&dax_retarget_nl_family, sk);
	if (IS_ERR(of_socket))
		return PTR_ERR(of_socket);
	/* Before the mutex, as the worker does not wait for reclaim */
	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	new = new_subscriber(sk);
	if (!reply || !new)
		goto out;

	mutex_lock(&subscribers_mutex);
	ret = 0;
	subscriber = list_first_entry_or_null(of_socket, struct subscriber,
					      of_socket);
	if (!subscriber) {
		ret = add_subscriber(new, of_socket);
		if (!ret)
			swap(subscriber, new);
	}
	if (!ret)
		ret = put_subscription(reply, info, subscriber);
	mutex_unlock(&subscribers_mutex);
out:
	free_subscriber(new);
	if (ret == -EUSERS)
		NL_SET_ERR_MSG(info->extack,
			       "the user has too many subscriptions");
	if (ret) {
		nlmsg_free(reply);
		return ret;
	}
	return genlmsg_reply(reply, info);
}

static const struct dax_event_listener listener = {
	.wanted		= event_wanted,
	.wants_paths	= group_wanted,
	.send		= event_send,
};

static int __init dax_retarget_event_init(void)
{
	if (!dax_retarget_enabled())
		return 0;
	dax_event_listen(&listener);
	return 0;
}
device_initcall(dax_retarget_event_init);	/* after the family is there */
