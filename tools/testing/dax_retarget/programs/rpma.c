// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program as users of librpma write it, with a server and a client in two processes:
 *
 *   rpma ADDRESS FILE LOCAL-FILE
 *
 * The server has FILE, and the client has LOCAL-FILE, both on persistent memory. As in
 * the examples of librpma, each maps its file with libpmem, registers it, and always
 * gives the advice that prefetches. The client writes, flushes, reads and writes
 * atomically in the server's file, and has the server make durable what it wrote by
 * messages (general-purpose server persistency). In the middle of the writes blocks are
 * taken from the file. ADDRESS is that of the RDMA device, which plays both ends. TAP
 * on stdout.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libpmem.h>
#include <librpma.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE		4096UL
#define SIZE		(256 * PAGE)
#define CHUNK		(4 * PAGE)	/* of one write */
#define DEPTH		8		/* writes in flight */
#define PATIENCE	600		/* seconds, for all of it */
#define PORT		"7204"

/* What the server tells when a client connects */
struct offer {
	uint8_t region[64], peer[8];
	uint8_t region_size, peer_size;
};

struct message {
	enum { PERSIST = 1, DONE, BYE } what;
	uint64_t pos, len;
};

/* What both ends have */
struct end {
	struct rpma_peer *peer;
	char *map;
	struct rpma_mr_local *mr;
	struct message *message;	/* one to send, one to receive */
	struct rpma_mr_local *message_mr;
	struct rpma_conn *conn;
	struct rpma_cq *cq;
	unsigned int completed[IBV_WC_RECV + 1];	/* and not waited for, by kind */
};

static const char *who;
static volatile uint64_t progress;	/* bytes that are written, in all rounds */

/* All that a program may expect of a library and its files */
#define must(call) do {							\
	int must_ret = (call);						\
									\
	if (must_ret) {							\
		printf("# %s: %s: %s (%s)\n", who, #call,		\
		       rpma_err_2str(must_ret), strerror(errno));	\
		exit(1);						\
	}								\
} while (0)

#define must_be(condition) do {						\
	if (!(condition)) {						\
		printf("# %s: not true: %s (%s)\n", who, #condition,	\
		       strerror(errno));				\
		exit(1);						\
	}								\
} while (0)

static void give_up(int signal)
{
	printf("# %s: no end after %d s, written up to %lu of round %lu\n", who,
	       PATIENCE, progress % SIZE, progress / SIZE);
	_exit(1);
}

static void report(bool good, const char *name)
{
	static unsigned int nr;

	printf("%sok %u %s\n", good ? "" : "not ", ++nr, name);
}

static void end_open(struct end *end, const char *address, const char *file,
		     enum rpma_util_ibv_context_type type, int usage, int advice)
{
	struct ibv_context *ctx;
	int is_pmem;
	size_t len;

	must(rpma_utils_get_ibv_context(address, type, &ctx));
	must(rpma_peer_new(ctx, &end->peer));

	end->map = pmem_map_file(file, 0, 0, 0, &len, &is_pmem);
	must_be(end->map && len == SIZE);
	must_be(is_pmem);
	must(rpma_mr_reg(end->peer, end->map, SIZE, usage, &end->mr));
	must(rpma_mr_advise(end->mr, 0, SIZE, advice,
			    IBV_ADVISE_MR_FLAG_FLUSH));

	end->message = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must_be(end->message != MAP_FAILED);
	must(rpma_mr_reg(end->peer, end->message, PAGE,
			 RPMA_MR_USAGE_SEND | RPMA_MR_USAGE_RECV,
			 &end->message_mr));
}

static void end_connected(struct end *end)
{
	enum rpma_conn_event event;

	must(rpma_conn_next_event(end->conn, &event));
	must_be(event == RPMA_CONN_ESTABLISHED);
	must(rpma_conn_get_cq(end->conn, &end->cq));
}

