// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long others hold a hook up: a region that is made or ended, programs that
 * read the list of pins, one page in very many ranges, very many pinned files.
 *
 * The process runs with real-time priority on the guest's only CPU, on a kernel
 * that is fully preemptible (preempt=full): whoever else wants to run does not,
 * unless the process waits for him. So what is counted is what a hook executes
 * itself and what it waits for.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/dax_retarget_netlink.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cost.h"

#define SAMPLES		9
#define READERS		16
#define PINS_OF_FILE	10

static void set_priority(pid_t task, int policy)
{
	struct sched_param param = {
		.sched_priority = policy == SCHED_FIFO ? 10 : 0,
	};

	if (sched_setscheduler(task, policy, &param))
		die("cannot set the priority");
}

static void sleep_ns(uint64_t ns)
{
	struct timespec t = { ns / 1000000000, ns % 1000000000 };

	nanosleep(&t, NULL);
}

static uint64_t truncate_counted(int fd)
{
	uint64_t begin = instructions();

	if (ftruncate(fd, 0))
		die("cannot truncate");
	return instructions() - begin;
}

/* A file of one page, and other memory, side by side */
struct mixture {
	int fd;
	char *map;
	size_t len;
	struct ibv_mr *mr;
	pid_t thread;
	bool with_file;
};

/* Memory of the size of one chunk, mapped again and again */
#define CHUNK		(64UL << 20)

/* No page lies beside its neighbour, so that the region is of single pages */
static void *scatter(int *fd)
{
	size_t len = least(CHUNK, options.size), at;
	char *map;
	int i;

	*fd = memfd_create("memory", 0);
	if (*fd < 0 || ftruncate(*fd, len))
		die("no memory");
	map = file_map(*fd, 0, len);
	for (i = 0; i < 2; i++)
		for (at = i * PAGE; at < len; at += 2 * PAGE)
			map[at] = 1;
	return map;
}

static void mixture_open(struct mixture *mixture, int memory)
{
	size_t at;

	mixture->fd = file_create("mixed", PAGE, FILLED);
	mixture->len = options.size + PAGE;
	mixture->map = mmap(NULL, mixture->len, PROT_NONE, MAP_PRIVATE |
			    MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mixture->map == MAP_FAILED ||
	    mmap(mixture->map, PAGE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, mixture->fd, 0) == MAP_FAILED)
		die("cannot map");
	for (at = 0; at < options.size; at += CHUNK)
		if (mmap(mixture->map + PAGE + at,
			 least(CHUNK, options.size - at),
			 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 memory, 0) == MAP_FAILED)
			die("cannot map");
	populate(mixture->map, mixture->len);
}

static void mixture_close(struct mixture *mixture)
{
	munmap(mixture->map, mixture->len);
	close(mixture->fd);
	file_unlink("mixed");
}

static void *run_mixture(void *arg)
{
	struct mixture *mixture = arg;

	set_priority(0, SCHED_OTHER);
	if (mixture->mr) {
		nic_deregister(mixture->mr);
		mixture->mr = NULL;
		return NULL;
	}
	mixture->mr = nic_register(nic, mixture->map, mixture->len);
	if (!mixture->mr)
		die("cannot register");
	return NULL;
}

/*
 * Truncate the file when a part of the registration, or of its end, is done.
 * *@took is how long that took with nobody beside it.
 */
static uint64_t truncate_beside(int memory, bool end, unsigned int sample,
				uint64_t *took)
{
	struct mixture mixture = { 0 };
	uint64_t cost, begin;
	pthread_t thread;

	mixture_open(&mixture, memory);
	if (end)
		mixture.mr = nic_register(nic, mixture.map, mixture.len);
	begin = instructions();
	if (pthread_create(&thread, NULL, run_mixture, &mixture))
		die("no thread");
	if (!sample) {
		pthread_join(thread, NULL);
		*took = instructions() - begin;
		cost = truncate_counted(mixture.fd);
	} else {
		sleep_ns(*took * sample / (SAMPLES + 1));
		cost = truncate_counted(mixture.fd);
		pthread_join(thread, NULL);
	}
	if (mixture.mr)
		nic_deregister(mixture.mr);
	mixture_close(&mixture);
	return cost;
}

