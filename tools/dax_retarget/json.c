// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget: output for programs
 *
 * Numbers are bytes and seconds; names are as in schema/. What is not known is
 * absent.
 */

#include <stdlib.h>
#include <string.h>

#include "dax_retarget.h"

/* Length of the valid UTF-8 sequence at @s, 0 if there is none */
static size_t utf8_length(const unsigned char *s)
{
	size_t len, i;
	uint32_t code;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] < 0xe0) {
		len = 2;
		code = s[0] & 0x1f;
	} else if (s[0] >= 0xe0 && s[0] < 0xf0) {
		len = 3;
		code = s[0] & 0x0f;
	} else if (s[0] >= 0xf0 && s[0] < 0xf5) {
		len = 4;
		code = s[0] & 0x07;
	} else {
		return 0;
	}
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	/* Overlong, a surrogate, or beyond Unicode */
	if ((len == 3 && code < 0x800) || (code >= 0xd800 && code < 0xe000) ||
	    (len == 4 && code < 0x10000) || code > 0x10ffff)
		return 0;
	return len;
}

/* File names may be any bytes, JSON is UTF-8: others become U+FFFD */
void put_string(struct json_object *object, const char *key, const char *s)
{
	static const char replacement[] = "\xef\xbf\xbd";
	const unsigned char *from = (const unsigned char *)s;
	char *copy, *to;
	size_t len;

	if (!s)
		return;
	copy = to = xrealloc(NULL, strlen(s) + 1, 3);
	while (*from) {
		len = utf8_length(from);
		memcpy(to, len ? (const char *)from : replacement, len ?: 3);
		to += len ?: 3;
		from += len ?: 1;
	}
	json_object_object_add(object, key,
			       json_object_new_string_len(copy, to - copy));
	free(copy);
}

void put_number(struct json_object *object, const char *key, uint64_t n)
{
	json_object_object_add(object, key, json_object_new_uint64(n));
}

void put_bool(struct json_object *object, const char *key, bool b)
{
	json_object_object_add(object, key, json_object_new_boolean(b));
}

void put_seconds(struct json_object *object, const char *key,
		 uint64_t nanoseconds)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu.%09llu",
		 (unsigned long long)nanoseconds / 1000000000,
		 (unsigned long long)nanoseconds % 1000000000);
	json_object_object_add(object, key,
			       json_object_new_double_s(nanoseconds / 1e9, text));
}

#define FLAGS	JSON_C_TO_STRING_NOSLASHESCAPE

/* Print and free */
void print_json_value(struct json_object *object)
{
	puts(json_object_to_json_string_ext(object, FLAGS |
					    JSON_C_TO_STRING_PRETTY |
					    JSON_C_TO_STRING_SPACED));
	json_object_put(object);
}

void print_json_line(struct json_object *object)
{
	puts(json_object_to_json_string_ext(object, FLAGS));
	json_object_put(object);
}

/* What a pin and an event have in common */
struct json_object *json_of_pin(const struct pin *pin)
{
	struct json_object *object = json_object_new_object();

	put_number(object, "id", pin->id);
	put_string(object, "device", pin->device);
	put_string(object, "consumer", pin->consumer);
	if (pin->has_pid)
		put_number(object, "pid", pin->pid);
	put_string(object, "comm", pin->comm);
	put_number(object, "uid", pin->uid);
	put_seconds(object, "owner_start", pin->start_time);
	put_string(object, "access", access_name(pin->access));
	put_number(object, "size", pin->pages * pin->page_size);
	put_number(object, "lost", pin->pages_retargeted * pin->page_size);
	put_number(object, "page_size", pin->page_size);
	return object;
}

struct json_object *json_of_place(const struct place *place)
{
	struct json_object *object = json_object_new_object();
	char *path = place_path(place);

	put_number(object, "major", place->major);
	put_number(object, "minor", place->minor);
	put_number(object, "inode", place->inode);
	put_string(object, "file", path);
	put_string(object, "path", place->path);
	put_number(object, "offset", place->offset);
	put_number(object, "length", place->length);
	if (place->has_iova)
		put_number(object, "iova", place->iova);
	free(path);
	return object;
}
