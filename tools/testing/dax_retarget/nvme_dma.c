// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test only: a DMA engine made of QEMU's NVMe controller.
 *
 * DAX retarget is about devices that write to memory through an IOMMU, and QEMU
 * emulates no RDMA NIC that does so. QEMU emulates an NVMe controller, which is
 * a bus master with scatter-gather lists and MSI-X. An NVMe write reads memory,
 * and an NVMe read writes memory: one after the other, with some blocks of the
 * medium in between, they copy from any DMA address to any other. This driver
 * offers such copies as a dmaengine memcpy channel. dmatest can check the
 * channel, and an rxe link with a DMA engine moves its payload by the channel.
 *
 * How QEMU moves the data decides what a test may conclude from it:
 *
 *  - A namespace with protection information takes the path of
 *    nvme_dif_rw(): data is copied between guest memory and a bounce buffer
 *    under QEMU's big lock, and translated at that moment; for an NVMe read,
 *    after the access to the medium. An IOTLB invalidation, which takes the
 *    same lock, is therefore final when it completes, as on hardware. Without
 *    protection information the address is translated when the command starts
 *    and the host may write there long after an invalidation.
 *
 *  - A namespace with the metadata behind each block of data takes the path of
 *    nvme_tx_interleaved(), unless the controller is told to insert and strip
 *    the metadata (PRACT). Only this path checks the result of each DMA: an
 *    access that the IOMMU refuses makes the command fail. All other paths
 *    ignore the result, and the command succeeds in spite of the refusal.
 *
 * Hence the driver formats the namespace with both, does not set PRACT and adds
 * a place for the metadata after each block. The metadata is not read. The
 * contents of the medium are lost, so the driver binds only to a device that
 * has the driver's name in driver_override.
 */

#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/dmaengine.h>
#include <linux/interrupt.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iopoll.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/nvme.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "dmaengine.h"

#define NVME_DMA_NSID		1
#define NVME_DMA_BLOCK_SIZE	SZ_4K
#define NVME_DMA_META_SIZE	8
#define NVME_DMA_QUEUE_DEPTH	64
#define NVME_DMA_SLOTS		32	/* copies under way at the same time */
#define NVME_DMA_SLOT_BLOCKS	16	/* most that one command moves */
#define NVME_DMA_SGL_ENTRIES	(2 * NVME_DMA_SLOT_BLOCKS)
#define NVME_DMA_TIMEOUT	(10 * HZ)

struct nvme_dma_queue {
	struct nvme_command *sq;
	struct nvme_completion *cq;
	dma_addr_t sq_dma;
	dma_addr_t cq_dma;
	u32 __iomem *sq_doorbell;
	u32 __iomem *cq_doorbell;
	u16 sq_tail;
	u16 sq_rung;		/* tail that the controller was told */
	u16 cq_head;
	u8 cq_phase;
};

struct nvme_dma_desc {
	struct dma_async_tx_descriptor tx;
	struct list_head node;
	dma_addr_t dst;
	dma_addr_t src;
	size_t len;
	size_t done;		/* bytes that arrived */
	enum dmaengine_tx_result result;
	bool finished;
};

/* A copy under way: one command at a time, and blocks of the medium for it. */
struct nvme_dma_slot {
	struct nvme_dma_desc *desc;
	struct nvme_sgl_desc *sgl;
	dma_addr_t sgl_dma;
	unsigned long started;
	size_t len;		/* of this command */
	bool to_memory;		/* the second half: medium to dst */
};

struct nvme_dma {
	struct dma_device dma;
	struct dma_chan chan;
	struct pci_dev *pdev;
	void __iomem *bar;
	int irq;
	unsigned int timeout_ms;	/* for the controller to get ready */
	struct nvme_dma_queue admin;
	dma_addr_t pad_dma;		/* contents never matter */

