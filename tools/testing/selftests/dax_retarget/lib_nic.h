/* SPDX-License-Identifier: GPL-2.0-only */
/* What lib_nic.c asks of a consumer */
#ifndef _DAX_RETARGET_LIB_NIC_H
#define _DAX_RETARGET_LIB_NIC_H

#include "lib.h"

/**
 * struct consumer - one that lets devices reach memory
 * @name: in DAX_RETARGET_CONSUMER
 * @device_name: name of device @index, or NULL
 * @open: open it, for this process alone
 * @close: and close it
 * @reg: let the device reach memory; NULL and errno if that is refused
 * @dereg: take memory from the device; 0 or an errno
 * @conn_open: get ready to copy, for one thread at a time
 * @conn_close: stop that
 * @post: begin to copy, see conn_post()
 * @complete: wait for the next copy, see conn_complete()
 * @error: describe a positive error
 */
struct consumer {
	const char *name;
	const char *(*device_name)(unsigned int index);
	struct nic *(*open)(unsigned int index);
	void (*close)(struct nic *nic);
	struct ibv_mr *(*reg)(struct nic *nic, void *addr, size_t len,
			      bool writable);
	int (*dereg)(struct ibv_mr *mr);
	struct conn *(*conn_open)(struct nic *nic);
	void (*conn_close)(struct conn *conn);
	int (*post)(struct conn *conn, const struct ibv_mr *mr, uintptr_t addr,
		    const struct ibv_mr *local, void *buf, size_t len,
		    enum ibv_wr_opcode opcode);
	int (*complete)(struct conn *conn);
	const char *(*error)(int error);
};

extern const struct consumer verbs_consumer;
extern const struct consumer type1_consumer;
extern const struct consumer compat_consumer;
extern const struct consumer iommufd_consumer;

#endif
