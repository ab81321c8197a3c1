/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dax-retarget: what the files of the command share
 */
#ifndef DAX_RETARGET_H
#define DAX_RETARGET_H

#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

#include <json-c/json.h>
#include <linux/dax_retarget_netlink.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Exit statuses; part of the interface, see dax-retarget(8) */
enum {
	EXIT_OK,
	EXIT_FAILED,
	EXIT_USAGE,
	EXIT_NO_FEATURE,
	EXIT_NO_PERMISSION,
};

/**
 * struct place - a range of a file
 * @major: block device of the file system
 * @minor: the same
 * @inode: inode number
 * @path: from the root of the file system, or %NULL
 * @offset: first byte
 * @length: in bytes
 * @iova: address at which the device reaches it
 * @has_iova: is @iova known?
 * @gone: has the inode left memory?
 */
struct place {
	uint32_t major;
	uint32_t minor;
	uint64_t inode;
	char *path;
	uint64_t offset;
	uint64_t length;
	uint64_t iova;
	bool has_iova;
	bool gone;
};

/**
 * struct pin - what one message of the kernel says about a pin
 * @place: one range of the pin; a pin with several has several messages
 *
 * The others are as in Documentation/netlink/specs/dax-retarget.yaml.
 */
struct pin {
	uint32_t id;
	char *device;
	char *consumer;
	uint32_t pid;
	bool has_pid;
	uint64_t start_time;
	char *comm;
	uint32_t uid;
	uint64_t age;
	uint32_t access;
	uint32_t state;
	uint64_t pages;
	uint64_t pages_retargeted;
	uint32_t page_size;
	struct place place;
};

/**
 * struct event - pages were taken back from a pin, or failed under it, or the
 * device of the pin was stopped
 * @number: from 1 since boot
 * @time: in nanoseconds since boot
 * @reason: enum dax_retarget_reason
 * @pages: that were taken back, or failed; 0 if the device was stopped
 * @pin: the pin, with the range that the event is about; an event says nothing
 *	of its age and state
 */
struct event {
	uint64_t number;
	uint64_t time;
	uint32_t reason;
	uint64_t pages;
	struct pin pin;
};

struct pins {
	struct pin *pin;
	size_t nr;
	size_t max;
};

/**
 * struct device - a PCI device with a driver
 * @has_counters: did the kernel tell the counters, which are all from @pins on?
 *
 * The others are as in Documentation/netlink/specs/dax-retarget.yaml.
 */
struct device {
	char *name;
	char *driver;
	bool retargetable;
	uint32_t refusal;
	char *domain_type;
	bool tracks_writes;
	bool revokes;
	bool has_counters;
	uint64_t pins;
	uint64_t bytes_pinned;
	uint64_t bytes_retargeted;
	uint64_t retargets;
	uint64_t flushes;
	uint64_t scratch_pages;
	uint64_t table_pages;
};

struct devices {
	struct device *device;
	size_t nr;
	size_t max;
};

struct status {
	bool enabled;
	uint64_t events;
	uint64_t events_lost;
};

/**
 * struct selector - which pins are meant
 *
 * All that is set has to match.
 */
struct selector {
	bool by_id;
	uint32_t id;
	const char *device;	/* or name of the consumer */
	char resolved[256];	/* @device, if it is no argument */
	bool by_pid;
	uint32_t pid;
	bool by_dev;
	uint32_t major;
	uint32_t minor;
	bool by_inode;
	uint64_t inode;
	bool by_offset;
	uint64_t offset;
	bool by_length;
	uint64_t length;
};

struct revoked {
	uint64_t pins;
	uint64_t pages;
	uint32_t page_size;
};

/* util.c */
void fail(int status, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 2, 3)));
void finish_output(void);
void *xrealloc(void *old, size_t nr, size_t size);
char *xstrdup(const char *s);
char *xvasprintf(const char *fmt, va_list args)
	__attribute__((format(printf, 1, 0)));
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Room for one more element in an array of @nr, which may move */
void *make_room(void *array, size_t nr, size_t *max, size_t size);
int64_t clock_ns(clockid_t clock);
void catch_signals(void);
extern volatile sig_atomic_t stopped;

/* options.c */

/**
 * struct verb_option - an option of a verb; OPT_END() ends a table
 * @letter: the short option; 0 in a heading of the help
 * @name: the long option
 * @argument: what the help calls the argument; %NULL if there is none
 * @value: what the option sets
 * @help: says what it does
 * @parse: reads the argument into @value; %NULL for --help
 */
struct verb_option {
	char letter;
	const char *name;
	const char *argument;
	void *value;
	const char *help;
	void (*parse)(const struct verb_option *option, const char *text);
};

void parse_flag(const struct verb_option *option, const char *text);
void parse_seconds(const struct verb_option *option, const char *text);
void parse_count(const struct verb_option *option, const char *text);
uint64_t parse_number(const struct verb_option *option, const char *text,
		      uint64_t max);
