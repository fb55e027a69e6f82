import { ERRNO } from "../base/errno.ts";
import { check, SysError } from "../base/sys-error.ts";
import type { SocketAddress } from "../socket/address.ts";
import { IPPROTO_TCP, SOL_SOCKET, TCP_NODELAY } from "../socket/constants.ts";
import {
  isDualStack,
  type ListenOptions,
  openServer,
  refuseConnections,
} from "../socket/listener.ts";
import { readLocalAddress, setIntOption } from "../socket/raw.ts";
import { AT_BYTES } from "../socket/scratch.ts";
import { SocketFile } from "../socket/socket-file.ts";
import { F_DUPFD_CLOEXEC } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";

/** Where to listen: host and port, or path, or address, as for `listen`. */
export type PoolAddress = Omit<ListenOptions, "nonBlocking" | "type">;

/** How children share the work of accepting. */
export type Sharing = "exclusive" | "reuseport";

/** How {@link Listeners} are opened. */
export interface ListenersOptions {
  readonly where: PoolAddress;
  /** `"exclusive"`: one listener for all children. `"reuseport"`: one for each, on one port (SO_REUSEPORT). */
  readonly sharing: Sharing;
  readonly count: number;
  /** Whether to set TCP_NODELAY, which accepted sockets inherit. */
  readonly noDelay?: boolean;
}

/**
 * The listening sockets of children, which the main thread opens and keeps open.
 *
 * @remarks
 * A child receives a second descriptor of its socket. When the child exits unexpectedly the socket is still open, and
 * the child that replaces it accepts the connections that wait in the backlog. A unix socket has no SO_REUSEPORT: there
 * all children accept from one socket.
 */
export class Listeners {
  /** The address of all of them. */
  readonly address: SocketAddress;
  readonly #kernel: Kernel;
  /** The file of a unix socket, which is removed here, and by no child. */
  #file: SocketFile | undefined;
  /** By child; -1 when it is closed. If there is only one, all children share it. */
  readonly #fds: number[] = [];
  /** The indexes of children, by the numbers that their sockets have in the kernel's group. */
  readonly #group: number[] = [];
  /** Whether the group can be steered: it has no sockets of other processes, whose numbers are unknown here. */
  readonly #steerable: boolean;
  #steered = false;

