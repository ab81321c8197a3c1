// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stress: workers register files, have a peer write to them, and take the
 * blocks away again in every way there is; they fork, and die
 * (stress_worker.c). A checker gives what becomes free to other files, the
 * victims, and compares those for as long as they live; it also takes things
 * away under the workers: caches, the mount, and, with --remove, NICs and the
 * memory itself (stress_checker.c). The main program, here, starts them and
 * kills them, and sees that none hangs.
 *
 * What may be in a file is known at any time, though processes share files:
 * each 8 bytes that anybody writes name the file they are meant for, so a file
 * has its own or zeros. Some files belong to one worker, which knows exactly
 * what its regions of them lost and what they did not.
 *
 * The seed decides what the n-th operation of the m-th life of a worker wants.
 * It does not decide what the operation meets: the order between processes is
 * the scheduler's.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress.h"

#define POOL		(40UL << 20)	/* for files of workers and victims */

struct shared *shared;
struct stress_options options = { .time = 120, .jobs = 4, .patience = 180 };
struct mount_info mount_info;
struct cgroup group;
struct job *me;
int dir = -1;

static uint64_t rng;

static const struct {
	const char *name, *unit;
	bool may_be_none;
} checks[] = {
	[VICTIM_INTACT]	= { "who got freed blocks keeps every byte", "pages compared" },
	[NOT_FOREIGN]	= { "nobody sees data of another file", "reads" },
	[LOST_IS_GONE]	= { "a page taken back leads to scratch", "pages" },
	[KEPT_IS_COHERENT] = { "a page not taken back is the file's", "pages" },
	[NOT_SHARED]	= { "a pinned file shares no block", "refusals", true },
	[NO_ERROR]	= { "no error without a cause", "operations" },
	[NO_HANG]	= { "nothing hangs", "lives" },
	[FS_WHOLE]	= { "the file system is whole", "times checked", true },
	[NOTHING_LEFT]	= { "no pin is left", "times looked" },
};

/* --- What all use --- */

void reseed(uint64_t job, uint64_t life, uint64_t operation)
{
	rng = options.seed;
	rng = next_random(&rng) ^ job;
	rng = next_random(&rng) ^ life;
	rng = next_random(&rng) ^ operation;
}

/* 0 to @n - 1 */
unsigned long pick(unsigned long n)
{
	return next_random(&rng) % n;
}

/* @what is a constant: others read it */
void doing(const char *what)
{
	store(me->doing, what);
	store(me->since, now_ms());
}

void fail(enum check check, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (add(shared->bad[check], 1) <= 3)
		printf("# FAILED after %.1f s, job %td, life %u, %s: %s\n",
		       (now_ms() - shared->start) / 1000.0,
		       me ? me - shared->jobs : -1, me ? me->life : 0,
		       me ? me->doing : "watching", text);
	if (!options.keep_going)
		store(shared->stop, true);
}

/* What fill() is told for byte @pos of file @id */
uint64_t place(uint32_t id, uint64_t pos)
{
	return (uint64_t)id << 32 | pos;
}

uint32_t owner(uint64_t word)
{
	return (word << 8 >> 8) >> 29;
}

const char *tell(uint64_t word)
{
	static char text[96];

	if (!word)
		return "zeros";
	snprintf(text, sizeof(text), "0x%016lx, %s file %x, page %lu", word,
		 written_by(&word, DEVICE) ? "the device's for" : "data of",
		 owner(word), (word & 0x1fffffff) * 8 / PAGE);
	return text;
}

/* Files of workers are called "f" and a number, victims "v" and a number */
int open_file(char kind, uint32_t id, int flags)
{
	char name[16];

	snprintf(name, sizeof(name), "%c%x", kind, id);
	return openat(dir, name, O_RDWR | flags, 0600);
}

void remove_file(char kind, uint32_t id)
{
	char name[16];

	snprintf(name, sizeof(name), "%c%x", kind, id);
	unlinkat(dir, name, 0);
}

int write_words(int fd, uint32_t id, uint64_t pos, size_t len,
		enum writer_id writer)
{
	static uint64_t buf[64 * PAGE / 8];
	size_t n;

