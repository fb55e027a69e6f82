import type { Connection, Handlers, Listener, ListenOptions } from "polloi";
import type { FaultKind } from "../../base/faults.ts";
import { HandlerOrder } from "../checks/order.ts";
import { contentOf, differsAt } from "../content.ts";
import {
  doesEcho,
  EchoPeer,
  fileOffset,
  HEADER_BYTES,
  streamFrom,
  streamTo,
} from "../peers/echo-peer.ts";
import { probeOf } from "../plain.ts";
import { isSafe, MODES, type Mode, type PeerPlan } from "../scenario.ts";
import { PATH, PORT, type Sparse } from "./program.ts";
import { ServerProgram } from "./server-program.ts";

/** The error that a handler throws on purpose. */
export class Planned extends Error {}

/** What the server knows of a connection. */
export class Session {
  readonly order: HandlerOrder;
  readonly header: Uint8Array = new Uint8Array(HEADER_BYTES);
  headerBytes = 0;
  peer: EchoPeer | undefined;
  mode: Mode = "echo";
  length = 0;
  piece = 0;
  delayMs = 0;
  received = 0;
  /** The number of bytes that `write` has accepted. */
  written = 0;
  /** Timers that will write. */
  pendingWrites = 0;
  /** How often it was paused, in the mode `pause`. */
  pauses = 0;
  /** Files whose `done` has not been called. */
  files = 0;
  /** The time of the last handler that shows that the peer is there. */
  activeAt: number;
  /** Whether the server has ended it before everything was done. */
  isCut = false;
  /** Bytes that it keeps, which must not change: with the position of the first. */
  kept: Uint8Array | undefined;
  keptAt = 0;

  constructor(order: HandlerOrder, now: number) {
    this.order = order;
    this.activeAt = now;
  }
}

export type Client = Connection<Session>;

/** Modes in which the server closes first. */
const LINGERS: readonly Mode[] = ["serve", "close", "file"];
/** Faults that do not change when bytes arrive. */
const PROMPT: readonly FaultKind[] = ["order", "shortRead", "shortWrite", "reset"];

/** An echo server, which does other things too if the peer asks for them. See {@link MODES}. */
export class EchoServer extends ServerProgram<EchoPeer> {
  protected override readonly probes: readonly PeerPlan[] = PROBES;
  protected listener: Listener | undefined;
  readonly #sessions: (Session | undefined)[] = [];
  /** Connections that a handler of another one resumes. */
  readonly #paused: Set<Client> = new Set();
  #connections = 0;
  /** The listener before a restart. */
  #earlier: Listener | undefined;
  #hasRestarted = false;
  /** Whether the listener may be restarted. */
  protected readonly restarts: boolean = true;
  /** Whether bytes that the server has written may wait where the connection does not know of them. */
  protected readonly buffers: boolean = false;
  /** Once it stops, nobody has to be accepted. */
  protected isStopping = false;
  /** Whether connections are destroyed because a grace period is over. */
  protected get isCuttingOff(): boolean {
    return false;
  }

