// SPDX-License-Identifier: GPL-2.0-only
/*
 * What users without privilege ask the netlink family for holds nobody up, and
 * tells them nothing of others. rights.sh and namespaces.sh of command.sh have what
 * they see of pins.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_netlink.h"

#define NOBODY	65534
#define FILES	64

FIXTURE(requests)
{
	struct bench bench;
	struct netlink netlink;
	struct device device;
	pid_t users[4];
	bool unbound;
};

FIXTURE_SETUP(requests)
{
	SKIP_IF(return, bench_open(&self->bench) ?:
			netlink_open(&self->netlink));
}

static void stop_users(FIXTURE_DATA(requests) * self)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(self->users); i++) {
		if (!self->users[i])
			continue;
		kill(self->users[i], SIGKILL);
		waitpid(self->users[i], NULL, 0);
		self->users[i] = 0;
	}
}

FIXTURE_TEARDOWN(requests)
{
	stop_users(self);
	netlink_close(&self->netlink);
	if (self->unbound)
		devices_bind();
	EXPECT_TRUE(bench_close(&self->bench));
}

static void become_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		die("cannot become nobody");
}

/* A process of nobody that does something until it is killed */
static void start_user(FIXTURE_DATA(requests) * self, unsigned int i,
		       void (*what)(const char *device))
{
	fflush(NULL);
	self->users[i] = fork();
	if (self->users[i])
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	become_nobody();
	for (;;)
		what(self->device.name);
}

/* Attributes of devices by which other users are counted */
static const uint16_t counters[] = {
	DAX_RETARGET_A_DEVICE_PINS,
	DAX_RETARGET_A_DEVICE_BYTES_PINNED,
	DAX_RETARGET_A_DEVICE_BYTES_RETARGETED,
	DAX_RETARGET_A_DEVICE_RETARGETS,
	DAX_RETARGET_A_DEVICE_FLUSHES,
	DAX_RETARGET_A_DEVICE_SCRATCH_PAGES,
	DAX_RETARGET_A_DEVICE_TABLE_PAGES,
};

static void count_counters(const void *attributes, size_t len, void *nr)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(counters); i++)
		*(unsigned int *)nr +=
			!!netlink_find(attributes, len, counters[i]);
}

static unsigned int nr_counters(void)
{
	struct netlink netlink;
	unsigned int nr = 0;

	if (netlink_open(&netlink) ||
	    netlink_dump(&netlink, DAX_RETARGET_CMD_DEVICE_GET, count_counters,
			 &nr) <= 0)
		die("no devices");
	netlink_close(&netlink);
	return nr;
}

TEST_F(requests, counters_are_hidden)
{
	int status;
	pid_t pid;

	EXPECT_LT(0, nr_counters());
	fflush(NULL);
	pid = fork();
	if (!pid) {
		become_nobody();
		_exit(nr_counters() ? 1 : 0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status)
		TH_LOG("COUNTERS SHOWN to a user without privilege");

	/* Root of a user namespace is none of the machine */
	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWUSER))
			_exit(0);
		_exit(nr_counters() ? 1 : 0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status)
		TH_LOG("COUNTERS SHOWN in a user namespace");
}

static void count_drivers(const void *attributes, size_t len, void *nr)
{
	*(unsigned int *)nr += !!netlink_find(attributes, len,
					      DAX_RETARGET_A_DEVICE_DRIVER);
}

/*
 * A driver that is unbound waits for users of its device, and has the device's lock
 * meanwhile. A request that takes the lock waits, or knows nothing of the device. At
 * other times such a request makes others fail that try to take the lock, as VFIO
 * does.
 */
TEST_F(requests, no_device_is_locked)
{
	unsigned int before = 0, known = 0;
	int status, go[2];
	struct nic *nic;
	char byte;
	pid_t pid;

	SKIP_IF(return, device_find(1, &self->device));
	ASSERT_LT(0, netlink_dump(&self->netlink, DAX_RETARGET_CMD_DEVICE_GET,
				  count_drivers, &before));
	/* Forked before the NIC is opened, or it would wait for itself */
	ASSERT_EQ(0, pipe(go));
	fflush(NULL);
	pid = fork();
	if (!pid) {
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		_exit(!shell("p=%s; echo $p > /sys/bus/pci/devices/$p/driver/unbind",
			     self->device.name));
	}
	nic = nic_open(1);
	ASSERT_EQ(1, write(go[1], "g", 1));
	self->unbound = true;
	sleep_ms(2000);
	if (waitpid(pid, NULL, WNOHANG))
		SKIP(return, "the driver does not wait for users of its device");
	EXPECT_LT(0, netlink_dump(&self->netlink, DAX_RETARGET_CMD_DEVICE_GET,
				  count_drivers, &known));
	EXPECT_EQ(before, known)
		TH_LOG("DEVICE LOCKED: nothing is known of %d devices",
		       (int)(before - known));
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG))
		TH_LOG("DEVICE LOCKED: the answer came when the lock was free");
	nic_close(nic);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

static void run_on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cannot run on CPU %d", cpu);
}

static void keep_cpu_busy(const char *unused)
{
	run_on_cpu(0);
	for (;;)
		;
}

/* As root of a user namespace of his own, who may ask, with as little CPU as can be */
static void revoke_slowly(const char *device)
{
	struct sched_param param = { 0 };
	struct netlink netlink;

	if (unshare(CLONE_NEWUSER))
		die("no user namespaces");
	run_on_cpu(0);
	if (netlink_open(&netlink))
		die("no netlink");
	if (sched_setscheduler(0, SCHED_IDLE, &param))
		die("cannot be idle");
	for (;;)
		netlink_revoke_device(&netlink, device);
}

/* The longest of some requests that take nothing, in ms */
static uint64_t longest_revocation(FIXTURE_DATA(requests) * self)
{
	uint64_t longest = 0, start, took;
	int i;

	for (i = 0; i < 10; i++) {
		start = now_ms();
		if (netlink_revoke_device(&self->netlink, "no such device") !=
		    ENOENT)
			die("an odd answer");
		took = now_ms() - start;
		if (took > longest)
			longest = took;
		sleep_ms(50);
	}
	return longest;
}

/*
 * A user whose requests are slow, as he is the last to get a CPU, does not have
 * the administrator wait for him.
 */
TEST_F(requests, administrators_do_not_queue)
{
	size_t len = FILES * PAGE;
	uint64_t alone, beside;
	struct ibv_mr *mr;
	char *map, name[32];
	int i, fd;

	SKIP_IF(return, device_find(0, &self->device));
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "the administrator needs a CPU of his own");
	if (access("/proc/self/ns/user", F_OK))
		SKIP(return, "no user namespaces (CONFIG_USER_NS)");
	map = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)map);
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		fd = file_create(name, PAGE, FILLED);
		if (mmap(map + i * PAGE, PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			die("cannot map %s", name);
		close(fd);
	}
	mr = nic_register(self->bench.nic, map, len);
	ASSERT_NE(NULL, mr);

	run_on_cpu(1);
	alone = longest_revocation(self);
	start_user(self, 0, keep_cpu_busy);
	start_user(self, 1, revoke_slowly);
	sleep_ms(3000);
	beside = longest_revocation(self);
	stop_users(self);
	TH_LOG("longest request: %lu ms, beside a user's %lu ms", alone,
	       beside);
	EXPECT_GE(5 * alone + 200, beside)
		TH_LOG("HELD UP by requests of a user without privilege");
	nic_deregister(mr);
	munmap(map, len);
}

TEST_HARNESS_MAIN
