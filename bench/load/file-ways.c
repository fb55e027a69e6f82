/*
 * Ways to send a file on io_uring, in C: CPU time per response of each.
 *
 *   gcc -O2 bench/load/file-ways.c bench/load/ring.c -o bench/out/file-ways
 *   bench/out/file-ways [connections] [milliseconds] [rounds] [bytes]
 *
 * A server on the last processor answers requests with a head of 200 bytes and the file. A client on the first one
 * sends the next request as soon as it has received the whole answer, which it discards (MSG_TRUNC). All ways run in
 * each round. It prints the CPU time of the server per response, including its kernel threads, the ratio to the cost
 * of sendfile in the same round, and responses/s.
 */
#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HEAD 200
#define REQUEST 100
#define MAX_CONNECTIONS 512
#define MAX_ROUNDS 64

enum way { EPOLL_CORK, EPOLL_SENDFILE, RING_SENDFILE, RING_SPLICE, RING_READ_SEND, RING_READ_ZC, WAYS };
static const char *const names[WAYS] = {
    "epoll, cork, send + sendfile, uncork", "epoll, send + sendfile", "io_uring, send; sendfile by call", "io_uring, send + splice + splice",
    "io_uring, read_fixed + send", "io_uring, read_fixed + send_zc"};

enum { RECEIVE = 1, SEND, FILL, DRAIN, READ, ROOM };

struct connection {
  int fd, pipe[2], waiting;
  off_t offset;   /* bytes of the file that were sent or are in the pipe */
  size_t piped;
  char request[REQUEST];
  unsigned char *memory;
};

static struct connection connections[MAX_CONNECTIONS];
static unsigned count = 64, milliseconds = 1000, rounds = 10;
static size_t bytes = 100 * 1024;
static int file;
static struct ring ring;
static unsigned long responses;
static unsigned open_connections;

void fail(const char *what) {
  perror(what);
  exit(1);
}

static void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) < 0) fail("sched_setaffinity");
}

static double processor_time(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The client: sends a request and discards the answer, until the time is over. */
static void client(struct sockaddr_in address) {
  static char request[REQUEST];
  static size_t left[MAX_CONNECTIONS];
  static int fds[MAX_CONNECTIONS];
  struct epoll_event events[256];
  int epoll = epoll_create1(EPOLL_CLOEXEC), on = 1;
  pin(0);
  for (unsigned i = 0; i < count; i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fds[i], (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
    left[i] = HEAD + bytes;
    if (send(fds[i], request, REQUEST, 0) != REQUEST) fail("send");
  }
  double end = now() + milliseconds / 1e3;
  while (now() < end) {
    int ready = epoll_wait(epoll, events, 256, 10);
    for (int e = 0; e < ready; e++) {
      unsigned i = events[e].data.u32;
      ssize_t got = recv(fds[i], NULL, 1 << 20, MSG_TRUNC | MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) fail("the server has closed");
      left[i] -= (size_t)got;
      if (left[i] > 0) continue;
      left[i] = HEAD + bytes;
      if (send(fds[i], request, REQUEST, 0) != REQUEST) fail("send");
    }
  }
  exit(0);
}

/* Continues a sendfile. @returns Whether all of it was sent. */
static bool send_file(struct connection *it) {
  while ((size_t)it->offset < bytes) {
    ssize_t sent = sendfile(it->fd, file, &it->offset, bytes - (size_t)it->offset);
    if (sent > 0) continue;
    if (sent < 0 && errno == EAGAIN) return false;
    if (sent < 0 && errno == EINTR) continue;
    it->offset = (off_t)bytes; /* the client has disconnected */
  }
  responses++;
  return true;
}

static void cork(const struct connection *it, enum way way, int on) {
  if (way == EPOLL_CORK) setsockopt(it->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
}

static void serve_epoll(enum way way) {
  static const char head[HEAD];
  struct epoll_event events[256];
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  for (unsigned i = 0; i < count; i++) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = i};
    connections[i].offset = (off_t)bytes;
    epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event);
  }
  while (open_connections > 0) {
    int ready = epoll_wait(epoll, events, 256, -1);
    for (int e = 0; e < ready; e++) {
      struct connection *it = &connections[events[e].data.u32];
      if ((size_t)it->offset < bytes) {
        if (send_file(it)) cork(it, way, 0);
        continue;
      }
      ssize_t got = recv(it->fd, it->request, REQUEST, MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) {
        close(it->fd);
        open_connections--;
        continue;
      }
      cork(it, way, 1);
      send(it->fd, head, HEAD, MSG_NOSIGNAL | (way == EPOLL_CORK ? 0 : MSG_MORE));
      it->offset = 0;
      if (send_file(it)) cork(it, way, 0);
    }
  }
  close(epoll);
}

