/** Requests that end early, and connections that are upgraded. */
import assert from "node:assert/strict";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import { type HttpReply, type HttpRequest, RequestError } from "../../src/http/index.ts";
import { bodyOf, GET, LAST, served } from "./client.ts";

const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";

/** The events of a case, in order. */
class Log {
  readonly lines: string[] = [];
  readonly add = (line: unknown): void => {
    this.lines.push(line instanceof Error ? line.message : String(line));
  };

  async until(count: number): Promise<string[]> {
    while (this.lines.length < count) await turn();
    return this.lines;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

/** Calls every method of a reply. */
function answerEveryWay(reply: HttpReply): void {
  assert.equal(reply.done, true);
  reply.status(201).header("X-Late", "1").trailer("X-Later", "2").send("late");
  reply.begin();
  assert.equal(reply.write("late"), false);
  reply.end("late");
}

const leaving: readonly Case[] = [
  (() => {
    const log = new Log();
    const kept: [HttpRequest, HttpReply][] = [];
    return served(
      "answering after the client has disconnected has no effect and does not throw",
      {
        handler(request, reply) {
          request.whenLeft(({ code }) => log.add(code));
          kept.push([request, reply]);
        },
        error: log.add,
      },
      async (server, client) => {
        const one = client().send(GET.replace("\r\n\r\n", "\r\nX-Name: value\r\n\r\n"));
        while (kept.length === 0) await turn();
        one.socket.resetAndDestroy();
        assert.deepEqual(await log.until(1), ["CLIENT_LEFT"]);
        const [request, reply] = kept[0] as [HttpRequest, HttpReply];
        answerEveryWay(reply);
        // A later request does not reuse its object.
        client().send(GET.replace("/ ", "/other "));
        while (kept.length === 1) await turn();
        assert.equal(request.path, "/");
        assert.equal(request.header("x-name"), "value");
        request.whenLeft(({ code }) => log.add(`again ${code}`));
        request.read({ data() {}, abort: ({ code }) => log.add(`read ${code}`) });
        assert.deepEqual(log.lines.slice(1), ["again CLIENT_LEFT", "read CLIENT_LEFT"]);
        assert.equal(server.connections, 1);
      },
    );
  })(),
  (() => {
    const log = new Log();
    return served(
      "a reader of a body that takes too long gets the reason, and may still answer",
      {
        bodyTimeoutMs: 40,
        async handler(request, reply) {
          try {
            await request.bytes();
          } catch (error) {
            assert.ok(error instanceof RequestError);
            log.add(`${error.code} ${error.status}`);
            answerEveryWay(reply);
          }
          throw new Error("a mistake of its own");
        },
        error: log.add,
      },
      async (_, client) => {
        assert.match(await client().send(`${POST}12`).end(), /^HTTP\/1.1 408 .*took too long\n$/s);
        assert.deepEqual(await log.until(2), ["BODY_TIMEOUT 408", "a mistake of its own"]);
      },
    );
  })(),
  (() => {
    const log = new Log();
    return served(
      "a handler that fails because its client disconnected is not reported",
      {
        handler: async (request, reply) => reply.send(await request.text()),
        error: log.add,
      },
      async (server, client) => {
        const one = client().send(`${POST}12`);
        while (server.connections === 0) await turn();
        one.socket.destroy();
        while (server.connections > 0) await turn();
        await turn();
        assert.deepEqual(log.lines, []);
      },
    );
  })(),
  (() => {
    const log = new Log();
    return served(
      "a client that ends its half is reported as disconnected, and still gets its reply",
      {
        handler(request, reply) {
          request.whenLeft(({ code }) => {
            log.add(code);
            setTimeout(() => reply.send("still"), 5);
          });
        },
      },
      async (_, client) => {
        const one = client().send(GET);
        one.socket.end();
        assert.match(await one.end(), /Connection: close.*still$/s);
        assert.deepEqual(log.lines, ["CLIENT_LEFT"]);
      },
    );
  })(),
  (() => {
    const log = new Log();
    return served(
      "a reader that still waits for a long body learns that the reply is complete",
      {
        handler(request, reply) {
          request.bytes().catch(({ code }) => log.add(code));
          reply.send("enough");
        },
        error: log.add,
      },
      async (_, client) => {
        const head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n12345";
        assert.match(await client().send(head).end(), /enough$/);
        assert.deepEqual(await log.until(1), ["REPLIED_FIRST"]);
      },
    );
  })(),
  served(
    "every request that was sent before the client ended its half is answered",
    {
      async handler(request, reply) {
        const { path } = request;
        await turn();
        reply.send(`<${path}>`);
      },
    },
    async (_, client) => {
      const one = client().send(`${GET}${GET.replace("/ ", "/b ")}${GET.replace("/ ", "/c ")}`);
      one.socket.end();
      const text = await one.end();
      assert.deepEqual(text.match(/<.*>/g), ["</>", "</b>", "</c>"]);
    },
  ),
];

const failing: readonly Case[] = (["data", "end"] as const).flatMap((where) => [
  (() => {
    const log = new Log();
    return served(
      `a body's reader that throws in ${where} causes a 500, and the next request is served`,
      {
        handler(request, reply) {
          if (request.method === "GET") reply.send("fine");
          else request.read({ data() {}, [where]: () => assert.fail("broken") });
        },
        error: log.add,
      },
      async (_, client) => {
        const text = await client().send(`${POST}12345${LAST}`).end();
        assert.match(text, /^HTTP\/1.1 500 .*HTTP\/1.1 200 OK.*fine$/s);
        assert.deepEqual(log.lines, ["broken"]);
      },
    );
  })(),
  (() => {
    const log = new Log();
    return served(
      `a body's reader that throws in ${where} after the reply has begun cuts it off`,
      {
        handler(request, reply) {
          reply.begin().write("begun");
          request.read({ data() {}, [where]: () => assert.fail("broken") });
        },
        error: log.add,
      },
      async (server, client) => {
        const one = client().send(`${POST}12345${LAST}`);
        assert.doesNotMatch(await one.end(), /0\r\n\r\n/);
        assert.deepEqual(log.lines, ["broken"]);
        while (server.connections > 0) await turn();
      },
    );
  })(),
]);

const mistaken: readonly Case[] = [
  (() => {
    const log = new Log();
    return served(
      "a handler that sets headers and throws causes a 500 without them",
      {
        handler(_, reply) {
          reply.status(201).header("Content-Length", 7).header("X-Half", "done");
          throw new Error("broken");
        },
        error: log.add,
      },
      async (_, client) => {
        const text = await client().send(LAST).end();
        assert.match(text, /^HTTP\/1.1 500 .*\r\nContent-Length: 22\r\n/s);
        assert.doesNotMatch(text, /X-Half/);
        assert.deepEqual(log.lines, ["broken"]);
      },
    );
  })(),
  (() => {
    const log = new Log();
    return served(
      "an exception in a callback of whenDrained cuts the reply off, and the server continues",
      {
        handler(request, reply) {
          if (request.path === "/fine") reply.send("fine");
          else reply.begin().whenDrained(() => assert.fail("broken"));
        },
        error: log.add,
      },
      async (_, client) => {
        assert.doesNotMatch(await client().send(GET).end(), /0\r\n\r\n/);
        assert.deepEqual(log.lines, ["broken"]);
        assert.match(await client().send(LAST.replace("/ ", "/fine ")).end(), /fine$/);
      },
    );
  })(),
];

const bodies: readonly Case[] = [
  (() => {
    let request: HttpRequest | undefined;
    let came = 0;
    let pausing = true;
    const size = 8_000_000;
    return served(
      "a paused body waits, slows its client down, and loses nothing",
      {
        maxBodyBytes: size,
        bodyTimeoutMs: 500,
        handler(given, reply) {
          request = given;
          given.read({
            data(bytes) {
              came += bytes.length;
              if (pausing) given.pause();
            },
            end: () => reply.send(`${came}`),
          });
        },
      },
      async (_, client) => {
        const head = LAST.replace("GET", "POST").replace("\r\n\r\n", `\r\nContent-Length: ${size}`);
        const one = client().send(`${head}\r\n\r\n${"x".repeat(size)}`);
        while (request === undefined || came === 0) await turn();
        // Longer than the client's timeout, because the client is not the slow side.
        await new Promise((resolve) => setTimeout(resolve, 800));
        assert.ok(came < size / 4, `${came} bytes came`);
        pausing = false;
        request.resume();
        assert.match(await one.end(), new RegExp(`\r\n\r\n${size}$`));
      },
    );
  })(),
  served(
    "a body that is paused in its last piece ends after resume, also if its client has ended",
    {
      handler(request, reply) {
        request.read({
          data() {
            request.pause();
            setTimeout(() => request.resume(), 5);
          },
          end: () => reply.send("all"),
        });
      },
    },
    async (_, client) => {
      const one = client().send(`${POST}hello`);
      await one.until(({ text }) => text.endsWith("all"));
      one.send(`${POST}hello`).socket.end();
      assert.equal((await one.end()).match(/all/g)?.length, 2);
    },
  ),
  served(
    "trailers of a body are available at its end, and those of a reply follow its chunks",
    {
      handler(request, reply) {
        request.read({
          data() {},
          end: () => {
            reply.begin().write("abc");
            for (const [name, value] of request.trailers) reply.trailer(name, value);
            reply.end();
          },
        });
      },
    },
    async (_, client) => {
      const head = LAST.replace("GET", "POST").replace(
        "\r\n\r\n",
        "\r\nTransfer-Encoding: chunked\r\n\r\n",
      );
      const one = client();
      for (const part of `${head}3\r\nabc\r\n0\r\nX-Sum: 7\r\nX-More: yes\r\n\r\n`) one.send(part);
      assert.equal(bodyOf(await one.end()), "3\r\nabc\r\n0\r\nX-Sum: 7\r\nX-More: yes\r\n\r\n");
    },
  ),
];

const upgrading: readonly Case[] = [true, false].flatMap((atOnce) => [
  served(
    `an upgrade hands the connection over${atOnce ? "" : ", also later"}, with the bytes after the request`,
    {
      async handler(request) {
        if (!atOnce) await turn();
        assert.equal(request.wantedUpgrade, "shout");
        const socket = request.upgrade<{ count: number }>({
          data(connection, bytes) {
            connection.data.count += bytes.length;
            connection.write(Buffer.from(bytes).toString().toUpperCase());
          },
          end: (connection) => connection.end(`${connection.data.count}`),
        });
        socket.data = { count: 0 };
        socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: shout\r\n\r\n");
      },
    },
    async (server, client) => {
      const head = GET.replace("\r\n\r\n", "\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\n");
      const one = client().send(`${head}abc`);
      await one.until(({ text }) => text.endsWith("\r\n\r\nABC"));
      assert.equal(server.connections, 0);
      one.send("def");
      await one.until(({ text }) => text.endsWith("ABCDEF"));
      one.socket.end();
      assert.match(await one.end(), /ABCDEF6$/);
    },
  ),
  served(
    `an upgraded connection that pauses at the bytes after the request${atOnce ? "" : ", later"} gets no event until it resumes`,
    {
      async handler(request) {
        if (!atOnce) await turn();
        const socket = request.upgrade<string>({
          data(connection, bytes) {
            connection.data += Buffer.from(bytes).toString();
            if (connection.data !== "abc") return;
            connection.pause();
            connection.write("paused");
            setTimeout(() => {
              connection.write(`at ${connection.data}`);
              connection.resume();
            }, 20);
          },
          end: (connection) => connection.end(`, then ${connection.data}`),
        });
        socket.data = "";
      },
    },
    async (_, client) => {
      const head = GET.replace("\r\n\r\n", "\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\n");
      const one = client().send(`${head}abc`);
      await one.until(({ text }) => text === "paused");
      one.send("def");
      one.socket.end();
      assert.equal(await one.end(), "pausedat abc, then abcdef");
    },
  ),
  served(
    `an upgrade${atOnce ? "" : " that is later"} delivers the end of a client after its bytes`,
    {
      async handler(request) {
        while (!atOnce && !request.hasLeft) await turn();
        const socket = request.upgrade<string>({
          data(connection, bytes) {
            connection.data += Buffer.from(bytes).toString();
          },
          end: (connection) => connection.end(`all of ${connection.data}`),
        });
        socket.data = "";
      },
    },
    async (_, client) => {
      const head = GET.replace("\r\n\r\n", "\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\n");
      const one = client().send(`${head}abc`);
      one.socket.end();
      assert.equal(await one.end(), "all of abc");
    },
  ),
]);

const limits: readonly Case[] = [
  served(
    "a connection without a further request is closed after the idle timeout",
    { handler: (_, reply) => reply.send("hello"), idleTimeoutMs: 40 },
    async (server, client) => {
      assert.match(await client().send(GET).end(), /hello$/);
      assert.equal(server.counts.refused.IDLE_TIMEOUT, 1);
    },
  ),
  served(
    "a client that was refused and keeps sending is not refused again",
    { handler: (_, reply) => reply.send("hello"), headTimeoutMs: 30, idleTimeoutMs: 30 },
    async (server, client) => {
      const one = client().send("GET / HTTP/1.1\r\nHost: a\r\n");
      assert.match(await one.end(), /^HTTP\/1.1 408 /);
      const other = client().send("no request\r\n\r\n");
      assert.match(await other.end(), /^HTTP\/1.1 400 /);
      const drip = setInterval(() => {
        one.send("X: y\r\n");
        other.send("X: y\r\n");
      }, 10);
      try {
        await new Promise((resolve) => setTimeout(resolve, 150));
      } finally {
        clearInterval(drip);
      }
      assert.deepEqual(server.counts.refused, { HEAD_TIMEOUT: 1, VERSION_MALFORMED: 1 });
    },
  ),
  served(
    "connections beyond the limit get 503, and the next one is served",
    { handler: (_, reply) => reply.send("hello"), maxConnections: 1 },
    async (server, client) => {
      const first = client().send(GET);
      await first.until(({ text }) => text.endsWith("hello"));
      assert.match(await client().send(GET).end(), /^HTTP\/1.1 503 .*Connection: close/s);
      assert.equal(server.counts.refused.CONNECTIONS, 1);
      first.socket.destroy();
      while (server.connections > 0) await turn();
      assert.match(await client().send(LAST).end(), /hello$/);
    },
  ),
];

export function httpEndingsSuite(): Suite {
  return {
    title: "HTTP endings",
    cases: [...leaving, ...failing, ...mistaken, ...bodies, ...upgrading, ...limits],
  };
}
