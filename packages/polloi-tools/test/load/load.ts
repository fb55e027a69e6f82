import assert from "node:assert/strict";
import { Reactor } from "polloi";
import { AF_INET, kernel, SOCK_STREAM } from "polloi/internal";
import { createServer, IP_BIND_ADDRESS_NO_PORT, IPPROTO_IP, Socket } from "polloi/socket";
import { type Case, type Extent, RUNS_ALL, type Suite } from "../../../../test/support/suite.ts";
import { until } from "../../../polloi/test/support/waiting.ts";
import type { LoadOptions, LoadReport } from "../../src/load/index.ts";
import { isClean, load } from "../../src/load/index.ts";
import { type Fault, type FaultyOptions, FaultyServer } from "./faulty-server.ts";

/** Long enough for a busy machine, where nothing is to run into it. */
const PATIENT_MS = 20_000;
/** As long, as far as it takes to see what is lost: a twentieth of it. */
const LOSING_MS = 2000;
/** Short, where it is to be run into. */
const BRIEF_MS = 300;

/** Sizes of messages that are sent on every runtime. */
const EVERYWHERE: readonly number[] = [17, 300_001];

/** Counts that a report is to have; those that are not named are to be 0. */
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

/** Holds the counts of a report to those that are expected, and all others to 0. */
export function assertCounts(report: LoadReport, expected: Expected): void {
  const nothing = { corrupted: 0, reordered: 0, lost: 0, surplus: 0, unanswered: 0, failed: 0 };
  const wanted = { ...nothing, reopened: 0, unsent: 0, ...expected };
  const names = Object.keys(wanted) as (keyof typeof wanted)[];
  const got = Object.fromEntries(names.map((name) => [name, report[name]]));
  assert.deepEqual(got, wanted);
}

/** Loads a faulty server; `sizeBytes` is for both. */
async function loadFaulty(
  { sizeBytes, ...faulty }: FaultyOptions,
  options: Partial<LoadOptions>,
): Promise<LoadReport> {
  using server = new FaultyServer({ sizeBytes, ...faulty });
  const run = load({ target: server.target, sizeBytes, timeoutMs: PATIENT_MS, ...options });
  return await run.finished;
}

/**
 * Runs `make` until this thread, which serves as well as it loads, was never held up for as long as `mostMs`: a server
 * that has not had its turn has not answered in time either.
 */
async function undisturbed<T>(mostMs: number, make: () => Promise<T>): Promise<T> {
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
    if (longest < mostMs) return made;
    assert.ok(tries < 50, `held up for ${longest} ms`);
  }
}

/** A case, and whether what it shows could differ from one runtime to the other. */
export interface LoadCase extends Case {
  readonly everywhere?: boolean;
}

/** What is run here: on the runtime of the tests all of it, on the others what could differ there. */
export function casesFor(extent: Extent, cases: readonly LoadCase[]): readonly Case[] {
  if (extent === "all") return cases;
  const here = cases.filter(({ everywhere }) => everywhere === true);
  const skip = `what is counted does not depend on the runtime; ${RUNS_ALL}`;
  return [...here, { name: `${cases.length - here.length} other cases`, skip, run() {} }];
}

