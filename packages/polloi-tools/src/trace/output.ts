import { closeSync, writeSync } from "node:fs";
import { ERRNO } from "polloi";
import type { Arena, Kernel } from "polloi/internal";
import { POLLOUT } from "polloi/select";

/** So much is gathered at most before it is written. */
const GATHERED = 16_384;

/**
 * Lines to a descriptor, written before the next turn begins.
 *
 * @remarks
 * As strace does, it waits for a reader who is slow: lines are neither dropped nor piled up. When the
 * reader is gone, or there is no room left on the disk, nothing is written any more.
 */
export class Output {
  readonly #kernel: Kernel;
  readonly #fd: number;
  readonly #onGone: (error: Error) => void;
  readonly #pollfd: Arena;
  #text = "";
  #gone = false;

  /** @param onGone - Told once, when what was written could not be. */
  constructor(kernel: Kernel, fd: number, onGone: (error: Error) => void) {
    this.#kernel = kernel;
    this.#fd = fd;
    this.#onGone = onGone;
    this.#pollfd = kernel.arenas.map(8);
  }

  /** Writes `line` by the next {@link flush} at the latest. */
  put(line: string): void {
    if (this.#gone) return;
    this.#text += line;
    if (this.#text.length >= GATHERED) this.flush();
  }

  flush(): void {
    if (this.#text === "" || this.#gone) return;
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
        this.#gone = true;
        this.#onGone(error as Error);
        return;
      }
    }
  }

  /** Closes the descriptor, unless it is one of the standard ones. */
  close(): void {
    this.flush();
    this.#gone = true;
    if (this.#fd > 2) closeSync(this.#fd);
  }

  /** A pipe or a terminal that somebody else has made non-blocking is full. */
  #waitForRoom(): void {
    const { libc } = this.#kernel;
    this.#pollfd.i32[0] = this.#fd;
    this.#pollfd.i32[1] = POLLOUT;
    while (libc.ppoll(this.#pollfd.address, 1, 0, 0) === -ERRNO.EINTR);
  }
}
