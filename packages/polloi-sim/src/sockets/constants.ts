/** Numbers of the kernel that polloi itself does not use. */
import {
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDBAND,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from "polloi/internal/pure";

// States of a connection. Unix sockets use them too. Source: include/net/tcp_states.h
export const TCP_ESTABLISHED = 1;
export const TCP_SYN_SENT = 2;
export const TCP_FIN_WAIT1 = 4;
export const TCP_FIN_WAIT2 = 5;
export const TCP_CLOSE = 7;
export const TCP_CLOSE_WAIT = 8;
export const TCP_LAST_ACK = 9;
export const TCP_LISTEN = 10;
export const TCP_CLOSING = 11;

// Which halves of a socket are shut down. Source: include/net/sock.h
export const RCV_SHUTDOWN = 1;
export const SEND_SHUTDOWN = 2;
export const SHUTDOWN_MASK = 3;

// The masks of wake-ups. Source: net/core/sock.c, sock_def_readable, sock_def_write_space, sock_def_error_report
export const WAKE_READABLE: number = POLLIN | POLLPRI | POLLRDNORM | POLLRDBAND;
export const WAKE_WRITABLE: number = POLLOUT | POLLWRNORM | POLLWRBAND;

export const READABLE: number = POLLIN | POLLRDNORM;
export const WRITABLE: number = POLLOUT | POLLWRNORM;

export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_DETACH_FILTER = 27;
export const SO_ATTACH_REUSEPORT_CBPF = 51;
export const SO_DETACH_REUSEPORT_BPF = 68;

export const SIOCGIFNAME = 0x8910;
export const SIOCGIFINDEX = 0x8933;

export const SOCK_TYPE_MASK = 0xf;
/** The number of socket types. Source: include/linux/net.h */
export const SOCK_MAX = 11;
/** The number of address families. Source: include/linux/socket.h */
export const AF_MAX = 46;
