import type { Connection, ConnectOptions } from "polloi";
import { HandlerOrder } from "../checks/order.ts";
import { contentOf, differsAt } from "../content.ts";
import { streamFrom, streamTo } from "../peers/echo-peer.ts";
import { doesServe, ServerPeer } from "../peers/server-peer.ts";
import { probeOf } from "../plain.ts";
import { isSafe, type Mode, type PeerPlan } from "../scenario.ts";
import type { Program, Sparse, Stage } from "./program.ts";

const FIRST_PORT = 8000;
/** A server that does not accept closes its socket after this time. */
const CLOSES_MS = 2000;
/** The modes of servers that are not there, and of those that do not accept. */
const REFUSES: Mode = "throw";
const IGNORES: Mode = "flood";
/** Modes in which the server does everything for the client, and ends in order. */
const ECHOES: readonly Mode[] = ["echo", "late", "handover"];

/** One connection of the client. */
class Call {
  readonly number: number;
  readonly plan: PeerPlan;
  readonly order: HandlerOrder;
  /** The number of bytes that it sends. */
  readonly length: number;
  readonly connectTimeoutMs: number;
  readonly isProbe: boolean;
  server: ServerPeer | undefined;
  written = 0;
  received = 0;
  hasOpened = false;
  isOver = false;
  code: string | undefined;
  activeAt = 0;

  constructor(number: number, plan: PeerPlan, order: HandlerOrder, isProbe: boolean) {
    this.number = number;
    this.plan = plan;
    this.order = order;
    this.isProbe = isProbe;
    this.length = plan.steps.reduce(
      (sum, step) => (step.do === "send" ? sum + step.length : sum),
      0,
    );
    this.connectTimeoutMs = 5000;
  }

  /** Whether the server does everything for the client. */
  get isServed(): boolean {
    return ECHOES.includes(this.plan.mode);
  }
}

/** A program that connects to servers, sends, compares what it receives, and ends. */
export class Clients implements Program {
  readonly #stage: Stage;
  readonly #calls: Call[] = [];
  #active = 0;
  #hasStarted = false;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  start(): void {
    const { scenario, world } = this.#stage;
    for (const plan of scenario.peers) {
      this.#active++;
      this.#serve(this.#call(plan, false));
    }
    for (const call of this.#calls)
      world.schedule(call.plan.startMs, () => this.#connectSoon(call));
    this.#hasStarted = true;
  }

  calm(): void {
    this.#active++;
    const call = this.#call(PROBE, true);
    this.#serve(call);
    this.#connectSoon(call);
  }

  get isDone(): boolean {
    return this.#stage.isShut || (this.#hasStarted && this.#active === 0);
  }

  stop(): void {}

  checkTurn(): void {}

  check(): void {
    for (const call of this.#calls) this.#judge(call);
  }

  describe(): string {
    return this.#calls
      .filter(({ isOver }) => !isOver)
      .map(({ number, plan, written, received, server }) => {
        const there =
          server === undefined ? "no server" : `received ${server.received}, sent ${server.sent}`;
        return `call ${number} (mode ${plan.mode}, wrote ${written}, received ${received}), server: ${there}`;
      })
      .join("; ");
  }

  summary(): string {
    return this.#calls
      .map(({ number, hasOpened, received, code }) => `${number}: ${hasOpened} ${received} ${code}`)
      .join(", ");
  }

  #call(plan: PeerPlan, isProbe: boolean): Call {
    const number = this.#calls.length;
    const call = new Call(number, plan, new HandlerOrder(number, this.#stage.report), isProbe);
    this.#calls.push(call);
    return call;
  }

  /** Opens the server of a call. */
  #serve(call: Call): void {
    const { plan, number } = call;
    if (plan.mode === REFUSES) return;
    const { world } = this.#stage;
    const closesMs = plan.mode === IGNORES ? CLOSES_MS : 0;
    this.#stage.serve(FIRST_PORT + number, closesMs, (socket) => {
      call.server = new ServerPeer(world, number, plan, socket);
    });
  }

