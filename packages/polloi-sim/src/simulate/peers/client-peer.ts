import { AF_UNIX, ERRNO, POLLERR, POLLHUP, POLLIN, POLLOUT, SHUT_WR } from "polloi/internal/pure";
import type { World } from "../../base/world.ts";
import { portOf } from "../../sockets/address.ts";
import type { SocketFile } from "../../sockets/socket-file.ts";
import type { PeerPlan, Step } from "../scenario.ts";
import { incoming, Peer } from "./peer.ts";

/**
 * How a connection ended for the peer: in order, by a reset or another error, by its own decision, or before it was
 * established.
 */
export type Outcome = "end" | "reset" | "left" | "refused";

const NOTHING: Uint8Array = new Uint8Array(0);
const OPENED = POLLOUT | POLLERR | POLLHUP;
/** Bytes are sent in at most about as many pieces, so that a simulation is short. */
const MOST_PIECES = 64;
/** A call that would block although the socket is ready is repeated after this time. */
const AGAIN_MS = 1;

/** A client of the program. It performs the steps of its plan one after another, and reads meanwhile. */
export abstract class ClientPeer extends Peer {
  readonly number: number;
  /** The number of bytes that its socket has taken and brought. */
  sent = 0;
  received = 0;
  outcome: Outcome | undefined;
  /** The errno that ended it; 0 for none. */
  errno = 0;
  /** The times at which its socket has last taken bytes, and at which it ended its half; -1 before. */
  sentAt = -1;
  endedAt = -1;
  /** The number of actions of the world before it ended its half. */
  endedAfter = -1;
  readonly #onOver: (peer: ClientPeer) => void;
  #isConnecting = false;
  /** Whether a pause between two steps is going on. */
  #stepsLater = false;
  #step = 0;
  #outgoing: Uint8Array = NOTHING;
  #gapMs = 0;
  #piece = 0;

  constructor(world: World, number: number, plan: PeerPlan, onOver: (peer: ClientPeer) => void) {
    super(world, plan);
    this.number = number;
    this.readsLater = true;
    this.#onOver = onOver;
  }

  /** Whether it ends no connection by itself, and so must receive all that it asked for. */
  get isHonest(): boolean {
    return this.plan.steps.every((step) => step.do !== "reset" && step.do !== "close");
  }

  /** Its port; -1 for a unix socket, and when it is over. */
  get port(): number {
    const { socket } = this;
    return socket === undefined || socket.family === AF_UNIX ? -1 : portOf(socket.localName());
  }

  /** Begins with a socket that is connected, or connects; or with the `-errno` of its connect. */
  begin(socket: SocketFile | number): void {
    if (typeof socket === "number") {
      this.#refused(-socket);
      return;
    }
    this.attach(socket);
    this.#isConnecting = true;
    this.wake();
  }

  /** A description for a person. */
  describe(): string {
    const { steps } = this.plan;
    const at = this.#step < steps.length ? `step ${this.#step} of ${steps.length}` : "its end";
    return `peer ${this.number} (${this.outcome ?? `waits at ${at}`}, sent ${this.sent}, received ${this.received})`;
  }

  /** Bytes have arrived. They are lent. */
  protected abstract took(bytes: Uint8Array): void;
  /** The bytes that a step sends. */
  protected abstract bytesOf(step: Step): Uint8Array;
  /** Whether everything that it asked for has arrived. */
  protected abstract get isAnswered(): boolean;
  /** The bytes to send after the last step, before the half of the peer ends. */
  protected last(): Uint8Array {
    return NOTHING;
  }

  protected override act(socket: SocketFile): void {
    if (this.#isConnecting) {
      if ((socket.poll() & OPENED) === 0) return;
      const errno = -socket.takeError();
      if (errno !== 0) {
        this.#refused(errno);
        return;
      }
      this.#isConnecting = false;
      const { startMs } = this.plan.reading;
      if (startMs > 0) this.readLater(startMs);
      else this.readsLater = false;
    }
    if (!this.readsLater) this.#read(socket);
    if (!this.#stepsLater && !this.isOver) this.#perform(socket);
  }

  /** It could not even connect. */
  #refused(errno: number): void {
    this.errno = errno;
    this.#over("refused");
  }

