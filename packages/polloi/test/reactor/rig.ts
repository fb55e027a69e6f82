import assert from "node:assert/strict";
import { setImmediate as nextImmediate, setTimeout as sleep } from "node:timers/promises";
import { assertFreeDescriptors } from "../../../../test/support/descriptors.ts";
import type { Case } from "../../../../test/support/suite.ts";
import type { EngineName, Trigger } from "../../src/engine/engine.ts";
import { type Listener, type ListenOptions, Reactor } from "../../src/index.ts";
import { SO_LINGER, SOL_SOCKET } from "../../src/socket/constants.ts";
import { Socket } from "../../src/socket/socket.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK, FD_SETSIZE } from "../../src/sys/abi.ts";
import type { Kernel } from "../../src/sys/kernel.ts";
import { proxyKernel } from "../../src/sys/kernel-proxy.ts";
import type { Libc } from "../../src/sys/libc.ts";
import { kernel } from "../../src/sys/open.ts";
import { TlsSession } from "../../src/tls/session.ts";
import { assertReactorBalance } from "../support/balance.ts";
import { End, testCertificate, testClientContext } from "../tls/pair.ts";

/** A variant of a reactor. */
export interface Variant {
  readonly engine: EngineName;
  /** For engines of readiness. */
  readonly trigger?: Trigger;
  readonly mode: "hosted" | "blocking";
  /** Whether connections of a rig use TLS. */
  readonly tls?: boolean;
}

/** Why this variant skips a case that counts or replaces calls of libc. */
export function withoutCalls({ engine }: Variant): string | undefined {
  return engine === "io_uring" ? "io_uring makes no calls that could be counted" : undefined;
}

/** A case that waits for longer than this hangs. */
const UNTIL_MS = 8_000;

/** The calls that every rig counts. */
const COUNTED = ["send", "recv", "accept4", "epoll_wait", "syscall", "ppoll", "pselect"] as const;

const { libc } = kernel;

/** A reactor under test, its peers, and what drives both. */
export class Rig {
  readonly variant: Variant;
  readonly reactor: Reactor;
  readonly counts: Record<(typeof COUNTED)[number], number>;
  readonly #peers: Peer[] = [];
  readonly #fds: number[] = [];

  /** @param calls - The calls to replace in the kernel `from`. */
  constructor(variant: Variant, calls: Partial<Libc> = {}, from: Kernel = kernel) {
    const { engine, trigger } = variant;
    this.variant = variant;
    const counts = Object.fromEntries(COUNTED.map((name) => [name, 0])) as typeof this.counts;
    this.counts = counts;
    const counting = Object.fromEntries(
      COUNTED.map((name) => {
        const call = (calls[name] ?? from.libc[name]) as (...args: number[]) => number;
        return [
          name,
          (...args: number[]) => {
            counts[name]++;
            return call(...args);
          },
        ];
      }),
    );
    const faulty = proxyKernel(from, { calls: () => ({ ...calls, ...counting }) });
    this.reactor = new Reactor({ engine, trigger, kernel: faulty });
    // Nothing is open yet, so this returns at once. From then on only `turn` drives the reactor.
    if (variant.mode === "blocking") this.reactor.run();
  }

  /** How often the engine has waited: once a turn. */
  get turns(): number {
    const { epoll_wait, syscall, ppoll, pselect } = this.counts;
    return epoll_wait + syscall + ppoll + pselect;
  }

  listen<Data = unknown>(options: Partial<ListenOptions<Data>>): Listener {
    const address = options.path === undefined ? { host: "127.0.0.1", port: 0 } : {};
    const { cert, key } = this.variant.tls ? testCertificate() : {};
    const secured = cert === undefined ? {} : { tls: { cert, key } };
    return this.reactor.listen<Data>({ ...address, ...secured, ...options });
  }

  /** A peer that is connected to `listener`, which may not have accepted it yet. */
  peer(listener: Listener): Peer {
    const { address } = listener;
    assert.ok(address !== null);
    const socket = new Socket(address.path === undefined ? (address.family ?? 2) : 1, 1);
    socket.connect(address);
    return this.pump(this.variant.tls ? new TlsPeer(socket) : new Peer(socket));
  }

  /** Makes `peer` send and receive during waits. */
  pump(peer: Peer): Peer {
    this.#peers.push(peer);
    return peer;
  }

