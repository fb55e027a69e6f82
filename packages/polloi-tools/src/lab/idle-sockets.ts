import { ERRNO, SysError } from "polloi";
import {
  check,
  F_DUPFD_CLOEXEC,
  FD_SETSIZE,
  type Kernel,
  type Poller,
  ReadyBatch,
} from "polloi/internal";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM } from "polloi/socket";

/** The numbers and kinds of sockets. */
export interface SocketOptions {
  /** Sockets that are watched and never ready. */
  readonly idle: number;
  /** Socket pairs that carry bytes. */
  readonly active: number;
  /** Whether an idle socket is one end of a pair, which takes two descriptors. */
  readonly pairs: boolean;
}

/** The events and waits of a chain of writes. */
export interface ChainCounts {
  /** Descriptors that were reported as ready and read. */
  events: number;
  /** Waits that reported them. */
  waits: number;
}

/** The tag of every idle socket. An engine must never report it. */
const IDLE = 0xffff_ffff;
/** An engine reports a ready descriptor at once. It has failed if it takes longer than this. */
const LOST_AFTER_MS = 2000;
/** A read that returns fewer bytes than this has emptied the socket, which re-arms an edge. epoll(7) */
const READ_BYTES = 64;

/**
 * Sockets for an engine to watch: a few active ones that pass bytes around, evenly distributed among many idle ones.
 *
 * @remarks
 * An idle socket is an unbound unix datagram socket, to which no process can send. It is never readable, never reports
 * a hang-up, and takes one descriptor; one end of a pair takes two.
 *
 * Descriptors are watched in the order of their numbers, with active ones in between, so that no engine finds all
 * ready ones at the start. Descriptors that are only written to are above 1023, the limit of select.
 */
export class IdleSockets implements Disposable {
  readonly idle: number;
  readonly active: number;
  /** The highest watched descriptor. */
  readonly highest: number;
  readonly #kernel: Kernel;
  /** All watched descriptors, in order. */
  readonly #watched: Int32Array;
  /** The tag of each: its index among the active ones, or IDLE. */
  readonly #tags: Uint32Array;
  readonly #readers: Int32Array;
  readonly #writers: Int32Array;
  /** Open descriptors that are not watched: the other ends of pairs. */
  readonly #others: number[] = [];
  readonly #batch: ReadyBatch;
  /** The bytes read from each descriptor of the batch. */
  readonly #received: Int32Array;

