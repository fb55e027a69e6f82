/** Constants of io_uring that polloi itself does not use. Source: include/uapi/linux/io_uring.h, Linux 6.18. */

/** The number of operations of Linux 6.18: IORING_OP_LAST. */
export const OPERATIONS = 63;

export const IORING_OFF_CQ_RING = 0x800_0000;

// io_uring_setup(2)
export const IORING_SETUP_SQPOLL = 0x0002;
/** All flags of Linux 6.18. */
export const SETUP_FLAGS = 0x7_ffff;
export const MAX_ENTRIES = 32_768;
export const MAX_COMPLETION_ENTRIES = 65_536;
/** What Linux 6.18 reports: IORING_FEAT_FLAGS. */
export const FEATURES = 0x3_ffff;

// io_uring_enter(2)
export const ENTER_FLAGS = 0xff;
export const IORING_ENTER_EXT_ARG_REG = 0x40;
export const IORING_ENTER_ABS_TIMER = 0x20;
/** `struct io_uring_getevents_arg`: a signal mask, its size, the shortest wait, the address of a timespec. */
export const GETEVENTS_ARG_BYTES = 24;

// io_uring_register(2)
export const IORING_UNREGISTER_EVENTFD = 5;
export const IORING_REGISTER_LAST = 37;
export const IOU_PBUF_RING_MMAP = 1;
/** `struct io_uring_buf_reg` */
export const BUFFER_REGISTRATION_BYTES = 40;
/** `struct io_uring_sync_cancel_reg` */
export const SYNC_CANCEL_BYTES = 64;

// Flags of a submission.
export const IOSQE_FIXED_FILE = 0x01;
export const IOSQE_IO_DRAIN = 0x02;
export const IOSQE_FLAGS = 0x7f;

// Flags of one kind of submission.
export const IORING_RECVSEND_BUNDLE = 0x10;
export const IORING_ACCEPT_DONTWAIT = 2;
export const IORING_ACCEPT_POLL_FIRST = 4;
export const IORING_POLL_UPDATE_EVENTS = 2;
export const IORING_POLL_UPDATE_USER_DATA = 4;
export const IORING_ASYNC_CANCEL_FD_FIXED = 8;
export const IORING_ASYNC_CANCEL_USERDATA = 16;
export const IORING_ASYNC_CANCEL_OP = 32;
export const CANCEL_FLAGS = 0x3f;
export const IORING_TIMEOUT_UPDATE = 2;
export const IORING_TIMEOUT_CLOCKS = 0x0c;
export const IORING_TIMEOUT_LINK_UPDATE = 16;
export const IORING_TIMEOUT_ETIME_SUCCESS = 32;

/** A wake-up that io_uring itself has caused. Source: include/uapi/linux/eventpoll.h, EPOLL_URING_WAKE. */
export const POLL_URING_WAKE = 0x800_0000;
