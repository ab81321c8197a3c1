// SPDX-License-Identifier: GPL-2.0-only
/*
 * RDMA for the tests of DAX retarget: one NIC plays both ends. A reliable
 * connection from the NIC to itself takes the same way through the IOMMU as
 * one from another machine, so that one process on one machine can be the peer
 * that writes to its own memory regions.
 */

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib.h"

#define ACCESS_ALL	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | \
			 IBV_ACCESS_REMOTE_READ)

/* The first two NICs, unless others were asked for */
static struct ibv_device *find_device(struct ibv_device **list, int nr,
				      unsigned int index)
{
	const char *name = getenv(index ? "DAX_RETARGET_DEV2" :
					  "DAX_RETARGET_DEV");
	int i;

	if (!name)
		return index < (unsigned int)nr ? list[index] : NULL;
	for (i = 0; i < nr; i++)
		if (!strcmp(ibv_get_device_name(list[i]), name))
			return list[i];
	return NULL;
}

/* Name of NIC @index, or NULL if there is none */
const char *nic_name(unsigned int index)
{
	static char name[2][64];
	struct ibv_device **list, *device;
	int nr;

	list = ibv_get_device_list(&nr);
	if (!list)
		return NULL;
	device = find_device(list, nr, index);
	if (device)
		snprintf(name[index], sizeof(name[index]), "%s",
			 ibv_get_device_name(device));
	ibv_free_device_list(list);
	return device ? name[index] : NULL;
}

bool nic_exists(unsigned int index)
{
	return nic_name(index);
}

/* An address from which the NIC can reach itself; IPv4 needs no waiting */
static void find_address(struct nic *nic)
{
	static const uint8_t ipv4[12] = { [10] = 0xff, [11] = 0xff };
	struct ibv_gid_entry entry;
	int i, found = -1;

	for (i = 0; i < nic->port.gid_tbl_len; i++) {
		if (ibv_query_gid_ex(nic->ctx, 1, i, &entry, 0))
			continue;
		if (found >= 0 && memcmp(entry.gid.raw, ipv4, sizeof(ipv4)))
			continue;
		found = i;
		nic->gid = entry.gid;
		if (!memcmp(entry.gid.raw, ipv4, sizeof(ipv4)) &&
		    entry.gid_type == IBV_GID_TYPE_ROCE_V2)
			break;
	}
	if (found < 0)
		die("the NIC has no address");
	nic->gid_index = found;
}

struct nic *nic_open(unsigned int index)
{
	struct nic *nic = calloc(1, sizeof(*nic));
	struct ibv_device **list, *device;
	int nr;

	list = ibv_get_device_list(&nr);
	device = list ? find_device(list, nr, index) : NULL;
	if (!device)
		die("no RDMA device");
	nic->ctx = ibv_open_device(device);
	if (!nic->ctx)
		die("cannot open %s", ibv_get_device_name(device));
	ibv_free_device_list(list);
	nic->pd = ibv_alloc_pd(nic->ctx);
	if (!nic->pd)
		die("no protection domain");
	if (ibv_query_port(nic->ctx, 1, &nic->port))
		die("cannot query the port");
	find_address(nic);
	return nic;
}

void nic_close(struct nic *nic)
{
	if (ibv_dealloc_pd(nic->pd) || ibv_close_device(nic->ctx))
		die("cannot close the NIC");
	free(nic);
}

/* NULL and errno if it is refused */
struct ibv_mr *nic_register(struct nic *nic, void *addr, size_t len)
{
	return ibv_reg_mr(nic->pd, addr, len, ACCESS_ALL);
}

struct ibv_mr *nic_register_read_only(struct nic *nic, void *addr, size_t len)
{
	return ibv_reg_mr(nic->pd, addr, len, IBV_ACCESS_REMOTE_READ);
}

void nic_deregister(struct ibv_mr *mr)
{
	int ret = ibv_dereg_mr(mr);

	if (ret) {
		errno = ret;
		die("cannot deregister");
	}
}

static struct ibv_qp *qp_create(struct conn *conn)
{
	struct ibv_qp_init_attr attr = {
		.send_cq = conn->cq,
		.recv_cq = conn->cq,
		.qp_type = IBV_QPT_RC,
		.cap = {
			.max_send_wr = CONN_DEPTH,
			.max_recv_wr = 1,
			.max_send_sge = 1,
			.max_recv_sge = 1,
			.max_inline_data = PROBE,
		},
	};
	struct ibv_qp *qp = ibv_create_qp(conn->nic->pd, &attr);

