// SPDX-License-Identifier: GPL-2.0-only
/*
 * What VFIO and iommufd have and RDMA has not: mappings that user space chose the IOVAs
 * of, memory of several kinds in one mapping, several mappings of the same pages, and
 * page tables that come and go. All other tests run with a VFIO device as well, see
 * lib_nic.c.
 */

#include <errno.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib_harness.h"
#include "lib_vfio.h"

#define PAGES	16UL
#define FIRST	4UL	/* what is punched */
#define NR	8UL

FIXTURE(vfio)
{
	struct bench bench;
	struct region region;
};

FIXTURE_SETUP(vfio)
{
	if (consumer_is_rdma())
		SKIP(return, "set DAX_RETARGET_CONSUMER to type1 or iommufd");
	SKIP_IF(return, bench_open(&self->bench));
	region_open(&self->bench, &self->region, "file", PAGES);
}

FIXTURE_TEARDOWN(vfio)
{
	region_close(&self->region);
	EXPECT_TRUE(bench_close(&self->bench));
}

/* The pages that were punched are scratch, and all others are those of the file */
static void expect_punched(struct __test_metadata *_metadata,
			   FIXTURE_DATA(vfio) *self, struct ibv_mr *mr,
			   unsigned long first, unsigned long nr)
{
	struct bench *bench = &self->bench;
	int fd = self->region.fd;

	EXPECT_EQ(-1, first_incoherent_page(bench, mr, 0, fd, 0, first));
	EXPECT_EQ(0, conn_write_pages(bench->conn, mr, first, nr, DEVICE2));
	EXPECT_EQ(-1, file_find_difference(fd, first * PAGE, nr * PAGE, ZERO));
	EXPECT_EQ(-1, first_incoherent_page(bench, mr, first + nr, fd,
					    first + nr, PAGES - first - nr));
}

/* Anonymous memory, pages of the file, and anonymous memory, in one piece */
static char *map_mixed(FIXTURE_DATA(vfio) *self)
{
	char *map = mmap(NULL, 3 * PAGES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED ||
	    mmap(map + PAGES * PAGE, PAGES * PAGE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, self->region.fd, 0) == MAP_FAILED)
		die("cannot map the file between other memory");
	return map;
}

TEST_F(vfio, file_between_other_memory)
{
	struct bench *bench = &self->bench;
	uint64_t word[PROBE / 8], seen[PROBE / 8];
	struct ibv_mr *mr, *file;
	char *map = map_mixed(self);
	unsigned long i;

	region_deregister(&self->region);
	mr = nic_register(bench->nic, map, 3 * PAGES * PAGE);
	if (mixed_missing()) {
		ASSERT_EQ(NULL, mr);
		EXPECT_EQ(EOPNOTSUPP, errno);
		munmap(map, 3 * PAGES * PAGE);
		return;
	}
	ASSERT_NE(NULL, mr);

	ASSERT_EQ(0, file_punch(self->region.fd, FIRST * PAGE, NR * PAGE));
	file = vfio_alias(bench->nic, vfio_iova(mr) + PAGES * PAGE,
			  map + PAGES * PAGE, PAGES * PAGE);
	expect_punched(_metadata, self, file, FIRST, NR);
	vfio_alias_free(file);

	for (i = 0; i < 3 * PAGES; i++) {
		if (i / PAGES == 1)
			continue;
		fill(word, PROBE, DEVICE2, i);
		ASSERT_EQ(0, conn_write(bench->conn, mr, i * PAGE, word, PROBE));
		EXPECT_EQ(0, memcmp(map + i * PAGE, word, PROBE));
		fill(map + i * PAGE, PROBE, PROCESS, i);
		ASSERT_EQ(0, conn_read(bench->conn, mr, i * PAGE, seen, PROBE));
		EXPECT_EQ(0, memcmp(map + i * PAGE, seen, PROBE));
	}
	nic_deregister(mr);
	munmap(map, 3 * PAGES * PAGE);
}

/*
 * The device may use an IOVA before the request to map it returns, as user space knows
 * the IOVA: blocks that are freed meanwhile are out of reach.
 */
