/*
 * The load over io_uring: one multishot receive per connection into a shared ring of buffers, sends that report only
 * errors, one io_uring_enter per turn.
 *
 * Small messages are compared on every connection. A large message costs more to copy than a system call, and a load
 * that copies as much as the server and also compares would be slower than the server. So the bytes of every eighth
 * connection are compared; on the others the kernel counts and discards them without copying (MSG_TRUNC, tcp(7)),
 * except for chunked answers, whose framing has to be read.
 */
#define _GNU_SOURCE
#include "load.h"
#include "ring.h"

#ifndef HAVE_RING
static bool open_ring(struct load *load) {
  (void)load;
  return false;
}

const struct driver uring_driver = {.open = open_ring};
#else

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFERS 4096u
#define BUFFER_MEMORY (8u << 20)

#define SEND_TAG (1ull << 63)

/* Whether the bytes of a connection are read, and not only counted. */
static bool is_read(const struct load *load, unsigned index) {
  return load->http.body != NULL || is_compared(load, index);
}

static void submit_receive(struct ring *ring, const struct load *load, unsigned index) {
  struct io_uring_sqe *sqe = ring_submission(ring);
  sqe->opcode = IORING_OP_RECV;
  sqe->flags = IOSQE_BUFFER_SELECT | IOSQE_FIXED_FILE;
  sqe->ioprio = IORING_RECV_MULTISHOT;
  sqe->fd = (int)index;
  sqe->msg_flags = is_read(load, index) ? 0 : MSG_TRUNC;
  sqe->user_data = index;
}

static void submit_send(struct ring *ring, struct load *load, unsigned index, uint64_t due) {
  const unsigned char *bytes = next_batch(load, index, due);
  struct io_uring_sqe *sqe = ring_submission(ring);
  sqe->opcode = IORING_OP_SEND;
  sqe->flags = IOSQE_CQE_SKIP_SUCCESS | IOSQE_FIXED_FILE;
  sqe->fd = (int)index;
  sqe->addr = (uint64_t)(uintptr_t)bytes;
  sqe->len = (unsigned)load->batch;
  /* WAITALL: the kernel sends the rest of a short send itself. */
  sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
  sqe->user_data = index | SEND_TAG;
}

static void lose(struct load *load, unsigned index) {
  struct connection *connection = &load->connections[index];
  if (connection->fd < 0) return;
  /* The ring also holds the socket, so closing it would not end operations in flight. */
  shutdown(connection->fd, SHUT_RDWR);
  close(connection->fd);
  connection->fd = -1;
  not_in_flight(load, index);
  load->lost++;
  load->alive--;
}

static void on_received(struct ring *ring, struct load *load, const struct io_uring_cqe *cqe,
                        uint64_t now) {
  unsigned index = (unsigned)cqe->user_data;
  bool next = false;
  if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
    unsigned short id = (unsigned short)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    const unsigned char *bytes = is_read(load, index) ? ring_buffer(ring, id) : NULL;
    if (cqe->res > 0) next = take_bytes(load, index, bytes, (size_t)cqe->res, now);
    ring_give_back(ring, id);
  }
  if (cqe->res == 0 || (cqe->res < 0 && cqe->res != -ENOBUFS)) lose(load, index);
  if (load->connections[index].fd < 0) return;
  /* A multishot receive ends when no buffer is left, among other reasons: re-arm it. */
  if ((cqe->flags & IORING_CQE_F_MORE) == 0) submit_receive(ring, load, index);
  if (!next) return;
  uint64_t due = due_ns(load, index, now);
  if (due <= now) submit_send(ring, load, index, due);
}

static void send_on_time(struct ring *ring, struct load *load, uint64_t now) {
  for (unsigned index; (index = next_on_time(load, now)) < load->options.connections;) {
    submit_send(ring, load, index, due_ns(load, index, now));
  }
}

static bool set_up(struct ring *ring, const struct load *load) {
  unsigned count = load->options.connections;
  unsigned length = load->back < 64 ? 64 : load->back > 65536 ? 65536 : (unsigned)load->back;
  unsigned buffers = BUFFER_MEMORY / length < BUFFERS ? BUFFER_MEMORY / length : BUFFERS;
  int *fds = calloc(count, sizeof *fds);
  if (fds == NULL || !ring_open(ring, count)) return false;
  for (unsigned i = 0; i < count; i++) fds[i] = load->connections[i].fd;
  bool ready = ring_add_files(ring, fds, count) && ring_add_buffers(ring, length, buffers);
  free(fds);
  return ready;
}

static struct ring ring = {.fd = -1};

static bool open_ring(struct load *load) {
  if (!set_up(&ring, load)) {
    if (ring.fd >= 0) close(ring.fd);
    return false;
  }
  load->engine = "io_uring";
  for (unsigned i = 0; i < load->options.connections; i++) submit_receive(&ring, load, i);
  return true;
}

/* The number of answers to wait for: enough to be cheap, and no more than are expected. */
static unsigned gathered(const struct load *load) {
  unsigned gather = load->options.gather, count = load->options.connections;
  if (gather == 0) gather = count / 8 < 1 ? 1 : count / 8 > 64 ? 64 : count / 8;
  return load->phase == OVER || load->in_flight < gather ? 1 : gather;
}

static void run(struct load *load) {
  bool paced = load->window.rate > 0;
  uint64_t now = now_ns();
  for (unsigned i = 0; i < load->options.connections && !paced; i++) {
    if (load->connections[i].fd >= 0) submit_send(&ring, load, i, now);
  }
  while (go_on(load, now)) {
    /* With a rate it never waits: messages have to be sent on time, and a timer would be late. */
    if (paced) send_on_time(&ring, load, now);
    ring_enter(&ring, paced ? 0 : gathered(load));
    now = now_ns();
    unsigned head = *ring.cq_head, tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
    for (; head != tail; head++) {
      const struct io_uring_cqe *cqe = &ring.cqes[head & ring.cq_mask];
      if ((cqe->user_data & SEND_TAG) != 0) lose(load, (unsigned)cqe->user_data);
      else on_received(&ring, load, cqe, now);
    }
    __atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
    ring_publish_buffers(&ring);
  }
}

const struct driver uring_driver = {.open = open_ring, .run = run};
#endif