	spinlock_t lock;		/* all below, and the I/O queue */
	struct nvme_dma_queue io;
	bool dead;
	dma_cookie_t failed;		/* of the last copy that failed */
	/* Descriptors go from list to list, in the order of their cookies. */
	struct list_head prepared;
	struct list_head submitted;
	struct list_head issued;
	struct list_head active;	/* started; retired in order */
	struct list_head retired;	/* to be called back and freed */
	DECLARE_BITMAP(busy, NVME_DMA_SLOTS);
	struct nvme_dma_slot slots[NVME_DMA_SLOTS];

	wait_queue_head_t idle;		/* active became empty */
	struct work_struct callbacks;
	struct delayed_work watchdog;
};

static struct nvme_dma *to_nvme_dma(struct dma_chan *chan)
{
	return container_of(chan, struct nvme_dma, chan);
}

static struct nvme_dma_desc *to_desc(struct dma_async_tx_descriptor *tx)
{
	return container_of(tx, struct nvme_dma_desc, tx);
}

/* Queues */

static void queue_push(struct nvme_dma_queue *q, const struct nvme_command *cmd)
{
	q->sq[q->sq_tail] = *cmd;
	q->sq_tail = (q->sq_tail + 1) % NVME_DMA_QUEUE_DEPTH;
}

static void queue_ring(struct nvme_dma_queue *q)
{
	if (q->sq_rung == q->sq_tail)
		return;
	q->sq_rung = q->sq_tail;
	writel(q->sq_tail, q->sq_doorbell);
}

static bool queue_pop(struct nvme_dma_queue *q, struct nvme_completion *cqe)
{
	struct nvme_completion *next = &q->cq[q->cq_head];

	if ((le16_to_cpu(READ_ONCE(next->status)) & 1) != q->cq_phase)
		return false;
	dma_rmb();	/* the rest of the entry is no older than its phase */
	*cqe = *next;

	if (++q->cq_head == NVME_DMA_QUEUE_DEPTH) {
		q->cq_head = 0;
		q->cq_phase ^= 1;
	}
	return true;
}

/* Copying. The caller holds the lock. */

static void slot_send(struct nvme_dma *nd, struct nvme_dma_slot *slot)
{
	struct nvme_dma_desc *desc = slot->desc;
	unsigned int id = slot - nd->slots;
	struct nvme_sgl_desc *sgl = slot->sgl;
	struct nvme_command cmd = {};
	unsigned int blocks = 0;
	dma_addr_t addr;
	size_t left;

	addr = (slot->to_memory ? desc->dst : desc->src) + desc->done;
	for (left = slot->len; left; blocks++) {
		u32 bytes = min_t(size_t, left, NVME_DMA_BLOCK_SIZE);

		*sgl++ = (struct nvme_sgl_desc) {
			.addr = cpu_to_le64(addr),
			.length = cpu_to_le32(bytes),
			.type = NVME_SGL_FMT_DATA_DESC << 4,
		};
		/* the rest of the block, if any, and its metadata */
		*sgl++ = (struct nvme_sgl_desc) {
			.addr = cpu_to_le64(nd->pad_dma),
			.length = cpu_to_le32(NVME_DMA_BLOCK_SIZE +
						   NVME_DMA_META_SIZE - bytes),
			.type = NVME_SGL_FMT_DATA_DESC << 4,
		};
		addr += bytes;
		left -= bytes;
	}

	cmd.rw.opcode = slot->to_memory ? nvme_cmd_read : nvme_cmd_write;
	cmd.rw.flags = NVME_CMD_SGL_METABUF;
	cmd.rw.command_id = id;
	cmd.rw.nsid = cpu_to_le32(NVME_DMA_NSID);
	cmd.rw.slba = cpu_to_le64(id * NVME_DMA_SLOT_BLOCKS);
	cmd.rw.length = cpu_to_le16(blocks - 1);
	cmd.rw.dptr.sgl.addr = cpu_to_le64(slot->sgl_dma);
	cmd.rw.dptr.sgl.length = cpu_to_le32(2 * blocks * sizeof(*sgl));
	cmd.rw.dptr.sgl.type = NVME_SGL_FMT_LAST_SEG_DESC << 4;

	slot->started = jiffies;
	queue_push(&nd->io, &cmd);
}

