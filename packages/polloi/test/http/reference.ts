/**
 * A second parser of requests, with which the parser must agree. It is slow, parses a whole stream at once, is written
 * with regular expressions from the grammar of RFC 9110 and RFC 9112, and shares no code with the parser.
 */
import { isIPv6 } from "node:net";
import { domainToASCII } from "node:url";
import type { ParserLimits } from "../../src/http/wire/limits.ts";

/** A request as the reference parses it. */
export interface ReferenceMessage {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
  readonly trailers: readonly (readonly [string, string])[];
  /** The position of its end in the stream. */
  readonly end: number;
}

/**
 * The complete requests of a stream, and the rest of the stream: nothing (`"end"`), an invalid request, or
 * an incomplete one. The reference does not decide whether an incomplete request can still become valid.
 */
export interface ReferenceResult {
  readonly messages: readonly ReferenceMessage[];
  readonly rest: "end" | "wrong" | "unfinished";
}

const TCHAR = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]";
const TEXT = "[\\t\\x20-\\x7e\\x80-\\xff]";
const REQUEST_LINE: RegExp = new RegExp(
  `^(${TCHAR}{1,32}) ([\\x21\\x22\\x24-\\x7e]+) HTTP/1\\.([0-9])$`,
);
const FIELD: RegExp = new RegExp(`^(${TCHAR}+):[ \\t]*(${TEXT}*?)[ \\t]*$`);
const QUOTED = `"(?:[\\t\\x20\\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|\\\\${TEXT})*"`;
const EXTENSION = `[ \\t]*;[ \\t]*${TCHAR}+(?:[ \\t]*=[ \\t]*(?:${TCHAR}+|${QUOTED}))?`;
const CHUNK_LINE: RegExp = new RegExp(`^([0-9A-Fa-f]{1,16})((?:${EXTENSION})*)\\r$`);
const AUTHORITY =
  /^(?:\[([0-9A-Fa-f:.]+)\]|((?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})+))(?::(\d*))?$/;