  /** In a turn of the reactor, as a program does. */
  #connectSoon(call: Call): void {
    this.#stage.defer(() => this.#connect(call));
  }

  #connect(call: Call): void {
    const { reactor, scenario, report, isShut } = this.#stage;
    if (isShut) {
      this.#over(call);
      return;
    }
    const { zeroCopy, highWaterBytes, idleTimeoutMs } = scenario.options;
    const options: Sparse<ConnectOptions<Call>> = {
      host: "127.0.0.1",
      port: FIRST_PORT + call.number,
      connectTimeoutMs: call.connectTimeoutMs,
      zeroCopy,
      highWaterBytes: highWaterBytes > 0 ? highWaterBytes : undefined,
      idleTimeoutMs: idleTimeoutMs > 0 ? idleTimeoutMs : undefined,
      open: (connection) => {
        call.order.called("open");
        call.hasOpened = true;
        this.#stage.busy();
        this.#pump(connection);
      },
      data: (connection, bytes) => this.#received(connection, bytes),
      drain: (connection) => {
        call.order.called("drain");
        this.#stage.busy();
        this.#pump(connection);
      },
      error: (_, error) => {
        call.order.called("error");
        call.code = (error as { code?: string }).code ?? error.message;
      },
      close: () => {
        call.order.called("close");
        this.#over(call);
      },
    };
    try {
      const connection = reactor.connect(options as ConnectOptions<Call>);
      connection.data = call;
    } catch (error) {
      call.code = (error as { code?: string }).code ?? "thrown";
      if (isSafe(scenario)) report.fail("failed", `connect has thrown ${call.code}`);
      this.#over(call);
    }
  }

  #pump(connection: Connection<Call>): void {
    const call = connection.data;
    while (call.written < call.length && connection.state === "open") {
      const part = Math.min(Math.max(call.plan.piece, 1), call.length - call.written);
      const goesOn = connection.write(contentOf(streamTo(call.number), call.written, part));
      if (connection.state !== "open") return;
      call.written += part;
      call.order.wrote(goesOn);
      if (!goesOn) return;
    }
    if (call.written === call.length) connection.end();
  }

  #received(connection: Connection<Call>, bytes: Uint8Array): void {
    const call = connection.data;
    call.order.called("data");
    this.#stage.busy();
    const { number, plan } = call;
    const stream = doesServe(plan.mode) ? streamFrom(number) : streamTo(number);
    const at = differsAt(stream, call.received, bytes);
    const { report } = this.#stage;
    if (at >= 0) report.fail("content", `call ${call.number}: byte ${at} was received wrong`);
    call.received += bytes.length;
    if (call.received > (call.server?.sent ?? 0)) {
      report.fail("content", `call ${call.number}: more was received than sent`);
    }
  }

  #over(call: Call): void {
    if (call.isOver) return;
    call.isOver = true;
    this.#active--;
    if (this.#active === 0) this.#stage.wake();
  }

  #judge(call: Call): void {
    const { scenario, report } = this.#stage;
    const { number, plan, server, hasOpened, received, code, length } = call;
    const fail = (rule: string, text: string): void => {
      report.fail(rule, `call ${number}, mode ${plan.mode}: ${text}`);
    };
    if (server !== undefined && server.wrongAt >= 0) {
      fail("content", `the server received byte ${server.wrongAt} wrong`);
    }
    if (this.#stage.isShut) return;
    const isServed = call.isProbe ? scenario.descriptors >= 100 : isSafe(scenario);
    if (!isServed) return;
    if (plan.mode === REFUSES) {
      if (hasOpened || code !== "ECONNREFUSED") fail("refused", `${hasOpened} ${code}`);
      return;
    }
    if (!call.isServed || scenario.options.idleTimeoutMs > 0) return;
    if (code !== undefined) fail("failed", `failed with ${code}`);
    else if (received !== length || server?.received !== length) {
      fail(
        "short",
        `${received} of ${length} bytes were received, ${server?.received} by the server`,
      );
    }
  }
}

/** A server that behaves well, and a client that sends some bytes. */
const PROBE: PeerPlan = {
  ...probeOf([{ do: "send", length: 3000, piece: 1000, gapMs: 0 }]),
  piece: 1000,
};
