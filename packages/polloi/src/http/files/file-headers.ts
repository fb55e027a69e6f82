import type { RealtimeClock } from "../../sys/kernel.ts";
import { type Coding, SUFFIXES } from "./codings.ts";
import { contentType } from "./content-type.ts";
import type { FileStat } from "./file-stat.ts";
import { isSettled, type Validators, validatorsOf } from "./validators.ts";

/** The header fields that describe a file in a response. They are lines, each with its CRLF. */
export interface FileHeaders {
  readonly validators: Validators;
  /** The Content-Type. */
  readonly type: string;
  /** The fields about caching, which a 304 has as well. */
  readonly cacheLines: string;
  /** All fields of a 200 except Content-Length. */
  readonly lines: string;
  /** Whether the lines include a Date. */
  readonly hasDate: boolean;
}

/** Cached fields, and the state of the file that they describe. */
interface CacheEntry extends FileHeaders {
  readonly coding: Coding;
  readonly size: number;
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** An entry takes less than 1 KiB, unless its path is longer. */
const MAX_ENTRIES = 1000;

/**
 * The header fields of files. They are made once, and again when the length or the modification time of a file changes.
 *
 * @remarks
 * Fields are not cached if the file has just changed or its last change is in the future, because then its validators
 * depend on the current time. They include a Date, because the Date of the server may be half a second old, and
 * Last-Modified must not be later than Date (RFC 9110 section 8.8.2.1).
 */
export class FileHeadersCache {
  readonly #entries = new Map<string, CacheEntry>();
  readonly #begin: string;
  readonly #end: string;
  readonly #clock: RealtimeClock;

  /** @param varies - Whether responses depend on Accept-Encoding. */
  constructor(clock: RealtimeClock, varies: boolean, cacheControl: string | undefined) {
    this.#clock = clock;
    this.#begin = varies ? "Vary: Accept-Encoding\r\n" : "";
    this.#end = cacheControl === undefined ? "" : `Cache-Control: ${cacheControl}\r\n`;
  }

  /**
   * Returns the header fields of a file.
   *
   * @param path - The path of the file without the suffix of the coding.
   * @param stat - The state of the file that is sent.
   */
  get(path: string, coding: Coding, stat: FileStat): FileHeaders {
    const { size, seconds, nanoseconds } = stat;
    // Two files may have the same key: app.js in br, and app.js.br itself. So the coding is compared as well.
    const key = path + SUFFIXES[coding];
    const entry = this.#entries.get(key);
    if (
      entry !== undefined &&
      entry.coding === coding &&
      entry.size === size &&
      entry.nanoseconds === nanoseconds &&
      entry.seconds === seconds
    ) {
      return entry;
    }
    const headers = this.#make(path, coding, stat);
    if (headers.hasDate) return headers;
    return this.#add(key, { ...headers, coding, size, seconds, nanoseconds });
  }

  #make(path: string, coding: Coding, stat: FileStat): FileHeaders {
    const nowMs = this.#clock.realtime();
    const validators = validatorsOf(stat, coding, nowMs);
    const type = contentType(path);
    const changed = new Date(validators.seconds * 1000).toUTCString();
    const hasDate = !isSettled(stat, nowMs);
    const date = hasDate ? `Date: ${new Date(nowMs).toUTCString()}\r\n` : "";
    const cacheLines = `${date}${this.#begin}ETag: ${validators.etag}\r\nLast-Modified: ${changed}\r\n${this.#end}`;
    const encoding = coding === "identity" ? "" : `Content-Encoding: ${coding}\r\n`;
    const lines = `${cacheLines}Accept-Ranges: bytes\r\n${encoding}Content-Type: ${type}\r\n`;
    return { validators, type, cacheLines, lines, hasDate };
  }

  #add(key: string, entry: CacheEntry): CacheEntry {
    const entries = this.#entries;
    // Deleted first, so that the entry becomes the newest.
    entries.delete(key);
    // Evicts the oldest entry.
    if (entries.size >= MAX_ENTRIES) entries.delete(entries.keys().next().value as string);
    entries.set(key, entry);
    return entry;
  }
}
