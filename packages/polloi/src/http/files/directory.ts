import { realpathSync } from "node:fs";
import { isAbsolute, relative } from "node:path";
import { ERRNO } from "../../base/errno.ts";
import { check } from "../../base/sys-error.ts";
import {
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  OPEN_HOW_SIZE,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  SYS,
} from "../../sys/abi.ts";
import type { Kernel } from "../../sys/kernel.ts";
import {
  type FailedCall,
  HOW_OFFSET,
  isFailed,
  PATH_OFFSET,
  statFile,
  writePath,
} from "./file-stat.ts";

/**
 * For reading. O_NONBLOCK, because opening a FIFO without a writer would block the thread; O_NOCTTY, because a terminal
 * would become the controlling terminal of the process.
 */
export const READ_FLAGS: number = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
/** For inspecting a file without opening it. */
const PATH_FLAGS: number = O_PATH | O_CLOEXEC;

/** How often openat2 is tried: it fails with EAGAIN if a directory of the path is renamed meanwhile. */
const MAX_ATTEMPTS = 4;
/** The interval at which the path of the directory is resolved again, in milliseconds. */
const RECHECK_MS = 1000;

const { EAGAIN, EINTR, ENOENT, ENOSYS, EPERM, EXDEV } = ERRNO;

/**
 * A directory that opens files inside it, and no others.
 *
 * @remarks
 * openat2 (Linux 5.6) confines a path to the directory in the kernel: links that stay inside are followed, and one that
 * leads out is refused, also if it is created between two calls. It refuses absolute links as well, although they may
 * lead back inside. Such links, and every path without openat2, are resolved first: the result must be inside, and each
 * directory of the path is opened by its name without following links.
 *
 * The path of the directory is resolved again every second, because a deployment may replace it.
 *
 * @source openat2(2)
 */
export class Directory implements Disposable {
  readonly #path: string;
  readonly #kernel: Kernel;
  readonly #hasOpenat2: boolean;
  #fd: number;
  #recheckAt = 0;

  /**
   * @param path - An absolute path.
   * @throws SysError `ENOENT`, `ENOTDIR`, `EACCES`, `EMFILE`.
   */
  constructor(path: string, kernel: Kernel) {
    this.#path = path;
    this.#kernel = kernel;
    this.#fd = check(this.#openSelf(), "open", { address: path });
    const fd = this.#openat2(".", PATH_FLAGS);
    // EPERM: a seccomp profile of a container that does not know the call.
    this.#hasOpenat2 = fd !== -ENOSYS && fd !== -EPERM;
    if (fd >= 0) kernel.libc.close(fd);
    this.#recheckAt = kernel.now() + RECHECK_MS;
  }

  /** The descriptor, or -1 once it is closed. */
  fileno(): number {
    return this.#fd;
  }

  close(): void {
    if (this.#fd >= 0) this.#kernel.libc.close(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Opens a file or a directory inside for reading. The caller must close the descriptor.
   *
   * @param path - A path of bytes, without `..` and without a leading slash.
   * @returns The descriptor, or the call that failed; `EXDEV` if the path leads out.
   */
  open(path: string): number | FailedCall {
    this.#recheck();
    return this.#open(path, READ_FLAGS);
  }

  /** Opens a path only to inspect it. */
  openPath(path: string): number | FailedCall {
    return this.#open(path, PATH_FLAGS);
  }

  #open(path: string, flags: number): number | FailedCall {
    const name = path === "" ? "." : path;
    if (this.#hasOpenat2) {
      for (let tries = 0; tries < MAX_ATTEMPTS; tries++) {
        const fd = this.#openat2(name, flags);
        if (fd >= 0) return fd;
        if (fd === -EXDEV) break;
        if (fd !== -EAGAIN && fd !== -EINTR) return { syscall: "openat2", errno: fd };
      }
    }
    return this.#openReal(name, flags);
  }

  #openSelf(): number {
    const { libc, scratch } = this.#kernel;
    writePath(this.#kernel, Buffer.from(this.#path).toString("latin1"));
    return libc.open(scratch.address + PATH_OFFSET, PATH_FLAGS | O_DIRECTORY, 0);
  }

  #openat2(path: string, flags: number): number {
    const { libc, scratch } = this.#kernel;
    writePath(this.#kernel, path);
    scratch.setWord(HOW_OFFSET, flags);
    scratch.setWord(HOW_OFFSET + 8, 0);
    scratch.setWord(HOW_OFFSET + 16, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
    const [name, how] = [scratch.address + PATH_OFFSET, scratch.address + HOW_OFFSET];
    return libc.syscall(SYS.openat2, this.#fd, name, how, OPEN_HOW_SIZE, 0, 0);
  }

  #openReal(path: string, flags: number): number | FailedCall {
    let real: string;
    try {
      const text = Buffer.from(path, "latin1").toString();
      real = relative(realpathSync(this.#path), realpathSync(`${this.#path}/${text}`));
    } catch (error) {
      const { code, syscall = "realpath" } = error as { code?: string; syscall?: string };
      return { syscall, errno: -(ERRNO[code as keyof typeof ERRNO] ?? ENOENT) };
    }
    if (isAbsolute(real) || real.split("/").includes("..")) {
      return { syscall: "realpath", errno: -EXDEV };
    }
    // A link that was created meanwhile is not followed.
    const names = Buffer.from(real).toString("latin1").split("/");
    const last = names.pop() as string;
    let at = this.#fd;
    for (const name of names) {
      const next = this.#openat(at, name, PATH_FLAGS | O_DIRECTORY | O_NOFOLLOW);
      if (at !== this.#fd) this.#kernel.libc.close(at);
      if (next < 0) return { syscall: "openat", errno: next };
      at = next;
    }
    const fd = this.#openat(at, last === "" ? "." : last, flags | O_NOFOLLOW);
    if (at !== this.#fd) this.#kernel.libc.close(at);
    return fd < 0 ? { syscall: "openat", errno: fd } : fd;
  }

  #openat(fd: number, name: string, flags: number): number {
    const { libc, scratch } = this.#kernel;
    writePath(this.#kernel, name);
    return libc.syscall(SYS.openat, fd, scratch.address + PATH_OFFSET, flags, 0, 0, 0);
  }

  #recheck(): void {
    const now = this.#kernel.now();
    if (now < this.#recheckAt || this.#fd < 0) return;
    this.#recheckAt = now + RECHECK_MS;
    const fd = this.#openSelf();
    // While the path does not exist, this directory stays in use.
    if (fd < 0) return;
    const [opened, found] = [statFile(this.#kernel, this.#fd), statFile(this.#kernel, fd)];
    const same =
      isFailed(opened) ||
      isFailed(found) ||
      (opened.inode === found.inode && opened.device === found.device);
    this.#kernel.libc.close(same ? fd : this.#fd);
    if (!same) this.#fd = fd;
  }
}