static void slot_next_chunk(struct nvme_dma *nd, struct nvme_dma_slot *slot)
{
	struct nvme_dma_desc *desc = slot->desc;

	slot->len = min_t(size_t, desc->len - desc->done,
			  NVME_DMA_SLOT_BLOCKS * NVME_DMA_BLOCK_SIZE);
	slot->to_memory = false;
	slot_send(nd, slot);
}

static void slot_finish(struct nvme_dma *nd, struct nvme_dma_slot *slot,
			enum dmaengine_tx_result result)
{
	slot->desc->result = result;
	slot->desc->finished = true;
	slot->desc = NULL;
	clear_bit(slot - nd->slots, nd->busy);
}

static void slot_completed(struct nvme_dma *nd, struct nvme_dma_slot *slot,
			   u16 status)
{
	struct nvme_dma_desc *desc = slot->desc;

	if (status) {
		dev_warn_ratelimited(nd->dma.dev, "NVMe status %#x copying %zu bytes from %pad to %pad\n",
				     status, desc->len, &desc->src, &desc->dst);
		slot_finish(nd, slot, slot->to_memory ? DMA_TRANS_WRITE_FAILED :
							DMA_TRANS_READ_FAILED);
		return;
	}
	if (!slot->to_memory) {
		slot->to_memory = true;
		slot_send(nd, slot);
		return;
	}
	desc->done += slot->len;
	if (desc->done < desc->len)
		slot_next_chunk(nd, slot);
	else
		slot_finish(nd, slot, DMA_TRANS_NOERROR);
}

/*
 * Start issued copies while there are free slots. Retire finished copies in the
 * order of their start: a finished copy waits for each older copy.
 */
static void nvme_dma_advance(struct nvme_dma *nd)
{
	struct nvme_dma_desc *desc, *next;

	list_for_each_entry_safe(desc, next, &nd->issued, node) {
		if (nd->dead) {
			desc->result = DMA_TRANS_ABORTED;
			desc->finished = true;
		} else {
			unsigned int id = find_first_zero_bit(nd->busy, NVME_DMA_SLOTS);

			if (id == NVME_DMA_SLOTS)
				break;
			set_bit(id, nd->busy);
			nd->slots[id].desc = desc;
			slot_next_chunk(nd, &nd->slots[id]);
		}
		list_move_tail(&desc->node, &nd->active);
	}
	queue_ring(&nd->io);

	list_for_each_entry_safe(desc, next, &nd->active, node) {
		if (!desc->finished)
			break;
		if (desc->result != DMA_TRANS_NOERROR)
			nd->failed = desc->tx.cookie;
		dma_cookie_complete(&desc->tx);
		list_move_tail(&desc->node, &nd->retired);
	}
	if (!list_empty(&nd->retired))
		queue_work(system_bh_wq, &nd->callbacks);
	if (list_empty(&nd->active))
		wake_up(&nd->idle);
	else
		schedule_delayed_work(&nd->watchdog, NVME_DMA_TIMEOUT / 2);
}

static irqreturn_t nvme_dma_irq(int irq, void *data)
{
	struct nvme_dma *nd = data;
	struct nvme_completion cqe;
	irqreturn_t ret = IRQ_NONE;

	spin_lock(&nd->lock);
	while (!nd->dead && queue_pop(&nd->io, &cqe)) {
		ret = IRQ_HANDLED;
		if (cqe.command_id < NVME_DMA_SLOTS &&
		    nd->slots[cqe.command_id].desc)
			slot_completed(nd, &nd->slots[cqe.command_id],
				       le16_to_cpu(cqe.status) >> 1);
	}
	if (ret == IRQ_HANDLED) {
		writel(nd->io.cq_head, nd->io.cq_doorbell);
		nvme_dma_advance(nd);
	}
	spin_unlock(&nd->lock);
	return ret;
}

