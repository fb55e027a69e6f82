/* The ring: see ring.h. */
#define _GNU_SOURCE
#include "ring.h"

#ifdef HAVE_RING
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SUBMISSIONS 4096u
/* The load reads the clock at least this often. */
#define TURN_NS 1000000

static void *map(size_t length, int fd, off_t offset) {
  int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED | MAP_POPULATE;
  void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, flags, fd, offset);
  if (memory == MAP_FAILED) fail("mmap");
  return memory;
}

static unsigned power_of_two(unsigned at_least) {
  unsigned power = 1;
  while (power < at_least) power *= 2;
  return power;
}

bool ring_open(struct ring *ring, unsigned connections) {
  struct io_uring_params params = {0};
  params.cq_entries = power_of_two(connections < 4096 ? 8192 : connections * 2);
  params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  ring->turn_ns = TURN_NS;
  ring->fd = (int)syscall(SYS_io_uring_setup, SUBMISSIONS, &params);
  if (ring->fd < 0) return false;
  unsigned need = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;
  if ((params.features & need) != need) return false;

  size_t sq_length = params.sq_off.array + params.sq_entries * sizeof(unsigned);
  size_t cq_length = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
  char *rings = map(sq_length > cq_length ? sq_length : cq_length, ring->fd, IORING_OFF_SQ_RING);
  ring->sqes = map(params.sq_entries * sizeof(struct io_uring_sqe), ring->fd, IORING_OFF_SQES);
  ring->sq_head = (unsigned *)(rings + params.sq_off.head);
  ring->sq_tail = (unsigned *)(rings + params.sq_off.tail);
  ring->sq_mask = params.sq_entries - 1;
  ring->cq_head = (unsigned *)(rings + params.cq_off.head);
  ring->cq_tail = (unsigned *)(rings + params.cq_off.tail);
  ring->cq_mask = params.cq_entries - 1;
  ring->cqes = (struct io_uring_cqe *)(rings + params.cq_off.cqes);
  /* Entries are used in order, so the index array is constant. */
  unsigned *array = (unsigned *)(rings + params.sq_off.array);
  for (unsigned i = 0; i < params.sq_entries; i++) array[i] = i;
  ring->tail = *ring->sq_tail;
  return true;
}

/* Registered files save the kernel a look-up of the descriptor at each submission. */
bool ring_add_files(struct ring *ring, const int *fds, unsigned count) {
  return syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_FILES, fds, count) == 0;
}

bool ring_add_buffers(struct ring *ring, unsigned length, unsigned count) {
  ring->buffer_length = length;
  ring->buffer_count = power_of_two(count);
  ring->memory = map((size_t)ring->buffer_count * length, -1, 0);
  ring->buffers = map(ring->buffer_count * sizeof(struct io_uring_buf), -1, 0);
  struct io_uring_buf_reg registration = {
      .ring_addr = (uint64_t)(uintptr_t)ring->buffers, .ring_entries = ring->buffer_count};
  if (syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_PBUF_RING, &registration, 1) < 0) {
    return false;
  }
  for (unsigned i = 0; i < ring->buffer_count; i++) ring_give_back(ring, (unsigned short)i);
  ring_publish_buffers(ring);
  return true;
}

void ring_enter(struct ring *ring, unsigned wanted) {
  __atomic_store_n(ring->sq_tail, ring->tail, __ATOMIC_RELEASE);
  unsigned pending = ring->tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
  struct __kernel_timespec time = {.tv_nsec = ring->turn_ns};
  struct io_uring_getevents_arg argument = {
      .ts = ring->turn_ns > 0 ? (uint64_t)(uintptr_t)&time : 0};
  long result = syscall(SYS_io_uring_enter, ring->fd, pending, wanted,
                        IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof argument);
  if (result < 0 && errno != ETIME && errno != EINTR && errno != EAGAIN && errno != EBUSY) {
    fail("io_uring_enter");
  }
}

struct io_uring_sqe *ring_submission(struct ring *ring) {
  while (ring->tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE) > ring->sq_mask) {
    ring_enter(ring, 0);
  }
  struct io_uring_sqe *sqe = &ring->sqes[ring->tail++ & ring->sq_mask];
  memset(sqe, 0, sizeof *sqe);
  return sqe;
}
#endif