  /**
   * Opens all sockets, so that connections are spread over all children from the first connection on.
   *
   * @throws SysError `EADDRINUSE` when another socket listens there, unless `reusePort` is given; `setsockopt`
   * when the kernel refuses SO_REUSEPORT; what `listen` throws. Nothing stays open.
   */
  constructor(kernel: Kernel, { where, sharing, count, noDelay = false }: ListenersOptions) {
    this.#kernel = kernel;
    const { host: _, hostname: __, port, path, address, ...how } = where;
    const isUnix = path !== undefined || address?.path !== undefined;
    const reusePort = sharing === "reuseport" && !isUnix;
    this.#steerable = reusePort && where.reusePort !== true;
    // With SO_REUSEPORT, sockets of the same user share a port without an error. Only a socket without it finds out
    // whether the port is in use.
    if (this.#steerable && (port ?? address?.port ?? 0) !== 0) {
      kernel.libc.close(openServer(kernel, where));
    }
    try {
      this.#open(sharing === "reuseport" ? { ...where, reusePort } : where, reusePort);
      this.address = readLocalAddress(kernel, this.fd) as SocketAddress;
      this.#file = SocketFile.of(kernel, this.address);
      const dualStack = isDualStack(kernel, this.fd);
      for (let i = 1; reusePort && i < count; i++) {
        this.#open({ ...how, address: this.address, dualStack, reusePort }, reusePort);
      }
      if (noDelay && this.address.path === undefined) {
        for (const fd of this.#fds) setIntOption(kernel, fd, IPPROTO_TCP, TCP_NODELAY, 1);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Whether all children accept from one socket. */
  get isShared(): boolean {
    return this.#fds.length === 1;
  }

  /** The socket that all children share; -1 when it is closed. */
  get fd(): number {
    return this.#fds[0] as number;
  }

  /**
   * Duplicates the descriptor of a child's listener. The caller closes it.
   *
   * @throws SysError `EMFILE`
   */
  duplicate(index: number): number {
    const fd = this.#fds[index] ?? this.fd;
    return check(this.#kernel.libc.fcntl(fd, F_DUPFD_CLOEXEC, 0), "fcntl", { fd });
  }

  /** Closes the listener of a child that is not replaced any more, unless others share it. */
  giveUp(index: number): void {
    if (this.isShared || (this.#fds[index] as number) < 0) return;
    this.#close(index);
    // The last socket of the group takes the number of the one that leaves.
    const number = this.#group.indexOf(index);
    const last = this.#group.pop();
    if (last !== undefined && number < this.#group.length) this.#group[number] = last;
  }

  /**
   * Sends new connections only to the children that accept them; to all, if none does.
   *
   * @remarks
   * Has no effect where `reusePort` was given, since the group may have sockets of other processes, and where all
   * children accept from one socket.
   */
  steer(accepts: (index: number) => boolean): void {
    const fd = this.#fds.find((each) => each >= 0);
    if (!this.#steerable || fd === undefined) return;
    const numbers = [...this.#group.keys()];
    const chosen = numbers.filter((number) => accepts(this.#group[number] as number));
    const all = chosen.length === numbers.length || chosen.length === 0;
    if (all && !this.#steered) return;
    // Before Linux 5.3 the program cannot be detached. A program that picks among all sockets takes its place.
    if (!all || steerGroup(this.#kernel, fd, []) < 0) {
      this.#steered = steerGroup(this.#kernel, fd, all ? numbers : chosen) >= 0;
    } else this.#steered = false;
  }

  /**
   * Refuses new connections. Those that wait in a backlog can still be accepted. On a unix socket, accept fails with
   * EINVAL from then on when the backlog is empty.
   */
  refuse(): void {
    for (const fd of this.#fds) if (fd >= 0) refuseConnections(this.#kernel, fd);
  }

  /** Closes all descriptors. Duplicates continue listening until they are closed. */
  close(): void {
    this.#file?.remove();
    for (let i = 0; i < this.#fds.length; i++) this.#close(i);
  }

  #open(options: ListenOptions, reusePort: boolean): void {
    try {
      const fd = openServer(this.#kernel, { ...options, nonBlocking: true });
      this.#group.push(this.#fds.length);
      this.#fds.push(fd);
    } catch (error) {
      throw reusePort ? explained(error, this.#fds.length) : error;
    }
  }

  #close(index: number): void {
    const fd = this.#fds[index] as number;
    this.#fds[index] = -1;
    if (fd >= 0) this.#kernel.libc.close(fd);
  }
}

/** Adds a hint where the caller's options are right, and the kernel does not let sockets share a port. */
function explained(error: unknown, opened: number): unknown {
  if (!(error instanceof SysError)) return error;
  const { syscall, errno, address, port } = error;
  if (opened === 0 && syscall !== "setsockopt") return error;
  const hint =
    "the kernel does not let several sockets listen on one port (SO_REUSEPORT), which workers need; do without them";
  return new SysError(syscall, errno, { address, port, hint });
}

const SO_ATTACH_REUSEPORT_CBPF = 51;
const SO_DETACH_REUSEPORT_BPF = 68;

/** `struct sock_filter`: u16 code, u8 jt, u8 jf, u32 k. */
const FILTER_SIZE = 8;
/** `struct sock_fprog`: u16 len, padding, a pointer. */
const FPROG_SIZE = 16;
/** Where the program is, behind its `sock_fprog`. It is not in memory of its own, for which the system may have none. */
const PROGRAM_AT: number = AT_BYTES + FPROG_SIZE;
/** The longest program. Source: include/uapi/linux/bpf_common.h */
const BPF_MAXINSNS = 4096;

const LD_WORD_ABS = 0x20;
const MOD_K = 0x94;
const JEQ_K = 0x15;
const RET_K = 0x06;
/** SKF_AD_OFF + SKF_AD_RANDOM: loads a random number instead of bytes of the packet. */
const RANDOM = 0xffff_f000 + 56;

/**
 * Attaches a BPF program that chooses the sockets of an SO_REUSEPORT group which receive new connections.
 *
 * @remarks
 * Without a program the kernel picks a socket by a hash of the connection's addresses, including sockets whose thread
 * is in an endless loop. This classic BPF program picks at random among the chosen sockets. Nothing is closed, so
 * connections that already wait in the backlogs of the other sockets stay there. The program identifies sockets by
 * their number in the group, which is the order in which they began to listen; when one leaves, the last takes its
 * number.
 *
 * @param fd - Any socket of the group.
 * @param chosen - Numbers in the group. If empty, the program is detached and the kernel chooses among all.
 * @returns 0, or `-errno` where the kernel does not support it.
 * @source socket(7), SO_ATTACH_REUSEPORT_CBPF; Documentation/networking/filter.rst; net/core/sock_reuseport.c
 */
function steerGroup(kernel: Kernel, fd: number, chosen: readonly number[]): number {
  const { libc, scratch } = kernel;
  if (chosen.length === 0) {
    return libc.setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, scratch.address, 4);
  }
  const count = 3 + 2 * (chosen.length - 1);
  // As the kernel would return.
  if (count > BPF_MAXINSNS) return -ERRNO.EINVAL;
  const write = (index: number, code: number, skipIfNot: number, k: number): void => {
    const at = PROGRAM_AT + index * FILTER_SIZE;
    scratch.view.setUint16(at, code, true);
    scratch.u8[at + 2] = 0;
    scratch.u8[at + 3] = skipIfNot;
    scratch.view.setUint32(at + 4, k, true);
  };
  write(0, LD_WORD_ABS, 0, RANDOM);
  write(1, MOD_K, 0, chosen.length);
  let at = 2;
  for (const [i, number] of chosen.slice(0, -1).entries()) {
    write(at++, JEQ_K, 1, i);
    write(at++, RET_K, 0, number);
  }
  write(at, RET_K, 0, chosen.at(-1) as number);
  scratch.view.setUint16(AT_BYTES, count, true);
  scratch.setWord(AT_BYTES + 8, scratch.address + PROGRAM_AT);
  const where = scratch.address + AT_BYTES;
  return libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, where, FPROG_SIZE);
}
