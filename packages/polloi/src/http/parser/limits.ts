import { rangeError, show } from "../../base/misuse.ts";

/**
 * How much of everything a request may have. What goes beyond is refused, with the status given here.
 *
 * @remarks
 * Each is an integer from 0 up, or `Infinity` for no limit; 0 allows none at all, and what is left out
 * or `undefined` is the default of {@link DEFAULT_LIMITS}. `maxHeadBytes`, `maxTargetBytes` and
 * `maxTrailerBytes` bound memory, so they have to be finite, and at most {@link LARGEST_HEAD}.
 */
export interface ParserLimits {
  /** The request line, all headers and the empty line, in bytes. 431. 16 KiB, as in Node. */
  readonly maxHeadBytes: number;
  /** The target in the request line, in bytes. 414. 8 KiB: RFC 9112 section 3 asks for 8000 or more. */
  readonly maxTargetBytes: number;
  /** Header lines of a head, and again those of a trailer section. 431. 100, as in Apache. */
  readonly maxHeaders: number;
  /** The body without its framing, in bytes: what is announced, or what came. 413. 1 MiB, as in nginx. */
  readonly maxBodyBytes: number;
  /** Chunk extensions of one whole body, in bytes. 413. 16 KiB, as in Node. */
  readonly maxChunkExtensionBytes: number;
  /** The trailer section with the empty line that ends it, in bytes. 431. 8 KiB. */
  readonly maxTrailerBytes: number;
}

/** What holds where nothing else is said. */
export const DEFAULT_LIMITS: ParserLimits = {
  maxHeadBytes: 16_384,
  maxTargetBytes: 8192,
  maxHeaders: 100,
  maxBodyBytes: 1_048_576,
  maxChunkExtensionBytes: 16_384,
  maxTrailerBytes: 8192,
};

/** What a head can be allowed to have at most, in bytes. Offsets into it are 32-bit numbers. */
export const LARGEST_HEAD = 16_777_216;

const BUFFERED: ReadonlySet<string> = new Set([
  "maxHeadBytes",
  "maxTargetBytes",
  "maxTrailerBytes",
]);

/**
 * The limits that an options object asks for, with the defaults for what it leaves out.
 *
 * @throws RangeError `ERR_INVALID_OPTION` for what is no integer from 0 up, or too large.
 */
export function parserLimitsOf(
  options: { readonly [Name in keyof ParserLimits]?: number | undefined } = {},
): ParserLimits {
  const limits = { ...DEFAULT_LIMITS };
  for (const name of Object.keys(limits) as (keyof ParserLimits)[]) {
    const value = options[name];
    if (value !== undefined) limits[name] = limitOf(name, value);
  }
  return limits;
}

function limitOf(name: string, value: number): number {
  const largest = BUFFERED.has(name) ? LARGEST_HEAD : Number.POSITIVE_INFINITY;
  const whole = Number.isSafeInteger(value) || value === Number.POSITIVE_INFINITY;
  if (whole && value >= 0 && value <= largest) return value;
  throw rangeError(
    "ERR_INVALID_OPTION",
    `Cannot use ${show(value)} as ${name}: give an integer from 0 to ${largest}`,
  );
}
