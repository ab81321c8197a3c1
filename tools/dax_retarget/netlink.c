// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget: talk to the kernel
 */

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include "dax_retarget.h"

/* The kernel fills what the reader has room for, up to 32 KiB */
#define RECEIVE_BUFFER	(64 * 1024)
/* Room for some thousand events while the reader is busy */
#define EVENT_BUFFER	(4 * 1024 * 1024)
/* How often an interrupted dump is tried again */
#define ATTEMPTS	5

/**
 * struct channel - a socket
 * @sock: of libnl
 * @family: number of the family
 * @done: the last message of an answer has come
 * @error: what the kernel answered, as errno
 * @why: explanation that came with it, or ""
 */
struct channel {
	struct nl_sock *sock;
	int family;
	bool done;
	int error;
	char why[256];
};

static struct channel requests, events;

/* YNL's type uint has 4 or 8 bytes */
static uint64_t get_uint(const struct nlattr *attr)
{
	if (!attr)
		return 0;
	switch (nla_len(attr)) {
	case sizeof(uint32_t):
		return nla_get_u32(attr);
	case sizeof(uint64_t):
		return nla_get_u64(attr);
	default:
		fail(EXIT_FAILED, "the kernel sent a number of %d bytes",
		     nla_len(attr));
	}
}

/* A copy of a string; %NULL if there is none */
static char *get_string(const struct nlattr *attr)
{
	return attr ? xstrdup(nla_get_string(attr)) : NULL;
}

static char *get_name(const struct nlattr *attr)
{
	return get_string(attr) ?: xstrdup("?");
}

static void note_error(struct channel *channel, int error)
{
	channel->error = error < 0 ? -error : error;
	channel->done = true;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *err, void *arg)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)err - 1;
	struct channel *channel = arg;
	struct nlattr *attr;
	int skip = sizeof(*err);

	/* The header before an error is that of the message it is in */
	note_error(channel, err->error);
	if (nlh->nlmsg_flags & NLM_F_ACK_TLVS) {
		if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
			skip += NLMSG_ALIGN(err->msg.nlmsg_len) -
				sizeof(err->msg);
		attr = nlmsg_find_attr(nlh, skip, NLMSGERR_ATTR_MSG);
		if (attr)
			snprintf(channel->why, sizeof(channel->why), "%.*s",
				 nla_len(attr), (char *)nla_data(attr));
	}
	return NL_STOP;
}

/* The end of a dump may carry an error, which libnl does not look at */
static int on_finish(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *nlh = nlmsg_hdr(msg);
	struct channel *channel = arg;
	int error;

	channel->done = true;
	if (nlmsg_datalen(nlh) >= (int)sizeof(error)) {
		memcpy(&error, nlmsg_data(nlh), sizeof(error));
		if (error < 0)
			note_error(channel, error);
	}
	return NL_STOP;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	struct channel *channel = arg;

	channel->done = true;
	return NL_STOP;
}

/* Returns false if the kernel does not have the family, or DAX retarget is off */
static bool channel_open(struct channel *channel)
{
	int one = 1, ret;

	if (channel->sock)
		return true;

	channel->sock = nl_socket_alloc();
	if (!channel->sock)
		fail(EXIT_FAILED, "out of memory");
	ret = genl_connect(channel->sock);
	if (ret)
		fail(EXIT_FAILED, "no netlink socket: %s", nl_geterror(ret));
	nl_socket_set_msg_buf_size(channel->sock, RECEIVE_BUFFER);
	setsockopt(nl_socket_get_fd(channel->sock), SOL_NETLINK,
		   NETLINK_EXT_ACK, &one, sizeof(one));

	ret = genl_ctrl_resolve(channel->sock, DAX_RETARGET_FAMILY_NAME);
	if (ret < 0) {
		nl_socket_free(channel->sock);
		channel->sock = NULL;
		if (ret == -NLE_OBJ_NOTFOUND)
			return false;
		fail(EXIT_FAILED, "no answer from generic netlink: %s",
		     nl_geterror(ret));
	}
	channel->family = ret;
	return true;
}

