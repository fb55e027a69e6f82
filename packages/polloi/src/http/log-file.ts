import process from "node:process";
import { ERRNO } from "../base/errno.ts";
import { show, typeError } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import { Deadline, POLLOUT, waitFor } from "../socket/wait.ts";
import { O_APPEND, O_CLOEXEC, O_CREAT, O_NONBLOCK, O_WRONLY } from "../sys/abi.ts";
import type { Kernel, LoopTimer } from "../sys/kernel.ts";

/** Lines are collected until they have this many bytes, or this many milliseconds have passed. */
const BUFFER_BYTES = 8192;
const FLUSH_MS = 500;
/** The delay in milliseconds before a full pipe is tried again. */
const RETRY_MS = 10;
/** The most bytes to keep for a file that cannot be written. Further lines are lost and counted. */
const MAX_BUFFER_BYTES = 16 * 1024 * 1024;
/** When the log is closed or the process exits: how long to wait for a file that makes no progress, in milliseconds. */
const PATIENCE_MS = 1000;
/** When the process exits: how long to wait in all for a file that makes slow progress, in milliseconds. */
const LONGEST_EXIT_MS = 10_000;
/** A writable pipe takes this many bytes without blocking: PIPE_BUF. See pipe(7). */
const PIPE_BUF = 4096;
/** No path is longer, its NUL included: PATH_MAX. See limits.h(0p). */
const PATH_MAX = 4096;

/** Errors that end when there is space on the disk. Lines are kept until then. */
const NO_ROOM: ReadonlySet<number> = new Set([ERRNO.ENOSPC, ERRNO.EDQUOT]);

const HINTS: Readonly<Record<number, string>> = {
  [ERRNO.ENOSPC]: "no space left on device",
  [ERRNO.EDQUOT]: "the quota of the disk is used up",
  [ERRNO.EPIPE]: "its reader has left",
};

/**
 * A file that lines are appended to, many at a time.
 *
 * @remarks
 * Writes are synchronous, so nothing is in flight when the process exits, and the rest is written then. A write of 4 KiB
 * to a regular file goes to the page cache and takes a few microseconds. A pipe may have a slow reader, so it is polled
 * first, and never blocks the thread. Only the exit of the process waits: one second for a pipe that makes no progress,
 * and up to ten for one that is read slowly.
 */
export class LogFile {
  readonly #kernel: Kernel;
  readonly #fd: number;
  readonly #path: string | undefined;
  readonly #failed: (error: SysError) => void;
  readonly #onExit: () => void = () => this.#flushForGood();
  /** The rest of a write that the file took in part. */
  #rest: Uint8Array = new Uint8Array(0);
  #text = "";
  #lines = 0;
  #lost = 0;
  /** The number of bytes written. */
  #written = 0;
  #timer: LoopTimer | undefined;
  #closed: Promise<void> | undefined;

