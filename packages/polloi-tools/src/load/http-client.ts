import type { Connection } from "polloi";
import { BAD } from "polloi/internal";
import { Client } from "./client.ts";
import { HttpResponseReader } from "./http-response.ts";

/** How long a server may take to end a connection after it has said that it would. */
const ENDING_MS = 1000;

/** A connection to an HTTP server: sends the request again and again, and reads the responses. */
export class HttpClient extends Client {
  readonly #reader: HttpResponseReader = new HttpResponseReader();
  /** The oldest request that is out. */
  #next = 0;
  /** The server has said that it ends the connection. */
  #ending = false;

  protected override sendNext(connection: Connection<Client>): void {
    connection.write(this.crowd.request);
  }

  /** Not on a connection that the server ends: it looks at no more requests. */
  override go(now: number): void {
    if (!this.#ending) super.go(now);
  }

  override received(bytes: Uint8Array): void {
    const { counts } = this.crowd.tally;
    const { length } = bytes;
    const now = performance.now();
    counts.bytes += length;
    for (let at = 0; at < length; ) {
      if (this.inFlight === 0) {
        // After the last response there is nothing to come but the end.
        if (!this.#ending) counts.surplus++;
        if (!this.#ending) this.fail("HTTP_INVALID");
        return;
      }
      at = this.#reader.read(bytes, at, length);
      if (at === BAD) {
        this.fail(this.#reader.isTooLarge ? "HTTP_HEAD_TOO_LARGE" : "HTTP_INVALID");
        return;
      }
      if (at < 0) break;
      this.#answered(now);
      if (this.#reader.closes) {
        this.#close(now);
        break;
      }
    }
    if (!this.#ending) this.goOn(now);
    else this.crowd.endIfDone();
  }

  override ended(): void {
    const now = performance.now();
    if (this.#reader.end()) {
      this.#answered(now);
      this.#close(now);
    }
    const mayEnd = this.#ending || (this.inFlight === 0 && this.hasAnswer);
    this.lose(mayEnd ? undefined : "PEER_CLOSED");
  }

  protected override forget(): void {
    this.#reader.reset();
    this.#next = this.sent;
    this.#ending = false;
  }

  override look(now: number, timeoutMs: number): void {
    if (!this.#ending) super.look(now, timeoutMs);
    else if (now - this.waitingSince >= ENDING_MS) this.lose(undefined);
  }

  override closed(error: Error | undefined): void {
    this.connection = null;
    // A reset instead of an end, after everything was answered.
    if (this.#ending) this.lose(undefined);
    else super.closed(error);
  }

  #answered(now: number): void {
    const { crowd } = this;
    const { status } = this.#reader;
    const { statuses } = crowd.tally;
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (status >= 400) crowd.tally.error(`HTTP_${status}`);
    crowd.answered(this.sentAt(this.#next++), now);
    this.landed(now);
  }

  /** The server ends the connection, and has not looked at the requests that are still out. */
  #close(now: number): void {
    const { crowd } = this;
    const unseen = this.inFlight;
    this.#ending = true;
    this.waitingSince = now;
    this.sent -= unseen;
    this.left += unseen;
    this.dueAt -= unseen * crowd.intervalMs;
    this.inFlight = 0;
    crowd.takeBack(unseen);
  }
}
