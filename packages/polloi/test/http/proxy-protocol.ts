/** The HTTP server behind a proxy that sends a PROXY header. */
import assert from "node:assert/strict";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import type { AccessEntry, HttpOptions } from "../../src/http/index.ts";
import { encodeProxyHeader } from "../../src/proxy/write-header.ts";
import { GET, LAST, served } from "./client.ts";

const LINE = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";

const entries: AccessEntry[] = [];
const log: HttpOptions["log"] = { write: (entry) => void entries.push({ ...entry }) };

/** Answers with the addresses of the request. */
const handler: HttpOptions["handler"] = ({ remoteAddress, localAddress, proxyHeader }, reply) => {
  reply.send(
    `${remoteAddress?.address} ${localAddress?.address} ${proxyHeader?.version ?? "none"}`,
  );
};

const cases: readonly Case[] = [
  served(
    "requests have the client's address, and so has the log",
    { handler, log, proxyProtocol: true },
    async (server, client) => {
      entries.length = 0;
      const text = await client().send(`${LINE}${GET}${LAST}`).end();
      assert.equal(text.match(/192\.0\.2\.1 198\.51\.100\.7 1/g)?.length, 2, text);
      assert.deepEqual(
        entries.map(({ remoteAddress }) => remoteAddress),
        ["192.0.2.1", "192.0.2.1"],
      );
      const source = { address: "2001:db8::1", port: 1 };
      const binary = encodeProxyHeader({ source, destination: source });
      const header = Buffer.from(binary).toString("latin1");
      assert.match(await client().send(`${header}${LAST}`).end(), /2001:db8::1 2001:db8::1 2$/);
      assert.deepEqual(server.counts, { connections: 2, requests: 3, refused: {} });
    },
  ),
  served(
    "a fetch handler has the addresses and the PROXY header",
    {
      fetch: (_, { remoteAddress, proxyHeader }) =>
        new Response(`${remoteAddress?.address} ${proxyHeader?.command}`),
      proxyProtocol: true,
    },
    async (_, client) => {
      assert.match(await client().send(`${LINE}${LAST}`).end(), /192\.0\.2\.1 proxy$/);
    },
  ),
  served(
    "a connection without a PROXY header is closed and counted, without a response",
    { handler, proxyProtocol: true },
    async (server, client) => {
      assert.equal(await client().send(GET).end(), "");
      assert.equal(await client().send(LINE.replace("443", "x")).end(), "");
      assert.deepEqual(server.counts, {
        connections: 0,
        requests: 0,
        refused: { PROXY_HEADER: 2 },
      });
    },
  ),
  served(
    "a PROXY header from elsewhere is a malformed request",
    { handler, proxyProtocol: { trusted: ["192.0.2.0/24"] } },
    async (server, client) => {
      assert.match(await client().send(`${LINE}${LAST}`).end(), /^HTTP\/1\.1 400 /);
      assert.match(await client().send(LAST).end(), /127\.0\.0\.1 127\.0\.0\.1 none$/);
      assert.equal(server.counts.refused.PROXY_HEADER, undefined);
    },
  ),
  (() => {
    const codes: string[] = [];
    return served(
      "a program is told of refused connections as well",
      { handler, proxyProtocol: { refused: ({ code }) => void codes.push(code) } },
      async (server, client) => {
        await client().send(GET).end();
        assert.deepEqual(codes, ["SIGNATURE"]);
        assert.deepEqual(server.counts.refused, { PROXY_HEADER: 1 });
      },
    );
  })(),
];

export function httpProxyProtocolSuite(): Suite {
  return { title: "polloi/http behind a proxy that sends a PROXY header", cases };
}
