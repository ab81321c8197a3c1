// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO and iommufd, two of the consumers of lib_nic.c: an NVMe controller that is bound
 * to vfio-pci copies memory, with user space as its driver. A region is a mapping, in a
 * VFIO container or by iommufd, at IOVAs that are not the addresses of the process.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/iommufd.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib.h"
#include "lib_nic.h"
#include "lib_nvme.h"
#include "lib_vfio.h"

/*
 * A region begins at an IOVA that is a multiple of 1 GiB, but for the bits that the
 * address has, too, so that large pages stay large. Below are the memory of the driver,
 * and the IOVAs of interrupts.
 */
#define SLOTS		128U
#define FIRST_SLOT	4U
#define DRIVER_IOVA	0x10000000UL

struct vfio_nic {
	struct nic nic;
	const struct backend *backend;
	int container;		/* or iommufd */
	int group, device;
	uint32_t ioas;		/* of iommufd, as is the device's number there */
	uint32_t device_id;
	void *bar;
	size_t bar_size;
	void *memory;
	struct nvme nvme;
	pthread_mutex_t mutex;	/* of the slots */
	bool used[SLOTS];
	uint64_t last_iova;	/* of the newest region, mapped or not yet */
};

/* How to map memory for a device; errno is set where -1 is returned */
struct backend {
	void (*attach)(struct vfio_nic *nic, const char *name);
	int (*map)(struct vfio_nic *nic, void *addr, size_t len, uint64_t iova,
		   bool writable);
	int (*unmap)(struct vfio_nic *nic, uint64_t iova, size_t len);
};

struct vfio_mr {
	struct ibv_mr mr;
	struct vfio_nic *nic;
	uint64_t iova;
};

struct vfio_conn {
	struct conn conn;
	struct nvme_queue queue;
	int done[CONN_DEPTH];	/* results that nobody asked for yet */
	unsigned int nr_done;
};

static struct vfio_nic *to_vfio(struct nic *nic)
{
	return (struct vfio_nic *)nic;
}

static struct vfio_conn *to_vfio_conn(struct conn *conn)
{
	return (struct vfio_conn *)conn;
}

static struct vfio_mr *to_vfio_mr(const struct ibv_mr *mr)
{
	return (struct vfio_mr *)mr;
}

/* The devices of vfio-pci in order of their names, unless others were asked for */
static const char *vfio_name(unsigned int index)
{
	static char names[16][64];
	const char *name = getenv(index ? "DAX_RETARGET_DEV2" :
					  "DAX_RETARGET_DEV");
	struct dirent **entries;
	int i, nr, found = 0;

	if (name || index >= ARRAY_SIZE(names))
		return name;
	nr = scandir("/sys/bus/pci/drivers/vfio-pci", &entries, NULL, alphasort);
	for (i = 0; i < nr; i++) {
		if (strchr(entries[i]->d_name, ':') && found++ == (int)index) {
			snprintf(names[index], sizeof(names[index]), "%.63s",
				 entries[i]->d_name);
			name = names[index];
		}
		free(entries[i]);
	}
	if (nr >= 0)
		free(entries);
	return name;
}

static void group_of(const char *name, char *path, size_t size)
{
	char link[128], target[PATH_MAX];

	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/iommu_group", name);
	if (!realpath(link, target))
		die("%s has no IOMMU group", name);
	snprintf(path, size, "/dev/vfio/%s", strrchr(target, '/') + 1);
}

/* A process that ends may have the device still */
static int open_when_free(const char *path)
{
	uint64_t end = now_ms() + patience_ms();
	int fd;

	while ((fd = open(path, O_RDWR | O_CLOEXEC)) < 0) {
		if (errno != EBUSY || now_ms() > end)
			die("cannot open %s: %s", path, strerror(errno));
		sleep_ms(10);
	}
	return fd;
}

