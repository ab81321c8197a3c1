/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the processes of the stress test share: memory, and the content of
 * files.
 */
#ifndef _DAX_RETARGET_STRESS_H
#define _DAX_RETARGET_STRESS_H

#include <limits.h>

#include "lib.h"

#define MAX_JOBS	16
#define SHARED_FILES	8
#define OWN_FILES	3	/* of each worker */
#define MAX_FILES	(SHARED_FILES + MAX_JOBS * OWN_FILES)
#define MAX_OPERATIONS	32

/* What must hold: a line of the result each */
enum check {
	VICTIM_INTACT,
	NOT_FOREIGN,
	LOST_IS_GONE,
	KEPT_IS_COHERENT,
	NOT_SHARED,
	NO_ERROR,
	NO_HANG,
	FS_WHOLE,
	NOTHING_LEFT,
	NR_CHECKS,
};

/* What is taken away, in turn. Of all but the first, workers may see errors. */
enum removal { MOUNT, NIC, ENGINE, MEMORY, NR_REMOVALS };

struct job {
	pid_t pid;
	unsigned int life;	/* how often it was started */
	const char *doing;
	uint64_t since;
	unsigned int let_go;	/* last odd epoch it has no file open in */
};

/* A place for a file of workers; one that is unlinked is replaced */
struct slot {
	uint32_t id;		/* of the file, or 0 */
	uint32_t cloned;	/* a file that may have shared blocks */
	uint32_t count;
};

struct shared {
	uint64_t start;
	unsigned int epoch;	/* odd: nobody may have a file open */
	unsigned int removing;	/* enum removal; 0 if nothing else is removed */
	unsigned int to_kill;	/* at once */
	bool stop;
	bool wants_space;
	unsigned long done[MAX_OPERATIONS], refused[MAX_OPERATIONS];
	unsigned long good[NR_CHECKS], bad[NR_CHECKS];
	unsigned long victims, victims_ever, removed[NR_REMOVALS];
	struct job jobs[MAX_JOBS + 1];	/* the one behind the workers checks */
	struct slot slots[MAX_FILES];
};

struct stress_options {
	unsigned long time, jobs, seed, phase, patience;
	const char *remove;
	bool keep_going;
};

#define load(x)		__atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define store(x, v)	__atomic_store_n(&(x), v, __ATOMIC_RELEASE)
#define add(x, n)	__atomic_add_fetch(&(x), n, __ATOMIC_RELAXED)

/* stress.c */
extern struct shared *shared;
extern struct stress_options options;
extern struct mount_info mount_info;	/* without a folder: not to unmount */
extern struct cgroup group;
extern struct job *me;			/* NULL in the main process */
extern int dir;

void reseed(uint64_t job, uint64_t life, uint64_t operation);
unsigned long pick(unsigned long n);
void doing(const char *what);
void __printf(2, 3) fail(enum check check, const char *fmt, ...);
uint64_t place(uint32_t id, uint64_t pos);
uint32_t owner(uint64_t word);
const char *tell(uint64_t word);
int open_file(char kind, uint32_t id, int flags);
void remove_file(char kind, uint32_t id);
int write_words(int fd, uint32_t id, uint64_t pos, size_t len,
		enum writer_id writer);

/* stress_worker.c */
void work(void);
const char *operation_name(unsigned int i);

/* stress_checker.c */
void check(void);
const char *removal_name(unsigned int i);

#endif
