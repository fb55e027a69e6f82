import { lstatSync, unlinkSync } from "node:fs";
import { resolve } from "node:path";
import type { SocketAddress } from "./address.ts";

/**
 * The file that bind(2) created for a unix socket, which is removed when the socket is closed.
 *
 * @remarks
 * The kernel does not remove it, and the next bind to its path would fail. It is removed only if it is still the same file,
 * because another server may have replaced it. A server that ends without closing leaves it behind.
 */
export class SocketFile {
  readonly #path: string | Buffer;
  readonly #id: string;

  private constructor(path: string | Buffer, id: string) {
    this.#path = path;
    this.#id = id;
  }

  /**
   * The file of a socket that was just bound.
   *
   * @returns undefined for an abstract name, or for an address of another family.
   */
  static of(address: SocketAddress | null): SocketFile | undefined {
    const { path } = address ?? {};
    if (path === undefined || path.length === 0) return undefined;
    if (path[0] === "\0" || path[0] === 0) return undefined;
    // The program may change its working directory.
    const absolute = typeof path === "string" ? resolve(path) : Buffer.from(path);
    const file = statOf(absolute);
    return file === undefined ? undefined : new SocketFile(absolute, file.id);
  }

  /** Removes the file. Calling it twice is safe. */
  remove(): void {
    if (statOf(this.#path)?.id !== this.#id) return;
    try {
      unlinkSync(this.#path);
    } catch {
      // The directory is no longer writable. The next server gets an error with a hint.
    }
  }
}

/** Whether the file at `path` is a socket; undefined if there is no file. */
export function isSocketFile(path: string | Uint8Array): boolean | undefined {
  return statOf(typeof path === "string" ? path : Buffer.from(path))?.isSocket;
}

function statOf(path: string | Buffer): { id: string; isSocket: boolean } | undefined {
  try {
    const stat = lstatSync(path, { bigint: true });
    return { id: `${stat.dev}:${stat.ino}`, isSocket: stat.isSocket() };
  } catch {
    return undefined;
  }
}