static void end_close(struct end *end)
{
	enum rpma_conn_event event;

	must(rpma_conn_next_event(end->conn, &event));
	must_be(event == RPMA_CONN_CLOSED);
	must(rpma_conn_disconnect(end->conn));
	must(rpma_conn_delete(&end->conn));
	must(rpma_mr_dereg(&end->message_mr));
	must(rpma_mr_dereg(&end->mr));
	must_be(!pmem_unmap(end->map, SIZE));
	must(rpma_peer_delete(&end->peer));
}

/* Wait for a good completion of this kind. One of another kind may overtake it. */
static void complete(struct end *end, enum ibv_wc_opcode opcode)
{
	struct ibv_wc wc;
	int ret;

	while (!end->completed[opcode]) {
		while ((ret = rpma_cq_get_wc(end->cq, 1, &wc, NULL)) ==
		       RPMA_E_NO_COMPLETION)
			must(rpma_cq_wait(end->cq));
		must(ret);
		if (wc.status != IBV_WC_SUCCESS) {
			printf("# %s: completion of kind %d: %s\n", who,
			       wc.opcode, ibv_wc_status_str(wc.status));
			exit(1);
		}
		end->completed[wc.opcode]++;
	}
	end->completed[opcode]--;
}

static void send_message(struct end *end, const struct message *message)
{
	end->message[0] = *message;
	must(rpma_send(end->conn, end->message_mr, 0, sizeof(*message),
		       RPMA_F_COMPLETION_ALWAYS, NULL));
	complete(end, IBV_WC_SEND);
}

static void post_receive(struct end *end)
{
	must(rpma_recv(end->conn, end->message_mr, sizeof(struct message),
		       sizeof(struct message), NULL));
}

static void serve(const char *address, const char *file, int ready)
{
	struct rpma_conn_private_data data;
	struct rpma_conn_req *request;
	struct rpma_peer_cfg *cfg;
	struct offer offer = {};
	struct message message;
	struct end end = {};
	struct rpma_ep *ep;
	size_t size;

	end_open(&end, address, file, RPMA_UTIL_IBV_CONTEXT_LOCAL,
		 RPMA_MR_USAGE_WRITE_DST | RPMA_MR_USAGE_READ_SRC |
		 RPMA_MR_USAGE_FLUSH_TYPE_PERSISTENT,
		 IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE);
	must(rpma_mr_get_descriptor_size(end.mr, &size));
	must_be(size <= sizeof(offer.region));
	offer.region_size = size;
	must(rpma_mr_get_descriptor(end.mr, offer.region));
	must(rpma_peer_cfg_new(&cfg));
	must(rpma_peer_cfg_set_direct_write_to_pmem(cfg, true));
	must(rpma_peer_cfg_get_descriptor_size(cfg, &size));
	must_be(size <= sizeof(offer.peer));
	offer.peer_size = size;
	must(rpma_peer_cfg_get_descriptor(cfg, offer.peer));
	must(rpma_peer_cfg_delete(&cfg));

	must(rpma_ep_listen(end.peer, address, PORT, &ep));
	must_be(write(ready, "", 1) == 1);
	must(rpma_ep_next_conn_req(ep, NULL, &request));
	must(rpma_conn_req_recv(request, end.message_mr, sizeof(message),
				sizeof(message), NULL));
	data.ptr = &offer;
	data.len = sizeof(offer);
	must(rpma_conn_req_connect(&request, &data, &end.conn));
	end_connected(&end);

	for (;;) {
		complete(&end, IBV_WC_RECV);
		message = end.message[1];
		if (message.what == BYE)
			break;
		must_be(message.what == PERSIST);
		pmem_persist(end.map + message.pos, message.len);
		post_receive(&end);
		send_message(&end, &(struct message){ .what = DONE });
	}
	end_close(&end);
	must(rpma_ep_shutdown(&ep));
}

#define WORD	sizeof(uint64_t)

/* The content of a word of a file, in each round another one */
static uint64_t pattern(uint64_t pos, unsigned int round)
{
	return pos << 32 | round;
}

