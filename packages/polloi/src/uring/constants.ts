/** The constants of io_uring, as <linux/io_uring.h> spells them. */

// io_uring_setup(2)
export const IORING_SETUP_CQSIZE = 0x0008;
export const IORING_SETUP_CLAMP = 0x0010;
export const IORING_SETUP_SUBMIT_ALL = 0x0080;
export const IORING_SETUP_COOP_TASKRUN = 0x0100;
export const IORING_SETUP_TASKRUN_FLAG = 0x0200;
export const IORING_SETUP_SINGLE_ISSUER = 0x1000;
export const IORING_SETUP_DEFER_TASKRUN = 0x2000;

export const IORING_FEAT_SINGLE_MMAP = 0x0001;
export const IORING_FEAT_NODROP = 0x0002;
export const IORING_FEAT_FAST_POLL = 0x0020;
export const IORING_FEAT_EXT_ARG = 0x0100;
export const IORING_FEAT_CQE_SKIP = 0x0800;

export const IORING_OFF_SQ_RING = 0;
export const IORING_OFF_SQES = 0x1000_0000;

// Bits in the rings, set by the kernel or by its caller.
export const IORING_SQ_CQ_OVERFLOW = 0x2;
export const IORING_SQ_TASKRUN = 0x4;
export const IORING_CQ_EVENTFD_DISABLED = 0x1;

// io_uring_enter(2)
export const IORING_ENTER_GETEVENTS = 0x01;
export const IORING_ENTER_EXT_ARG = 0x08;

// io_uring_register(2)
export const IORING_REGISTER_EVENTFD = 4;
export const IORING_REGISTER_PBUF_RING = 22;
export const IORING_UNREGISTER_PBUF_RING = 23;
export const IORING_REGISTER_SYNC_CANCEL = 24;
/** A buffer is consumed incrementally, by one receive after another. Linux 6.12. */
export const IOU_PBUF_RING_INC = 2;

/** The operation of a submission. */
export const IORING_OP = {
  NOP: 0,
  FSYNC: 3,
  POLL_ADD: 6,
  POLL_REMOVE: 7,
  TIMEOUT: 11,
  TIMEOUT_REMOVE: 12,
  ACCEPT: 13,
  ASYNC_CANCEL: 14,
  LINK_TIMEOUT: 15,
  CONNECT: 16,
  OPENAT: 18,
  CLOSE: 19,
  READ: 22,
  WRITE: 23,
  SEND: 26,
  RECV: 27,
  SPLICE: 30,
  SHUTDOWN: 34,
  SOCKET: 45,
} as const;

// Flags of any submission.
export const IOSQE_IO_LINK = 0x04;
export const IOSQE_IO_HARDLINK = 0x08;
export const IOSQE_ASYNC = 0x10;
export const IOSQE_BUFFER_SELECT = 0x20;
export const IOSQE_CQE_SKIP_SUCCESS = 0x40;

// Flags of one kind of submission.
export const IORING_RECVSEND_POLL_FIRST = 1;
export const IORING_RECV_MULTISHOT = 2;
export const IORING_ACCEPT_MULTISHOT = 1;
export const IORING_POLL_ADD_MULTI = 1;
export const IORING_ASYNC_CANCEL_ALL = 1;
export const IORING_ASYNC_CANCEL_FD = 2;
export const IORING_ASYNC_CANCEL_ANY = 4;
export const IORING_TIMEOUT_ABS = 1;
export const IORING_TIMEOUT_MULTISHOT = 64;
export const IORING_FSYNC_DATASYNC = 1;
/** The length of a NOP is its result. Linux 6.10. */
export const IORING_NOP_INJECT_RESULT = 1;

// Flags of a completion.
export const IORING_CQE_F_BUFFER = 0x1;
export const IORING_CQE_F_MORE = 0x2;
export const IORING_CQE_F_SOCK_NONEMPTY = 0x4;
/** The buffer is not consumed completely; further receives use the rest. */
export const IORING_CQE_F_BUF_MORE = 0x10;
export const IORING_CQE_BUFFER_SHIFT = 16;
