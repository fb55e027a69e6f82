/** The load client with independent servers: socat, Python's socketserver, nginx. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeCertificate } from "../../../../test/support/certificates.ts";
import { folder, needs, Program } from "../../../../test/support/processes.ts";
import { isClean, type LoadOptions, load } from "../../src/load/index.ts";

const limits = { timeout: 60_000 };

const PYTHON = `
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(4096):
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 128
    daemon_threads = True
with Server(("127.0.0.1", 0), Echo) as server:
    print("listening on", server.server_address[1], flush=True)
    server.serve_forever()
`;

/** A free port, since these servers do not report the port that they have bound. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Waits until the port accepts connections. */
async function listening(port: number): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(true));
      socket.on("error", () => resolve(false));
      socket.on("connect", () => socket.destroy());
    });
    if (isOpen) return;
    await sleep(10);
  }
  assert.fail(`no server listens on ${port}`);
}

async function assertClean(options: LoadOptions): Promise<void> {
  const report = await load({ timeoutMs: 20_000, ...options }).finished;
  assert.ok(isClean(report), JSON.stringify(report));
  assert.equal(report.messages, options.messages);
}

test("socat echoes", { skip: needs("socat"), ...limits }, async () => {
  const port = await freePort();
  const where = `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork,backlog=64`;
  await using _ = new Program("socat", [where, "EXEC:cat"]);
  await listening(port);
  const target = `tcp://127.0.0.1:${port}`;
  await assertClean({ target, connections: 5, messages: 100, pipeline: 3 });
  await assertClean({ target, connections: 3, messages: 12, sizeBytes: 20_000, parts: 3 });
});

test("Python's socketserver echoes, a thread for each connection", {
  skip: needs("python3"),
  ...limits,
}, async () => {
  await using server = new Program("python3", ["-c", PYTHON]);
  const [, port] = await server.waitFor(/listening on (\d+)/);
  const target = `tcp://127.0.0.1:${port}`;
  await assertClean({ target, connections: 40, messages: 400 });
  await assertClean({ target, connections: 4, messages: 20, sizeBytes: 100_000, pipeline: 2 });
});

test("nginx answers every request, and closes connections after a number of them", {
  skip: needs("nginx"),
  ...limits,
}, async () => {
  using at = folder();
  const port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${join(at.path, name)};`)
    .join("\n");
  const configuration = `
    daemon off; master_process off; pid ${join(at.path, "pid")};
    error_log stderr;
    events { worker_connections 512; }
    http {
      access_log off;
      ${temporary}
      keepalive_requests 7;
      server {
        listen 127.0.0.1:${port};
        location = /hello { return 200 "hello"; }
        location = /none { return 204; }
      }
    }`;
  writeFileSync(join(at.path, "nginx.conf"), configuration);
  await using _ = new Program("nginx", [
    "-p",
    at.path,
    "-c",
    join(at.path, "nginx.conf"),
    "-e",
    "stderr",
  ]);
  await listening(port);
  for (const path of ["hello", "none"]) {
    const target = `http://127.0.0.1:${port}/${path}`;
    await assertClean({ target, connections: 5, messages: 200 });
    await assertClean({ target, connections: 5, messages: 200, pipeline: 4 });
  }
  const target = `http://127.0.0.1:${port}/there-is-no-such-page`;
  const report = await load({ target, connections: 2, messages: 20 }).finished;
  assert.deepEqual(report.errors, { HTTP_404: 20 });
});

test("node:https answers, on kept connections and on those that it closes", limits, async () => {
  const { cert, key } = makeCertificate();
  const server = createHttpsServer({ cert, key }, (request, response) => {
    if (request.url === "/close") response.setHeader("Connection", "close");
    response.end("Hello, world!");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  try {
    for (const path of ["keep", "close"]) {
      const target = `https://127.0.0.1:${port}/${path}`;
      await assertClean({ target, rejectUnauthorized: false, connections: 4, messages: 40 });
    }
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("openssl s_server echoes", { skip: needs("openssl"), ...limits }, async () => {
  using at = folder();
  const { cert, key } = makeCertificate();
  const [certFile, keyFile] = ["cert.pem", "key.pem"].map((name) => join(at.path, name)) as [
    string,
    string,
  ];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  const port = await freePort();
  const flags = ["-cert", certFile, "-key", keyFile, "-accept", `127.0.0.1:${port}`, "-rev"];
  await using server = new Program("openssl", ["s_server", ...flags]);
  await server.waitFor(/ACCEPT/);
  // It sends each line reversed, and this line is the same in both directions.
  const data = new TextEncoder().encode("abccba\n");
  const target = `tls://127.0.0.1:${port}`;
  await assertClean({ target, rejectUnauthorized: false, data, connections: 1, messages: 10 });
});
