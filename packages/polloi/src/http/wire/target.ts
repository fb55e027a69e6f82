import type { RequestHead } from "./head.ts";
import { isAuthority, isHostAndPort } from "./authority.ts";
import { ASTERISK, COLON, isText, LOWER, lowerCase, QUESTION, SLASH } from "./characters.ts";

const HTTP = lowerCase("http");

/**
 * Stores the form of a target, and the parts of an absolute one, in the head. RFC 9112 section 3.2.
 *
 * @remarks
 * Absolute targets must have the scheme http or https and a host, and no user information (RFC 9110 section 4.2.4). The
 * authority form is valid for CONNECT only, and the asterisk form for OPTIONS only.
 *
 * @returns Whether the target is valid.
 */
export function readTarget(head: RequestHead, bytes: Uint8Array, base: number): boolean {
  const from = base + head.methodEnd + 1;
  const to = base + head.targetEnd;
  head.pathStart = head.methodEnd + 1;
  if (head.method === "CONNECT") {
    head.form = "authority";
    head.pathStart = head.targetEnd;
    return isHostAndPort(bytes, from, to);
  }
  if (bytes[from] === SLASH) {
    head.form = "origin";
    return true;
  }
  if (bytes[from] === ASTERISK) {
    head.form = "asterisk";
    return to === from + 1 && head.method === "OPTIONS";
  }
  head.form = "absolute";
  const authority = schemeEnd(bytes, from, to);
  if (authority < 0) return false;
  let end = authority;
  while (end < to && bytes[end] !== SLASH && bytes[end] !== QUESTION) end++;
  head.authorityStart = authority - base;
  head.pathStart = end - base;
  return isAuthority(bytes, authority, end);
}

/** The offset of the authority; -1 if the target does not begin with `http://` or `https://`. */
function schemeEnd(bytes: Uint8Array, from: number, to: number): number {
  if (to - from < 8 || !isText(bytes, from, HTTP)) return -1;
  const colon = LOWER[bytes[from + 4] as number] === 0x73 ? from + 5 : from + 4;
  if (bytes[colon] !== COLON || bytes[colon + 1] !== SLASH || bytes[colon + 2] !== SLASH) return -1;
  return colon + 3;
}
