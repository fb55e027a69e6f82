import { ERRNO } from "polloi/internal/pure";

/** Where files of sockets are made and found: a tree of files. */
export interface SocketPlaces {
  /** Makes a file of type socket. @returns The file, or `-errno`: ENOENT, ENOTDIR, EEXIST. */
  makeSocket(path: string): object | number;
  /** @returns The file, whatever its type; or `-errno`. */
  findFile(path: string): object | number;
}

/** Folders that exist where there is no tree of files. */
const FOLDERS = ["/", "/tmp", "/run", "/var/run", ""];

/** A flat list of socket files, for a network without a tree of files. */
class FlatPlaces implements SocketPlaces {
  readonly #files: Map<string, object> = new Map();

  makeSocket(path: string): object | number {
    if (this.#files.has(path)) return -ERRNO.EEXIST;
    const slash = path.lastIndexOf("/");
    if (!FOLDERS.includes(slash === 0 ? "/" : path.slice(0, Math.max(slash, 0)))) {
      return -ERRNO.ENOENT;
    }
    const file = {};
    this.#files.set(path, file);
    return file;
  }

  findFile(path: string): object | number {
    return this.#files.get(path) ?? -ERRNO.ENOENT;
  }
}

/** The names of unix sockets: paths, and the abstract namespace. Source: unix(7), "Address format" */
export class UnixNames {
  /** The tree in which paths are. */
  places: SocketPlaces = new FlatPlaces();
  /** By type and name, since sockets of different types can have the same abstract name. net/unix/af_unix.c, unix_abstract_hash */
  readonly #abstract: Map<string, object> = new Map();
  readonly #files: WeakMap<object, object> = new WeakMap();
  #nextName = 0;

  /** Gives a socket an abstract name. @returns 0 or `-EADDRINUSE`. */
  bindAbstract(type: number, name: Uint8Array, socket: object): number {
    const key = keyOf(type, name);
    if (this.#abstract.has(key)) return -ERRNO.EADDRINUSE;
    this.#abstract.set(key, socket);
    return 0;
  }

  /** Makes the file of a socket. @returns 0 or `-errno`. */
  bindPath(path: string, socket: object): number {
    const file = this.places.makeSocket(path);
    if (typeof file === "number") return file === -ERRNO.EEXIST ? -ERRNO.EADDRINUSE : file;
    this.#files.set(file, socket);
    return 0;
  }

  /** Chooses an abstract name: five digits. Source: unix(7), "Autobind feature" */
  autobind(type: number, socket: object): Uint8Array {
    for (;;) {
      const name = encoder.encode(
        `\0${(this.#nextName++ & 0xfffff).toString(16).padStart(5, "0")}`,
      );
      if (this.bindAbstract(type, name, socket) === 0) return name;
    }
  }

  findAbstract(type: number, name: Uint8Array): object | undefined {
    return this.#abstract.get(keyOf(type, name));
  }

  /** @returns The socket of a file; `-ECONNREFUSED` when it has none; `-ENOENT`. */
  findPath(path: string): object | number {
    const file = this.places.findFile(path);
    if (typeof file === "number") return file;
    return this.#files.get(file) ?? -ERRNO.ECONNREFUSED;
  }

  /** A socket with an abstract name is closed. One that it has accepted has the same name, and leaves it to it. */
  removeAbstract(type: number, name: Uint8Array, socket: object): void {
    const key = keyOf(type, name);
    if (this.#abstract.get(key) === socket) this.#abstract.delete(key);
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("latin1");

function keyOf(type: number, name: Uint8Array): string {
  return `${type}${decoder.decode(name)}`;
}
