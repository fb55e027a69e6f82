import { AF_INET, AF_UNIX, ERRNO, SOCK_DGRAM } from "polloi/internal/pure";
import type { World } from "../../base/world.ts";
import type { Machine } from "../../machine/machine.ts";
import { loopbackSockaddr, unixSockaddr } from "../../sockets/address.ts";
import type { SocketFile } from "../../sockets/socket-file.ts";
import { UdpSocket } from "../../sockets/udp-socket.ts";
import { UnixDatagramSocket } from "../../sockets/unix-datagram-socket.ts";
import { contentOf, differsAt } from "../content.ts";
import { PATH, PORT } from "../programs/program.ts";
import type { PeerPlan } from "../scenario.ts";
import { PEERS } from "./connect.ts";
import { incoming, Peer } from "./peer.ts";

/** The header of a datagram: the number of the peer and the number of the datagram, each in 16 bits. */
export const DATAGRAM_HEADER_BYTES = 4;
/** The most bytes behind it. */
const MOST_BYTES = 60_000;
/** The positions of two datagrams in the stream of their peer differ by this. */
const STRIDE = 61;
/** A peer whose answers are missing for so long leaves, because datagrams may be lost. */
const PATIENCE_MS = 2000;
/** A call that has failed for a moment is repeated after this time. */
const AGAIN_MS = 1;

/** A datagram that was sent. */
export interface SentDatagram {
  /** Its length in bytes. */
  readonly length: number;
}

/** Returns what is wrong with a datagram, or undefined. `sent` is what its peer has sent. */
export function faultOf(
  bytes: Uint8Array,
  peer: { readonly number: number; readonly sent: readonly SentDatagram[] },
): string | undefined {
  const { index, number } = headerOf(bytes);
  const sent = peer.sent[index];
  if (number !== peer.number || sent === undefined) return `datagram ${index} was never sent`;
  if (sent.length !== bytes.length) {
    return `datagram ${index} of ${sent.length} bytes arrived with ${bytes.length}`;
  }
  const at = differsAt(number, STRIDE * index, bytes.subarray(DATAGRAM_HEADER_BYTES));
  return at < 0 ? undefined : `datagram ${index} is wrong at byte ${at - STRIDE * index}`;
}

/** The numbers of the peer and of the datagram in its header. */
export function headerOf(bytes: Uint8Array): { readonly number: number; readonly index: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { number: view.getUint16(0, true), index: view.getUint16(2, true) };
}

/** A client that sends datagrams to a server, which sends them back. */
export class DatagramPeer extends Peer {
  readonly number: number;
  /** The datagrams that its socket has taken. */
  readonly sent: SentDatagram[] = [];
  /** The number of answers, and what was wrong with one of them. */
  answers = 0;
  fault: string | undefined;
  /** Whether it has left before all answers came. */
  hasLeft = false;
  readonly #onOver: () => void;
  /** The least number of the next datagram: none arrives twice, or behind a later one. */
  #next = 0;
  #step = 0;
  #isPausing = false;
  #activeAt = 0;

  constructor(world: World, number: number, plan: PeerPlan, onOver: () => void) {
    super(world, plan);
    this.number = number;
    this.readsLater = true;
    this.#onOver = onOver;
  }

  /** Begins. The sockets of peers of a server on a unix socket have names, to which it answers. */
  begin({ network }: Machine, isUnix: boolean): void {
    const socket = isUnix
      ? new UnixDatagramSocket(network, { family: AF_UNIX, type: SOCK_DGRAM, protocol: 0 }, PEERS)
      : new UdpSocket(network, { family: AF_INET, type: SOCK_DGRAM, protocol: 0 }, PEERS);
    if (isUnix) socket.bind(unixSockaddr(`\0peer-${this.number}`));
    if (socket.connect(isUnix ? unixSockaddr(PATH) : loopbackSockaddr(PORT)) < 0) {
      socket.close();
      this.#over(true);
      return;
    }
    this.attach(socket);
    this.#activeAt = this.world.now();
    this.readLater(this.plan.reading.startMs);
    this.#lookLater();
    this.wake();
  }

  describe(): string {
    const { steps } = this.plan;
    return `peer ${this.number} (step ${this.#step} of ${steps.length}, sent ${this.sent.length}, answers ${this.answers})`;
  }

  protected override act(socket: SocketFile): void {
    this.#receive(socket);
    this.#perform(socket);
  }

  #receive(socket: SocketFile): void {
    const { everyMs } = this.plan.reading;
    while (!this.readsLater) {
      const length = socket.receive(incoming);
      if (length < 0) return;
      this.answers++;
      this.#activeAt = this.world.now();
      const bytes = incoming.subarray(0, length);
      const { index } = headerOf(bytes);
      if (index < this.#next) this.fault ??= `the answer to datagram ${index} came out of order`;
      this.#next = index + 1;
      this.fault ??= faultOf(bytes, this);
      if (everyMs > 0) this.readLater(everyMs);
    }
  }

  #perform(socket: SocketFile): void {
    const { steps } = this.plan;
    while (!this.#isPausing && !this.isOver) {
      const step = steps[this.#step];
      if (step === undefined || step.do === "end" || step.do === "await") {
        if (this.answers < this.sent.length) return;
        this.#step++;
        if (this.#step > steps.length) this.#over(false);
      } else if (step.do === "send") {
        if (!this.#send(socket, step.length)) return;
        this.#step++;
        if (step.gapMs > 0) this.#pause(step.gapMs);
      } else if (step.do === "wait") {
        this.#step++;
        this.#pause(step.ms);
      } else {
        this.#over(true);
      }
    }
  }

  /** @returns Whether the socket has taken the datagram. */
  #send(socket: SocketFile, length: number): boolean {
    const index = this.sent.length;
    const bytes = new Uint8Array(DATAGRAM_HEADER_BYTES + Math.min(length, MOST_BYTES));
    const view = new DataView(bytes.buffer);
    view.setUint16(0, this.number, true);
    view.setUint16(2, index, true);
    const content = contentOf(this.number, STRIDE * index, bytes.length - DATAGRAM_HEADER_BYTES);
    bytes.set(content, DATAGRAM_HEADER_BYTES);
    // Before it is sent, because it may arrive within the call.
    this.sent.push({ length: bytes.length });
    const result = socket.send(bytes);
    if (result >= 0) return true;
    this.sent.pop();
    if (TEMPORARY.includes(result)) this.#pause(AGAIN_MS);
    else this.#over(true);
    return false;
  }

  #pause(ms: number): void {
    this.#isPausing = true;
    this.world.schedule(ms, () => {
      this.#isPausing = false;
      this.#activeAt = this.world.now();
      this.wake();
    });
  }

  #lookLater(): void {
    this.world.schedule(PATIENCE_MS, () => {
      if (this.isOver) return;
      if (this.world.now() - this.#activeAt < PATIENCE_MS) this.#lookLater();
      else this.#over(this.answers < this.sent.length);
    });
  }

  #over(hasLeft: boolean): void {
    this.hasLeft = hasLeft;
    this.leave("close");
    this.#onOver();
  }
}

/** Failures after which the same datagram is sent again. ECONNREFUSED is about an earlier one. */
const TEMPORARY: readonly number[] = [
  -ERRNO.EAGAIN,
  -ERRNO.ENOBUFS,
  -ERRNO.ENOMEM,
  -ERRNO.EPERM,
  -ERRNO.ECONNREFUSED,
];
