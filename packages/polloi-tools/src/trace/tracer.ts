import {
  errnoCode,
  hookCalls,
  type Kernel,
  type Libc,
  type MemoryMap,
  type Native,
  proxyKernel,
  RingReader,
} from "polloi/internal";
import { EPOLL_CTL_DEL } from "polloi/select";
import { excerptAt, fdOf, shownArgs, shownNumbered } from "./calls.ts";
import { Descriptors, type Known, subjectOf } from "./descriptors.ts";
import type { CallEvent, Untimed } from "./event.ts";
import { nameOf, SYSCALLS } from "./names.ts";
import { RingTrace } from "./ring-trace.ts";
import { type TraceOptions, TurnLog } from "./turn-log.ts";
import { EpollTags, type Wait, waitOf } from "./waits.ts";

/** Enough for the address of a peer. */
const SCRATCH_BYTES = 4096;

/**
 * Makes events of all calls through a kernel.
 *
 * @remarks
 * Only programs that use {@link Tracer.kernel} are traced. The tracer reads the arguments and results of a call from
 * the memory that is shared with the kernel, and changes none of it. Its own calls are not traced. It never throws into
 * the program: an error ends the trace only.
 *
 * @example
 * ```ts nocheck
 * const tracer = new Tracer(kernel, { event: (event) => console.error(event), ... });
 * const reactor = new Reactor({ kernel: tracer.kernel });
 * ```
 */
export class Tracer {
  /** The kernel to pass to a reactor. */
  readonly kernel: Kernel;
  readonly #log: TurnLog;
  readonly #now: () => number;
  readonly #memory: MemoryMap;
  readonly #descriptors: Descriptors;
  readonly #rings: RingTrace;
  readonly #tags: EpollTags = new EpollTags();
  /** Whether the runtime's loop has called. All waits until the callback returns belong to its turn. */
  #woken = false;

