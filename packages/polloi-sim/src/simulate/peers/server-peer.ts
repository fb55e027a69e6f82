import { ERRNO, SHUT_WR } from "polloi/internal/pure";
import type { World } from "../../base/world.ts";
import type { SocketFile } from "../../sockets/socket-file.ts";
import { contentOf, differsAt } from "../content.ts";
import type { Mode, PeerPlan } from "../scenario.ts";
import { streamFrom, streamTo } from "./echo-peer.ts";
import { incoming, Peer } from "./peer.ts";

/** Whether the server sends bytes of its own. Otherwise it sends back what it receives. */
export function doesServe(mode: Mode): boolean {
  return mode === "serve" || mode === "pump";
}

/**
 * The server of one connection that the program makes: a socket without a process.
 *
 * @remarks
 * It does what the modes say, seen from the other side: it echoes; or sends bytes of its own and closes; or resets or
 * closes after a number of bytes; or reads late.
 */
export class ServerPeer extends Peer {
  readonly number: number;
  received = 0;
  sent = 0;
  /** Where the first wrong byte is, or -1. */
  wrongAt = -1;
  /** Whether it has ended the connection before everything was done. */
  hasCut = false;
  #sawEnd = false;
  #hasEnded = false;

  constructor(world: World, number: number, plan: PeerPlan, socket: SocketFile) {
    super(world, plan);
    this.number = number;
    this.attach(socket);
    if (plan.mode === "pause") this.readLater(plan.delayMs);
    else if (plan.reading.startMs > 0) this.readLater(plan.reading.startMs);
    this.wake();
  }

  protected override act(socket: SocketFile): void {
    if (this.plan.mode === "destroy") {
      this.hasCut = true;
      this.leave("close");
      return;
    }
    this.#read(socket);
    if (!this.isOver) this.#write(socket);
  }

  #read(socket: SocketFile): void {
    const { mode, length, reading } = this.plan;
    const room = incoming.subarray(0, reading.chunk);
    while (!this.readsLater && !this.#sawEnd && !this.isOver) {
      const count = socket.read(room);
      if (count === -ERRNO.EAGAIN) return;
      if (count < 0) {
        this.leave("close");
      } else if (count === 0) {
        this.#sawEnd = true;
      } else {
        const at = differsAt(streamTo(this.number), this.received, room.subarray(0, count));
        if (at >= 0 && this.wrongAt < 0) this.wrongAt = at;
        this.received += count;
        if (reading.everyMs > 0) this.readLater(reading.everyMs);
        if (mode === "reset" && this.received >= length) {
          this.hasCut = true;
          this.leave("reset");
        }
      }
    }
  }

  #write(socket: SocketFile): void {
    const { mode, length } = this.plan;
    const serves = doesServe(mode);
    const total = serves ? length : mode === "pause" ? 0 : this.received;
    while (this.sent < total && !this.#hasEnded) {
      const stream = serves ? streamFrom(this.number) : streamTo(this.number);
      const count = socket.write(contentOf(stream, this.sent, total - this.sent));
      if (count === -ERRNO.EAGAIN) return;
      if (count < 0) {
        this.leave("close");
        return;
      }
      this.sent += count;
    }
    if (mode === "close" && this.received >= length) {
      this.hasCut = true;
      this.leave("close");
      return;
    }
    const isDone = serves || this.#sawEnd;
    if (isDone && !this.#hasEnded) {
      this.#hasEnded = true;
      socket.shutdown(SHUT_WR);
    }
    if (this.#sawEnd && this.#hasEnded) this.leave("close");
  }
}
