import { ERRNO, SHUT_WR } from "polloi/internal/pure";
import type { World } from "../../base/world.ts";
import type { SocketFile } from "../../sockets/socket-file.ts";
import type { PeerPlan } from "../scenario.ts";
import { incoming, Peer } from "./peer.ts";

/** The server of a connection, which echoes any bytes. It resets or closes after a number of bytes, if asked to. */
export class EchoingPeer extends Peer {
  readonly #pieces: Uint8Array[] = [];
  #received = 0;
  #sawEnd = false;

  constructor(world: World, plan: PeerPlan, socket: SocketFile) {
    super(world, plan);
    this.attach(socket);
    this.wake();
  }

  protected override act(socket: SocketFile): void {
    this.#read(socket);
    if (!this.isOver) this.#write(socket);
  }

  #read(socket: SocketFile): void {
    const { mode, length } = this.plan;
    while (!this.#sawEnd) {
      const count = socket.read(incoming);
      if (count === -ERRNO.EAGAIN) return;
      if (count < 0) {
        this.leave("close");
        return;
      }
      if (count === 0) this.#sawEnd = true;
      else this.#pieces.push(incoming.slice(0, count));
      this.#received += count;
      if (mode === "reset" && this.#received >= length) {
        this.leave("reset");
        return;
      }
    }
  }

  #write(socket: SocketFile): void {
    for (let piece = this.#pieces[0]; piece !== undefined; piece = this.#pieces[0]) {
      const count = socket.write(piece);
      if (count === -ERRNO.EAGAIN) return;
      if (count < 0) {
        this.leave("close");
        return;
      }
      if (count === piece.length) this.#pieces.shift();
      else this.#pieces[0] = piece.subarray(count);
    }
    const isEnough = this.plan.mode === "close" && this.#received >= this.plan.length;
    if (!this.#sawEnd && !isEnough) return;
    socket.shutdown(SHUT_WR);
    this.leave("close");
  }
}
