import type { World } from "../base/world.ts";
import { EventFile } from "../files/event-file.ts";
import { POLL_URING_WAKE } from "./abi.ts";
import type { SharedRings } from "./shared-rings.ts";

/** The longest time until the kernel runs what it has deferred by RCU. */
const GRACE_MS = 4;

/**
 * The eventfd of a ring (IORING_REGISTER_EVENTFD).
 *
 * @remarks
 * It is not incremented within a wake-up of an eventfd, which could recurse. The first such signal of a registration is
 * deferred, and all later ones are lost, because the bit that records it is not cleared.
 *
 * Source: io_uring/eventfd.c, io_eventfd_signal; fs/eventfd.c, eventfd_signal_mask.
 */
export class RingEventfd {
  readonly #world: World;
  readonly #rings: SharedRings;
  #file: EventFile | undefined;
  /** The tail of the queue at the last signal for completions. */
  #tail = 0;
  #wasDeferred = false;

  constructor(world: World, rings: SharedRings) {
    this.#world = world;
    this.#rings = rings;
  }

  get isRegistered(): boolean {
    return this.#file !== undefined;
  }

  register(file: EventFile): void {
    this.#file = file.hold();
    this.#tail = this.#rings.cqTail;
    this.#wasDeferred = false;
  }

  unregister(): void {
    this.#file?.drop();
    this.#file = undefined;
  }

  /** There is work for the thread of the ring. */
  signalWork(): void {
    if (this.#file !== undefined && !this.#rings.isQuiet) this.#signal(this.#file);
  }

  /** There may be new completions. */
  signalCompletions(): void {
    if (this.#file === undefined || this.#rings.isQuiet) return;
    if (this.#tail === this.#rings.cqTail) return;
    this.#tail = this.#rings.cqTail;
    this.#signal(this.#file);
  }

  #signal(file: EventFile): void {
    if (!EventFile.isWaking) {
      file.signal(POLL_URING_WAKE);
      return;
    }
    if (this.#wasDeferred) return;
    this.#wasDeferred = true;
    file.hold();
    this.#world.schedule(this.#world.choices.between(1, GRACE_MS), () => {
      file.signal(POLL_URING_WAKE);
      file.drop();
    });
  }
}