static void nvme_dma_callbacks(struct work_struct *work)
{
	struct nvme_dma *nd = container_of(work, struct nvme_dma, callbacks);
	struct nvme_dma_desc *desc, *next;
	LIST_HEAD(retired);

	spin_lock_irq(&nd->lock);
	list_splice_init(&nd->retired, &retired);
	spin_unlock_irq(&nd->lock);

	list_for_each_entry_safe(desc, next, &retired, node) {
		struct dmaengine_result result = {
			.result = desc->result,
			.residue = desc->len - desc->done,
		};

		dma_descriptor_unmap(&desc->tx);
		dmaengine_desc_get_callback_invoke(&desc->tx, &result);
		kfree(desc);
	}
}

/* Controller */

static int nvme_dma_wait_ready(struct nvme_dma *nd, u32 ready)
{
	u32 csts;
	int err;

	err = read_poll_timeout(readl, csts, (csts & NVME_CSTS_RDY) == ready ||
				csts == U32_MAX, 1000, nd->timeout_ms * 1000,
				false, nd->bar + NVME_REG_CSTS);
	return csts == U32_MAX ? -ENODEV : err;
}

static int nvme_dma_disable(struct nvme_dma *nd)
{
	writel(readl(nd->bar + NVME_REG_CC) & ~NVME_CC_ENABLE,
	       nd->bar + NVME_REG_CC);
	return nvme_dma_wait_ready(nd, 0);
}

/* Stop all DMA for good, then fail every copy that is not done. */
static void nvme_dma_kill(struct nvme_dma *nd)
{
	unsigned int id;

	spin_lock_irq(&nd->lock);
	WRITE_ONCE(nd->dead, true);
	spin_unlock_irq(&nd->lock);

	nvme_dma_disable(nd);
	pci_clear_master(nd->pdev);

	spin_lock_irq(&nd->lock);
	for_each_set_bit(id, nd->busy, NVME_DMA_SLOTS)
		slot_finish(nd, &nd->slots[id], DMA_TRANS_ABORTED);
	nvme_dma_advance(nd);
	spin_unlock_irq(&nd->lock);
}

static void nvme_dma_watchdog(struct work_struct *work)
{
	struct nvme_dma *nd = container_of(to_delayed_work(work),
					   struct nvme_dma, watchdog);
	bool stuck = readl(nd->bar + NVME_REG_CSTS) & NVME_CSTS_CFS;
	unsigned int id;

	spin_lock_irq(&nd->lock);
	for_each_set_bit(id, nd->busy, NVME_DMA_SLOTS)
		stuck |= time_after(jiffies, nd->slots[id].started +
					     NVME_DMA_TIMEOUT);
	if (!stuck)
		nvme_dma_advance(nd);	/* looks again later */
	spin_unlock_irq(&nd->lock);

	if (stuck) {
		dev_err(nd->dma.dev, "controller stopped answering\n");
		nvme_dma_kill(nd);
	}
}

static int nvme_dma_admin(struct nvme_dma *nd, const struct nvme_command *cmd)
{
	struct nvme_completion cqe;
	bool done;
	u16 status;
	int err;

	queue_push(&nd->admin, cmd);
	queue_ring(&nd->admin);
	err = read_poll_timeout(queue_pop, done, done, 100,
				jiffies_to_usecs(NVME_DMA_TIMEOUT), false,
				&nd->admin, &cqe);
	if (err)
		return err;
	writel(nd->admin.cq_head, nd->admin.cq_doorbell);

	status = le16_to_cpu(cqe.status) >> 1;
	if (status) {
		dev_err(nd->dma.dev, "admin command %#x: status %#x\n",
			cmd->common.opcode, status);
		return -EIO;
	}
	return 0;
}

static int find_format(const struct nvme_id_ns *id)
{
	int i;

	for (i = 0; i <= id->nlbaf; i++)
		if (id->lbaf[i].ds == ilog2(NVME_DMA_BLOCK_SIZE) &&
		    le16_to_cpu(id->lbaf[i].ms) == NVME_DMA_META_SIZE)
			return i;
	return -EINVAL;
}