  /** Fails with a reason if select cannot hold `count` more descriptors. */
  assertFreeDescriptors(count: number): void {
    if (this.variant.engine === "select") assertFreeDescriptors(count, FD_SETSIZE - 1);
  }

  /** Closes `fd` at the end. */
  own(fd: number): number {
    this.#fds.push(fd);
    return fd;
  }

  /** An eventfd, readable when its count is not 0. */
  eventfd(value: number): number {
    return this.own(libc.eventfd(value, EFD_CLOEXEC | EFD_NONBLOCK));
  }

  /** Runs reactor and peers until `condition` holds. */
  async until(what: string, condition: () => boolean, ms: number = UNTIL_MS): Promise<void> {
    const deadline = performance.now() + ms;
    while (!condition()) {
      if (performance.now() > deadline) {
        const { engine, trigger, mode } = this.variant;
        assert.fail(`${engine} ${trigger ?? ""} ${mode} on ${kernel.runtime}: never ${what}`);
      }
      await this.step();
    }
  }

  /** Runs reactor and peers for a time in which something must not happen. */
  async during(ms: number): Promise<void> {
    const end = performance.now() + ms;
    while (performance.now() < end) await this.step();
  }

  async step(): Promise<void> {
    let moved = false;
    for (const peer of this.#peers) moved = peer.pump() || moved;
    if (this.variant.mode === "blocking") this.reactor.turn(moved ? 0 : 1);
    else await (moved ? nextImmediate() : sleep(1));
  }

  /** @param check - Whether a reactor that has not released its resources is a failure. */
  close(check: boolean): void {
    try {
      if (check) assertReactorBalance(this.reactor);
    } finally {
      this.#close();
    }
  }

  [Symbol.dispose](): void {
    this.close(true);
  }

  #close(): void {
    this.reactor.close();
    for (const peer of this.#peers) peer.close();
    for (const fd of this.#fds) libc.close(fd);
  }
}

const incoming = new Uint8Array(65_536);

/** The other end of a connection: a plain socket that does nothing until it is pumped. */
export class Peer {
  readonly socket: Socket;
  reading = true;
  /** The maximum number of bytes that one pump receives. */
  readBytes: number = 1 << 20;
  /** Whether the end of the stream was received. */
  ended = false;
  /** The code of the error that ended the stream instead. */
  error: string | undefined;
  length = 0;
  readonly #chunks: Uint8Array[] = [];
  #queue: Uint8Array[] = [];
  #shutdown = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setBlocking(false);
  }

  /** All received bytes. */
  get bytes(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }

  get text(): string {
    return Buffer.from(this.bytes).toString();
  }

  get sending(): boolean {
    return this.#queue.length > 0;
  }

  send(bytes: Uint8Array | string): this {
    const all = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
    if (all.length > 0) this.transmit(all);
    this.pump();
    return this;
  }

  /** Sends the end of the stream after the queued bytes. */
  shutdown(): this {
    this.transmitEnd();
    this.pump();
    return this;
  }

  // What a protocol below that of the test changes.

  protected transmit(bytes: Uint8Array): void {
    this.#queue.push(bytes);
  }

  protected transmitEnd(): void {
    this.#shutdown = true;
  }

  /** Bytes of the socket were received; none at its end. */
  protected arrived(bytes: Uint8Array): void {
    if (bytes.length === 0) {
      this.ended = true;
      return;
    }
    this.#chunks.push(bytes.slice());
    this.length += bytes.length;
  }

  protected get isReading(): boolean {
    return this.reading;
  }

  /** Closes with a reset. */
  reset(): void {
    this.socket.setsockopt(SOL_SOCKET, SO_LINGER, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]));
    this.close();
  }

  close(): void {
    this.socket.close();
  }

  /** @returns Whether a byte moved. */
  pump(): boolean {
    if (this.socket.closed) return false;
    try {
      const sent = this.#send();
      return this.#receive() || sent;
    } catch (error) {
      this.error = (error as { code?: string }).code;
      this.#queue = [];
      return false;
    }
  }

  #send(): boolean {
    let moved = false;
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      const sent = this.socket.send(first.subarray(0, 65_536));
      if (sent === null) return moved;
      moved = true;
      if (sent === first.length) this.#queue.shift();
      else this.#queue[0] = first.subarray(sent);
    }
    if (this.#shutdown) this.socket.shutdown(1);
    this.#shutdown = false;
    return moved;
  }

  #receive(): boolean {
    if (!this.isReading || this.ended || this.error !== undefined) return false;
    let moved = false;
    for (let left = this.readBytes; left > 0; ) {
      const room = left < incoming.length ? incoming.subarray(0, left) : incoming;
      const length = this.socket.recvInto(room);
      if (length === null) return moved;
      moved = true;
      this.arrived(incoming.subarray(0, length));
      if (length === 0) return true;
      left -= length;
    }
    return moved;
  }
}

