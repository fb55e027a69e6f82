/**
 * Fuzzes the parser with mutated requests:
 *
 *   node dist/packages/polloi/test/http/fuzz.js --seconds 60 [--seed 7]
 *
 * Streams of the corpus are mutated by bytes, by lines and by tokens of HTTP, and checked against the invariants of
 * `invariants.ts`. The first violation is minimized, and printed in the format of the corpus.
 */
import { readdirSync, readFileSync } from "node:fs";
import { argv, exit } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { DEFAULT_LIMITS, type ParserLimits } from "../../src/http/wire/limits.ts";
import { assertSound } from "./invariants.ts";

const CORPUS: string = fileURLToPath(
  new URL("../../../../../packages/polloi/test/http/corpus", import.meta.url),
);

/** Tokens with a meaning in HTTP, to be inserted anywhere. */
const PIECES: readonly string[] = [
  ...'\r\n,\n,\r,\r\n\r\n, ,\t,:,;,=,",\\,\0,\x7f,\x80,0,f,%,[,],@,#,-,+,0x'.split(","),
  ...",chunked,identity,HTTP/1.0,HTTP/1.1,HTTP/2.0,GET / HTTP/1.1\r\n,0\r\n,0\r\n\r\n".split(","),
  ...["Content-Length: 5\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n"],
  ...["Host: a\r\n", "Host:\r\n", " folded\r\n", "Expect: 100-continue\r\n", "X: y\r\n"],
  ...["Connection: close\r\n", "Transfer-Encoding : chunked\r\n", "5\r\nhello\r\n", ";a=b"],
  ...["http://a", "*", "9007199254740991", "9007199254740992", "1fffffffffffff", "20000000000000"],
];

/** Parts of hosts, to be combined in any order. */
const HOST_PIECES: readonly string[] = [
  ...["a", "b.c", "xn--", "--", "-", ".", "..", "_", "*", "(", "=", "%41", "%2e", "%31", "%c3%a9"],
  ...["%ff", "%00", "%25", "%3A", "%", "0", "1", "08", "255", "256", "65536", "0x", "0xff", "0xg"],
  ...["4294967296", "1.2.3.4", "[", "]", "[]", "[::1]", "::", ":", ":80", "ffff", "1:", "v1.a"],
];

/** Replacements of line ends. */
const ENDS: readonly string[] = [
  "\n",
  "\r",
  "\rX",
  "\r\r\n",
  "\n\r\n",
  " \r\n",
  "\r\n\t",
  "X\n",
  "",
];

const SMALL: ParserLimits = {
  maxHeadBytes: 120,
  maxTargetBytes: 12,
  maxHeaders: 3,
  maxBodyBytes: 12,
  maxChunkExtensionBytes: 8,
  maxTrailerBytes: 24,
};

/** A stream in the format of the corpus: bytes that are not printable are escaped, and line ends are omitted. */
export function unescaped(text: string): string {
  return text
    .replace(/^#.*\n/gm, "")
    .replace(/\n/g, "")
    .replace(/\\(?:x([0-9a-f]{2})|([rnt\\]))/g, (_, hex: string | undefined, letter: string) => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      return { r: "\r", n: "\n", t: "\t" }[letter] ?? "\\";
    });
}

