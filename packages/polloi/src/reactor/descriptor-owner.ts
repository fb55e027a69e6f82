import { type Loop, Owner } from "./loop.ts";

/**
 * The owner of a slot whose descriptor the program opened: a listener, a watch, a datagram socket. The program decides
 * whether it keeps the process alive.
 *
 * @remarks
 * A `Stream` stores the same in a bit, because a server holds thousands of them, and it may have no slot yet.
 */
export abstract class DescriptorOwner extends Owner {
  protected readonly loop: Loop;
  #isBackground = false;

  constructor(loop: Loop) {
    super();
    this.loop = loop;
  }

  /** The descriptor, or -1 once it is closed or given back. */
  abstract fileno(): number;

  /** Keeps the process alive again. An owner calls it before it releases its slot, which the loop counts until then. */
  ref(): void {
    if (!this.#isBackground) return;
    this.#isBackground = false;
    this.loop.background(-1);
  }

  /** Allows the process to end although the descriptor is open. */
  unref(): void {
    if (this.#isBackground || this.fileno() < 0) return;
    this.#isBackground = true;
    this.loop.background(1);
  }
}
