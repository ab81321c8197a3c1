// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget monitor: tell what is taken back, as it happens
 *
 * Events are numbered, so that a reader notices a gap. Events are lost where
 * the kernel's ring overflows, which the number of the next event shows, or
 * where this socket has no room, which the kernel reports to this socket alone.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "dax_retarget.h"

/* How long the queue has to be empty after it overflowed, in seconds */
#define QUIET	1.0
/* How often the kernel is asked for a number that found no room in the socket */
#define ATTEMPTS	5

struct monitor {
	bool json;
	bool exact;
	bool own;		/* only events of the user's own pins */
	bool overrun;		/* some events found no room */
	uint64_t count;		/* events to be seen; 0 for no limit */
	uint64_t nr;		/* events seen */
	uint64_t last;		/* number of the last event that is accounted for */
	uint64_t lost;
	int64_t epoch;		/* real time at boot, in nanoseconds */
};

static double seconds_until(double end)
{
	double left = end - clock_ns(CLOCK_MONOTONIC) / 1e9;

	return left < 0 ? 0 : left;
}

static char *time_text(const struct monitor *monitor, uint64_t ns, bool date)
{
	int64_t real = monitor->epoch + (int64_t)ns;
	time_t seconds = real / 1000000000;
	char text[64], zone[16];
	struct tm tm;

	localtime_r(&seconds, &tm);
	if (!date) {
		strftime(text, sizeof(text), "%H:%M:%S", &tm);
		return xasprintf("%s.%03d", text,
				 (int)(real % 1000000000 / 1000000));
	}
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	/* RFC 3339 wants a colon in the offset */
	return xasprintf("%s.%06d%.3s:%s", text,
			 (int)(real % 1000000000 / 1000), zone, zone + 3);
}

static void print_json_event(const struct monitor *monitor,
			     const struct event *event)
{
	struct json_object *object = json_of_pin(&event->pin);
	struct json_object *place = json_of_place(&event->pin.place);
	char *when = time_text(monitor, event->time, true);

	json_object_object_foreach(place, key, value)
		json_object_object_add(object, key, json_object_get(value));
	json_object_put(place);
	put_number(object, "event", event->number);
	put_seconds(object, "time", event->time);
	put_string(object, "timestamp", when);
	put_string(object, "reason", reason_name(event->reason));
	put_number(object, "taken", event->pages * event->pin.page_size);
	print_json_line(object);
	free(when);
}

/* What the consumer's name follows */
static char *what_happened(const struct monitor *monitor,
			   const struct event *event)
{
	char *size, *text;

	if (event->reason == DAX_RETARGET_REASON_STOPPED)
		return xasprintf("device %s under", event->pin.device);
	size = human_size(event->pages * event->pin.page_size, monitor->exact);
	text = xasprintf("%s %s", size,
			 event->reason == DAX_RETARGET_REASON_MEMORY_FAILURE ?
			 "failed under" : "taken from");
	free(size);
	return text;
}

static void print_text_event(const struct monitor *monitor,
			     const struct event *event)
{
	const struct pin *pin = &event->pin;
	char *when = time_text(monitor, event->time, false);
	char *what = what_happened(monitor, event);
	char *comm = printable(pin->comm);
	char *range = range_text(&pin->place, monitor->exact);
	char *file = place_text(&pin->place);

	printf("%s #%" PRIu64 " %s: %s %s pin %" PRIu32
	       " of %s[%" PRIu32 "], %s of %s\n",
	       when, event->number, reason_name(event->reason), what,
	       pin->consumer, pin->id, comm, pin->pid, range, file);
	free(when);
	free(what);
	free(comm);
	free(range);
	free(file);
}

static void report_lost(struct monitor *monitor, uint64_t first, uint64_t last)
{
	struct json_object *object;
	uint64_t nr = last - first + 1;

	monitor->lost += nr;
	if (monitor->json) {
		object = json_object_new_object();
		put_number(object, "events_lost", nr);
		put_number(object, "first", first);
		put_number(object, "last", last);
		print_json_line(object);
	} else {
		printf("LOST %" PRIu64 " event%s: #%" PRIu64 " to #%" PRIu64 "\n",
		       nr, nr == 1 ? "" : "s", first, last);
	}
}

/* All up to this event that did not come are lost */
static void account_to(struct monitor *monitor, uint64_t number)
{
	if (number > monitor->last) {
		report_lost(monitor, monitor->last + 1, number);
		monitor->last = number;
	}
}

static void on_event(struct monitor *monitor, struct event *event)
{
	account_to(monitor, event->number - 1);
	if (event->number > monitor->last)
		monitor->last = event->number;
	monitor->nr++;
	refresh_mounts();
	if (monitor->json)
		print_json_event(monitor, event);
	else
		print_text_event(monitor, event);
	free_pin(&event->pin);
}

