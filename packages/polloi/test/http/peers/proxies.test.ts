/** The HTTP server behind nginx and HAProxy with kept connections: no answer is lost or swapped. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { noise } from "../../../../../test/support/processes.ts";
import { until } from "../../support/waiting.ts";
import { behind, type ProxyProgram } from "./behind.ts";
import {
  bytesUpTo,
  ENGINES,
  hashOf,
  LIMIT_MS,
  type RequestReport,
  serving,
  unless,
} from "./rig.ts";

const REQUESTS = 10_000;
/** The number of requests at a time. */
const CLIENTS = 32;
/** The maximum number of idle connections that a proxy keeps to a server. */
const KEPT = 32;

const nginx: ProxyProgram = {
  name: "nginx",
  command: "nginx",
  configure(at, socket, port) {
    const kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    const temporary = kinds.map((kind) => `${kind}_temp_path ${join(at, kind)};`).join(" ");
    const configuration = `
daemon off;
master_process off;
pid ${join(at, "nginx.pid")};
events { worker_connections 512; }
http {
  ${temporary}
  access_log off;
  client_max_body_size 0;
  upstream server {
    server 127.0.0.1:${port};
    keepalive ${KEPT};
    keepalive_requests 1000000;
  }
  server {
    listen unix:${socket};
    keepalive_requests 1000000;
    location / {
      proxy_pass http://server;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_next_upstream off;
    }
    location /upgrade {
      proxy_pass http://server;
      proxy_http_version 1.1;
      proxy_set_header Connection "upgrade";
      proxy_set_header Upgrade $http_upgrade;
    }
  }
}`;
    writeFileSync(join(at, "nginx.conf"), configuration);
    return ["-p", at, "-c", join(at, "nginx.conf"), "-e", "stderr"];
  },
};

const haproxy: ProxyProgram = {
  name: "HAProxy",
  command: "haproxy",
  configure(at, socket, port) {
    const configuration = `
global
  maxconn 512
defaults
  mode http
  timeout connect 10s
  timeout client 20s
  timeout server 20s
  retries 0
  http-reuse always
frontend in
  bind unix@${socket}
  default_backend out
backend out
  server it 127.0.0.1:${port} pool-max-conn ${KEPT}
`;
    const path = join(at, "haproxy.cfg");
    writeFileSync(path, configuration);
    return ["-db", "-q", "-f", path];
  },
};

interface Answer {
  readonly status: number | undefined;
  readonly body: Buffer;
}

/** One of many different requests. */
interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body?: Buffer;
  readonly chunked?: boolean;
}

async function ask(agent: Agent, socketPath: string, asked: Asked): Promise<Answer> {
  const { method, path, body, chunked = false } = asked;
  const length = body?.length ?? 0;
  const framing = chunked ? { "Transfer-Encoding": "chunked" } : { "Content-Length": length };
  const headers = { Host: "server.example", ...(body === undefined ? {} : framing) };
  const sent = request({ agent, socketPath, method, path, headers });
  if (chunked) sent.write(body?.subarray(0, length >> 1));
  sent.end(chunked ? body?.subarray(length >> 1) : body);
  const [response] = await once(sent, "response");
  const parts: Buffer[] = [];
  response.on("data", (part: Buffer) => void parts.push(part));
  await once(response, "end");
  return { status: response.statusCode, body: Buffer.concat(parts) };
}

const NOISE: Buffer = noise(200_000);

/** In alternation a GET, a body of known length, a chunked body, and a HEAD. */
function asking(i: number): Asked {
  const path = `/what/${i}?of=${(i * 7919) % 10_007}`;
  const body = NOISE.subarray(i, i + 1 + ((i * 31) % 3000));
  switch (i % 4) {
    case 0:
      return { method: "POST", path, body };
    case 1:
      return { method: "PUT", path, body, chunked: true };
    case 2:
      return { method: "GET", path };
    default:
      return { method: "GET", path: `/${i % 8 === 3 ? "bytes" : "stream"}/${i}` };
  }
}

/** Requires that an answer belongs to its request. */
function check(i: number, { method, path, body }: Asked, answer: Answer): void {
  assert.equal(answer.status, 200, `request ${i}`);
  if (i % 4 === 3) {
    assert.ok(answer.body.equals(bytesUpTo(i)), `the body of request ${i}`);
    return;
  }
  const report = JSON.parse(answer.body.toString()) as RequestReport;
  const seen = [report.method, report.target, report.length, report.hash];
  const wanted = [method, path, body?.length ?? 0, hashOf(body ?? Buffer.alloc(0))];
  assert.deepEqual(seen, wanted, `request ${i}`);
}