/*
 * Was the kernel built with DAX retarget? While DAX retarget is off, it registers
 * nothing, and only its symbols tell. Many kernels list functions alone.
 */
bool feature_is_built_in(void)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	bool found = false;
	char line[512];

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, " dax_retarget_range\n");
	if (f)
		fclose(f);
	return found;
}

static void need_feature(struct channel *channel)
{
	if (!channel_open(channel))
		fail(EXIT_NO_FEATURE, "%s", feature_is_built_in() ?
		     "DAX retarget is off: add dax_retarget=on to the kernel's command line, and reboot" :
		     "this kernel does not have DAX retarget (CONFIG_DAX_RETARGET)");
}

bool feature_exists(void)
{
	return channel_open(&requests);
}

static struct nl_msg *new_request(int command, int flags)
{
	struct nl_msg *msg = nlmsg_alloc();

	need_feature(&requests);
	if (!msg || !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ,
				 requests.family, 0, flags, command,
				 DAX_RETARGET_FAMILY_VERSION))
		fail(EXIT_FAILED, "out of memory");
	return msg;
}

/*
 * Send @msg, which is freed, and hand each answer to @parse. Returns 0, -EINTR
 * if a dump was interrupted, or the kernel's error, negative.
 */
static int transact(struct nl_msg *msg, nl_recvmsg_msg_cb_t parse, void *arg)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int ret;

	if (!cb)
		fail(EXIT_FAILED, "out of memory");
	requests.done = false;
	requests.error = 0;
	requests.why[0] = '\0';
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, parse, arg);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, &requests);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, &requests);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, &requests);

	ret = nl_send_auto(requests.sock, msg);
	nlmsg_free(msg);
	if (ret < 0)
		fail(EXIT_FAILED, "cannot send to the kernel: %s",
		     nl_geterror(ret));
	/* Read the acknowledgement too, or the next request would find it */
	do {
		ret = nl_recvmsgs(requests.sock, cb);
	} while (!requests.done && ret >= 0);
	nl_cb_put(cb);
	if (requests.error)
		return -requests.error;
	if (ret == -NLE_DUMP_INTR)
		return -EINTR;
	if (ret < 0)
		fail(EXIT_FAILED, "cannot receive from the kernel: %s",
		     nl_geterror(ret));
	return 0;
}

static void fail_request(const struct channel *channel, const char *what,
			 int error)
{
	fail(error == -EPERM || error == -EACCES ? EXIT_NO_PERMISSION :
						   EXIT_FAILED,
	     "%s: %s%s%s", what, strerror(-error),
	     channel->why[0] ? ": " : "", channel->why);
}

/*
 * Dump again until no change interferes, so that the list is of one moment.
 * @reset drops what an attempt brought.
 */
static void dump(int command, const char *what, nl_recvmsg_msg_cb_t parse,
		 void (*reset)(void *), void *arg)
{
	int attempt, ret;

	for (attempt = 0; attempt < ATTEMPTS; attempt++) {
		reset(arg);
		ret = transact(new_request(command, NLM_F_DUMP), parse, arg);
		if (!ret)
			return;
		if (ret != -EINTR)
			fail_request(&requests, what, ret);
	}
	fprintf(stderr, "dax-retarget: %s: changed meanwhile, some may be missing\n",
		what);
}

/* The kernel may be newer and have attributes that we do not know */
static bool parse(struct nl_msg *msg, struct nlattr **attrs, int max)
{
	return !genlmsg_parse(nlmsg_hdr(msg), 0, attrs, max, NULL);
}

