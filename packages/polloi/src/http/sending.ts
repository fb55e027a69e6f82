import type { Connection, OutgoingFile } from "../reactor/connection.ts";
import type { LoopTimer } from "../sys/kernel.ts";
import { Deadline, WAITS_FOR_REPLY } from "./deadline.ts";
import type { SessionHost } from "./session-host.ts";

/** Text is collected up to about this many characters. */
const MOST_GATHERED = 4096;
/** UTF-8 has at most this many bytes for one UTF-16 code unit. */
const MOST_PER_CHAR = 3;
/** The high-water mark of the connections of a server, in bytes. */
export const HIGH_WATER_BYTES: number = 64 * 1024;
/**
 * Acknowledgements are not checked while no more than this many bytes are unacknowledged: each check is a system call,
 * and every peer that is still there has room for them.
 */
const UNWATCHED_BYTES = 16 * 1024;
/** The most bytes that a handler may write beyond the high-water mark. */
const MOST_BEYOND = 16 * 1024 * 1024;

/**
 * The sending part of a session.
 *
 * @remarks
 * Text that is written while requests are parsed is collected and written in one piece: encoding sixteen replies at once
 * costs less than half of encoding each. A base class instead of an object of its own, because a server holds
 * thousands.
 */
export abstract class Sending extends Deadline {
  /** Whether the high-water mark is exceeded. */
  isFull = false;
  /** Whether requests are being parsed, after which collected text is written. */
  protected reading = false;
  protected readonly server: SessionHost;
  #text = "";
  /** The bytes written while it was full. */
  #beyond = 0;
  #waiting: (() => void)[] | null = null;
  /** The number of bytes written. */
  #written = 0;
  /** The number of bytes written when the peer had last acknowledged all. */
  #acknowledged = 0;
  /** The bytes that were acknowledged at the last check; -1 if all, or before the first check. */
  #taken = -1;

  constructor(server: SessionHost) {
    super();
    this.server = server;
  }

  abstract readonly connection: Pick<
    Connection,
    "write" | "sendFile" | "reset" | "state" | "pendingBytes" | "unacknowledgedBytes"
  >;

  /** Calls a callback of the program. */
  abstract call(callback: () => void): void;

  soon(callback: () => void): void {
    this.server.soon(() => this.call(callback));
  }

  after(delayMs: number, callback: () => void): LoopTimer {
    return this.server.kernel.after(delayMs, callback);
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

  /** Calls back when the queue has drained, or the connection is closed. */
  whenDrained(callback: () => void): void {
    if (!this.isFull || this.connection.state === "closed") this.soon(callback);
    else if (this.#waiting === null) this.#waiting = [callback];
    else this.#waiting.push(callback);
  }

  /** The queue has drained, or is dropped. */
  protected hasRoom(): void {
    const waiting = this.#waiting;
    this.isFull = false;
    this.#beyond = 0;
    this.#waiting = null;
    if (waiting !== null) for (const callback of waiting) this.call(callback);
  }

  /** Waits for the handler to write the reply, and for the peer to acknowledge it. */
  protected waitForReply(isLeft: boolean): void {
    // Data from the peer does not restart its timeout.
    if (this.waits === WAITS_FOR_REPLY) return;
    this.#taken = -1;
    this.waitFor(
      WAITS_FOR_REPLY,
      isLeft ? this.server.halfCloseTimeoutMs : Number.POSITIVE_INFINITY,
    );
  }

  /** Whether enough may be unacknowledged to be checked. */
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

  /** Writes the collected text. Must be called before anything else is done with the connection. */
  protected sendGathered(): boolean {
    const text = this.#text;
    if (text === "") return !this.isFull;
    this.#text = "";
    return this.#send(text);
  }

  /** Whether the collected text stays below the high-water mark. */
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
