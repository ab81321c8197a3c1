// SPDX-License-Identifier: GPL-2.0-only
/*
 * dax-retarget: where files are, for the reader
 *
 * The kernel knows a file by its path from the root of its file system. Each
 * reader may have that file system mounted elsewhere, or not at all.
 */

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "dax_retarget.h"

static struct mount *mounts;
static size_t nr_mounts;

/* mountinfo has blanks and the like as \ooo */
static char *unescape(char *s)
{
	char *from = s, *to = s;

	while (*from) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' &&
		    from[2] >= '0' && from[2] <= '7' &&
		    from[3] >= '0' && from[3] <= '7') {
			*to++ = (from[1] - '0') << 6 | (from[2] - '0') << 3 |
				(from[3] - '0');
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
	return xstrdup(s);
}

static void read_mount(char *line)
{
	char *field[6], *rest, *save = NULL;
	struct mount mount = { };
	size_t i;

	rest = strstr(line, " - ");
	if (!rest)
		return;
	*rest = '\0';
	rest += 3;
	for (i = 0; i < ARRAY_SIZE(field); i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[i])
			return;
	}
	if (sscanf(field[2], "%u:%u", &mount.major, &mount.minor) != 2)
		return;
	mount.id = strtoul(field[0], NULL, 10);
	mount.parent = strtoul(field[1], NULL, 10);
	mount.root = unescape(field[3]);
	mount.point = unescape(field[4]);
	mount.type = xstrdup(strtok_r(rest, " \n", &save) ?: "");
	strtok_r(NULL, " \n", &save);
	mount.options = xstrdup(strtok_r(NULL, " \n", &save) ?: "");

	mounts = xrealloc(mounts, nr_mounts + 1, sizeof(*mounts));
	mounts[nr_mounts++] = mount;
}

static void free_mounts(void)
{
	size_t i;

	for (i = 0; i < nr_mounts; i++) {
		free(mounts[i].root);
		free(mounts[i].point);
		free(mounts[i].type);
		free(mounts[i].options);
	}
	free(mounts);
	mounts = NULL;
	nr_mounts = 0;
}

void read_mounts(void)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;

	free_mounts();
	/* Without mountinfo, files have no names; that is no reason to fail */
	if (!f)
		return;
	while (getline(&line, &size, f) > 0)
		read_mount(line);
	free(line);
	fclose(f);
}

/* Read again if mounts came or went; for verbs that run for long */
void refresh_mounts(void)
{
	static struct pollfd pollfd = { .fd = -1, .events = POLLPRI };

	/* The kernel tells of changes since the last time it was asked */
	if (pollfd.fd < 0) {
		pollfd.fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
		read_mounts();
	} else if (poll(&pollfd, 1, 0) > 0) {
		read_mounts();
	}
}

/* What follows @prefix in @path, if that is in it; begins with '/' or is "" */
static const char *below(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	if (len == 1)	/* the root */
		return path;
	if (strncmp(path, prefix, len) || (path[len] && path[len] != '/'))
		return NULL;
	return path + len;
}

static const struct mount *mount_by_id(unsigned int id)
{
	size_t i;

	for (i = 0; i < nr_mounts; i++)
		if (mounts[i].id == id)
			return &mounts[i];
	return NULL;
}

/* Does another mount lie over all of this one? */
static bool is_hidden(const struct mount *mount)
{
	const struct mount *m, *other;
	unsigned int depth = 0;
	size_t i;

	for (i = 0; i < nr_mounts; i++)
		if (mounts[i].parent == mount->id && &mounts[i] != mount &&
		    !strcmp(mounts[i].point, mount->point))
			return true;

	/* Siblings of it, or of what it is mounted on, nearer to the root */
	for (m = mount; m && depth < 100; m = mount_by_id(m->parent), depth++)
		for (i = 0; i < nr_mounts; i++) {
			other = &mounts[i];
			if (other != m && other->parent == m->parent &&
			    other->id != m->parent &&
			    strcmp(other->point, m->point) &&
			    below(m->point, other->point))
				return true;
		}
	return false;
}

static const struct mount *find_mount_of(uint32_t major, uint32_t minor,
					 const char *path)
{
	const struct mount *best = NULL, *m;
	size_t i;

	for (i = 0; i < nr_mounts; i++) {
		m = &mounts[i];
		if (m->major != major || m->minor != minor ||
		    (path && !below(path, m->root)) || is_hidden(m))
			continue;
		/* People know the mount that shows most of a file system */
		if (!best || strlen(m->root) < strlen(best->root))
			best = m;
	}
	return best;
}

const struct mount *find_mount(uint32_t major, uint32_t minor)
{
	return find_mount_of(major, minor, NULL);
}

/* Path of a file for this process, or %NULL */
char *place_path(const struct place *place)
{
	const struct mount *mount;
	const char *rest;

	if (!place->path)
		return NULL;
	mount = find_mount_of(place->major, place->minor, place->path);
	if (!mount)
		return NULL;
	rest = below(place->path, mount->root);
	if (!strcmp(mount->point, "/"))
		return xstrdup(rest);
	return xasprintf("%s%s", mount->point, rest);
}
