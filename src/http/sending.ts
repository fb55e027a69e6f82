import type { Connection, OutgoingFile } from "../reactor/connection.ts";
import { Deadline } from "./deadline.ts";
import type { SessionHost } from "./session-host.ts";

/** Text is gathered up to about so many characters. */
const MOST_GATHERED = 4096;

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

  constructor(server: SessionHost) {
    super(server);
    this.server = server;
  }

  abstract readonly connection: Pick<Connection, "write" | "sendFile">;

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

  /** To be called before the connection is told anything else. */
  protected sendGathered(): boolean {
    const text = this.#text;
    if (text === "") return !this.isFull;
    this.#text = "";
    return this.#send(text);
  }

  #send(bytes: string | Uint8Array): boolean {
    const goOn = this.connection.write(bytes);
    if (!goOn) this.isFull = true;
    return goOn;
  }
}
