/** TLS with programs of others: curl, openssl, Python's ssl, and node:tls as client and as server. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import * as tls from "node:tls";
import { makeCertificate } from "../../../../test/support/certificates.ts";
import { assertNoneLeft, openFiles } from "../../../../test/support/descriptors.ts";
import { folder, needs } from "../../../../test/support/processes.ts";
import { serve } from "../../src/http/index.ts";
import { Reactor, type TlsServerOptions } from "../../src/index.ts";
import { assertSame, pattern } from "../reactor/rig.ts";
import { assertReactorBalance } from "../support/balance.ts";
import { ENGINES } from "../support/engines.ts";
import { manyClients } from "./many-clients.ts";
import { testCertificate, testRoot } from "./pair.ts";

const { cert, key } = testCertificate();
const ca = testRoot().cert;
const at = folder();
after(() => at[Symbol.dispose]());
const CA = join(at.path, "ca.pem");
const CERT = join(at.path, "cert.pem");
const KEY = join(at.path, "key.pem");
writeFileSync(CA, ca);
writeFileSync(CERT, cert);
writeFileSync(KEY, key);

/** Runs a program. @returns Its output. */
async function run(command: string, args: readonly string[], input: string | Uint8Array = "") {
  const child = spawn(command, args, { timeout: 60_000 });
  const output: Uint8Array[] = [];
  let errors = "";
  child.stdout.on("data", (part) => void output.push(part));
  child.stderr.on("data", (part) => {
    errors += part;
  });
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const [code] = await once(child, "close");
  return { code, errors, output: Buffer.concat(output) };
}

/** An echo server with TLS. */
function echo(reactor: Reactor, options: Partial<TlsServerOptions> = {}) {
  return reactor.listen({
    host: "127.0.0.1",
    port: 0,
    tls: { cert, key, ...options },
    data: (connection, bytes) => {
      if (!connection.write(bytes)) connection.pause();
    },
    drain: (connection) => connection.resume(),
  });
}

const PYTHON = `
import socket, ssl, sys
port, ca, size, version = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
context = ssl.create_default_context(cafile=ca)
if version == "1.2": context.maximum_version = ssl.TLSVersion.TLSv1_2
message = bytes(i * 7 % 251 for i in range(size))
with socket.create_connection(("127.0.0.1", port)) as raw:
    with context.wrap_socket(raw, server_hostname="localhost") as s:
        got, sent = b"", 0
        while len(got) < size:
            if sent < size: sent += s.send(message[sent:sent + 10007])
            got += s.recv(65536)
        assert got == message
        print(s.version(), len(got))
        s.unwrap()
`;