/* Has the file that content between two positions? */
static bool file_has(int fd, uint64_t pos, uint64_t end, unsigned int round)
{
	static uint64_t buf[SIZE / WORD];
	uint64_t i;

	must_be(pread(fd, buf, end - pos, pos) == (ssize_t)(end - pos));
	for (i = pos; i < end; i += WORD) {
		uint64_t word = buf[(i - pos) / WORD];

		if (word != (round ? pattern(i, round) : 0)) {
			printf("# at byte %lu there is 0x%lx, not of round %u\n",
			       i, word, round);
			return false;
		}
	}
	return true;
}

/* Write all of the local file to the remote one. @meanwhile is called in the middle. */
static void write_all(struct end *end, struct rpma_mr_remote *remote,
		      unsigned int round, int fd, void (*meanwhile)(int fd))
{
	uint64_t posted = 0, done = 0, i;

	for (i = 0; i < SIZE; i += WORD)
		*(uint64_t *)(end->map + i) = pattern(i, round);
	while (done < SIZE) {
		while (posted < SIZE && posted - done < DEPTH * CHUNK) {
			must(rpma_write(end->conn, remote, posted, end->mr,
					posted, CHUNK, RPMA_F_COMPLETION_ALWAYS,
					NULL));
			posted += CHUNK;
			if (meanwhile && posted == SIZE / 2)
				meanwhile(fd);
		}
		complete(end, IBV_WC_RDMA_WRITE);
		done += CHUNK;
		progress = round * SIZE + done;
	}
	must(rpma_flush(end->conn, remote, 0, SIZE,
			RPMA_FLUSH_TYPE_PERSISTENT, RPMA_F_COMPLETION_ALWAYS,
			NULL));
	complete(end, IBV_WC_RDMA_READ);
}

/* The server makes durable what its CPU may have in caches, and answers */
static void persist(struct end *end, uint64_t pos, uint64_t len)
{
	post_receive(end);
	send_message(end, &(struct message){ PERSIST, pos, len });
	complete(end, IBV_WC_RECV);
	must_be(end->message[1].what == DONE);
}

/* Some that were written in this round, and some that were not */
#define HOLE		(PAGE * 3)
#define HOLE_END	(SIZE / 2 + PAGE)

static void punch(int fd)
{
	must_be(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			   HOLE, HOLE_END - HOLE));
}

static void cut(int fd)
{
	must_be(!ftruncate(fd, SIZE / 4));
}

static void grow(int fd)
{
	must_be(!ftruncate(fd, SIZE));
}

