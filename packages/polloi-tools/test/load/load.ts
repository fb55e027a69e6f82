import assert from "node:assert/strict";
import { Reactor } from "polloi";
import { AF_INET, kernel, SOCK_STREAM } from "polloi/internal";
import { createServer, IP_BIND_ADDRESS_NO_PORT, IPPROTO_IP, Socket } from "polloi/socket";
import { type Case, type Extent, RUNS_ALL, type Suite } from "../../../../test/support/suite.ts";
import { CLOSED_PORT } from "../../../polloi/test/support/closed-port.ts";
import { until } from "../../../polloi/test/support/waiting.ts";
import type { LoadOptions, LoadReport } from "../../src/load/index.ts";
import { isClean, load } from "../../src/load/index.ts";
import { type Fault, type FaultyOptions, FaultyServer } from "./faulty-server.ts";

/** A timeout that a busy machine does not reach. */
const PATIENT_MS = 20_000;
/** A timeout of which a twentieth, the time that missing messages are awaited, is enough on a busy machine. */
const LOSING_MS = 2000;
/** A timeout that the test waits for. */
const BRIEF_MS = 300;

/** Message sizes that are tested on every runtime. */
const EVERYWHERE: readonly number[] = [17, 300_001];

/** The expected counts of a report. Counts that are left out are expected to be 0. */
type Expected = Partial<
  Pick<
    LoadReport,
    | "sent"
    | "messages"
    | "corrupted"
    | "reordered"
    | "lost"
    | "surplus"
    | "unanswered"
    | "failed"
    | "reopened"
    | "unsent"
  >
>;

/** Asserts the counts of a report, and that all others are 0. */
export function assertCounts(report: LoadReport, expected: Expected): void {
  const nothing = { corrupted: 0, reordered: 0, lost: 0, surplus: 0, unanswered: 0, failed: 0 };
  const complete = { ...nothing, reopened: 0, unsent: 0, ...expected };
  const names = Object.keys(complete) as (keyof typeof complete)[];
  const actual = Object.fromEntries(names.map((name) => [name, report[name]]));
  assert.deepEqual(actual, complete);
}

/** Loads a faulty server. `sizeBytes` applies to both. */
async function loadFaulty(
  { sizeBytes, ...faulty }: FaultyOptions,
  options: Partial<LoadOptions>,
): Promise<LoadReport> {
  using server = new FaultyServer({ sizeBytes, ...faulty });
  const run = load({ target: server.target, sizeBytes, timeoutMs: PATIENT_MS, ...options });
  return await run.finished;
}

/**
 * Repeats `make` until this thread was never delayed by `maxMs` in it. Server and load share the thread, so a delay of
 * the thread makes answers late.
 */
async function undisturbed<T>(maxMs: number, make: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    let last = performance.now();
    let longest = 0;
    const look = () => {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
    };
    const looking = setInterval(look, 5);
    const made = await make();
    clearInterval(looking);
    look();
    if (longest < maxMs) return made;
    assert.ok(tries < 50, `the thread was delayed by ${longest} ms`);
  }
}

/** A case, and whether its result could differ between runtimes. */
export interface LoadCase extends Case {
  readonly everywhere?: boolean;
}

/** The cases to run: all on the runtime of the tests, and on others those whose result could differ. */
export function casesFor(extent: Extent, cases: readonly LoadCase[]): readonly Case[] {
  if (extent === "all") return cases;
  const here = cases.filter(({ everywhere }) => everywhere === true);
  const skip = `the counts do not depend on the runtime; ${RUNS_ALL}`;
  return [...here, { name: `${cases.length - here.length} other cases`, skip, run() {} }];
}

/** {@link load} compares answers and counts failures. */
export function loadSuite(extent: Extent): Suite {
  const cases = [
    ...soundCases(),
    ...faultCases(),
    ...failureCases(),
    ...pacingCases(),
    ...endingCases(),
    ...addressCases(),
    ...misuseCases(),
  ];
  return { title: `load on ${kernel.runtime}`, cases: casesFor(extent, cases) };
}

