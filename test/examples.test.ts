import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { whyNoUring } from "../packages/polloi/src/engine/try-uring.ts";
import { createConnection, MSG_OOB, SHUT_WR } from "../packages/polloi/src/socket/index.ts";
import { kernel } from "../packages/polloi/src/sys/open.ts";
import { raiseDescriptorLimit } from "./support/descriptors.ts";
import { exchange, needs, noise, Program, portOf } from "./support/processes.ts";

const limits = { timeout: 300_000 };
/** More bytes than kernel buffers hold, so that sends are partial. */
const LARGE = 3_000_000;

const HTTP_RESPONSE =
  "HTTP/1.0 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n" +
  "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

const capitals = (bytes: Buffer): Buffer =>
  Buffer.from(
    bytes.toString("latin1").replace(/[a-z]/g, (c) => c.toUpperCase()),
    "latin1",
  );
const same = (bytes: Buffer): Buffer => bytes;

const ECHO_SERVERS: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  "01-select-echo-keyboard": same,
  "02-select-queues-upper": capitals,
  "03-poll-echo": same,
  "04-epoll-level": same,
  "05-epoll-edge": same,
  "06-epoll-timeout-queues": same,
  "07-selectors-callbacks": same,
  "15-uring-echo": same,
  "16-workers": same,
  "19-models": same,
  "20-epoll-ctrl-c": same,
};
const HTTP_SERVERS = ["08-http-blocking", "09-http-epoll-level", "10-http-epoll-edge-cork"];
const FETCH_SERVERS = ["17-http-fetch", "22-http-files"];
const URGENT = ["21-urgent-data"];
const DATAGRAMS = ["23-datagrams-dns"];
const CLIENTS = ["11-interactive-client", "12-many-socket-client", "18-load"];
const ON_A_RING = ["13-uring-copy-file", "14-uring-timer"];

/** Why the programs on a ring are not run. */
const noUring = whyNoUring(kernel);
const skipOf = (name: string): string | false => (/uring/.test(name) && noUring) || false;

function example(name: string, ...args: (string | number)[]): Program {
  return Program.node(`examples/${name}.ts`, args.map(String));
}

async function serving(name: string): Promise<Program & { at: number }> {
  const program = example(name, 0);
  await program.waitFor(/^listening on 127\.0\.0\.1:\d+( with \d+ workers)?\n/);
  return Object.assign(program, { at: await program.port() });
}

/** A server that the cases of one `describe` share. The first case starts it, and no case may affect the next one. */
function shared(name: string): () => Promise<Program & { at: number }> {
  let server: Promise<Program & { at: number }> | undefined;
  after(async () => {
    const started = await server?.catch(() => undefined);
    await started?.[Symbol.asyncDispose]();
  });
  return () => {
    server ??= serving(name);
    return server;
  };
}

async function connected(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  return socket;
}

/** Reads `length` characters. */
async function receive(socket: Socket, length: number): Promise<string> {
  let text = "";
  while (text.length < length) {
    const part: Buffer | null = socket.read();
    if (part === null) await once(socket, "readable");
    else text += part.toString("latin1");
  }
  return text;
}

describe("examples", limits, () => {
  const folder = new URL("../../examples/", import.meta.url);
  const files = readdirSync(fileURLToPath(folder)).filter((file) => /^\d.*\.ts$/.test(file));

  test("every example is run here, and listed in the README", () => {
    const servers = [...Object.keys(ECHO_SERVERS), ...HTTP_SERVERS, ...FETCH_SERVERS];
    const all = [...servers, ...URGENT, ...DATAGRAMS, ...CLIENTS, ...ON_A_RING];
    assert.deepEqual(
      files.sort(),
      all.sort().map((name) => `${name}.ts`),
    );
    const readme = readFileSync(new URL("README.md", folder), "utf8");
    for (const file of files) assert.ok(readme.includes(`(${file})`), `${file} is not listed`);
  });

  test("every example names the text that it follows and its faults, and uses only the public API", () => {
    for (const file of files) {
      const text = readFileSync(new URL(file, folder), "utf8");
      const [head = ""] = /^\/\*\*[\s\S]*?\*\//.exec(text) ?? [];
      assert.match(head, /Follows ((the clients of )?text \d|no text)/, file);
      assert.match(head, /Faults of|Points to get/, file);
      const imports = [...text.matchAll(/from "([^"]+)"/g)].map(([, from]) => from);
      for (const from of imports) {
        assert.match(from as string, /^(polloi|node:|\.\/command-line\.ts$)/, file);
      }
    }
  });
});