	for (; len; len -= n, pos += n) {
		n = len < sizeof(buf) ? len : sizeof(buf);
		fill(buf, n, writer, place(id, pos));
		if (pwrite(fd, buf, n, pos) < 0)
			return -errno;
	}
	return 0;
}

/* --- The one that watches the others, and never touches a file --- */

static void start(struct job *job)
{
	pid_t pid;

	job->life++;
	job->doing = "starting";
	job->since = now_ms();
	pid = fork();
	if (pid < 0)
		die("no process");
	if (!pid) {
		me = job;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (job == &shared->jobs[options.jobs])
			check();
		else
			work();
		_exit(0);
	}
	store(job->pid, pid);
}

/* A job that died is started again, unless it is time to stop */
static void reap(void)
{
	struct job *job, *checker = &shared->jobs[options.jobs];
	bool killed;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (job = shared->jobs; job < checker && job->pid != pid; job++)
			;
		/* A child of a worker that died before it */
		if (job->pid != pid)
			continue;
		killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		if (status && (job == checker ||
			       (!killed && !load(shared->removing))))
			fail(NO_ERROR, "job %td, life %u, died with status 0x%x of '%s'",
			     job - shared->jobs, job->life, status, job->doing);
		add(shared->good[NO_HANG], 1);
		if (job == checker)
			store(shared->stop, true);
		if (load(shared->stop))
			store(job->pid, 0);
		else
			start(job);
	}
}

static void show_stack(pid_t pid)
{
	char command[64];

	snprintf(command, sizeof(command), "sed 's/^/#   /' /proc/%d/stack",
		 pid);
	system(command);
}

/* Is anybody left, and does everybody make progress? */
static bool go_on(void)
{
	bool any = false;
	struct job *job;

	for (job = shared->jobs; job <= &shared->jobs[options.jobs]; job++) {
		any |= job->pid;
		if (!job->pid ||
		    now_ms() < load(job->since) + options.patience * 1000)
			continue;
		fail(NO_HANG, "job %td, life %u, HANGS in '%s'",
		     job - shared->jobs, job->life, job->doing);
		show_stack(job->pid);
		return false;
	}
	return any;
}

/* Returns when to do that again */
static uint64_t kill_somebody(void)
{
	unsigned int hurry = load(shared->to_kill), i;

	i = hurry ? hurry % options.jobs : pick(options.jobs);
	kill(shared->jobs[i].pid, SIGKILL);
	if (hurry)
		store(shared->to_kill, hurry - 1);
	return now_ms() + 500 + pick(2500);
}

static void show_progress(void)
{
	struct sysinfo info;

	sysinfo(&info);
	printf("# %lu s: %lu operations, %lu lives, %lu victims of %lu, %lu removals, ",
	       (now_ms() - shared->start) / 1000, shared->good[NO_ERROR],
	       shared->good[NO_HANG], shared->victims, shared->victims_ever,
	       shared->removed[MOUNT] + shared->removed[NIC] +
	       shared->removed[ENGINE] + shared->removed[MEMORY]);
	printf("%ld pages pinned, %ld taken back, %lu MB free\n",
	       stat_read("pages_pinned"), stat_read("pages_retargeted"),
	       info.freeram >> 20);
}

static void supervise(void)
{
	uint64_t now, next_kill = 0, next_line = 0;
	unsigned int i;

	reseed(MAX_JOBS, 0, 0);
	for (i = 0; i <= options.jobs; i++)
		start(&shared->jobs[i]);
	while (go_on()) {
		reap();
		now = now_ms();
		if (now > shared->start + options.time * 1000)
			store(shared->stop, true);
		if ((now > next_kill || load(shared->to_kill)) &&
		    !load(shared->stop))
			next_kill = kill_somebody();
		if (now > next_line) {
			show_progress();
			next_line = now + 5000;
		}
		sleep_ms(50);
	}
	show_progress();
}

/* --- Begin and end --- */

static void check_rest(const struct stats *before)
{
	struct stats now;

	while (waitpid(-1, NULL, 0) > 0)
		;
	if (stats_wait(before, &now))
		add(shared->good[NOTHING_LEFT], 1);
	else
		fail(NOTHING_LEFT, "%ld pins, %ld files, %ld pages, %ld scratch pages, %ld tables",
		     now.pins, now.files, now.pages_pinned, now.scratch_pages,
		     now.table_pages);
}