  protected override open(): void {
    const { scenario, world } = this.stage;
    this.#listen();
    if (scenario.restartMs > 0 && this.restarts) {
      world.schedule(scenario.restartMs, () => this.stage.defer(() => this.#restart()));
    }
  }

  protected override get isOpen(): boolean {
    return super.isOpen && !this.isStopping;
  }

  #listen(): void {
    this.listener = this.stage.reactor.listen<Session>(this.#options());
    this.stage.limitBuffers(this.listener.fileno());
  }

  /** Closes the listener, and listens on its address again. Connections of the backlog are reset. */
  #restart(): void {
    if (this.isStopping) return;
    this.#earlier = this.listener;
    this.#hasRestarted = true;
    this.listener?.close();
    this.#listenAgain();
  }

  #listenAgain(): void {
    if (this.stage.isShut) return;
    try {
      this.#listen();
    } catch {
      // A call has failed because of a fault, or somebody still has the old socket.
      this.stage.world.schedule(RETRY_MS, () => this.stage.defer(() => this.#listenAgain()));
    }
  }

  override stop(): void {
    this.listener?.close();
  }

  override check(): void {
    for (const peer of this.peers) this.#judge(peer);
    const { report } = this.stage;
    for (const listener of [this.listener, this.#earlier]) {
      if (listener === undefined || listener.connections === 0) continue;
      report.fail("count", `the listener counts ${listener.connections} connections of none`);
    }
    for (const session of this.#sessions) {
      if (session !== undefined && session.files !== 0) {
        const { files, peer } = session;
        report.fail("file", `done of a file was called ${1 - files} times, peer ${peer?.number}`);
      }
      if (session !== undefined && !session.order.isClosed) {
        report.fail("order", `the connection of peer ${session.peer?.number} was never closed`);
      }
    }
  }

  protected override describePeer(peer: EchoPeer): string {
    const session = this.#sessions[peer.number];
    const known =
      session === undefined
        ? "unknown to the server"
        : `server: mode ${session.mode}, received ${session.received}, wrote ${session.written}`;
    return `${peer.describe()}, ${known}`;
  }

  protected override seenBy({ outcome, received }: EchoPeer): string {
    return `${outcome} ${received}`;
  }

  protected override peerOf(number: number, plan: PeerPlan, over: () => void): EchoPeer {
    return new EchoPeer(this.stage.world, number, plan, over);
  }

  protected override begin(peer: EchoPeer): void {
    peer.begin(this.stage.dial(peer.plan.bufferBytes));
  }

  #options(): ListenOptions<Session> {
    const { isUnix, options } = this.stage.scenario;
    const { highWaterBytes, maxPendingBytes, idleTimeoutMs, maxConnections } = options;
    const { data, drain, end, timeout, error, close } = this.handlers(options.handlesEnd);
    const sparse: Sparse<ListenOptions<Session>> = {
      path: isUnix ? PATH : undefined,
      host: isUnix ? undefined : "127.0.0.1",
      port: isUnix ? undefined : PORT,
      zeroCopy: options.zeroCopy,
      highWaterBytes: highWaterBytes > 0 ? highWaterBytes : undefined,
      maxPendingBytes: maxPendingBytes > 0 ? maxPendingBytes : undefined,
      idleTimeoutMs: idleTimeoutMs > 0 ? idleTimeoutMs : undefined,
      maxConnections: maxConnections > 0 ? maxConnections : undefined,
      data,
      drain,
      end,
      timeout,
      error,
      close,
      acceptError: () => this.#acceptFailed(),
      open: (connection) => this.opened(connection),
    };
    return sparse as ListenOptions<Session>;
  }

  protected handlers(handlesEnd: boolean): Sparse<Handlers<Session>> {
    return {
      data: (connection, bytes) => this.#received(connection, bytes),
      drain: (connection) => this.#drained(connection),
      end: handlesEnd ? (connection) => this.#ended(connection) : undefined,
      timeout: handlesEnd ? (connection) => this.#idled(connection) : undefined,
      error: (connection, error) => {
        // A handler may throw after the connection was closed.
        if (error instanceof Planned) return;
        connection.data.order.called("error");
        this.failed(connection, error);
      },
      close: (connection) => this.closed(connection),
    };
  }

  #acceptFailed(): void {
    const { scenario, report } = this.stage;
    if (isSafe(scenario)) report.fail("accept", "accepting has failed without a reason");
  }

  protected opened(connection: Client): void {
    const order = new HandlerOrder(this.#connections++, this.stage.report);
    order.called("open");
    connection.data = new Session(order, this.stage.world.now());
    this.stage.busy();
  }

  #received(connection: Client, bytes: Uint8Array): void {
    const session = connection.data;
    session.order.called("data");
    session.activeAt = this.stage.world.now();
    if (this.#paused.size > 0) this.#resumeOthers(connection);
    const rest = this.take(connection, bytes);
    if (session.peer !== undefined && rest.length > 0) this.#answer(connection, session, rest);
  }

  /** Bytes were received. @returns Those behind the header, which are compared with what the peer has sent. */
  protected take(connection: Client, bytes: Uint8Array): Uint8Array {
    const session = connection.data;
    this.stage.busy();
    const rest = this.#withoutHeader(connection, session, bytes);
    const { peer } = session;
    if (peer === undefined || rest.length === 0) return rest;
    const at = differsAt(streamTo(peer.number), session.received, rest);
    if (at >= 0) this.#fail("content", session, `byte ${at} that it has sent was received wrong`);
    this.#checkKept(session);
    if (!this.stage.scenario.options.zeroCopy) {
      session.kept = rest;
      session.keptAt = session.received;
    }
    session.received += rest.length;
    if (session.received > peer.payloadSent) {
      this.#fail("content", session, `${session.received} of ${peer.payloadSent} bytes received`);
    }
    return rest;
  }

  /** Bytes that were passed to a handler, which may keep them. */
  #checkKept(session: Session): void {
    const { kept, keptAt, peer } = session;
    if (kept === undefined || peer === undefined) return;
    const at = differsAt(streamTo(peer.number), keptAt, kept);
    if (at >= 0) this.#fail("content", session, `byte ${at} has changed after it was received`);
    session.kept = undefined;
  }

  #withoutHeader(connection: Client, session: Session, bytes: Uint8Array): Uint8Array {
    if (session.headerBytes === HEADER_BYTES) return bytes;
    const missing = Math.min(HEADER_BYTES - session.headerBytes, bytes.length);
    session.header.set(bytes.subarray(0, missing), session.headerBytes);
    session.headerBytes += missing;
    if (session.headerBytes === HEADER_BYTES) this.#begin(connection, session);
    return bytes.subarray(missing);
  }

