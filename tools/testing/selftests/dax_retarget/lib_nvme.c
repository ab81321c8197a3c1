// SPDX-License-Identifier: GPL-2.0-only
/*
 * An NVMe controller as a DMA engine of user space, for the tests of DAX retarget.
 *
 * An NVMe write reads memory, and an NVMe read writes memory: one after the other,
 * with a block of the medium in between, they copy from any IOVA to any other. The
 * block has its metadata behind it, and protection information, as QEMU then looks
 * addresses up when it copies, and has the command fail where an address leads
 * nowhere; other formats do neither. What is on the medium is lost.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib.h"
#include "lib_nvme.h"

#define DEPTH		16
#define BLOCK		4096U
#define METADATA	8U

/* Registers */
#define CAP		0x00
#define CC		0x14
#define CSTS		0x1c
#define AQA		0x24
#define ASQ		0x28
#define ACQ		0x30
#define DOORBELLS	0x1000

#define CC_ENABLE	(1U | 6U << 16 | 4U << 20)	/* sizes of queue entries */
#define CSTS_READY	1U
#define CSTS_FATAL	2U

enum {
	ADMIN_DELETE_SQ		= 0x00,
	ADMIN_CREATE_SQ		= 0x01,
	ADMIN_DELETE_CQ		= 0x04,
	ADMIN_CREATE_CQ		= 0x05,
	ADMIN_IDENTIFY		= 0x06,
	ADMIN_FORMAT		= 0x80,
	IO_WRITE		= 0x01,
	IO_READ			= 0x02,
};

#define SGL_METADATA	(2U << 6)	/* in flags: data and metadata by one list */
#define SGL_DATA	0x00
#define SGL_LAST_SEGMENT 0x30

struct nvme_sgl {
	uint64_t addr;
	uint32_t length;
	uint8_t reserved[3];
	uint8_t type;
};

