import assert from "node:assert/strict";
import { Opened } from "../../../../../test/support/descriptors.ts";
import type { Completions } from "../../../src/engine/engine.ts";
import { UringEngine, type UringEngineOptions } from "../../../src/engine/uring-engine.ts";
import { AF_INET, SOCK_STREAM } from "../../../src/socket/constants.ts";
import { createServer } from "../../../src/socket/create.ts";
import { Socket } from "../../../src/socket/socket.ts";
import type { Arena } from "../../../src/sys/arena.ts";
import type { Kernel } from "../../../src/sys/kernel.ts";
import { kernel } from "../../../src/sys/open.ts";

const { libc, arenas } = kernel;

/** Received bytes are stored up to here, and only counted beyond. */
const KEPT_BYTES = 4_000_000;

/** The reports of an engine for one slot. */
export class SlotRecord {
  received = 0;
  readonly #parts: Buffer[] = [];
  ended = 0;
  sent = 0;
  returned = 0;
  failed: string | undefined;

  put(bytes: Uint8Array): void {
    this.received += bytes.length;
    if (this.received <= KEPT_BYTES) this.#parts.push(Buffer.from(bytes));
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

/** All reports of an engine, by slot. */
export class Reports implements Completions {
  readonly #slots: Map<number, SlotRecord> = new Map();
  readonly fds: number[] = [];
  onReceived: (slot: number, arena: Arena, offset: number, length: number) => void = () => {};
  onAccepted: (slot: number) => void = () => {};
  onAcceptFailed: (slot: number, errno: number) => void = () => {};
  onFailed: (slot: number) => void = () => {};

  of(slot: number): SlotRecord {
    let record = this.#slots.get(slot);
    if (record === undefined) {
      record = new SlotRecord();
      this.#slots.set(slot, record);
    }
    return record;
  }

  /** The slot is reused from now on. */
  forget(slot: number): void {
    this.#slots.delete(slot);
  }

  accepted(slot: number, fd: number): void {
    this.fds.push(fd);
    this.onAccepted(slot);
  }
  acceptFailed(slot: number, errno: number): void {
    this.onAcceptFailed(slot, errno);
  }
  connected(): void {}
  received(slot: number, arena: Arena, offset: number, length: number): void {
    const record = this.of(slot);
    assert.equal(record.ended, 0, "something came after the end");
    if (length === 0) record.ended++;
    else record.put(arena.u8.subarray(offset, offset + length));
    this.onReceived(slot, arena, offset, length);
  }
  sent(slot: number, length: number): void {
    this.of(slot).sent += length;
  }
  returned(slot: number): void {
    this.of(slot).returned++;
  }
  failed(slot: number, errno: number, syscall: string): void {
    this.of(slot).failed = `${errno} ${syscall}`;
    this.onFailed(slot);
  }
  ready(): void {}
  settle(): void {}
  released(): void {}
  woken(): void {}
  pending(): void {}
}

/** An io_uring engine, its reports, and everything to be closed in the end. */
export class UringRig implements Disposable {
  readonly kernel: Kernel;
  readonly engine: UringEngine;
  readonly reports: Reports = new Reports();
  readonly opened: Opened = new Opened();
  readonly #arenas: Arena[] = [];
  #disposed = false;

  constructor(from: Kernel, options: UringEngineOptions = {}) {
    this.kernel = from;
    this.engine = new UringEngine(from, this.reports, options);
  }

  /** Mapped memory to send from. */
  memory(byteLength: number): Arena {
    const arena = arenas.map(byteLength);
    this.#arenas.push(arena);
    return arena;
  }

  /** A listening socket in `slot` of the engine, which closes it. */
  listen(slot: number, port = 0): Socket {
    const server = createServer({ host: "127.0.0.1", port, nonBlocking: true, backlog: 1024 });
    assert.ok(this.engine.listen(slot, server.fileno()) >= 0);
    return server;
  }

  /** A peer that is connected to `server`. */
  connect(server: Socket): Socket {
    const peer = this.opened.own(new Socket(AF_INET, SOCK_STREAM));
    peer.connect(server.localAddress());
    return peer;
  }

  /** A TCP connection with non-blocking ends, neither of which the engine has yet. */
  tcp(): [mine: Socket, theirs: Socket] {
    using server = createServer({ host: "127.0.0.1", port: 0 });
    const theirs = this.connect(server);
    const mine = server.accept()?.socket;
    assert.ok(mine !== undefined);
    mine.setBlocking(false);
    theirs.setBlocking(false);
    return [this.opened.own(mine), theirs];
  }

  /** Turns until `condition` holds. */
  until(what: string, condition: () => boolean, turns = 20_000): void {
    for (let turn = 0; !condition(); turn++) {
      assert.ok(turn < turns, `never ${what}`);
      this.engine.turn(turn % 16 === 15 ? 1 : 0);
    }
  }

  turns(count: number): void {
    for (let i = 0; i < count; i++) this.engine.turn(0);
  }

  dispose(): void {
    if (!this.#disposed) this.engine.dispose();
    this.#disposed = true;
  }

  [Symbol.dispose](): void {
    this.dispose();
    this.opened[Symbol.dispose]();
    for (const fd of this.reports.fds) libc.close(fd);
    this.reports.fds.length = 0;
    for (const arena of this.#arenas) arenas.release(arena);
    this.#arenas.length = 0;
  }
}

/** Reads all bytes that have arrived. */
export function readAll(peer: Socket, into: Buffer[]): number {
  const room = new Uint8Array(1 << 18);
  let total = 0;
  for (;;) {
    const length = peer.recvInto(room);
    if (length === null || length === 0) return total;
    into.push(Buffer.from(room.subarray(0, length)));
    total += length;
  }
}
