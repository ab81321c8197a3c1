// SPDX-License-Identifier: GPL-2.0-only
/*
 * RDMA, one of the consumers of lib_nic.c: one NIC plays both ends. A reliable
 * connection from the NIC to itself takes the same way through the IOMMU as
 * one from another machine, so that one process on one machine can be the peer
 * that writes to its own memory regions.
 */

#include <endian.h>
#include <errno.h>
#include <rdma/ib_user_verbs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib.h"
#include "lib_nic.h"

struct verbs_nic {
	struct nic nic;
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_port_attr port;
	union ibv_gid gid;
	int gid_index;
};

/* A pair of connected queue pairs of one NIC, one of which is "remote" */
struct verbs_conn {
	struct conn conn;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct ibv_qp *peer;
};

static struct verbs_nic *to_verbs(struct nic *nic)
{
	return (struct verbs_nic *)nic;
}

static struct verbs_conn *to_verbs_conn(struct conn *conn)
{
	return (struct verbs_conn *)conn;
}

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

static const char *verbs_name(unsigned int index)
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

/* An address from which the NIC can reach itself; IPv4 needs no waiting */
static void find_address(struct verbs_nic *nic)
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

static struct nic *verbs_open(unsigned int index)
{
	struct verbs_nic *nic = calloc(1, sizeof(*nic));
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
	return &nic->nic;
}

static void verbs_close(struct nic *nic)
{
	struct verbs_nic *verbs = to_verbs(nic);

	if (ibv_dealloc_pd(verbs->pd) || ibv_close_device(verbs->ctx))
		die("cannot close the NIC");
	free(verbs);
}

static struct ibv_mr *verbs_register(struct nic *nic, void *addr, size_t len,
				     bool writable)
{
	return ibv_reg_mr(to_verbs(nic)->pd, addr, len,
			  writable ? ACCESS_ALL : IBV_ACCESS_REMOTE_READ);
}

static int verbs_deregister(struct ibv_mr *mr)
{
	return ibv_dereg_mr(mr);
}

static struct ibv_qp *qp_create(struct verbs_conn *conn)
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
	struct ibv_qp *qp = ibv_create_qp(to_verbs(conn->conn.nic)->pd, &attr);

	if (!qp)
		die("no queue pair");
	return qp;
}

static void qp_connect(struct verbs_nic *nic, struct ibv_qp *qp,
		       uint32_t peer)
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

static struct conn *verbs_conn_open(struct nic *nic)
{
	struct verbs_conn *conn = calloc(1, sizeof(*conn));
	struct verbs_nic *verbs = to_verbs(nic);

	conn->conn.nic = nic;
	conn->cq = ibv_create_cq(verbs->ctx, 2 * CONN_DEPTH, NULL, NULL, 0);
	if (!conn->cq)
		die("no completion queue");
	conn->qp = qp_create(conn);
	conn->peer = qp_create(conn);
	qp_connect(verbs, conn->qp, conn->peer->qp_num);
	qp_connect(verbs, conn->peer, conn->qp->qp_num);
	return &conn->conn;
}

static void verbs_conn_close(struct conn *conn)
{
	struct verbs_conn *verbs = to_verbs_conn(conn);

	if (ibv_destroy_qp(verbs->qp) || ibv_destroy_qp(verbs->peer) ||
	    ibv_destroy_cq(verbs->cq))
		die("cannot close the connection");
	free(verbs);
}

static const char *verbs_error(int error)
{
	return ibv_wc_status_str(error);
}

static int verbs_post(struct conn *conn, const struct ibv_mr *mr,
		      uintptr_t addr, const struct ibv_mr *local, void *buf,
		      size_t len, enum ibv_wr_opcode opcode)
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
	return -ibv_post_send(to_verbs_conn(conn)->qp, &wr, &bad);
}

static int verbs_complete(struct conn *conn)
{
	uint64_t end = now_ms() + patience_ms();
	struct ibv_wc wc;
	int nr;

	while (!(nr = ibv_poll_cq(to_verbs_conn(conn)->cq, 1, &wc))) {
		if (now_ms() > end)
			return -ETIMEDOUT;
		usleep(200);
	}
	if (nr < 0)
		return -EIO;
	return wc.status;
}

/* Change a region, by the kernel: libibverbs has the call for few devices. 0 or an errno */
int nic_rereg(struct ibv_mr *mr, unsigned int flags, unsigned int access,
	      struct ibv_pd *pd)
{
	struct ib_uverbs_rereg_mr_resp resp;
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_rereg_mr cmd;
	} request = {
		.hdr = {
			.command = IB_USER_VERBS_CMD_REREG_MR,
			.in_words = sizeof(request) / 4,
			.out_words = sizeof(resp) / 4,
		},
		.cmd = {
			.response = (uintptr_t)&resp,
			.mr_handle = mr->handle,
			.flags = flags,
			.start = (uintptr_t)mr->addr,
			.length = mr->length,
			.hca_va = (uintptr_t)mr->addr,
			.pd_handle = pd->handle,
			.access_flags = access,
		},
	};

	if (write(mr->context->cmd_fd, &request, sizeof(request)) !=
	    sizeof(request))
		return errno;
	mr->lkey = resp.lkey;
	mr->rkey = resp.rkey;
	return 0;
}

const struct consumer verbs_consumer = {
	.name		= "rdma",
	.device_name	= verbs_name,
	.open		= verbs_open,
	.close		= verbs_close,
	.reg		= verbs_register,
	.dereg		= verbs_deregister,
	.conn_open	= verbs_conn_open,
	.conn_close	= verbs_conn_close,
	.post		= verbs_post,
	.complete	= verbs_complete,
	.error		= verbs_error,
};