for (const [name, answer] of Object.entries(ECHO_SERVERS)) {
  describe(name, { ...limits, skip: skipOf(name) }, () => {
    const use = shared(name);

    test("uses no CPU while idle, and closes the descriptors of its connections", async () => {
      const server = await use();
      await exchange(server.at, "warm");
      const idle = await connected(server.at);
      const before = descriptorsOf(server);
      for (let i = 0; i < 10; i++) await exchange(server.at, "x");
      const half = connect({ port: server.at, host: "127.0.0.1", allowHalfOpen: true });
      half.end();
      half.resume();
      await once(half, "end");
      // A loop that spins on an end or a hang-up uses all of the CPU time, a loop that sleeps uses none.
      const used = cpuTicksOf(server);
      await exchange(server.at, "between");
      await new Promise((resolve) => setTimeout(resolve, 300));
      const ticks = cpuTicksOf(server) - used;
      assert.ok(ticks < 15, `it used ${ticks * 10} ms of 300`);
      half.destroy();
      await exchange(server.at, "after");
      assert.ok(descriptorsOf(server) <= before + 1, "descriptors were left open");
      idle.destroy();
    });

    test("answers every byte to a client that sends all of them, ends its half, and then reads", async () => {
      const server = await use();
      const bytes = noise(LARGE);
      assert.ok((await exchange(server.at, bytes)).equals(answer(bytes)));
    });

    test("serves several clients alternately", async () => {
      const server = await use();
      const clients = await Promise.all([1, 2, 3, 4, 5].map(() => connected(server.at)));
      for (const round of ["one", "Two", "thr33"]) {
        for (const [i, client] of clients.entries()) client.write(`${round} ${i}`);
        for (const [i, client] of clients.entries()) {
          const expected = answer(Buffer.from(`${round} ${i}`)).toString();
          assert.equal(await receive(client, expected.length), expected);
        }
      }
      for (const client of clients) client.destroy();
    });

    test("a peer that does not read, one that resets and one that disconnects do not affect the others", async () => {
      const server = await use();
      const paused = (await connected(server.at)).pause();
      paused.write(noise(16 * 1024 * 1024));
      const resetting = await connected(server.at);
      resetting.write("bye");
      resetting.resetAndDestroy();
      const leaving = await connected(server.at);
      leaving.end();
      leaving.resume();
      await once(leaving, "close");
      const bytes = noise(100_000);
      assert.ok((await exchange(server.at, bytes)).equals(answer(bytes)));
      assert.equal(server.child.exitCode, null, server.stderr);
      paused.destroy();
    });

    test("nc receives its answer", { skip: needs("nc"), ...limits }, async () => {
      const server = await use();
      await using nc = new Program("nc", ["-N", "127.0.0.1", String(server.at)]);
      nc.child.stdin?.end("hello from nc");
      const { stdout } = await nc.ended;
      assert.equal(stdout, answer(Buffer.from("hello from nc")).toString());
    });
  });
}

describe("20-epoll-ctrl-c, stopped by a signal", limits, () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`${signal} ends the program and its connections`, async () => {
      await using server = await serving("20-epoll-ctrl-c");
      const client = await connected(server.at);
      client.write("x");
      assert.equal(await receive(client, 1), "x");
      server.child.kill(signal);
      assert.equal((await server.ended).code, 0);
      assert.match(server.stdout, /stopped\n$/);
      if (!client.readableEnded) await once(client.resume(), "end");
    });
  }
});

describe("01-select-echo-keyboard, with a keyboard", limits, () => {
  test("a line of input stops the server", async () => {
    await using server = await serving("01-select-echo-keyboard");
    server.child.stdin?.write("\n");
    assert.equal((await server.ended).code, 0);
  });

  test("the end of input does not stop the server", async () => {
    await using server = await serving("01-select-echo-keyboard");
    server.child.stdin?.end();
    for (let i = 0; i < 3; i++) assert.equal((await exchange(server.at, "on")).toString(), "on");
  });
});

