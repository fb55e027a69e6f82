import { fstatSync } from "node:fs";
import { ERRNO, type Reactor, SysError, type Timer, type Watch } from "polloi";
import { type Kernel, TIOCGPGRP } from "polloi/internal";
import { EVENT_READ } from "polloi/selectors";

const STDIN = 0;
/** Maximum number of bytes of one read. */
const READ_BYTES = 16_384;
/** How often a process in the background checks whether it may read from its terminal. */
const BACKGROUND_MS = 500;
const NEWLINE = 10;

/** Receives standard input. */
export interface InputHandlers {
  /** @param bytes - Valid during the call. @returns Whether to continue reading; false waits for `resume`. */
  data(bytes: Uint8Array): boolean;
  /** Input has ended. */
  end(): void;
  /** Input cannot be read. */
  error(error: Error): void;
}

/** Reads standard input on a reactor, which watches its descriptor. */
export class StandardInput implements Disposable {
  /** Whether nothing more is read. */
  isEnded = false;
  readonly #reactor: Reactor;
  readonly #kernel: Kernel;
  readonly #handlers: InputHandlers;
  readonly #watchOnly: boolean;
  #watch: Watch | undefined;
  #timer: Timer | undefined;
  /** A file cannot be watched, since it is always ready. It is read whenever the handler takes data. */
  #isAlwaysReady = false;

  /**
   * Starts with {@link StandardInput.resume}.
   *
   * @param watchOnly - Whether `resume` throws for a descriptor that cannot be watched, instead of reading it.
   */
  constructor(reactor: Reactor, kernel: Kernel, handlers: InputHandlers, watchOnly = false) {
    this.#reactor = reactor;
    this.#kernel = kernel;
    this.#handlers = handlers;
    this.#watchOnly = watchOnly;
  }

  /** Starts or continues reading. @throws what watching a descriptor fails with. */
  resume(): void {
    if (this.isEnded || this.#watch !== undefined) return;
    if (!this.#isAlwaysReady) this.#startWatch();
    if (this.#isAlwaysReady) while (this.#readOnce());
  }

  [Symbol.dispose](): void {
    this.isEnded = true;
    this.#pause();
  }

  #startWatch(): void {
    try {
      this.#watch = this.#reactor.watch(STDIN, EVENT_READ, () => this.#ready());
    } catch (error) {
      const { code } = error as { code?: unknown };
      // epoll rejects a file with EPERM. Reading reports what is wrong with a descriptor that is not open.
      if (this.#watchOnly || (code !== "EPERM" && code !== "EBADF")) throw error;
      this.#isAlwaysReady = true;
    }
  }

  #pause(): void {
    this.#watch?.close();
    this.#watch = undefined;
    this.#timer?.cancel();
  }

  #ready(): void {
    if (isForeground(this.#kernel, STDIN)) {
      if (!this.#readOnce()) this.#pause();
      return;
    }
    // The terminal stays ready until the shell has read from it, so it is not watched for a while.
    this.#pause();
    this.#timer = this.#reactor.setTimer(BACKGROUND_MS, () => this.resume());
  }

  /** @returns Whether to continue reading. */
  #readOnce(): boolean {
    let bytes: Uint8Array | null;
    try {
      bytes = readReady(this.#kernel, STDIN);
    } catch (error) {
      this[Symbol.dispose]();
      this.#handlers.error(error as Error);
      return false;
    }
    if (bytes === null) return !this.#isAlwaysReady;
    if (bytes.length > 0) return this.#handlers.data(bytes) && !this.isEnded;
    this[Symbol.dispose]();
    this.#handlers.end();
    return false;
  }
}

/**
 * Calls back when a line is entered on standard input.
 *
 * @remarks
 * The end of input has no effect: a server without a keyboard continues. The same applies to files, whatever they
 * contain.
 *
 * @returns The input, to be disposed of; undefined when no line can be entered.
 */
export function watchForEnter(
  reactor: Reactor,
  kernel: Kernel,
  entered: () => void,
): StandardInput | undefined {
  if (!isKeyboardOrPipe(STDIN)) return undefined;
  const handlers: InputHandlers = {
    data(bytes) {
      if (bytes.includes(NEWLINE)) entered();
      return true;
    },
    end() {},
    error() {},
  };
  const input = new StandardInput(reactor, kernel, handlers, true);
  try {
    input.resume();
    return input;
  } catch {
    // A descriptor that cannot be watched, such as /dev/null, is no keyboard.
    return undefined;
  }
}

function isKeyboardOrPipe(fd: number): boolean {
  try {
    return !fstatSync(fd).isFile();
  } catch {
    return false;
  }
}

/**
 * Whether this process may read from a terminal; true for other descriptors.
 *
 * @remarks
 * SIGTTIN stops a process in the background (`polloi serve &`) that reads from its terminal, since the input is meant
 * for the shell.
 *
 * @source tty_ioctl(4), TIOCGPGRP
 */
function isForeground(kernel: Kernel, fd: number): boolean {
  const { libc, scratch } = kernel;
  // Fails unless the descriptor is the terminal that controls this process.
  if (libc.ioctl(fd, TIOCGPGRP, scratch.address) < 0) return true;
  return scratch.i32[0] === libc.getpgrp();
}

/**
 * Reads once from a descriptor that is ready.
 *
 * @remarks
 * The descriptor may be in blocking mode. A terminal is shared with the shell, which does not expect it to be
 * non-blocking, so the mode is not changed.
 *
 * @returns The bytes, valid until the kernel's scratch memory is used again; empty at the end; null when nothing was
 * available.
 * @throws SysError such as `EISDIR`
 */
function readReady(kernel: Kernel, fd: number): Uint8Array | null {
  const { libc, scratch } = kernel;
  const length = libc.read(fd, scratch.address, READ_BYTES);
  if (length >= 0) return scratch.u8.subarray(0, length);
  if (length === -ERRNO.EAGAIN || length === -ERRNO.EINTR) return null;
  // A terminal that has disappeared, or a descriptor that was never open, counts as the end.
  if (length === -ERRNO.EIO || length === -ERRNO.EBADF) return scratch.u8.subarray(0, 0);
  throw new SysError("read", length, { fd });
}
