/*
 * io_uring by system calls: set-up, submission, completion, and a ring of provided buffers.
 *
 * Source: io_uring_setup(2), io_uring_enter(2), io_uring_register(2).
 */
#ifndef POLLOI_BENCH_RING_H
#define POLLOI_BENCH_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#endif

/* Headers before Linux 6.0 lack definitions that the load needs: it then has no io_uring. */
#ifdef IORING_RECV_MULTISHOT
#define HAVE_RING 1

struct ring {
  int fd;
  unsigned *sq_head, *sq_tail, *cq_head, *cq_tail;
  unsigned sq_mask, cq_mask, tail;
  struct io_uring_sqe *sqes;
  struct io_uring_cqe *cqes;
  struct io_uring_buf_ring *buffers;
  unsigned char *memory;
  unsigned buffer_length, buffer_count;
  unsigned short buffer_tail;
  long turn_ns; /* the longest wait of ring_enter; 0: no limit */
};

/* Defined by the program: prints an error and exits. */
void fail(const char *what) __attribute__((noreturn));

/* False, with errno, when the kernel does not support it or does not allow it. */
bool ring_open(struct ring *ring, unsigned connections);
bool ring_add_files(struct ring *ring, const int *fds, unsigned count);
bool ring_add_buffers(struct ring *ring, unsigned length, unsigned count);
/* Submits, and waits for `wanted` completions or `turn_ns` nanoseconds. */
void ring_enter(struct ring *ring, unsigned wanted);
/* An empty submission, to be filled in before the next call. */
struct io_uring_sqe *ring_submission(struct ring *ring);

static inline unsigned char *ring_buffer(const struct ring *ring, unsigned short id) {
  return ring->memory + (size_t)id * ring->buffer_length;
}

/* Returns a buffer; the kernel sees it once the tail is published. */
static inline void ring_give_back(struct ring *ring, unsigned short id) {
  struct io_uring_buf *slot = &ring->buffers->bufs[ring->buffer_tail & (ring->buffer_count - 1)];
  slot->addr = (uint64_t)(uintptr_t)ring_buffer(ring, id);
  slot->len = ring->buffer_length;
  slot->bid = id;
  ring->buffer_tail++;
}

static inline void ring_publish_buffers(struct ring *ring) {
  __atomic_store_n(&ring->buffers->tail, ring->buffer_tail, __ATOMIC_RELEASE);
}
#endif
#endif
