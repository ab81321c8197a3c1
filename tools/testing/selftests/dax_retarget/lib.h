/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of DAX retarget share: a device that reads and writes memory, files
 * whose content says where each byte belongs, and the kernel's counters.
 *
 * Functions that set something up end the test when they fail: only what a test
 * is about is returned to it.
 */
#ifndef _DAX_RETARGET_LIB_H
#define _DAX_RETARGET_LIB_H

#include <infiniband/verbs.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../kselftest.h"

#define PAGE		4096UL
#define PAGE_2M		(512 * PAGE)
#define PAGE_1G		(512 * PAGE_2M)

#define PUNCH_HOLE	(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

/* Bytes of a page that tests let the device write: emulated DMA is slow */
#define PROBE		64

void __noreturn __printf(1, 2) die(const char *fmt, ...);
uint64_t now_ms(void);
uint64_t patience_ms(void);
void sleep_ms(unsigned int ms);

/* lib_file.c: content */

/*
 * The writer of some data. Each 8 bytes of the data hold the writer and the
 * position that they are meant for, so that a stray write names its origin.
 * ZERO is for holes.
 */
enum writer_id {
	ZERO,
	FILLED,
	DEVICE,
	DEVICE2,
	VICTIM,
	PROCESS,
};

void fill(void *buf, size_t len, enum writer_id id, uint64_t pos);
ssize_t find_difference(const void *buf, size_t len, enum writer_id id,
			uint64_t pos);
bool written_by(const void *word, enum writer_id id);
const char *describe(const void *word);

/* lib_file.c: files in the folder that is tested */

#define MAX_EXTENTS	2048

struct extents {
	unsigned int nr;
	struct {
		uint64_t pos;	/* in the file */
		uint64_t phys, len;
	} list[MAX_EXTENTS];
};

void folder_reset(void);
void folder_end_deletes(void);
void folder_sync(void);
void folder_rest(void);
int folder_open(void);
uint64_t folder_free_space(void);
bool file_is_dax(int fd);
bool folder_can(int mode);
const char *punch_missing(void);
int file_create(const char *name, size_t size, enum writer_id id);
int file_create_run(const char *name, size_t len, size_t align, uint64_t *pos);
int file_create_aligned(const char *name, size_t align, uint64_t *pos);
void file_fill(int fd, uint64_t pos, size_t len, enum writer_id id);
int file_open(const char *name, int flags);
bool file_exists(const char *name);
int file_punch(int fd, uint64_t pos, size_t len);
void file_unlink(const char *name);
off_t file_find_difference(int fd, uint64_t pos, size_t len,
			   enum writer_id id);
void *file_map(int fd, uint64_t pos, size_t len);
void *file_map_aligned(int fd, uint64_t pos, size_t len, size_t align);
void file_extents(int fd, uint64_t pos, size_t len, struct extents *extents);
uint64_t extents_shared(const struct extents *a, const struct extents *b);
uint64_t extents_size(const struct extents *extents);
uint64_t physical_address(const void *addr);
void leave_little_space(size_t left);
int victim_create(void);
size_t victim_grow(int fd, const struct extents *want, uint64_t *got);
off_t victim_damage(int fd, size_t size);

/* lib_nic.c */

/* A device that reads and writes memory at a peer's request */
struct nic {
	const struct consumer *consumer;
};

#define CONN_DEPTH	16	/* requests in flight */

/* What a peer has, to make requests of a device */
struct conn {
	struct nic *nic;
	void *page;
	struct ibv_mr *page_mr;
};

/* A thread that writes the first PROBE bytes of each page, over and over */
struct writer {
	struct conn *conn;
	struct ibv_mr *mr;
	unsigned long nr_pages;
	enum writer_id id;
	pthread_t thread;
	bool stop;
	unsigned long passes;
	int error;
};

bool consumer_is_rdma(void);
const char *mixed_missing(void);
unsigned int nic_of_child(void);
bool nic_exists(unsigned int index);
const char *nic_name(unsigned int index);
struct nic *nic_open(unsigned int index);
struct nic *nic_open_as(const char *consumer, unsigned int index);
bool nic_exists_as(const char *consumer, unsigned int index);
void nic_close(struct nic *nic);
struct ibv_mr *nic_register(struct nic *nic, void *addr, size_t len);
struct ibv_mr *nic_register_read_only(struct nic *nic, void *addr, size_t len);
int nic_try_deregister(struct ibv_mr *mr);
void nic_deregister(struct ibv_mr *mr);

int nic_rereg(struct ibv_mr *mr, unsigned int flags, unsigned int access,
	      struct ibv_pd *pd);
struct conn *conn_open(struct nic *nic);
void conn_close(struct conn *conn);
int conn_post(struct conn *conn, const struct ibv_mr *mr, uintptr_t addr,
	      const struct ibv_mr *local, void *buf, size_t len,
	      enum ibv_wr_opcode opcode);
int conn_complete(struct conn *conn);
int conn_write(struct conn *conn, struct ibv_mr *mr, uint64_t pos,
	       const void *buf, size_t len);