/* A container of the group's own, which iommufd can be, too */
static void container_attach(struct vfio_nic *nic, const char *name,
			     const char *container)
{
	char path[128];

	group_of(name, path, sizeof(path));
	nic->group = open_when_free(path);
	nic->container = open_when_free(container);
	if (ioctl(nic->group, VFIO_GROUP_SET_CONTAINER, &nic->container) ||
	    ioctl(nic->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		die("no container for %s", path);
	nic->device = ioctl(nic->group, VFIO_GROUP_GET_DEVICE_FD, name);
	if (nic->device < 0)
		die("cannot open %s", name);
}

static void type1_attach(struct vfio_nic *nic, const char *name)
{
	container_attach(nic, name, "/dev/vfio/vfio");
}

static void compat_attach(struct vfio_nic *nic, const char *name)
{
	container_attach(nic, name, "/dev/iommu");
}

static int type1_map(struct vfio_nic *nic, void *addr, size_t len,
		     uint64_t iova, bool writable)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ |
			 (writable ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.vaddr = (uintptr_t)addr,
		.iova = iova,
		.size = len,
	};

	return ioctl(nic->container, VFIO_IOMMU_MAP_DMA, &map);
}

static int type1_unmap(struct vfio_nic *nic, uint64_t iova, size_t len)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = len,
	};

	if (ioctl(nic->container, VFIO_IOMMU_UNMAP_DMA, &unmap))
		return -1;
	errno = EIO;
	return unmap.size == len ? 0 : -1;
}

static const struct backend type1 = {
	.attach	= type1_attach,
	.map	= type1_map,
	.unmap	= type1_unmap,
};

static const struct backend compat = {
	.attach	= compat_attach,
	.map	= type1_map,
	.unmap	= type1_unmap,
};

/* The first entry of a folder that begins with @prefix */
static bool find_entry(const char *folder, const char *prefix, char *name,
		       size_t size)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		found = !strncmp(entry->d_name, prefix, strlen(prefix));
		if (found)
			snprintf(name, size, "%s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Let the device use the IOVAs of @pt, which is an IOAS or a page table, from now on */
void iommufd_attach_device(const struct nic *nic, uint32_t pt)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = pt,
	};

	if (ioctl(((struct vfio_nic *)nic)->device,
		  VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach))
		die("iommufd cannot attach the device: %s", strerror(errno));
}

static void iommufd_attach(struct vfio_nic *nic, const char *name)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	uint64_t end = now_ms() + patience_ms();
	char folder[128], path[320] = "/dev/vfio/devices/";
	size_t prefix = strlen(path);

	snprintf(folder, sizeof(folder), "/sys/bus/pci/devices/%s/vfio-dev", name);
	if (!find_entry(folder, "vfio", path + prefix, sizeof(path) - prefix))
		die("%s is no device of VFIO", name);
	nic->group = -1;
	nic->device = open_when_free(path);
	nic->container = open_when_free("/dev/iommu");
	bind.iommufd = nic->container;
	/* EINVAL: a process that ends has the device still */
	while (ioctl(nic->device, VFIO_DEVICE_BIND_IOMMUFD, &bind)) {
		if (errno != EINVAL || now_ms() > end)
			die("iommufd does not take %s: %s", name,
			    strerror(errno));
		sleep_ms(10);
	}
	if (ioctl(nic->container, IOMMU_IOAS_ALLOC, &alloc))
		die("iommufd does not take %s", name);
	nic->ioas = alloc.out_ioas_id;
	nic->device_id = bind.out_devid;
	iommufd_attach_device(&nic->nic, nic->ioas);
}

static int iommufd_map(struct vfio_nic *nic, void *addr, size_t len,
		       uint64_t iova, bool writable)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 (writable ? IOMMU_IOAS_MAP_WRITEABLE : 0),
		.ioas_id = nic->ioas,
		.user_va = (uintptr_t)addr,
		.length = len,
		.iova = iova,
	};

	return ioctl(nic->container, IOMMU_IOAS_MAP, &map);
}

