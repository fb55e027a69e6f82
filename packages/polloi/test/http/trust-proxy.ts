/** `trustProxy`: the client's address, scheme and host behind a proxy. */
import assert from "node:assert/strict";
import { Hono } from "hono";
import { csrf } from "hono/csrf";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import type { AccessEntry, HttpOptions } from "../../src/http/index.ts";
import { encodeProxyHeader } from "../../src/proxy/write-header.ts";
import { served } from "./client.ts";

const XFF = "X-Forwarded-For: 1.1.1.1, 192.0.2.1\r\nX-Forwarded-Proto: https\r\n";
const HOST = "X-Forwarded-Host: app.example\r\n";
const TRUSTED = { trustProxy: ["127.0.0.0/8"] };

const entries: AccessEntry[] = [];
const log: HttpOptions["log"] = { write: (entry) => void entries.push({ ...entry }) };

/** A request. @param headers - Lines behind Host. */
function get(headers: string, target = "/path?query"): string {
  return `GET ${target} HTTP/1.1\r\nHost: inner\r\n${headers}\r\n`;
}

function last(headers: string, target?: string): string {
  return get(`Connection: close\r\n${headers}`, target);
}

const url: HttpOptions["fetch"] = (request, { remoteAddress }) =>
  new Response(`${request.url} ${remoteAddress?.address}`);

/** Cases for both kinds of handlers. */
const told: HttpOptions["handler"] = ({ scheme, host, target, remoteAddress }, reply) => {
  reply.send(`${scheme}://${host}${target} ${remoteAddress?.address}`);
};

const kinds: readonly (readonly [string, HttpOptions])[] = [
  ["handler", { handler: told }],
  ["fetch", { fetch: url }],
  ["fetch with the runtime's classes", { fetch: url, overrideGlobals: false }],
];

function form(headers: string): string {
  const body = "a=b";
  return (
    "POST /form HTTP/1.1\r\nHost: app.example\r\nOrigin: https://app.example\r\nConnection: close\r\n" +
    `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n${headers}\r\n${body}`
  );
}

const app = new Hono().use(csrf()).post("/form", (context) => context.text("accepted"));