/** The other end of a connection with TLS. */
class TlsPeer extends Peer {
  readonly #end: End;
  /** Bytes and the end that wait for the handshake. */
  readonly #waiting: Uint8Array[] = [];
  #endWaits = false;

  constructor(socket: Socket) {
    super(socket);
    this.#end = new End(new TlsSession(testClientContext(), { servername: "localhost" }));
    this.#end.step();
    this.#pass();
  }

  protected override get isReading(): boolean {
    return this.reading || !this.#end.session.isOpen;
  }

  protected override transmit(bytes: Uint8Array): void {
    if (!this.#end.session.isOpen) this.#waiting.push(bytes.slice());
    else this.#end.write(bytes);
    this.#pass();
  }

  protected override transmitEnd(): void {
    if (!this.#end.session.isOpen) {
      this.#endWaits = true;
      return;
    }
    this.#end.end();
    this.#pass();
    super.transmitEnd();
  }

  protected override arrived(bytes: Uint8Array): void {
    const { session } = this.#end;
    if (bytes.length === 0) {
      this.ended = true;
      if (!session.hasEnded) this.error = "ERR_TLS_TRUNCATED";
      return;
    }
    this.#end.receive(bytes);
    this.error ??= session.error?.code;
    const received = this.#end.take();
    if (received.length > 0) super.arrived(received);
    if (session.isOpen) {
      for (const each of this.#waiting.splice(0)) this.#end.write(each);
      this.#pass();
      if (this.#endWaits) this.transmitEnd();
      this.#endWaits = false;
    }
    this.#pass();
    if (session.hasEnded) this.ended = true;
  }

  override close(): void {
    super.close();
    this.#end.session.dispose();
  }

  #pass(): void {
    const { outgoing } = this.#end;
    this.#end.outgoing = new Uint8Array(0);
    if (outgoing.length > 0) super.transmit(outgoing);
  }
}

/** Bytes without repetition, so that a lost or reordered range is detected. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(length / 4) * 4);
  const words = new Uint32Array(bytes.buffer);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[i] = state ^ (state >>> 15);
  }
  return bytes.subarray(0, length);
}

/** Requires equal bytes, without printing a megabyte of them. */
export function assertSame(found: Uint8Array, wanted: Uint8Array): void {
  assert.equal(found.length, wanted.length, "the number of bytes differs");
  if (Buffer.compare(found, wanted) === 0) return;
  const at = found.findIndex((byte, i) => byte !== wanted[i]);
  assert.fail(`byte ${at} of ${wanted.length} is ${found[at]}, not ${wanted[at]}`);
}

/** Makes cases from bodies that get a rig, which is closed when they end. */
export function casesOf(
  variant: Variant,
): (name: string, body: (rig: Rig) => void | Promise<void>, skip?: string) => Case {
  return (name, body, skip) => ({
    name,
    skip,
    run: async () => {
      const rig = new Rig(variant);
      let passed = false;
      try {
        await body(rig);
        passed = true;
      } finally {
        // After a failure, resources that are left open mean nothing.
        rig.close(passed);
      }
    },
  });
}

/** Expects the process to fail with the error that `body` causes. */
export async function failing(rig: Rig, body: () => Promise<void>): Promise<unknown> {
  if (rig.variant.mode === "blocking") {
    try {
      await body();
    } catch (error) {
      return error;
    }
    return undefined;
  }
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  let caught: unknown;
  process.on("uncaughtException", (error) => {
    caught = error;
  });
  try {
    await body();
    await rig.until("failed", () => caught !== undefined);
  } finally {
    process.removeAllListeners("uncaughtException");
    for (const listener of listeners) process.on("uncaughtException", listener);
  }
  return caught;
}