static void parse_pin(struct nlattr **attrs, struct pin *pin)
{
	memset(pin, 0, sizeof(*pin));
	pin->id = get_uint(attrs[DAX_RETARGET_A_PIN_ID]);
	pin->device = get_name(attrs[DAX_RETARGET_A_PIN_DEVICE]);
	pin->consumer = get_name(attrs[DAX_RETARGET_A_PIN_CONSUMER]);
	pin->has_pid = attrs[DAX_RETARGET_A_PIN_PID];
	pin->pid = get_uint(attrs[DAX_RETARGET_A_PIN_PID]);
	pin->start_time = get_uint(attrs[DAX_RETARGET_A_PIN_START_TIME]);
	pin->comm = get_name(attrs[DAX_RETARGET_A_PIN_COMM]);
	pin->uid = get_uint(attrs[DAX_RETARGET_A_PIN_UID]);
	pin->age = get_uint(attrs[DAX_RETARGET_A_PIN_AGE]);
	pin->access = get_uint(attrs[DAX_RETARGET_A_PIN_ACCESS]);
	pin->state = get_uint(attrs[DAX_RETARGET_A_PIN_STATE]);
	pin->pages = get_uint(attrs[DAX_RETARGET_A_PIN_PAGES]);
	pin->pages_retargeted =
		get_uint(attrs[DAX_RETARGET_A_PIN_PAGES_RETARGETED]);
	pin->page_size = get_uint(attrs[DAX_RETARGET_A_PIN_PAGE_SIZE]);
	pin->place.major = get_uint(attrs[DAX_RETARGET_A_PIN_MAJOR]);
	pin->place.minor = get_uint(attrs[DAX_RETARGET_A_PIN_MINOR]);
	pin->place.inode = get_uint(attrs[DAX_RETARGET_A_PIN_INODE]);
	pin->place.path = get_string(attrs[DAX_RETARGET_A_PIN_PATH]);
	pin->place.offset = get_uint(attrs[DAX_RETARGET_A_PIN_OFFSET]);
	pin->place.length = get_uint(attrs[DAX_RETARGET_A_PIN_LENGTH]);
	pin->place.has_iova = attrs[DAX_RETARGET_A_PIN_IOVA];
	pin->place.iova = get_uint(attrs[DAX_RETARGET_A_PIN_IOVA]);
	pin->place.gone = attrs[DAX_RETARGET_A_PIN_GONE];
}

static void parse_event(struct nlattr **attrs, struct event *event)
{
	event->number = get_uint(attrs[DAX_RETARGET_A_PIN_EVENT]);
	event->time = get_uint(attrs[DAX_RETARGET_A_PIN_TIME]);
	event->reason = get_uint(attrs[DAX_RETARGET_A_PIN_REASON]);
	event->pages = get_uint(attrs[DAX_RETARGET_A_PIN_EVENT_PAGES]);
	parse_pin(attrs, &event->pin);
}

void free_pin(struct pin *pin)
{
	free(pin->device);
	free(pin->consumer);
	free(pin->comm);
	free(pin->place.path);
}

void free_pins(struct pins *pins)
{
	size_t i;

	for (i = 0; i < pins->nr; i++)
		free_pin(&pins->pin[i]);
	free(pins->pin);
	memset(pins, 0, sizeof(*pins));
}

struct pin_dump {
	struct pins *pins;
	const struct selector *selector;
};

static int on_pin(struct nl_msg *msg, void *arg)
{
	struct nlattr *attrs[DAX_RETARGET_A_PIN_MAX + 1];
	struct pin_dump *pin_dump = arg;
	struct pins *pins = pin_dump->pins;
	struct pin pin;

	if (!parse(msg, attrs, DAX_RETARGET_A_PIN_MAX))
		return NL_OK;
	parse_pin(attrs, &pin);
	if (!is_selected(pin_dump->selector, &pin)) {
		free_pin(&pin);
		return NL_OK;
	}
	pins->pin = make_room(pins->pin, pins->nr, &pins->max,
			      sizeof(*pins->pin));
	pins->pin[pins->nr++] = pin;
	return NL_OK;
}

static void reset_pins(void *arg)
{
	struct pin_dump *pin_dump = arg;

	free_pins(pin_dump->pins);
}

/* By id, then by place in the pin, as the kernel has them */
void get_pins(struct pins *pins, const struct selector *selector)
{
	struct pin_dump pin_dump = { .pins = pins, .selector = selector };

	dump(DAX_RETARGET_CMD_PIN_GET, "pins", on_pin, reset_pins, &pin_dump);
}

