// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file system under the tests of DAX retarget as a whole: how it is
 * mounted, how to mount it again, and what is in its blocks, of whatever file
 * they are.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib.h"

/* Options of the file system: without those that mount(2) takes as flags */
static void take_options(struct mount_info *info, char *options)
{
	char *save, *option;

	info->options[0] = 0;
	for (option = strtok_r(options, ",", &save); option;
	     option = strtok_r(NULL, ",", &save)) {
		if (!strcmp(option, "rw") || !strcmp(option, "ro"))
			continue;
		if (info->options[0])
			strcat(info->options, ",");
		strcat(info->options, option);
	}
}

/**
 * mount_find - learn how the folder that is tested is mounted
 * @info: gets it
 *
 * Return: NULL, or why it cannot be mounted again
 */
const char *mount_find(struct mount_info *info)
{
	const char *dir = getenv("DAX_RETARGET_DIR") ?: "/mnt";
	FILE *f = fopen("/proc/self/mountinfo", "r");
	char line[2048], point[256], options[512], *bar;
	bool found = false;

	if (!f)
		return "no mountinfo in /proc";
	while (fgets(line, sizeof(line), f)) {
		bar = strstr(line, " - ");
		if (!bar ||
		    sscanf(line, "%*s %*s %*s %*s %255s", point) != 1 ||
		    strcmp(point, dir))
			continue;
		if (sscanf(bar, " - %31s %255s %511s", info->type,
			   info->source, options) != 3)
			continue;
		found = true;
		snprintf(info->dir, sizeof(info->dir), "%s", dir);
		take_options(info, options);
	}
	fclose(f);
	return found ? NULL : "the folder is not a mount point";
}

/* NULL, or why a test must not do @what, which affects the whole machine */
const char *permission_missing(const char *variable, const char *what)
{
	static char why[128];

	if (getenv(variable))
		return NULL;
	snprintf(why, sizeof(why), "would %s: set %s to allow it", what,
		 variable);
	return why;
}

/* As mount_find(), for a test that unmounts the file system */
const char *umount_missing(struct mount_info *info)
{
	return permission_missing("DAX_RETARGET_UMOUNT",
				  "unmount the file system") ?:
	       mount_find(info);
}

/* errno of a change of what is mounted; @flags beside MS_REMOUNT */
int mount_change(const struct mount_info *info, unsigned long flags)
{
	return mount(info->source, info->dir, info->type, MS_REMOUNT | flags,
		     info->options) ? errno : 0;
}

void mount_again(const struct mount_info *info)
{
	if (mount(info->source, info->dir, info->type, 0, info->options))
		die("cannot mount %s on %s", info->source, info->dir);
}

/**
 * mount_check - have the file system checked by its own program
 * @info: a file system that is not mounted; its log is empty
 *
 * Return: 0; 127 if there is no such program; else what it found, which it says
 */
int mount_check(const struct mount_info *info)
{
	char command[512];
	int status;

	snprintf(command, sizeof(command), "%s %s > /tmp/fsck.log 2>&1",
		 strcmp(info->type, "xfs") ? "e2fsck -fn" : "xfs_repair -n",
		 info->source);
	status = system(command);
	if (status < 0)
		die("cannot run %s", command);
	if (WEXITSTATUS(status) && WEXITSTATUS(status) != 127)
		system("sed 's/^/# /' /tmp/fsck.log");
	return WEXITSTATUS(status);
}

/**
 * device_find_writer - look into blocks, of whatever file they are
 * @info: the file system
 * @blocks: where
 * @id: the writer that should not have written there
 *
 * Return: how many pages begin with what @id writes
 */
unsigned long device_find_writer(const struct mount_info *info,
				 const struct extents *blocks,
				 enum writer_id id)
{
	static char page[PAGE] __attribute__((aligned(4096)));
	/* Around the page cache, which does not notice what devices write */
	int fd = open(info->source, O_RDONLY | O_DIRECT);
	unsigned long found = 0;
	unsigned int i;
	uint64_t pos;

	if (fd < 0)
		die("cannot open %s", info->source);
	for (i = 0; i < blocks->nr; i++) {
		for (pos = 0; pos < blocks->list[i].len; pos += PAGE) {
			if (pread(fd, page, PAGE, blocks->list[i].phys + pos) !=
			    (ssize_t)PAGE)
				die("cannot read %s", info->source);
			if (!written_by(page, id))
				continue;
			if (!found++)
				printf("# OLD BLOCK WRITTEN at byte %lu of %s: %s\n",
				       (unsigned long)(blocks->list[i].phys +
						       pos),
				       info->source, describe(page));
		}
	}
	close(fd);
	return found;
}