for (const name of HTTP_SERVERS) {
  describe(name, limits, () => {
    const use = shared(name);
    const request = "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n";

    test("answers a request of clients that end their half and of clients that do not", async () => {
      const server = await use();
      for (const halfClose of [true, false]) {
        for (const text of [request, "GET / HTTP/1.0\n\n"]) {
          const socket = await connected(server.at);
          if (halfClose) socket.end(text);
          else socket.write(text);
          socket.setEncoding("latin1");
          let answer = "";
          for await (const part of socket) answer += part;
          assert.equal(answer, HTTP_RESPONSE);
        }
      }
      await server.waitFor(/^-{40}\nGET \/ HTTP\/1\.0\r?\nHost: localhost\n/m);
    });

    test("answers a request that arrives byte by byte, and one that is followed by more bytes", async () => {
      const server = await use();
      const slow = (await connected(server.at)).setNoDelay();
      for (const character of request) {
        slow.write(character);
        await new Promise(setImmediate);
      }
      assert.equal(await receive(slow, HTTP_RESPONSE.length), HTTP_RESPONSE);
      slow.destroy();
      const long = `${request}${"x".repeat(200_000)}`;
      assert.equal((await exchange(server.at, long)).toString(), HTTP_RESPONSE);
    });

    test("clients that end early or reset do not end the server or make it spin", async () => {
      const server = await use();
      assert.equal((await exchange(server.at, "GET / HT")).length, 0);
      assert.equal((await exchange(server.at, "")).length, 0);
      const resetting = await connected(server.at);
      resetting.write("GET");
      resetting.resetAndDestroy();
      assert.equal((await exchange(server.at, request)).toString(), HTTP_RESPONSE);
      const used = cpuTicksOf(server);
      await new Promise((resolve) => setTimeout(resolve, 300));
      const ticks = cpuTicksOf(server) - used;
      assert.ok(ticks < 15, `it used ${ticks * 10} ms of 300`);
    });

    test("curl receives the body", { skip: needs("curl"), ...limits }, async () => {
      const server = await use();
      const url = `http://127.0.0.1:${server.at}/`;
      await using curl = new Program("curl", ["--silent", "--noproxy", "*", url]);
      assert.equal((await curl.ended).stdout, "Hello, world!");
    });
  });
}

describe("09 and 10, with silent clients", limits, () => {
  for (const name of ["09-http-epoll-level", "10-http-epoll-edge-cork"]) {
    test(`${name}: no client waits for another`, async () => {
      await using server = await serving(name);
      const silent = await Promise.all(Array.from({ length: 20 }, () => connected(server.at)));
      const request = "GET / HTTP/1.0\r\n\r\n";
      assert.equal((await exchange(server.at, request)).toString(), HTTP_RESPONSE);
      for (const socket of silent) socket.destroy();
    });
  }
});

