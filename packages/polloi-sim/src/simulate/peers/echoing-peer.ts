import { ERRNO, SHUT_WR } from "polloi/internal/pure";
import type { Waiter } from "../../base/wait-queue.ts";
import type { World } from "../../base/world.ts";
import type { SocketFile } from "../../sockets/socket-file.ts";
import type { PeerPlan } from "../scenario.ts";

const incoming: Uint8Array = new Uint8Array(65_536);

/** A server that echoes any bytes: a socket without a process. It resets or closes after a number of bytes, if asked to. */
export class EchoingPeer {
  readonly #world: World;
  readonly #plan: PeerPlan;
  readonly #socket: SocketFile;
  readonly #pieces: Uint8Array[] = [];
  #received = 0;
  #isScheduled = false;
  #sawEnd = false;
  #isOver = false;

  constructor(world: World, plan: PeerPlan, socket: SocketFile) {
    this.#world = world;
    this.#plan = plan;
    this.#socket = socket;
    socket.waiters.add(this.#waiter);
    this.#wake();
  }

  readonly #waiter: Waiter = {
    isExclusive: false,
    wake: () => {
      this.#wake();
      return true;
    },
  };

  #wake(): void {
    if (this.#isScheduled || this.#isOver) return;
    this.#isScheduled = true;
    this.#world.schedule(this.#plan.latencyMs, () => {
      this.#isScheduled = false;
      if (!this.#isOver) this.#read();
      if (!this.#isOver) this.#write();
    });
  }

  #read(): void {
    const { mode, length } = this.#plan;
    while (!this.#sawEnd) {
      const count = this.#socket.read(incoming);
      if (count === -ERRNO.EAGAIN) return;
      if (count < 0) {
        this.#close();
        return;
      }
      if (count === 0) this.#sawEnd = true;
      else this.#pieces.push(incoming.slice(0, count));
      this.#received += count;
      if (mode === "reset" && this.#received >= length) {
        this.#isOver = true;
        this.#socket.waiters.remove(this.#waiter);
        this.#socket.reset();
        return;
      }
    }
  }

  #write(): void {
    for (let piece = this.#pieces[0]; piece !== undefined; piece = this.#pieces[0]) {
      const count = this.#socket.write(piece);
      if (count === -ERRNO.EAGAIN) return;
      if (count < 0) {
        this.#close();
        return;
      }
      if (count === piece.length) this.#pieces.shift();
      else this.#pieces[0] = piece.subarray(count);
    }
    const isEnough = this.#plan.mode === "close" && this.#received >= this.#plan.length;
    if (!this.#sawEnd && !isEnough) return;
    this.#socket.shutdown(SHUT_WR);
    this.#close();
  }

  #close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.waiters.remove(this.#waiter);
    this.#socket.close();
  }
}
