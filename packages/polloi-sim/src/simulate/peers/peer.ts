import type { Waiter } from "../../base/wait-queue.ts";
import type { World } from "../../base/world.ts";
import type { SocketFile } from "../../sockets/socket-file.ts";
import type { PeerPlan } from "../scenario.ts";

/** The bytes that all peers read into, one after another. */
export const incoming: Uint8Array = new Uint8Array(65_536);

/**
 * One end of a connection of the program, or of its datagrams: a socket without a process.
 *
 * @remarks
 * It acts when its socket wakes it or a pause is over, as an action of the world, after the latency of its plan.
 */
export abstract class Peer {
  // The constructor sets the fields: V8 defines fields with initial values slowly where a class has many subclasses.

  declare readonly plan: PeerPlan;
  declare isOver: boolean;
  declare protected readonly world: World;
  declare protected socket: SocketFile | undefined;
  /** Whether a pause before the next read is going on. */
  declare protected readsLater: boolean;
  declare private isScheduled: boolean;
  declare private readonly waiter: Waiter;
  declare private readonly woken: () => void;

  constructor(world: World, plan: PeerPlan) {
    this.plan = plan;
    this.isOver = false;
    this.world = world;
    this.socket = undefined;
    this.readsLater = false;
    this.isScheduled = false;
    this.waiter = {
      isExclusive: false,
      wake: () => {
        this.wake();
        return true;
      },
    };
    this.woken = () => {
      this.isScheduled = false;
      if (this.socket !== undefined && !this.isOver) this.act(this.socket);
    };
  }

  /** Reads and sends as far as its socket and its plan allow. */
  protected abstract act(socket: SocketFile): void;

  /** Takes its socket, which wakes it from now on. */
  protected attach(socket: SocketFile): void {
    this.socket = socket;
    socket.waiters.add(this.waiter);
  }

  protected wake(): void {
    if (this.isScheduled || this.isOver) return;
    this.isScheduled = true;
    this.world.schedule(this.plan.latencyMs, this.woken);
  }

  /** Reads nothing for some time. */
  protected readLater(delayMs: number): void {
    this.readsLater = true;
    this.world.schedule(delayMs, () => {
      this.readsLater = false;
      this.wake();
    });
  }

  /** Closes its socket, or resets the connection. It is over then. */
  protected leave(how: "close" | "reset"): void {
    this.isOver = true;
    const { socket } = this;
    this.socket = undefined;
    socket?.waiters.remove(this.waiter);
    socket?.[how]();
  }
}