  #begin(connection: Client, session: Session): void {
    const view = new DataView(session.header.buffer);
    const number = view.getUint16(2, true);
    const peer = this.peers[number];
    const mode = MODES[view.getUint8(0)];
    if (peer === undefined || mode !== peer.plan.mode || this.#sessions[number] !== undefined) {
      this.stage.report.fail("content", `the header of a peer was received wrong`);
      return;
    }
    this.#sessions[number] = session;
    session.peer = peer;
    session.mode = mode;
    session.length = view.getUint32(4, true);
    session.piece = peer.plan.piece;
    session.delayMs = peer.plan.delayMs;
    this.begun(connection, session);
  }

  /** The header is complete. */
  protected begun(connection: Client, session: Session): void {
    const { peer, mode, length } = session;
    if (peer === undefined) return;
    switch (mode) {
      case "serve":
        this.#write(connection, session, contentOf(streamFrom(peer.number), 0, length));
        connection.close();
        return;
      case "file":
        this.#sendFile(connection, session, peer.number);
        connection.close();
        return;
      case "destroy":
        this.#write(connection, session, contentOf(streamFrom(peer.number), 0, length));
        session.isCut = true;
        connection.destroy();
        return;
      case "pump":
        this.#pump(connection, session);
        return;
      case "pause":
        this.#pause(connection, session);
        return;
      case "handover": {
        // The rest of the bytes belongs to the present handlers.
        const next = connection.handOver(this.handlers(false) as Handlers<Session>);
        next.data = session;
        return;
      }
      default:
    }
  }

  #answer(connection: Client, session: Session, bytes: Uint8Array): void {
    switch (session.mode) {
      case "echo":
      case "handover":
        if (!this.#write(connection, session, bytes)) connection.pause();
        return;
      case "flood":
        this.#write(connection, session, bytes);
        return;
      case "kill":
        this.#write(connection, session, bytes);
        this.#killLater(connection, session);
        return;
      case "throw":
        this.#write(connection, session, bytes);
        throw new Planned("thrown on purpose");
      case "late":
        this.#writeLater(connection, session, bytes.slice());
        return;
      case "close":
        if (!this.#write(connection, session, bytes)) connection.pause();
        if (session.received >= session.length) connection.close();
        return;
      case "reset":
        if (session.received < session.length) return;
        session.isCut = true;
        connection.reset();
        return;
      case "pause":
        this.#pause(connection, session);
        return;
      default: // Not interested.
    }
  }

  /** Stops receiving, until a timer or a handler of another connection lets it continue. */
  #pause(connection: Client, session: Session): void {
    if (session.pauses++ >= MOST_PAUSES) return;
    connection.pause();
    if (session.delayMs === 0) this.#paused.add(connection);
    this.stage.after(session.delayMs === 0 ? LATEST_MS : session.delayMs, () => {
      this.#paused.delete(connection);
      connection.resume();
    });
  }

  #resumeOthers(connection: Client): void {
    for (const other of this.#paused) {
      if (other === connection) continue;
      this.#paused.delete(other);
      other.resume();
    }
  }

  #sendFile(connection: Client, session: Session, number: number): void {
    const fd = this.stage.openFile();
    if (fd < 0) {
      session.isCut = true;
      return;
    }
    session.files++;
    // On a connection that is ending nothing is sent.
    if (connection.state === "open") session.written += session.length;
    const done = (error?: Error): void => {
      session.files--;
      if (error !== undefined) session.isCut = true;
      this.stage.closeFile(fd);
    };
    connection.sendFile({ fd, offset: fileOffset(number), length: session.length, done });
  }

  #killLater(connection: Client, session: Session): void {
    if (session.isCut) return;
    session.isCut = true;
    this.stage.after(session.delayMs, () => connection.destroy());
  }

  #writeLater(connection: Client, session: Session, bytes: Uint8Array): void {
    session.pendingWrites++;
    const write = (): void => {
      session.pendingWrites--;
      this.#write(connection, session, bytes);
      const isLast = session.order.hasEnded && session.pendingWrites === 0;
      if (isLast && this.stage.scenario.options.handlesEnd) connection.end();
    };
    // From a timer of the runtime, which may set one of the reactor.
    if (session.delayMs === 1) this.stage.outside(1, write);
    else if (session.delayMs === 20) {
      this.stage.outside(10, () => this.stage.after(10, write));
    } else this.stage.after(session.delayMs, write);
  }

  #pump(connection: Client, session: Session): void {
    const { peer, length, piece } = session;
    if (peer === undefined) return;
    while (session.written < length && connection.state === "open") {
      const part = Math.min(piece, length - session.written);
      const content = contentOf(streamFrom(peer.number), session.written, part);
      if (!this.#write(connection, session, content)) return;
    }
    if (session.written === length) connection.end();
  }

  /** @returns Whether to continue. */
  #write(connection: Client, session: Session, bytes: Uint8Array): boolean {
    const { state } = connection;
    const goesOn = connection.write(bytes);
    if (state !== "open") return true;
    if (isClosed(connection)) {
      session.isCut = true;
      return true;
    }
    session.written += bytes.length;
    session.order.wrote(goesOn);
    return goesOn;
  }

  #drained(connection: Client): void {
    const session = connection.data;
    session.order.called("drain");
    this.stage.busy();
    if (session.mode === "pump") this.#pump(connection, session);
    else if (session.mode !== "pause") connection.resume();
  }

  #ended(connection: Client): void {
    const session = connection.data;
    session.order.called("end");
    this.stage.busy();
    this.checkEnd(session);
    // A pump ends it after its last byte, and a timer after its last write.
    if (session.mode === "pump" && session.written < session.length) return;
    if (session.pendingWrites === 0) connection.end();
  }

  /** The end of what the peer has sent has come. */
  protected checkEnd(session: Session): void {
    const { peer, isCut } = session;
    if (peer === undefined || isCut || session.received === peer.payloadSent) return;
    const text = `the end came after ${session.received} of ${peer.payloadSent} bytes`;
    this.#fail("truncated", session, text);
  }

  #idled(connection: Client): void {
    const session = connection.data;
    session.order.called("timeout");
    this.#checkIdle(connection, session);
    session.isCut = true;
    connection.destroy();
  }

  /** A timeout must not come early, nor before bytes that have arrived are reported. */
  #checkIdle(connection: Client, session: Session): void {
    const { scenario, world } = this.stage;
    const { idleTimeoutMs } = scenario.options;
    const now = world.now();
    const deadline = session.activeAt + idleTimeoutMs;
    if (now < deadline) this.#fail("idle", session, `idle ${deadline - now} ms too early`);
    const kinds = Object.keys(scenario.faults) as FaultKind[];
    if (connection.paused || !kinds.every((kind) => PROMPT.includes(kind))) return;
    if (connection.unreadBytes === 0) return;
    // Without its header it is known by its port.
    const port = session.peer === undefined ? connection.remoteAddress?.port : undefined;
    const peer = session.peer ?? this.peers.find((it) => port !== undefined && it.port === port);
    if (peer !== undefined && peer.sentAt < deadline) {
      this.#fail("idle", session, "idle although its bytes had arrived");
    }
  }

  /** A connection has failed. */
  protected failed({ data: session }: Client, error: Error): void {
    session.isCut = true;
    const { code } = error as { code?: string };
    const { scenario } = this.stage;
    const { peer } = session;
    if (peer === undefined || !isSafe(scenario)) return;
    const isOfPeer = code === "ECONNRESET" || code === "EPIPE";
    const isLeft = peer.outcome === "left" || peer.outcome === "reset" || peer.outcome === "end";
    if (isOfPeer && isLeft) return;
    // Without the handler `timeout`, an idle connection fails.
    if (code === "ETIMEDOUT") return;
    this.#fail("failed", session, `failed with ${code ?? error.message}`);
  }

  protected closed(connection: Client): void {
    const session = connection.data;
    // It never opened.
    if (session === undefined) return;
    session.order.called("close");
    this.#checkKept(session);
    if (this.isCuttingOff || this.stage.isShut) session.isCut = true;
  }

  /** Whether a peer must be served to its end, unless the server has cut it off for a reason. */
  protected mustServe(peer: EchoPeer): boolean {
    const { scenario, isShut } = this.stage;
    if (isShut) return false;
    if (PROBES.includes(peer.plan)) return scenario.options.maxPendingBytes === 0;
    return isSafe(scenario) && peer.isHonest;
  }

  /** Compares what a peer has received with what it has asked for. */
  #judge(peer: EchoPeer): void {
    const { scenario } = this.stage;
    const session = this.#sessions[peer.number];
    if (peer.wrongAt >= 0) this.#accuse("content", peer, `byte ${peer.wrongAt} is wrong`);
    const { outcome, received } = peer;
    const written = session?.written ?? 0;
    if (received > written)
      this.#accuse("content", peer, `${received} bytes of ${written} written`);
    // A unix socket has no reset.
    const mayBeShort =
      (scenario.isUnix || this.buffers) && (session === undefined || session.isCut);
    if (outcome === "end" && received < written && !mayBeShort) {
      this.#accuse("truncated", peer, `an orderly end came after ${received} of ${written} bytes`);
    }
    if (!this.mustServe(peer) || session?.isCut === true) return;
    // It was idle before its header arrived, or was not accepted before the listener was closed.
    if (session === undefined && (scenario.options.idleTimeoutMs > 0 || this.#hasRestarted)) return;
    const { mode } = peer.plan;
    // Without the handler `end`, the connection ends at once when the peer has.
    if ((mode === "late" || mode === "pump") && !scenario.options.handlesEnd) return;
    if (outcome !== "end") {
      // A peer that is still sending after the end of a lingering close is reset, but has received everything.
      if (LINGERS.includes(mode) && received === written) return;
      this.#accuse(
        "cut",
        peer,
        `it was cut off: ${outcome} ${peer.errno}, ${received} of ${written}`,
      );
      return;
    }
    const isWhole = received === peer.expected || mode === "close";
    if (!isWhole) {
      this.#accuse("short", peer, `${received} of ${peer.expected} bytes were received`);
    }
    if (session !== undefined && doesEcho(mode) && mode !== "close") {
      if (session.received !== peer.payloadSent) {
        this.#accuse("short", peer, `the server received ${session.received} bytes`);
      }
    }
  }

  #accuse(rule: string, peer: EchoPeer, text: string): void {
    this.stage.report.fail(rule, `${peer.describe()}, mode ${peer.plan.mode}: ${text}`);
  }

  #fail(rule: string, { peer }: Session, text: string): void {
    const who = peer === undefined ? "a peer without a header" : peer.describe();
    this.stage.report.fail(rule, `${who}: ${text}`);
  }
}

/** Whether a write has failed the connection, because too much was queued. */
function isClosed({ state }: Client): boolean {
  return state === "closed";
}

/** How often a connection is paused in the mode `pause`, and the longest time, in milliseconds. */
const MOST_PAUSES = 4;
const LATEST_MS = 20;
/** The time after which a listener that could not be restarted tries again. */
const RETRY_MS = 10;

/** Well-behaved peers. */
export const PROBES: readonly PeerPlan[] = [1, 3000].map((length) =>
  probeOf([{ do: "send", length, piece: 1000, gapMs: 0 }, { do: "await" }]),
);
