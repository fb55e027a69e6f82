import { AF_INET, SOCK_STREAM, Socket } from "../../src/socket/index.ts";
import { until } from "./waiting.ts";

/**
 * Clients whose connections the kernel has made when the constructor returns, whether or not the server has accepted
 * them: a blocking connect over loopback is complete as soon as the connection is in the backlog.
 */
export class WaitingPeers implements Disposable {
  readonly #sockets: readonly Socket[];
  readonly #answers: string[];

  constructor(count: number, port: number) {
    this.#sockets = Array.from({ length: count }, () => {
      const socket = new Socket(AF_INET, SOCK_STREAM);
      socket.connect({ address: "127.0.0.1", port });
      socket.setBlocking(false);
      return socket;
    });
    this.#answers = this.#sockets.map(() => "");
  }

  /** Sends a request from each of the peers `first` to `last`. */
  send(what: string, first: number, last: number): void {
    for (const socket of this.#sockets.slice(first, last)) socket.send(what);
  }

  /** Returns what each has received when its connection has ended, or the code of the error that ended it. */
  async answers(): Promise<readonly string[]> {
    const open = new Set(this.#sockets.keys());
    await until("all have ended", () => {
      for (const i of open) if (this.#hasEnded(i)) open.delete(i);
      return open.size === 0;
    });
    return this.#answers;
  }

  #hasEnded(i: number): boolean {
    try {
      for (;;) {
        const bytes = (this.#sockets[i] as Socket).recv(4096);
        if (bytes === null) return false;
        if (bytes.length === 0) break;
        this.#answers[i] += Buffer.from(bytes).toString();
      }
    } catch (error) {
      this.#answers[i] += ` ${(error as { code?: string }).code}`;
    }
    // Ends this half, so that the server does not wait for it.
    (this.#sockets[i] as Socket).close();
    return true;
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.close();
  }
}