  /**
   * @param to - A path, or a descriptor, which stays the caller's.
   * @param failed - Called each time that a write fails.
   * @throws SysError `ENXIO` for a FIFO that no process reads; any other error of opening the file.
   */
  constructor(kernel: Kernel, to: string | number, failed: (error: SysError) => void) {
    this.#kernel = kernel;
    this.#failed = failed;
    this.#path = typeof to === "string" ? to : undefined;
    this.#fd = typeof to === "string" ? openLog(kernel, to) : to;
    process.on("exit", this.#onExit);
  }

  /** The number of lines that were lost. */
  get lost(): number {
    return this.#lost;
  }

  /** @throws TypeError `ERR_CLOSED` */
  write(line: string): void {
    if (this.#closed !== undefined) {
      throw typeError("ERR_CLOSED", "Cannot write to an access log that is closed");
    }
    if (this.#rest.length + this.#text.length + line.length > MAX_BUFFER_BYTES) {
      this.#lost++;
      return;
    }
    this.#text += line;
    this.#lines++;
    if (this.#text.length >= BUFFER_BYTES && this.#rest.length === 0) this.#flush();
    this.#flushLater(FLUSH_MS);
  }

  /** Writes the rest and closes the file. If there is no progress for a second, the rest is lost. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#timer?.cancel();
    let patience = new Deadline(this.#kernel, PATIENCE_MS);
    for (let before = -1; !this.#flush(); before = this.#written) {
      if (this.#written !== before) patience = new Deadline(this.#kernel, PATIENCE_MS);
      else if (patience.leftMs() <= 0) break;
      await new Promise<void>((resolve) => this.#kernel.after(RETRY_MS, resolve));
    }
    this.#lose();
    process.off("exit", this.#onExit);
    if (this.#path !== undefined) this.#kernel.libc.close(this.#fd);
  }

  /** The process exits: waiting is only possible by blocking the thread. */
  #flushForGood(): void {
    const end = new Deadline(this.#kernel, LONGEST_EXIT_MS);
    const waits = (): boolean => {
      const patience = new Deadline(this.#kernel, Math.min(PATIENCE_MS, end.leftMs()));
      return waitFor(this.#kernel, this.#fd, POLLOUT, patience);
    };
    // A writable pipe takes bytes, so each wait begins after some progress.
    while (!this.#flush() && end.leftMs() > 0 && waits());
    this.#lose();
  }

  #flushLater(ms: number): void {
    if (this.#timer !== undefined) return;
    this.#timer = this.#kernel.after(ms, () => {
      this.#timer = undefined;
      if (!this.#flush()) this.#flushLater(this.#rest.length > 0 ? RETRY_MS : FLUSH_MS);
    });
    this.#timer.unref();
  }

  /** Writes as much as the file takes. @returns Whether it need not be retried soon: all is written, or a write failed. */
  #flush(): boolean {
    const { libc, scratch } = this.#kernel;
    while (this.#take()) {
      if (!waitFor(this.#kernel, this.#fd, POLLOUT, new Deadline(this.#kernel, 0))) return false;
      const piece = this.#rest.subarray(0, PIPE_BUF);
      scratch.u8.set(piece);
      const written = libc.write(this.#fd, scratch.address, piece.length);
      if (written < 0) return this.#couldNotWrite(-written);
      this.#rest = this.#rest.subarray(written);
      this.#written += written;
    }
    return true;
  }

  #couldNotWrite(errno: number): boolean {
    if (errno === ERRNO.EAGAIN || errno === ERRNO.EINTR) return false;
    const where = this.#path === undefined ? { fd: this.#fd } : { address: this.#path };
    this.#failed(new SysError("write", errno, { ...where, hint: HINTS[errno] }));
    if (!NO_ROOM.has(errno) || this.#closed !== undefined) this.#lose();
    return true;
  }

  /** Drops the lines that are not written. */
  #lose(): void {
    if (this.#rest.length > 0 || this.#text !== "") this.#lost += this.#lines;
    this.#rest = this.#rest.subarray(0, 0);
    this.#text = "";
    this.#lines = 0;
  }

  /** Takes the lines that were added meanwhile. @returns Whether there is anything to write. */
  #take(): boolean {
    if (this.#rest.length > 0) return true;
    if (this.#text === "") {
      this.#lines = 0;
      return false;
    }
    this.#rest = Buffer.from(this.#text);
    this.#text = "";
    return true;
  }
}

/** Without O_NONBLOCK, opening a FIFO blocks until its other end is opened. See fifo(7). */
function openLog({ libc, scratch }: Kernel, path: string): number {
  const bytes = Buffer.from(path);
  if (bytes.includes(0)) {
    throw typeError("ERR_INVALID_DATA", `Cannot open ${show(path)}: give a path without NUL`);
  }
  if (bytes.length >= PATH_MAX) throw new SysError("open", ERRNO.ENAMETOOLONG, { address: path });
  scratch.u8.set(bytes);
  scratch.u8[bytes.length] = 0;
  const flags = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC;
  const fd = libc.open(scratch.address, flags, 0o666);
  if (fd >= 0) return fd;
  const hint =
    -fd === ERRNO.ENXIO ? "no process reads this FIFO: start the one that does first" : undefined;
  throw new SysError("open", fd, { address: path, hint });
}
