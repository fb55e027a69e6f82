import type { RealtimeClock } from "../sys/kernel.ts";
import { latin1Bytes } from "./wire/latin1.ts";

/** The Date field of one second, with its CRLF. RFC 9110 section 6.6.1. */
export interface DateField {
  readonly text: string;
  readonly bytes: Uint8Array;
}

/** The Date field before the clock is read. */
export const NO_DATE: DateField = fieldOf(0);

let second = Number.NaN;
let field: DateField = NO_DATE;

/**
 * Reads the clock.
 *
 * @remarks
 * That takes as long as parsing a short head, so a server calls this twice a second. The result is the same object within
 * a second.
 */
export function dateField(clock: RealtimeClock): DateField {
  const now = Math.floor(clock.realtime() / 1000);
  if (now !== second) {
    second = now;
    field = fieldOf(now);
  }
  return field;
}

function fieldOf(seconds: number): DateField {
  const text = `Date: ${new Date(seconds * 1000).toUTCString()}\r\n`;
  return { text, bytes: latin1Bytes(text) };
}

const MONTHS: readonly string[] = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that servers send. */
const FIXED = /^[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT$/;
/** `Sunday, 06-Nov-94 08:49:37 GMT`, of RFC 850. */
const OLD = /^[A-Z][a-z]{5,8}, (\d\d)-([A-Z][a-z]{2})-(\d\d) (\d\d):(\d\d):(\d\d) GMT$/;
/** `Sun Nov  6 08:49:37 1994`, of asctime(3). */
const ASCTIME = /^[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})$/;

/**
 * Parses a date of HTTP in any of its three forms.
 *
 * @param nowMs - The time of day, which decides the century of a year of two digits.
 * @returns Seconds since 1970; NaN if it is invalid.
 * @source RFC 9110 section 5.6.7
 */
export function readHttpDate(text: string, nowMs: number): number {
  const fixed = FIXED.exec(text);
  if (fixed !== null) {
    const [, day, month, year, hour, minute, second] = fixed;
    return secondsOf([year, month, day, hour, minute, second]);
  }
  const old = OLD.exec(text);
  if (old !== null) {
    const [, day, month, year, hour, minute, second] = old;
    return secondsOf([String(fullYear(Number(year), nowMs)), month, day, hour, minute, second]);
  }
  const [, month, day, hour, minute, second, year] = ASCTIME.exec(text) ?? [];
  return secondsOf([year, month, day, hour, minute, second]);
}

/** A two-digit year that would be more than 50 years in the future is in the past. */
function fullYear(year: number, nowMs: number): number {
  const now = new Date(nowMs).getUTCFullYear();
  const inThisCentury = now - (now % 100) + year;
  return inThisCentury > now + 50 ? inThisCentury - 100 : inThisCentury;
}

function secondsOf(parts: readonly (string | undefined)[]): number {
  const [year = "", month = "", day = "", hour = "", minute = "", second = ""] = parts;
  const index = MONTHS.indexOf(month);
  const [d, h, m, s] = [Number(day), Number(hour), Number(minute), Number(second)];
  if (index < 0 || h > 23 || m > 59 || s > 60) return Number.NaN;
  const date = new Date(Date.UTC(Number(year), index, d, h, m, s));
  // Date.UTC carries a day that the month does not have into the next month.
  return date.getUTCDate() === d || s === 60 ? date.getTime() / 1000 : Number.NaN;
}
