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

/** What stands in the field. */
export interface FieldOptions {
  /** Sockets that are watched and never ready. */
  readonly idle: number;
  /** Socket pairs through which bytes go. */
  readonly active: number;
  /** Whether an idle socket is one end of a pair of its own, which takes two descriptors. */
  readonly pairs: boolean;
}

/** What one chain of writes took. */
export interface ChainTally {
  /** Descriptors that were reported ready and read. */
  events: number;
  /** Waits that reported them. */
  waits: number;
}

/** The tag of every idle socket; none of them is ever to be reported. */
const IDLE = 0xffff_ffff;
/** A ready descriptor is reported at once; one that is not within this time has been lost. */
const LOST_AFTER_MS = 2000;
/** A read that gives fewer bytes than this has emptied the socket, so that an edge comes again. epoll(7) */
const READ_BYTES = 64;

/**
 * Sockets to be watched: a few through which bytes go round, evenly spread among many that stay silent.
 *
 * @remarks
 * An idle socket is a unix datagram socket without a name: nobody can send to it. It is never ready
 * for reading, has no hang-up to report, and takes one descriptor, where an end of a pair takes two.
 *
 * Descriptors are numbered in the order in which they are watched, active ones in between, so that no
 * engine finds all that is ready at the front. What is only written to lies above select's 1,024.
 */
export class IdleField implements Disposable {
  readonly idle: number;
  readonly active: number;
  /** The highest descriptor that is watched. */
  readonly highest: number;
  readonly #kernel: Kernel;
  /** All that is watched, in order. */
  readonly #watched: Int32Array;
  /** The tag of each: its number among the active, or IDLE. */
  readonly #tags: Uint32Array;
  readonly #readers: Int32Array;
  readonly #writers: Int32Array;
  /** What is held open and not watched: the far ends of pairs. */
  readonly #others: number[] = [];
  readonly #batch: ReadyBatch;
  /** By place in the batch: how many bytes were read. */
  readonly #taken: Int32Array;

  /** @throws SysError `EMFILE`, `ENFILE`, `ENOBUFS` or `ENOMEM` when there is no room for the sockets. */
  constructor(kernel: Kernel, { idle, active, pairs }: FieldOptions) {
    this.#kernel = kernel;
    this.idle = idle;
    this.active = active;
    this.#watched = new Int32Array(idle + active).fill(-1);
    this.#tags = new Uint32Array(idle + active).fill(IDLE);
    this.#readers = new Int32Array(active);
    this.#writers = new Int32Array(active);
    // Room for one more than can be ready, so that an idle one would be seen.
    this.#batch = new ReadyBatch(active + 1);
    this.#taken = new Int32Array(active + 1);
    try {
      for (let j = 0; j < active; j++) this.#tags[activePlace(j, { idle, active })] = j;
      this.#watched.forEach((_, place) => {
        const tag = this.#tags[place] as number;
        this.#watched[place] = tag === IDLE ? this.#openIdle(pairs) : this.#openActive(tag);
      });
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
    this.highest = this.#watched.reduce((most, fd) => Math.max(most, fd), -1);
  }

  /**
   * Puts all of them into an engine.
   *
   * @throws SysError of the engine's `add`, or with a hint when it reports a socket that got no byte yet.
   */
  watchBy(poller: Poller, interest: number): void {
    this.#watched.forEach((fd, place) => {
      check(poller.add(fd, interest, this.#tags[place] as number), poller.name, { fd });
    });
    const ready = check(poller.wait(this.#batch, 0), poller.name);
    if (ready > 0) throw unexpected(poller, "it reported a socket to which nothing was sent");
  }

  /**
   * Sends a byte to each active socket, then waits, reads and writes on until `writes` more were
   * written and all were read. A byte that was read goes to the next active socket of the ring.
   *
   * @remarks
   * All that a wait reports is read before anything is written, so a socket never holds two bytes, and
   * every engine makes the same calls: per event one read, one write, and its share of a wait.
   *
   * @throws SysError of the wait, or with a hint when a ready socket is not reported or an idle one is.
   */
  chain(poller: Poller, writes: number, tally: ChainTally): void {
    const { active } = this;
    const batch = this.#batch;
    const taken = this.#taken;
    const { libc, scratch } = this.#kernel;
    const buffer = scratch.address;
    for (let j = 0; j < active; j++) libc.write(this.#writers[j] as number, buffer, 1);
    let unread = active + writes;
    let unwritten = writes;
    while (unread > 0) {
      const count = poller.wait(batch, LOST_AFTER_MS);
      if (count <= 0) throw this.#waitFailed(poller, count);
      tally.waits++;
      for (let i = 0; i < count; i++) {
        const tag = batch.tags[i] as number;
        if (tag === IDLE) throw unexpected(poller, "it reported an idle socket");
        const bytes = this.#drain(this.#readers[tag] as number);
        taken[i] = bytes;
        unread -= bytes;
        if (bytes > 0) tally.events++;
      }
      for (let i = 0; i < count && unwritten > 0; i++) {
        const next = ((batch.tags[i] as number) + 1) % active;
        const bytes = Math.min(taken[i] as number, unwritten);
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

  /** Reads until nothing is left, as an edge-triggered engine demands; the same for every engine. */
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
    // Where the limit is too low for that, it may as well stay where it is.
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

/** Where the `j`-th active socket stands: in the middle of its part of the row. */
export function activePlace(
  j: number,
  { idle, active }: Pick<FieldOptions, "idle" | "active">,
): number {
  return Math.floor(((j + 0.5) * (idle + active)) / active);
}

function unexpected(poller: Poller, hint: string): SysError {
  return new SysError(poller.name, ERRNO.EIO, { hint });
}
