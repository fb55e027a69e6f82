/** Request smuggling: ambiguous streams are refused, and bytes after them are not handled. */
import assert from "node:assert/strict";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import type { HttpHandler, HttpOptions, HttpServer } from "../../src/http/index.ts";
import { FAILURES, type FailureCode } from "../../src/http/wire/failures.ts";
import { type Client, LAST, served } from "./client.ts";
import * as refused from "./refused.ts";
import { SMUGGLED, SOUND, TRICKS, type Trick } from "./smuggling-table.ts";

/** The requests that handlers received. */
class Seen {
  readonly requests: string[] = [];

  /** Answers after the whole body. */
  readonly whole: HttpHandler = async (request, reply) => {
    const { method, target, host } = request;
    const body = Buffer.from(await request.bytes()).toString("latin1");
    this.requests.push(`${method} ${target} ${host} ${body}`);
    reply.send(`<${method} ${target} ${body}>`);
  };

  /** Answers before the body. */
  readonly atOnce: HttpHandler = ({ method, target, host }, reply) => {
    this.requests.push(`${method} ${target} ${host}`);
    reply.send("<early>");
  };

  /** Begins to answer before the body. */
  readonly inPart: HttpHandler = (request, reply) => {
    this.requests.push(`${request.method} ${request.target} ${request.host}`);
    request.read({ data() {} });
    reply.begin().write("<part>");
  };
}

function statuses(text: string): string[] {
  return [...text.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, status]) => status as string);
}

/** Requires that the request is refused for `failure`, nothing after it is handled, and the next client is served. */
async function assertRefused(
  server: HttpServer,
  client: () => Client,
  seen: Seen,
  [name, stream, failure]: readonly [string, string, FailureCode],
): Promise<void> {
  const before = server.counts.refused[failure] ?? 0;
  const text = await client().send(`${stream}${SMUGGLED}`).end();
  assert.deepEqual(statuses(text), [String(FAILURES[failure].status)], name);
  assert.match(text, /\r\nConnection: close\r\n/, name);
  assert.ok(
    !text.includes("smuggled"),
    `${name}: the answer does not contain bytes of the request`,
  );
  assert.equal(server.counts.refused[failure], before + 1, name);
  assert.deepEqual(seen.requests, [], `${name}: handled requests`);
  assert.match(await client().send(LAST).end(), /<GET \/ >$/, name);
  seen.requests.length = 0;
}

function refusal(trick: Trick): Case {
  const seen = new Seen();
  return served(`${trick[0]}: ${trick[2]}`, { handler: seen.whole }, (server, client) =>
    assertRefused(server, client, seen, trick),
  );
}

/** Every row of a table of the parser, on one server unless the row has its own limits. */
function refusals(name: string, rows: readonly refused.Refused[]): Case {
  return {
    name: `${name}: the server refuses it as the parser does, and closes`,
    async run() {
      const byLimits = new Map<string, refused.Refused[]>();
      for (const row of rows) {
        const key = JSON.stringify(row[3] ?? {});
        byLimits.set(key, [...(byLimits.get(key) ?? []), row]);
      }
      for (const [limits, group] of byLimits) {
        const seen = new Seen();
        const options: HttpOptions = { handler: seen.whole, ...JSON.parse(limits) };
        // With a limit of 0 no request can be served.
        const small = limits !== "{}";
        await served(name, options, async (server, client) => {
          for (const [what, stream, failure] of group) {
            if (small) {
              const text = await client().send(`${stream}${SMUGGLED}`).end();
              assert.deepEqual(statuses(text), [String(FAILURES[failure].status)], what);
              assert.deepEqual(seen.requests, [], what);
            } else {
              await assertRefused(server, client, seen, [what, stream, failure]);
            }
          }
        }).run();
      }
    },
  };
}

const TABLES: readonly Case[] = [
  refusals("request lines", refused.REQUEST_LINES),
  refusals("header lines", refused.HEADER_LINES),
  refusals("framing", refused.FRAMING),
  refusals("chunks", refused.CHUNKS),
  refusals("limits", refused.LIMITS),
];

/** The streams with a valid head, so that a handler answers before the rest is parsed. */
const BAD_CHUNKS: readonly (readonly [string, string, FailureCode])[] = [
  ...refused.CHUNKS.map(([name, stream, failure]) => [name, stream, failure] as const),
  ...TRICKS.filter(([, stream]) => /\r\nTransfer-Encoding: chunked\r\n\r\n/.test(stream)).filter(
    ([, , failure]) => !/^(NAME_INVALID|LENGTH|HOST)/.test(failure),
  ),
];

