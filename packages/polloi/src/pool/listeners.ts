import { check, SysError } from "../base/sys-error.ts";
import type { SocketAddress } from "../socket/address.ts";
import { type ListenOptions, openListener, refuseConnections } from "../socket/listener.ts";
import { readLocalAddress } from "../socket/raw.ts";
import { SocketFile } from "../socket/socket-file.ts";
import { F_DUPFD_CLOEXEC } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { steerGroup } from "./steering.ts";
import type { PoolAddress } from "./worker-options.ts";

/**
 * The listening sockets of a pool, one for each worker, which the main thread opens and keeps.
 *
 * @remarks
 * A worker is lent a second descriptor of its socket. When it crashes the socket is still open, and
 * what waits in its backlog is accepted by the worker that takes its place. A unix socket has no
 * SO_REUSEPORT: there all workers accept from one.
 */
export class PoolListeners {
  /** Where all of them listen. */
  readonly address: SocketAddress;
  readonly #kernel: Kernel;
  /** The file of a unix socket, which is removed here, and by no worker. */
  #file: SocketFile | undefined;
  /** By worker; -1 when it is closed. One alone is everybody's. */
  readonly #fds: number[] = [];
  /** The workers by the numbers that their sockets have in the kernel's group. */
  readonly #group: number[] = [];
  /** Sockets of others may be in the group, with numbers that nobody here knows. */
  readonly #alone: boolean;
  #steered = false;

  /**
   * Opens all of them, so that connections are spread over all workers from the first on.
   *
   * @throws SysError `EADDRINUSE` when something listens there, unless `reusePort` is given; `setsockopt`
   * when the kernel refuses SO_REUSEPORT; what `listen` throws. Nothing stays open.
   */
  constructor(kernel: Kernel, where: PoolAddress, count: number) {
    this.#kernel = kernel;
    const { host: _, port, path, address, ...how } = where;
    const shared = path === undefined && address?.path === undefined;
    this.#alone = shared && where.reusePort !== true;
    // Sockets of one user share a port with whoever else wants to, another pool among them. Only one
    // that does not finds out whether somebody is there.
    if (shared && where.reusePort !== true && (port ?? address?.port ?? 0) !== 0) {
      kernel.libc.close(openListener(kernel, where));
    }
    try {
      this.#open({ ...where, reusePort: shared });
      this.address = readLocalAddress(kernel, this.#fds[0] as number) as SocketAddress;
      this.#file = SocketFile.of(this.address);
      for (let i = 1; shared && i < count; i++) {
        this.#open({ ...how, address: this.address, reusePort: true });
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Whether all workers accept from one socket. */
  get isShared(): boolean {
    return this.#fds.length === 1;
  }

  /**
   * A descriptor of worker `index`'s listener, which is the caller's to close.
   *
   * @throws SysError `EMFILE`
   */
  lend(index: number): number {
    const fd = this.#fds[index] ?? (this.#fds[0] as number);
    return check(this.#kernel.libc.fcntl(fd, F_DUPFD_CLOEXEC, 0), "fcntl", { fd });
  }

  /** Nobody will accept in the place of worker `index`: the kernel is to send it no more connections. */
  giveUp(index: number): void {
    if (this.#fds.length <= 1) return;
    this.#close(index);
    const number = this.#group.indexOf(index);
    const last = this.#group.pop();
    if (last !== undefined && number < this.#group.length) this.#group[number] = last;
  }

  /**
   * Gives new connections only to those workers that accept them; to all, when none does.
   *
   * @remarks
   * Not where `reusePort` was given: the group may have sockets of other processes. And not on a unix socket, where
   * workers accept from one.
   */
  steer(accepts: (index: number) => boolean): void {
    const fd = this.#fds.find((each) => each >= 0);
    if (!this.#alone || fd === undefined) return;
    const numbers = [...this.#group.keys()];
    const chosen = numbers.filter((number) => accepts(this.#group[number] as number));
    const all = chosen.length === numbers.length || chosen.length === 0;
    if (all && !this.#steered) return;
    // Where the program cannot be taken off again (before Linux 5.3), one that picks among all takes its place.
    if (!all || steerGroup(this.#kernel, fd, []) < 0) {
      this.#steered = steerGroup(this.#kernel, fd, all ? numbers : chosen) >= 0;
    } else this.#steered = false;
  }

  /**
   * Has all of them take no new connections; what waits in their backlogs is accepted by the workers.
   *
   * @remarks
   * Not a unix socket: its accept would fail in workers that do not know yet that they are to stop.
   */
  refuse(): void {
    if (this.address.path !== undefined) return;
    for (const fd of this.#fds) if (fd >= 0) refuseConnections(this.#kernel, fd);
  }

  /** Closes all that are left. What workers were lent goes on listening until they close it. */
  close(): void {
    this.#file?.remove();
    for (let i = 0; i < this.#fds.length; i++) this.#close(i);
  }

  #open(options: ListenOptions): void {
    try {
      this.#group.push(this.#fds.length);
      this.#fds.push(openListener(this.#kernel, { ...options, nonBlocking: true }));
    } catch (error) {
      throw explained(error, this.#fds.length);
    }
  }

  #close(index: number): void {
    const fd = this.#fds[index] as number;
    this.#fds[index] = -1;
    if (fd >= 0) this.#kernel.libc.close(fd);
  }
}

/** Says what is not the caller's fault: that the kernel does not let sockets share a port. */
function explained(error: unknown, opened: number): unknown {
  if (!(error instanceof SysError)) return error;
  const { syscall, errno, address, port } = error;
  if (opened === 0 && syscall !== "setsockopt") return error;
  const hint =
    "the kernel does not let several sockets listen on one port (SO_REUSEPORT), which workers need; do without them";
  return new SysError(syscall, errno, { address, port, hint });
}
