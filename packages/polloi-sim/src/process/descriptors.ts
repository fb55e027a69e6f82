import { ERRNO, FD_CLOEXEC } from "polloi/internal/pure";
import type { OpenFile } from "./open-file.ts";

/** NR_OPEN_DEFAULT. */
const MIN_TABLE_SIZE = 64;

interface Entry {
  readonly file: OpenFile;
  /** FD_CLOEXEC, or 0. */
  flags: number;
}

/** Something that watches the descriptors of a process. It may stop the program by an exception. */
export interface DescriptorObserver {
  /** A call names a descriptor. @param file - Its file; undefined when it is not open. */
  named(fd: number, file: OpenFile | undefined): void;
  /** A call closes a descriptor. @param file - Its file; undefined when it is not open. */
  closing(fd: number, file: OpenFile | undefined): void;
  /** The descriptor is closed. */
  closed(fd: number): void;
}

/**
 * The descriptors of a simulated process. A new one has the lowest free number. Source: open(2), dup(2), getrlimit(2).
 */
export class Descriptors {
  readonly #entries: (Entry | undefined)[] = [];
  /** RLIMIT_NOFILE: descriptors are below it. */
  limit: number;
  hardLimit: number;
  #open = 0;
  /** All descriptors below it are open. */
  #firstFree = 0;
  #observer: DescriptorObserver | undefined;

  constructor(limit: number, hardLimit: number = limit) {
    this.limit = limit;
    this.hardLimit = hardLimit;
  }

  /** The number of open descriptors. */
  get size(): number {
    return this.#open;
  }

  /** Whether every number below the limit is in use. */
  get isFull(): boolean {
    if (this.#open < this.limit) return false;
    for (let fd = 0; fd < this.limit; fd++) if (this.#entries[fd] === undefined) return false;
    return true;
  }

  /** Calls `observer` from now on, whenever a call names or closes a descriptor. */
  observe(observer: DescriptorObserver): void {
    this.#observer = observer;
  }

  /** The open descriptors, in order. */
  list(): number[] {
    return [...this.#entries.keys()].filter((fd) => this.#entries[fd] !== undefined);
  }

  /** The open file of a descriptor that a call names; undefined for one that was opened with O_PATH. Source: fs/file.c, fdget. */
  get(fd: number): OpenFile | undefined {
    const found = this.#entries[fd]?.file;
    const file = found === undefined || found.isPathOnly ? undefined : found;
    this.#observer?.named(fd, file);
    return file;
  }

  /** The open file of a descriptor of any kind. Source: fs/file.c, fdget_raw. */
  getAny(fd: number): OpenFile | undefined {
    return this.#entries[fd]?.file;
  }

  /** The same for an observer of the process, which makes no call. */
  peek(fd: number): OpenFile | undefined {
    return this.#entries[fd]?.file;
  }

  /**
   * The number of descriptors that the kernel's table has room for: a power of two, which never becomes less. Source:
   * fs/file.c, alloc_fdtable.
   */
  get tableSize(): number {
    const length = Math.max(this.#entries.length, MIN_TABLE_SIZE);
    return 2 ** (32 - Math.clz32(length - 1));
  }

  /** Makes a descriptor of `file`, from `lowest` on. @returns The descriptor, or `-EMFILE`. */
  add(file: OpenFile, isCloseOnExec: boolean, lowest = 0): number {
    let fd = Math.max(lowest, this.#firstFree);
    while (this.#entries[fd] !== undefined) fd++;
    if (fd >= this.limit) return -ERRNO.EMFILE;
    if (lowest <= this.#firstFree) this.#firstFree = fd + 1;
    this.#set(fd, file, isCloseOnExec);
    return fd;
  }

  /** dup3(2): closes `fd` if it is open. */
  replace(fd: number, file: OpenFile, isCloseOnExec: boolean): number {
    if (fd < 0 || fd >= this.limit) return -ERRNO.EBADF;
    file.hold();
    if (this.#entries[fd] !== undefined) this.close(fd);
    this.#set(fd, file, isCloseOnExec);
    file.drop();
    return fd;
  }

  /** close(2). */
  close(fd: number): number {
    const observer = this.#observer;
    if (observer === undefined) return this.remove(fd);
    observer.closing(fd, this.#entries[fd]?.file);
    const result = this.remove(fd);
    if (result === 0) observer.closed(fd);
    return result;
  }

  /** Closes a descriptor for an observer of the process. */
  remove(fd: number): number {
    const entry = this.#entries[fd];
    if (entry === undefined) return -ERRNO.EBADF;
    this.#entries[fd] = undefined;
    if (fd < this.#firstFree) this.#firstFree = fd;
    this.#open--;
    entry.file.drop();
    return 0;
  }

  flags(fd: number): number {
    return this.#entries[fd]?.flags ?? -ERRNO.EBADF;
  }

  setFlags(fd: number, flags: number): number {
    const entry = this.#entries[fd];
    if (entry === undefined) return -ERRNO.EBADF;
    entry.flags = flags & FD_CLOEXEC;
    return 0;
  }

  /** Closes everything, as the end of a process does. */
  closeAll(): void {
    for (const fd of this.list()) this.close(fd);
  }

  #set(fd: number, file: OpenFile, isCloseOnExec: boolean): void {
    // No holes: an array with holes is slow.
    while (this.#entries.length < fd) this.#entries.push(undefined);
    this.#entries[fd] = { file: file.hold(), flags: isCloseOnExec ? FD_CLOEXEC : 0 };
    this.#open++;
  }
}