static struct io_uring_sqe *submission(int op, struct connection *it, int opcode, int fd) {
  struct io_uring_sqe *sqe = ring_submission(&ring);
  sqe->opcode = (unsigned char)opcode;
  sqe->fd = fd;
  sqe->user_data = (uint64_t)op << 32 | (uint64_t)(it - connections);
  return sqe;
}

static void receive(struct connection *it) {
  struct io_uring_sqe *sqe = submission(RECEIVE, it, IORING_OP_RECV, it->fd);
  sqe->addr = (uint64_t)(uintptr_t)it->request;
  sqe->len = REQUEST;
}

static void send_memory(struct connection *it, size_t length, int flags) {
  struct io_uring_sqe *sqe = submission(SEND, it, IORING_OP_SEND, it->fd);
  sqe->addr = (uint64_t)(uintptr_t)it->memory;
  sqe->len = (unsigned)length;
  sqe->msg_flags = (unsigned)(MSG_NOSIGNAL | MSG_WAITALL | flags);
}

static void fill(struct connection *it, unsigned char flags) {
  struct io_uring_sqe *sqe = submission(FILL, it, IORING_OP_SPLICE, it->pipe[1]);
  sqe->splice_fd_in = file;
  sqe->splice_off_in = (uint64_t)it->offset;
  sqe->off = (uint64_t)-1;
  sqe->len = (unsigned)(bytes - (size_t)it->offset);
  sqe->flags = flags;
}

static void drain(struct connection *it, size_t length) {
  struct io_uring_sqe *sqe = submission(DRAIN, it, IORING_OP_SPLICE, it->fd);
  sqe->splice_fd_in = it->pipe[0];
  sqe->splice_off_in = (uint64_t)-1;
  sqe->off = (uint64_t)-1;
  sqe->len = (unsigned)length;
}

static void respond(struct connection *it, enum way way) {
  it->offset = 0;
  switch (way) {
    case RING_SENDFILE: send_memory(it, HEAD, MSG_MORE); break;
    case RING_SPLICE:
      send_memory(it, HEAD, MSG_MORE);
      ring.sqes[(ring.tail - 1) & ring.sq_mask].flags = IOSQE_IO_LINK;
      fill(it, IOSQE_IO_LINK);
      drain(it, bytes);
      break;
    default: {
      struct io_uring_sqe *sqe = submission(READ, it, IORING_OP_READ_FIXED, file);
      sqe->addr = (uint64_t)(uintptr_t)(it->memory + HEAD);
      sqe->len = (unsigned)bytes;
      sqe->buf_index = (uint16_t)(it - connections);
      sqe->flags = IOSQE_IO_LINK;
      if (way == RING_READ_SEND) {
        send_memory(it, HEAD + bytes, 0);
        break;
      }
      sqe = submission(SEND, it, IORING_OP_SEND_ZC, it->fd);
      sqe->addr = (uint64_t)(uintptr_t)it->memory;
      sqe->len = (unsigned)(HEAD + bytes);
      sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
      sqe->ioprio = IORING_RECVSEND_FIXED_BUF;
      sqe->buf_index = (uint16_t)(it - connections);
    }
  }
}

static void completed(const struct io_uring_cqe *cqe, enum way way) {
  struct connection *it = &connections[(uint32_t)cqe->user_data];
  switch (cqe->user_data >> 32) {
    case RECEIVE:
      if (cqe->res <= 0) open_connections--;
      else respond(it, way);
      return;
    case SEND:
      if (way == RING_SPLICE) return;
      if (way != RING_SENDFILE) {
        /* The memory of a send_zc is free at the notification, which lacks F_MORE. */
        if ((cqe->flags & IORING_CQE_F_MORE) != 0) return;
        responses++;
        receive(it);
        return;
      } /* fallthrough */
    case ROOM:
      if (send_file(it)) receive(it);
      else submission(ROOM, it, IORING_OP_POLL_ADD, it->fd)->poll32_events = POLLOUT;
      return;
    case FILL:
      if (cqe->res < 0) return;
      it->offset += cqe->res;
      it->piped += (size_t)cqe->res;
      /* A short result: the operation linked to it is cancelled. */
      if ((size_t)it->offset < bytes) it->waiting = 1;
      return;
    case DRAIN: {
      /* Cancelled because of the operation before it: continue with what was read. */
      int went = cqe->res == -ECANCELED && it->waiting ? 0 : cqe->res;
      it->waiting = 0;
      if (went < 0) {
        open_connections--;
        return;
      }
      it->piped -= (size_t)went;
      if (it->piped > 0) drain(it, it->piped);
      else if ((size_t)it->offset < bytes) {
        fill(it, IOSQE_IO_LINK);
        drain(it, bytes - (size_t)it->offset);
      } else {
        responses++;
        receive(it);
      }
      return;
    }
    default:;
  }
}