int conn_read(struct conn *conn, struct ibv_mr *mr, uint64_t pos, void *buf,
	      size_t len);
int conn_write_pages(struct conn *conn, struct ibv_mr *mr, unsigned long first,
		     unsigned long nr, enum writer_id id);
const char *conn_error(int error);

struct writer *writer_start(struct nic *nic, struct ibv_mr *mr,
			    unsigned long nr_pages, enum writer_id id);
int writer_wait(struct writer *writer, unsigned long passes);
int writer_stop(struct writer *writer);

/* lib_kernel.c */

/* Counters of what exists now; all return to what they were */
struct stats {
	long pins, files, pages_pinned, scratch_pages, table_pages;
};

/* Things of which a failure leaves none behind */
enum leak {
	LEAK_PAGE_PINS,
	LEAK_IOMMU_PAGES,	/* page tables and more */
	LEAK_DMA_MAPPINGS,	/* with CONFIG_DMA_API_DEBUG only */
	NR_LEAKS,
};

struct leaks {
	long nr[NR_LEAKS];
};

extern const char *const leak_names[NR_LEAKS];
void leaks_read(struct leaks *leaks);

bool stats_exist(void);
long stat_read(const char *name);
void stats_read(struct stats *stats);
bool stats_wait(const struct stats *before, struct stats *now);

/*
 * Switches of CONFIG_DAX_RETARGET_TEST, such as "break/NAME", which leaves a
 * step out, and "delay_ms/NAME", which holds a window open until it is written
 * to again.
 */
const char *switches_missing(void);
void switch_write(const char *name, unsigned int value);
unsigned int switch_read(const char *name);
bool switch_exists(const char *name);
void switches_reset(const char *folder);

struct translation {
	uint64_t iova;
	bool writable;
};

const char *translations_missing(void);
bool translations_visible(void);
bool translation_leads_to(uint64_t phys, size_t len,
			  struct translation *found);
bool word_in_file(const char *path, const char *word);
unsigned long locked_memory(void);
void capability_set(unsigned int capability, bool on);

/* lib_random.c */

uint64_t next_random(uint64_t *state);

/* lib_group.c */

/* A group of processes with a memory limit of its own */
struct cgroup {
	char root[64];
	char path[128];
};

void write_file(const char *path, const char *text);
const char *group_open(struct cgroup *group);
void group_close(struct cgroup *group);
long group_stat(const struct cgroup *group, const char *name);

/* lib_mount.c */

/* A file system, and how it is mounted */
struct mount_info {
	char dir[256];
	char source[256];
	char type[32];
	char options[512];
};

const char *permission_missing(const char *variable, const char *what);
const char *mount_find(struct mount_info *info);
const char *umount_missing(struct mount_info *info);
int mount_change(const struct mount_info *info, unsigned long flags);
void mount_again(const struct mount_info *info);
int mount_check(const struct mount_info *info);
unsigned long device_find_writer(const struct mount_info *info,
				 const struct extents *blocks,
				 enum writer_id id);

/* lib_device.c */

/* The NIC, if it is one, and the PCI device that does its DMA */
struct device {
	char nic[64];
	char name[64];
};

bool shell(const char *fmt, const char *arg);
const char *device_find(unsigned int index, struct device *device);
void device_unbind(const struct device *device);
void devices_bind(void);

/* lib_region.c: what most tests begin and end with */

struct bench {
	struct nic *nic;
	struct conn *conn;
	struct stats before;
};

/* A file, mapped and registered as a whole */
struct region {
	const char *name;
	int fd;
	size_t len;
	void *map;
	struct ibv_mr *mr;
};

const char *bench_open(struct bench *bench);
bool bench_close(struct bench *bench);
void region_open(struct bench *bench, struct region *region, const char *name,
		 unsigned long nr_pages);
bool region_open_aligned(struct bench *bench, struct region *region,
			 const char *name, size_t size, uint64_t *pos);
void region_deregister(struct region *region);
void region_unmap(struct region *region);
void region_close(struct region *region);
long first_incoherent_page(struct bench *bench, struct ibv_mr *mr,
			   unsigned long mr_page, int fd,
			   unsigned long file_page, unsigned long nr);
long victim_disclosure(struct bench *bench, struct ibv_mr *mr,
		       unsigned long first, unsigned long nr);

/* Windows stay open for so long, unless they are closed */
#define WINDOW_MS	60000

/* A thread that registers or deregisters a region, held up in a window */
struct region_thread {
	struct bench *bench;
	struct region *region;
	unsigned long pages;	/* of files; 0: all */
	size_t len;		/* bytes to register, of whole pages */
	pthread_t thread;
	bool done;
};

void windows_close(void);
void region_register_begin(struct region_thread *thread, unsigned int ms);
void region_deregister_begin(struct region_thread *thread, unsigned int ms);
bool region_thread_done(struct region_thread *thread);
void region_thread_end(struct region_thread *thread);

#endif