static int iommufd_unmap(struct vfio_nic *nic, uint64_t iova, size_t len)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = nic->ioas,
		.iova = iova,
		.length = len,
	};

	return ioctl(nic->container, IOMMU_IOAS_UNMAP, &unmap);
}

static const struct backend iommufd = {
	.attach	= iommufd_attach,
	.map	= iommufd_map,
	.unmap	= iommufd_unmap,
};

/* Let the device be a bus master */
void vfio_start_again(const struct nic *base)
{
	const struct vfio_nic *nic = (const struct vfio_nic *)base;
	struct vfio_region_info info = {
		.argsz = sizeof(info),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	uint16_t command;

	if (ioctl(nic->device, VFIO_DEVICE_GET_REGION_INFO, &info) ||
	    pread(nic->device, &command, sizeof(command),
		  info.offset + PCI_COMMAND) != sizeof(command))
		die("cannot read the configuration of the device");
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	if (pwrite(nic->device, &command, sizeof(command),
		   info.offset + PCI_COMMAND) != sizeof(command))
		die("cannot enable the device");
}

/* Reset the device, which ends what it does; 0 or an errno */
int vfio_reset(const struct nic *nic)
{
	int device = ((const struct vfio_nic *)nic)->device;

	return ioctl(device, VFIO_DEVICE_RESET) ? errno : 0;
}

/* Enable the device, and find its registers */
static void device_start(struct vfio_nic *nic)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info),
		.index = VFIO_PCI_BAR0_REGION_INDEX,
	};

	vfio_start_again(&nic->nic);
	if (ioctl(nic->device, VFIO_DEVICE_GET_REGION_INFO, &info))
		die("the device has no registers");
	nic->bar_size = info.size;
	nic->bar = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED,
			nic->device, info.offset);
	if (nic->bar == MAP_FAILED)
		die("cannot map the registers");
}

static struct nic *vfio_open(unsigned int index, const struct backend *backend)
{
	struct vfio_nic *nic = calloc(1, sizeof(*nic));
	const char *name = vfio_name(index);