TEST_F(vfio, in_use_while_it_is_mapped)
{
	const unsigned long pages = 64, first = 16, nr = 32;
	struct bench *bench = &self->bench;
	struct region region;
	struct region_thread thread = {
		.bench = bench,
		.region = &region,
		.len = pages * PAGE,
	};
	struct translation found;
	struct extents freed;
	struct ibv_mr *early;
	uint64_t got, last;
	size_t size;
	int victim;

	SKIP_IF(return, switches_missing() ?: translations_missing());
	folder_rest();
	victim = victim_create();
	region_open(bench, &region, "larger", pages);
	region_deregister(&region);
	file_extents(region.fd, first * PAGE, nr * PAGE, &freed);
	last = physical_address(region.map + (pages - 1) * PAGE);
	leave_little_space(2 << 20);

	switch_write("delay_ms/mapping", WINDOW_MS);
	region_register_begin(&thread, 0);
	while (!translation_leads_to(last, PAGE, &found) &&
	       !region_thread_done(&thread))
		sleep_ms(5);
	early = vfio_alias(bench->nic, vfio_last_iova(bench->nic), region.map,
			   pages * PAGE);

	EXPECT_FALSE(region_thread_done(&thread));
	EXPECT_EQ(0, conn_write_pages(bench->conn, early, 0, pages, DEVICE));
	ASSERT_EQ(0, file_punch(region.fd, first * PAGE, nr * PAGE));
	size = victim_grow(victim, &freed, &got);
	EXPECT_LE(nr / 4, got / PAGE);
	EXPECT_EQ(0, conn_write_pages(bench->conn, early, 0, pages, DEVICE));
	EXPECT_FALSE(region_thread_done(&thread));
	EXPECT_EQ(-1, victim_damage(victim, size));
	EXPECT_EQ(-1, victim_disclosure(bench, early, first, nr));

	region_thread_end(&thread);
	vfio_alias_free(early);
	EXPECT_NE(NULL, region.mr);
	region_close(&region);
	close(victim);
}

/* Both reach the same pages, and lose them at once */
TEST_F(vfio, pages_of_an_rdma_region)
{
	struct bench *bench = &self->bench, rdma = { 0 };
	struct ibv_mr *mr;

	if (!nic_exists_as("rdma", 0))
		SKIP(return, "no RDMA device beside the VFIO device");
	rdma.nic = nic_open_as("rdma", 0);
	rdma.conn = conn_open(rdma.nic);
	mr = nic_register(rdma.nic, self->region.map, PAGES * PAGE);
	ASSERT_NE(NULL, mr);

	EXPECT_EQ(-1, first_incoherent_page(&rdma, mr, 0, self->region.fd, 0,
					    PAGES));
	ASSERT_EQ(0, file_punch(self->region.fd, FIRST * PAGE, NR * PAGE));
	expect_punched(_metadata, self, self->region.mr, FIRST, NR);
	EXPECT_EQ(0, conn_write_pages(rdma.conn, mr, FIRST, NR, DEVICE));
	EXPECT_EQ(-1, file_find_difference(self->region.fd, FIRST * PAGE,
					   NR * PAGE, ZERO));
	EXPECT_EQ(-1, first_incoherent_page(&rdma, mr, 0, self->region.fd, 0,
					    FIRST));

	/* The end of one takes nothing from the other */
	nic_deregister(mr);
	conn_close(rdma.conn);
	nic_close(rdma.nic);
	expect_punched(_metadata, self, self->region.mr, FIRST, NR);
	EXPECT_EQ(0, conn_write_pages(bench->conn, self->region.mr, FIRST, NR,
				      DEVICE));
}

/* A mapping goes as a whole or stays */
TEST_F(vfio, is_not_unmapped_in_part)
{
	struct ibv_mr *mr = self->region.mr;
	struct ibv_mr *part = vfio_alias(self->bench.nic, vfio_iova(mr) + PAGE,
					 mr->addr + PAGE, PAGE);

	EXPECT_NE(0, nic_try_deregister(part));
	vfio_alias_free(part);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, mr, 0,
					    self->region.fd, 0, PAGES));
}

/* As other memory is, and for as long */
TEST_F(vfio, counts_as_locked_memory)
{
	unsigned long locked = locked_memory();

	if (!nic_is_type1(self->bench.nic))
		SKIP(return, "only VFIO containers count it so");
	ASSERT_EQ(0, ftruncate(self->region.fd, 0));
	EXPECT_EQ(locked, locked_memory());
	region_deregister(&self->region);
	EXPECT_EQ(locked - PAGES * PAGE, locked_memory());
}

