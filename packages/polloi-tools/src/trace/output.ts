import { closeSync, writeSync } from "node:fs";
import { ERRNO } from "polloi";
import type { Arena, Kernel } from "polloi/internal";
import { POLLOUT } from "polloi/select";

/** Lines are written at the latest when this many characters are buffered. */
const MAX_BUFFERED = 16_384;

/**
 * Writes lines to a descriptor, before the next turn begins.
 *
 * @remarks
 * Like strace, it waits for a slow reader and drops no lines. After a failed write, because the reader is gone or the
 * disk is full, it writes nothing more.
 */
export class Output {
  readonly #kernel: Kernel;
  readonly #fd: number;
  readonly #onError: (error: Error) => void;
  readonly #pollfd: Arena;
  #text = "";
  #closed = false;

  /** @param onError - Called once, when a write failed. */
  constructor(kernel: Kernel, fd: number, onError: (error: Error) => void) {
    this.#kernel = kernel;
    this.#fd = fd;
    this.#onError = onError;
    this.#pollfd = kernel.arenas.map(8);
  }

  /** Writes `line` at the next {@link flush} at the latest. */
  put(line: string): void {
    if (this.#closed) return;
    this.#text += line;
    if (this.#text.length >= MAX_BUFFERED) this.flush();
  }

  flush(): void {
    if (this.#text === "" || this.#closed) return;
    const bytes = Buffer.from(this.#text);
    this.#text = "";
    for (let written = 0; written < bytes.length; ) {
      try {
        written += writeSync(this.#fd, bytes, written);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EINTR") continue;
        if (code === "EAGAIN") {
          this.#waitForRoom();
          continue;
        }
        this.#closed = true;
        this.#onError(error as Error);
        return;
      }
    }
  }

  /** Closes the descriptor, unless it is one of the standard ones. */
  close(): void {
    this.flush();
    this.#closed = true;
    if (this.#fd > 2) closeSync(this.#fd);
  }

  /** Waits for a pipe or a terminal that is full, and that another program has made non-blocking. */
  #waitForRoom(): void {
    const { libc } = this.#kernel;
    this.#pollfd.i32[0] = this.#fd;
    this.#pollfd.i32[1] = POLLOUT;
    while (libc.ppoll(this.#pollfd.address, 1, 0, 0) === -ERRNO.EINTR);
  }
}
