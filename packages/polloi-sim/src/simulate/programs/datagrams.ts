import type { DatagramOptions, DatagramSocket } from "polloi";
import type { SocketAddress } from "polloi/socket";
import { DatagramPeer, faultOf, headerOf } from "../peers/datagram-peer.ts";
import { probeOf } from "../plain.ts";
import { isSafe, type PeerPlan } from "../scenario.ts";
import { PATH, PORT, type Sparse } from "./program.ts";
import { ServerProgram } from "./server-program.ts";

/** With fewer bytes on their way, no queue of the kernel is full. */
const FEW_BYTES = 100_000;
/** The memory of a datagram beyond its bytes, about. */
const OVERHEAD_BYTES = 1000;
/** How often the socket stops receiving, and for how long, in milliseconds. */
const MOST_PAUSES = 4;
const PAUSE_MS = 20;

/** A server that sends each datagram back, and its peers. */
export class DatagramServer extends ServerProgram<DatagramPeer> {
  protected override readonly probes: readonly PeerPlan[] = PROBES;
  protected override readonly reconnects: boolean = false;
  /** The least number of the next datagram of each peer. */
  readonly #next: number[] = [];
  #socket: DatagramSocket | undefined;
  #pauses = 0;
  /** `send` has returned false, and `drain` was not called since. */
  #isFull = false;
  #closes = 0;

  protected override open(): void {
    const { reactor, scenario } = this.stage;
    const { highWaterBytes, maxPendingBytes, zeroCopy } = scenario.options;
    const options: Sparse<DatagramOptions> = {
      path: scenario.isUnix ? PATH : undefined,
      host: scenario.isUnix ? undefined : "127.0.0.1",
      port: scenario.isUnix ? undefined : PORT,
      zeroCopy,
      highWaterBytes: highWaterBytes > 0 ? highWaterBytes : undefined,
      maxPendingBytes: maxPendingBytes > 1 ? maxPendingBytes : undefined,
      message: (socket, bytes, from) => this.#received(socket, bytes, from),
      drain: () => this.#drained(),
      error: (_, error) => this.#failed(error),
      close: () => {
        this.#closes++;
      },
    } as Sparse<DatagramOptions>;
    this.#socket = reactor.bindDatagrams(options as DatagramOptions);
  }

  override stop(): void {
    this.#socket?.close();
  }

  override check(): void {
    const { report } = this.stage;
    const isClosedOnce = this.#closes === (this.#socket === undefined ? 0 : 1);
    if (!isClosedOnce) report.fail("order", `close was called ${this.#closes} times`);
    const pending = this.#socket?.pendingBytes ?? 0;
    if (pending !== 0) report.fail("balance", `${pending} bytes are pending after the end`);
    for (const peer of this.peers) {
      if (peer.fault !== undefined) report.fail("content", `${peer.describe()}: ${peer.fault}`);
      if (!this.#mustServe(peer) || peer.answers === peer.sent.length) continue;
      report.fail("short", `${peer.describe()}: answers are missing`);
    }
  }

  protected override seenBy({ answers, sent }: DatagramPeer): string {
    return `${answers}/${sent.length}`;
  }

  protected override peerOf(number: number, plan: PeerPlan, over: () => void): DatagramPeer {
    return new DatagramPeer(this.stage.world, number, plan, over);
  }

  protected override begin(peer: DatagramPeer): void {
    peer.begin(this.stage.machine, this.stage.scenario.isUnix);
  }

  #received(socket: DatagramSocket, bytes: Uint8Array, from: SocketAddress): void {
    const { report, scenario } = this.stage;
    this.stage.busy();
    const { number, index } = headerOf(bytes);
    const peer = this.peers[number];
    const fault = peer === undefined ? "its peer is unknown" : faultOf(bytes, peer);
    if (fault !== undefined || peer === undefined) {
      report.fail("content", `a datagram of peer ${number}: ${fault}`);
      return;
    }
    if (index < (this.#next[number] ?? 0)) {
      report.fail("order", `datagram ${index} of peer ${number} came out of order`);
    }
    this.#next[number] = index + 1;
    // Both the number and the address of the peer: bytes and address belong together.
    if (!scenario.isUnix && (from.port ?? -1) <= 0)
      report.fail("content", "a datagram has no sender");
    const goesOn = socket.send(bytes, from);
    if (!goesOn && socket.fileno() >= 0) this.#isFull = true;
    if (peer.plan.mode === "pause" && this.#pauses++ < MOST_PAUSES) this.#pause(socket);
  }

  #pause(socket: DatagramSocket): void {
    socket.pause();
    this.stage.after(PAUSE_MS, () => socket.resume());
  }

  #drained(): void {
    this.stage.busy();
    if (!this.#isFull) this.stage.report.fail("order", "drain was called without need");
    this.#isFull = false;
  }

  #failed(error: Error): void {
    const { report, scenario } = this.stage;
    // Nobody receives at the address of a unix socket whose peer has left.
    const { code } = error as { code?: string };
    if (scenario.isUnix && (code === "ECONNREFUSED" || code === "ENOENT")) return;
    if (isSafe(scenario)) report.fail("failed", `failed with ${code ?? error.stack}`);
  }

  #mustServe({ plan, hasLeft, isOver }: DatagramPeer): boolean {
    const { isShut, scenario } = this.stage;
    if (isShut || !isOver || (hasLeft && !waits(plan))) return false;
    // Handlers may be slower than peers are patient.
    if (scenario.slowOneIn > 0) return false;
    const isProbe = PROBES.includes(plan);
    if (scenario.options.maxPendingBytes > 0 || (!isProbe && !isSafe(scenario))) return false;
    if (scenario.isUnix) return true;
    const bytes = this.peers
      .flatMap(({ sent }) => sent)
      .reduce((sum, { length }) => sum + length + OVERHEAD_BYTES, 0);
    return bytes < FEW_BYTES;
  }
}

/** Whether a peer leaves only because its patience is over. */
function waits({ steps }: PeerPlan): boolean {
  return steps.every((step) => step.do !== "reset" && step.do !== "close");
}

const PROBES: readonly PeerPlan[] = [
  probeOf([{ do: "send", length: 100, piece: 1000, gapMs: 0 }, { do: "await" }]),
];
