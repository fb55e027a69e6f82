/*
 * A control: an echo server as an io_uring loop in C, by system calls, without liburing.
 *
 * One multishot accept, one multishot receive per connection into a shared ring of buffers, sends from the receive
 * buffer, one io_uring_enter per turn. A connection has one send in flight; further received buffers wait in a list.
 * Prints {"ready":true,"port":N} when it listens.
 */
#define _GNU_SOURCE
#include "../load/ring.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

void fail(const char *what) {
  perror(what);
  exit(1);
}

#ifndef HAVE_RING
int main(void) {
  fprintf(stderr, "the kernel headers here know no multishot receive (Linux 6.0)\n");
  return 1;
}
#else

/* The kernel reduces it to net.core.somaxconn. */
#define BACKLOG 65535
#define CONNECTIONS 32768
/* A message of 16 KiB fits into one. */
#define BUFFER 16384
#define BUFFERS 2048
#define NONE UINT32_MAX

enum { ACCEPT = 1, RECEIVE, SEND };
/* The tag of a completion: the operation and the descriptor. */
#define TAG(operation, fd) ((uint64_t)(operation) << 32 | (uint32_t)(fd))

/* A received buffer that waits to be sent back, or is being sent. */
struct piece {
  uint32_t next, sent, length;
};

struct connection {
  uint32_t first, last; /* buffers to send, in order; the first is in flight */
  bool receiving, ended;
};

static struct ring ring;
static struct piece pieces[BUFFERS];
static struct connection *connections;
static uint32_t *starved; /* connections whose receive ended because no buffer was left */
static unsigned starving;
static unsigned lent; /* buffers with unsent bytes */

static int listener(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof address;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0) fail("socket");
  /* Accepted sockets inherit it. */
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  if (listen(fd, BACKLOG) < 0) fail("listen");
  if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) fail("getsockname");
  printf("{\"ready\":true,\"port\":%d}\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

static void submit_accept(int fd) {
  struct io_uring_sqe *sqe = ring_submission(&ring);
  sqe->opcode = IORING_OP_ACCEPT;
  sqe->ioprio = IORING_ACCEPT_MULTISHOT;
  sqe->accept_flags = SOCK_CLOEXEC;
  sqe->fd = fd;
  sqe->user_data = TAG(ACCEPT, fd);
}

static void submit_receive(uint32_t fd) {
  struct io_uring_sqe *sqe = ring_submission(&ring);
  sqe->opcode = IORING_OP_RECV;
  sqe->flags = IOSQE_BUFFER_SELECT;
  sqe->ioprio = IORING_RECV_MULTISHOT;
  sqe->fd = (int)fd;
  sqe->user_data = TAG(RECEIVE, fd);
  connections[fd].receiving = true;
}

static void submit_send(uint32_t fd) {
  uint32_t id = connections[fd].first;
  const struct piece *piece = &pieces[id];
  struct io_uring_sqe *sqe = ring_submission(&ring);
  sqe->opcode = IORING_OP_SEND;
  sqe->fd = (int)fd;
  sqe->addr = (uint64_t)(uintptr_t)(ring_buffer(&ring, (unsigned short)id) + piece->sent);
  sqe->len = piece->length - piece->sent;
  /* WAITALL: the kernel sends the rest of a short send itself. */
  sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
  sqe->user_data = TAG(SEND, fd);
}

/* Closes when neither a receive nor a send is in flight on this descriptor. */
static void close_if_over(uint32_t fd) {
  const struct connection *connection = &connections[fd];
  if (connection->ended && !connection->receiving && connection->first == NONE) close((int)fd);
}

static void on_accepted(const struct io_uring_cqe *cqe, uint32_t from) {
  if (cqe->res >= CONNECTIONS) close(cqe->res);
  else if (cqe->res >= 0) {
    connections[cqe->res] = (struct connection){.first = NONE, .last = NONE};
    submit_receive((uint32_t)cqe->res);
  } else if (cqe->res != -ECONNABORTED && cqe->res != -EINTR) {
    errno = -cqe->res;
    fail("accept");
  }
  if ((cqe->flags & IORING_CQE_F_MORE) == 0) submit_accept((int)from);
}

static void on_received(const struct io_uring_cqe *cqe, uint32_t fd) {
  struct connection *connection = &connections[fd];
  if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
    uint32_t id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    if (cqe->res <= 0 || connection->ended) ring_give_back(&ring, (unsigned short)id);
    else {
      lent++;
      pieces[id] = (struct piece){.next = NONE, .length = (uint32_t)cqe->res};
      if (connection->first == NONE) {
        connection->first = connection->last = id;
        submit_send(fd);
      } else {
        pieces[connection->last].next = id;
        connection->last = id;
      }
    }
  }
  if ((cqe->flags & IORING_CQE_F_MORE) != 0) return;
  connection->receiving = false;
  if (cqe->res == -ENOBUFS) starved[starving++] = fd;
  else if (cqe->res > 0) submit_receive(fd);
  else connection->ended = true;
  close_if_over(fd);
}

static void sent_back(uint32_t id) {
  ring_give_back(&ring, (unsigned short)id);
  lent--;
}

static void on_sent(const struct io_uring_cqe *cqe, uint32_t fd) {
  struct connection *connection = &connections[fd];
  uint32_t id = connection->first;
  pieces[id].sent += cqe->res > 0 ? (uint32_t)cqe->res : 0;
  if (cqe->res > 0 && pieces[id].sent < pieces[id].length) {
    submit_send(fd);
    return;
  }
  connection->first = pieces[id].next;
  sent_back(id);
  if (cqe->res <= 0) {
    /* The peer has disconnected: its receive reports that, too. */
    for (; connection->first != NONE; connection->first = pieces[connection->first].next) {
      sent_back(connection->first);
    }
    if (connection->receiving) shutdown((int)fd, SHUT_RDWR);
    else connection->ended = true;
  }
  if (connection->first != NONE) submit_send(fd);
  else close_if_over(fd);
}

int main(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) fail("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  connections = calloc(CONNECTIONS, sizeof *connections);
  starved = calloc(CONNECTIONS, sizeof *starved);
  if (connections == NULL || starved == NULL) fail("calloc");
  if (!ring_open(&ring, CONNECTIONS)) fail("io_uring_setup");
  if (!ring_add_buffers(&ring, BUFFER, BUFFERS)) fail("io_uring_register");
  ring.turn_ns = 0;
  submit_accept(listener());
  for (;;) {
    ring_enter(&ring, 1);
    unsigned head = *ring.cq_head, tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
    for (; head != tail; head++) {
      const struct io_uring_cqe *cqe = &ring.cqes[head & ring.cq_mask];
      uint32_t fd = (uint32_t)cqe->user_data;
      switch (cqe->user_data >> 32) {
        case ACCEPT: on_accepted(cqe, fd); break;
        case RECEIVE: on_received(cqe, fd); break;
        default: on_sent(cqe, fd);
      }
    }
    __atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
    ring_publish_buffers(&ring);
    /* Without a buffer they would end at once. */
    if (lent == BUFFERS) continue;
    for (; starving > 0; starving--) submit_receive(starved[starving - 1]);
  }
}
#endif