function soundCases(): LoadCase[] {
  const shapes: [sizeBytes: number, options: Partial<LoadOptions>][] = [
    [1, {}],
    [15, { pipeline: 3 }],
    [16, { pipeline: 8 }],
    [17, { parts: 3 }],
    [64, { parts: 16 }],
    [1000, { pipeline: 5 }],
    [1027, { parts: 2 }],
    [5000, { pipeline: 3 }],
    [300_001, { pipeline: 2 }],
  ];
  return [
    ...shapes.map(([sizeBytes, options]) => ({
      name: `messages of ${sizeBytes} bytes are echoed: ${JSON.stringify(options)}`,
      everywhere: EVERYWHERE.includes(sizeBytes),
      run: async () => {
        // With parts, the server must echo bytes before the message is complete.
        using server = new FaultyServer({ sizeBytes: options.parts === undefined ? sizeBytes : 1 });
        const { target } = server;
        const run = load({ target, sizeBytes, connections: 3, messages: 20, ...options });
        const report = await run.finished;
        assertCounts(report, { sent: 20, messages: 20 });
        assert.equal(report.bytes, 20 * sizeBytes);
        assert.equal(report.opened, 3);
        assert.equal(report.latencyMs.count, 20);
        assert.equal(report.connectMs.count, 3);
        assert.deepEqual(report.errors, {});
        assert.ok(isClean(report));
      },
    })),
    ...[1, 3, 7, 50].map((pieceBytes) => ({
      name: `answers that arrive in pieces of ${pieceBytes} bytes are accepted`,
      run: async () => {
        const faulty = { sizeBytes: 40, pieceBytes };
        const report = await loadFaulty(faulty, { connections: 2, messages: 20, pipeline: 4 });
        assertCounts(report, { sent: 20, messages: 20 });
      },
    })),
    {
      name: "messages are spread evenly over the connections",
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64 });
        await load({ target: server.target, connections: 10, messages: 25 }).finished;
        await until("all connections are closed", () => server.received.length === 10);
        assert.deepEqual(server.received.sort(), [2, 2, 2, 2, 2, 3, 3, 3, 3, 3]);
      },
    },
    {
      name: "every message has the given data",
      run: async () => {
        const data = Buffer.from("these bytes and no others");
        const report = await loadFaulty(
          { sizeBytes: data.length, faults: { 2: "corrupt the last byte" } },
          { connections: 2, messages: 10, pipeline: 2, sizeBytes: undefined, data },
        );
        assertCounts(report, { sent: 10, messages: 8, corrupted: 2 });
      },
    },
    {
      name: "a unix socket whose backlog is smaller than the number of connections accepts them all",
      everywhere: true,
      run: async () => {
        const name = `polloi-load-${process.pid}-${Math.random()}`;
        using server = new FaultyServer({ sizeBytes: 64, path: `\0${name}`, backlog: 1 });
        const target = `unix:@${name}`;
        const report = await load({ target, connections: 40, messages: 80 }).finished;
        assertCounts(report, { sent: 80, messages: 80 });
        assert.equal(server.from.length, 40);
      },
    },
  ];
}

/** How each fault is counted, when it affects one message on each of two connections. */
const COUNTED: readonly (readonly [fault: Fault, counted: Expected])[] = [
  ["drop", { messages: 38, lost: 2 }],
  ["swap", { messages: 40, reordered: 2 }],
  ["corrupt the header", { messages: 38, corrupted: 2 }],
  ["corrupt the last byte", { messages: 38, corrupted: 2 }],
  ["twice", { messages: 40, surplus: 2 }],
  ["truncate the beginning", { messages: 38, corrupted: 2 }],
  ["truncate the end", { messages: 38, corrupted: 2 }],
  ["stray bytes", { messages: 40, surplus: 2 }],
];

