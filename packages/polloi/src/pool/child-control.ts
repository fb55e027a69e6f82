/** The connection of a child to its supervisor: a thread's through shared memory, a process's through a socket. */
import { ERRNO } from "../base/errno.ts";
import { check, SysError } from "../base/sys-error.ts";
import {
  AF_UNIX,
  MSG_CMSG_CLOEXEC,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SOCK_CLOEXEC,
  SOCK_SEQPACKET,
} from "../socket/constants.ts";
import { controlOffset, prepareMessage, readMessage } from "../socket/message.ts";
import { connectRaw } from "../socket/raw.ts";
import { AT_BYTES, AT_MESSAGE } from "../socket/scratch.ts";
import type { Arena } from "../sys/arena.ts";
import type { Clock, Kernel } from "../sys/kernel.ts";
import type { ControlBlock } from "./control-block.ts";
import { type ChildInput, type ChildMessage, type Command, STARTING } from "./messages.ts";

/** How a child receives requests, and sends messages. */
export interface ChildControl {
  /** Readable when there is a request. */
  readonly fd: number;
  /** Reads the requests that have arrived, and answers pings. */
  receive(): void;
  /** Whether it was asked to accept waiting connections since this was last called. */
  takeAccept(): boolean;
  /** How much time is left to stop; null as long as it was not asked to. */
  remainingMs(): number | null;
  /** Reports what it does until it is ready: an index in `PHASES`. */
  setPhase(phase: number): void;
  send(message: ChildMessage): void;
}

/** Measures a grace period from when it is first seen. A shorter one may follow. */
class GracePeriod {
  readonly #clock: Clock;
  #graceMs: number | null = null;
  #deadline = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  remainingMs(graceMs: number | null): number | null {
    if (graceMs === null) return null;
    if (graceMs !== this.#graceMs) {
      this.#graceMs = graceMs;
      this.#deadline = this.#clock.now() + graceMs;
    }
    return Math.max(0, this.#deadline - this.#clock.now());
  }
}

/** How much is read from the doorbell at once; every byte means the same. */
const DOORBELL_BYTES = 256;

/** The control of a thread. */
export class ThreadControl implements ChildControl {
  readonly fd: number;
  readonly send: (message: ChildMessage) => void;
  readonly #kernel: Kernel;
  readonly #block: ControlBlock;
  readonly #grace: GracePeriod;

  constructor(
    kernel: Kernel,
    block: ControlBlock,
    doorbell: number,
    send: (message: ChildMessage) => void,
  ) {
    this.#kernel = kernel;
    this.#block = block;
    this.#grace = new GracePeriod(kernel);
    this.fd = doorbell;
    this.send = send;
  }

  receive(): void {
    const { libc, scratch } = this.#kernel;
    libc.read(this.fd, scratch.address, DOORBELL_BYTES);
    this.#block.pong();
  }

  takeAccept(): boolean {
    return this.#block.takeAccept();
  }

  remainingMs(): number | null {
    return this.#grace.remainingMs(this.#block.graceMs);
  }

  setPhase(phase: number): void {
    this.#block.phase = phase;
  }
}

/** Longer than any message, which the buffer of a socket limits. */
const MAX_MESSAGE = 256 * 1024;
/** With the first message comes one descriptor: a `cmsghdr`, and its number behind. cmsg(3) */
const CONTROL_AT: number = controlOffset(MAX_MESSAGE);
const CONTROL_HEADER = 16;
const CONTROL_LENGTH: number = CONTROL_HEADER + 4;

const NO_DESCRIPTOR =
  "this process has no descriptor left for what it is to serve; raise its limit (ulimit -n)";

const encoder = new TextEncoder();

const exitNow = (code: number): never => process.exit(code);

let isStarted = false;

/** Whether this process was started by a supervisor. Then it must not start processes in its turn. */
export function isChildProcess(): boolean {
  return isStarted;
}

/**
 * The control of a process.
 *
 * @remarks
 * System calls and no Socket: importing it would double what a process for one connection loads of this library.
 */