	if (!name)
		die("no device is bound to vfio-pci");
	pthread_mutex_init(&nic->mutex, NULL);
	nic->backend = backend;
	backend->attach(nic, name);
	nic->memory = mmap(NULL, NVME_MEMORY, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (nic->memory == MAP_FAILED ||
	    backend->map(nic, nic->memory, NVME_MEMORY, DRIVER_IOVA, true))
		die("cannot map anonymous memory: %s", strerror(errno));
	device_start(nic);
	nvme_start(&nic->nvme, nic->bar, nic->memory, DRIVER_IOVA);
	return &nic->nic;
}

static struct nic *type1_open(unsigned int index)
{
	return vfio_open(index, &type1);
}

static struct nic *compat_open(unsigned int index)
{
	return vfio_open(index, &compat);
}

static struct nic *iommufd_open(unsigned int index)
{
	return vfio_open(index, &iommufd);
}

static void vfio_close(struct nic *nic)
{
	struct vfio_nic *vfio = to_vfio(nic);

	nvme_stop(&vfio->nvme);
	munmap(vfio->bar, vfio->bar_size);
	if (vfio->backend->unmap(vfio, DRIVER_IOVA, NVME_MEMORY) ||
	    close(vfio->device) || (vfio->group >= 0 && close(vfio->group)) ||
	    close(vfio->container))
		die("cannot close the device");
	munmap(vfio->memory, NVME_MEMORY);
	free(vfio);
}

/* Slots for @len bytes at @addr, as an IOVA; 0 if there are none */
static uint64_t slots_get(struct vfio_nic *nic, uintptr_t addr, size_t len)
{
	unsigned int nr = (addr % PAGE_1G + len - 1) / PAGE_1G + 1;
	unsigned int first, i;

	pthread_mutex_lock(&nic->mutex);
	for (first = FIRST_SLOT; first + nr <= SLOTS; first++) {
		for (i = 0; i < nr && !nic->used[first + i]; i++)
			;
		if (i == nr)
			break;
	}
	for (i = 0; first + nr <= SLOTS && i < nr; i++)
		nic->used[first + i] = true;
	pthread_mutex_unlock(&nic->mutex);
	return first + nr <= SLOTS ? first * PAGE_1G + addr % PAGE_1G : 0;
}

static void slots_put(struct vfio_nic *nic, uint64_t iova, size_t len)
{
	unsigned int i;

	pthread_mutex_lock(&nic->mutex);
	for (i = iova / PAGE_1G; i <= (iova + len - 1) / PAGE_1G; i++)
		nic->used[i] = false;
	pthread_mutex_unlock(&nic->mutex);
}

static struct ibv_mr *vfio_register(struct nic *nic, void *addr, size_t len,
				    bool writable)
{
	struct vfio_nic *vfio = to_vfio(nic);
	struct vfio_mr *mr = calloc(1, sizeof(*mr));
	int error;

	mr->nic = vfio;
	mr->mr.addr = addr;
	mr->mr.length = len;
	mr->iova = slots_get(vfio, (uintptr_t)addr, len);
	if (!mr->iova)
		die("no IOVAs are left");
	__atomic_store_n(&vfio->last_iova, mr->iova, __ATOMIC_RELEASE);
	if (!vfio->backend->map(vfio, addr, len, mr->iova, writable))
		return &mr->mr;
	error = errno;
	slots_put(vfio, mr->iova, len);
	free(mr);
	errno = error;
	return NULL;
}

static int vfio_deregister(struct ibv_mr *mr)
{
	struct vfio_mr *vfio = to_vfio_mr(mr);

	if (vfio->nic->backend->unmap(vfio->nic, vfio->iova, mr->length))
		return errno;
	slots_put(vfio->nic, vfio->iova, mr->length);
	free(vfio);
	return 0;
}

static struct conn *vfio_conn_open(struct nic *nic)
{
	struct vfio_conn *conn = calloc(1, sizeof(*conn));

	conn->conn.nic = nic;
	nvme_queue_open(&to_vfio(nic)->nvme, &conn->queue);
	return &conn->conn;
}

static void vfio_conn_close(struct conn *conn)
{
	nvme_queue_close(&to_vfio(conn->nic)->nvme, &to_vfio_conn(conn)->queue);
	free(conn);
}

static uint64_t iova_of(const struct ibv_mr *mr, uintptr_t addr)
{
	return to_vfio_mr(mr)->iova + (addr - (uintptr_t)mr->addr);
}

/* Copies at once: only the result waits */
static int vfio_post(struct conn *conn, const struct ibv_mr *mr, uintptr_t addr,
		     const struct ibv_mr *local, void *buf, size_t len,
		     enum ibv_wr_opcode opcode)
{
	struct vfio_conn *vfio = to_vfio_conn(conn);
	uint64_t remote = iova_of(mr, addr), own;
	size_t part;
	int error = 0;