function faultCases(): LoadCase[] {
  const sizes = [32, 64, 700, 4000];
  const all: Record<number, Fault> = {};
  for (const [i, [fault]] of COUNTED.entries()) all[2 * i + 1] = fault;
  return [
    ...COUNTED.map(([fault, counted]) => ({
      name: `${fault}: is counted exactly, at ${sizes.join(", ")} bytes`,
      run: async () => {
        const options = { connections: 2, messages: 40, pipeline: 8, timeoutMs: LOSING_MS };
        const all = sizes.map((sizeBytes) =>
          loadFaulty({ sizeBytes, faults: { 5: fault } }, options),
        );
        for (const report of await Promise.all(all)) {
          assertCounts(report, { sent: 40, ...counted });
          assert.ok(!isClean(report));
        }
      },
    })),
    ...[undefined, 1, 13].map((pieceBytes) => ({
      name: `all faults on one connection are distinguished${pieceBytes === undefined ? "" : `, in pieces of ${pieceBytes} bytes`}`,
      everywhere: pieceBytes === 13,
      run: async () => {
        const faulty = {
          sizeBytes: 64,
          faults: all,
          ...(pieceBytes === undefined ? {} : { pieceBytes }),
        };
        const options = { connections: 1, messages: 30, pipeline: 6, timeoutMs: LOSING_MS };
        const report = await loadFaulty(faulty, options);
        assertCounts(report, {
          sent: 30,
          messages: 25,
          lost: 1,
          reordered: 1,
          corrupted: 4,
          surplus: 2,
        });
        assert.equal(report.mismatches, 8);
      },
    })),
    {
      name: "corruption is counted with one message in flight",
      run: async () => {
        const faults: Record<number, Fault> = {
          1: "corrupt the header",
          3: "corrupt the last byte",
        };
        const report = await loadFaulty(
          { sizeBytes: 64, faults },
          { connections: 3, messages: 15 },
        );
        assertCounts(report, { sent: 15, messages: 9, corrupted: 6 });
      },
    },
  ];
}