static bool seen_all(const struct monitor *monitor)
{
	return monitor->count && monitor->nr >= monitor->count;
}

/* Reads what is in the socket, up to the number of the last event before this call */
static void settle_own(struct monitor *monitor)
{
	enum wait_result result;
	struct event event;
	int attempt;

	for (attempt = 0; attempt < ATTEMPTS; attempt++) {
		subscribe_own();
		while (!seen_all(monitor)) {
			result = next_event(&event);
			if (result == WAIT_EVENT)
				on_event(monitor, &event);
			else if (result == WAIT_OVERRUN)
				monitor->overrun = true;
			else
				break;
		}
		if (seen_all(monitor))
			return;
		if (result == WAIT_NUMBER) {
			account_to(monitor, event.number);
			return;
		}
	}
}

/* After an overrun, with the queue empty: events that did not come are lost */
static void settle(struct monitor *monitor)
{
	struct status status;

	monitor->overrun = false;
	if (monitor->own) {
		settle_own(monitor);
		return;
	}
	get_status(&status);
	account_to(monitor, status.events);
}

static void warn_of_namespace(void)
{
	struct stat own, initial;

	/* Without permission to look at process 1 there is nothing to compare */
	if (!stat("/proc/self/ns/net", &own) &&
	    !stat("/proc/1/ns/net", &initial) &&
	    own.st_ino != initial.st_ino)
		fprintf(stderr, "dax-retarget: events are sent to the initial network namespace; this is another\n");
}

static void watch(struct monitor *monitor, double timeout)
{
	double end = clock_ns(CLOCK_MONOTONIC) / 1e9 + timeout, wait;
	enum wait_result result;
	struct event event;

	do {
		wait = timeout < 0 ? -1 : seconds_until(end);
		if (monitor->overrun && (wait < 0 || wait > QUIET))
			wait = QUIET;
		result = wait_event(&event, wait);
		if (result == WAIT_EVENT)
			on_event(monitor, &event);
		else if (result == WAIT_OVERRUN)
			monitor->overrun = true;
		else if (result == WAIT_TIMEOUT && monitor->overrun)
			settle(monitor);
		finish_output();
	} while (!seen_all(monitor) && !stopped && result != WAIT_STOPPED &&
		 (timeout < 0 || seconds_until(end)));
	/*
	 * The missing events have to be reported now or never. The number of one's
	 * own events is exact, also where the kernel could not send them.
	 */
	if ((monitor->overrun || monitor->own) && !seen_all(monitor))
		settle(monitor);
}

static void begin(struct monitor *monitor)
{
	struct status status;

	if (monitor->own) {
		settle_own(monitor);
		return;
	}
	/* First the number, then the subscription: no event falls in between */
	get_status(&status);
	monitor->last = status.events;
	subscribe();
	warn_of_namespace();
}

static int run_monitor(int argc, char **argv)
{
	struct monitor monitor = { };
	double timeout = -1;
	const struct verb_option options[] = {
		OPT_FLAG('o', "own", &monitor.own, "only of the user's own processes"),
		OPT_COUNT('n', "count", &monitor.count, "N", "end after N events"),
		OPT_SECONDS('t', "timeout", &timeout, "SECONDS",
			    "end after this time"),
		OPT_FLAG('b', "bytes", &monitor.exact, "exact numbers of bytes"),
		OPT_FLAG('j', "json", &monitor.json, "one object a line"),
		OPT_HELP(),
		OPT_END()
	};

	parse_options(argc, argv, &monitor_verb, options);

	catch_signals();
	setvbuf(stdout, NULL, _IOLBF, 0);
	monitor.epoch = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME);
	begin(&monitor);
	if (!monitor.json) {
		puts("waiting for events");
		finish_output();
	}
	watch(&monitor, timeout);
	if (monitor.lost)
		fprintf(stderr, "dax-retarget: %" PRIu64 " events were lost\n",
			monitor.lost);
	return EXIT_OK;
}

const struct verb monitor_verb = {
	.name = "monitor",
	.summary = "report live what is taken back",
	.description =
"Print a line whenever pages are taken back from a device, or fail under it, and\n"
"when a device is stopped, as its IOMMU failed. Ends with status 0 by Ctrl-C,\n"
"SIGTERM, or when nobody reads what it prints.\n"
"The events of all pins need CAP_SYS_ADMIN, and the initial network namespace.\n"
"Those of the user's own processes (--own) need no privilege.\n",
	.notes = "Events that were lost on the way are reported by their number.\n",
	.run = run_monitor,
};