/** The forbidden domain code points of the URL standard. */
const NOT_IN_DOMAINS = /[\0-\x20"#%/:<>?@[\\\]^`{|}\x7f]/;
const NUMBER = /^(?:0x[0-9a-f]*|\d+)$/;
const NOT_IN_TRAILERS =
  /^(?:authorization|connection|content-(?:encoding|length|range|type)|cookie|expect|host|keep-alive|max-forwards|proxy-authorization|range|te|trailer|transfer-encoding|upgrade)$/i;

/** Thrown if the stream is invalid or incomplete. */
class Stop extends Error {
  readonly rest: "wrong" | "unfinished";

  constructor(rest: "wrong" | "unfinished") {
    super(rest);
    this.rest = rest;
  }
}

function must(sound: boolean): void {
  if (!sound) throw new Stop("wrong");
}

/** Parses a whole stream. */
export function parseByReference(stream: string, limits: ParserLimits): ReferenceResult {
  const messages: ReferenceMessage[] = [];
  let at = 0;
  try {
    for (;;) {
      const lead = /^(?:\r\n)*/.exec(stream.slice(at))?.[0].length as number;
      if (lead > 8) throw new Stop("wrong");
      at += lead;
      if (at === stream.length) return { messages, rest: lead === 0 ? "end" : "unfinished" };
      const message = readMessage(stream, at, limits);
      messages.push(message);
      at = message.end;
    }
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    return { messages, rest: error.rest };
  }
}

function readMessage(stream: string, start: number, limits: ParserLimits): ReferenceMessage {
  const headEnd = stream.indexOf("\r\n\r\n", start);
  if (headEnd < 0) throw new Stop("unfinished");
  must(headEnd + 4 - start <= limits.maxHeadBytes);
  const [first = "", ...lines] = stream.slice(start, headEnd).split("\r\n");
  const [, method = "", target = "", minor] = REQUEST_LINE.exec(first) ?? [];
  must(method !== "" && target.length <= limits.maxTargetBytes && isTarget(method, target));
  const headers = fieldsOf(lines, limits.maxHeaders);
  const all = (name: string) =>
    headers.filter(([it]) => it.toLowerCase() === name).map(([, value]) => value);
  const [hosts, lengths] = [all("host"), all("content-length")];
  must(hosts.length <= 1 && (hosts.length === 1 || minor === "0"));
  must(hosts.every((host) => host === "" || isAuthority(host)));
  must(all("expect").every((value) => value.toLowerCase() === "100-continue"));
  const codings = all("transfer-encoding");
  let rest: Pick<ReferenceMessage, "body" | "trailers" | "end">;
  if (codings.length > 0) {
    must(minor !== "0" && lengths.length === 0 && codings.join().toLowerCase() === "chunked");
    rest = readChunks(stream, headEnd + 4, limits);
  } else {
    must(lengths.length <= 1 && /^\d+$/.test(lengths[0] ?? "0"));
    const length = Number(lengths[0] ?? "0");
    must(length <= limits.maxBodyBytes && Number.isSafeInteger(length));
    const end = headEnd + 4 + length;
    if (end > stream.length) throw new Stop("unfinished");
    rest = { body: stream.slice(headEnd + 4, end), trailers: [], end };
  }
  return { method, target, headers, ...rest };
}

function isTarget(method: string, target: string): boolean {
  if (method === "CONNECT") return isAuthority(target) && /:\d+$/.test(target);
  if (target.startsWith("/")) return true;
  if (target === "*") return method === "OPTIONS";
  const authority = /^https?:\/\/([^/?]+)/i.exec(target)?.[1];
  return authority !== undefined && isAuthority(authority);
}

function isAuthority(text: string): boolean {
  const [whole, literal, name, port] = AUTHORITY.exec(text) ?? [];
  if (whole === undefined || Number(port ?? 0) > 65_535) return false;
  return literal === undefined ? isHostName(name as string) : isIPv6(literal);
}

/** Whether the host parser of the URL standard accepts this name, as a domain or as an IPv4 address. */
function isHostName(text: string): boolean {
  let domain: string;
  try {
    const decoded = decodeURIComponent(text).toLowerCase();
    // No domain has a percent sign, and domainToASCII would decode it.
    if (decoded.includes("%")) return false;
    const isPlain = /^[\0-\x7f]*$/.test(decoded) && !/(?:^|\.)xn--/.test(decoded);
    domain = isPlain ? decoded : domainToASCII(decoded);
  } catch {
    // The bytes are not UTF-8. The URL standard decodes them as U+FFFD, which no domain contains.
    return false;
  }
  if (domain === "" || NOT_IN_DOMAINS.test(domain)) return false;
  const labels = domain.split(".");
  if (labels.length > 1 && labels.at(-1) === "") labels.pop();
  return NUMBER.test(labels.at(-1) as string) ? isIpv4(labels) : true;
}

/** One to four numbers in decimal, octal or hexadecimal. The last one fills the remaining bytes. */
function isIpv4(labels: readonly string[]): boolean {
  if (labels.length > 4) return false;
  return labels.every((label, k) => {
    const octal = /^0[0-9]/.test(label);
    if (label === "" || !(octal ? /^[0-7]+$/ : NUMBER).test(label)) return false;
    const value = label === "0x" ? 0 : Number(octal ? `0o${label}` : label);
    return value < (k === labels.length - 1 ? 256 ** (5 - labels.length) : 256);
  });
}

function fieldsOf(lines: readonly string[], most: number): [string, string][] {
  must(lines.length <= most);
  return lines.map((line) => {
    const [, name = "", value = ""] = FIELD.exec(line) ?? [];
    must(name !== "");
    return [name, value];
  });
}

function readChunks(
  stream: string,
  start: number,
  limits: ParserLimits,
): Pick<ReferenceMessage, "body" | "trailers" | "end"> {
  let at = start;
  let body = "";
  let extensions = 0;
  for (;;) {
    const lineEnd = stream.indexOf("\n", at);
    if (lineEnd < 0) throw new Stop("unfinished");
    const [, digits = "", extension = ""] = CHUNK_LINE.exec(stream.slice(at, lineEnd)) ?? [];
    extensions += extension.length;
    must(digits !== "" && extensions <= limits.maxChunkExtensionBytes);
    const size = Number.parseInt(digits, 16);
    must(Number.isSafeInteger(size) && body.length + size <= limits.maxBodyBytes);
    at = lineEnd + 1;
    if (size === 0) break;
    const after = stream.slice(at + size, at + size + 2);
    must("\r\n".startsWith(after));
    if (after.length < 2) throw new Stop("unfinished");
    body += stream.slice(at, at + size);
    at += size + 2;
  }
  if (stream.startsWith("\r\n", at)) {
    must(limits.maxTrailerBytes >= 2);
    return { body, trailers: [], end: at + 2 };
  }
  const end = stream.indexOf("\r\n\r\n", at);
  if (end < 0) throw new Stop("unfinished");
  must(end + 4 - at <= limits.maxTrailerBytes);
  const trailers = fieldsOf(stream.slice(at, end).split("\r\n"), limits.maxHeaders);
  must(!trailers.some(([name]) => NOT_IN_TRAILERS.test(name)));
  return { body, trailers, end: end + 4 };
}