const cases: readonly Case[] = [
  ...kinds.flatMap(([kind, options]) => [
    served(
      `${kind}: a trusted proxy sets the address, the scheme and the host`,
      { ...options, ...TRUSTED, log },
      async (_, client) => {
        entries.length = 0;
        const text = await client()
          .send(get(XFF) + last(XFF + HOST))
          .end();
        assert.match(text, /https:\/\/inner\/path\?query 192\.0\.2\.1HTTP/);
        assert.match(text, /https:\/\/app\.example\/path\?query 192\.0\.2\.1$/);
        const standard = 'Forwarded: for="[2001:db8::1]:4711";proto=https;host=app.example\r\n';
        const other = await client().send(last(standard)).end();
        assert.match(other, /https:\/\/app\.example\/path\?query 2001:db8::1$/);
        assert.deepEqual(
          entries.map(({ remoteAddress }) => remoteAddress),
          ["192.0.2.1", "192.0.2.1", "2001:db8::1"],
        );
      },
    ),
    served(
      `${kind}: without trusted proxies, or from another peer, the headers mean nothing`,
      { ...options, log },
      async (_, client) => {
        entries.length = 0;
        const text = await client()
          .send(last(XFF + HOST))
          .end();
        assert.match(text, /http:\/\/inner\/path\?query 127\.0\.0\.1$/);
        assert.equal(entries[0]?.remoteAddress, "127.0.0.1");
      },
    ),
    ...[["192.0.2.0/24"], []].map((trustProxy) =>
      served(
        `${kind}: a peer outside of the ranges [${trustProxy}] is its own client`,
        { ...options, trustProxy },
        async (_, client) => {
          const text = await client()
            .send(last(`${XFF}${HOST}Forwarded: broken"\r\n`))
            .end();
          assert.match(text, /http:\/\/inner\/path\?query 127\.0\.0\.1$/);
        },
      ),
    ),
    served(
      `${kind}: each request of a connection has its own client`,
      { ...options, ...TRUSTED },
      async (_, client) => {
        const one = get("X-Forwarded-For: 192.0.2.1\r\n");
        const two = get("X-Forwarded-For: 192.0.2.2\r\n");
        const text = await client()
          .send(one + two + last(""))
          .end();
        const seen = [...text.matchAll(/query (\d+\.\d+\.\d+\.\d+)/g)].map(
          ([, address]) => address,
        );
        assert.deepEqual(seen, ["192.0.2.1", "192.0.2.2", "127.0.0.1"]);
      },
    ),
    served(
      `${kind}: headers that contradict each other, or are malformed, are refused`,
      { ...options, ...TRUSTED, log },
      async (server, client) => {
        const wrong = [
          `${XFF}Forwarded: for=1.1.1.1\r\n`,
          'Forwarded: for="x, for=192.0.2.1\r\n',
          "X-Forwarded-Host: a b\r\n",
        ];
        for (const headers of wrong) {
          const text = await client().send(last(headers)).end();
          assert.match(text, /^HTTP\/1\.1 400 /, headers);
        }
        assert.deepEqual(server.counts.refused, { FORWARDED: wrong.length });
        const text = await client()
          .send(get(wrong[0] as string) + last(XFF))
          .end();
        assert.match(text, /^HTTP\/1\.1 400 [\s\S]*https:\/\/inner\/path\?query 192\.0\.2\.1$/);
      },
    ),
  ]),
  served(
    "only the headers that were chosen are read",
    { fetch: url, trustProxy: { trusted: ["127.0.0.1"], headers: "x-forwarded" } },
    async (_, client) => {
      const text = await client()
        .send(last(`${XFF}Forwarded: for=1.1.1.1"\r\n`))
        .end();
      assert.match(text, /https:\/\/inner\/path\?query 192\.0\.2\.1$/);
    },
  ),
  served(
    "an absolute target and the asterisk of OPTIONS have the origin that the proxy says",
    { fetch: url, ...TRUSTED },
    async (_, client) => {
      const absolute = await client()
        .send(last(XFF + HOST, "http://inner/a?b"))
        .end();
      assert.match(absolute, /https:\/\/app\.example\/a\?b 192\.0\.2\.1$/);
      const options = last(XFF + HOST, "*").replace("GET", "OPTIONS");
      assert.match(await client().send(options).end(), /https:\/\/app\.example\/\* 192\.0\.2\.1$/);
    },
  ),
  served(
    "a default port is left out of the URL, another one is kept",
    { fetch: url, ...TRUSTED },
    async (_, client) => {
      const at = (host: string) => `X-Forwarded-Proto: https\r\nX-Forwarded-Host: ${host}\r\n`;
      const first = await client()
        .send(last(at("app.example:443")))
        .end();
      assert.match(first, /https:\/\/app\.example\/path\?query 127\.0\.0\.1$/);
      const second = await client()
        .send(last(at("App.example:8443")))
        .end();
      assert.match(second, /https:\/\/app\.example:8443\/path\?query 127\.0\.0\.1$/);
    },
  ),
  served(
    "a PROXY header says who the peer is, and whether the client uses TLS",
    { fetch: url, proxyProtocol: true, trustProxy: ["192.0.2.0/24"] },
    async (_, client) => {
      const peer = { address: "192.0.2.9", port: 1 };
      const header = (overTls: boolean) => {
        const bytes = encodeProxyHeader({ source: peer, destination: peer, overTls });
        return Buffer.from(bytes).toString("latin1");
      };
      const behind = await client()
        .send(header(false) + last("X-Forwarded-For: 203.0.113.1\r\n"))
        .end();
      assert.match(behind, /http:\/\/inner\/path\?query 203\.0\.113\.1$/);
      const direct = await client()
        .send(header(true) + last(""))
        .end();
      assert.match(direct, /https:\/\/inner\/path\?query 192\.0\.2\.9$/);
      const plain = await client()
        .send(header(true) + last("X-Forwarded-Proto: http\r\n"))
        .end();
      assert.match(plain, /http:\/\/inner\/path\?query 192\.0\.2\.9$/);
    },
  ),
  served(
    "Hono's csrf() accepts a genuine form behind TLS termination",
    { fetch: app.fetch, ...TRUSTED },
    async (_, client) => {
      const genuine = await client().send(form("X-Forwarded-Proto: https\r\n")).end();
      assert.match(genuine, /^HTTP\/1\.1 200 [\s\S]*accepted$/);
      const foreign = form("X-Forwarded-Proto: https\r\n").replace(
        "Origin: https://app",
        "Origin: https://evil",
      );
      assert.match(await client().send(foreign).end(), /^HTTP\/1\.1 403 /);
      assert.match(await client().send(form("")).end(), /^HTTP\/1\.1 403 /);
    },
  ),
];

export function trustProxySuite(): Suite {
  return { title: "polloi/http behind a proxy that it trusts", cases };
}
