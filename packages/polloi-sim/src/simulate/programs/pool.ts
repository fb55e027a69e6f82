import {
  type Child,
  type ChildEvents,
  OVERTIME_MS,
  Pool,
  ProcessStarter,
  type Spawned,
} from "polloi/internal";
import type { Process } from "../../process/process.ts";
import { portOf } from "../../sockets/address.ts";
import { TcpSocket } from "../../sockets/tcp-socket.ts";
import { EchoPeer } from "../peers/echo-peer.ts";
import { type ChildStage, FailedStart, noProcess, PoolChild } from "../pool/child.ts";
import { HEALTHY, type PoolPlan } from "../pool/plan.ts";
import { isSafe, type PeerPlan } from "../scenario.ts";
import { PROBES } from "./echo.ts";
import { PATH, PORT, type Stage } from "./program.ts";
import { ServerProgram } from "./server-program.ts";

/** The URL of the module in messages. */
const MODULE = "sim:echo";
/** A timer of the runtime fires within this time. */
const LATE_MS = 1;
/** Children take longer to start than a reactor, so clients take longer to come. */
const START_FACTOR = 20;
/** The time from a signal until the supervisor knows that its child has exited, and some turns. */
const EXIT_MS = 10;
/** A child has answered a ping this long after it does something again. */
const ANSWER_MS = 50;
/** How often a child is pinged, and how many pings it may miss. Source: `Heartbeat` in pool/supervisor.ts */
const PING_INTERVAL_MS = 1000;
const MIN_PING_INTERVAL_MS = 10;
const MIN_UNANSWERED = 3;
/** How often children look at a listener that they share with one that does nothing. Source: pool/pool.ts */
const ACCEPT_INTERVAL_MS = 50;
/** The delays before a child is replaced. Source: the documentation of `WorkerPool` */
const FIRST_DELAY_MS = 50;
const LAST_DELAY_MS = 1000;
const HEALTHY_MS = 10_000;
/** After as many exits in a row a child may be given up. */
const MAX_EXITS = { continue: 4, end: 5 } as const;
/** More starts of one child than its exits can explain. */
const MAX_STARTS = 100;

/** What happens at one place of the pool. */
interface Place {
  child: PoolChild | undefined;
  startedAt: number;
  starts: number;
  /** The last exit, and the delay that was announced. */
  exitedAt: number;
  delayMs: number | null;
  /** Exits in a row since one that had run for long. */
  exits: number;
  isUnresponsive: boolean;
}

/** The supervisor of a pool, its processes, which accept from its listeners, and their clients. */
export class PoolProgram extends ServerProgram<EchoPeer> {
  protected override readonly probes: readonly PeerPlan[] = PROBES;
  readonly #plan: PoolPlan;
  /** The ports of the peers, and the number of actions of the world before they connected, by their numbers. */
  readonly #ports: number[] = [];
  readonly #begunAfter: number[] = [];
  /** The ports of connections that were open in a child that ended. */
  readonly #lostPorts: Set<number> = new Set();
  /** The peers of unix sockets that were connected at such a time. */
  readonly #lostPeers: Set<EchoPeer> = new Set();
  readonly #children: PoolChild[] = [];
  readonly #places: Place[];
  /** The place of the child that is being started. */
  #starting = 0;
  #starter: ProcessStarter | undefined;
  #pool: Pool | undefined;
  #isSettled = false;
  #isCalm = false;
  #hasFailed = false;
  #hasGivenUp = false;
  #stoppedAt = Number.POSITIVE_INFINITY;
  #stoppedAfter = Number.POSITIVE_INFINITY;
  #endsAt = Number.POSITIVE_INFINITY;
  /** Whether every child that could accept was running when the pool was stopped. */
  #wasWhole = true;
  #isOver = false;

