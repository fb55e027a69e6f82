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
import { controlOffset, prepareMessage } from "../socket/message.ts";
import { connectRaw } from "../socket/raw.ts";
import { AT_BYTES, AT_MESSAGE } from "../socket/scratch.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { ChildMessage, Order, ProcessInput } from "./messages.ts";
import { type Orders, StopTime } from "./orders.ts";

/** More than any message has: they are no longer than a socket's buffer. */
const MAX_MESSAGE = 256 * 1024;
/** Beside the first message there is one descriptor: a `cmsghdr`, and its number behind. cmsg(3) */
const CONTROL_AT: number = controlOffset(MAX_MESSAGE);
const CONTROL_HEADER = 16;
const CONTROL_LENGTH: number = CONTROL_HEADER + 4;

const encoder = new TextEncoder();

/**
 * The channel to the parent: orders come in, reports go out.
 *
 * @remarks
 * Bare calls and no Socket: what it is made of would be half of all that a process for one connection loads.
 */
export class Channel implements Orders {
  readonly fd: number;
  readonly #kernel: Kernel;
  readonly #area: Arena;
  readonly #time = new StopTime();
  #graceMs: number | null = null;
  /** What was asked since it was last looked at. */
  #asked = false;
  #accept = false;

  /** @throws SysError `ECONNREFUSED` when the parent has gone. */
  constructor(kernel: Kernel, path: string) {
    this.#kernel = kernel;
    this.#area = kernel.arenas.map(CONTROL_AT + CONTROL_LENGTH);
    this.fd = check(kernel.libc.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "socket");
    // While the parent has many to meet, its backlog is full: this waits until there is room.
    check(connectRaw(kernel, this.fd, { path }), "connect");
  }

  /** What to serve, and the descriptor. */
  begin(): { input: ProcessInput; fd: number } {
    const { libc, scratch } = this.#kernel;
    const layout = {
      length: MAX_MESSAGE,
      nameLength: 0,
      controlAt: CONTROL_AT,
      controlLength: CONTROL_LENGTH,
    };
    let got: number;
    do {
      prepareMessage(this.#kernel, this.#area, layout);
      got = libc.recvmsg(this.fd, scratch.address + AT_MESSAGE, MSG_CMSG_CLOEXEC);
    } while (got === -ERRNO.EINTR);
    // The parent has gone before it said anything.
    if (got <= 0) process.exit(1);
    const fd = this.#area.view.getInt32(CONTROL_AT + CONTROL_HEADER, true);
    return { input: this.#read(got) as ProcessInput, fd };
  }

  hear(): void {
    const { libc } = this.#kernel;
    for (;;) {
      const got = libc.recv(this.fd, this.#area.address + AT_BYTES, MAX_MESSAGE, MSG_DONTWAIT);
      if (got === -ERRNO.EAGAIN) return;
      if (got === -ERRNO.EINTR) continue;
      // Nobody is left to serve for.
      if (got <= 0) process.exit(1);
      const order = this.#read(got) as Order;
      if ("stopWithinMs" in order) this.#graceMs = order.stopWithinMs;
      else if ("ask" in order) this.#asked = true;
      else this.#accept = true;
    }
  }

  /** Whether a sign of life was asked for, since this was last called. */
  takeAsk(): boolean {
    const asked = this.#asked;
    this.#asked = false;
    return asked;
  }

  /** Whether it was asked to accept what waits, since this was last called. */
  takeAccept(): boolean {
    const accept = this.#accept;
    this.#accept = false;
    return accept;
  }

  waiting(): void {
    // Only a process that accepts is asked for signs of life, by a message.
  }

  leftMs(): number | null {
    return this.#time.leftMs(this.#graceMs);
  }

  /** @throws SysError `EPIPE`, `ECONNRESET` when the parent has gone. */
  tell(message: ChildMessage): void {
    const { libc } = this.#kernel;
    const { u8, address } = this.#area;
    const bytes = encoder.encode(JSON.stringify(message));
    // What does not fit is nothing but an observer's large message: a socket would not take it either.
    if (bytes.length > MAX_MESSAGE) throw new SysError("send", -ERRNO.EMSGSIZE, { fd: this.fd });
    u8.set(bytes, AT_BYTES);
    let sent: number;
    do sent = libc.send(this.fd, address + AT_BYTES, bytes.length, MSG_NOSIGNAL);
    while (sent === -ERRNO.EINTR);
    check(sent, "send", { fd: this.fd });
  }

  #read(length: number): unknown {
    const text = Buffer.from(this.#area.u8.subarray(AT_BYTES, AT_BYTES + length)).toString();
    return JSON.parse(text);
  }
}