static int nvme_dma_identify(struct nvme_dma *nd, dma_addr_t id_dma)
{
	struct nvme_command cmd = {
		.identify.opcode = nvme_admin_identify,
		.identify.nsid = cpu_to_le32(NVME_DMA_NSID),
		.identify.dptr.prp1 = cpu_to_le64(id_dma),
		.identify.cns = NVME_ID_CNS_NS,
	};

	return nvme_dma_admin(nd, &cmd);
}

static int nvme_dma_format(struct nvme_dma *nd, int format)
{
	struct nvme_command cmd = {
		.format.opcode = nvme_admin_format_nvm,
		.format.nsid = cpu_to_le32(NVME_DMA_NSID),
		/* protection information is of type 1, without secure erase */
		.format.cdw10 = cpu_to_le32(format | NVME_NS_FLBAS_META_EXT |
					    NVME_NS_DPS_PI_TYPE1 << 5),
	};

	return nvme_dma_admin(nd, &cmd);
}

static int nvme_dma_prepare_namespace(struct nvme_dma *nd)
{
	struct device *dev = nd->dma.dev;
	struct nvme_id_ns *id;
	dma_addr_t id_dma;
	int format, err;

	id = dma_alloc_coherent(dev, sizeof(*id), &id_dma, GFP_KERNEL);
	if (!id)
		return -ENOMEM;
	err = nvme_dma_identify(nd, id_dma);
	if (err)
		goto out;

	format = find_format(id);
	if (format < 0) {
		dev_err(dev, "no LBA format with protection information\n");
		err = format;
		goto out;
	}
	err = nvme_dma_format(nd, format) ?: nvme_dma_identify(nd, id_dma);
	if (err)
		goto out;

	if (le64_to_cpu(id->nsze) < NVME_DMA_SLOTS * NVME_DMA_SLOT_BLOCKS) {
		dev_err(dev, "namespace smaller than %u blocks\n",
			NVME_DMA_SLOTS * NVME_DMA_SLOT_BLOCKS);
		err = -ENOSPC;
	}
out:
	dma_free_coherent(dev, sizeof(*id), id, id_dma);
	return err;
}

static int nvme_dma_create_queues(struct nvme_dma *nd)
{
	struct nvme_command cq = {
		.create_cq.opcode = nvme_admin_create_cq,
		.create_cq.prp1 = cpu_to_le64(nd->io.cq_dma),
		.create_cq.cqid = cpu_to_le16(1),
		.create_cq.qsize = cpu_to_le16(NVME_DMA_QUEUE_DEPTH - 1),
		.create_cq.cq_flags = cpu_to_le16(NVME_QUEUE_PHYS_CONTIG |
						  NVME_CQ_IRQ_ENABLED),
	};
	struct nvme_command sq = {
		.create_sq.opcode = nvme_admin_create_sq,
		.create_sq.prp1 = cpu_to_le64(nd->io.sq_dma),
		.create_sq.sqid = cpu_to_le16(1),
		.create_sq.qsize = cpu_to_le16(NVME_DMA_QUEUE_DEPTH - 1),
		.create_sq.sq_flags = cpu_to_le16(NVME_QUEUE_PHYS_CONTIG),
		.create_sq.cqid = cpu_to_le16(1),
	};
	int err;

	err = nvme_dma_admin(nd, &cq);
	return err ?: nvme_dma_admin(nd, &sq);
}

static int nvme_dma_alloc_queue(struct nvme_dma *nd, struct nvme_dma_queue *q,
				unsigned int qid, unsigned int stride)
{
	u32 __iomem *doorbells = nd->bar + NVME_REG_DBS;

	q->sq = dmam_alloc_coherent(nd->dma.dev, NVME_DMA_QUEUE_DEPTH *
				    sizeof(*q->sq), &q->sq_dma, GFP_KERNEL);
	q->cq = dmam_alloc_coherent(nd->dma.dev, NVME_DMA_QUEUE_DEPTH *
				    sizeof(*q->cq), &q->cq_dma, GFP_KERNEL);
	if (!q->sq || !q->cq)
		return -ENOMEM;
	q->sq_doorbell = doorbells + 2 * qid * stride;
	q->cq_doorbell = q->sq_doorbell + stride;
	q->cq_phase = 1;
	return 0;
}