const answered: readonly Case[] = [
  (() => {
    const seen = new Seen();
    return served(
      "a request that is answered before an invalid chunk is answered once, and nothing after it is handled",
      { handler: seen.atOnce },
      async (_, client) => {
        for (const [name, stream] of BAD_CHUNKS) {
          const text = await client().send(`${stream}${SMUGGLED}`).end();
          assert.equal(statuses(text).length, 1, name);
          assert.ok(seen.requests.length <= 1, `${name}: ${seen.requests}`);
          seen.requests.length = 0;
        }
        assert.match(await client().send(LAST).end(), /<early>$/);
      },
    );
  })(),
  (() => {
    const seen = new Seen();
    return served(
      "an answer that has begun before an invalid chunk is cut off, not completed",
      { handler: seen.inPart },
      async (_, client) => {
        // The valid part is sent first, so that the answer has begun.
        for (const bad of ["x", "-1\r\n", "5\r\nhello!", "0\r\nGET /smuggled HTTP/1.1\r\n\r\n"]) {
          const one = client().send(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
          );
          await one.until(({ text }) => text.includes("<part>"));
          const text = await one.send(bad + SMUGGLED).end();
          assert.deepEqual(statuses(text), ["200"], bad);
          assert.ok(!text.endsWith("0\r\n\r\n"), `${bad}: it looks complete`);
          assert.deepEqual(seen.requests, ["POST / a"]);
          seen.requests.length = 0;
        }
      },
    );
  })(),
  (() => {
    const seen = new Seen();
    return served(
      "an unread body is not parsed as a request, whether it is skipped or the connection is closed",
      { handler: seen.atOnce },
      async (_, client) => {
        const body = SMUGGLED.repeat(50);
        const length = `Content-Length: ${body.length}`;
        const size = body.length.toString(16);
        for (const [lines, sent] of [
          [length, body],
          [`${length}\r\nExpect: 100-continue`, body],
          ["Transfer-Encoding: chunked", `${size}\r\n${body}\r\n0\r\n\r\n`],
          ["Transfer-Encoding: chunked\r\nExpect: 100-continue", `${size}\r\n${body}\r\n0\r\n\r\n`],
        ] as const) {
          const one = client().send(`POST / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n`);
          await one.until(({ text }) => text.endsWith("<early>"));
          // A client that waits for 100 Continue may still send the body.
          await one.send(sent + LAST).end();
          assert.ok(
            !seen.requests.some((it) => it.includes("smuggled")),
            `${lines}: ${seen.requests}`,
          );
          seen.requests.length = 0;
        }
      },
    );
  })(),
  (() => {
    const seen = new Seen();
    return served(
      "the rest of a body of a closed connection does not affect the next client",
      { handler: seen.atOnce },
      async (_, client) => {
        for (const lines of ["Content-Length: 1000000", "Transfer-Encoding: chunked"]) {
          const post = `POST / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n`;
          const text = await client().send(post).end();
          assert.match(text, /\r\nConnection: close\r\n/);
          // A later client, and one that was connected before.
          const there = client();
          assert.match(await client().send(LAST).end(), /^HTTP\/1.1 200 .*<early>$/s);
          await client().send(post).end();
          assert.match(await there.send(LAST).end(), /^HTTP\/1.1 200 .*<early>$/s);
        }
        assert.equal(seen.requests.filter((it) => it === "GET / a").length, 4);
      },
    );
  })(),
];

const sound: readonly Case[] = SOUND.map(([name, stream, requests]) => {
  const seen = new Seen();
  return served(`${name}: accepted`, { handler: seen.whole }, async (server, client) => {
    await client().send(`${stream}${LAST}`).end();
    assert.deepEqual(seen.requests, [...requests, "GET / a "]);
    assert.deepEqual(server.counts.refused, {});
  });
});

/** A stream of requests of all kinds, and streams with a refused request after valid ones. */
const PIPELINES: readonly (readonly [name: string, stream: string])[] = [
  [
    "sound requests",
    `POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\r\n${'POST /2 HTTP/1.1\r\nHost:a\r\nTransfer-Encoding: chunked\r\n\r\n3;a="b"\r\nabc\r\n0\r\nA: b\r\n\r\n'}${LAST}`,
  ],
  [
    "an invalid chunk after a valid request",
    `GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n${SMUGGLED}`,
  ],
  [
    "both lengths after a valid request",
    `GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ],
];

/** The number of connections at a time. */
const AT_ONCE = 32;

const cut: readonly Case[] = PIPELINES.map(([name, stream]) => {
  const seen = new Seen();
  return served(
    `${name}: the same answers if split at any byte, or into single bytes`,
    { handler: seen.whole },
    async (_, client) => {
      const undated = (text: string): string => text.replace(/^Date: .*\r\n/gm, "");
      const whole = undated(await client().send(stream).end());
      const next = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
      const inPieces = async (pieces: readonly string[]): Promise<void> => {
        const one = client();
        one.socket.setNoDelay(true);
        for (const piece of pieces) {
          if (one.ended) break;
          one.send(piece);
          await next();
        }
        assert.equal(undated(await one.end()), whole, JSON.stringify(pieces[0]));
      };
      await inPieces([...stream]);
      const cuts = Array.from({ length: stream.length - 1 }, (_, i) => i + 1);
      const worker = async (): Promise<void> => {
        for (let at = cuts.pop(); at !== undefined; at = cuts.pop()) {
          await inPieces([stream.slice(0, at), stream.slice(at)]);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      assert.ok(!seen.requests.some((it) => it.includes("smuggled")));
    },
  );
});

export function httpSmugglingSuite(): Suite {
  return {
    title: "HTTP request smuggling",
    cases: [...TABLES, ...TRICKS.map(refusal), ...answered, ...sound, ...cut],
  };
}
