import { ConnectionSet, configFrom, type LoadOptions, shardOf } from "polloi-tools/internal";
import { EchoingPeer } from "../peers/echoing-peer.ts";
import { isSafe, type Mode, type PeerPlan } from "../scenario.ts";
import { PORT, type Program, type Stage } from "./program.ts";

/** Modes in which a server ends connections. In all others it echoes everything. */
const ENDS: readonly Mode[] = ["reset", "close"];
/** A message is small, so that there can be many. */
const MOST_BYTES = 3000;
const MOST_MESSAGES = 60;
/** Longer than any delay of the network. */
const TIMEOUT_MS = 5000;

/** The load client of polloi-tools: one connection for each peer, which is its server. */
export class LoadClient implements Program {
  readonly #stage: Stage;
  readonly #plans: readonly PeerPlan[];
  readonly #options: LoadOptions;
  #connections: ConnectionSet | undefined;
  #ends = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#plans = stage.scenario.peers;
    const [first] = this.#plans as [PeerPlan, ...PeerPlan[]];
    const { pieces, rate } = optionsOf(first);
    this.#options = {
      target: `tcp://127.0.0.1:${PORT}`,
      connections: this.#plans.length,
      messages: this.#plans.length + (first.length % MOST_MESSAGES),
      sizeBytes: 1 + (first.length % MOST_BYTES),
      pipeline: pieces,
      timeoutMs: TIMEOUT_MS,
      ...(rate > 0 ? { rate } : { thinkMs: first.delayMs }),
    };
  }

  start(): void {
    const { reactor, world } = this.#stage;
    let accepted = 0;
    this.#stage.serve(PORT, 0, (socket) => {
      // A connection that is opened again is served to the end.
      const plan = this.#plans[accepted++] ?? { ...(this.#plans[0] as PeerPlan), mode: "echo" };
      new EchoingPeer(world, plan, socket);
    });
    const config = configFrom(this.#options);
    this.#connections = new ConnectionSet({
      reactor,
      config,
      shard: shardOf(config, 0, 1),
      address: { host: "127.0.0.1", port: PORT },
      ended: () => {
        this.#ends++;
        this.#stage.wake();
      },
    });
    this.#connections.start();
  }

  calm(): void {}

  get isDone(): boolean {
    return this.#ends > 0 || this.#stage.isShut;
  }

  stop(): void {}

  checkTurn(): void {}

  check(): void {
    const { scenario, report, isShut } = this.#stage;
    const connections = this.#connections;
    if (connections === undefined || isShut) return;
    const { counts, errors } = connections.statistics;
    const fail = (text: string): void => {
      const said = JSON.stringify({ ...counts, errors });
      report.fail("load", `${text}: ${said}, ${JSON.stringify(this.#options)}`);
    };
    if (this.#ends !== 1) fail(`it has ended ${this.#ends} times`);
    if (counts.corrupted > 0 || counts.surplus > 0 || counts.reordered > 0) fail("bytes are wrong");
    if (counts.open !== 0) fail("connections are counted as open");
    const isServed = this.#plans.every(({ mode }) => !ENDS.includes(mode));
    if (!isSafe(scenario) || !isServed) return;
    if (counts.messages !== this.#options.messages || counts.sent !== counts.messages) {
      fail("not every message was answered");
    }
    if (counts.unanswered > 0 || counts.lost > 0 || Object.keys(errors).length > 0)
      fail("failures");
  }

  describe(): string {
    return `load: ${JSON.stringify(this.#connections?.snapshot())}`;
  }

  summary(): string {
    return `${this.#connections?.statistics.counts.messages}`;
  }
}

/** The options of a load that a peer's plan decides, beside the sizes. */
function optionsOf({ piece, delayMs }: PeerPlan): { pieces: number; rate: number } {
  return { pieces: piece >= 10_000 ? 1 : 4, rate: piece === 10_000 && delayMs === 1 ? 200 : 0 };
}