static int nvme_dma_alloc_memory(struct nvme_dma *nd, unsigned int stride)
{
	struct device *dev = nd->dma.dev;
	struct nvme_sgl_desc *sgl;
	dma_addr_t sgl_dma;
	unsigned int id;
	int err;

	err = nvme_dma_alloc_queue(nd, &nd->admin, 0, stride) ?:
	      nvme_dma_alloc_queue(nd, &nd->io, 1, stride);
	if (err)
		return err;

	if (!dmam_alloc_coherent(dev, NVME_DMA_BLOCK_SIZE + NVME_DMA_META_SIZE,
				 &nd->pad_dma, GFP_KERNEL))
		return -ENOMEM;

	sgl = dmam_alloc_coherent(dev, NVME_DMA_SLOTS * NVME_DMA_SGL_ENTRIES *
				  sizeof(*sgl), &sgl_dma, GFP_KERNEL);
	if (!sgl)
		return -ENOMEM;
	for (id = 0; id < NVME_DMA_SLOTS; id++) {
		nd->slots[id].sgl = sgl + id * NVME_DMA_SGL_ENTRIES;
		nd->slots[id].sgl_dma = sgl_dma +
			id * NVME_DMA_SGL_ENTRIES * sizeof(*sgl);
	}
	return 0;
}

static int nvme_dma_enable(struct nvme_dma *nd)
{
	u64 cap = lo_hi_readq(nd->bar + NVME_REG_CAP);
	int err;

	if (NVME_CAP_MQES(cap) < NVME_DMA_QUEUE_DEPTH - 1)
		return -ENODEV;
	nd->timeout_ms = (NVME_CAP_TIMEOUT(cap) + 1) * 500;

	err = nvme_dma_disable(nd);
	if (err)
		return err;
	err = nvme_dma_alloc_memory(nd, 1 << NVME_CAP_STRIDE(cap));
	if (err)
		return err;

	writel((NVME_DMA_QUEUE_DEPTH - 1) << 16 | (NVME_DMA_QUEUE_DEPTH - 1),
	       nd->bar + NVME_REG_AQA);
	lo_hi_writeq(nd->admin.sq_dma, nd->bar + NVME_REG_ASQ);
	lo_hi_writeq(nd->admin.cq_dma, nd->bar + NVME_REG_ACQ);
	writel(NVME_CC_ENABLE | NVME_CC_CSS_NVM | NVME_CC_IOSQES |
	       NVME_CC_IOCQES, nd->bar + NVME_REG_CC);
	err = nvme_dma_wait_ready(nd, NVME_CSTS_RDY);
	if (err)
		return err;

	err = nvme_dma_prepare_namespace(nd);
	return err ?: nvme_dma_create_queues(nd);
}

/* Operations that dmaengine calls */

static dma_cookie_t nvme_dma_submit(struct dma_async_tx_descriptor *tx)
{
	struct nvme_dma *nd = to_nvme_dma(tx->chan);
	dma_cookie_t cookie;
	unsigned long flags;

	spin_lock_irqsave(&nd->lock, flags);
	list_move_tail(&to_desc(tx)->node, &nd->submitted);
	cookie = dma_cookie_assign(tx);
	spin_unlock_irqrestore(&nd->lock, flags);
	return cookie;
}

static struct dma_async_tx_descriptor *
nvme_dma_prep_memcpy(struct dma_chan *chan, dma_addr_t dst, dma_addr_t src,
		     size_t len, unsigned long tx_flags)
{
	struct nvme_dma *nd = to_nvme_dma(chan);
	struct nvme_dma_desc *desc;
	unsigned long flags;

	if (!len || READ_ONCE(nd->dead))
		return NULL;
	desc = kzalloc(sizeof(*desc), GFP_NOWAIT);
	if (!desc)
		return NULL;

	dma_async_tx_descriptor_init(&desc->tx, chan);
	desc->tx.tx_submit = nvme_dma_submit;
	desc->tx.flags = tx_flags;
	desc->dst = dst;
	desc->src = src;
	desc->len = len;

	spin_lock_irqsave(&nd->lock, flags);
	list_add_tail(&desc->node, &nd->prepared);
	spin_unlock_irqrestore(&nd->lock, flags);
	return &desc->tx;
}

