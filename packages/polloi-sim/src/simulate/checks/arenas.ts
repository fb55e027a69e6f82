import type { Arena, Arenas } from "polloi/internal/pure";
import { wholePages } from "../../process/pages.ts";
import type { Report } from "./report.ts";

/** An arena for long messages of sockets, which is kept for the next message. Source: `borrow` in socket/scratch.ts */
const KEPT_BYTES: number = wholePages(256 + 1024 * 1024);

/** Counts the arenas that are in use, and checks that each is released once. */
export class CountedArenas implements Arenas {
  readonly #arenas: Arenas;
  readonly #report: Report;
  readonly #used: Set<Arena> = new Set();

  constructor(arenas: Arenas, report: Report) {
    this.#arenas = arenas;
    this.#report = report;
  }

  /** The number of arenas in use, without one that is kept. */
  get used(): number {
    const kept = [...this.#used].some(({ byteLength }) => byteLength === KEPT_BYTES) ? 1 : 0;
    return this.#used.size - kept;
  }

  map(byteLength: number): Arena {
    return this.#add(this.#arenas.map(byteLength));
  }

  mapPermanent(byteLength: number): Arena {
    return this.#arenas.mapPermanent(byteLength);
  }

  mapFile(fd: number, offset: number, byteLength: number): Arena {
    return this.#add(this.#arenas.mapFile(fd, offset, byteLength));
  }

  release(arena: Arena): void {
    if (!this.#used.delete(arena)) {
      this.#report.fail("memory", `an arena of ${arena.byteLength} bytes is released twice`);
      return;
    }
    this.#arenas.release(arena);
  }

  unmap(): void {
    this.#arenas.unmap();
  }

  #add(arena: Arena): Arena {
    this.#used.add(arena);
    return arena;
  }
}