function failureCases(): LoadCase[] {
  return [
    {
      name: "each refused connection to a target without a listener is counted",
      everywhere: true,
      run: async () => {
        const target = `tcp://127.0.0.1:${CLOSED_PORT}`;
        const report = await load({ target, connections: 300, durationMs: PATIENT_MS }).finished;
        assertCounts(report, { sent: 0, messages: 0, failed: 300 });
        assert.deepEqual(report.errors, { ECONNREFUSED: 300 });
        assert.equal(report.opened, 0);
        assert.ok(!isClean(report));
      },
    },
    {
      name: "connections to a stalled server are given up, and messages in flight are unanswered",
      everywhere: true,
      run: async () => {
        const report = await undisturbed(BRIEF_MS / 2, () =>
          loadFaulty(
            { sizeBytes: 64, faults: { 3: "stall" } },
            { connections: 4, pipeline: 2, durationMs: PATIENT_MS, timeoutMs: BRIEF_MS },
          ),
        );
        assertCounts(report, { sent: 20, messages: 12, unanswered: 8, failed: 4 });
        assert.deepEqual(report.errors, { NO_ANSWER: 4 });
      },
    },
    ...(["reset", "end"] as const).map((fault) => ({
      name: `${fault}: a lost connection is counted with its messages in flight, and opened again`,
      everywhere: true,
      run: async () => {
        const faulty: FaultyOptions = { sizeBytes: 64, faults: { 3: fault } };
        const report = await loadFaulty(faulty, { connections: 4, messages: 40 });
        // Each connection sends ten: three answered, one lost; three answered, one lost; two answered.
        const counts = { sent: 40, messages: 32, unanswered: 8, failed: 8, reopened: 8 };
        assertCounts(report, counts);
        assert.deepEqual(report.errors, fault === "end" ? { PEER_CLOSED: 8 } : { ECONNRESET: 8 });
        assert.deepEqual([report.opened, report.connectMs.count], [12, 12]);
      },
    })),
    {
      name: "a connection that the server closes with nothing in flight is opened again, and is no failure",
      everywhere: true,
      run: async () => {
        const faulty: FaultyOptions = { sizeBytes: 64, faults: { 1: "answer and end" } };
        const options = { connections: 3, messages: 15, thinkMs: 20 };
        const report = await loadFaulty(faulty, options);
        assertCounts(report, { sent: 15, messages: 15, reopened: 6 });
        assert.deepEqual(report.errors, {});
        assert.ok(isClean(report));
      },
    },
    {
      name: "messages that are missing when their connection is lost are counted as lost",
      run: async () => {
        const faulty: FaultyOptions = { sizeBytes: 64, faults: { 1: "drop", 3: "answer and end" } };
        const options = { connections: 2, messages: 16, pipeline: 4, thinkMs: 20 };
        const report = await loadFaulty(faulty, options);
        assertCounts(report, { sent: 16, messages: 12, lost: 4, reopened: 2 });
      },
    },
    {
      name: "connections that the server closes after one answer are replaced, and their number stays the same",
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64, faults: { 0: "answer and end" } });
        const options = { connections: 5, durationMs: PATIENT_MS, timeoutMs: PATIENT_MS };
        const run = load({ target: server.target, ...options });
        await until("connections were reopened", () => run.snapshot().counts.reopened >= 50);
        run.stop();
        const report = await run.finished;
        assert.equal(report.opened - report.reopened, 5);
        assert.ok(report.messages >= 50, `${report.messages} messages`);
        // A message may be sent before the end of the connection is received.
        assert.equal(report.sent, report.messages + report.unanswered);
      },
    },
    {
      name: "a server that closes every connection at once is given up after the timeout",
      run: async () => {
        using server = new ClosingServer();
        const options = { connections: 3, durationMs: PATIENT_MS, timeoutMs: BRIEF_MS };
        const report = await load({ target: server.target, ...options }).finished;
        const { PEER_CLOSED = 0, ECONNRESET = 0, EPIPE = 0 } = report.errors;
        assert.equal(PEER_CLOSED + ECONNRESET + EPIPE, report.failed);
        // Reopened with a delay that grows: 10 ms, 20 ms, and so on.
        assert.ok(report.failed > 3 && report.failed <= 3 * 10, `${report.failed} failures`);
        assert.equal(report.messages, 0);
        assert.ok(report.elapsedMs < PATIENT_MS);
      },
    },
    {
      name: "connections are opened again when a server has been restarted",
      everywhere: true,
      run: async () => {
        const first = new FaultyServer({ sizeBytes: 64 });
        const { target } = first;
        const options = { connections: 3, durationMs: PATIENT_MS, timeoutMs: PATIENT_MS };
        const run = load({ target, ...options });
        await until("the first server answers", () => run.snapshot().counts.messages > 0);
        first[Symbol.dispose]();
        await until("a connect is refused", () => (run.snapshot().errors.ECONNREFUSED ?? 0) > 0);
        const port = Number(target.split(":").at(-1));
        using _ = new FaultyServer({ sizeBytes: 64, port });
        await until("all connections are reopened", () => run.snapshot().counts.reopened === 3);
        const before = run.snapshot().counts.messages;
        await until("the second server answers", () => run.snapshot().counts.messages > before);
        run.stop();
        const { opened, reopened } = await run.finished;
        assert.deepEqual([opened, reopened], [6, 3]);
      },
    },
    {
      name: "other connections continue when one is lost",
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64, faults: { 20: "reset" } });
        const options = { connections: 2, messages: 41, timeoutMs: PATIENT_MS };
        const report = await load({ target: server.target, ...options }).finished;
        // The first connection sends 21, the other 20.
        assertCounts(report, { sent: 41, messages: 40, unanswered: 1, failed: 1 });
      },
    },
    {
      name: "connects that time out are counted",
      run: async () => {
        using socket = new Socket(AF_INET, SOCK_STREAM);
        socket.bind({ address: "127.0.0.1", port: 0 });
        socket.listen(0);
        const target = `tcp://127.0.0.1:${socket.localAddress().port}`;
        const report = await load({ target, connections: 5, timeoutMs: 100 }).finished;
        const { ETIMEDOUT = 0, NO_ANSWER = 0 } = report.errors;
        assert.equal(ETIMEDOUT + NO_ANSWER, 5);
        assert.ok(ETIMEDOUT > 0 && NO_ANSWER > 0, JSON.stringify(report.errors));
        assertCounts(report, { sent: NO_ANSWER, messages: 0, failed: 5, unanswered: NO_ANSWER });
      },
    },
    {
      name: "a name that does not resolve rejects with the resolver's error",
      run: async () => {
        const run = load({ target: "tcp://no-such-host.invalid:7788", connections: 1 });
        await assert.rejects(run.finished, { name: "ResolveError" });
      },
    },
  ];
}

