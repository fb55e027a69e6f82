import { exit } from "node:process";
import { AF_UNIX, MSG_DONTWAIT, SOCK_SEQPACKET } from "../socket/constants.ts";
import { receiveFds } from "../socket/pass-fds.ts";
import { Socket } from "../socket/socket.ts";
import type { ChildMessage, ProcessInput, StopOrder } from "./messages.ts";
import { type Orders, StopTime } from "./orders.ts";

/** More than any message has: they are no longer than a socket's buffer. */
const MAX_MESSAGE = 256 * 1024;

/** The channel to the parent: orders come in, reports go out. */
export class Channel implements Orders {
  readonly #socket = new Socket(AF_UNIX, SOCK_SEQPACKET);
  readonly #time = new StopTime();
  #graceMs: number | null = null;

  constructor(path: string) {
    this.#socket.connect({ path });
  }

  get fd(): number {
    return this.#socket.fileno();
  }

  /** What to serve, and the descriptor. */
  begin(): { input: ProcessInput; fd: number } {
    const received = receiveFds(this.#socket, MAX_MESSAGE, 1);
    const [fd] = received?.fds ?? [];
    // The parent has gone before it said anything.
    if (received === null || fd === undefined) exit(1);
    return { input: JSON.parse(Buffer.from(received.bytes).toString()) as ProcessInput, fd };
  }

  hear(): void {
    for (;;) {
      const bytes = this.#socket.recv(MAX_MESSAGE, MSG_DONTWAIT);
      if (bytes === null) return;
      // Nobody is left to serve for.
      if (bytes.length === 0) exit(1);
      this.#graceMs = (JSON.parse(Buffer.from(bytes).toString()) as StopOrder).stopWithinMs;
    }
  }

  leftMs(): number | null {
    return this.#time.leftMs(this.#graceMs);
  }

  tell(message: ChildMessage): void {
    this.#socket.send(JSON.stringify(message));
  }
}