static int on_device(struct nl_msg *msg, void *arg)
{
	struct nlattr *attrs[DAX_RETARGET_A_DEVICE_MAX + 1];
	struct devices *devices = arg;
	struct device *device;

	if (!parse(msg, attrs, DAX_RETARGET_A_DEVICE_MAX))
		return NL_OK;
	devices->device = make_room(devices->device, devices->nr, &devices->max,
				    sizeof(*devices->device));
	device = &devices->device[devices->nr++];
	device->name = get_name(attrs[DAX_RETARGET_A_DEVICE_NAME]);
	device->driver = get_name(attrs[DAX_RETARGET_A_DEVICE_DRIVER]);
	device->retargetable = attrs[DAX_RETARGET_A_DEVICE_RETARGETABLE];
	device->refusal = get_uint(attrs[DAX_RETARGET_A_DEVICE_REFUSAL]);
	device->domain_type = get_name(attrs[DAX_RETARGET_A_DEVICE_DOMAIN_TYPE]);
	device->tracks_writes = attrs[DAX_RETARGET_A_DEVICE_TRACKS_WRITES];
	device->revokes = attrs[DAX_RETARGET_A_DEVICE_REVOKES];
	device->has_counters = attrs[DAX_RETARGET_A_DEVICE_PINS];
	device->pins = get_uint(attrs[DAX_RETARGET_A_DEVICE_PINS]);
	device->bytes_pinned =
		get_uint(attrs[DAX_RETARGET_A_DEVICE_BYTES_PINNED]);
	device->bytes_retargeted =
		get_uint(attrs[DAX_RETARGET_A_DEVICE_BYTES_RETARGETED]);
	device->retargets = get_uint(attrs[DAX_RETARGET_A_DEVICE_RETARGETS]);
	device->flushes = get_uint(attrs[DAX_RETARGET_A_DEVICE_FLUSHES]);
	device->scratch_pages =
		get_uint(attrs[DAX_RETARGET_A_DEVICE_SCRATCH_PAGES]);
	device->table_pages =
		get_uint(attrs[DAX_RETARGET_A_DEVICE_TABLE_PAGES]);
	return NL_OK;
}

void free_devices(struct devices *devices)
{
	size_t i;

	for (i = 0; i < devices->nr; i++) {
		free(devices->device[i].name);
		free(devices->device[i].driver);
		free(devices->device[i].domain_type);
	}
	free(devices->device);
	memset(devices, 0, sizeof(*devices));
}

static void reset_devices(void *arg)
{
	free_devices(arg);
}

void get_devices(struct devices *devices)
{
	dump(DAX_RETARGET_CMD_DEVICE_GET, "devices", on_device, reset_devices,
	     devices);
}

static int on_status(struct nl_msg *msg, void *arg)
{
	struct nlattr *attrs[DAX_RETARGET_A_STATUS_MAX + 1];
	struct status *status = arg;

	if (!parse(msg, attrs, DAX_RETARGET_A_STATUS_MAX))
		return NL_OK;
	status->enabled = attrs[DAX_RETARGET_A_STATUS_ENABLED];
	status->events = get_uint(attrs[DAX_RETARGET_A_STATUS_EVENTS]);
	status->events_lost =
		get_uint(attrs[DAX_RETARGET_A_STATUS_EVENTS_LOST]);
	return NL_OK;
}

void get_status(struct status *status)
{
	int ret;

	memset(status, 0, sizeof(*status));
	ret = transact(new_request(DAX_RETARGET_CMD_STATUS_GET, 0), on_status,
		       status);
	if (ret)
		fail_request(&requests, "status", ret);
}

static int on_revoked(struct nl_msg *msg, void *arg)
{
	struct nlattr *attrs[DAX_RETARGET_A_REVOKE_MAX + 1];
	struct revoked *revoked = arg;

	if (!parse(msg, attrs, DAX_RETARGET_A_REVOKE_MAX))
		return NL_OK;
	revoked->pins = get_uint(attrs[DAX_RETARGET_A_REVOKE_PINS]);
	revoked->pages = get_uint(attrs[DAX_RETARGET_A_REVOKE_PAGES]);
	revoked->page_size = get_uint(attrs[DAX_RETARGET_A_REVOKE_PAGE_SIZE]);
	return NL_OK;
}