function pacingCases(): LoadCase[] {
  return [
    {
      name: "with a rate, messages are sent while the server stalls",
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64, faults: { 30: "stall" } });
        const run = load({
          target: server.target,
          connections: 1,
          pipeline: 1000,
          rate: 2000,
          durationMs: 600,
          timeoutMs: PATIENT_MS,
        });
        await until("the server stalls", () => {
          const { sent, messages } = run.snapshot().counts;
          return sent > 200 && messages === 30;
        });
        run.stop();
        run.abort();
        const { sent, messages, unanswered, mode, rate } = await run.finished;
        assert.deepEqual([mode, rate, messages], ["rate", 2000, 30]);
        assert.equal(unanswered, sent - 30);
      },
    },
    {
      name: "with a rate, a slow connection has unsent messages, and latency counts from when a message was due",
      run: async () => {
        using server = new SlowServer(60);
        const options = { connections: 1, rate: 300, durationMs: 300, timeoutMs: PATIENT_MS };
        const report = await load({ target: server.target, ...options }).finished;
        // At most 5 of 90, each later than the one before it by nearly the delay.
        assert.ok(report.messages <= 6, `${report.messages} messages`);
        assert.ok(report.unsent >= 80, `${report.unsent} unsent`);
        // 90 were due. If this thread was late, the last ones were sent after the end.
        assert.ok(report.sent + report.unsent >= 90, `${report.sent} + ${report.unsent}`);
        assert.ok(report.latencyMs.max >= 240, `${report.latencyMs.max} ms`);
        assert.equal(report.unanswered, 0);
      },
    },
    {
      name: "with a rate, no message is sent before it is due",
      everywhere: true,
      run: async () => {
        const options = { connections: 7, rate: 700, messages: 100 };
        const report = await loadFaulty({ sizeBytes: 64 }, options);
        assertCounts(report, { sent: 100, messages: 100 });
        // The hundredth is due 99 intervals after the first, plus or minus one round of the connections.
        assert.ok(report.elapsedMs >= (1000 * 92) / 700, `${report.elapsedMs} ms`);
      },
    },
    {
      name: "a connection waits for the think time after each answer",
      run: async () => {
        const options = { connections: 3, messages: 9, thinkMs: 50 };
        const report = await loadFaulty({ sizeBytes: 64 }, options);
        assertCounts(report, { sent: 9, messages: 9 });
        assert.ok(report.elapsedMs >= 99, `${report.elapsedMs} ms`);
      },
    },
    {
      name: "a ramp opens connections over its time, and each sends as soon as it is open",
      everywhere: true,
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64 });
        const run = load({ target: server.target, connections: 5, rampMs: 250, durationMs: 300 });
        await until("the first connection has answers", () => run.snapshot().counts.messages > 0);
        // The fifth is due after 200 ms. If this thread was delayed by as much, the assertion does not apply.
        const early = run.snapshot().elapsedMs < 200;
        assert.ok(!early || server.from.length < 5, "all were opened at once");
        const report = await run.finished;
        assert.equal(report.opened, 5);
        assert.ok(report.openMs >= 199, `${report.openMs} ms`);
        assertCounts(report, { sent: report.sent, messages: report.sent });
      },
    },
    {
      name: "a ramp continues when the limit of concurrent connects was reached",
      run: async () => {
        const name = `polloi-load-ramp-${process.pid}`;
        using server = createServer({ path: `\0${name}`, backlog: 32, nonBlocking: true });
        const options = { connections: 300, messages: 300, rampMs: 5, timeoutMs: PATIENT_MS };
        const run = load({ target: `unix:@${name}`, ...options });
        // Nothing is accepted until all connects were due.
        await until("all connects are due", () => run.snapshot().elapsedMs > 30);
        using reactor = new Reactor();
        reactor.listen({ fd: server.detach(), data: (peer, bytes) => void peer.write(bytes) });
        const report = await run.finished;
        assert.equal(report.opened, 300);
        assertCounts(report, { sent: 300, messages: 300 });
      },
    },
  ];
}

