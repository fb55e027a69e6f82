import { type Coding, SUFFIXES } from "./codings.ts";
import { contentType } from "./content-type.ts";
import type { FileFacts } from "./file-facts.ts";
import { isSettled, type Validators, validatorsOf } from "./validators.ts";

/** What a response says of a file. The fields are lines, each with its CRLF. */
export interface Description {
  readonly validators: Validators;
  readonly type: string;
  /** What says by what it can be cached, which a 304 says too. */
  readonly cacheLines: string;
  /** All of a 200 but Content-Length. */
  readonly lines: string;
  /** Whether the lines have a Date of their own. */
  readonly hasDate: boolean;
}

/** A description that is kept, and what the file was that it is of. */
interface Kept extends Description {
  readonly coding: Coding;
  readonly size: number;
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** As many files as are asked for again and again; one takes less than 1 KiB, unless its path is longer. */
const MOST_KEPT = 1000;

/**
 * What is said of files: written once, and the same until the length or the time of the file is another.
 *
 * @remarks
 * Nothing is kept of a file that has changed just now, or whose last change is in the future: its validators still
 * change by themselves. Such a description has a Date of its own, because the server's is up to half a second old
 * and Last-Modified must not be later than Date (RFC 9110 section 8.8.2.1).
 */
export class Descriptions {
  readonly #kept = new Map<string, Kept>();
  readonly #begin: string;
  readonly #end: string;

  /** @param varies - Whether what is sent depends on Accept-Encoding. */
  constructor(varies: boolean, cacheControl: string | undefined) {
    this.#begin = varies ? "Vary: Accept-Encoding\r\n" : "";
    this.#end = cacheControl === undefined ? "" : `Cache-Control: ${cacheControl}\r\n`;
  }

  /**
   * @param path - Of the file without what is put behind its name for the coding.
   * @param facts - Of the file that is sent.
   */
  of(path: string, coding: Coding, facts: FileFacts): Description {
    const { size, seconds, nanoseconds } = facts;
    // Two files may have one name here, as app.js in br and app.js.br itself: so the coding is looked at too.
    const name = path + SUFFIXES[coding];
    const kept = this.#kept.get(name);
    if (
      kept !== undefined &&
      kept.coding === coding &&
      kept.size === size &&
      kept.nanoseconds === nanoseconds &&
      kept.seconds === seconds
    ) {
      return kept;
    }
    const nowMs = Date.now();
    const description = this.#describe(path, coding, facts, nowMs);
    if (description.hasDate) return description;
    return this.#keep(name, { ...description, coding, size, seconds, nanoseconds });
  }

  #describe(path: string, coding: Coding, facts: FileFacts, nowMs: number): Description {
    const validators = validatorsOf(facts, coding, nowMs);
    const type = contentType(path);
    const changed = new Date(validators.seconds * 1000).toUTCString();
    const hasDate = !isSettled(facts, nowMs);
    const date = hasDate ? `Date: ${new Date(nowMs).toUTCString()}\r\n` : "";
    const cacheLines = `${date}${this.#begin}ETag: ${validators.etag}\r\nLast-Modified: ${changed}\r\n${this.#end}`;
    const encoding = coding === "identity" ? "" : `Content-Encoding: ${coding}\r\n`;
    const lines = `${cacheLines}Accept-Ranges: bytes\r\n${encoding}Content-Type: ${type}\r\n`;
    return { validators, type, cacheLines, lines, hasDate };
  }

  #keep(name: string, description: Kept): Kept {
    const kept = this.#kept;
    // In the place of what it was before, it would count as old.
    kept.delete(name);
    // The one that has been there for longest.
    if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value as string);
    kept.set(name, description);
    return description;
  }
}
