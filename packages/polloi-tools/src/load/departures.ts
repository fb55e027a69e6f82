import type { Reactor, Timer } from "polloi";
import { beforeSends } from "polloi/internal";
import type { Client } from "./client.ts";

/** So many messages leave before it is looked what has come meanwhile. */
const AT_A_TIME = 32;

/**
 * When messages of a closed loop leave: a few at a time, and stamped as they do.
 *
 * @remarks
 * Whoever may send stands in line until all that has come was told. An answer that waits to be read until
 * hundreds have sent is told as a late one, and a message that waits to leave is not: so a thread that
 * cannot keep up sends less, and does not tell its own slowness as the server's.
 */
export class Departures {
  readonly #reactor: Reactor;
  readonly #times: Float64Array;
  /** Clients that may send, from `#at` on. */
  readonly #line: Client[] = [];
  #at = 0;
  #timer: Timer | undefined;
  /** Where the times of messages stand that are written and have not left: the first `#writtenCount`. */
  readonly #written: number[] = [];
  #writtenCount = 0;

  /**
   * @param times - When each message was sent.
   * @param hook - Calls back before messages are sent.
   */
  constructor(reactor: Reactor, times: Float64Array, hook: typeof beforeSends = beforeSends) {
    this.#reactor = reactor;
    this.#times = times;
    hook(reactor, () => this.#leave());
  }

  /** A client may send. */
  add(client: Client): void {
    if (client.isInLine) return;
    client.isInLine = true;
    this.#line.push(client);
    if (this.#timer?.active === true) return;
    // It fires at the end of this turn, when all that has come was told.
    if (this.#timer === undefined) this.#timer = this.#reactor.setTimer(0, () => this.#send());
    else this.#timer.refresh();
  }

  /** A message is written, whose time stands at `timeAt`. */
  written(timeAt: number): void {
    this.#written[this.#writtenCount++] = timeAt;
  }

  /** Nobody sends any more. */
  end(): void {
    this.#timer?.cancel();
  }

  #send(): void {
    const now = performance.now();
    const line = this.#line;
    const most = this.#writtenCount + AT_A_TIME;
    while (this.#at < line.length && this.#writtenCount < most) {
      const client = line[this.#at++] as Client;
      client.isInLine = false;
      client.go(now);
    }
    if (this.#at < line.length) this.#timer?.refresh();
    if (2 * this.#at < line.length) return;
    line.copyWithin(0, this.#at);
    line.length -= this.#at;
    this.#at = 0;
  }

  /** What was written leaves now, all of it together. */
  #leave(): void {
    const now = performance.now();
    for (let i = 0; i < this.#writtenCount; i++) this.#times[this.#written[i] as number] = now;
    this.#writtenCount = 0;
  }
}
