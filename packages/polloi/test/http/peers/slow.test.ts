/** slowhttptest occupies connections by being slow. The HTTP server times them out, and serves others. */
import assert from "node:assert/strict";
import { Agent, get } from "node:http";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Program } from "../../../../../test/support/processes.ts";
import { RUNS_ALL, TEST_ALL } from "../../../../../test/support/suite.ts";
import type { HttpOptions, HttpServer, RefusalCode } from "../../../src/http/index.ts";
import { bytesUpTo, ENGINES, LIMIT_MS, serving, unless } from "./rig.ts";

const CONNECTIONS = 100;
/** Fewer connections if each is sent megabytes, which wait in memory. */
const READERS = 25;
/** The minimum number of answers that another client gets meanwhile, one at a time. A larger one would measure the machine. */
const MEANWHILE = 2;
/** The timeout that ends each mode. The other timeouts are longer than the test. */
const SHORT_MS = 300;
const LONG: Partial<HttpOptions> = {
  headTimeoutMs: 60_000,
  bodyTimeoutMs: 60_000,
  idleTimeoutMs: 60_000,
  sendTimeoutMs: 60_000,
};
/** slowhttptest exits when its connections are closed, or after this time. */
const LIMIT_SECONDS = 25;

/** An ordinary client that counts and checks its answers. */
class Ordinary {
  answers = 0;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  /** Repeats the request until `enough`. */
  async until(enough: () => boolean): Promise<void> {
    while (!enough()) {
      const length = (this.answers * 997) % 20_000;
      const body = await this.#ask(`/bytes/${length}`);
      assert.ok(body.equals(bytesUpTo(length)), `answer ${this.answers}`);
      this.answers++;
      await turn();
    }
  }

  #ask(path: string): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const options = { host: "127.0.0.1", port: this.#port, path, agent: this.#agent };
      get(options, (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => void parts.push(part));
        response.on("end", () => resolve(Buffer.concat(parts)));
      }).on("error", reject);
    });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

function attacking(
  server: HttpServer,
  path: string,
  connections: number,
  args: readonly string[],
): Program {
  const url = `http://127.0.0.1:${server.port}${path}`;
  const count = String(connections);
  const common = ["-c", count, "-r", count, "-l", String(LIMIT_SECONDS), "-i", "1", "-p", "5"];
  return new Program("slowhttptest", [...common, ...args, "-u", url]);
}

/** Its last message, after the codes of a colour. */
function verdict({ stdout, stderr }: Program): string {
  return /Exit status:.*?([A-Z][a-z][\w ]+)/.exec(stdout + stderr)?.[1] ?? stdout + stderr;
}

/** Timeouts are timers of the reactor, and alike on every engine. */
const TIMED_ON = ENGINES.find(({ skip }) => skip === false)?.engine;

for (const { engine, skip } of ENGINES) {
  const isLeftOut = engine !== TIMED_ON && !TEST_ALL;
  const timed = { skip: isLeftOut && `a timer, as on ${TIMED_ON}; ${RUNS_ALL}` };
  const limits = {
    skip: unless(skip, "slowhttptest"),
    timeout: LIMIT_MS,
  };
  describe(`slowhttptest, ${engine}`, limits, () => {
    const ended = async (
      options: Partial<HttpOptions>,
      path: string,
      args: readonly string[],
      code: RefusalCode,
    ): Promise<void> =>
      serving({ ...LONG, ...options, engine }, async (server) => {
        await using attack = attacking(server, path, CONNECTIONS, args);
        using client = new Ordinary(server.port);
        await client.until(() => attack.child.exitCode !== null);
        assert.equal(verdict(attack), "No open connections left");
        assert.equal(server.counts.refused[code], CONNECTIONS);
        assert.ok(client.answers >= MEANWHILE, `only ${client.answers} answers meanwhile`);
      });

    test("incomplete heads time out, and others are served meanwhile", timed, () =>
      ended({ headTimeoutMs: SHORT_MS }, "/what", ["-H", "-x", "8"], "HEAD_TIMEOUT"),
    );

    test("incomplete bodies time out, and others are served meanwhile", timed, () =>
      ended({ bodyTimeoutMs: SHORT_MS }, "/what", ["-B", "-s", "4096", "-x", "8"], "BODY_TIMEOUT"),
    );

    test("clients that read almost nothing are closed, and others are served meanwhile", () =>
      serving({ ...LONG, sendTimeoutMs: SHORT_MS, engine }, async (server) => {
        const window = ["-w", "512", "-y", "1024", "-n", "1", "-z", "32"];
        // Both are larger than the socket buffers: one is sent at once, one with backpressure.
        const paths = ["/bytes/8000000", "/stream/8000000"];
        const attacks = paths.map((path) => attacking(server, path, READERS, ["-X", ...window]));
        try {
          using client = new Ordinary(server.port);
          await client.until(() => server.counts.refused.SEND_TIMEOUT === 2 * READERS);
          // It reads from its buffers long after the end, so its result is not used.
          for (const attack of attacks) assert.equal(attack.child.exitCode, null, verdict(attack));
          assert.ok(client.answers >= MEANWHILE, `only ${client.answers} answers meanwhile`);
        } finally {
          for (const attack of attacks) await attack[Symbol.asyncDispose]();
        }
      }));
  });
}
