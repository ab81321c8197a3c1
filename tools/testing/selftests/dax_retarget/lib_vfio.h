/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests of VFIO and iommufd alone ask of lib_vfio.c */
#ifndef _DAX_RETARGET_LIB_VFIO_H
#define _DAX_RETARGET_LIB_VFIO_H

#include <stdbool.h>
#include <stdint.h>

#include "lib.h"

/* Is @nic a device in a VFIO container, or one of iommufd? */
bool nic_is_type1(const struct nic *nic);
bool nic_is_iommufd(const struct nic *nic);

void vfio_start_again(const struct nic *nic);
int vfio_reset(const struct nic *nic);

int vfio_container(const struct nic *nic);
uint32_t iommufd_ioas(const struct nic *nic);
uint32_t iommufd_device(const struct nic *nic);
void iommufd_attach_device(const struct nic *nic, uint32_t pt);

/* IOVA of a region, and another name for some of its IOVAs */
uint64_t vfio_iova(const struct ibv_mr *mr);
struct ibv_mr *vfio_alias(struct nic *nic, uint64_t iova, void *addr, size_t len);
struct ibv_mr *iommufd_copy(struct ibv_mr *mr, size_t offset);
void vfio_alias_free(struct ibv_mr *mr);
uint64_t vfio_last_iova(const struct nic *nic);
uint64_t vfio_iova_reserve(struct nic *nic, void *addr, size_t len);

#endif