/** The inverse: one line of the file for each line of the stream. */
export function escaped(stream: string): string {
  const plain = stream.replace(/[^\x20-\x22\x24-\x5b\x5d-\x7e]/g, (character) => {
    const known = { "\r": "\\r", "\n": "\\n", "\t": "\\t", "\\": "\\\\" }[character];
    return known ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return `${plain.replace(/\\n/g, "\\n\n").replace(/\n$/, "")}\n`;
}

/** The streams of the corpus, by file name. */
export function corpus(): Map<string, string> {
  const names = readdirSync(CORPUS).filter((name) => name.endsWith(".txt"));
  return new Map(
    names.sort().map((name) => [name, unescaped(readFileSync(`${CORPUS}/${name}`, "utf8"))]),
  );
}

/** A seeded random number generator. @returns A number from 0 to `below` - 1. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) % below;
  };
}

type Random = (below: number) => number;

/** The hosts in a stream: the Host field, an absolute target, the target of CONNECT. */
const HOSTS = /(?<=\nHost: ?|https?:\/\/|CONNECT )[^\s/?]*/gi;

function hostFrom(random: Random): string {
  const pieces = Array.from(
    { length: 1 + random(4) },
    () => HOST_PIECES[random(HOST_PIECES.length)],
  );
  return pieces.join("");
}

/** An IPv6 address, or an almost valid one. */
function addressFrom(random: Random): string {
  const groups = Array.from(
    { length: 1 + random(9) },
    () => ["", "", "0", "ffff", "1", "1g"][random(6)],
  );
  const tail = ["", "", "1.2.3.4", "1.2.3", "1.2.3.04", "1.2.3.256"][random(6)] as string;
  return groups.join(":") + tail;
}

/** One change to a stream. */
export function mutated(stream: string, random: Random, seeds: readonly string[]): string {
  const at = random(stream.length + 1);
  const length = random(8);
  const lines = stream.split(/(?<=\n)/);
  const [one, other] = [random(lines.length), random(lines.length)];
  const piece = PIECES[random(PIECES.length)] as string;
  switch (random(14)) {
    case 0:
      return stream.slice(0, at) + String.fromCharCode(random(256)) + stream.slice(at + 1);
    case 1:
      return stream.slice(0, at) + piece + stream.slice(at);
    case 2:
      return stream.slice(0, at) + piece + stream.slice(at + length);
    case 3:
      return stream.slice(0, at) + stream.slice(at + length);
    case 4:
      return lines.toSpliced(one, 0, lines[other] as string).join("");
    case 5:
      return lines.toSpliced(one, 1).join("");
    case 6:
      return lines.toSpliced(one, 0, piece).join("");
    case 7:
      return stream.slice(0, at) + (seeds[random(seeds.length)] as string).slice(random(40));
    case 8:
    case 9:
      return changed(stream, /\r\n/g, ENDS[random(ENDS.length)] as string, random);
    case 10:
      return changed(stream, /[0-9a-f]+(?=\r)|:/gi, piece, random);
    case 11:
      return changed(stream, HOSTS, hostFrom(random), random);
    case 12:
      return changed(stream, HOSTS, `[${addressFrom(random)}]`, random);
    default:
      return stream + (seeds[random(seeds.length)] as string);
  }
}

/** Replaces one of the matches. */
function changed(stream: string, pattern: RegExp, instead: string, random: Random): string {
  const places = [...stream.matchAll(pattern)];
  const place = places[random(Math.max(places.length, 1))];
  if (place === undefined) return stream;
  return stream.slice(0, place.index) + instead + stream.slice(place.index + place[0].length);
}

/** A violated invariant, with the stream. */
export interface Finding {
  readonly stream: string;
  readonly limits: ParserLimits;
  readonly error: unknown;
}

/**
 * Fuzzes until the time is over, or an invariant is violated.
 *
 * @returns The number of streams, and the violation.
 */
export function fuzz({ seconds, seed }: { seconds: number; seed: number }): {
  streams: number;
  finding?: Finding;
} {
  const random = randomOf(seed);
  const seeds = [...corpus().values()];
  const until = performance.now() + seconds * 1000;
  let streams = 0;
  // At least some streams, also on a slow machine.
  while (streams < 100 || performance.now() < until) {
    let stream = seeds[random(seeds.length)] as string;
    for (let left = random(4); left >= 0; left--) stream = mutated(stream, random, seeds);
    stream = stream.slice(0, 1500);
    const limits = random(4) === 0 ? SMALL : DEFAULT_LIMITS;
    const error = complaintAbout(stream, limits, random);
    if (error !== undefined) return { streams, finding: shortened(stream, limits, error, random) };
    streams++;
  }
  return { streams };
}

function complaintAbout(stream: string, limits: ParserLimits, random: Random): unknown {
  const cuts = [0, 1].map(() => Array.from({ length: 1 + random(4) }, () => random(stream.length)));
  try {
    assertSound(stream, cuts, limits);
    return undefined;
  } catch (error) {
    return error ?? new Error("nothing was thrown");
  }
}

function shortened(first: string, limits: ParserLimits, error: unknown, random: Random): Finding {
  let found: Finding = { stream: first, limits, error };
  for (let size = first.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < found.stream.length; ) {
      const stream = found.stream.slice(0, at) + found.stream.slice(at + size);
      const complaint = complaintAbout(stream, limits, random);
      if (complaint === undefined) at += size;
      else found = { stream, limits, error: complaint };
    }
  }
  return found;
}

/** The command line. */
function main(): void {
  const { values } = parseArgs({
    options: { seconds: { type: "string" }, seed: { type: "string" } },
  });
  const seconds = Number(values.seconds ?? "10");
  const seed = Number(values.seed ?? Date.now() % 1_000_000);
  console.log(`seed ${seed}, ${seconds} s`);
  const { streams, finding } = fuzz({ seconds, seed });
  console.log(`${streams} streams held`);
  if (finding === undefined) return;
  console.log(`after them, with limits ${JSON.stringify(finding.limits)}:\n`);
  // Alone, because a stream with a percent sign would be taken for a format.
  console.log(escaped(finding.stream));
  console.log(finding.error);
  exit(1);
}

if (argv[1] === fileURLToPath(import.meta.url)) main();