static void nvme_dma_issue_pending(struct dma_chan *chan)
{
	struct nvme_dma *nd = to_nvme_dma(chan);
	unsigned long flags;

	spin_lock_irqsave(&nd->lock, flags);
	list_splice_tail_init(&nd->submitted, &nd->issued);
	nvme_dma_advance(nd);
	spin_unlock_irqrestore(&nd->lock, flags);
}

static enum dma_status nvme_dma_tx_status(struct dma_chan *chan,
					  dma_cookie_t cookie,
					  struct dma_tx_state *state)
{
	struct nvme_dma *nd = to_nvme_dma(chan);
	enum dma_status status;
	unsigned long flags;

	spin_lock_irqsave(&nd->lock, flags);
	status = dma_cookie_status(chan, cookie, state);
	if (status == DMA_COMPLETE && cookie == nd->failed)
		status = DMA_ERROR;
	spin_unlock_irqrestore(&nd->lock, flags);
	return status;
}

static void nvme_dma_free_list(struct list_head *list)
{
	struct nvme_dma_desc *desc, *next;

	list_for_each_entry_safe(desc, next, list, node) {
		dma_descriptor_unmap(&desc->tx);
		kfree(desc);
	}
}

static void nvme_dma_silence(struct list_head *list)
{
	struct nvme_dma_desc *desc;

	list_for_each_entry(desc, list, node) {
		desc->tx.callback = NULL;
		desc->tx.callback_result = NULL;
	}
}

/* A command under way cannot be taken back; its copy ends without callback. */
static int nvme_dma_terminate(struct dma_chan *chan)
{
	struct nvme_dma *nd = to_nvme_dma(chan);
	unsigned long flags;
	LIST_HEAD(unstarted);

	spin_lock_irqsave(&nd->lock, flags);
	list_splice_init(&nd->issued, &unstarted);
	list_splice_tail_init(&nd->submitted, &unstarted);
	nvme_dma_silence(&nd->active);
	nvme_dma_silence(&nd->retired);
	spin_unlock_irqrestore(&nd->lock, flags);

	nvme_dma_free_list(&unstarted);
	return 0;
}

static bool nvme_dma_is_idle(struct nvme_dma *nd)
{
	bool idle;

	spin_lock_irq(&nd->lock);
	idle = list_empty(&nd->active);
	spin_unlock_irq(&nd->lock);
	return idle;
}

static void nvme_dma_synchronize(struct dma_chan *chan)
{
	struct nvme_dma *nd = to_nvme_dma(chan);

	wait_event(nd->idle, nvme_dma_is_idle(nd));
	flush_work(&nd->callbacks);
}

static void nvme_dma_free_chan_resources(struct dma_chan *chan)
{
	struct nvme_dma *nd = to_nvme_dma(chan);
	LIST_HEAD(prepared);

	nvme_dma_terminate(chan);
	nvme_dma_synchronize(chan);
	spin_lock_irq(&nd->lock);
	list_splice_init(&nd->prepared, &prepared);
	spin_unlock_irq(&nd->lock);
	nvme_dma_free_list(&prepared);
}

/* The channel has no client, and the driver has left the device. */
static void nvme_dma_release(struct dma_device *dma)
{
	kfree(container_of(dma, struct nvme_dma, dma));
}

