// SPDX-License-Identifier: GPL-2.0-only
/*
 * A memory cgroup of the test's own: what it charges, and what it reclaims.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib.h"

void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die("cannot write %s to %s", text, path);
	close(fd);
}

static void group_write(const char *group, const char *file, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", group, file);
	write_file(path, text);
}

/* Make a group and join it. Returns NULL, or why there are none */
const char *group_open(struct cgroup *group)
{
	char path[128];

	snprintf(group->root, sizeof(group->root), "/tmp/dax_retarget.XXXXXX");
	if (!mkdtemp(group->root))
		return "cannot make a folder in /tmp";
	snprintf(group->path, sizeof(group->path), "%s/dax_retarget",
		 group->root);
	if (mount("none", group->root, "cgroup2", 0, NULL)) {
		rmdir(group->root);
		return "no cgroup2 (CONFIG_MEMCG)";
	}
	snprintf(path, sizeof(path), "%s/memory.reclaim", group->root);
	if (access(path, W_OK)) {
		umount(group->root);
		rmdir(group->root);
		return "no memory.reclaim (CONFIG_MEMCG)";
	}
	group_write(group->root, "cgroup.subtree_control", "+memory");
	if (mkdir(group->path, 0700) && errno != EEXIST)
		die("cannot make a group");
	group_write(group->path, "cgroup.procs", "0");
	return NULL;
}

/* Leave the group, and forget it */
void group_close(struct cgroup *group)
{
	group_write(group->root, "cgroup.procs", "0");
	rmdir(group->path);
	umount(group->root);
	rmdir(group->root);
}

/* A line of the group's memory.stat */
long group_stat(const struct cgroup *group, const char *name)
{
	char path[256], key[64];
	long value;
	FILE *f;

	snprintf(path, sizeof(path), "%s/memory.stat", group->path);
	f = fopen(path, "r");
	if (!f)
		die("cannot read %s", path);
	while (fscanf(f, "%63s %ld", key, &value) == 2)
		if (!strcmp(key, name)) {
			fclose(f);
			return value;
		}
	die("%s has no %s", path, name);
}