	if (vfio->nr_done == CONN_DEPTH)
		return -ENOMEM;
	/* As with RDMA, what is short need not be registered */
	if ((uintptr_t)buf - (uintptr_t)local->addr >= local->length) {
		memcpy(local->addr, buf, len);
		buf = local->addr;
	}
	own = iova_of(local, (uintptr_t)buf);
	for (; len && !error; len -= part, own += part, remote += part) {
		part = len < PAGE ? len : PAGE;
		error = opcode == IBV_WR_RDMA_WRITE ?
			nvme_copy(&vfio->queue, own, remote, part) :
			nvme_copy(&vfio->queue, remote, own, part);
	}
	vfio->done[vfio->nr_done++] = error;
	return 0;
}

static int vfio_complete(struct conn *conn)
{
	struct vfio_conn *vfio = to_vfio_conn(conn);
	int first = vfio->done[0];

	if (!vfio->nr_done)
		return -ETIMEDOUT;
	vfio->nr_done--;
	memmove(vfio->done, vfio->done + 1,
		vfio->nr_done * sizeof(vfio->done[0]));
	return first;
}

static const char *vfio_error(int error)
{
	static char text[64];

	snprintf(text, sizeof(text), "NVMe status %#x", error);
	return text;
}

bool nic_is_type1(const struct nic *nic)
{
	return nic->consumer == &type1_consumer;
}

bool nic_is_iommufd(const struct nic *nic)
{
	return nic->consumer == &iommufd_consumer;
}

int vfio_container(const struct nic *nic)
{
	return ((struct vfio_nic *)nic)->container;
}

uint32_t iommufd_ioas(const struct nic *nic)
{
	return ((struct vfio_nic *)nic)->ioas;
}

uint32_t iommufd_device(const struct nic *nic)
{
	return ((struct vfio_nic *)nic)->device_id;
}

uint64_t vfio_last_iova(const struct nic *nic)
{
	return __atomic_load_n(&((struct vfio_nic *)nic)->last_iova,
			       __ATOMIC_ACQUIRE);
}

uint64_t vfio_iova(const struct ibv_mr *mr)
{
	return to_vfio_mr(mr)->iova;
}

/* IOVAs for memory at @addr that the test maps by itself */
uint64_t vfio_iova_reserve(struct nic *nic, void *addr, size_t len)
{
	uint64_t iova = slots_get(to_vfio(nic), (uintptr_t)addr, len);

	if (!iova)
		die("no IOVAs are left");
	return iova;
}

/* Something to copy from and to, of IOVAs that are mapped by other means */
struct ibv_mr *vfio_alias(struct nic *nic, uint64_t iova, void *addr, size_t len)
{
	struct vfio_mr *mr = calloc(1, sizeof(*mr));

	mr->nic = to_vfio(nic);
	mr->iova = iova;
	mr->mr.addr = addr;
	mr->mr.length = len;
	return &mr->mr;
}

/* The pages of a region at other IOVAs, from byte @offset of it on; a region too */
struct ibv_mr *iommufd_copy(struct ibv_mr *mr, size_t offset)
{
	struct vfio_nic *nic = to_vfio_mr(mr)->nic;
	struct iommu_ioas_copy copy = {
		.size = sizeof(copy),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.dst_ioas_id = nic->ioas,
		.src_ioas_id = nic->ioas,
		.length = mr->length - offset,
		.src_iova = vfio_iova(mr) + offset,
	};
	char *addr = (char *)mr->addr + offset;

	copy.dst_iova = vfio_iova_reserve(&nic->nic, addr, copy.length);
	if (ioctl(nic->container, IOMMU_IOAS_COPY, &copy))
		die("cannot copy a mapping");
	return vfio_alias(&nic->nic, copy.dst_iova, addr, copy.length);
}

void vfio_alias_free(struct ibv_mr *mr)
{
	free(to_vfio_mr(mr));
}

#define VFIO_CONSUMER(consumer)			\
{						\
	.name		= #consumer,		\
	.device_name	= vfio_name,		\
	.open		= consumer##_open,	\
	.close		= vfio_close,		\
	.reg		= vfio_register,	\
	.dereg		= vfio_deregister,	\
	.conn_open	= vfio_conn_open,	\
	.conn_close	= vfio_conn_close,	\
	.post		= vfio_post,		\
	.complete	= vfio_complete,	\
	.error		= vfio_error,		\
}

const struct consumer type1_consumer = VFIO_CONSUMER(type1);
const struct consumer compat_consumer = VFIO_CONSUMER(compat);
const struct consumer iommufd_consumer = VFIO_CONSUMER(iommufd);
