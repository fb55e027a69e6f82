/**
 * Fuzzes TLS sessions with mutated records:
 *
 *   node dist/packages/polloi/test/tls/fuzz.js --seconds 60 [--seed 7] [--streams 1]
 *
 * The records of a handshake, and of data in both directions, are changed, cut, repeated, exchanged and split, and
 * records that OpenSSL would not send are encrypted with the keys of a client. Servers and clients receive them. The seed of
 * a stream makes all decisions, but not the keys, which OpenSSL draws. A finding names the seed that repeats it.
 */
import assert from "node:assert/strict";
import { argv, exit } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { randomOf } from "../http/fuzz.ts";
import { pattern } from "../reactor/rig.ts";
import { CLIENT_HELLO, KEY_UPDATE } from "./forge.ts";
import { type End, ForgedPair, Pair } from "./pair.ts";

type Random = (below: number) => number;

const HEADER_BYTES = 5;
/** BIO_CTRL_PENDING */
const PENDING = 10;
const TYPES = [20, 21, 22, 22, 22, 23, 23, 24, 0, 99, 128];
const VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;
/** A connection ends after this many exchanges. */
const ROUNDS = 30;

/** Messages of a handshake, to be sent behind it. */
const MESSAGES: readonly Uint8Array[] = [
  KEY_UPDATE,
  CLIENT_HELLO,
  // Parts of messages.
  KEY_UPDATE.subarray(0, 4),
  Uint8Array.from([4, 0, 1, 0, 0]),
  Uint8Array.from([24, 0, 0, 1, 0]),
  Uint8Array.from([24, 0, 0, 1, 7]),
  Uint8Array.from([24, 0xff, 0xff, 0xff]),
  Uint8Array.from([0, 0, 0, 0]),
  Uint8Array.from([4, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 0]),
  Uint8Array.from([13, 0, 0, 3, 0, 0, 0]),
  Uint8Array.from([20, 0, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
  Uint8Array.from([1, 0]),
  Uint8Array.from([2, 40]),
  Uint8Array.from([1, 90]),
  new Uint8Array(0),
];

function randomBytesOf(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random(256));
}

/** Splits a stream into its records. The last one may not be complete. */
function recordsOf(stream: Uint8Array): Uint8Array[] {
  const records: Uint8Array[] = [];
  for (let at = 0; at < stream.length; ) {
    const length = ((stream[at + 3] ?? 0) << 8) | (stream[at + 4] ?? 0);
    records.push(stream.slice(at, at + HEADER_BYTES + length));
    at += HEADER_BYTES + length;
  }
  return records;
}

/** One change to the records of a stream. */
function mutated(records: readonly Uint8Array[], random: Random): Uint8Array[] {
  const one = random(records.length);
  const other = random(records.length);
  const record = records[one] as Uint8Array;
  const changed = record.slice();
  const at = random(record.length);
  const instead = (...others: Uint8Array[]) => records.toSpliced(one, 1, ...others);
  switch (random(14)) {
    case 0:
      changed[at] = random(256);
      return instead(changed);
    case 1:
      changed[random(HEADER_BYTES)] = random(256);
      return instead(changed);
    case 2:
      return instead(record.subarray(0, at));
    case 3:
      return instead(record, record);
    case 4:
      return instead();
    case 5:
      return records.toSpliced(one, 1, records[other] as Uint8Array).toSpliced(other, 1, record);
    case 6:
      return instead(randomBytesOf(random, random(100)), record);
    case 7: {
      const type = TYPES[random(TYPES.length)] as number;
      const length = random(200);
      const header = Uint8Array.from([type, 3, random(5), 0, length]);
      return instead(Buffer.concat([header, randomBytesOf(random, length)]), record);
    }
    case 8:
      // A length above the limit, with as many bytes.
      return instead(
        Buffer.concat([Uint8Array.from([record[0] ?? 22, 3, 3, 0x48, 1]), new Uint8Array(18_433)]),
      );
    case 9:
      return instead(Uint8Array.from([20, 3, 3, 0, 1, 1]), record);
    case 10:
      return instead(Uint8Array.from([21, 3, 3, 0, 2, 1 + random(2), random(256)]), record);
    case 11: {
      // One record becomes two, which is valid while nothing is encrypted.
      const cut = HEADER_BYTES + random(Math.max(1, record.length - HEADER_BYTES));
      const parts = [record.subarray(HEADER_BYTES, cut), record.subarray(cut)];
      const head = record.subarray(0, 3);
      return instead(
        ...parts.map((part) =>
          Buffer.concat([head, Uint8Array.from([part.length >> 8, part.length & 0xff]), part]),
        ),
      );
    }
    case 12:
      return instead(Buffer.concat([record.subarray(0, at), randomBytesOf(random, random(9))]));
    default:
      // The length of a message within the record.
      changed[HEADER_BYTES + 1 + random(60)] = random(256);
      return instead(changed);
  }
}

/** Requires that a session has left nothing that another one would take for its own. */
function assertClean(end: End): void {
  const { calls, input, output } = end.session.library;
  assert.equal(calls.BIO_ctrl(output, PENDING, 0, 0), 0, "output is left");
  assert.equal(calls.BIO_ctrl(input, PENDING, 0, 0), 0, "received bytes are left");
  const { error, isOpen, isBusy } = end.session;
  if (error !== null) {
    assert.match(error.code, /^[A-Z0-9_]+$/);
    assert.ok(!error.message.includes("\n"), error.message);
  }
  if (isBusy) assert.ok(isOpen, "busy before the handshake is done");
}

/** Receives bytes in chunks, unless the session has ended. */
function receive(end: End, bytes: Uint8Array, random: Random): void {
  const most = [1, 6, 50, 3_000, 65_536][random(5)] as number;
  const isSmall = bytes.length < 3_000;
  for (let at = 0; at < bytes.length; ) {
    if (end.session.error !== null || end.session.hasEnded) return;
    const length = Math.min(1 + random(isSmall ? most : 65_536), bytes.length - at);
    end.receive(bytes.subarray(at, at + length));
    assertClean(end);
    at += length;
  }
}

/** Both ends exchange data; some records of one or both are mutated. */
function fuzzExchange(random: Random): void {
  const maxVersion = VERSIONS[random(2)];
  using pair = new Pair({ maxVersion }, {});
  const { client, server } = pair;
  const sent: Record<"client" | "server", Uint8Array[]> = { client: [], server: [] };
  const write = (name: "client" | "server") => {
    const end = pair[name];
    const { session } = end;
    const isReady = session.isOpen && session.error === null && !session.isBusy;
    if (!isReady || random(3) > 0) return;
    if (random(6) === 0) {
      end.end();
      ended.add(name);
    }
    if (ended.has(name)) return;
    const bytes = pattern(1 + random(random(4) === 0 ? 40_000 : 300), random(1000));
    end.write(bytes);
    sent[name].push(bytes);
  };
  const ended = new Set<string>();
  const directions = 1 + random(3);
  const rarity = 1 + random(8);
  const pass = (from: End, to: End, isFuzzed: boolean) => {
    let records = recordsOf(from.outgoing);
    from.outgoing = new Uint8Array(0);
    if (records.length === 0) return;
    while (isFuzzed && records.length > 0 && random(rarity) === 0) {
      records = mutated(records, random);
      if (random(2) === 0) break;
    }
    receive(to, Buffer.concat(records), random);
  };
  client.step();
  for (let round = 0; round < ROUNDS; round++) {
    pass(client, server, (directions & 1) !== 0);
    write("server");
    pass(server, client, (directions & 2) !== 0);
    write("client");
  }
  for (const [from, to] of [
    ["client", server],
    ["server", client],
  ] as const) {
    const all = Buffer.concat(sent[from]);
    const { received } = to;
    assert.ok(received.length <= all.length, `more than the ${from} has sent`);
    assert.deepEqual(Buffer.from(received), all.subarray(0, received.length));
  }
}

/** A server receives records with valid keys, and any content. */
function fuzzForged(random: Random): void {
  using pair = new ForgedPair(VERSIONS[random(2)] as "TLSv1.2" | "TLSv1.3");
  const { server, forger } = pair;
  for (let round = 0; round < ROUNDS; round++) {
    const type = TYPES[random(TYPES.length)] as number;
    let content = MESSAGES[random(MESSAGES.length)] as Uint8Array;
    const kind = random(8);
    if (kind === 0) content = randomBytesOf(random, random(60));
    if (kind === 1) content = new Uint8Array(random(2) === 0 ? 16_384 : 16_385 + random(300));
    if (kind === 2) content = Buffer.concat([content, content, content]);
    const cut = kind === 3 ? random(content.length + 1) : 0;
    const parts = kind === 3 ? [content.subarray(0, cut), content.subarray(cut)] : [content];
    receive(server, Buffer.concat(parts.map((part) => forger.seal(type, part))), random);
    const { error, isBusy } = server.session;
    if (error !== null) return;
    if (!isBusy && random(2) === 0) server.write("answer");
    assertClean(server);
  }
}

/** A violated invariant. */
export interface Finding {
  readonly seed: number;
  readonly error: unknown;
}

/**
 * Fuzzes until the time is over, `streams` connections have ended, or an invariant is violated.
 *
 * @returns The number of connections, and the violation.
 */
export function fuzz(options: { seconds: number; seed: number; streams?: number }): {
  streams: number;
  finding?: Finding;
} {
  const { seconds, seed, streams: most = Number.POSITIVE_INFINITY } = options;
  const until = performance.now() + seconds * 1000;
  // A connection that all others must leave alone.
  using bystander = new Pair({}, {}).open();
  let streams = 0;
  while (streams < most && (streams < 20 || performance.now() < until)) {
    const random = randomOf(seed + streams);
    try {
      if (random(3) === 0) fuzzForged(random);
      else fuzzExchange(random);
      bystander.client.write("x");
      bystander.server.write("y");
      bystander.settle();
      assert.deepEqual([...bystander.server.take(), ...bystander.client.take()], [120, 121]);
      assert.equal(bystander.client.session.error, null);
    } catch (error) {
      return { streams, finding: { seed: seed + streams, error } };
    }
    streams++;
  }
  return { streams };
}

/** The command line. */
function main(): void {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string" },
      seed: { type: "string" },
      streams: { type: "string" },
    },
  });
  const seconds = Number(values.seconds ?? "10");
  const seed = Number(values.seed ?? Date.now() % 1_000_000);
  console.log(`seed ${seed}, ${seconds} s`);
  const limit = values.streams === undefined ? {} : { streams: Number(values.streams) };
  const { streams, finding } = fuzz({ seconds, seed, ...limit });
  console.log(`${streams} connections held`);
  if (finding === undefined) return;
  console.log(`then --seed ${finding.seed} --streams 1 did not:`);
  console.log(finding.error);
  exit(1);
}

if (argv[1] === fileURLToPath(import.meta.url)) main();
