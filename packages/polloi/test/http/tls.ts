/** HTTP over TLS. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificate } from "../../../../test/support/certificates.ts";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import { files, type HttpOptions, type HttpServer, serve } from "../../src/http/index.ts";
import { connect, type TlsInfo } from "../../src/index.ts";
import { kernel } from "../../src/sys/open.ts";
import { assertSame, pattern } from "../reactor/rig.ts";
import { testCertificate, testRoot, whyNoTls } from "../tls/pair.ts";

/** Sends bytes with TLS. @returns Everything that was received until the server has ended. */
function exchange(
  { port }: HttpServer,
  request: string | Uint8Array,
  ca: string = testRoot().cert,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const got: Uint8Array[] = [];
    connect({
      host: "127.0.0.1",
      port,
      tls: { ca, ALPNProtocols: ["http/1.1"] },
      open: (it) => void it.write(request),
      data: (_, bytes) => void got.push(bytes),
      close: (_, error) => (error === undefined ? resolve(Buffer.concat(got)) : reject(error)),
    });
  });
}

async function serving(
  options: Partial<HttpOptions>,
  use: (server: HttpServer) => Promise<void>,
): Promise<void> {
  const { cert, key } = testCertificate();
  const server = serve({ host: "127.0.0.1", port: 0, tls: { cert, key }, ...options });
  try {
    await use(server);
  } finally {
    await server.stop(0);
  }
}

const CLOSE = "Host: localhost\r\nConnection: close\r\n\r\n";

export function httpTlsSuite(): Suite {
  const skip = whyNoTls();
  const cases: Case[] = [
    {
      name: "the URL of a request and of the server begins with https, and tls has the facts",
      async run() {
        let info: TlsInfo | null | undefined;
        const fetch: HttpOptions["fetch"] = (request, { tls }) => {
          info = tls;
          return new Response(request.url);
        };
        await serving({ fetch }, async (server) => {
          assert.equal(server.url?.href, `https://127.0.0.1:${server.port}/`);
          const answer = await exchange(server, `GET /a?b HTTP/1.1\r\n${CLOSE}`);
          assert.match(answer.toString(), /^HTTP\/1\.1 200 OK\r\n.*https:\/\/localhost\/a\?b$/s);
          assert.equal(info?.protocol, "TLSv1.3");
          assert.equal(info?.alpnProtocol, "http/1.1");
        });
      },
    },
    {
      name: "pipelined requests, and bodies of megabytes in both directions",
      async run() {
        const sent = pattern(3_000_000, 9);
        const handler: HttpOptions["handler"] = async (request, reply) => {
          assert.equal(request.scheme, "https");
          if (request.method === "POST") reply.send(await request.bytes());
          else reply.send(request.path);
        };
        await serving({ handler, maxBodyBytes: sent.length }, async (server) => {
          const many = Array.from(
            { length: 100 },
            (_, i) => `GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`,
          );
          const answers = (
            await exchange(server, `${many.join("")}GET /last HTTP/1.1\r\n${CLOSE}`)
          ).toString();
          assert.equal(answers.split("HTTP/1.1 200 OK").length - 1, 101);
          assert.ok(answers.endsWith("/last"));
          const head = `POST / HTTP/1.1\r\nContent-Length: ${sent.length}\r\n${CLOSE}`;
          const answer = await exchange(server, Buffer.concat([Buffer.from(head), sent]));
          assertSame(answer.subarray(-sent.length), sent);
        });
      },
    },
    {
      name: "files are sent",
      async run() {
        const dir = mkdtempSync(join(tmpdir(), "polloi-"));
        const content = pattern(5_000_000, 8);
        writeFileSync(join(dir, "large.bin"), content);
        writeFileSync(join(dir, "small.txt"), "small");
        const handler = files({ dir });
        try {
          await serving({ handler }, async (server) => {
            const large = await exchange(server, `GET /large.bin HTTP/1.1\r\n${CLOSE}`);
            assertSame(large.subarray(-content.length), content);
            const small = await exchange(server, `GET /small.txt HTTP/1.1\r\n${CLOSE}`);
            assert.match(small.toString(), /\r\n\r\nsmall$/);
          });
        } finally {
          handler.close();
          rmSync(dir, { recursive: true });
        }
      },
    },
    {
      name: "a client that speaks plain HTTP receives 400",
      async run() {
        await serving({ handler: () => assert.fail("it has no request") }, async ({ port }) => {
          const answer = await new Promise<string>((resolve) => {
            let text = "";
            connect({
              host: "127.0.0.1",
              port,
              open: (it) => void it.write(`GET / HTTP/1.1\r\n${CLOSE}`),
              data: (_, bytes) => {
                text += Buffer.from(bytes).toString();
              },
              close: () => resolve(text),
            });
          });
          assert.match(answer, /^HTTP\/1\.1 400 .*This port requires TLS/s);
        });
      },
    },
    {
      name: "a client that cuts the connection off is no error of the server",
      async run() {
        const errors: unknown[] = [];
        const handler: HttpOptions["handler"] = (_, reply) => reply.send("x");
        await serving({ handler, error: (error) => void errors.push(error) }, async (server) => {
          await new Promise<void>((resolve) => {
            connect({
              host: "127.0.0.1",
              port: server.port,
              tls: { ca: testRoot().cert },
              open: (it) => void it.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
              data: (it) => {
                // The end of the transport, without close_notify.
                kernel.libc.shutdown(it.fileno(), 2);
              },
              close: () => resolve(),
            });
          });
          while (server.connections > 0) await new Promise((resolve) => setTimeout(resolve, 1));
          assert.deepEqual(errors, []);
        });
      },
    },
    {
      name: "a new certificate is used for new connections, and stop answers what has arrived",
      async run() {
        const handler: HttpOptions["handler"] = (_, reply) => reply.send("hello");
        await serving({ handler }, async (server) => {
          const other = makeCertificate({ commonName: "other" });
          server.setTls({ cert: other.cert, key: other.key });
          const answer = await exchange(server, `GET / HTTP/1.1\r\n${CLOSE}`, other.cert);
          assert.match(answer.toString(), /hello$/);
          await assert.rejects(exchange(server, ""), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
          const answers = exchange(server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", other.cert);
          while (server.counts.connections < 2) {
            await new Promise((resolve) => setTimeout(resolve, 1));
          }
          await server.stop();
          assert.match((await answers).toString(), /hello$/);
        });
      },
    },
  ];
  return {
    title: `polloi/http over TLS on ${kernel.runtime}`,
    cases: cases.map((each) => ({ ...each, skip })),
  };
}