  #stepLater(delayMs: number): void {
    this.#stepsLater = true;
    this.world.schedule(delayMs, () => {
      this.#stepsLater = false;
      this.wake();
    });
  }

  #read(socket: SocketFile): void {
    const { chunk, everyMs } = this.plan.reading;
    const room = chunk < incoming.length ? incoming.subarray(0, chunk) : incoming;
    while (!this.readsLater && !this.isOver) {
      const length = socket.read(room);
      if (length === -ERRNO.EAGAIN) {
        this.#retry(socket, POLLIN);
        return;
      }
      if (length > 0) {
        this.received += length;
        this.took(room.subarray(0, length));
        if (everyMs > 0) this.readLater(everyMs);
      } else if (length === 0) {
        this.#over("end");
      } else {
        this.#failed(-length);
      }
    }
  }

  #perform(socket: SocketFile): void {
    const { steps } = this.plan;
    while (!this.#stepsLater && !this.isOver) {
      if (this.#outgoing.length > 0) {
        if (!this.#send(socket)) return;
        continue;
      }
      const step = steps[this.#step];
      if (step === undefined) {
        if (!this.#finish(socket)) return;
        continue;
      }
      if (step.do === "await" && !this.isAnswered) return;
      this.#step++;
      this.#begin(socket, step);
    }
  }

  #begin(socket: SocketFile, step: Step): void {
    switch (step.do) {
      case "send":
      case "request":
      case "garbage":
        this.#outgoing = this.bytesOf(step);
        this.#piece = Math.max(step.piece, Math.ceil(this.#outgoing.length / MOST_PIECES));
        this.#gapMs = step.gapMs;
        return;
      case "wait":
        this.#stepLater(step.ms);
        return;
      case "end":
        this.#end(socket);
        return;
      case "reset":
        this.#over("left", "reset");
        return;
      case "close":
        this.#over("left");
        return;
      default: // Waiting for an answer is over.
    }
  }

  /** Sends the next piece. @returns Whether the socket has taken some of it. */
  #send(socket: SocketFile): boolean {
    const piece = this.#outgoing.subarray(0, this.#piece);
    const sent = socket.write(piece);
    if (sent === -ERRNO.EAGAIN) {
      this.#retry(socket, POLLOUT);
      return false;
    }
    if (sent < 0) {
      this.#failed(-sent);
      return false;
    }
    this.sent += sent;
    this.sentAt = this.world.now();
    this.#outgoing = this.#outgoing.subarray(sent);
    if (this.#gapMs > 0 && this.#outgoing.length > 0) this.#stepLater(this.#gapMs);
    return true;
  }

  /** A call has failed for a moment only: nothing wakes the peer then. */
  #retry(socket: SocketFile, events: number): void {
    if ((socket.poll() & events) === 0) return;
    this.world.schedule(AGAIN_MS, () => this.wake());
  }

  /** After the last step. @returns Whether there was something left to send. */
  #finish(socket: SocketFile): boolean {
    if (this.endedAt >= 0) return false;
    const last = this.last();
    if (last.length > 0) {
      this.#outgoing = last;
      this.#piece = last.length;
      this.#gapMs = 0;
      return true;
    }
    this.#end(socket);
    return false;
  }

  #end(socket: SocketFile): void {
    if (this.endedAt >= 0) return;
    this.endedAt = this.world.now();
    this.endedAfter = this.world.ran;
    socket.shutdown(SHUT_WR);
  }

  /** A call has failed. Bytes that have arrived before are read first, as every client does. */
  #failed(errno: number): void {
    const { socket } = this;
    this.errno = errno;
    if (errno === ERRNO.EPIPE && socket !== undefined) {
      for (;;) {
        const length = socket.read(incoming);
        if (length <= 0) break;
        this.received += length;
        this.took(incoming.subarray(0, length));
      }
    }
    this.#over("reset");
  }

  #over(outcome: Outcome, how: "close" | "reset" = "close"): void {
    this.outcome = outcome;
    this.leave(how);
    this.#onOver(this);
  }
}