for (const [engine, trigger] of ENGINES) {
  describe(`TLS with other programs on ${engine} ${trigger ?? ""}`, { timeout: 300_000 }, () => {
    let reactor: Reactor;
    try {
      reactor = new Reactor({ engine, trigger });
    } catch (error) {
      test("everything", { skip: (error as Error).message }, () => {});
      return;
    }
    after(() => reactor.close());

    test("curl gets and posts", { skip: needs("curl") }, async () => {
      const server = serve({
        reactor,
        host: "127.0.0.1",
        port: 0,
        tls: { cert, key },
        fetch: async (request) => {
          const body = await request.text();
          return new Response(`${request.method} ${request.url} ${body.length}`);
        },
      });
      const url = `https://localhost:${server.port}/`;
      const flags = ["-sS", "--cacert", CA, "--connect-to", `localhost:${server.port}:127.0.0.1:`];
      for (const version of ["--tls-max 1.2", "--tlsv1.3"]) {
        const all = [
          ...flags,
          ...version.split(" "),
          url,
          "--next",
          ...flags,
          "-d",
          "x".repeat(1e5),
        ];
        const { output, errors } = await run("curl", [...all, url]);
        assert.equal(output.toString(), `GET ${url} 0POST ${url} 100000`, errors);
      }
      const refused = await run("curl", ["-sS", url]);
      assert.match(refused.errors, /certificate|SSL/);
      await server.stop();
    });

    test("openssl s_client sends and ends", { skip: needs("openssl") }, async () => {
      const listener = echo(reactor);
      for (const version of ["-tls1_2", "-tls1_3"]) {
        const args = ["s_client", "-quiet", "-connect", `127.0.0.1:${listener.port}`, version];
        const verify = ["-CAfile", CA, "-verify_return_error", "-no_ign_eof"];
        const input = pattern(100_000).map((byte) => 97 + (byte % 26));
        const { output, errors } = await run("openssl", [...args, ...verify], input);
        // It ends when its input has ended, before the whole answer.
        assertSame(output, input.subarray(0, output.length));
        assert.match(errors, /verify return:1/);
      }
      await listener.stop(1000);
    });

    test("openssl s_client receives the shortest records", { skip: needs("openssl") }, async () => {
      const sent = pattern(300_000, 3);
      const ciphers = "ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256";
      const listener = reactor.listen({
        host: "127.0.0.1",
        port: 0,
        tls: { cert, key, ciphers: `${ciphers}:TLS_AES_256_GCM_SHA384` },
        open: (connection) => void connection.end(sent),
      });
      const address = `127.0.0.1:${listener.port}`;
      for (const version of ["-tls1_2", "-tls1_3"]) {
        const args = ["-quiet", "-connect", address, version, "-maxfraglen", "512"];
        const { output, errors } = await run("openssl", ["s_client", ...args]);
        assert.equal(output.length, sent.length, errors);
        assertSame(output, sent);
      }
      await listener.stop(1000);
    });

    test("Python's ssl exchanges a megabyte", { skip: needs("python3") }, async () => {
      const listener = echo(reactor);
      for (const version of ["1.2", "1.3"]) {
        const args = ["-c", PYTHON, String(listener.port), CA, "1000003", version];
        const { output, errors } = await run("python3", args);
        assert.equal(output.toString(), `TLSv${version} 1000003\n`, errors);
      }
      await listener.stop(1000);
    });

    test("node:tls is a client, resumes, and has a certificate", async () => {
      let authorized: boolean | undefined;
      const listener = reactor.listen({
        host: "127.0.0.1",
        port: 0,
        tls: { cert, key, ca, requestCert: true, ALPNProtocols: ["echo"] },
        open: (connection) => {
          authorized = connection.tls?.authorized;
        },
        data: (connection, bytes) => connection.end(bytes),
      });
      const own = makeCertificate({ issuer: testRoot(), commonName: "client" });
      let session: Buffer | undefined;
      for (const resumed of [false, true]) {
        const socket = tls.connect({
          host: "127.0.0.1",
          port: listener.port,
          ca,
          cert: own.cert,
          key: own.key,
          servername: "localhost",
          ALPNProtocols: ["echo"],
          ...(session === undefined ? {} : { session }),
        });
        socket.on("session", (given) => {
          session = given;
        });
        await once(socket, "secureConnect");
        assert.equal(socket.isSessionReused(), resumed);
        assert.equal(socket.alpnProtocol, "echo");
        socket.write("hello");
        const [bytes] = await once(socket, "data");
        assert.equal(String(bytes), "hello");
        socket.end();
        await once(socket, "close");
        assert.equal(authorized, true);
      }
      await listener.stop(1000);
    });

    test("a thousand clients of node:tls receive every byte, and leave nothing behind", async (context) => {
      const before = openFiles();
      const own = new Reactor({ engine, trigger });
      const seed = Math.floor(Math.random() * 1_000_000);
      context.diagnostic(`seed ${seed}`);
      await manyClients(own, seed);
      assertReactorBalance(own);
      own.close();
      assertNoneLeft(before, `seed ${seed}`);
    });

    test("node:tls is a server", async () => {
      const server = tls.createServer({ cert, key }, (socket) => socket.pipe(socket));
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      const sent = pattern(1_000_000, 6);
      const got: Uint8Array[] = [];
      await new Promise<void>((resolve, reject) => {
        const connection = reactor.connect({
          host: "127.0.0.1",
          port,
          tls: { ca },
          data: (_, bytes) => void got.push(bytes),
          close: (_, error) => (error === undefined ? resolve() : reject(error)),
        });
        connection.end(sent);
      });
      assertSame(Buffer.concat(got), sent);
      server.close();
    });

    test("openssl s_server answers", { skip: needs("openssl") }, async () => {
      // A port that is free now.
      const probe = createTcpServer().listen(0, "127.0.0.1");
      await once(probe, "listening");
      const { port } = probe.address() as AddressInfo;
      probe.close();
      const args = ["s_server", "-accept", `127.0.0.1:${port}`, "-cert", CERT, "-key", KEY, "-www"];
      const child = spawn("openssl", args, { stdio: ["pipe", "pipe", "ignore"] });
      try {
        await new Promise<void>((resolve) => {
          child.stdout.on("data", (part) => {
            if (String(part).includes("ACCEPT")) resolve();
          });
        });
        let text = "";
        await new Promise<void>((resolve, reject) => {
          const connection = reactor.connect({
            host: "127.0.0.1",
            port,
            tls: { ca },
            data: (_, bytes) => {
              text += Buffer.from(bytes).toString();
            },
            close: (_, error) => (error === undefined ? resolve() : reject(error)),
          });
          connection.write("GET / HTTP/1.0\r\n\r\n");
        });
        assert.match(text, /^HTTP\/1\.0 200 ok.*TLSv1\.3/is);
      } finally {
        child.kill();
      }
    });
  });
}