	if (!qp)
		die("no queue pair");
	return qp;
}

static void qp_connect(struct nic *nic, struct ibv_qp *qp, uint32_t peer)
{
	struct ibv_qp_attr init = {
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = ACCESS_ALL,
	};
	struct ibv_qp_attr rtr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = nic->port.active_mtu,
		.dest_qp_num = peer,
		.max_dest_rd_atomic = 1,
		.min_rnr_timer = 12,
		.ah_attr = {
			.is_global = 1,
			.grh = {
				.dgid = nic->gid,
				.sgid_index = nic->gid_index,
				.hop_limit = 1,
			},
			.dlid = nic->port.lid,
			.port_num = 1,
		},
	};
	struct ibv_qp_attr rts = {
		.qp_state = IBV_QPS_RTS,
		.timeout = 18,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.max_rd_atomic = 1,
	};

	if (ibv_modify_qp(qp, &init, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
			  IBV_QP_PORT | IBV_QP_ACCESS_FLAGS))
		die("queue pair does not leave reset");
	if (ibv_modify_qp(qp, &rtr, IBV_QP_STATE | IBV_QP_AV |
			  IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
			  IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER))
		die("queue pair is not ready to receive");
	if (ibv_modify_qp(qp, &rts, IBV_QP_STATE | IBV_QP_TIMEOUT |
			  IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			  IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC))
		die("queue pair is not ready to send");
}

struct conn *conn_open(struct nic *nic)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	conn->nic = nic;
	conn->cq = ibv_create_cq(nic->ctx, 2 * CONN_DEPTH, NULL, NULL, 0);
	if (!conn->cq)
		die("no completion queue");
	conn->qp = qp_create(conn);
	conn->peer = qp_create(conn);
	qp_connect(nic, conn->qp, conn->peer->qp_num);
	qp_connect(nic, conn->peer, conn->qp->qp_num);

	conn->page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (conn->page == MAP_FAILED)
		die("no memory");
	conn->page_mr = nic_register(nic, conn->page, PAGE);
	if (!conn->page_mr)
		die("cannot register anonymous memory");
	return conn;
}

void conn_close(struct conn *conn)
{
	nic_deregister(conn->page_mr);
	munmap(conn->page, PAGE);
	if (ibv_destroy_qp(conn->qp) || ibv_destroy_qp(conn->peer) ||
	    ibv_destroy_cq(conn->cq))
		die("cannot close the connection");
	free(conn);
}

/* An error is a negative errno or the status of a completion */
const char *conn_error(int error)
{
	return error < 0 ? strerror(-error) : ibv_wc_status_str(error);
}

/**
 * conn_post - have the peer read or write, and do not wait
 * @conn: connection, which has room for CONN_DEPTH requests
 * @mr: the region
 * @addr: where in it
 * @local: region of @buf
 * @buf: what to write, or where to put what is read
 * @len: how much
 * @opcode: an RDMA read or write
 *
 * Return: 0 or a negative errno
 */
int conn_post(struct conn *conn, const struct ibv_mr *mr, uintptr_t addr,
	      const struct ibv_mr *local, void *buf, size_t len,
	      enum ibv_wr_opcode opcode)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)buf,
		.length = len,
		.lkey = local->lkey,
	};
	struct ibv_send_wr wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = opcode,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = {
			.remote_addr = addr,
			.rkey = mr->rkey,
		},
	}, *bad;

	/* The CPU takes it along: one DMA the less to wait for */
	if (opcode == IBV_WR_RDMA_WRITE && len <= PROBE)
		wr.send_flags |= IBV_SEND_INLINE;
	return -ibv_post_send(conn->qp, &wr, &bad);
}

/* Wait for the next completion: 0, or an error as conn_error() describes it */
int conn_complete(struct conn *conn)
{
	uint64_t end = now_ms() + PATIENCE_MS;
	struct ibv_wc wc;
	int nr;

	while (!(nr = ibv_poll_cq(conn->cq, 1, &wc))) {
		if (now_ms() > end)
			return -ETIMEDOUT;
		usleep(200);
	}
	if (nr < 0)
		return -EIO;
	return wc.status;
}

/* With the connection's own page, or with what is so short that it is copied */
static int post(struct conn *conn, struct ibv_mr *mr, uint64_t pos, void *buf,
		size_t len, enum ibv_wr_opcode opcode)
{
	return conn_post(conn, mr, (uintptr_t)mr->addr + pos, conn->page_mr,
			 buf, len, opcode);
}

