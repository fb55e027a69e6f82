import { ERRNO, O_NONBLOCK } from "polloi/internal/pure";
import { WaitQueue } from "../base/wait-queue.ts";

/**
 * An open file description: what one or more descriptors refer to.
 *
 * @remarks
 * Its methods never wait. They return `>= 0` or `-errno`, and `-EAGAIN` where a blocking call waits until
 * {@link OpenFile.waiters} are woken. Source: open(2), "Open file descriptions"; struct file_operations in
 * include/linux/fs.h.
 */
export abstract class OpenFile {
  /** What it is, as /proc/PID/fd shows it: "socket", "pipe", "anon_inode:[eventpoll]". */
  abstract readonly kind: string;
  /** The waiters of its readiness. */
  readonly waiters: WaitQueue = new WaitQueue();
  /** O_* flags that fcntl(F_GETFL) returns. */
  statusFlags = 0;
  /** The number of descriptors and other references, such as a mapping or an operation of a ring. */
  #references = 0;

  /** The POLL* bits that hold now, whatever is asked for. A file that cannot be polled is always ready. */
  abstract poll(): number;

  get isNonBlocking(): boolean {
    return (this.statusFlags & O_NONBLOCK) !== 0;
  }

  /** read(2). @returns The number of bytes, 0 at the end. */
  read(_target: Uint8Array): number {
    return -ERRNO.EINVAL;
  }

  /** write(2). @returns The number of bytes that were taken. */
  write(_source: Uint8Array): number {
    return -ERRNO.EINVAL;
  }

  /** ioctl(2) with an argument that is memory of 4 bytes. */
  ioctl(_request: number, _value: DataView): number {
    return -ERRNO.ENOTTY;
  }

  /** The memory of a part of the file for mmap(2), or `-errno`. */
  mapped(_offset: number, _byteLength: number): ArrayBuffer | number {
    return -ERRNO.ENODEV;
  }

  /** Counts one more reference. */
  hold(): this {
    this.#references++;
    return this;
  }

  /** Counts one less, and releases the file with the last. */
  drop(): void {
    if (--this.#references === 0) this.released();
  }

  /** Whether no descriptor refers to it any more. */
  get isReleased(): boolean {
    return this.#references <= 0;
  }

  /** The last reference is gone. */
  protected abstract released(): void;
}