static void put_uint(struct nl_msg *msg, int type, uint64_t value)
{
	if (nla_put_u64(msg, type, value))
		fail(EXIT_FAILED, "out of memory");
}

static void put_u32(struct nl_msg *msg, int type, uint32_t value)
{
	if (nla_put_u32(msg, type, value))
		fail(EXIT_FAILED, "out of memory");
}

/* Returns 0 or -ENOENT, -ESRCH if nothing matches; all else ends the command */
int do_revoke(const struct selector *selector, struct revoked *revoked)
{
	struct nl_msg *msg = new_request(DAX_RETARGET_CMD_REVOKE, 0);
	int ret;

	memset(revoked, 0, sizeof(*revoked));
	if (selector->by_id)
		put_u32(msg, DAX_RETARGET_A_REVOKE_ID, selector->id);
	if (selector->device &&
	    nla_put_string(msg, DAX_RETARGET_A_REVOKE_DEVICE, selector->device))
		usage_error("--device: too long");
	if (selector->by_pid)
		put_u32(msg, DAX_RETARGET_A_REVOKE_PID, selector->pid);
	if (selector->by_dev) {
		put_u32(msg, DAX_RETARGET_A_REVOKE_MAJOR, selector->major);
		put_u32(msg, DAX_RETARGET_A_REVOKE_MINOR, selector->minor);
	}
	if (selector->by_inode)
		put_uint(msg, DAX_RETARGET_A_REVOKE_INODE, selector->inode);
	if (selector->by_offset)
		put_uint(msg, DAX_RETARGET_A_REVOKE_OFFSET, selector->offset);
	if (selector->by_length)
		put_uint(msg, DAX_RETARGET_A_REVOKE_LENGTH, selector->length);

	ret = transact(msg, on_revoked, revoked);
	if (ret && ret != -ENOENT && ret != -ESRCH)
		fail_request(&requests, "revoke", ret);
	return ret;
}

static void open_events(void)
{
	int size = EVENT_BUFFER, fd;

	need_feature(&events);
	/* An administrator has the right to exceed the usual limit */
	fd = nl_socket_get_fd(events.sock);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	nl_socket_set_nonblocking(events.sock);
}

/* Get the events of all pins from now on */
void subscribe(void)
{
	int group, ret;

	open_events();
	group = genl_ctrl_resolve_grp(events.sock, DAX_RETARGET_FAMILY_NAME,
				      DAX_RETARGET_MCGRP_EVENTS);
	if (group < 0)
		fail(EXIT_FAILED, "the kernel has no events: %s",
		     nl_geterror(group));

	ret = nl_socket_add_memberships(events.sock, group, 0);
	if (ret == -NLE_PERM || ret == -NLE_NOACCESS)
		fail(EXIT_NO_PERMISSION,
		     "events tell of all processes: they need CAP_SYS_ADMIN (--own does not)");
	if (ret)
		fail(EXIT_FAILED, "cannot subscribe to events: %s",
		     nl_geterror(ret));
}

/*
 * Get the events of the user's own pins from now on, and, each time that this is
 * called, the number of the last event. Unless the socket is full, the number is
 * there at once, after the events that came before.
 */
void subscribe_own(void)
{
	struct nl_msg *msg = nlmsg_alloc();
	int ret;

	if (!events.sock)
		open_events();
	if (!msg || !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, events.family,
				 0, 0, DAX_RETARGET_CMD_SUBSCRIBE,
				 DAX_RETARGET_FAMILY_VERSION))
		fail(EXIT_FAILED, "out of memory");
	ret = nl_send_auto(events.sock, msg);
	nlmsg_free(msg);
	if (ret < 0)
		fail(EXIT_FAILED, "cannot send to the kernel: %s",
		     nl_geterror(ret));
}