export class ProcessControl implements ChildControl {
  readonly fd: number;
  readonly #kernel: Kernel;
  readonly #area: Arena;
  readonly #grace: GracePeriod;
  /** Ends the process. */
  readonly #exit: (code: number) => never;
  #graceMs: number | null = null;
  #accept = false;

  /**
   * @param exit - A simulation passes another one.
   * @throws SysError `ECONNREFUSED` when the parent process has exited.
   */
  constructor(kernel: Kernel, path: string, exit: (code: number) => never = exitNow) {
    isStarted = true;
    this.#kernel = kernel;
    this.#exit = exit;
    this.#grace = new GracePeriod(kernel);
    this.#area = kernel.arenas.map(CONTROL_AT + CONTROL_LENGTH);
    this.fd = check(kernel.libc.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "socket");
    // While the parent starts many processes its backlog is full. Then this waits until there is room.
    check(connectRaw(kernel, this.fd, { path }), "connect");
  }

  /** Receives what to serve: the first message, and the descriptor that comes with it. */
  receiveInput(): { input: ChildInput; fd: number } {
    const { libc, scratch } = this.#kernel;
    const layout = {
      length: MAX_MESSAGE,
      nameLength: 0,
      controlAt: CONTROL_AT,
      controlLength: CONTROL_LENGTH,
    };
    let received: number;
    do {
      prepareMessage(this.#kernel, this.#area, layout);
      received = libc.recvmsg(this.fd, scratch.address + AT_MESSAGE, MSG_CMSG_CLOEXEC);
    } while (received === -ERRNO.EINTR);
    // The parent has exited before it sent anything.
    if (received <= 0) this.#exit(1);
    // The kernel drops a descriptor for which this process has no number. recvmsg(2), MSG_CTRUNC
    if (readMessage(this.#kernel).controlLength < CONTROL_LENGTH) {
      throw new SysError("recvmsg", -ERRNO.EMFILE, { fd: this.fd, hint: NO_DESCRIPTOR });
    }
    const fd = this.#area.view.getInt32(CONTROL_AT + CONTROL_HEADER, true);
    return { input: this.#parse(received) as ChildInput, fd };
  }

  receive(): void {
    const { libc } = this.#kernel;
    for (;;) {
      const received = libc.recv(this.fd, this.#area.address + AT_BYTES, MAX_MESSAGE, MSG_DONTWAIT);
      if (received === -ERRNO.EAGAIN) return;
      if (received === -ERRNO.EINTR) continue;
      // The parent has exited.
      if (received <= 0) this.#exit(1);
      const command = this.#parse(received) as Command;
      if (command.type === "stop") this.#graceMs = command.graceMs;
      else if (command.type === "accept") this.#accept = true;
      else this.send({ type: "pong" });
    }
  }

  takeAccept(): boolean {
    const accept = this.#accept;
    this.#accept = false;
    return accept;
  }

  remainingMs(): number | null {
    return this.#grace.remainingMs(this.#graceMs);
  }

  setPhase(phase: number): void {
    // The parent knows that the module is imported from when the process connects.
    if (phase === STARTING) this.send({ type: "starting" });
  }

  /** @throws SysError `EPIPE`, `ECONNRESET` when the parent has exited. */
  send(message: ChildMessage): void {
    const { libc } = this.#kernel;
    const { u8, address } = this.#area;
    const bytes = encoder.encode(JSON.stringify(message));
    // Only a large message to an observer does not fit, and a socket would not take it either.
    if (bytes.length > MAX_MESSAGE) throw new SysError("send", -ERRNO.EMSGSIZE, { fd: this.fd });
    u8.set(bytes, AT_BYTES);
    let sent: number;
    do sent = libc.send(this.fd, address + AT_BYTES, bytes.length, MSG_NOSIGNAL);
    while (sent === -ERRNO.EINTR);
    check(sent, "send", { fd: this.fd });
  }

  #parse(length: number): unknown {
    const text = Buffer.from(this.#area.u8.subarray(AT_BYTES, AT_BYTES + length)).toString();
    return JSON.parse(text);
  }
}