/* The container says which pages a device may have written: all, as ever */
TEST_F(vfio, dirty_pages_are_logged)
{
	struct vfio_iommu_type1_dirty_bitmap *dirty;
	struct vfio_iommu_type1_dirty_bitmap_get *get;
	char buf[sizeof(*dirty) + sizeof(*get)] __attribute__((aligned(8))) = {};
	int container = vfio_container(self->bench.nic);
	uint64_t bits = 0;

	if (!nic_is_type1(self->bench.nic))
		SKIP(return, "only VFIO containers have it");
	dirty = (void *)buf;
	get = (void *)dirty->data;
	dirty->argsz = sizeof(buf);
	dirty->flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_START;
	ASSERT_EQ(0, ioctl(container, VFIO_IOMMU_DIRTY_PAGES, dirty));

	ASSERT_EQ(0, file_punch(self->region.fd, FIRST * PAGE, NR * PAGE));
	dirty->flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
	get->iova = vfio_iova(self->region.mr);
	get->size = PAGES * PAGE;
	get->bitmap.pgsize = PAGE;
	get->bitmap.size = sizeof(bits);
	get->bitmap.data = (void *)&bits;
	EXPECT_EQ(0, ioctl(container, VFIO_IOMMU_DIRTY_PAGES, dirty));
	EXPECT_EQ((1UL << PAGES) - 1, bits);

	dirty->flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP;
	dirty->argsz = sizeof(*dirty);
	EXPECT_EQ(0, ioctl(container, VFIO_IOMMU_DIRTY_PAGES, dirty));
	expect_punched(_metadata, self, self->region.mr, FIRST, NR);
}

/* The memory gets another address, as when a hypervisor is updated */
TEST_F(vfio, address_is_updated)
{
	struct ibv_mr *mr = self->region.mr;
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.flags = VFIO_DMA_UNMAP_FLAG_VADDR,
		.iova = vfio_iova(mr),
		.size = PAGES * PAGE,
	};
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_VADDR,
		.iova = vfio_iova(mr),
		.size = PAGES * PAGE,
	};
	int container = vfio_container(self->bench.nic);
	void *other;

	if (!nic_is_type1(self->bench.nic))
		SKIP(return, "only VFIO containers have it");
	other = file_map(self->region.fd, 0, PAGES * PAGE);
	map.vaddr = (uintptr_t)other;
	ASSERT_EQ(0, ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap));
	ASSERT_EQ(0, file_punch(self->region.fd, FIRST * PAGE, NR * PAGE));
	ASSERT_EQ(0, ioctl(container, VFIO_IOMMU_MAP_DMA, &map));
	munmap(self->region.map, PAGES * PAGE);
	self->region.map = other;
	expect_punched(_metadata, self, mr, FIRST, NR);
}

/* The same pages at other IOVAs, by a second number of the same memory */
TEST_F(vfio, pages_at_two_iovas)
{
	struct nic *nic = self->bench.nic;
	struct ibv_mr *mr = self->region.mr, *copy;

	if (!nic_is_iommufd(nic))
		SKIP(return, "only iommufd copies mappings");
	/* Without the first pages, and after some are gone */
	ASSERT_EQ(0, file_punch(self->region.fd, FIRST * PAGE, NR / 2 * PAGE));
	copy = iommufd_copy(mr, FIRST * PAGE);

	EXPECT_EQ(0, conn_write_pages(self->bench.conn, copy, 0, NR / 2,
				      DEVICE2));
	EXPECT_EQ(-1, file_find_difference(self->region.fd, FIRST * PAGE,
					   NR / 2 * PAGE, ZERO));
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, copy, NR / 2,
					    self->region.fd, FIRST + NR / 2,
					    PAGES - FIRST - NR / 2));

	ASSERT_EQ(0, file_punch(self->region.fd, FIRST * PAGE, NR * PAGE));
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, copy, 0, NR, DEVICE2));
	expect_punched(_metadata, self, mr, FIRST, NR);

	/* The copy keeps the pages when the first mapping goes */
	region_deregister(&self->region);
	EXPECT_EQ(-1, first_incoherent_page(&self->bench, copy, NR,
					    self->region.fd, FIRST + NR,
					    PAGES - FIRST - NR));
	ASSERT_EQ(0, ftruncate(self->region.fd, 0));
	EXPECT_EQ(0, conn_write_pages(self->bench.conn, copy, 0, PAGES - FIRST,
				      DEVICE2));
	ASSERT_EQ(0, nic_try_deregister(copy));
}

