import type { Connection, OutgoingFile } from "../reactor/connection.ts";
import { Deadline, WAITS_FOR_REPLY } from "./deadline.ts";
import type { SessionHost } from "./session-host.ts";

/** Text is gathered up to about this many characters. */
const MOST_GATHERED = 4096;
/** UTF-8 has at most this many bytes for one UTF-16 code unit. */
const MOST_PER_CHAR = 3;
/** The high-water mark of the connections of a server, in bytes. */
export const HIGH_WATER_BYTES: number = 64 * 1024;
/**
 * A peer whose kernel has not acknowledged this much is not looked for: each look is a system call, and any peer but
 * one that is gone has room for it. In bytes.
 */
const UNWATCHED_BYTES = 16 * 1024;
/** Who writes more than this to a client that has enough has lost count: bytes. */
const MOST_BEYOND = 16 * 1024 * 1024;

/**
 * The half of a session that sends.
 *
 * @remarks
 * Text that is written while requests are read is gathered, and written in one piece: encoding sixteen answers at
 * once costs less than half of encoding each. A base class, as its own base is, since there are thousands of these.
 */
export abstract class Sending extends Deadline {
  /** More than enough waits to be sent. */
  isFull = false;
  /** Requests are being read, and what is written can wait for the end of that. */
  protected reading = false;
  protected readonly server: SessionHost;
  #text = "";
  /** What was written while it was full. */
  #beyond = 0;
  #waiting: (() => void)[] | null = null;
  /** How many bytes have been written in all. */
  #written = 0;
  /** How many had been written when the peer had last acknowledged all of them. */
  #acknowledged = 0;
  /** How many of them the peer had acknowledged at the last look; -1 when all of them, or before the first look. */
  #taken = -1;

  constructor(server: SessionHost) {
    super();
    this.server = server;
  }

  abstract readonly connection: Pick<
    Connection,
    "write" | "sendFile" | "reset" | "state" | "pendingBytes" | "unacknowledgedBytes"
  >;

  /** Calls a function of the program's. */
  abstract call(callback: () => void): void;

  soon(callback: () => void): void {
    this.server.soon(() => this.call(callback));
  }

  cutOff(): void {
    this.connection.reset();
  }

  get date(): string {
    return this.server.date;
  }

  write(bytes: string | Uint8Array): boolean {
    if (this.reading && typeof bytes === "string") {
      this.#text += bytes;
      return this.#canGather() || this.sendGathered();
    }
    if (this.#text !== "") this.sendGathered();
    return this.#send(bytes);
  }

  sendFile(file: OutgoingFile): boolean {
    this.sendGathered();
    this.isFull = true;
    const before = this.connection.pendingBytes;
    const goOn = this.connection.sendFile(file);
    this.#written += this.connection.pendingBytes - before;
    return goOn;
  }

  /** Calls back when there is room again, or nobody to write to. */
  whenDrained(callback: () => void): void {
    if (!this.isFull || this.connection.state === "closed") this.soon(callback);
    else if (this.#waiting === null) this.#waiting = [callback];
    else this.#waiting.push(callback);
  }

  /** What waited has gone, or never will. */
  protected hasRoom(): void {
    const waiting = this.#waiting;
    this.isFull = false;
    this.#beyond = 0;
    this.#waiting = null;
    if (waiting !== null) for (const callback of waiting) this.call(callback);
  }

  /** Waits for the reply: for the handler to write it, and for the peer to take it. */
  protected waitForReply(isLeft: boolean): void {
    // The time that a peer has does not start again because it sends something.
    if (this.waits === WAITS_FOR_REPLY) return;
    this.#taken = -1;
    this.waitFor(
      WAITS_FOR_REPLY,
      isLeft ? this.server.halfCloseTimeoutMs : Number.POSITIVE_INFINITY,
    );
  }

  /** Whether much was written that the peer may not have acknowledged. */
  protected get isUnacknowledged(): boolean {
    return this.#written - this.#acknowledged > UNWATCHED_BYTES;
  }

  /**
   * Looks at how much of the reply the peer has acknowledged since the last look, and cuts it off when that is
   * nothing for too long.
   *
   * @param isLeft - Whether the peer has ended its half: then it does not wait for the handler for ever.
   * @returns Whether the peer has everything that was written.
   */
  protected watchReply(isLeft: boolean): boolean {
    const { connection, server } = this;
    const { pendingBytes } = connection;
    // Nothing waits here, and so far nothing was seen to wait in the kernel: no call for these.
    if (pendingBytes === 0 && this.#taken < 0 && !isLeft && !this.isUnacknowledged) return true;
    const waiting = connection.unacknowledgedBytes;
    if (waiting === 0) this.#acknowledged = this.#written;
    const taken = this.#written - waiting;
    if (taken !== this.#taken) {
      const isWaiting = waiting > 0 || isLeft;
      this.#taken = isWaiting ? taken : -1;
      const timeoutMs = waiting > 0 ? server.settings.sendTimeoutMs : server.halfCloseTimeoutMs;
      this.deadline = isWaiting ? server.now + timeoutMs : Number.POSITIVE_INFINITY;
      return waiting === 0;
    }
    // The handler, for which a client that has left still waits, could not run during a stall.
    if (waiting === 0) this.deadline += server.lateMs;
    if (this.deadline <= server.now) {
      server.refused(waiting > 0 ? "SEND_TIMEOUT" : "HALF_CLOSE_TIMEOUT");
      this.cutOff();
    }
    return waiting === 0;
  }

  /** To be called before the connection is told anything else. */
  protected sendGathered(): boolean {
    const text = this.#text;
    if (text === "") return !this.isFull;
    this.#text = "";
    return this.#send(text);
  }

  /** Whether the connection would ask for more after the text that is gathered. */
  #canGather(): boolean {
    const { length } = this.#text;
    if (this.isFull || length >= MOST_GATHERED) return false;
    return this.connection.pendingBytes + length * MOST_PER_CHAR <= HIGH_WATER_BYTES;
  }

  #send(bytes: string | Uint8Array): boolean {
    const { connection } = this;
    if (this.isFull) {
      this.#beyond += bytes.length;
      if (this.#beyond > MOST_BEYOND) this.cutOff();
    }
    const before = connection.pendingBytes;
    const goOn = connection.write(bytes);
    this.#written += connection.pendingBytes - before;
    if (!goOn) this.isFull = true;
    return goOn;
  }
}