struct nvme_command {
	uint8_t opcode, flags;
	uint16_t id;
	uint32_t nsid;
	uint64_t cdw2;
	uint64_t metadata;
	union {
		uint64_t prp[2];
		struct nvme_sgl sgl;
	};
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

struct nvme_completion {
	uint64_t result;
	uint16_t sq_head, sq_id, id;
	volatile uint16_t status;
};

static uint32_t read32(struct nvme *nvme, unsigned int offset)
{
	return *(volatile uint32_t *)(nvme->bar + offset);
}

static void write32(struct nvme *nvme, unsigned int offset, uint32_t value)
{
	*(volatile uint32_t *)(nvme->bar + offset) = value;
}

static void write64(struct nvme *nvme, unsigned int offset, uint64_t value)
{
	write32(nvme, offset, value);
	write32(nvme, offset + 4, value >> 32);
}

static void queue_init(struct nvme *nvme, struct nvme_queue *queue,
		       unsigned int id, void *memory, uint64_t iova)
{
	queue->nvme = nvme;
	queue->id = id;
	queue->memory = memory;
	queue->iova = iova;
	queue->sq = memory;
	queue->cq = memory + PAGE;
	queue->tail = 0;
	queue->head = 0;
	queue->phase = 1;
	queue->sq_doorbell = nvme->bar + DOORBELLS + 2 * id * nvme->stride;
	queue->cq_doorbell = nvme->bar + DOORBELLS + (2 * id + 1) * nvme->stride;
	memset(memory, 0, 2 * PAGE);
}

/* As it does when it must not do DMA any more */
static bool has_failed(struct nvme *nvme)
{
	return read32(nvme, CSTS) & CSTS_FATAL;
}

/* Or as one that was reset */
static bool has_stopped(struct nvme *nvme)
{
	return has_failed(nvme) || !(read32(nvme, CSTS) & CSTS_READY);
}

/* Returns 0, a negative errno, or the status of the command */
static int command(struct nvme_queue *queue, const struct nvme_command *command)
{
	struct nvme_completion *done = &queue->cq[queue->head];
	uint64_t end = now_ms() + patience_ms();
	unsigned int looks = 0;
	uint16_t status;

	queue->sq[queue->tail] = *command;
	queue->tail = (queue->tail + 1) % DEPTH;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*queue->sq_doorbell = queue->tail;

	while (((status = done->status) & 1) != queue->phase) {
		if (now_ms() > end)
			return -ETIMEDOUT;
		if (!(++looks % 64) && has_stopped(queue->nvme))
			return -EIO;
		usleep(20);
	}
	if (++queue->head == DEPTH) {
		queue->head = 0;
		queue->phase ^= 1;
	}
	*queue->cq_doorbell = queue->head;
	return status >> 1;
}

static void admin(struct nvme *nvme, const struct nvme_command *cmd)
{
	int ret;

	pthread_mutex_lock(&nvme->mutex);
	ret = command(&nvme->admin, cmd);
	pthread_mutex_unlock(&nvme->mutex);
	/* One that has failed, or was reset, can only be stopped */
	if (ret && ret != -EIO)
		die("the controller fails command %#x: %d", cmd->opcode, ret);
}

static void wait_ready(struct nvme *nvme, uint32_t ready)
{
	uint64_t end = now_ms() + patience_ms();

	while ((read32(nvme, CSTS) & CSTS_READY) != ready) {
		if (now_ms() > end || (ready && has_failed(nvme)))
			die("the controller does not %s",
			    ready ? "start" : "stop");
		usleep(100);
	}
}

/* The namespace as identify describes it, in the third page of the memory */
static const uint8_t *identify(struct nvme *nvme)
{
	struct nvme_command cmd = {
		.opcode = ADMIN_IDENTIFY,
		.nsid = 1,
		.prp = { nvme->iova + 2 * PAGE },
	};

	admin(nvme, &cmd);
	return nvme->memory + 2 * PAGE;
}

/* Number of the format with BLOCK bytes and METADATA */
static unsigned int find_format(const uint8_t *id)
{
	unsigned int i;

	for (i = 0; i <= id[25]; i++) {
		const uint8_t *format = id + 128 + 4 * i;

		if (1U << format[2] == BLOCK && format[0] == METADATA &&
		    !format[1])
			return i;
	}
	die("the controller has no format with protection information");
}

static void prepare_namespace(struct nvme *nvme)
{
	const uint8_t *id = identify(nvme);
	struct nvme_command cmd = {
		.opcode = ADMIN_FORMAT,
		.nsid = 1,
		/* the metadata behind the data, protection information of type 1 */
		.cdw10 = find_format(id) | 1U << 4 | 1U << 5,
	};

	if (id[26] != (find_format(id) | 1U << 4) || (id[29] & 7) != 1)
		admin(nvme, &cmd);
}

/**
 * nvme_start - start a controller
 * @nvme: gets its state
 * @bar: its registers
 * @memory: NVME_MEMORY bytes that the controller reaches
 * @iova: IOVA of @memory
 */
void nvme_start(struct nvme *nvme, volatile void *bar, void *memory,
		uint64_t iova)
{
	memset(nvme, 0, sizeof(*nvme));
	pthread_mutex_init(&nvme->mutex, NULL);
	nvme->bar = bar;
	nvme->memory = memory;
	nvme->iova = iova;
	/* A 64-bit register; the distance of doorbells is in its upper half */
	nvme->stride = 4U << (read32(nvme, CAP + 4) & 15);

	write32(nvme, CC, 0);
	wait_ready(nvme, 0);
	queue_init(nvme, &nvme->admin, 0, memory, iova);
	write32(nvme, AQA, (DEPTH - 1) << 16 | (DEPTH - 1));
	write64(nvme, ASQ, iova);
	write64(nvme, ACQ, iova + PAGE);
	write32(nvme, CC, CC_ENABLE);
	wait_ready(nvme, CSTS_READY);
	prepare_namespace(nvme);
}

void nvme_stop(struct nvme *nvme)
{
	write32(nvme, CC, 0);
	wait_ready(nvme, 0);
}

/* A queue of its own for a thread that copies */
void nvme_queue_open(struct nvme *nvme, struct nvme_queue *queue)
{
	unsigned int id;
	size_t offset;

	pthread_mutex_lock(&nvme->mutex);
	for (id = 1; nvme->used[id]; id++)
		if (id == NVME_QUEUES)
			die("no queue is left");
	nvme->used[id] = true;
	pthread_mutex_unlock(&nvme->mutex);

	offset = (NVME_PAGES + (id - 1) * NVME_QUEUE_PAGES) * PAGE;
	queue_init(nvme, queue, id, nvme->memory + offset, nvme->iova + offset);
	admin(nvme, &(struct nvme_command) {
		.opcode = ADMIN_CREATE_CQ,
		.prp = { queue->iova + PAGE },
		.cdw10 = (DEPTH - 1) << 16 | id,
		.cdw11 = 1,	/* contiguous, no interrupts */
	});
	admin(nvme, &(struct nvme_command) {
		.opcode = ADMIN_CREATE_SQ,
		.prp = { queue->iova },
		.cdw10 = (DEPTH - 1) << 16 | id,
		.cdw11 = id << 16 | 1,
	});
}

void nvme_queue_close(struct nvme *nvme, struct nvme_queue *queue)
{
	admin(nvme, &(struct nvme_command) {
		.opcode = ADMIN_DELETE_SQ,
		.cdw10 = queue->id,
	});
	admin(nvme, &(struct nvme_command) {
		.opcode = ADMIN_DELETE_CQ,
		.cdw10 = queue->id,
	});
	pthread_mutex_lock(&nvme->mutex);
	nvme->used[queue->id] = false;
	pthread_mutex_unlock(&nvme->mutex);
}

/* Move @len bytes between @iova and the block of the queue */
static int move(struct nvme_queue *queue, uint8_t opcode, uint64_t iova,
		size_t len)
{
	struct nvme_sgl *sgl = queue->memory + 2 * PAGE;
	struct nvme_command cmd = {
		.opcode = opcode,
		.flags = SGL_METADATA,
		.nsid = 1,
		.sgl = {
			.addr = queue->iova + 2 * PAGE,
			.length = 2 * sizeof(*sgl),
			.type = SGL_LAST_SEGMENT,
		},
		.cdw10 = queue->id,	/* number of the block */
	};

	sgl[0] = (struct nvme_sgl) {
		.addr = iova,
		.length = len,
		.type = SGL_DATA,
	};
	/* The rest of the block and its metadata; contents never matter */
	sgl[1] = (struct nvme_sgl) {
		.addr = queue->iova + 3 * PAGE,
		.length = BLOCK + METADATA - len,
		.type = SGL_DATA,
	};
	return command(queue, &cmd);
}

/**
 * nvme_copy - have the controller copy memory
 * @queue: the queue, for one thread at a time
 * @from: IOVA of what to copy
 * @to: IOVA of where to
 * @len: how much, up to a page
 *
 * Return: 0, a negative errno, or the status of the command that failed
 */
int nvme_copy(struct nvme_queue *queue, uint64_t from, uint64_t to, size_t len)
{
	return move(queue, IO_WRITE, from, len) ?:
	       move(queue, IO_READ, to, len);
}