/** {@link load}: what comes back is compared, and whatever goes wrong is counted. */
export function loadConformance(extent: Extent): Suite {
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
      name: `messages of ${sizeBytes} bytes come back whole: ${JSON.stringify(options)}`,
      everywhere: EVERYWHERE.includes(sizeBytes),
      run: async () => {
        // A part is to come back before the message is complete.
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
      name: `what comes back in pieces of ${pieceBytes} bytes is as good as what comes at once`,
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
        await until("all are closed", () => server.received.length === 10);
        assert.deepEqual(server.received.sort(), [2, 2, 2, 2, 2, 3, 3, 3, 3, 3]);
      },
    },
    {
      name: "the same bytes each time, when they are given",
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
      name: "over a unix socket whose backlog is smaller than the crowd",
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

/** What each fault is counted as, done to one message of each of two connections. */
const COUNTED: readonly (readonly [fault: Fault, counted: Expected])[] = [
  ["drop", { messages: 38, lost: 2 }],
  ["swap", { messages: 40, reordered: 2 }],
  ["corrupt the stamp", { messages: 38, corrupted: 2 }],
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
      name: `${fault}: counted exactly, at ${sizes.join(", ")} bytes`,
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
      name: `all faults at once are told apart${pieceBytes === undefined ? "" : `, in pieces of ${pieceBytes} bytes`}`,
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
      name: "what is corrupted is counted where nothing else is out",
      run: async () => {
        const faults: Record<number, Fault> = {
          1: "corrupt the stamp",
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
      name: "a target that is not there: every connection is refused, and counted",
      everywhere: true,
      run: async () => {
        const target = await nobody();
        const report = await load({ target, connections: 300, durationMs: PATIENT_MS }).finished;
        assertCounts(report, { sent: 0, messages: 0, failed: 300 });
        assert.deepEqual(report.errors, { ECONNREFUSED: 300 });
        assert.equal(report.opened, 0);
        assert.ok(!isClean(report));
      },
    },
    {
      name: "a server that stalls is given up, with what was out",
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
      name: `${fault}: a connection that is lost is counted, with what was out, and opened again`,
      everywhere: true,
      run: async () => {
        const faulty: FaultyOptions = { sizeBytes: 64, faults: { 3: fault } };
        const report = await loadFaulty(faulty, { connections: 4, messages: 40 });
        // Each sends ten: three come back, one is lost; again so; two come back.
        const counts = { sent: 40, messages: 32, unanswered: 8, failed: 8, reopened: 8 };
        assertCounts(report, counts);
        assert.deepEqual(report.errors, fault === "end" ? { PEER_CLOSED: 8 } : { ECONNRESET: 8 });
        assert.deepEqual([report.opened, report.connectMs.count], [12, 12]);
      },
    })),
    {
      name: "a connection that the server ends while nothing is out is opened again, and is no failure",
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
      name: "what was overtaken on a connection that is lost is lost with it, and the next one begins anew",
      run: async () => {
        const faulty: FaultyOptions = { sizeBytes: 64, faults: { 1: "drop", 3: "answer and end" } };
        const options = { connections: 2, messages: 16, pipeline: 4, thinkMs: 20 };
        const report = await loadFaulty(faulty, options);
        assertCounts(report, { sent: 16, messages: 12, lost: 4, reopened: 2 });
      },
    },
    {
      name: "a server that ends each connection after one answer keeps as many connections as were asked for",
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64, faults: { 0: "answer and end" } });
        const options = { connections: 5, durationMs: PATIENT_MS, timeoutMs: PATIENT_MS };
        const run = load({ target: server.target, ...options });
        await until("each was opened again and again", () => run.snapshot().counts.reopened >= 50);
        run.stop();
        const report = await run.finished;
        assert.equal(report.opened - report.reopened, 5);
        assert.ok(report.messages >= 50, `${report.messages} messages`);
        // A message may leave before the end of the connection has come.
        assert.equal(report.sent, report.messages + report.unanswered);
      },
    },
    {
      name: "a server that accepts and ends at once is given up after the timeout",
      run: async () => {
        using server = new EndingServer();
        const options = { connections: 3, durationMs: PATIENT_MS, timeoutMs: BRIEF_MS };
        const report = await load({ target: server.target, ...options }).finished;
        const { PEER_CLOSED = 0, ECONNRESET = 0, EPIPE = 0 } = report.errors;
        assert.equal(PEER_CLOSED + ECONNRESET + EPIPE, report.failed);
        // Tried again, and not in a tight loop: at most after 10 ms, 20 ms, and so on.
        assert.ok(report.failed > 3 && report.failed <= 3 * 10, `${report.failed} failures`);
        assert.equal(report.messages, 0);
        assert.ok(report.elapsedMs < PATIENT_MS);
      },
    },
    {
      name: "a server that goes away and comes back gets its connections back",
      everywhere: true,
      run: async () => {
        const first = new FaultyServer({ sizeBytes: 64 });
        const { target } = first;
        const options = { connections: 3, durationMs: PATIENT_MS, timeoutMs: PATIENT_MS };
        const run = load({ target, ...options });
        await until("the first answers", () => run.snapshot().counts.messages > 0);
        first[Symbol.dispose]();
        await until("it is missed", () => (run.snapshot().errors.ECONNREFUSED ?? 0) > 0);
        const port = Number(target.split(":").at(-1));
        using _ = new FaultyServer({ sizeBytes: 64, port });
        await until("all are back", () => run.snapshot().counts.reopened === 3);
        const before = run.snapshot().counts.messages;
        await until("it answers", () => run.snapshot().counts.messages > before);
        run.stop();
        const { opened, reopened } = await run.finished;
        assert.deepEqual([opened, reopened], [6, 3]);
      },
    },
    {
      name: "the others go on when one connection is lost",
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64, faults: { 20: "reset" } });
        const options = { connections: 2, messages: 41, timeoutMs: PATIENT_MS };
        const report = await load({ target: server.target, ...options }).finished;
        // The first of them has 21 to send, the other 20.
        assertCounts(report, { sent: 41, messages: 40, unanswered: 1, failed: 1 });
      },
    },
    {
      name: "a server that accepts nobody: connects time out, and are counted",
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
      name: "a name that there is not rejects, with the resolver's code",
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
      name: "with a rate, latency counts from when a message was due: a stall is in most figures",
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
        // What it has held back goes out much later, all of it.
        await until("it stalls", () => run.snapshot().counts.sent > 200);
        run.stop();
        run.abort();
        const { sent, messages, unanswered, mode, rate } = await run.finished;
        assert.deepEqual([mode, rate, messages], ["rate", 2000, 30]);
        assert.equal(unanswered, sent - 30);
      },
    },
    {
      name: "with a rate, what a slow connection could not send in time is told, and what it did is late",
      run: async () => {
        using server = new SlowServer(60);
        const options = { connections: 1, rate: 300, durationMs: 300, timeoutMs: PATIENT_MS };
        const report = await load({ target: server.target, ...options }).finished;
        // 5 of 90 at most, each later than the one before it by nearly that delay.
        assert.ok(report.messages <= 6, `${report.messages} messages`);
        assert.ok(report.unsent >= 80, `${report.unsent} unsent`);
        // 90 were due; the last ones were sent after the end if this thread came to it late.
        assert.ok(report.sent + report.unsent >= 90, `${report.sent} + ${report.unsent}`);
        assert.ok(report.latencyMs.max >= 240, `${report.latencyMs.max} ms`);
        assert.equal(report.unanswered, 0);
      },
    },
    {
      name: "a rate is kept: so many messages and no more, none before it is due",
      everywhere: true,
      run: async () => {
        const options = { connections: 7, rate: 700, messages: 100 };
        const report = await loadFaulty({ sizeBytes: 64 }, options);
        assertCounts(report, { sent: 100, messages: 100 });
        // The hundredth is due 99 intervals after the first, or one round earlier or later by its connection.
        assert.ok(report.elapsedMs >= (1000 * 92) / 700, `${report.elapsedMs} ms`);
      },
    },
    {
      name: "a connection that thinks waits after each answer",
      run: async () => {
        const options = { connections: 3, messages: 9, thinkMs: 50 };
        const report = await loadFaulty({ sizeBytes: 64 }, options);
        assertCounts(report, { sent: 9, messages: 9 });
        assert.ok(report.elapsedMs >= 99, `${report.elapsedMs} ms`);
      },
    },
    {
      name: "a ramp opens connections over its time, and each sends from then on",
      everywhere: true,
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64 });
        const run = load({ target: server.target, connections: 5, rampMs: 250, durationMs: 300 });
        await until("the first has answers", () => run.snapshot().counts.messages > 0);
        // The fifth is due after 200 ms: where this thread was held up for as long, nothing can be told.
        const early = run.snapshot().elapsedMs < 200;
        assert.ok(!early || server.from.length < 5, "all were opened at once");
        const report = await run.finished;
        assert.equal(report.opened, 5);
        assert.ok(report.openMs >= 199, `${report.openMs} ms`);
        assertCounts(report, { sent: report.sent, messages: report.sent });
      },
    },
    {
      name: "a ramp goes on when more connects have been under way than there may be",
      run: async () => {
        const name = `polloi-load-ramp-${process.pid}`;
        using server = createServer({ path: `\0${name}`, backlog: 32, nonBlocking: true });
        const options = { connections: 300, messages: 300, rampMs: 5, timeoutMs: PATIENT_MS };
        const run = load({ target: `unix:@${name}`, ...options });
        // Nobody is accepted until all of them were due.
        await until("all are due", () => run.snapshot().elapsedMs > 30);
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
      name: "a time ends it, and what is out then is waited for",
      run: async () => {
        using server = new SlowServer(100);
        const options = { connections: 2, durationMs: 50, timeoutMs: PATIENT_MS };
        const report = await load({ target: server.target, ...options }).finished;
        assertCounts(report, { sent: 2, messages: 2 });
        assert.equal(report.stoppedEarly, false);
      },
    },
    {
      name: "stopped, it sends nothing more and reports",
      everywhere: true,
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64 });
        const run = load({ target: server.target, connections: 5, durationMs: PATIENT_MS });
        await until("answers came", () => run.snapshot().counts.messages > 20);
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
      name: "aborted, it waits for nobody, and what was out is unanswered",
      everywhere: true,
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64, faults: { 0: "stall" } });
        const options = { connections: 3, durationMs: PATIENT_MS, timeoutMs: PATIENT_MS };
        const run = load({ target: server.target, ...options });
        await until("all are out", () => run.snapshot().counts.sent === 3);
        run.stop();
        assert.equal(run.snapshot().phase, "draining");
        run.abort();
        assertCounts(await run.finished, { sent: 3, messages: 0, unanswered: 3 });
      },
    },
    {
      name: "aborted before anything is open, it reports as well",
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
        await until("all are closed", () => server.received.length === 5);
        assert.deepEqual(server.received.sort(), [4, 4, 5, 5, 5]);
      },
    },
    {
      name: "workers that are stopped report what they have",
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64 });
        const options = { connections: 4, durationMs: PATIENT_MS, workers: 2 };
        const run = load({ target: server.target, ...options });
        await until("answers came", () => run.snapshot().counts.messages > 20);
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
      name: "connects from each address in turn",
      everywhere: true,
      run: async () => {
        using server = new FaultyServer({ sizeBytes: 64, host: "0.0.0.0" });
        const from = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
        await load({ target: server.target, connections: 6, messages: 6, from }).finished;
        assert.deepEqual(server.from.sort(), [...from, ...from].sort());
      },
    },
    {
      name: "an address that is not of this machine is counted",
      run: async () => {
        const from = ["127.0.0.1", "192.0.2.1"];
        const report = await loadFaulty({ sizeBytes: 64 }, { connections: 4, messages: 4, from });
        assertCounts(report, { sent: 2, messages: 2, failed: 2 });
        assert.deepEqual(report.errors, { EADDRNOTAVAIL: 2 });
      },
    },
    {
      name: "an address without a port is bound without one, so that ports are counted by destination",
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
  [{ target: "https://127.0.0.1/" }, "ERR_INVALID_ADDRESS", /TLS is not supported/],
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
      name: `refused at once: ${JSON.stringify(options)}`,
      run: () => {
        const all = { target: "tcp://127.0.0.1:7788", ...options } as LoadOptions;
        assert.throws(() => load(all), { code, message });
      },
    })),
    {
      name: "options that are none are refused",
      run: () => {
        for (const options of [undefined, null, 5, "tcp://127.0.0.1:7788"]) {
          assert.throws(() => load(options as never), { code: "ERR_INVALID_OPTION" });
        }
      },
    },
    {
      name: "more connections than descriptors are refused before any is opened, and the limit is named",
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

/** A server that ends each connection as soon as it has accepted it. */
class EndingServer implements Disposable {
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

/** An echo server that answers each message after so long. */
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

/** A target where nobody listens. */
async function nobody(): Promise<string> {
  using server = new FaultyServer({ sizeBytes: 1 });
  return server.target;
}
