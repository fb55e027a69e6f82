import { lstatSync, unlinkSync } from "node:fs";
import { resolve } from "node:path";
import type { SocketAddress } from "./address.ts";

/**
 * The file that bind(2) has made for a unix socket, to be removed when the socket is closed.
 *
 * @remarks
 * The kernel leaves it there, and the next bind to its path fails. It is removed only if it is still the same file:
 * another server may have replaced it. A server that ends without closing leaves it behind.
 */
export class SocketFile {
  readonly #path: string | Buffer;
  readonly #id: string;

  private constructor(path: string | Buffer, id: string) {
    this.#path = path;
    this.#id = id;
  }

  /**
   * The file of a socket that has just been bound.
   *
   * @returns Undefined for an abstract name, or for an address of another family.
   */
  static of(address: SocketAddress | null): SocketFile | undefined {
    const { path } = address ?? {};
    if (path === undefined || path.length === 0) return undefined;
    if (path[0] === "\0" || path[0] === 0) return undefined;
    // The program may change its directory before it closes.
    const absolute = typeof path === "string" ? resolve(path) : Buffer.from(path);
    const file = statOf(absolute);
    return file === undefined ? undefined : new SocketFile(absolute, file.id);
  }

  /** Safe to call twice. */
  remove(): void {
    if (statOf(this.#path)?.id !== this.#id) return;
    try {
      unlinkSync(this.#path);
    } catch {
      // Its directory is not writable any more. The next server is told what is in its way.
    }
  }
}

/** Whether the file at `path` is a socket; undefined when there is none. */
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