static uint32_t page_table_make(struct nic *nic)
{
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc),
		.dev_id = iommufd_device(nic),
		.pt_id = iommufd_ioas(nic),
	};

	if (ioctl(vfio_container(nic), IOMMU_HWPT_ALLOC, &alloc))
		die("iommufd makes no page table: %s", strerror(errno));
	return alloc.out_hwpt_id;
}

static void page_table_destroy(struct nic *nic, uint32_t pt)
{
	struct iommu_destroy destroy = { .size = sizeof(destroy), .id = pt };

	if (ioctl(vfio_container(nic), IOMMU_DESTROY, &destroy))
		die("iommufd keeps a page table: %s", strerror(errno));
}

/* What was in a block that has left the file, and is not used again yet */
static bool sees_old_block(struct bench *bench, struct ibv_mr *mr,
			   unsigned long first, unsigned long nr)
{
	uint64_t buf[PROBE / 8];
	unsigned long i;

	for (i = first; i < first + nr; i++) {
		if (conn_read(bench->conn, mr, i * PAGE, buf, PROBE))
			die("the device cannot read page %lu", i);
		if (!written_by(buf, FILLED))
			continue;
		printf("# OLD BLOCK SEEN: page %lu reads as %s\n", i,
		       describe(buf));
		return true;
	}
	return false;
}

/* A page table that is made later has the pages that the pin has then */
TEST_F(vfio, page_tables_come_and_go)
{
	struct nic *nic = self->bench.nic;
	uint32_t pt;

	if (!nic_is_iommufd(nic))
		SKIP(return, "only iommufd has page tables by themselves");
	ASSERT_EQ(0, file_punch(self->region.fd, FIRST * PAGE, NR / 2 * PAGE));
	pt = page_table_make(nic);
	iommufd_attach_device(nic, pt);
	EXPECT_FALSE(sees_old_block(&self->bench, self->region.mr, FIRST, NR / 2));
	expect_punched(_metadata, self, self->region.mr, FIRST, NR / 2);
	ASSERT_EQ(0, file_punch(self->region.fd, FIRST * PAGE, NR * PAGE));
	expect_punched(_metadata, self, self->region.mr, FIRST, NR);

	/* The other page table lost the pages, too, while no device used it */
	iommufd_attach_device(nic, iommufd_ioas(nic));
	expect_punched(_metadata, self, self->region.mr, FIRST, NR);
	page_table_destroy(nic, pt);
	ASSERT_EQ(0, file_punch(self->region.fd, 0, (FIRST + NR) * PAGE));
	expect_punched(_metadata, self, self->region.mr, 0, FIRST + NR);
}

/* The first page table that has the pages is one that no device uses yet */
TEST_F(vfio, page_table_without_a_device)
{
	struct nic *nic = self->bench.nic;
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct iommu_hwpt_alloc hwpt = {
		.size = sizeof(hwpt),
		.dev_id = iommufd_device(nic),
	};
	struct iommu_ioas_copy copy = {
		.size = sizeof(copy),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
	};
	struct ibv_mr *mr = self->region.mr;
	int fd = vfio_container(nic);

	if (!nic_is_iommufd(nic))
		SKIP(return, "only iommufd has page tables by themselves");
	ASSERT_EQ(0, ioctl(fd, IOMMU_IOAS_ALLOC, &alloc));
	hwpt.pt_id = alloc.out_ioas_id;
	ASSERT_EQ(0, ioctl(fd, IOMMU_HWPT_ALLOC, &hwpt));
	copy.src_ioas_id = iommufd_ioas(nic);
	copy.dst_ioas_id = alloc.out_ioas_id;
	copy.src_iova = vfio_iova(mr);
	copy.dst_iova = vfio_iova(mr);
	copy.length = PAGES * PAGE;
	ASSERT_EQ(0, ioctl(fd, IOMMU_IOAS_COPY, &copy));
	region_deregister(&self->region);

	ASSERT_EQ(0, file_punch(self->region.fd, FIRST * PAGE, NR * PAGE));
	ASSERT_EQ(0, ftruncate(self->region.fd, 0));
	page_table_destroy(nic, hwpt.out_hwpt_id);
	page_table_destroy(nic, alloc.out_ioas_id);
}

TEST_HARNESS_MAIN