uint64_t parse_size(const struct verb_option *option, const char *text);

/* Compound literals, so that the compiler looks at the type of the variable */
#define OPT_FLAG(letter, name, value, help) \
	{ letter, name, NULL, (bool *){ value }, help, parse_flag }
#define OPT_SECONDS(letter, name, value, argument, help) \
	{ letter, name, argument, (double *){ value }, help, parse_seconds }
#define OPT_COUNT(letter, name, value, argument, help) \
	{ letter, name, argument, (uint64_t *){ value }, help, parse_count }
#define OPT_SELECT(letter, name, value, argument, help) \
	{ letter, #name, argument, (struct selector *){ value }, help, \
	  select_##name }
#define OPT_HEADING(text)	{ .help = text }
#define OPT_HELP()		{ 'h', "help", .help = "print this text" }
#define OPT_END()		{ }

/**
 * struct verb - a verb of the command
 * @name: %NULL for the command itself
 * @arguments: what follows the name, for the help; %NULL for options alone
 * @summary: what it does, in a line
 * @description: the same in full
 * @notes: what the help ends with, or %NULL
 * @takes_arguments: other than options
 * @print_list: prints what the help lists before the options, or %NULL
 * @run: does it; returns the exit status
 */
struct verb {
	const char *name;
	const char *arguments;
	const char *summary;
	const char *description;
	const char *notes;
	bool takes_arguments;
	void (*print_list)(void);
	int (*run)(int argc, char **argv);
};

extern const struct verb list_verb, devices_verb, monitor_verb, stats_verb,
	top_verb, revoke_verb, doctor_verb;

void usage_error(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));
/* Returns the index of the first argument that is no option */
int parse_options(int argc, char **argv, const struct verb *verb,
		  const struct verb_option *options);

/* select.c */
void select_id(const struct verb_option *option, const char *text);
void select_device(const struct verb_option *option, const char *text);
void select_pid(const struct verb_option *option, const char *text);
void select_file(const struct verb_option *option, const char *text);
void select_mount(const struct verb_option *option, const char *text);
void select_offset(const struct verb_option *option, const char *text);
void select_length(const struct verb_option *option, const char *text);
bool is_selected(const struct selector *selector, const struct pin *pin);
void resolve_device(struct selector *selector);

/* netlink.c */
bool feature_is_built_in(void);
bool feature_exists(void);
void get_pins(struct pins *pins, const struct selector *selector);
void free_pins(struct pins *pins);
void get_devices(struct devices *devices);
void free_devices(struct devices *devices);
void get_status(struct status *status);
int do_revoke(const struct selector *selector, struct revoked *revoked);

enum wait_result {
	WAIT_EVENT, WAIT_NUMBER, WAIT_OVERRUN, WAIT_TIMEOUT, WAIT_STOPPED
};
void subscribe(void);
void subscribe_own(void);
enum wait_result next_event(struct event *event);
enum wait_result wait_event(struct event *event, double seconds);
void free_pin(struct pin *pin);

/* sysfs.c */

/* Reads the first line of a file; "" if it cannot be read */
void read_line(char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Name of the file that a symbolic link points at; "" if there is none */
void read_link(char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
bool path_exists(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *next_name(DIR *dir);
struct json_object *rdma_devices_of(const char *device);
bool rdma_parent(const char *rdma_device, char *buf, size_t size);
bool is_vfio_bound(const char *driver);

/* mounts.c */

/**
 * struct mount - a line of /proc/self/mountinfo
 */
struct mount {
	unsigned int id;
	unsigned int parent;
	uint32_t major;
	uint32_t minor;
	char *root;
	char *point;
	char *type;
	char *options;
};

void read_mounts(void);
void refresh_mounts(void);
const struct mount *find_mount(uint32_t major, uint32_t minor);
char *place_path(const struct place *place);

/* text.c */
struct table;
char *printable(const char *s);
char *human_size(uint64_t bytes, bool exact);
char *human_duration(uint64_t nanoseconds);
char *user_name(uint32_t uid);
char *place_text(const struct place *place);
char *range_text(const struct place *place, bool exact);
const char *access_name(uint32_t access);
const char *state_name(uint32_t state);
const char *reason_name(uint32_t reason);
const char *refusal_name(uint32_t refusal);
const char *refusal_words(uint32_t refusal);
struct table *table_new(unsigned int columns, ...);
void table_add(struct table *table, char *cell);
void table_print(struct table *table, unsigned int max_rows);

/* json.c */
void put_string(struct json_object *object, const char *key, const char *s);
void put_number(struct json_object *object, const char *key, uint64_t n);
void put_bool(struct json_object *object, const char *key, bool b);
void put_seconds(struct json_object *object, const char *key,
		 uint64_t nanoseconds);
void print_json_value(struct json_object *object);
void print_json_line(struct json_object *object);
struct json_object *json_of_pin(const struct pin *pin);
struct json_object *json_of_place(const struct place *place);

#endif /* DAX_RETARGET_H */