static int show_result(void)
{
	bool none, good;
	unsigned int i;
	int failed = 0;

	for (i = 0; operation_name(i); i++)
		printf("# %-12s %6lu done, %6lu refused\n", operation_name(i),
		       shared->done[i], shared->refused[i]);
	for (i = 0; i < NR_REMOVALS; i++)
		printf("# %-12s %6lu removed\n", removal_name(i),
		       shared->removed[i]);
	for (i = 0; i < NR_CHECKS; i++) {
		none = !shared->good[i];
		good = !shared->bad[i] && (!none || checks[i].may_be_none);
		printf("%s %d %s: %lu %s%s\n", good ? "ok" : "not ok", i + 1,
		       checks[i].name, shared->good[i], checks[i].unit,
		       good && none ? " # SKIP not possible here" : "");
		failed += !good;
	}
	printf("1..%d\n", NR_CHECKS);
	return failed ? KSFT_FAIL : KSFT_PASS;
}

static void usage(FILE *f)
{
	fprintf(f, "Usage: stress [option...]\n"
		"\n"
		"  --time SECONDS      for how long (120)\n"
		"  --jobs N            workers, up to %d (4), each with a device of its own if\n"
		"                      the devices are of VFIO\n"
		"  --seed N            of what they do (from the clock)\n"
		"  --phase SECONDS     until the next thing is removed (30, or a fifth of the\n"
		"                      time)\n"
		"  --patience SECONDS  that an operation may take (180)\n"
		"  --remove COMMAND    is called to remove things and to add them again, as\n"
		"                      COMMAND nic, engine, memory take, memory give\n"
		"  --keep-going        do not stop at the first failure\n"
		"\n"
		"The file system is filled. Environment as for the other tests:\n"
		"DAX_RETARGET_DIR, DAX_RETARGET_DEV, DAX_RETARGET_DEV2; DAX_RETARGET_UMOUNT:\n"
		"the folder may be unmounted and mounted again\n", MAX_JOBS);
}

static void parse(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "time", required_argument, NULL, 0 },
		{ "jobs", required_argument, NULL, 1 },
		{ "seed", required_argument, NULL, 2 },
		{ "phase", required_argument, NULL, 3 },
		{ "patience", required_argument, NULL, 4 },
		{ "remove", required_argument, NULL, 'r' },
		{ "keep-going", no_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	static unsigned long * const values[] = {
		&options.time, &options.jobs, &options.seed, &options.phase,
		&options.patience,
	};
	int c;

	options.seed = now_ms();
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (c < (int)ARRAY_SIZE(values))
			*values[c] = strtoul(optarg, NULL, 0);
		else if (c == 'r')
			options.remove = optarg;
		else if (c == 'k')
			options.keep_going = true;
		else
			break;
	}
	if (c != -1 || optind != argc || !options.jobs ||
	    options.jobs > MAX_JOBS) {
		usage(c == 'h' ? stdout : stderr);
		exit(c == 'h' ? KSFT_PASS : KSFT_FAIL);
	}
	if (!options.phase)
		options.phase = options.time < 150 ? options.time / 5 : 30;
}

int main(int argc, char **argv)
{
	const char *missing;
	struct bench bench;

	parse(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("no memory");
	missing = bench_open(&bench);
	if (!consumer_is_rdma() && !nic_exists(options.jobs - 1))
		missing = "VFIO gives a device to one worker alone: fewer --jobs";
	if (!missing && getenv("DAX_RETARGET_UMOUNT"))
		missing = mount_find(&mount_info);
	if (!missing)
		missing = group_open(&group);
	if (missing) {
		printf("1..0 # SKIP %s\n", missing);
		return KSFT_SKIP;
	}
	/* Keep no NIC and no mount here, so that both can be removed */
	if (!bench_close(&bench))
		die("somebody else registers files");
	leave_little_space(POOL);

	printf("# --seed %lu --jobs %lu --time %lu --phase %lu\n", options.seed,
	       options.jobs, options.time, options.phase);
	/* Processes that lose their parent are ours */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	shared->start = now_ms();
	supervise();
	/* Somebody may be stuck with a file, a region, or a group */
	if (!shared->bad[NO_HANG]) {
		check_rest(&bench.before);
		folder_reset();
		group_close(&group);
	}
	return show_result();
}