/**
 * conn_write - have the peer write to a memory region
 * @conn: connection
 * @mr: the region
 * @pos: where, from the start of the region
 * @buf: what
 * @len: how much, up to a page
 *
 * Return: 0, or an error as conn_error() describes it
 */
int conn_write(struct conn *conn, struct ibv_mr *mr, uint64_t pos,
	       const void *buf, size_t len)
{
	int ret;

	memcpy(conn->page, buf, len);
	ret = post(conn, mr, pos, conn->page, len, IBV_WR_RDMA_WRITE);
	return ret ?: conn_complete(conn);
}

/**
 * conn_read - have the peer read from a memory region
 * @conn: connection
 * @mr: the region
 * @pos: where, from the start of the region
 * @buf: gets it
 * @len: how much, up to a page
 *
 * Return: 0, or an error as conn_error() describes it
 */
int conn_read(struct conn *conn, struct ibv_mr *mr, uint64_t pos, void *buf,
	      size_t len)
{
	int ret;

	memset(conn->page, 0xee, len);
	ret = post(conn, mr, pos, conn->page, len, IBV_WR_RDMA_READ);
	if (!ret)
		ret = conn_complete(conn);
	memcpy(buf, conn->page, len);
	return ret;
}

/**
 * conn_write_pages - have the peer write the first bytes of pages
 * @conn: connection
 * @mr: memory region
 * @first: first page, from the start of the region
 * @nr: number of pages
 * @id: the writer that the content names
 *
 * Return: 0, or an error as conn_error() describes it
 */
int conn_write_pages(struct conn *conn, struct ibv_mr *mr, unsigned long first,
		     unsigned long nr, enum writer_id id)
{
	unsigned long done = 0, posted = 0;
	uint64_t probe[PROBE / 8];
	int ret = 0, error;

	while (done < nr) {
		while (!ret && posted < nr && posted - done < CONN_DEPTH) {
			uint64_t pos = (first + posted) * PAGE;

			fill(probe, PROBE, id, pos);
			ret = post(conn, mr, pos, probe, PROBE,
				   IBV_WR_RDMA_WRITE);
			if (ret)
				break;
			posted++;
		}
		if (done == posted)
			break;
		error = conn_complete(conn);
		if (!ret)
			ret = error;
		if (error == -ETIMEDOUT)
			break;
		done++;
	}
	return ret;
}

static void *writer_run(void *arg)
{
	struct writer *writer = arg;
	int error;

	while (!__atomic_load_n(&writer->stop, __ATOMIC_ACQUIRE)) {
		error = conn_write_pages(writer->conn, writer->mr, 0,
					 writer->nr_pages, writer->id);
		if (error) {
			__atomic_store_n(&writer->error, error,
					 __ATOMIC_RELEASE);
			break;
		}
		__atomic_add_fetch(&writer->passes, 1, __ATOMIC_ACQ_REL);
	}
	return NULL;
}

/* Begin to write all pages of @mr, and do not stop */
struct writer *writer_start(struct nic *nic, struct ibv_mr *mr,
			    unsigned long nr_pages, enum writer_id id)
{
	struct writer *writer = calloc(1, sizeof(*writer));

	writer->conn = conn_open(nic);
	writer->mr = mr;
	writer->nr_pages = nr_pages;
	writer->id = id;
	if (pthread_create(&writer->thread, NULL, writer_run, writer))
		die("no thread");
	return writer;
}

/**
 * writer_wait - wait until each page was written again
 * @writer: the writer
 * @passes: how many times
 *
 * Return: 0, or the first error, as conn_error() describes it
 */
int writer_wait(struct writer *writer, unsigned long passes)
{
	uint64_t end = now_ms() + PATIENCE_MS;
	unsigned long from, now;
	int error;

	/* The pass that runs began too early */
	from = __atomic_load_n(&writer->passes, __ATOMIC_ACQUIRE) + 1;
	do {
		error = __atomic_load_n(&writer->error, __ATOMIC_ACQUIRE);
		if (error)
			return error;
		now = __atomic_load_n(&writer->passes, __ATOMIC_ACQUIRE);
		if (now >= from + passes)
			return 0;
		sleep_ms(5);
	} while (now_ms() < end);
	return -ETIMEDOUT;
}

/* Returns the first error there was, or 0 */
int writer_stop(struct writer *writer)
{
	int error;

	__atomic_store_n(&writer->stop, true, __ATOMIC_RELEASE);
	pthread_join(writer->thread, NULL);
	error = writer->error;
	conn_close(writer->conn);
	free(writer);
	return error;
}
