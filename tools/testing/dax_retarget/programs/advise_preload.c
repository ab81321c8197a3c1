// SPDX-License-Identifier: GPL-2.0-only
/*
 * For LD_PRELOAD: ibv_advise_mr() asks the kernel, for every device. In libibverbs only
 * the provider of mlx5 does, and programs of users have such NICs. The provider of rxe
 * answers by itself that there is no such call.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <infiniband/verbs.h>

/* Of libibverbs, for its providers */
static int (*command)(struct ibv_pd *pd, enum ibv_advise_mr_advice advice,
		      uint32_t flags, struct ibv_sge *sg_list,
		      uint32_t num_sge);

static int advise_mr(struct ibv_pd *pd, enum ibv_advise_mr_advice advice,
		     uint32_t flags, struct ibv_sge *sg_list, uint32_t num_sge)
{
	return command(pd, advice, flags, sg_list, num_sge);
}

struct ibv_context *ibv_open_device(struct ibv_device *device)
{
	struct ibv_context *(*open_device)(struct ibv_device *device);
	struct ibv_context *context;

	open_device = dlsym(RTLD_NEXT, "ibv_open_device");
	command = dlsym(RTLD_NEXT, "ibv_cmd_advise_mr");
	context = open_device(device);
	if (context && command)
		verbs_get_ctx(context)->advise_mr = advise_mr;
	return context;
}