for (const { engine, skip } of ENGINES) {
  // One engine behind each proxy: the proxies differ, the engines do not.
  for (const proxy of engine === "io_uring" ? [nginx] : [haproxy]) {
    const limits = { skip: unless(skip, proxy.command), timeout: LIMIT_MS };
    describe(`${proxy.name} in front, ${engine}`, limits, () => {
      const behindIt = (body: Parameters<typeof behind>[2]) => (server: { port: number }) =>
        behind(proxy, server.port, body);

      test(`each of ${REQUESTS} requests on kept connections gets its own answer`, () =>
        serving({ engine }, async (server) => {
          const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
          await behindIt(async (socket) => {
            let next = 0;
            const client = async (): Promise<void> => {
              while (next < REQUESTS) {
                const i = next++;
                const asked = asking(i);
                check(i, asked, await ask(agent, socket, asked));
              }
            };
            await Promise.all(Array.from({ length: CLIENTS }, client));
            agent.destroy();
          })(server);
          const { requests, connections } = server.counts;
          assert.equal(requests, REQUESTS, "no request is lost or repeated");
          assert.ok(connections <= CLIENTS + KEPT, `${connections} connections`);
        }));

      test("large bodies pass completely in both directions at once", () =>
        serving({ engine }, async (server) => {
          const agent = new Agent({ keepAlive: true });
          const body = bytesUpTo(3_000_000);
          await behindIt(async (socket) => {
            const echo = { method: "POST", path: "/echo", body, chunked: true };
            const stream = { method: "GET", path: `/stream/${body.length}` };
            const answers = await Promise.all(
              [echo, stream, echo, stream].map((asked) => ask(agent, socket, asked)),
            );
            for (const { status, body } of answers) {
              assert.equal(status, 200);
              assert.ok(body.equals(bytesUpTo(3_000_000)));
            }
            agent.destroy();
          })(server);
        }));

      test("an upgraded connection passes bytes in both directions, and its end", () =>
        serving({ engine }, async (server) => {
          await behindIt(async (socketPath) => {
            const headers = { Host: "a", Connection: "Upgrade", Upgrade: "echo" };
            const asked = request({ agent: false, socketPath, path: "/upgrade", headers }).end();
            const [response, socket, first] = await once(asked, "upgrade");
            assert.equal(response.statusCode, 101);
            assert.equal(response.headers.upgrade, "echo");
            const body = bytesUpTo(300_000);
            const parts = [first as Buffer];
            socket.write(body);
            for (let size = first.length; size < body.length; ) {
              const [part] = (await once(socket, "data")) as [Buffer];
              parts.push(part);
              size += part.length;
            }
            assert.ok(Buffer.concat(parts).equals(body));
            socket.end();
            await once(socket, "close");
          })(server);
          await until("closed", () => server.connections === 0);
        }));

      test("a client that expects 100 Continue receives it, and its body arrives", () =>
        serving({ engine }, async (server) => {
          const agent = new Agent({ keepAlive: true, maxSockets: 1 });
          await behindIt(async (socketPath) => {
            for (let i = 1; i <= 5; i++) {
              const body = NOISE.subarray(0, i * 10_000);
              const headers = { Expect: "100-continue", "Content-Length": body.length };
              const path = `/what/${i}`;
              const asked = request({ agent, socketPath, method: "POST", path, headers });
              asked.flushHeaders();
              await once(asked, "continue");
              const answered = once(asked.end(body), "response");
              const report = JSON.parse(await text((await answered)[0])) as RequestReport;
              assert.deepEqual([report.target, report.hash], [path, hashOf(body)]);
            }
            agent.destroy();
          })(server);
        }));

      test("a reply before the end of a body arrives, and later requests get their own", () =>
        serving({ engine }, async (server) => {
          const agent = new Agent({ keepAlive: true, maxSockets: 4 });
          await behindIt(async (socket) => {
            for (let i = 0; i < 20; i++) {
              const chunked = i % 2 === 0;
              const early = {
                method: "POST",
                path: "/refuse",
                body: NOISE.subarray(0, 30_000),
                chunked,
              };
              assert.equal((await ask(agent, socket, early)).status, 403);
              const asked = asking(i);
              check(i, asked, await ask(agent, socket, asked));
            }
            agent.destroy();
          })(server);
        }));

      test("a refused request does not affect later ones", () =>
        serving({ engine, maxBodyBytes: 1000 }, async (server) => {
          const agent = new Agent({ keepAlive: true, maxSockets: 4 });
          await behindIt(async (socket) => {
            const statuses: (number | undefined)[] = [];
            for (let i = 0; i < 40; i++) {
              const body = NOISE.subarray(0, i % 2 === 0 ? 1000 : 1001);
              const asked = { method: "POST", path: "/what", body };
              statuses.push((await ask(agent, socket, asked)).status);
            }
            assert.deepEqual(
              statuses,
              Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 200 : 413)),
            );
            agent.destroy();
          })(server);
          assert.deepEqual(server.counts.refused, { BODY_LARGE: 20 });
        }));
    });
  }
}