/* False if the message is no answer to subscribe_own() */
static bool read_number(struct nlmsghdr *nlh, struct event *event)
{
	struct nlattr *attrs[DAX_RETARGET_A_STATUS_MAX + 1];

	if (nlh->nlmsg_type == NLMSG_ERROR) {
		on_error(NULL, nlmsg_data(nlh), &events);
		if (events.error)
			fail_request(&events, "events", -events.error);
		return false;
	}
	if (nlh->nlmsg_type != events.family ||
	    !genlmsg_valid_hdr(nlh, 0) ||
	    genlmsg_hdr(nlh)->cmd != DAX_RETARGET_CMD_SUBSCRIBE ||
	    genlmsg_parse(nlh, 0, attrs, DAX_RETARGET_A_STATUS_MAX, NULL))
		return false;
	event->number = get_uint(attrs[DAX_RETARGET_A_STATUS_EVENTS]);
	return true;
}

/* False if the message is no event of ours */
static bool read_event(struct nlmsghdr *nlh, struct event *event)
{
	struct nlattr *attrs[DAX_RETARGET_A_PIN_MAX + 1];

	if (nlh->nlmsg_type != events.family ||
	    !genlmsg_valid_hdr(nlh, 0) ||
	    genlmsg_hdr(nlh)->cmd != DAX_RETARGET_CMD_EVENT_NTF ||
	    genlmsg_parse(nlh, 0, attrs, DAX_RETARGET_A_PIN_MAX, NULL) ||
	    !attrs[DAX_RETARGET_A_PIN_EVENT])
		return false;
	parse_event(attrs, event);
	return true;
}

/* Returns 1 if there is something to read, 0 at @end, -1 after a signal */
static int wait_readable(int fd, int64_t end)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	struct timespec left;
	sigset_t block, old;
	int64_t ns;
	int ret;

	/* A signal between the test of the flag and the wait must not be lost */
	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGTERM);
	sigprocmask(SIG_BLOCK, &block, &old);
	if (stopped) {
		ret = -1;
	} else {
		ns = end - clock_ns(CLOCK_MONOTONIC);
		if (ns < 0)
			ns = 0;
		left.tv_sec = ns / 1000000000;
		left.tv_nsec = ns % 1000000000;
		ret = ppoll(&pollfd, 1, end < 0 ? NULL : &left, &old);
		if (ret < 0 && errno != EINTR)
			fail(EXIT_FAILED, "poll: %s", strerror(errno));
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	return ret;
}

/*
 * What is there, without waiting; WAIT_TIMEOUT if that is nothing. The kernel sends
 * each event as a message of its own. libnl's reader cannot be used: it hides that
 * the socket had no room for some of them.
 *
 * @event: gets the event, or with WAIT_NUMBER the number of the last event alone
 */
enum wait_result next_event(struct event *event)
{
	static char buf[RECEIVE_BUFFER] __attribute__((aligned(8)));
	struct sockaddr_nl from;
	socklen_t from_len;
	ssize_t len;

	for (;;) {
		from_len = sizeof(from);
		len = recvfrom(nl_socket_get_fd(events.sock), buf, sizeof(buf),
			       MSG_DONTWAIT, (struct sockaddr *)&from,
			       &from_len);
		if (len < 0) {
			if (errno == ENOBUFS)
				return WAIT_OVERRUN;
			if (errno == EAGAIN)
				return WAIT_TIMEOUT;
			if (errno == EINTR)
				continue;
			fail(EXIT_FAILED, "cannot receive events: %s",
			     strerror(errno));
		}
		/* Other senders than the kernel are ignored */
		if (from.nl_pid || !nlmsg_ok((struct nlmsghdr *)buf, len))
			continue;
		if (read_event((struct nlmsghdr *)buf, event))
			return WAIT_EVENT;
		if (read_number((struct nlmsghdr *)buf, event))
			return WAIT_NUMBER;
	}
}

/*
 * @event: as above
 * @seconds: negative to wait without limit
 */
enum wait_result wait_event(struct event *event, double seconds)
{
	int64_t end = seconds < 0 ? -1 : clock_ns(CLOCK_MONOTONIC) +
					 (int64_t)(seconds * 1e9);
	enum wait_result result;
	int ret;

	for (;;) {
		ret = wait_readable(nl_socket_get_fd(events.sock), end);
		if (ret < 0 && stopped)
			return WAIT_STOPPED;
		if (!ret)
			return WAIT_TIMEOUT;
		result = next_event(event);
		if (result != WAIT_TIMEOUT)
			return result;
	}
}