static void serve_ring(enum way way) {
  memset(&ring, 0, sizeof ring);
  if (!ring_open(&ring, count)) fail("io_uring_setup");
  ring.turn_ns = 0;
  cpu_set_t set;
  sched_getaffinity(0, sizeof set, &set);
  syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_IOWQ_AFF, &set, sizeof set);
  if (way == RING_READ_SEND || way == RING_READ_ZC) {
    struct iovec vectors[MAX_CONNECTIONS];
    for (unsigned i = 0; i < count; i++) {
      vectors[i] = (struct iovec){.iov_base = connections[i].memory, .iov_len = HEAD + bytes};
    }
    if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, vectors, count) < 0) {
      fail("io_uring_register");
    }
  }
  for (unsigned i = 0; i < count; i++) receive(&connections[i]);
  while (open_connections > 0) {
    ring_enter(&ring, 1);
    unsigned head = *ring.cq_head, tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
    for (; head != tail; head++) completed(&ring.cqes[head & ring.cq_mask], way);
    __atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
  }
}

/* Measures one way in a process of its own, which prints its cost. */
static void serve(enum way way, int result) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof address;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  if (listen(listener, 1024) < 0) fail("listen");
  getsockname(listener, (struct sockaddr *)&address, &length);
  pid_t child = fork();
  if (child == 0) client(address);
  pin((int)sysconf(_SC_NPROCESSORS_ONLN) - 1);
  for (unsigned i = 0; i < count; i++) {
    struct connection *it = &connections[i];
    int flags = way <= RING_SENDFILE ? SOCK_NONBLOCK : 0;
    it->fd = accept4(listener, NULL, NULL, flags);
    it->memory = mmap(NULL, HEAD + bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(it->memory, 'x', HEAD + bytes);
    if (way != RING_SPLICE) continue;
    if (pipe2(it->pipe, 0) < 0) fail("pipe2");
    fcntl(it->pipe[1], F_SETPIPE_SZ, 256 * 1024);
  }
  open_connections = count;
  double began = now(), before = processor_time();
  if (way <= EPOLL_SENDFILE) serve_epoll(way);
  else serve_ring(way);
  double used = processor_time() - before;
  double figures[2] = {used * 1e6 / (double)responses, (double)responses / (now() - began)};
  if (write(result, figures, sizeof figures) != sizeof figures) fail("write");
  waitpid(child, NULL, 0);
  exit(0);
}

static int by_size(const void *a, const void *b) {
  double difference = *(const double *)a - *(const double *)b;
  return difference < 0 ? -1 : difference > 0;
}

static double median(double *values, unsigned length) {
  qsort(values, length, sizeof *values, by_size);
  return length % 2 ? values[length / 2] : (values[length / 2 - 1] + values[length / 2]) / 2;
}

int main(int argc, char **argv) {
  static double cost[WAYS][MAX_ROUNDS], ratio[WAYS][MAX_ROUNDS], rate[WAYS][MAX_ROUNDS];
  signal(SIGPIPE, SIG_IGN);
  if (argc > 1) count = (unsigned)atoi(argv[1]);
  if (argc > 2) milliseconds = (unsigned)atoi(argv[2]);
  if (argc > 3) rounds = (unsigned)atoi(argv[3]);
  if (argc > 4) bytes = (size_t)atol(argv[4]);
  if (count > MAX_CONNECTIONS || rounds > MAX_ROUNDS) fail("too many");
  char path[] = "file-ways-XXXXXX";
  file = mkstemp(path);
  if (file < 0) fail("mkstemp");
  unlink(path);
  void *content = calloc(1, bytes);
  if (write(file, content, bytes) != (ssize_t)bytes) fail("write");
  for (unsigned round = 0; round < rounds; round++) {
    for (unsigned i = 0; i < WAYS; i++) {
      /* Every second round runs in reverse order. */
      enum way way = round % 2 ? WAYS - 1 - i : i;
      int ends[2];
      double figures[2];
      if (pipe(ends) < 0) fail("pipe");
      pid_t child = fork();
      if (child == 0) serve(way, ends[1]);
      close(ends[1]);
      if (read(ends[0], figures, sizeof figures) != sizeof figures) fail(names[way]);
      close(ends[0]);
      waitpid(child, NULL, 0);
      cost[way][round] = figures[0];
      rate[way][round] = figures[1];
    }
    for (int way = 0; way < WAYS; way++) ratio[way][round] = cost[way][round] / cost[RING_SENDFILE][round];
  }
  printf("%u connections, %zu bytes, %u rounds of %u ms\n", count, bytes, rounds, milliseconds);
  printf("%-36s %10s  %5s  %15s  %9s\n", "", "CPU", "ratio", "spread", "rate");
  for (int way = 0; way < WAYS; way++) {
    double middle = median(ratio[way], rounds); /* also sorts them */
    printf("%-36s %7.1f us  %5.2f  (%.2f to %.2f)  %7.0f/s\n", names[way], median(cost[way], rounds),
           middle, ratio[way][0], ratio[way][rounds - 1], median(rate[way], rounds));
  }
  return 0;
}
