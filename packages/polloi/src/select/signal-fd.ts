import { constants } from "node:os";
import type { HasFileno } from "../base/descriptor.ts";
import { ERRNO } from "../base/errno.ts";
import { printAs } from "../base/inspect.ts";
import { rangeError, show, typeError } from "../base/misuse.ts";
import { check } from "../base/sys-error.ts";
import { guard, unguard } from "../sys/abandoned.ts";
import { O_CLOEXEC, O_NONBLOCK } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernelOf } from "../sys/open.ts";
import { SignalRoutes } from "../sys/signal-routes.ts";

/** The name of a signal, as signal(7) spells it: `"SIGINT"`. */
export type SignalName = `SIG${string}`;

/** Options of a {@link SignalFd}. */
export interface SignalFdOptions {
  /** @internal The kernel to call. Default: the kernel of this thread. */
  readonly kernel?: Kernel;
}

const NUMBERS = constants.signals as Readonly<Record<string, number | undefined>>;

/** Signals that cannot be handled, or that are raised again as soon as their handler returns. */
const REFUSED: readonly string[] = [
  "SIGKILL",
  "SIGSTOP",
  "SIGSEGV",
  "SIGBUS",
  "SIGFPE",
  "SIGILL",
  "SIGTRAP",
];

let routes: SignalRoutes | undefined;

/**
 * A descriptor that is readable when a signal has been received, for a loop that blocks its thread.
 *
 * @remarks
 * The runtime calls its handlers of signals (`process.on("SIGINT", ...)`) in its event loop, and so never in a
 * loop that waits with `select`, `Poll`, `Epoll`, a selector or `reactor.run()`. Such a loop can wait for a
 * `SignalFd`. Ctrl-C then ends the loop, and `finally` and `using` clean up, as with `KeyboardInterrupt` in Python.
 *
 * While it is open, its signals neither end the process nor reach the runtime's handlers. Closing it restores
 * their previous effect. A `SignalFd` that is garbage-collected first is closed then, with a warning of the
 * process. A program whose event loop runs does not need it, and should use the runtime's handlers.
 *
 * It is a pipe, to which a signal handler writes. A signalfd(2) would require that the signal is blocked in every
 * thread of the runtime.
 *
 * @example
 * ```ts
 * using signals = new SignalFd(["SIGINT", "SIGTERM"]);
 * using server = createServer({ port: 7788 });
 * for (let running = true; running; ) {
 *   const [readable] = select([signals, server], [], []);
 *   if (readable.includes(signals)) running = signals.read() === null;
 *   if (readable.includes(server)) server.accept()?.socket.close();
 * }
 * ```
 * Source: signal(7), sigaction(2).
 */
export class SignalFd implements HasFileno, Disposable {
  static {
    printAs(SignalFd, (it) => ({
      fd: it.#reader,
      signals: it.#signals.map(nameOf).join(" "),
      state: it.#reader < 0 ? "closed" : "open",
    }));
  }

  readonly #kernel: Kernel;
  readonly #signals: readonly number[];
  #reader: number;
  readonly #release: () => void;
  readonly #guarded: object;

  /**
   * @param signals - The names of the signals to receive: at least one. Signals of another `SignalFd` of this
   * thread, and faults such as SIGSEGV, are not allowed.
   * @throws TypeError or RangeError `ERR_INVALID_OPTION` for a value that is not the name of a signal that can be
   * received; TypeError `ERR_ALREADY_REGISTERED` for a signal of another `SignalFd`; SysError `EMFILE`,
   * `ENFILE`, and `EACCES` where the system does not allow code to be generated at run time.
   */
  constructor(signals: Iterable<SignalName>, options: SignalFdOptions = {}) {
    const kernel = kernelOf(options, "new SignalFd()");
    this.#kernel = kernel;
    this.#signals = numbersOf(signals);
    routes ??= new SignalRoutes(kernel);
    for (const signal of this.#signals) {
      if (!routes.has(signal)) continue;
      throw typeError(
        "ERR_ALREADY_REGISTERED",
        `Cannot receive ${nameOf(signal)}: another SignalFd receives it`,
      );
    }
    const { libc, scratch } = kernel;
    check(libc.pipe2(scratch.address, O_CLOEXEC | O_NONBLOCK), "pipe2");
    const [reader, writer] = [scratch.i32[0] as number, scratch.i32[1] as number];
    this.#reader = reader;
    this.#release = releaseOf(kernel, this.#signals, [reader, writer]);
    this.#guarded = guard(this, reader, this.#release);
    for (const signal of this.#signals) {
      const result = routes.add(signal, writer);
      if (result < 0) this.close();
      check(result, "sigaction");
    }
  }

  /** The descriptor, -1 once it is closed. */
  fileno(): number {
    return this.#reader;
  }

  /** Whether it is closed. */
  get closed(): boolean {
    return this.#reader < 0;
  }

  /**
   * Reads one signal.
   *
   * @returns Its name, or `null` when there is none. Signals are returned in the order in which they were received.
   * @throws TypeError `ERR_CLOSED`.
   */
  read(): SignalName | null {
    if (this.#reader < 0) throw typeError("ERR_CLOSED", "Cannot read: this SignalFd is closed");
    const { libc, scratch } = this.#kernel;
    const result = libc.read(this.#reader, scratch.address, 4);
    if (result === -ERRNO.EAGAIN) return null;
    check(result, "read", { fd: this.#reader });
    return nameOf(scratch.i32[0] as number);
  }

  /** Restores the signals and closes the descriptor; unregister it before. Safe to call twice. */
  close(): void {
    if (this.#reader < 0) return;
    this.#reader = -1;
    this.#release();
    unguard(this.#guarded);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Restores signals and closes descriptors, without a reference to their owner. */
function releaseOf(
  { libc }: Kernel,
  signals: readonly number[],
  fds: readonly number[],
): () => void {
  return () => {
    for (const signal of signals) routes?.remove(signal);
    for (const fd of fds) libc.close(fd);
  };
}

function numbersOf(signals: Iterable<SignalName>): number[] {
  if (typeof signals !== "object" || typeof signals?.[Symbol.iterator] !== "function") {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot receive ${show(signals)}: give a list of signals, such as ["SIGINT", "SIGTERM"]`,
    );
  }
  const numbers = new Set<number>();
  for (const name of signals) {
    const number = Object.hasOwn(NUMBERS, name) ? NUMBERS[name] : undefined;
    if (number === undefined) {
      throw typeError(
        "ERR_INVALID_OPTION",
        `Cannot receive ${show(name)}: give the name of a signal, such as "SIGINT"`,
      );
    }
    if (REFUSED.includes(name)) {
      throw rangeError(
        "ERR_INVALID_OPTION",
        `Cannot receive ${name}: it cannot be handled, or is a fault of the program`,
      );
    }
    numbers.add(number);
  }
  if (numbers.size === 0) {
    throw rangeError("ERR_INVALID_OPTION", "Cannot receive no signal: give at least one");
  }
  return [...numbers];
}

function nameOf(signal: number): SignalName {
  const found = Object.entries(NUMBERS).find(([, number]) => number === signal);
  return (found?.[0] ?? `SIG${signal}`) as SignalName;
}
