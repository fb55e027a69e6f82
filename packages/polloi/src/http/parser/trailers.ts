import type { Fields } from "./fields.ts";

/**
 * Fields that must not come after the body: they frame it, route the request, say who sends it or how to
 * take it, or are about this connection. RFC 9110 section 6.5.1.
 */
const FORBIDDEN: readonly string[] = [
  "authorization",
  "connection",
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "cookie",
  "expect",
  "host",
  "keep-alive",
  "max-forwards",
  "proxy-authorization",
  "range",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/**
 * Is any of these trailers one that must not be?
 *
 * @remarks
 * They could be ignored as well, since trailers are never merged into the headers. A request with one is
 * refused, because it is a mistake at best, and more likely meant for a server that does merge.
 */
export function hasForbidden(trailers: Fields): boolean {
  return trailers.count > 0 && FORBIDDEN.some((name) => trailers.find(name, 0) >= 0);
}

/** The same for one that is to be sent; its name in lower case. */
export function isForbiddenTrailer(name: string): boolean {
  return FORBIDDEN.includes(name);
}
