// SPDX-License-Identifier: GPL-2.0-only
/*
 * The checker of the stress test: gives free blocks to victims, compares them,
 * and takes away in turn what the workers stand on.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "stress.h"

#define VICTIMS		1024
#define VICTIM_SIZE	(32 * PAGE)
#define MOST_FREE	(8 * VICTIM_SIZE)	/* the rest is the victims' */
#define HELP		16	/* victims that go when a worker wants space */
#define AT_ONCE		16	/* victims that are compared before all else */

static const struct {
	const char *name, *doing;
} removals[] = {
	[MOUNT]		= { "mount", "" },
	[NIC]		= { "nic", "removing a NIC" },
	[ENGINE]	= { "engine", "removing the engine of a NIC" },
	[MEMORY]	= { "memory", "removing the memory" },
};

static uint32_t victims[VICTIMS];

const char *removal_name(unsigned int i)
{
	return removals[i].name;
}

static bool victim_make(void)
{
	uint32_t id = (MAX_FILES + 1) << 20 | (shared->victims_ever & 0xfffff);
	int fd = open_file('v', id, O_CREAT | O_EXCL);
	bool made = fd >= 0 && !fallocate(fd, 0, 0, VICTIM_SIZE) &&
		    !write_words(fd, id, 0, VICTIM_SIZE, VICTIM) && !fsync(fd);

	close(fd);
	if (!made) {
		remove_file('v', id);
		return false;
	}
	shared->victims_ever++;
	victims[shared->victims++] = id;
	return true;
}

static void victim_check(uint32_t id)
{
	static uint64_t buf[VICTIM_SIZE / 8];
	int fd = open_file('v', id, 0);
	ssize_t at = 0;

	if (pread(fd, buf, VICTIM_SIZE, 0) == (ssize_t)VICTIM_SIZE)
		at = find_difference(buf, VICTIM_SIZE, VICTIM, place(id, 0));
	add(shared->good[VICTIM_INTACT], VICTIM_SIZE / PAGE);
	if (at >= 0) {
		fail(VICTIM_INTACT, "VICTIM DAMAGED, %x at byte %zd: %s", id,
		     at, tell(buf[at / 8]));
		write_words(fd, id, 0, VICTIM_SIZE, VICTIM);
	}
	close(fd);
}

static void check_all_victims(void)
{
	unsigned long i;

	doing("comparing victims");
	for (i = 0; i < shared->victims; i++)
		victim_check(victims[i]);
}

static void make_space(void)
{
	unsigned long i, n;

	doing("making space");
	for (i = 0; i < HELP && shared->victims; i++) {
		n = pick(shared->victims);
		victim_check(victims[n]);
		remove_file('v', victims[n]);
		victims[n] = victims[--shared->victims];
	}
	store(shared->wants_space, false);
}

static void give_away_free_blocks(void)
{
	uint64_t free;

	doing("giving away free blocks");
	/* Free is what is free on the medium */
	syncfs(dir);
	free = folder_free_space();
	while (free > MOST_FREE && shared->victims < VICTIMS && victim_make())
		free -= VICTIM_SIZE;
}

static void press_for_memory(void)
{
	char path[256];
	int fd;

	doing("reclaiming memory");
	write_file("/proc/sys/vm/drop_caches", "3");
	snprintf(path, sizeof(path), "%s/memory.reclaim", group.path);
	fd = open(path, O_WRONLY);
	/* EAGAIN: there is less to reclaim */
	if (fd < 0 || (write(fd, "64M", 3) < 0 && errno != EAGAIN))
		die("cannot reclaim memory");
	close(fd);
}

/* Unlink files that came back with the memory, or whose makers were killed */
static void remove_litter(void)
{
	DIR *list = fdopendir(dup(dir));
	struct dirent *entry;
	uint32_t id;

	while ((entry = readdir(list)))
		if (sscanf(entry->d_name, "f%x", &id) == 1 &&
		    shared->slots[(id >> 20) - 1].id != id)
			remove_file('f', id);
	closedir(list);
}

static void call_remove(enum removal what, const char *how)
{
	char command[512];

	doing(removals[what].doing);
	store(shared->removing, what);
	/* A NIC goes when its users have gone */
	if (what != MEMORY)
		store(shared->to_kill, 2 * options.jobs);
	snprintf(command, sizeof(command), "%s %s %s", options.remove,
		 removals[what].name, how);
	if (system(command))
		die("'%s' fails", command);
}

static void unmount(void)
{
	uint64_t end = now_ms() + 20000;

	doing("unmounting");
	/* Children of workers are still on their way out */
	while (umount(mount_info.dir)) {
		if (errno != EBUSY || now_ms() > end)
			die("cannot unmount %s", mount_info.dir);
		sleep_ms(50);
	}
}

static void check_file_system(void)
{
	int status;

	doing("checking the file system");
	status = mount_check(&mount_info);
	if (!status)
		add(shared->good[FS_WHOLE], 1);
	else if (status != 127)
		fail(FS_WHOLE, "status %d", status);
}

/* Until they have let go of their files, or have ended for good */
static void wait_for_workers(unsigned int epoch)
{
	unsigned int i;

	doing("waiting for workers");
	for (i = 0; i < options.jobs; i++)
		while (load(shared->jobs[i].pid) &&
		       load(shared->jobs[i].let_go) != epoch)
			sleep_ms(10);
}

/* Unmount, mount again, and possibly have the memory away in between */
static void remove_file_system(bool memory)
{
	unsigned int epoch = shared->epoch + 1;

	check_all_victims();
	/* A file that was removed does not come back */
	syncfs(dir);
	if (memory)
		call_remove(MEMORY, "take");
	store(shared->epoch, epoch);
	wait_for_workers(epoch);
	close(dir);
	unmount();
	if (memory) {
		call_remove(MEMORY, "give");
		/* There is a log to be replayed */
		mount_again(&mount_info);
		unmount();
	}
	check_file_system();
	doing("mounting");
	mount_again(&mount_info);
	dir = folder_open();
	remove_litter();
	check_all_victims();
	store(shared->epoch, epoch + 1);
}

static void remove_something(enum removal what)
{
	if (what == NIC || what == ENGINE) {
		call_remove(what, "");
		/* Time for the workers that saw it go */
		sleep_ms(1000);
	} else if (mount_info.dir[0]) {
		remove_file_system(what == MEMORY);
	}
	store(shared->removing, MOUNT);
	shared->removed[what]++;
}

/**
 * check - be the checker until it is time to stop, and the last to do so
 */
void check(void)
{
	uint64_t next_removal = shared->start + options.phase * 500;
	unsigned int i, turn = 0, next = 0;
	uint64_t next_pressure = 0;

	/* The kernel sends it to processes that map lost memory */
	signal(SIGBUS, SIG_IGN);
	dir = folder_open();
	while (!load(shared->stop)) {
		if (load(shared->wants_space))
			make_space();
		else
			give_away_free_blocks();
		doing("comparing victims");
		for (i = 0; i < AT_ONCE && shared->victims; i++)
			victim_check(victims[next++ % shared->victims]);
		if (now_ms() > next_pressure) {
			press_for_memory();
			next_pressure = now_ms() + 3000;
		}
		if (now_ms() > next_removal) {
			remove_something(options.remove ? turn++ % NR_REMOVALS :
							  MOUNT);
			next_removal += options.phase * 1000;
		}
		sleep_ms(10);
	}
	wait_for_workers(UINT_MAX);
	remove_something(MOUNT);
}
