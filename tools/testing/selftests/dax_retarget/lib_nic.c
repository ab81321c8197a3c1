// SPDX-License-Identifier: GPL-2.0-only
/*
 * The devices that tests of DAX retarget have write to memory: an RDMA NIC, or another
 * controller that VFIO or iommufd gives to the test. DAX_RETARGET_CONSUMER says which;
 * no test has to know. What a consumer calls a region, an IOVA range or a mapping is a
 * struct ibv_mr for all.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib.h"
#include "lib_nic.h"

static const struct consumer *find_consumer(const char *name)
{
	static const struct consumer * const all[] = {
		&verbs_consumer,
		&type1_consumer,
		&compat_consumer,
		&iommufd_consumer,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		if (!strcmp(all[i]->name, name))
			return all[i];
	die("DAX_RETARGET_CONSUMER=%s: no such consumer", name);
}

static const struct consumer *consumer(void)
{
	return find_consumer(getenv("DAX_RETARGET_CONSUMER") ?:
			     verbs_consumer.name);
}

/* Is it memory regions of RDMA that tests register? */
bool consumer_is_rdma(void)
{
	return consumer() == &verbs_consumer;
}

/* NULL, or why no region has pages of files and other memory */
const char *mixed_missing(void)
{
	return consumer() == &iommufd_consumer ||
	       consumer() == &compat_consumer ?
	       "iommufd takes pages of DAX files alone" : NULL;
}

/* The device that a process uses while another one uses device 0 */
unsigned int nic_of_child(void)
{
	return consumer_is_rdma() ? 0 : 1;
}

/* Name of device @index, or NULL if there is none */
const char *nic_name(unsigned int index)
{
	return consumer()->device_name(index);
}

bool nic_exists(unsigned int index)
{
	return nic_name(index);
}

static struct nic *open_as(const struct consumer *consumer, unsigned int index)
{
	struct nic *nic = consumer->open(index);

	nic->consumer = consumer;
	return nic;
}

struct nic *nic_open(unsigned int index)
{
	return open_as(consumer(), index);
}

/* For tests that have devices of several consumers */
struct nic *nic_open_as(const char *consumer, unsigned int index)
{
	return open_as(find_consumer(consumer), index);
}

bool nic_exists_as(const char *consumer, unsigned int index)
{
	return find_consumer(consumer)->device_name(index);
}

void nic_close(struct nic *nic)
{
	nic->consumer->close(nic);
}

/* NULL and errno if it is refused */
struct ibv_mr *nic_register(struct nic *nic, void *addr, size_t len)
{
	return nic->consumer->reg(nic, addr, len, true);
}

struct ibv_mr *nic_register_read_only(struct nic *nic, void *addr, size_t len)
{
	return nic->consumer->reg(nic, addr, len, false);
}

/* 0 or an errno */
int nic_try_deregister(struct ibv_mr *mr)
{
	/* Only regions of RDMA have a context */
	return (mr->context ? &verbs_consumer : &type1_consumer)->dereg(mr);
}

void nic_deregister(struct ibv_mr *mr)
{
	int ret = nic_try_deregister(mr);

	if (ret) {
		errno = ret;
		die("cannot deregister");
	}
}

struct conn *conn_open(struct nic *nic)
{
	struct conn *conn = nic->consumer->conn_open(nic);

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
	conn->nic->consumer->conn_close(conn);
}

/* An error is a negative errno, or what the device reports */
const char *conn_error(int error)
{
	return error < 0 ? strerror(-error) : consumer()->error(error);
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
	return conn->nic->consumer->post(conn, mr, addr, local, buf, len, opcode);
}

/* Wait for the next completion: 0, or an error as conn_error() describes it */
int conn_complete(struct conn *conn)
{
	return conn->nic->consumer->complete(conn);
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
	uint64_t end = now_ms() + patience_ms();
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
