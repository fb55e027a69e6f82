import { ERRNO, O_NONBLOCK, O_RDONLY, O_WRONLY } from "polloi/internal/pure";
import { WaitQueue } from "../base/wait-queue.ts";
import { O_RDWR } from "./abi.ts";

/** Something that refers to an open file without holding it, such as an item of an epoll set. */
export interface Follower {
  /** The last reference to the file is gone. */
  fileReleased(): void;
}

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
  // The constructor sets the fields: V8 defines fields with initial values slowly where a class has many subclasses.

  /** The waiters of its readiness. */
  declare readonly waiters: WaitQueue;
  /** O_* flags that fcntl(F_GETFL) returns, besides the access mode. */
  declare statusFlags: number;
  /** O_RDONLY, O_WRONLY or O_RDWR. */
  declare readonly accessMode: number;
  declare private followers: Follower[] | undefined;
  /** The number of descriptors and other references, such as a mapping or an operation of a ring. */
  declare private references: number;

  constructor() {
    this.waiters = new WaitQueue();
    this.statusFlags = 0;
    this.accessMode = O_RDWR;
    this.followers = undefined;
    this.references = 0;
  }

  /** Whether it was opened with O_PATH: it is a path, which cannot be read or written. */
  get isPathOnly(): boolean {
    return false;
  }

  /** Whether it can be waited for. Others are always ready, and epoll refuses them. Source: file_can_poll. */
  get isPollable(): boolean {
    return true;
  }

  /** The POLL* bits that hold now, whatever is asked for. A file that cannot be polled is always ready. */
  abstract poll(): number;

  get isNonBlocking(): boolean {
    return (this.statusFlags & O_NONBLOCK) !== 0;
  }

  /** The longest that a blocking read waits, in milliseconds. Source: socket(7), SO_RCVTIMEO. */
  get readTimeoutMs(): number {
    return Number.POSITIVE_INFINITY;
  }

  /** The longest that a blocking write waits, in milliseconds. Source: socket(7), SO_SNDTIMEO. */
  get writeTimeoutMs(): number {
    return Number.POSITIVE_INFINITY;
  }

  get canRead(): boolean {
    return this.accessMode !== O_WRONLY;
  }

  get canWrite(): boolean {
    return this.accessMode !== O_RDONLY;
  }

  /** read(2). @returns The number of bytes, 0 at the end. */
  read(_target: Uint8Array): number {
    return -ERRNO.EINVAL;
  }

  /** write(2). @returns The number of bytes that were taken. */
  write(_source: Uint8Array): number {
    return -ERRNO.EINVAL;
  }

  /** pread(2). */
  readAt(_target: Uint8Array, _offset: number): number {
    return -ERRNO.ESPIPE;
  }

  /** pwrite(2). */
  writeAt(_source: Uint8Array, _offset: number): number {
    return -ERRNO.ESPIPE;
  }

  /**
   * ioctl(2).
   *
   * @param argument - The memory from the address of the argument on: 64 bytes, or less at the end of mapped memory.
   */
  ioctl(_request: number, _argument: DataView): number {
    return -ERRNO.ENOTTY;
  }

  /** The memory of a part of the file for mmap(2), or `-errno`. */
  mapped(_offset: number, _byteLength: number): ArrayBuffer | number {
    return -ERRNO.ENODEV;
  }

  /** Fills memory that {@link OpenFile.mapped} has returned with zeros, because nothing uses it any more. */
  wipe(memory: ArrayBuffer): void {
    new Uint8Array(memory).fill(0);
  }

  /** Counts one more reference. */
  hold(): this {
    this.references++;
    return this;
  }

  /** Counts one less, and releases the file with the last. */
  drop(): void {
    if (--this.references !== 0) return;
    const followers = this.followers;
    this.followers = undefined;
    if (followers !== undefined) for (const follower of followers) follower.fileReleased();
    this.released();
  }

  follow(follower: Follower): void {
    if (this.followers === undefined) this.followers = [follower];
    else this.followers.push(follower);
  }

  unfollow(follower: Follower): void {
    const followers = this.followers;
    const index = followers === undefined ? -1 : followers.indexOf(follower);
    if (index >= 0) followers?.splice(index, 1);
  }

  /** Whether no descriptor refers to it any more. */
  get isReleased(): boolean {
    return this.references <= 0;
  }

  /** The last reference is gone. */
  protected abstract released(): void;
}
