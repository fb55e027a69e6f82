import { numberError, show } from "../../base/misuse.ts";

/**
 * The limits of a request. A request that exceeds one is refused with the status given here.
 *
 * @remarks
 * Each is an integer from 0 up, or `Infinity` for no limit. `maxHeadBytes`, `maxTargetBytes` and `maxTrailerBytes` bound
 * memory, so they must be finite, and at most 16,777,216 (16 MiB).
 */
export interface ParserLimits {
  /** The request line, all headers and the empty line, in bytes. The reply is 431. Default 16,384 (16 KiB), as in Node. */
  readonly maxHeadBytes: number;
  /** The request target in bytes. The reply is 414. Default 8,192: RFC 9112 section 3 asks for 8,000 or more. */
  readonly maxTargetBytes: number;
  /** The number of header lines, and of trailer lines. The reply is 431. Default 100, as in Apache. */
  readonly maxHeaders: number;
  /** The body in bytes without its framing: as announced, or as received. The reply is 413. Default 1,048,576 (1 MiB), as in nginx. */
  readonly maxBodyBytes: number;
  /** All chunk extensions of a body, in bytes. The reply is 413. Default 16,384 (16 KiB), as in Node. */
  readonly maxChunkExtensionBytes: number;
  /** The trailer section and the empty line that ends it, in bytes. The reply is 431. Default 8,192 (8 KiB). */
  readonly maxTrailerBytes: number;
}

/** The default limits. */
export const DEFAULT_LIMITS: ParserLimits = {
  maxHeadBytes: 16_384,
  maxTargetBytes: 8192,
  maxHeaders: 100,
  maxBodyBytes: 1_048_576,
  maxChunkExtensionBytes: 16_384,
  maxTrailerBytes: 8192,
};

/** The largest limit of a head, in bytes. */
export const LARGEST_HEAD = 16_777_216;

const BUFFERED: ReadonlySet<string> = new Set([
  "maxHeadBytes",
  "maxTargetBytes",
  "maxTrailerBytes",
]);

/**
 * The limits in an options object, with the defaults.
 *
 * @throws RangeError `ERR_INVALID_OPTION` for a number that is not an integer from 0 up, or is too large; TypeError
 * `ERR_INVALID_OPTION` for any other value.
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
  const allowed = largest === LARGEST_HEAD ? `to ${largest}` : "up, or Infinity";
  throw numberError(
    "ERR_INVALID_OPTION",
    value,
    `Cannot use ${show(value)} as ${name}: give an integer from 0 ${allowed}`,
  );
}
