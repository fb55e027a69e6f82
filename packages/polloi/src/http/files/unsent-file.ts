import { ERRNO } from "../../base/errno.ts";
import { check, SysError } from "../../base/sys-error.ts";
import { F_DUPFD_CLOEXEC, SYS } from "../../sys/abi.ts";
import type { Kernel } from "../../sys/kernel.ts";
import type { FileBytes } from "./answer.ts";
import { isSameFile, statFile } from "./file-stat.ts";
import type { OpenByName } from "./responder.ts";

/** The most descriptors that files of unsent responses keep open. */
const MAX_OPEN = 64;

/** The files whose descriptor is open, from the one that was opened first. */
const open = new Set<UnsentFile>();

/**
 * The file of a response that is neither sent nor read yet.
 *
 * @remarks
 * A program may drop a response, and nothing reports that. So a thread keeps at most 64 of these files open. When
 * there are more, the oldest is closed, and opened again when it is needed. It must not have changed then, because the
 * headers of the response describe it.
 */
export class UnsentFile {
  readonly #kernel: Kernel;
  readonly #bytes: FileBytes;
  readonly #openByName: OpenByName;
  #fd: number;

  /** @param bytes - An open file, which belongs to this object from now on. */
  constructor(kernel: Kernel, bytes: FileBytes, openByName: OpenByName) {
    this.#kernel = kernel;
    this.#bytes = bytes;
    this.#openByName = openByName;
    this.#fd = bytes.fd;
    open.add(this);
    if (open.size > MAX_OPEN) (open.values().next().value as UnsentFile).close();
  }

  get pieces(): FileBytes["pieces"] {
    return this.#bytes.pieces;
  }

  /** The length of all pieces. */
  get length(): number {
    return this.#bytes.length;
  }

  /**
   * Hands over the descriptor, which the caller closes with {@link UnsentFile.closeTaken}.
   *
   * @throws SysError `ESTALE` if it had to be opened again and has changed; the errors of openat2(2).
   */
  take(): number {
    open.delete(this);
    const fd = this.#fd >= 0 ? this.#fd : this.#openAgain();
    this.#fd = -1;
    return fd;
  }

  closeTaken(fd: number): void {
    this.#kernel.libc.close(fd);
  }

  /** Closes the descriptor. The file is opened again when it is needed. */
  close(): void {
    open.delete(this);
    if (this.#fd >= 0) this.#kernel.libc.close(this.#fd);
    this.#fd = -1;
  }

  /** The same file for another response. @throws as {@link UnsentFile.take}. */
  copy(): UnsentFile {
    const { libc } = this.#kernel;
    // Every call states its offset, so both can share an open file description.
    const fd =
      this.#fd < 0 ? this.#openAgain() : check(libc.fcntl(this.#fd, F_DUPFD_CLOEXEC, 0), "fcntl");
    return new UnsentFile(this.#kernel, { ...this.#bytes, fd }, this.#openByName);
  }

  /**
   * Reads at most 64 KiB.
   *
   * @returns A copy of the bytes.
   * @throws SysError `ENODATA` if the file ends before; the errors of pread(2).
   */
  read(fd: number, offset: number, length: number): Uint8Array<ArrayBuffer> {
    const { libc, scratch } = this.#kernel;
    const wanted = Math.min(length, scratch.byteLength);
    const count = libc.syscall(SYS.pread64, fd, scratch.address, wanted, offset, 0, 0);
    if (count <= 0) throw new SysError("pread", count < 0 ? count : -ERRNO.ENODATA, { fd });
    return new Uint8Array(scratch.u8.subarray(0, count));
  }

  #openAgain(): number {
    const { name, stat } = this.#bytes;
    const fd = this.#openByName(name);
    if (typeof fd !== "number") throw new SysError(fd.syscall, fd.errno, { address: name });
    const found = statFile(this.#kernel, fd);
    if (isSameFile(stat, found)) return fd;
    this.#kernel.libc.close(fd);
    throw new SysError("open", -ERRNO.ESTALE, { address: name });
  }
}
