/** PROXY headers of HAProxy and nginx to the HTTP server, and of `connect` to HAProxy and nginx. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { request } from "node:http";
import { describe, test } from "node:test";
import type { AccessEntry, HttpHandler } from "../../../src/http/index.ts";
import { connect, type OutgoingProxyHeader } from "../../../src/index.ts";
import { formatAddress, type SocketAddress } from "../../../src/socket/index.ts";
import { whyNoIPv6 } from "../../support/ipv6.ts";
import { behind, haproxyWith, nginxHttp, nginxWith, type ProxyProgram } from "./behind.ts";
import { ENGINES, LIMIT_MS, serving, unless } from "./rig.ts";

/** The addresses on which a proxy listens. */
const HOSTS = whyNoIPv6() === undefined ? ["127.0.0.1", "[::1]"] : ["127.0.0.1"];
const STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so";

/** Answers with what the request knows of its client. */
const report: HttpHandler = (request, reply) => {
  const { remoteAddress, localAddress, proxyHeader } = request;
  const shown = (address: SocketAddress | null): string =>
    address === null ? "none" : formatAddress(address);
  const { version, command, tlvs } = proxyHeader ?? {};
  const types = tlvs?.map(({ type }) => type);
  const seen = { from: shown(remoteAddress), to: shown(localAddress), version, command, types };
  reply.header("Content-Type", "application/json").send(JSON.stringify(seen));
};

/** Sends a request from a known port. @returns The port, the address that was asked, and the answer. */
async function ask(port: number, family: 4 | 6 = 4): Promise<{ own: string; seen: Seen }> {
  const host = family === 4 ? "127.0.0.1" : "::1";
  const sent = request({ host, port, agent: false });
  sent.end();
  const [response] = await once(sent, "response");
  const own = sent.socket as { localPort?: number } | null;
  const address = { address: host, port: own?.localPort as number };
  let text = "";
  for await (const part of response) text += part;
  return { own: formatAddress(address), seen: JSON.parse(text) as Seen };
}

interface Seen {
  readonly from: string;
  readonly to: string;
  readonly version?: number;
  readonly command?: string;
  readonly types?: readonly number[];
}

/** A port that is free now. */
async function freePort(): Promise<number> {
  const { createServer } = await import("node:net");
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

/** A proxy in front of a server: how it sends the header, and what the server then has. */
interface Sender {
  readonly how: string;
  readonly skip: string | false;
  readonly version: 1 | 2;
  readonly types?: readonly number[];
  proxy(entry: number): ProxyProgram;
}

const haproxy = (options: string) => (entry: number) =>
  haproxyWith(
    ({ socket, port }) => `
frontend in
  mode tcp
  bind unix@${socket}
  ${HOSTS.map((host) => `bind ${host}:${entry}`).join("\n  ")}
  default_backend out
backend out
  mode tcp
  server it 127.0.0.1:${port} ${options}`,
  );

const SENDERS: readonly Sender[] = [
  { how: "HAProxy, send-proxy", skip: false, version: 1, proxy: haproxy("send-proxy") },
  { how: "HAProxy, send-proxy-v2", skip: false, version: 2, proxy: haproxy("send-proxy-v2") },
  {
    how: "HAProxy, send-proxy-v2 with an id and a checksum",
    skip: false,
    version: 2,
    types: [5],
    proxy: haproxy("send-proxy-v2 proxy-v2-options crc32c,unique-id"),
  },
  {
    how: "nginx, proxy_protocol on",
    skip: existsSync(STREAM_MODULE) ? false : "libnginx-mod-stream is not installed",
    version: 1,
    proxy: (entry) =>
      nginxWith(
        ({ socket, port }) => `
load_module ${STREAM_MODULE};
stream {
  server {
    listen unix:${socket};
    ${HOSTS.map((host) => `listen ${host}:${entry};`).join(" ")}
    proxy_pass 127.0.0.1:${port};
    proxy_protocol on;
  }
}`,
      ),
  },
];

for (const { engine, skip: engineSkip } of ENGINES) {
  for (const { how, skip, version, types = [], proxy } of SENDERS) {
    const command = how.startsWith("nginx") ? "nginx" : "haproxy";
    const limits = { skip: unless(engineSkip, command) || skip, timeout: LIMIT_MS };
    test(`${how}: the server knows the client, ${engine}`, limits, async (t) => {
      const entries: string[] = [];
      const log = { write: ({ remoteAddress }: AccessEntry) => void entries.push(remoteAddress) };
      const options = { engine, handler: report, proxyProtocol: true, log } as const;
      await serving(options, async (server) => {
        const entry = await freePort();
        await behind(proxy(entry), server.port, async () => {
          const families = whyNoIPv6() === undefined ? ([4, 6] as const) : ([4] as const);
          for (const family of families) {
            const { own, seen } = await ask(entry, family);
            const to = formatAddress({ address: family === 4 ? "127.0.0.1" : "::1", port: entry });
            assert.deepEqual(seen, { from: own, to, version, command: "proxy", types });
          }
          if (families.length === 1) t.diagnostic(whyNoIPv6() as string);
          const addresses = families.map((family) => (family === 4 ? "127.0.0.1" : "::1"));
          assert.deepEqual(entries, addresses);
          assert.deepEqual(server.counts.refused, {});
        });
      });
    });
  }
}

describe("a client behind HAProxy and nginx", { timeout: LIMIT_MS }, () => {
  const source: SocketAddress = { address: "192.0.2.1", port: 56_324 };
  const destination: SocketAddress = { address: "198.51.100.7", port: 443 };
  const headers: readonly OutgoingProxyHeader[] = [
    { version: 1, source, destination },
    {
      version: 2,
      source,
      destination,
      overTls: true,
      tlvs: [{ type: 5, value: Buffer.from("id") }],
    },
  ];

  /** Sends a request behind a PROXY header. @returns The body of the answer. */
  async function askBehind(path: string, proxyProtocol: OutgoingProxyHeader): Promise<string> {
    return await new Promise((resolve, reject) => {
      let text = "";
      const connection = connect({
        path,
        proxyProtocol,
        data(_, bytes) {
          text += Buffer.from(bytes).toString();
        },
        close: () => resolve(text.split("\r\n\r\n")[1] ?? text),
        error: (_, error) => reject(error),
      });
      connection.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    });
  }

  test("nginx, listen proxy_protocol", { skip: unless(false, "nginx") }, () =>
    serving({}, async ({ port }) => {
      const proxy = nginxWith(({ folder, socket }) =>
        nginxHttp(
          folder,
          `server {
  listen unix:${socket} proxy_protocol;
  location / { return 200 "$proxy_protocol_addr:$proxy_protocol_port"; }
}`,
        ),
      );
      await behind(proxy, port, async (socket) => {
        for (const header of headers) {
          assert.equal(await askBehind(socket, header), "192.0.2.1:56324");
        }
      });
    }),
  );

  test("HAProxy, accept-proxy", { skip: unless(false, "haproxy") }, () =>
    serving({}, async ({ port }) => {
      const proxy = haproxyWith(
        ({ socket }) => `
frontend in
  mode http
  bind unix@${socket} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] %[dst]:%[dst_port]"`,
      );
      await behind(proxy, port, async (socket) => {
        for (const header of headers) {
          const answer = await askBehind(socket, header);
          assert.equal(answer, "192.0.2.1:56324 198.51.100.7:443");
        }
      });
    }),
  );
});