function endingCases(): LoadCase[] {
  return [
    {
      name: "at the end of the duration, messages in flight are awaited",
      run: async () => {
        using server = new SlowServer(100);
        const options = { connections: 2, durationMs: 50, timeoutMs: PATIENT_MS };
        const report = await load({ target: server.target, ...options }).finished;
        assertCounts(report, { sent: 2, messages: 2 });
        assert.equal(report.stoppedEarly, false);
      },
    },
    {
      name: "after stop, nothing more is sent, and the load reports",
      everywhere: true,
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64 });
        const run = load({ target: server.target, connections: 5, durationMs: PATIENT_MS });
        await until("answers were received", () => run.snapshot().counts.messages > 20);
        run.stop();
        run.stop();
        const report = await run.finished;
        assert.equal(report.stoppedEarly, true);
        assert.ok(report.messages > 20);
        assertCounts(report, { sent: report.messages, messages: report.messages });
        assert.equal(run.snapshot().phase, "over");
        assert.equal(run.snapshot().counts.open, 0);
      },
    },
    {
      name: "after abort, messages in flight are unanswered",
      everywhere: true,
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64, faults: { 0: "stall" } });
        const options = { connections: 3, durationMs: PATIENT_MS, timeoutMs: PATIENT_MS };
        const run = load({ target: server.target, ...options });
        await until("all messages are sent", () => run.snapshot().counts.sent === 3);
        run.stop();
        assert.equal(run.snapshot().phase, "draining");
        run.abort();
        assertCounts(await run.finished, { sent: 3, messages: 0, unanswered: 3 });
      },
    },
    {
      name: "a load that is aborted before it has connected reports",
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64 });
        const run = load({ target: server.target, connections: 3 });
        run.abort();
        const report = await run.finished;
        assertCounts(report, { sent: 0, messages: 0 });
        assert.equal(report.stoppedEarly, true);
      },
    },
    {
      name: "workers share the connections, the messages and the report",
      everywhere: true,
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64, faults: { 1: "corrupt the last byte" } });
        const options = { connections: 5, messages: 23, workers: 2, timeoutMs: PATIENT_MS };
        const report = await load({ target: server.target, ...options }).finished;
        assertCounts(report, { sent: 23, messages: 18, corrupted: 5 });
        assert.equal(report.threads, 2);
        assert.equal(report.opened, 5);
        assert.equal(report.latencyMs.count, 18);
        await until("all connections are closed", () => server.received.length === 5);
        assert.deepEqual(server.received.sort(), [4, 4, 5, 5, 5]);
      },
    },
    {
      name: "workers report when they are stopped",
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64 });
        const options = { connections: 4, durationMs: PATIENT_MS, workers: 2 };
        const run = load({ target: server.target, ...options });
        await until("answers were received", () => run.snapshot().counts.messages > 20);
        run.stop();
        const report = await run.finished;
        assert.ok(report.messages > 20 && report.stoppedEarly);
        assertCounts(report, { sent: report.messages, messages: report.messages });
      },
    },
  ];
}

function addressCases(): LoadCase[] {
  return [
    {
      name: "local addresses are used in turn",
      everywhere: true,
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64, host: "0.0.0.0" });
        const from = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
        await load({ target: server.target, connections: 6, messages: 6, from }).finished;
        assert.deepEqual(server.from.sort(), [...from, ...from].sort());
      },
    },
    {
      name: "connects from an address of another machine are counted as failures",
      run: async () => {
        const from = ["127.0.0.1", "192.0.2.1"];
        const report = await loadFaulty({ sizeBytes: 64 }, { connections: 4, messages: 4, from });
        assertCounts(report, { sent: 2, messages: 2, failed: 2 });
        assert.deepEqual(report.errors, { EADDRNOTAVAIL: 2 });
      },
    },
    {
      name: "a local address is bound without a port, so that the limit on ports applies per destination",
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64 });
        using reactor = new Reactor();
        const fd = await new Promise<number>((resolve) => {
          reactor.connect({
            host: "127.0.0.1",
            port: server.listener.port,
            localAddress: { address: "127.0.0.1", port: 0 },
            open: (connection) => resolve(connection.fileno()),
          });
        });
        const { libc, scratch } = kernel;
        scratch.i32[1] = 4;
        const { address } = scratch;
        libc.getsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, address, address + 4);
        assert.equal(scratch.i32[0], 1);
      },
    },
  ];
}