static int nvme_dma_register(struct nvme_dma *nd)
{
	struct dma_device *dma = &nd->dma;

	dma_cap_set(DMA_MEMCPY, dma->cap_mask);
	dma_cap_set(DMA_PRIVATE, dma->cap_mask);
	dma->copy_align = DMAENGINE_ALIGN_1_BYTE;
	dma->directions = BIT(DMA_MEM_TO_MEM);
	dma->residue_granularity = DMA_RESIDUE_GRANULARITY_DESCRIPTOR;
	dma->device_prep_dma_memcpy = nvme_dma_prep_memcpy;
	dma->device_issue_pending = nvme_dma_issue_pending;
	dma->device_tx_status = nvme_dma_tx_status;
	dma->device_terminate_all = nvme_dma_terminate;
	dma->device_synchronize = nvme_dma_synchronize;
	dma->device_free_chan_resources = nvme_dma_free_chan_resources;
	dma->device_release = nvme_dma_release;

	INIT_LIST_HEAD(&dma->channels);
	nd->chan.device = dma;
	dma_cookie_init(&nd->chan);
	list_add_tail(&nd->chan.device_node, &dma->channels);
	return dma_async_device_register(dma);
}

static struct nvme_dma *nvme_dma_alloc(struct pci_dev *pdev)
{
	struct nvme_dma *nd = kzalloc(sizeof(*nd), GFP_KERNEL);

	if (!nd)
		return NULL;
	nd->pdev = pdev;
	nd->dma.dev = &pdev->dev;
	spin_lock_init(&nd->lock);
	INIT_LIST_HEAD(&nd->prepared);
	INIT_LIST_HEAD(&nd->submitted);
	INIT_LIST_HEAD(&nd->issued);
	INIT_LIST_HEAD(&nd->active);
	INIT_LIST_HEAD(&nd->retired);
	init_waitqueue_head(&nd->idle);
	INIT_WORK(&nd->callbacks, nvme_dma_callbacks);
	INIT_DELAYED_WORK(&nd->watchdog, nvme_dma_watchdog);
	return nd;
}

static int nvme_dma_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct nvme_dma *nd;
	int err;

	nd = nvme_dma_alloc(pdev);
	if (!nd)
		return -ENOMEM;
	pci_set_drvdata(pdev, nd);

	err = pcim_enable_device(pdev);
	if (err)
		goto err_free;
	nd->bar = pcim_iomap_region(pdev, 0, KBUILD_MODNAME);
	if (IS_ERR(nd->bar)) {
		err = PTR_ERR(nd->bar);
		goto err_free;
	}
	err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (err)
		goto err_free;
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);

	err = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSIX | PCI_IRQ_MSI);
	if (err < 0)
		goto err_free;
	nd->irq = pci_irq_vector(pdev, 0);
	err = request_irq(nd->irq, nvme_dma_irq, 0, pci_name(pdev), nd);
	if (err)
		goto err_vectors;

	pci_set_master(pdev);
	err = nvme_dma_enable(nd);
	if (err)
		goto err_disable;
	err = nvme_dma_register(nd);
	if (err)
		goto err_disable;

	dev_info(&pdev->dev, "DMA engine %s\n", dma_chan_name(&nd->chan));
	return 0;

err_disable:
	nvme_dma_disable(nd);
	pci_clear_master(pdev);
	free_irq(nd->irq, nd);
err_vectors:
	pci_free_irq_vectors(pdev);
err_free:
	kfree(nd);
	return err;
}

static void nvme_dma_remove(struct pci_dev *pdev)
{
	struct nvme_dma *nd = pci_get_drvdata(pdev);

	nvme_dma_kill(nd);
	cancel_delayed_work_sync(&nd->watchdog);
	free_irq(nd->irq, nd);
	pci_free_irq_vectors(pdev);
	flush_work(&nd->callbacks);
	/*
	 * A client may still hold the dead channel; nd is freed with the
	 * client.
	 */
	dma_async_device_unregister(&nd->dma);
}

static const struct pci_device_id nvme_dma_ids[] = {
	{ PCI_DEVICE_DRIVER_OVERRIDE(PCI_VENDOR_ID_REDHAT, 0x0010, true) },
	{}
};

static struct pci_driver nvme_dma_driver = {
	.name = KBUILD_MODNAME,
	.id_table = nvme_dma_ids,
	.probe = nvme_dma_probe,
	.remove = nvme_dma_remove,
};
module_pci_driver(nvme_dma_driver);

MODULE_DESCRIPTION("DMA engine on QEMU's NVMe controller, for tests");
MODULE_LICENSE("GPL");
