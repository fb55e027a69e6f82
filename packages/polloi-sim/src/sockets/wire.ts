import type { World } from "../base/world.ts";

/** How much later something arrives, in milliseconds: within a turn, after a timer, after a retransmission. */
const DELAYS_MS: readonly [number, ...number[]] = [0, 0.02, 0.3, 1, 5, 40, 200];

/**
 * One direction of a network: what is sent arrives in order, at once or later.
 *
 * @remarks
 * On loopback a packet is received within the call that sends it, unless the CPU that receives is another or has other
 * work. Source: drivers/net/loopback.c, loopback_xmit; net/core/dev.c, enqueue_to_backlog
 */
export class Wire {
  readonly #world: World;
  readonly #pending: (() => void)[] = [];
  #arrivesAt = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Whether nothing is on the way, and the next packet arrives at once. Ask once for each packet. */
  isFast(): boolean {
    return this.#pending.length === 0 && !this.#world.faults.happens("delay");
  }

  /** Has `arrive` called later, behind everything that is on the way. */
  carry(arrive: () => void): void {
    const now = this.#world.now();
    const delay = this.#world.choices.pick(DELAYS_MS);
    this.#arrivesAt = Math.max(this.#arrivesAt, now + delay);
    this.#pending.push(arrive);
    this.#world.schedule(this.#arrivesAt - now, this.#arrival);
  }

  readonly #arrival = (): void => this.#pending.shift()?.();
}