const WRONG: readonly (readonly [options: object, code: string, names: RegExp])[] = [
  [{ target: "127.0.0.1" }, "ERR_INVALID_ADDRESS", /port is missing; give tcp:\/\/HOST:PORT/],
  [{ target: "127.0.0.1:80/path" }, "ERR_INVALID_ADDRESS", /give tcp:\/\/HOST:PORT/],
  [{ target: "tcp://127.0.0.1" }, "ERR_INVALID_ADDRESS", /"tcp:\/\/127\.0\.0\.1"/],
  [{ target: "tcp://127.0.0.1:0" }, "ERR_INVALID_ADDRESS", /port 0/],
  [{ target: "tcp://127.0.0.1:70000" }, "ERR_INVALID_ADDRESS", /70000.* up to 65535/],
  [{ target: "tcp://127.0.0.1:80#f" }, "ERR_INVALID_ADDRESS", /tcp:\/\/ has no path/],
  [{ target: "http://127.0.0.1/a\r\nX: y" }, "ERR_INVALID_ADDRESS", /no line breaks/],
  [{ target: "http://127.0.0.1/a#\n" }, "ERR_INVALID_ADDRESS", /no line breaks/],
  [{ target: "http://127.0.0.1\r\n/" }, "ERR_INVALID_ADDRESS", /no spaces, line breaks/],
  [{ target: "tcp://127.0.0.1:80\n" }, "ERR_INVALID_ADDRESS", /whole number|line breaks/],
  [{ target: "http://me:secret@127.0.0.1/" }, "ERR_INVALID_ADDRESS", /leave out the user name/],
  [{ target: "http://" }, "ERR_INVALID_ADDRESS", /host is missing/],
  [{ target: "http:/127.0.0.1/" }, "ERR_INVALID_ADDRESS", /nothing after them/],
  [{ target: "ws://127.0.0.1/" }, "ERR_INVALID_ADDRESS", /ws:\/\/ is not supported/],
  [{ target: undefined }, "ERR_INVALID_ADDRESS", /load undefined/],
  [{ target: "tcp://127.0.0.1:80/path" }, "ERR_INVALID_ADDRESS", /path/],
  [{ target: "tls://127.0.0.1" }, "ERR_INVALID_ADDRESS", /port is missing/],
  [{ target: "tls://127.0.0.1:80/path" }, "ERR_INVALID_ADDRESS", /tls:\/\/ has no path/],
  [{ rejectUnauthorized: false }, "ERR_INVALID_OPTION", /without TLS: give tls:\/\/ or https:/],
  [{ target: "tls://127.0.0.1:80", rejectUnauthorized: 1 }, "ERR_INVALID_OPTION", /1 as rejectUn/],
  [{ target: "unix:" }, "ERR_INVALID_ADDRESS", /unix:PATH/],
  [{ target: 5 }, "ERR_INVALID_ADDRESS", /load 5/],
  [{ connections: 0 }, "ERR_INVALID_OPTION", /0 as connections/],
  [{ connections: 1.5 }, "ERR_INVALID_OPTION", /1\.5 as connections/],
  [{ messages: -1 }, "ERR_INVALID_OPTION", /-1 as messages/],
  [{ sizeBytes: 0 }, "ERR_INVALID_OPTION", /0 as sizeBytes/],
  [{ durationMs: -1 }, "ERR_INVALID_TIMEOUT", /-1 as durationMs/],
  [{ durationMs: 0 }, "ERR_INVALID_TIMEOUT", /0 as durationMs: .* above 0/],
  [{ timeoutMs: 0 }, "ERR_INVALID_TIMEOUT", /0 as timeoutMs: .* above 0/],
  [{ timeoutMs: 0, from: [] }, "ERR_INVALID_ADDRESS", /from .*array of IP addresses/],
  [{ timeoutMs: "5" }, "ERR_INVALID_TIMEOUT", /"5" as timeoutMs/],
  [{ timeoutMs: null }, "ERR_INVALID_TIMEOUT", /null as timeoutMs/],
  [{ rampMs: Number.POSITIVE_INFINITY }, "ERR_INVALID_TIMEOUT", /Infinity as rampMs/],
  [{ thinkMs: Number.NaN }, "ERR_INVALID_TIMEOUT", /NaN as thinkMs/],
  [{ rate: 0 }, "ERR_INVALID_OPTION", /0 messages a second/],
  [{ rate: 1e22 }, "ERR_INVALID_OPTION", /1e\+22 messages a second: .* up to 1000000000/],
  [{ rate: null }, "ERR_INVALID_OPTION", /null messages a second/],
  [{ rate: "5" }, "ERR_INVALID_OPTION", /"5" messages a second/],
  [{ trigger: "sideways" }, "ERR_INVALID_OPTION", /"sideways" as trigger/],
  [{ connections: null }, "ERR_INVALID_OPTION", /null as connections/],
  [{ connections: "5" }, "ERR_INVALID_OPTION", /"5" as connections/],
  [{ data: null }, "ERR_INVALID_DATA", /null/],
  [{ from: "127.0.0.1" }, "ERR_INVALID_ADDRESS", /"127\.0\.0\.1".*array/],
  [{ from: [127] }, "ERR_INVALID_ADDRESS", /127/],
  [{ from: null }, "ERR_INVALID_ADDRESS", /null/],
  [{ workers: null }, "ERR_INVALID_OPTION", /null/],
  [{ engine: null }, "ERR_INVALID_OPTION", /null/],
  [{ data: new Uint8Array(0) }, "ERR_INVALID_DATA", /no bytes/],
  [{ data: "text" }, "ERR_INVALID_DATA", /"text"/],
  [{ messages: 5, durationMs: 5 }, "ERR_INVALID_OPTION", /durationMs and messages/],
  [{ parts: 3, pipeline: 2 }, "ERR_INVALID_OPTION", /parts and a pipeline/],
  [{ parts: 65 }, "ERR_INVALID_OPTION", /65 parts of 64 bytes/],
  [{ rate: 5, thinkMs: 5 }, "ERR_INVALID_OPTION", /a rate and thinkMs/],
  [{ workers: 0 }, "ERR_INVALID_OPTION", /0 workers/],
  [{ workers: 3, connections: 2 }, "ERR_INVALID_OPTION", /more workers/],
  [{ from: ["localhost"] }, "ERR_INVALID_ADDRESS", /"localhost"/],
  [{ engine: "kqueue" }, "ERR_INVALID_OPTION", /"kqueue"/],
  [{ target: "http://127.0.0.1/", sizeBytes: 5 }, "ERR_INVALID_OPTION", /give data/],
  [{ target: "http://127.0.0.1/", parts: 2 }, "ERR_INVALID_OPTION", /for echo servers/],
];