  constructor(kernel: Kernel, options: TraceOptions) {
    this.#now = kernel.now;
    this.#log = new TurnLog(options, kernel.now);
    const scratch = kernel.arenas.map(SCRATCH_BYTES);
    this.#descriptors = new Descriptors({ ...kernel, scratch });
    const rings = new RingReader(kernel);
    this.#memory = rings.memory;
    this.#rings = new RingTrace(rings, this.#descriptors);
    this.kernel = proxyKernel(rings.kernel, {
      calls: (libc) => hookCalls(libc, (name, args, call) => this.#call(name, args, call)),
      watch: (watch) => (fd, onReadable) =>
        watch(fd, () => {
          if (this.#log.over) return onReadable();
          this.#guarded(() => this.#log.begin(kernel.now(), kernel.runtime));
          this.#woken = true;
          try {
            return onReadable();
          } finally {
            this.#woken = false;
            this.#guarded(() => this.#log.finish(kernel.now()));
          }
        }),
    });
  }

  /** Ends the trace. The traced program continues. */
  end(reason: string): void {
    this.#log.end(reason);
  }

  /** Ends the trace without an event, because nothing reads it any more. */
  drop(): void {
    this.#log.drop();
  }

  #call(name: keyof Libc, args: readonly number[], call: Native): number {
    if (this.#log.over) return call(...args);
    const wait = this.#guarded(() => this.#before(name, args));
    const start = this.#now();
    const result = call(...args);
    const end = this.#now();
    this.#guarded(() => this.#after({ call: name, args, wait, result, start, end }));
    return result;
  }

  /** An error in the trace ends the trace, and nothing else. */
  #guarded<T>(step: () => T): T | undefined {
    try {
      return step();
    } catch (error) {
      this.#log.fail(error as Error);
      return undefined;
    }
  }

  #before(call: keyof Libc, args: readonly number[]): Wait | undefined {
    const wait = waitOf(call, args, this.#memory);
    if (wait === undefined) return undefined;
    const now = this.#now();
    // A wait begins a new turn.
    if (wait.waits && !this.#woken) this.#log.begin(now);
    if (wait.ring >= 0) {
      for (const event of this.#rings.submitted(wait.ring, now)) this.#log.add(event, now);
      if (!this.#woken) this.#log.flush();
    }
    return wait;
  }

  #after(done: Done): void {
    if (done.wait !== undefined) this.#waited(done.wait, done);
    else if (done.call === "syscall") this.#numbered(done);
    else this.#called(done);
    if (!this.#woken) this.#log.flush();
  }

  #waited(wait: Wait, done: Done): void {
    const { call, args, fd, timeoutMs, waits } = wait;
    const { start, end } = done;
    if (wait.ring >= 0) this.#rings.entered(start);
    const subject = fd < 0 ? {} : subjectOf(this.#descriptors.of(fd));
    const common = { call, ...subject, args, ...outcomeOf(done) };
    if (waits) this.#log.add({ event: "wait", ...common, timeoutMs }, end);
    else this.#log.add({ event: "call", ...common }, end);
    const count = Math.max(done.result, 0);
    for (const { fd: ready, events } of wait.ready(this.#memory, this.#tags, count)) {
      const known = ready < 0 ? {} : subjectOf(this.#descriptors.of(ready));
      this.#log.add({ event: "ready", ...known, events }, end);
    }
    this.#completions(wait.ring, end);
  }

  #completions(ring: number, at: number): void {
    if (ring < 0) return;
    for (const event of this.#rings.completed(ring, at)) this.#log.add(event, at);
  }

  /** A call by its number that is not a wait. */
  #numbered(done: Done): void {
    const [number = 0, ...args] = done.args;
    const { result, end } = done;
    const call = `${nameOf(SYSCALLS, number)}`;
    const [first = -1] = args;
    if (call === "io_uring_setup" && result >= 0) this.#descriptors.named(result, "ring");
    this.#log.add(
      {
        event: "call",
        call,
        ...(call === "io_uring_setup" ? {} : subjectOf(this.#descriptors.of(first))),
        args: shownNumbered(call, args, this.#memory),
        ...outcomeOf(done),
      },
      end,
    );
    if (call !== "io_uring_register") return;
    // A cancellation completes operations.
    this.#completions(first, end);
  }

  #called(done: Done): void {
    const { call, args, result } = done;
    const fd = fdOf(call, args);
    const known = this.#descriptors.of(fd);
    const learned = result < 0 ? {} : this.#learn(done, known);
    this.#log.add(
      {
        event: "call",
        call,
        ...(fd < 0 ? {} : subjectOf(known)),
        args: shownArgs(call, args, this.#memory),
        ...outcomeOf(done),
        ...learned,
      },
      done.end,
    );
  }

  /** Excerpts are made of connections only, not of an eventfd. */
  #contents({ connection }: Known, address: number, length: number): { readonly data?: string } {
    const data = connection === undefined ? undefined : excerptAt(this.#memory, address, length);
    return data === undefined ? {} : { data };
  }

  /** Learns from a call that succeeded. @returns Additional fields of its event. */
  #learn({ call, args, result }: Done, known: Known): Partial<Untimed<CallEvent>> {
    const [first = -1, second = 0, third = -1, fourth = 0] = args;
    const descriptors = this.#descriptors;
    switch (call) {
      case "accept4": {
        const { connection, peer } = descriptors.accepted(result);
        return { connection: connection as number, ...(peer === undefined ? {} : { peer }) };
      }
      case "listen": {
        const { name } = descriptors.listening(first);
        return { name: name as string, address: descriptors.localAddress(first) };
      }
      case "epoll_create1":
        descriptors.named(result, "epoll");
        return {};
      case "eventfd":
        descriptors.named(result, "eventfd");
        return {};
      case "epoll_ctl":
        if (second !== EPOLL_CTL_DEL) this.#tags.put(first, third, this.#memory, fourth);
        return {};
      case "close":
        descriptors.closed(first);
        this.#rings.closed(first);
        this.#tags.closed(first);
        return known.connection === undefined ? {} : { received: known.received, sent: known.sent };
      case "recv":
      case "recvfrom":
      case "read":
        known.received += result;
        return this.#contents(known, second, result);
      case "send":
      case "sendto":
      case "write":
        known.sent += result;
        return this.#contents(known, second, result);
      case "sendfile":
        known.sent += result;
        return {};
      default:
        return {};
    }
  }
}

/** A call that has returned. */
interface Done {
  readonly call: keyof Libc;
  readonly args: readonly number[];
  readonly wait: Wait | undefined;
  readonly result: number;
  /** The times at which it began and ended. */
  readonly start: number;
  readonly end: number;
}

function outcomeOf({ result, start, end }: Done): {
  readonly result: number;
  readonly errno?: string;
  readonly us: number;
} {
  const us = Math.round((end - start) * 10_000) / 10;
  return result < 0 ? { result, errno: errnoCode(-result), us } : { result, us };
}
