import { type Connection, connect } from "../../src/index.ts";
import { until } from "./waiting.ts";

/** A connection to a server. */
export class Client {
  closed = false;
  error: Error | undefined;
  length = 0;
  readonly #connection: Connection;
  #chunks: Uint8Array[] = [];

  constructor(where: { host: string; port: number } | { path: string }) {
    this.#connection = connect({
      ...where,
      maxPendingBytes: Number.MAX_SAFE_INTEGER,
      data: (_, bytes) => {
        this.#chunks.push(bytes);
        this.length += bytes.length;
      },
      close: (_, error) => {
        this.closed = true;
        this.error = error;
      },
    });
  }

  get text(): string {
    return this.bytes.toString("latin1");
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  send(what: string | Uint8Array): this {
    this.#connection.write(what);
    return this;
  }

  /** Ends the sending half. */
  end(): this {
    this.#connection.end();
    return this;
  }

  /** Sends, and returns the answer; an empty one if the connection is closed instead. */
  async ask(what: string): Promise<string> {
    this.#chunks = [];
    this.length = 0;
    this.send(what);
    await until(`answered to ${what}`, () => this.length > 0 || this.closed);
    return this.text;
  }

  async over(): Promise<void> {
    await until("closed", () => this.closed);
  }

  pause(): void {
    this.#connection.pause();
  }

  resume(): void {
    this.#connection.resume();
  }

  destroy(): void {
    this.#connection.destroy();
  }

  reset(): void {
    this.#connection.reset();
  }
}