  constructor(stage: Stage) {
    super(stage);
    if (stage.scenario.pool === undefined) throw new RangeError("The scenario has no pool");
    this.#plan = stage.scenario.pool;
    this.#places = Array.from({ length: this.#plan.children }, () => ({
      child: undefined,
      startedAt: 0,
      starts: 0,
      exitedAt: -1,
      delayMs: 0,
      exits: 0,
      isUnresponsive: false,
    }));
  }

  protected override open(): void {
    const { kernel, reactor } = this.stage;
    this.#starter = new ProcessStarter(kernel, reactor, [], (args) => this.#spawn(args));
    void this.#startPool();
  }

  protected override planOf(plan: PeerPlan): PeerPlan {
    return { ...plan, mode: "echo", startMs: START_FACTOR * plan.startMs };
  }

  override calm(): void {
    this.#isCalm = true;
    for (const child of this.#children) child.calm();
    if (!this.#isOver) super.calm();
  }

  override get isDone(): boolean {
    return this.#isSettled && super.isDone;
  }

  protected override get isOpen(): boolean {
    return super.isOpen && !this.#isStopping() && !this.#hasFailed;
  }

  override stop(): void {
    this.#stop();
  }

  get isOver(): boolean {
    return this.#isOver || this.#hasFailed || this.#starter === undefined;
  }

  override check(): void {
    const { report } = this.stage;
    for (const peer of this.peers) this.#judge(peer);
    for (const child of this.#children) {
      if (child.isAlive) report.fail("child", `a child outlives its pool: ${child.describe()}`);
      this.#judgeKill(child);
    }
    if (!this.isOver) report.fail("pool", "the pool is not over");
  }

  override describe(): string {
    const states = this.#pool?.supervisors.map(({ state }) => state) ?? ["not started"];
    const peers = this.peers.filter((peer) => !peer.isOver).map((peer) => peer.describe());
    const children = this.#children.filter(({ isAlive }) => isAlive);
    return [...states, ...children.map((child) => child.describe()), ...peers].join("; ");
  }

  #isStopping(): boolean {
    return this.#stoppedAt !== Number.POSITIVE_INFINITY;
  }

  // The pool.

  async #startPool(): Promise<void> {
    const { kernel, scenario, world } = this.stage;
    const { children, sharing, lives: _, listens: __, againMs: ___, stopMs, ...how } = this.#plan;
    try {
      this.#pool = await Pool.start({
        ...how,
        kernel,
        module: MODULE,
        count: children,
        noun: "process",
        listeners: {
          where: scenario.isUnix ? { path: PATH } : { host: "127.0.0.1", port: PORT },
          sharing,
        },
        start: (index, listener, events) => this.#startChild(index, listener, events),
        message: () => {},
        ended: (index) => this.#ended(index),
        exited: (index, _child, { error, restartInMs }) => this.#exited(index, error, restartInMs),
        responds: (index, _child, responsive, silentMs) =>
          this.#responds(index, responsive, silentMs),
      });
    } catch (error) {
      this.#failedToStart(error as Error);
      return;
    }
    this.#isSettled = true;
    const pool = this.#pool;
    void pool.over.then(() => this.#over());
    pool.finished.catch((error: unknown) => {
      if (!this.#hasGivenUp) this.#fail("pool", `the pool has ended: ${String(error)}`);
    });
    if (stopMs > 0) world.schedule(stopMs, () => this.stage.defer(() => this.#stop()));
    this.stage.wake();
  }

  #failedToStart(error: Error): void {
    const { scenario } = this.stage;
    this.#isSettled = true;
    this.#hasFailed = true;
    this.#starter?.close();
    // Another process may still have the socket that has found out whether the port is free.
    const isExpected =
      scenario.keptOneIn > 0 || this.#children.some(({ life }) => life.failure !== "none");
    if (isSafe(scenario) && !isExpected) {
      this.#fail("start", `the pool has not started: ${error.message}`);
    }
    this.stage.wake();
  }

  #stop(): void {
    const { world, scenario } = this.stage;
    const pool = this.#pool;
    if (this.#isStopping() || pool === undefined || this.#isOver) return;
    const { graceMs } = scenario;
    const { againMs, sharing } = this.#plan;
    const isShared = sharing === "exclusive" || scenario.isUnix;
    const runs = ({ state }: { readonly state: string }): boolean => state === "running";
    this.#wasWhole = isShared ? pool.supervisors.some(runs) : pool.supervisors.every(runs);
    this.#stoppedAt = world.now();
    this.#stoppedAfter = world.ran;
    this.#endsAt = this.#stoppedAt + graceMs;
    pool.stop(graceMs);
    // They come too late. A child that does nothing still has the listener.
    for (const plan of PROBES) this.expect(plan, 1);
    if (againMs === 0 || againMs >= graceMs) return;
    world.schedule(againMs, () =>
      this.stage.defer(() => {
        if (this.#isOver) return;
        this.#endsAt = Math.min(this.#endsAt, world.now());
        pool.stop(0);
      }),
    );
  }

  /** Nothing of the pool is left. */
  #over(): void {
    this.#isOver = true;
    this.#starter?.close();
    const now = this.stage.world.now();
    const latest = this.#endsAt + OVERTIME_MS + EXIT_MS;
    if (now > latest) this.#fail("grace", `the pool is over ${now - latest} ms too late`);
    for (const child of this.#children) {
      if (child.isAlive) this.#fail("child", `the pool is over before ${child.describe()}`);
    }
    this.stage.wake();
  }

  // Its children.

  #startChild(index: number, listener: number, events: ChildEvents): Child {
    const place = this.#places[index] as Place;
    const now = this.stage.world.now();
    const { delayMs } = place;
    place.starts++;
    place.startedAt = now;
    place.child = undefined;
    place.isUnresponsive = false;
    if (this.#isStopping()) this.#fail("restart", "a child is started after the stop");
    if (place.starts > MAX_STARTS) this.#fail("restart", `a child is started ${MAX_STARTS} times`);
    if (delayMs === null) this.#fail("restart", "a child is started that was given up");
    else if (place.exitedAt >= 0) {
      const lateMs = now - place.exitedAt - delayMs;
      if (lateMs < 0 || lateMs > LATE_MS) {
        this.#fail("restart", `a child is started ${lateMs} ms after its delay of ${delayMs} ms`);
      }
    }
    this.#starting = index;
    const { sharing, children } = this.#plan;
    const exclusive = sharing === "exclusive" && children > 1;
    const input = { task: "event-loop", module: MODULE, data: null, exclusive } as const;
    return (this.#starter as ProcessStarter).start(input, listener, events);
  }

  #spawn(args: readonly string[]): Spawned {
    const { world } = this.stage;
    // The system has no process left. A runtime throws this, or reports it later.
    if (world.faults.happens("noMemory")) {
      if (world.choices.below(2) === 0) throw noProcess();
      return new FailedStart(world);
    }
    const life = this.#plan.lives[this.#children.length] ?? HEALTHY;
    const child = new PoolChild(this.#childStage(), args, life);
    this.#children.push(child);
    (this.#places[this.#starting] as Place).child = child;
    return child;
  }

  #childStage(): ChildStage {
    const isCalm = (): boolean => this.#isCalm;
    const { machine, world, report, scenario, engine, trigger } = this.stage;
    return {
      machine,
      world,
      report,
      scenario,
      engine,
      trigger,
      listens: this.#plan.listens,
      get isCalm() {
        return isCalm();
      },
      lost: (process) => this.#lost(process),
      stalls: (child, ms) => this.#expectReport(child, ms),
    };
  }

  /** A child ends, with all that it has open. */
  #lost({ descriptors }: Process): void {
    for (const fd of descriptors.list()) {
      const file = descriptors.peek(fd);
      if (!(file instanceof TcpSocket)) continue;
      const name = file.peerName();
      if (typeof name !== "number") this.#lostPorts.add(portOf(name));
    }
    if (!this.stage.scenario.isUnix) return;
    for (const peer of this.peers) if (!peer.isOver) this.#lostPeers.add(peer);
  }

  #ended(index: number): void {
    const { child } = this.#places[index] as Place;
    if (child?.isAlive === true) this.#fail("child", `reported as ended: ${child.describe()}`);
  }

  #exited(index: number, error: Error, restartInMs: number | null | undefined): void {
    const place = this.#places[index] as Place;
    const { scenario, world } = this.stage;
    const { crashLoop } = this.#plan;
    const ranMs = world.now() - place.startedAt;
    const life = place.child?.life.failure ?? "none";
    if (isSafe(scenario) && life === "none" && place.child?.killed === undefined) {
      this.#fail("exit", `a child has exited without a reason: ${error.stack}`);
    }
    const wasHealthy = place.child?.readyAt !== undefined && ranMs > HEALTHY_MS;
    const before = place.exitedAt < 0 || wasHealthy ? 0 : (place.delayMs ?? 0);
    place.exits = wasHealthy ? 1 : place.exits + 1;
    place.exitedAt = world.now();
    // It is not replaced, because the pool stops.
    if (restartInMs === undefined) {
      const isEnding = this.#isStopping() || this.#hasGivenUp || !this.#isSettled;
      if (!isEnding) this.#fail("restart", "a child is not replaced");
      return;
    }
    place.delayMs = restartInMs;
    if (restartInMs === null) {
      this.#hasGivenUp = true;
      if (place.exits < MAX_EXITS[crashLoop]) {
        this.#fail("restart", `a child is given up after ${place.exits} exits`);
      }
      return;
    }
    const expected = before === 0 ? FIRST_DELAY_MS : Math.min(2 * before, LAST_DELAY_MS);
    if (restartInMs !== expected) {
      this.#fail("restart", `a child is replaced in ${restartInMs} ms, and not in ${expected}`);
    }
  }

  #responds(index: number, responsive: boolean, silentMs: number): void {
    const place = this.#places[index] as Place;
    const { scenario, world } = this.stage;
    const { unresponsiveAfterMs } = this.#plan;
    const { child } = place;
    if (responsive !== place.isUnresponsive) {
      this.#fail(
        "unresponsive",
        `a child is reported twice as ${responsive ? "" : "un"}responsive`,
      );
    }
    place.isUnresponsive = !responsive;
    if (child === undefined || scenario.faults.delay !== undefined) return;
    const now = world.now();
    // It may do nothing again, after it has answered.
    if (responsive) return;
    if (silentMs < unresponsiveAfterMs) {
      this.#fail("unresponsive", `reported after ${silentMs} of ${unresponsiveAfterMs} ms`);
    }
    if (child.stalledUntil < now - silentMs) {
      this.#fail("unresponsive", `it does not respond: ${child.describe()}`);
    }
  }

  /** A child does nothing for some time. If this is long, it is reported. */
  #expectReport(child: PoolChild, ms: number): void {
    const place = this.#places.find((each) => each.child === child);
    const latest = this.#reportedAfterMs();
    // A ping may arrive late, or may not be sent.
    const { scenario } = this.stage;
    const isLate = scenario.faults.delay !== undefined || !isSafe(scenario);
    if (place === undefined || ms < latest || isLate) return;
    this.stage.world.schedule(latest, () => {
      const isRunning = child.isAlive && child.isStalled && child.killed === undefined;
      if (!isRunning || place.child !== child || place.isUnresponsive) return;
      // A pool that stops pings nobody; also one that stops because it could not start.
      if (this.#isStopping() || !this.#isSettled) return;
      // One that was not ready is not pinged.
      if (child.readyAt === undefined) return;
      this.#fail("unresponsive", `it is not reported after ${latest} ms: ${child.describe()}`);
    });
  }

  /** A child that does nothing for so long is reported. */
  #reportedAfterMs(): number {
    const { unresponsiveAfterMs } = this.#plan;
    const interval = Math.max(
      MIN_PING_INTERVAL_MS,
      Math.min(unresponsiveAfterMs / 4, PING_INTERVAL_MS),
    );
    // It may have begun just after a ping, and end just before it is found out.
    return Math.max(unresponsiveAfterMs, MIN_UNANSWERED * interval) + 3 * interval;
  }

  /** A child is killed only if it did nothing, or was late with its start. */
  #judgeKill({ killed, readyAt, stalledUntil, ...child }: PoolChild): void {
    if (killed === undefined || killed.wasStalled || readyAt === undefined) return;
    const { scenario } = this.stage;
    if (scenario.faults.delay !== undefined || !isSafe(scenario)) return;
    if (readyAt > killed.at - ANSWER_MS || stalledUntil > killed.at - ANSWER_MS) return;
    this.#fail("killed", `process ${child.pid} was killed ${killed.at} although it responds`);
  }

  // Its clients.

  protected override seenBy({ outcome }: EchoPeer): string {
    return `${outcome}`;
  }

  protected override peerOf(number: number, plan: PeerPlan, over: () => void): EchoPeer {
    return new EchoPeer(this.stage.world, number, plan, over);
  }

  protected override begin(peer: EchoPeer): void {
    peer.begin(this.stage.dial(peer.plan.bufferBytes));
    if (peer.isOver) return;
    this.#ports[peer.number] = peer.port;
    this.#begunAfter[peer.number] = this.stage.world.ran;
    this.#expectAccept(peer);
  }

  /** A connection to a listener that is shared waits for no child that does nothing, if another one can accept it. */
  #expectAccept(peer: EchoPeer): void {
    const { scenario, world } = this.stage;
    const { sharing } = this.#plan;
    const isLate = scenario.faults.delay !== undefined || !isSafe(scenario);
    // Connections to a unix socket have no numbers by which they are known.
    if (sharing !== "exclusive" || scenario.isUnix || isLate || scenario.slowOneIn > 0) return;
    const ready = this.#children.filter((child) => child.isReady && child.life.failure === "none");
    if (ready.length === 0) return;
    const latest = this.#reportedAfterMs() + ACCEPT_INTERVAL_MS + ANSWER_MS;
    world.schedule(latest, () => {
      if (this.#isStopping() || !this.#isSettled || this.#isOver || peer.isOver) return;
      const port = this.#ports[peer.number] as number;
      if (peer.sent === 0 || !ready.some(({ isAlive }) => isAlive)) return;
      if (this.#isLost(peer) || this.#children.some((child) => child.hasAccepted(port))) return;
      this.#accuse("waits", peer, `it waits in the backlog after ${latest} ms`);
    });
  }

  /** Whether a peer must be served to its end. */
  #mustServe(peer: EchoPeer): boolean {
    const { scenario } = this.stage;
    const isProbe = PROBES.includes(peer.plan);
    if (!isProbe && (!isSafe(scenario) || !peer.isHonest)) return false;
    if (this.#hasFailed || this.#hasGivenUp || this.#isLost(peer)) return false;
    return !this.#isStopping() || this.#wasEarly(peer);
  }

  #isLost(peer: EchoPeer): boolean {
    return this.#lostPorts.has(this.#ports[peer.number] ?? -1) || this.#lostPeers.has(peer);
  }

  /** Whether a peer has sent everything before the stop, so that it is answered. */
  #wasEarly({ plan, endedAt, endedAfter }: EchoPeer): boolean {
    const { scenario } = this.stage;
    if (scenario.graceMs < 1000 || this.#plan.againMs > 0 || !this.#wasWhole) return false;
    if (scenario.faults.delay !== undefined || scenario.slowOneIn > 0) return false;
    if (this.#plan.lives.some(({ failure }) => failure !== "none")) return false;
    const { startMs, everyMs } = plan.reading;
    const isPrompt = startMs === 0 && everyMs === 0 && plan.latencyMs === 0;
    return isPrompt && endedAt >= 0 && endedAfter < this.#stoppedAfter;
  }

  /** Whether a peer has connected after the stop, so that it is refused. Children know first that a unix socket stops. */
  #wasLate({ number }: EchoPeer): boolean {
    const { scenario } = this.stage;
    if (scenario.isUnix || scenario.graceMs === 0 || scenario.faults.delay !== undefined)
      return false;
    return (this.#begunAfter[number] ?? 0) > this.#stoppedAfter;
  }

  #judge(peer: EchoPeer): void {
    const { outcome, received, expected, errno, wrongAt } = peer;
    if (wrongAt >= 0) this.#accuse("content", peer, `byte ${wrongAt} is wrong`);
    if (received > peer.payloadSent) {
      this.#accuse("content", peer, `it received ${received} of ${peer.payloadSent} bytes`);
    }
    if ((outcome === "end" || outcome === "reset") && this.#wasLate(peer)) {
      this.#accuse("refuse", peer, "its connection was established after the stop");
    }
    if (!this.#mustServe(peer)) return;
    if (outcome !== "end") {
      this.#accuse("cut", peer, `it was cut off: ${outcome} ${errno}, ${received} of ${expected}`);
    } else if (received !== expected) {
      this.#accuse("short", peer, `${received} of ${expected} bytes were received`);
    }
  }

  #accuse(rule: string, peer: EchoPeer, text: string): void {
    this.#fail(rule, `${peer.describe()}: ${text}`);
  }

  #fail(rule: string, text: string): void {
    this.stage.report.fail(rule, text);
  }
}