function misuseCases(): LoadCase[] {
  return [
    ...WRONG.map(([options, code, message]) => ({
      name: `throws for ${JSON.stringify(options)}`,
      run: () => {
        const all = { target: "tcp://127.0.0.1:7788", ...options } as LoadOptions;
        assert.throws(() => load(all), { code, message });
      },
    })),
    {
      name: "throws for options that are no object",
      run: () => {
        for (const options of [undefined, null, 5, "tcp://127.0.0.1:7788"]) {
          assert.throws(() => load(options as never), { code: "ERR_INVALID_OPTION" });
        }
      },
    },
    {
      name: "throws when the limit on descriptors is too low, and names the limit",
      run: () => {
        const run = (): unknown => load({ target: "tcp://127.0.0.1:7788", connections: 9_999_999 });
        assert.throws(run, (error: { code: string; hint: string }) => {
          assert.equal(error.code, "EMFILE");
          assert.match(
            error.hint,
            /^9999999 connections need 100\d+ descriptors.*hard limit is \d+/,
          );
          return true;
        });
      },
    },
  ];
}

/** A server that closes each connection when it has accepted it. */
class ClosingServer implements Disposable {
  readonly #reactor = new Reactor({ engine: "epoll" });
  readonly target: string;

  constructor() {
    const { port } = this.#reactor.listen({
      host: "127.0.0.1",
      port: 0,
      open: (connection) => connection.close(),
      error: () => {},
    });
    this.target = `tcp://127.0.0.1:${port}`;
  }

  [Symbol.dispose](): void {
    this.#reactor.close();
  }
}

/** An echo server that answers each message after a delay. */
class SlowServer implements Disposable {
  readonly #reactor = new Reactor({ engine: "epoll" });
  readonly target: string;

  constructor(delayMs: number) {
    const listener = this.#reactor.listen({
      host: "127.0.0.1",
      port: 0,
      data: (connection, bytes) => {
        this.#reactor.setTimer(delayMs, () => {
          if (connection.state === "open") connection.write(bytes);
        });
      },
      error: () => {},
    });
    this.target = `tcp://127.0.0.1:${listener.port}`;
  }

  [Symbol.dispose](): void {
    this.#reactor.close();
  }
}
