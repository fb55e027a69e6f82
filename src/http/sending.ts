import type { Connection, OutgoingFile } from "../reactor/connection.ts";
import { Deadline, WAITS_FOR_REPLY } from "./deadline.ts";
import type { SessionHost } from "./session-host.ts";

/** Text is gathered up to about so many characters. */
const MOST_GATHERED = 4096;
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
  /** What waited when that was last looked at; -1 when more of it has gone since. */
  #waited = -1;

  constructor(server: SessionHost) {
    super(server);
    this.server = server;
  }

  abstract readonly connection: Pick<
    Connection,
    "write" | "sendFile" | "reset" | "state" | "pendingBytes"
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
      return this.#text.length < MOST_GATHERED || this.sendGathered();
    }
    if (this.#text !== "") this.sendGathered();
    return this.#send(bytes);
  }

  sendFile(file: OutgoingFile): boolean {
    this.sendGathered();
    this.isFull = true;
    return this.connection.sendFile(file);
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
    this.#waited = -1;
    this.#waiting = null;
    if (waiting !== null) for (const callback of waiting) this.call(callback);
  }

  /** The time for a reply is up, and begins anew if something of it has gone since the last time. */
  protected sendTimedOut(): void {
    const { pendingBytes } = this.connection;
    const isStuck = pendingBytes > 0 && pendingBytes === this.#waited;
    this.#waited = pendingBytes;
    this.waitFor(WAITS_FOR_REPLY, this.server.settings.sendTimeoutMs);
    if (!isStuck) return;
    this.server.refused("SEND_TIMEOUT");
    this.cutOff();
  }

  /** To be called before the connection is told anything else. */
  protected sendGathered(): boolean {
    const text = this.#text;
    if (text === "") return !this.isFull;
    this.#text = "";
    return this.#send(text);
  }

  #send(bytes: string | Uint8Array): boolean {
    if (this.isFull) {
      this.#beyond += bytes.length;
      if (this.#beyond > MOST_BEYOND) this.cutOff();
    }
    const goOn = this.connection.write(bytes);
    if (!goOn) this.isFull = true;
    // What has gone, and what came to it since, may be as much.
    else this.#waited = -1;
    return goOn;
  }
}
