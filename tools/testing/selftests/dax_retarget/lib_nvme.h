/* SPDX-License-Identifier: GPL-2.0-only */
/* An NVMe controller that copies memory, driven from user space */
#ifndef _DAX_RETARGET_LIB_NVME_H
#define _DAX_RETARGET_LIB_NVME_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NVME_PAGES	3	/* of a controller's memory, beside those of its queues */
#define NVME_QUEUE_PAGES 5	/* of a queue's memory */
#define NVME_QUEUES	32

struct nvme;

struct nvme_queue {
	struct nvme *nvme;
	unsigned int id;
	struct nvme_command *sq;
	struct nvme_completion *cq;
	volatile uint32_t *sq_doorbell;
	volatile uint32_t *cq_doorbell;
	unsigned int tail, head, phase;
	void *memory;		/* NVME_QUEUE_PAGES pages */
	uint64_t iova;
};

struct nvme {
	volatile void *bar;
	unsigned int stride;
	void *memory;
	uint64_t iova;
	pthread_mutex_t mutex;	/* of the admin queue, and of what queues exist */
	struct nvme_queue admin;
	bool used[NVME_QUEUES + 1];
};

#define NVME_MEMORY	((NVME_PAGES + NVME_QUEUES * NVME_QUEUE_PAGES) * 4096UL)

void nvme_start(struct nvme *nvme, volatile void *bar, void *memory,
		uint64_t iova);
void nvme_stop(struct nvme *nvme);
void nvme_queue_open(struct nvme *nvme, struct nvme_queue *queue);
void nvme_queue_close(struct nvme *nvme, struct nvme_queue *queue);
int nvme_copy(struct nvme_queue *queue, uint64_t from, uint64_t to, size_t len);

#endif