describe("11-interactive-client", limits, () => {
  test("shows every answer as it arrives, also unsolicited ones, and ends with its input", async () => {
    const server = createServer(
      (socket) => socket.write("welcome\n").valueOf() && socket.pipe(socket),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    await using client = example("11-interactive-client", portOf(server), "127.0.0.1");
    await client.waitFor(/welcome\n/);
    client.child.stdin?.write("one\n");
    await client.waitFor(/one\n/);
    client.child.stdin?.write("two\n");
    await client.waitFor(/two\n/);
    client.child.stdin?.end();
    const { code, stdout } = await client.ended;
    server.close();
    assert.equal(stdout, "welcome\none\ntwo\n");
    assert.equal(code, 0);
  });

  test("loses no byte of a large input, and ends when the server does", async () => {
    await using server = await serving("05-epoll-edge");
    const text = "0123456789abcde\n".repeat(LARGE / 16);
    await using client = example("11-interactive-client", server.at, "127.0.0.1");
    client.child.stdin?.end(text);
    const { code, stdout } = await client.ended;
    assert.ok(stdout === text);
    assert.equal(code, 0);
  });
});

describe("12-many-socket-client", limits, () => {
  const WANTED = 10_000;
  const tooFew = raiseDescriptorLimit(WANTED + 200);
  const count = tooFew === undefined ? WANTED : 500;
  // The name of the test shows it if fewer sockets are used.
  const why = tooFew === undefined ? "" : ` (not ${WANTED}: ${tooFew})`;

  test(`05-epoll-edge echoes each part of the message on ${count} sockets${why}`, async () => {
    await using server = await serving("05-epoll-edge");
    await using client = example("12-many-socket-client", server.at, count);
    const { code, stdout, stderr } = await client.ended;
    assert.equal(stderr, "");
    const bytes = count * "This is the message. It will be sent in parts.".length;
    assert.match(stdout, new RegExp(`\\nreceived ${bytes} bytes, all as they were sent\\n$`));
    assert.equal(code, 0);
  });

  test("a limit on descriptors that is too low is reported with its number", async () => {
    await using client = new Program("sh", [
      "-c",
      `ulimit -n 300; exec ${process.execPath} ${Program.file("examples/12-many-socket-client.ts")} 9 400`,
    ]);
    const { code, stderr } = await client.ended;
    assert.match(
      stderr,
      /^Cannot open 400 sockets: this process may open 300 descriptors; [^\n]+\n$/,
    );
    assert.equal(code, 1);
  });
});

describe("11 and 12, when the connection fails", limits, () => {
  for (const [name, words] of [
    ["11-interactive-client", "Cannot connect to 127.0.0.1 port 1"],
    ["12-many-socket-client", "Cannot connect socket 1 of 3"],
  ] as const) {
    test(`${name}: a refused connect prints one line and exits with code 1`, async () => {
      const args = name.startsWith("11") ? [1, "127.0.0.1"] : [1, 3];
      const { code, stderr } = await example(name, ...args).ended;
      assert.equal(stderr, `${words}: connect ECONNREFUSED 127.0.0.1:1\n`);
      assert.equal(code, 1);
    });
  }

  test("11-interactive-client: a reset prints one line and exits with code 1", async () => {
    const server = createServer((socket) => socket.once("data", () => socket.resetAndDestroy()));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    await using client = example("11-interactive-client", portOf(server), "127.0.0.1");
    client.child.stdin?.write("hello\n");
    const { code, stderr } = await client.ended;
    assert.match(stderr, /^Cannot receive: recv ECONNRESET[^\n]*\n$/);
    assert.equal(code, 1);
    server.close();
  });
});

describe("18-load", limits, () => {
  test("reports both modes without mismatches and errors", async () => {
    await using server = await serving("05-epoll-edge");
    await using client = example("18-load", server.at, 20, 200);
    const { code, stdout, stderr } = await client.ended;
    const figures = String.raw`\d+ messages a second\n  p50 .* ms, max .* ms\n  0 mismatches, errors {}\n`;
    assert.match(stdout, new RegExp(`^closed loop: ${figures}half of that rate: ${figures}$`));
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  });

  test("a refused connection is reported, and the exit code is 1", async () => {
    const { code, stdout } = await example("18-load", 1, 3, 100).ended;
    assert.match(stdout, /errors {"ECONNREFUSED":3}\n$/);
    assert.equal(code, 1);
  });
});

describe("13-uring-copy-file", { ...limits, skip: noUring ?? false }, () => {
  for (const length of [0, 1, 65_536, 3_000_001]) {
    test(`copies ${length} bytes`, async () => {
      const folder = mkdtempSync(join(tmpdir(), "polloi-copy-"));
      try {
        const [from, to] = [join(folder, "from"), join(folder, "to")];
        const bytes = noise(length);
        writeFileSync(from, bytes);
        await using copy = example("13-uring-copy-file", from, to);
        const { code, stdout, stderr } = await copy.ended;
        assert.deepEqual(
          { code, stdout, stderr },
          { code: 0, stdout: `copied ${length} bytes\n`, stderr: "" },
        );
        assert.ok(readFileSync(to).equals(bytes));
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  }

  test("a missing file is reported with its error code", async () => {
    await using copy = example("13-uring-copy-file", "/nowhere/at/all", "/nowhere/else");
    const { code, stderr } = await copy.ended;
    assert.match(stderr, /ENOENT/);
    assert.equal(code, 1);
  });
});

describe("14-uring-timer", { ...limits, skip: noUring ?? false }, () => {
  test("ticks the given number of times, and not too early", async () => {
    const start = performance.now();
    await using timer = example("14-uring-timer", 20, 3);
    const { code, stdout } = await timer.ended;
    assert.deepEqual({ code, stdout }, { code: 0, stdout: "tick 1\ntick 2\ntick 3\n3 ticks\n" });
    assert.ok(performance.now() - start >= 70);
  });
});

describe("22-http-files", limits, () => {
  const use = shared("22-http-files");

  test("it serves files, ranges of them, and a list of them, with a header of its own", async () => {
    const server = await use();
    const url = `http://127.0.0.1:${server.at}`;
    const readme = readFileSync("examples/README.md", "utf8");
    assert.equal(await (await fetch(url)).text(), readme);
    const file = await fetch(`${url}/examples/README.md`);
    assert.equal(await file.text(), readme);
    assert.match(file.headers.get("content-security-policy") ?? "", /^default-src 'self'/);
    const part = await fetch(`${url}/examples/README.md`, { headers: { Range: "bytes=0-9" } });
    assert.deepEqual([part.status, await part.text()], [206, readme.slice(0, 10)]);
    assert.match(await (await fetch(`${url}/examples/`)).text(), /22-http-files\.ts/);
    assert.equal((await fetch(`${url}/package.json`)).status, 404);
  });
});

describe("17-http-fetch", limits, () => {
  const use = shared("17-http-fetch");

  test("answers /, the address of the client, and 404 for an unknown path", async () => {
    const server = await use();
    const url = `http://127.0.0.1:${server.at}`;
    assert.equal(await (await fetch(url)).text(), "Hello, world!");
    assert.match(await (await fetch(`${url}/whoami`)).text(), /"address":"127\.0\.0\.1"/);
    assert.equal((await fetch(`${url}/nothing`)).status, 404);
  });

  test("returns a body in capitals", async () => {
    const server = await use();
    const body = "a line of text\n".repeat(LARGE / 15);
    const init = { method: "POST", body };
    const response = await fetch(`http://127.0.0.1:${server.at}/capitals`, init);
    assert.ok((await response.text()) === body.toUpperCase());
  });

  test("sends events until the client leaves", async () => {
    const server = await use();
    const leaving = new AbortController();
    const { signal } = leaving;
    const response = await fetch(`http://127.0.0.1:${server.at}/clock`, { signal });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (let i = 0; i < 2; i++) {
      assert.match(new TextDecoder().decode((await reader.read()).value), /^data: \d{4}-/);
    }
    leaving.abort();
    await server.waitFor(/the client of \/clock has left/);
  });
});

describe("21-urgent-data", limits, () => {
  /** Sends `hello`, an urgent `!`, then `world` and the end, each after the one before was read. */
  async function answers(mode: string): Promise<string> {
    await using server = example("21-urgent-data", 0, mode);
    await server.waitFor(/^listening on 127\.0\.0\.1:\d+\n/);
    using client = await createConnection({ host: "127.0.0.1", port: await server.port() });
    client.sendAll("hello");
    await server.waitFor(/received 5 bytes/);
    client.send("!", MSG_OOB);
    await server.waitFor(/urgent "!"/);
    client.sendAll("world");
    client.shutdown(SHUT_WR);
    let text = "";
    for (let bytes = client.recv(1024); bytes?.length; bytes = client.recv(1024)) {
      text += Buffer.from(bytes).toString();
    }
    assert.equal(server.child.exitCode, null, server.stderr);
    return text;
  }

  for (const mode of ["select", "epoll"]) {
    test(`${mode}: the urgent byte is received separately from the stream`, async () => {
      assert.equal(await answers(mode), 'urgent "!"\n10 bytes\n');
    });
  }

  test("inline: the urgent byte is received at its position in the stream", async () => {
    assert.equal(await answers("inline"), 'urgent "!" after 5 bytes\n11 bytes\n');
  });

  test("peers that reset or disconnect do not end the server", async () => {
    await using server = example("21-urgent-data", 0);
    const port = await server.port();
    for (let i = 0; i < 3; i++) {
      const resetting = await connected(port);
      resetting.write("x");
      resetting.resetAndDestroy();
    }
    assert.equal((await exchange(port, "four")).toString(), "4 bytes\n");
  });
});

describe("23-datagrams-dns", limits, () => {
  test("questions are answered, and anything else is dropped", async () => {
    await using server = await serving("23-datagrams-dns");
    const garbage = createSocket("udp4");
    for (const bytes of ["", "x", "\0".repeat(11), "\0".repeat(12), "\xff".repeat(600)]) {
      await new Promise((resolve) => {
        garbage.send(Buffer.from(bytes, "latin1"), server.at, "127.0.0.1", resolve);
      });
    }
    garbage.close();
    const resolver = new Resolver();
    resolver.setServers([`127.0.0.1:${server.at}`]);
    assert.deepEqual(await resolver.resolve4("polloi.example"), ["192.0.2.1"]);
    assert.deepEqual(await resolver.resolve4("LocalHost"), ["127.0.0.1"]);
    await assert.rejects(resolver.resolve4("other.example"), { code: "ENOTFOUND" });
    await assert.rejects(resolver.resolve6("polloi.example"), { code: "ENODATA" });
    assert.equal(server.child.exitCode, null, server.stderr);
  });
});

/** How many descriptors a program has open. */
function descriptorsOf({ child }: Program): number {
  return readdirSync(`/proc/${child.pid}/fd`).length;
}

/** The CPU time that a program has used, in hundredths of a second. proc(5) */
function cpuTicksOf({ child }: Program): number {
  const stat = readFileSync(`/proc/${child.pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** Wrong arguments, for every example whose first argument is a port, and for the others. */
const WITH_PORT = [
  ...Object.keys(ECHO_SERVERS),
  ...HTTP_SERVERS,
  ...FETCH_SERVERS,
  ...URGENT,
  ...DATAGRAMS,
  ...CLIENTS,
];
const NO_PORT = /^Cannot use "[^"]*": give an integer from [01] to 65535$/;
const WRONG: readonly (readonly [name: string, args: readonly string[], line: RegExp])[] = [
  ...WITH_PORT.map((name) => [name, ["abc"], NO_PORT] as const),
  ...["70000", "-1", "1.5", ""].map((port) => [WITH_PORT[0] as string, [port], NO_PORT] as const),
  ["12-many-socket-client", ["9", "many"], /^Cannot use "many": give an integer from 1 up$/],
  ["14-uring-timer", ["soon"], /^Cannot use "soon": give an integer from 1 to 86400000$/],
  ["14-uring-timer", ["5", "0"], /^Cannot use "0": give an integer from 1 to 1000000$/],
  ["18-load", ["9", "0"], /^Cannot use "0": give an integer from 1 up$/],
  ["18-load", ["9", "1", "-5"], /^Cannot use "-5": give an integer from 1 to 86400000$/],
  [
    "19-models",
    ["0", "fork"],
    /^Cannot use "fork": give prefork, blocking, process, thread, event$/,
  ],
  ["21-urgent-data", ["0", "poll"], /^Cannot use "poll": give select, epoll, inline$/],
  ["13-uring-copy-file", [], /^usage: 13-uring-copy-file FROM TO$/],
  ["13-uring-copy-file", ["a"], /^usage: /],
  ["13-uring-copy-file", ["a", "b", "c"], /^usage: /],
  ["13-uring-copy-file", ["/no/such/file", "/tmp"], /^Cannot open \/no\/such\/file: open ENOENT/],
  ["13-uring-copy-file", ["/", "/no/such/file"], /^Cannot copy \/: it is not a regular file$/],
  ["13-uring-copy-file", ["/etc/passwd", "/etc/passwd"], /^Cannot copy \/etc\/passwd to itself$/],
  [
    "13-uring-copy-file",
    ["/etc/passwd", "/no/such/file"],
    /^Cannot open \/no\/such\/file: open ENOENT/,
  ],
];

describe("examples with wrong arguments", limits, () => {
  const names = [...new Set(WRONG.map(([name]) => name))];
  for (const name of names) {
    test(`${name} ends with one line and no stack`, { skip: skipOf(name) }, async () => {
      const cases = WRONG.filter(([of]) => of === name);
      await Promise.all(
        cases.map(async ([, args, line]) => {
          const { code, stdout, stderr } = await example(name, ...args).ended;
          const output = `${name} ${args.join(" ")}: ${stdout}${stderr}`;
          assert.ok(code === 1 || code === 2, `${output} ended with ${code}`);
          assert.match(stderr, /^[^\n]+\n$/, output);
          assert.match(stderr.trimEnd(), line, output);
        }),
      );
    });
  }

  // The port in use is one of TCP.
  const servers = WITH_PORT.filter((name) => ![...CLIENTS, ...DATAGRAMS].includes(name));
  for (const name of servers) {
    test(`${name} on a port in use ends with one line`, { skip: skipOf(name) }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as { port: number };
      try {
        const { code, stderr } = await example(name, port).ended;
        assert.equal(code, 1, stderr);
        assert.match(stderr, /^Cannot start: [^\n]*EADDRINUSE[^\n]*\n$/);
      } finally {
        server.close();
      }
    });
  }
});