static void run_client(const char *address, const char *file,
		       const char *local)
{
	int fd = open(file, O_RDWR), local_fd = open(local, O_RDWR);
	struct rpma_conn_private_data data;
	struct rpma_mr_remote *remote;
	struct rpma_conn_req *request;
	struct rpma_conn_cfg *conn_cfg;
	struct rpma_peer_cfg *cfg;
	struct offer *offer;
	struct end end = {};
	char word[8];

	must_be(fd >= 0 && local_fd >= 0);
	end_open(&end, address, local, RPMA_UTIL_IBV_CONTEXT_REMOTE,
		 RPMA_MR_USAGE_WRITE_SRC | RPMA_MR_USAGE_READ_DST,
		 IBV_ADVISE_MR_ADVICE_PREFETCH);
	must(rpma_conn_cfg_new(&conn_cfg));
	must(rpma_conn_cfg_set_timeout(conn_cfg, PATIENCE * 1000));
	must(rpma_conn_cfg_set_sq_size(conn_cfg, 2 * DEPTH));
	must(rpma_conn_cfg_set_cq_size(conn_cfg, 2 * DEPTH));
	must(rpma_conn_req_new(end.peer, address, PORT, conn_cfg, &request));
	must(rpma_conn_cfg_delete(&conn_cfg));
	must(rpma_conn_req_connect(&request, NULL, &end.conn));
	end_connected(&end);
	must(rpma_conn_get_private_data(end.conn, &data));
	must_be(data.len >= sizeof(*offer));
	offer = data.ptr;
	must(rpma_mr_remote_from_descriptor(offer->region, offer->region_size,
					    &remote));
	must(rpma_peer_cfg_from_descriptor(offer->peer, offer->peer_size,
					   &cfg));
	must(rpma_conn_apply_remote_peer_cfg(end.conn, cfg));
	must(rpma_peer_cfg_delete(&cfg));
	report(true, "both files are registered, and the advice is taken");

	write_all(&end, remote, 1, fd, NULL);
	report(file_has(fd, 0, SIZE, 1), "written and flushed");

	must(rpma_read(end.conn, end.mr, SIZE / 2, remote, 0, SIZE / 2,
		       RPMA_F_COMPLETION_ALWAYS, NULL));
	complete(&end, IBV_WC_RDMA_READ);
	report(!memcmp(end.map + SIZE / 2, end.map, SIZE / 2), "read");

	must(rpma_atomic_write(end.conn, remote, 5 * PAGE, "8 bytes!",
			       RPMA_F_COMPLETION_ALWAYS, NULL));
	complete(&end, IBV_WC_RDMA_WRITE);
	persist(&end, 5 * PAGE, sizeof(word));
	must_be(pread(fd, word, sizeof(word), 5 * PAGE) == sizeof(word));
	report(!memcmp(word, "8 bytes!", sizeof(word)),
	       "written atomically, and made durable by a message");

	write_all(&end, remote, 2, fd, punch);
	persist(&end, HOLE_END, SIZE - HOLE_END);
	report(file_has(fd, 0, HOLE, 2) && file_has(fd, HOLE, HOLE_END, 0) &&
	       file_has(fd, HOLE_END, SIZE, 2), "a hole is punched meanwhile");

	write_all(&end, remote, 3, fd, cut);
	persist(&end, 0, HOLE);
	grow(fd);
	report(file_has(fd, 0, HOLE, 3) && file_has(fd, HOLE, SIZE / 4, 0) &&
	       file_has(fd, SIZE / 4, SIZE, 0), "the file is cut meanwhile");

	/* The pages that the device reads from go, and it goes on */
	write_all(&end, remote, 4, local_fd, punch);
	report(file_has(fd, 0, HOLE, 4), "the source is punched meanwhile");

	must(rpma_mr_remote_delete(&remote));
	send_message(&end, &(struct message){ .what = BYE });
	must(rpma_conn_disconnect(end.conn));
	end_close(&end);
	report(true, "both ends part");
}

static void make(const char *file)
{
	static char zeroes[SIZE];
	int fd = open(file, O_CREAT | O_TRUNC | O_RDWR, 0600);

	must_be(fd >= 0 && write(fd, zeroes, SIZE) == SIZE && !fsync(fd));
	close(fd);
}

int main(int argc, char **argv)
{
	int ready[2], status;
	pid_t server;
	char byte;

	who = "rpma";
	if (argc != 4) {
		fprintf(stderr, "Usage: rpma ADDRESS FILE LOCAL-FILE\n");
		return 2;
	}
	setbuf(stdout, NULL);
	signal(SIGALRM, give_up);
	alarm(PATIENCE);
	make(argv[2]);
	make(argv[3]);
	must_be(!pipe(ready));
	server = fork();
	must_be(server >= 0);
	if (!server) {
		who = "server";
		must_be(!prctl(PR_SET_PDEATHSIG, SIGKILL));
		serve(argv[1], argv[2], ready[1]);
		return 0;
	}
	close(ready[1]);
	who = "client";
	must_be(read(ready[0], &byte, 1) == 1);
	run_client(argv[1], argv[2], argv[3]);
	must_be(waitpid(server, &status, 0) == server);
	report(!status, "the server ends well");
	return status != 0;
}
