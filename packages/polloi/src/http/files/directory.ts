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
import { AT_HOW, AT_PATH, type FailedCall, factsOf, isFailed, putPath } from "./file-facts.ts";

/**
 * To read. A FIFO without a writer would otherwise hold the thread until there is one, and a terminal would
 * become that of the process.
 */
const TO_READ: number = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
/** Only to know what it is: nothing happens to it. */
const TO_KNOW: number = O_PATH | O_CLOEXEC;

/** Somebody renamed a directory on the way while a link was followed. */
const MOST_TRIES = 4;
/** How often the name of the directory is looked at, whether it means another one now. */
const LOOK_MS = 1000;

const { EAGAIN, EINTR, ENOENT, ENOSYS, EPERM, EXDEV } = ERRNO;

/**
 * A directory, and the opening of what is in it, and of nothing else.
 *
 * @remarks
 * The kernel itself holds a path below the directory, with openat2 (Linux 5.6): links that stay inside are
 * followed, and one that leads out is refused, also when it is put there between two calls. That refuses
 * absolute links too, though they may lead back in. So they, and every path where there is no openat2, are
 * opened by what they really are: the links are resolved, the result has to lie inside, and each directory
 * on the way is opened by its name, following none.
 *
 * Its name is looked at again each second: a deployment may put another directory in the place of this one.
 *
 * @source openat2(2)
 */
export class Directory implements Disposable {
  readonly #path: string;
  readonly #kernel: Kernel;
  readonly #beneath: boolean;
  #fd: number;
  #lookAt = 0;

  /**
   * @param path - An absolute path.
   * @throws SysError `ENOENT`, `ENOTDIR`, `EACCES`, `EMFILE`.
   */
  constructor(path: string, kernel: Kernel) {
    this.#path = path;
    this.#kernel = kernel;
    this.#fd = check(this.#openSelf(), "open", { address: path });
    const fd = this.#openat2(".", TO_KNOW);
    // EPERM is what seccomp says in a container that knows no such call.
    this.#beneath = fd !== -ENOSYS && fd !== -EPERM;
    if (fd >= 0) kernel.libc.close(fd);
    this.#lookAt = performance.now() + LOOK_MS;
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
   * Opens a file or a directory inside, to be read. Its descriptor is the caller's to close.
   *
   * @param path - Of bytes, without `..` and without a slash in front.
   * @returns the descriptor, or the call that failed; `EXDEV` when the path leads out.
   */
  open(path: string): number | FailedCall {
    this.#lookAgain();
    return this.#open(path, TO_READ);
  }

  /** Opens it without anything happening to it: only to be looked at. */
  openToKnow(path: string): number | FailedCall {
    return this.#open(path, TO_KNOW);
  }

  #open(path: string, flags: number): number | FailedCall {
    const name = path === "" ? "." : path;
    if (this.#beneath) {
      for (let tries = 0; tries < MOST_TRIES; tries++) {
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
    putPath(this.#kernel, Buffer.from(this.#path).toString("latin1"));
    return libc.open(scratch.address + AT_PATH, TO_KNOW | O_DIRECTORY, 0);
  }

  #openat2(path: string, flags: number): number {
    const { libc, scratch } = this.#kernel;
    putPath(this.#kernel, path);
    scratch.setWord(AT_HOW, flags);
    scratch.setWord(AT_HOW + 8, 0);
    scratch.setWord(AT_HOW + 16, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
    const [name, how] = [scratch.address + AT_PATH, scratch.address + AT_HOW];
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
    // A link that has come to be there since is not followed.
    const names = Buffer.from(real).toString("latin1").split("/");
    const last = names.pop() as string;
    let at = this.#fd;
    for (const name of names) {
      const next = this.#openat(at, name, TO_KNOW | O_DIRECTORY | O_NOFOLLOW);
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
    putPath(this.#kernel, name);
    return libc.syscall(SYS.openat, fd, scratch.address + AT_PATH, flags, 0, 0, 0);
  }

  #lookAgain(): void {
    const now = performance.now();
    if (now < this.#lookAt || this.#fd < 0) return;
    this.#lookAt = now + LOOK_MS;
    const fd = this.#openSelf();
    // While there is none, this one goes on.
    if (fd < 0) return;
    const [held, named] = [factsOf(this.#kernel, this.#fd), factsOf(this.#kernel, fd)];
    const same =
      isFailed(held) ||
      isFailed(named) ||
      (held.inode === named.inode && held.device === named.device);
    this.#kernel.libc.close(same ? fd : this.#fd);
    if (!same) this.#fd = fd;
  }
}