void cost_beside(void)
{
	uint64_t cost, took, most;
	unsigned int i;
	void *map;
	int fd, end;

	map = scatter(&fd);
	set_priority(0, SCHED_FIFO);
	for (end = 0; end < 2; end++) {
		truncate_beside(fd, end, 0, &took);
		cost = truncate_beside(fd, end, 0, &took);
		report(end ? "beside.end.alone" : "beside.make.alone", cost,
		       "instructions");
		for (most = 0, i = 1; i <= SAMPLES; i++) {
			cost = truncate_beside(fd, end, i, &took);
			if (cost > most)
				most = cost;
		}
		report(end ? "beside.end" : "beside.make", most,
		       "instructions");
	}
	set_priority(0, SCHED_OTHER);
	munmap(map, least(CHUNK, options.size));
	close(fd);
}

/* A region of one page of a file, mapped side by side @nr times */
static struct ibv_mr *register_ranges(int fd, unsigned long nr)
{
	struct ibv_mr *mr;
	unsigned long i;
	char *map;

	map = mmap(NULL, nr * PAGE, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		die("no address space");
	for (i = 0; i < nr; i++)
		if (mmap(map + i * PAGE, PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			die("cannot map %lu times", i);
	mr = nic_register(nic, map, nr * PAGE);
	if (!mr)
		die("cannot register %lu ranges", nr);
	/* Only the ranges are to count, not the process's page tables */
	munmap(map, nr * PAGE);
	return mr;
}

/* After @ns nanoseconds, in which others run */
static uint64_t truncate_ranges(unsigned long nr, uint64_t ns)
{
	int fd = file_create("ranges", PAGE, FILLED);
	struct ibv_mr *mr = register_ranges(fd, nr);
	uint64_t cost;

	if (ns)
		sleep_ns(ns);
	cost = truncate_counted(fd);
	nic_deregister(mr);
	close(fd);
	file_unlink("ranges");
	return cost;
}

void cost_ranges(void)
{
	unsigned long nr = least(options.size / PAGE, 60000);
	uint64_t one = truncate_ranges(1, 0);

	report("ranges.one", one, "instructions");
	report("ranges.each", (truncate_ranges(nr, 0) - one) / (nr - 1),
	       "instructions");
}

/* The number of the family, which the kernel gives out */
static uint16_t family_of(int socket)
{
	struct {
		struct nlmsghdr header;
		struct genlmsghdr command;
		struct nlattr attribute;
		char name[sizeof(DAX_RETARGET_FAMILY_NAME)];
	} request = {
		.header = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = GENL_ID_CTRL,
			.nlmsg_flags = NLM_F_REQUEST,
		},
		.command = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 },
		.attribute = {
			.nla_len = NLA_HDRLEN + sizeof(request.name),
			.nla_type = CTRL_ATTR_FAMILY_NAME,
		},
		.name = DAX_RETARGET_FAMILY_NAME,
	};
	char answer[4096] __attribute__((aligned(8)));
	struct nlattr *attribute;
	ssize_t len;

	if (send(socket, &request, sizeof(request), 0) < 0)
		die("cannot ask for the family");
	len = recv(socket, answer, sizeof(answer), 0);
	attribute = (void *)(answer + NLMSG_HDRLEN + GENL_HDRLEN);
	while ((char *)attribute < answer + len && attribute->nla_len) {
		if (attribute->nla_type == CTRL_ATTR_FAMILY_ID)
			return *(uint16_t *)(attribute + 1);
		attribute = (void *)((char *)attribute +
				     NLA_ALIGN(attribute->nla_len));
	}
	die("the kernel does not have the family");
}

/* Read the list of pins for ever */
static void __noreturn run_reader(void)
{
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
	struct {
		struct nlmsghdr header;
		struct genlmsghdr command;
	} request = {
		.header = {
			.nlmsg_len = sizeof(request),
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		},
		.command = { .cmd = DAX_RETARGET_CMD_PIN_GET, .version = 1 },
	};
	static char answer[1 << 16] __attribute__((aligned(8)));
	struct nlmsghdr *header = (void *)answer;

	request.header.nlmsg_type = family_of(s);
	for (;;) {
		if (send(s, &request, sizeof(request), 0) < 0)
			die("cannot ask for the list");
		do {
			if (recv(s, answer, sizeof(answer), 0) <= 0)
				die("no list");
		} while (header->nlmsg_type != NLMSG_DONE &&
			 header->nlmsg_type != NLMSG_ERROR);
	}
}

#define LISTED		1000

/* A region of many ranges, which takes long to list and long to take back */
static uint64_t most_listed(void)
{
	uint64_t most = 0, cost;
	unsigned int i;

	for (i = 0; i < SAMPLES; i++) {
		/* At another point of what the readers do each time */
		cost = truncate_ranges(LISTED, 10000000 + i * 1234567);
		if (cost > most)
			most = cost;
	}
	return most;
}

void cost_readers(void)
{
	pid_t readers[READERS];
	unsigned int i;

	set_priority(0, SCHED_FIFO);
	report("readers.none", most_listed(), "instructions");
	for (i = 0; i < READERS; i++) {
		readers[i] = fork();
		if (!readers[i]) {
			set_priority(0, SCHED_OTHER);
			run_reader();
		}
	}
	sleep_ns(100000000);
	report("readers.16", most_listed(), "instructions");
	for (i = 0; i < READERS; i++) {
		kill(readers[i], SIGKILL);
		waitpid(readers[i], NULL, 0);
	}
	set_priority(0, SCHED_OTHER);
}

static int open_small_file(unsigned int number, bool create)
{
	char name[32];

	snprintf(name, sizeof(name), "pinned%u", number);
	return create ? file_create(name, PINS_OF_FILE * PAGE, FILLED) :
			file_open(name, O_RDWR);
}

/* Pins that nothing else refers to. They end with the process. */
static void pin_small_file(unsigned int number)
{
	int fd = open_small_file(number, false);
	char *map = file_map(fd, 0, PINS_OF_FILE * PAGE);
	unsigned int i;

	for (i = 0; i < PINS_OF_FILE; i++)
		if (!nic_register(nic, map + i * PAGE, PAGE))
			die("cannot register pin %u of file %u", i, number);
	munmap(map, PINS_OF_FILE * PAGE);
	close(fd);
}

static uint64_t least_sync(int fd, int (*sync)(int fd))
{
	uint64_t cost = UINT64_MAX, begin;
	unsigned int i;

	for (i = 0; i < options.times + 2; i++) {
		begin = instructions();
		if (sync(fd))
			die("cannot sync");
		cost = least(cost, instructions() - begin);
	}
	return cost;
}

static void measure_one(const char *suffix)
{
	uint64_t pinned = UINT64_MAX, unpinned = UINT64_MAX, sync = UINT64_MAX;
	struct subject subject;
	struct ibv_mr *mr;
	char name[32];
	unsigned int i;
	int other;

	for (i = 0; i < options.times; i++) {
		subject_open(&subject, "subject", PAGE_2M);
		sync = least(sync, least_sync(subject.fd, fsync));
		unpinned = least(unpinned, truncate_counted(subject.fd));
		subject_close(&subject);
		subject_open(&subject, "subject", PAGE_2M);
		mr = subject_register(&subject);
		pinned = least(pinned, truncate_counted(subject.fd));
		nic_deregister(mr);
		subject_close(&subject);
	}
	snprintf(name, sizeof(name), "%s.truncate.pinned", suffix);
	report(name, pinned, "instructions");
	snprintf(name, sizeof(name), "%s.truncate.unpinned", suffix);
	report(name, unpinned, "instructions");
	snprintf(name, sizeof(name), "%s.fsync", suffix);
	report(name, sync, "instructions");
	if (!options.other)
		return;
	other = open(options.other, O_RDONLY | O_DIRECTORY);
	if (other < 0)
		die("cannot open %s", options.other);
	snprintf(name, sizeof(name), "%s.syncfs", suffix);
	report(name, least_sync(other, syncfs), "instructions");
	close(other);
}

/* A file among many, before these are pinned and afterwards */
void cost_many(void)
{
	unsigned int i;

	for (i = 0; i < options.files; i++)
		close(open_small_file(i, true));
	measure_one("alone");
	for (i = 0; i < options.files; i++) {
		if (i % 500 == 0) {
			printf("# %u of %u files pinned\n", i, options.files);
			fflush(stdout);
		}
		pin_small_file(i);
	}
	measure_one("many");
}
