let second = Number.NaN;
let field = "";

/**
 * The Date field of this second, with its CRLF: made once for all responses of it. RFC 9110 section 6.6.1.
 *
 * @remarks
 * Reading the clock takes as long as reading a short head, so a server does that from time to time.
 */
export function dateField(): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) {
    second = now;
    field = `Date: ${new Date(now * 1000).toUTCString()}\r\n`;
  }
  return field;
}