  /** @throws SysError `EMFILE`, `ENFILE`, `ENOBUFS` or `ENOMEM` when the sockets cannot be opened. */
  constructor(kernel: Kernel, { idle, active, pairs }: SocketOptions) {
    this.#kernel = kernel;
    this.idle = idle;
    this.active = active;
    this.#watched = new Int32Array(idle + active).fill(-1);
    this.#tags = new Uint32Array(idle + active).fill(IDLE);
    this.#readers = new Int32Array(active);
    this.#writers = new Int32Array(active);
    // One larger than the number of active sockets, so that a reported idle socket is noticed.
    this.#batch = new ReadyBatch(active + 1);
    this.#received = new Int32Array(active + 1);
    try {
      for (let j = 0; j < active; j++) this.#tags[activeIndex(j, { idle, active })] = j;
      this.#watched.forEach((_, index) => {
        const tag = this.#tags[index] as number;
        this.#watched[index] = tag === IDLE ? this.#openIdle(pairs) : this.#openActive(tag);
      });
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
    this.highest = this.#watched.reduce((most, fd) => Math.max(most, fd), -1);
  }

  /**
   * Adds all of them to an engine.
   *
   * @throws SysError of the engine's `add`, or with a hint when it reports a socket to which nothing was sent.
   */
  watchBy(poller: Poller, interest: number): void {
    this.#watched.forEach((fd, index) => {
      check(poller.add(fd, interest, this.#tags[index] as number), poller.name, { fd });
    });
    const ready = check(poller.wait(this.#batch, 0), poller.name);
    if (ready > 0) throw unexpected(poller, "it reported a socket to which nothing was sent");
  }

  /**
   * Sends a byte to each active socket, then waits, reads and writes until `writes` more bytes were written and all
   * were read. Each byte that was read is written to the next active socket.
   *
   * @remarks
   * Everything that a wait reports is read before anything is written, so a socket never holds two bytes, and every
   * engine makes the same calls: per event one read, one write, and its share of a wait.
   *
   * @throws SysError of the wait, or with a hint when a ready socket is not reported, or an idle one is.
   */
  chain(poller: Poller, writes: number, counts: ChainCounts): void {
    const { active } = this;
    const batch = this.#batch;
    const received = this.#received;
    const { libc, scratch } = this.#kernel;
    const buffer = scratch.address;
    for (let j = 0; j < active; j++) libc.write(this.#writers[j] as number, buffer, 1);
    let unread = active + writes;
    let unwritten = writes;
    while (unread > 0) {
      const count = poller.wait(batch, LOST_AFTER_MS);
      if (count <= 0) throw this.#waitFailed(poller, count);
      counts.waits++;
      for (let i = 0; i < count; i++) {
        const tag = batch.tags[i] as number;
        if (tag === IDLE) throw unexpected(poller, "it reported an idle socket");
        const bytes = this.#drain(this.#readers[tag] as number);
        received[i] = bytes;
        unread -= bytes;
        if (bytes > 0) counts.events++;
      }
      for (let i = 0; i < count && unwritten > 0; i++) {
        const next = ((batch.tags[i] as number) + 1) % active;
        const bytes = Math.min(received[i] as number, unwritten);
        if (bytes > 0) libc.write(this.#writers[next] as number, buffer, bytes);
        unwritten -= bytes;
      }
    }
  }

  /** Closes every socket. Safe to call twice. */
  [Symbol.dispose](): void {
    const { libc } = this.#kernel;
    for (const fd of [...this.#watched, ...this.#others]) if (fd >= 0) libc.close(fd);
    this.#watched.fill(-1);
    this.#others.length = 0;
  }

  /** Reads until the socket is empty, as edge-triggered engines require; the same for every engine. */
  #drain(fd: number): number {
    const { libc, scratch } = this.#kernel;
    let all = 0;
    for (;;) {
      const bytes = libc.read(fd, scratch.address, READ_BYTES);
      if (bytes > 0) all += bytes;
      if (bytes < READ_BYTES) return all;
    }
  }

  #waitFailed(poller: Poller, result: number): SysError {
    if (result < 0) return new SysError(poller.name, result);
    return unexpected(poller, `it did not report a ready socket within ${LOST_AFTER_MS} ms`);
  }

  #openIdle(pairs: boolean): number {
    if (pairs) {
      const [watched, other] = this.#openPair();
      this.#others.push(other);
      return watched;
    }
    const type = SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    return check(this.#kernel.libc.socket(AF_UNIX, type, 0), "socket");
  }

  #openActive(j: number): number {
    const [reader, writer] = this.#openPair();
    const { libc } = this.#kernel;
    // It keeps its number where the limit is too low.
    const high = libc.fcntl(writer, F_DUPFD_CLOEXEC, FD_SETSIZE);
    if (high >= 0) libc.close(writer);
    this.#readers[j] = reader;
    this.#writers[j] = high >= 0 ? high : writer;
    this.#others.push(this.#writers[j] as number);
    return reader;
  }

  #openPair(): [number, number] {
    const { libc, scratch } = this.#kernel;
    const type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    check(libc.socketpair(AF_UNIX, type, 0, scratch.address), "socketpair");
    return [scratch.i32[0] as number, scratch.i32[1] as number];
  }
}

/** The index of the `j`-th active socket among all: in the middle of its share. */
export function activeIndex(
  j: number,
  { idle, active }: Pick<SocketOptions, "idle" | "active">,
): number {
  return Math.floor(((j + 0.5) * (idle + active)) / active);
}

function unexpected(poller: Poller, hint: string): SysError {
  return new SysError(poller.name, ERRNO.EIO, { hint });
}
