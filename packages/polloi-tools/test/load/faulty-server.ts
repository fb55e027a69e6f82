import { type Connection, type Listener, Reactor } from "polloi";

/** What a server does with a message instead of sending it back. */
export type Fault =
  | "drop"
  /** Sends it after the one that follows. */
  | "swap"
  | "corrupt the stamp"
  | "corrupt the last byte"
  | "twice"
  /** Leaves out some of its bytes. */
  | "truncate the beginning"
  | "truncate the end"
  /** Sends bytes of its own before it. */
  | "stray bytes"
  /** Answers nothing from then on. */
  | "stall"
  | "reset"
  | "end"
  /** Sends it back, and ends the connection. */
  | "answer and end";

/** A server of the tests: what it does wrong, and to which message of each connection. */
export interface FaultyOptions {
  readonly sizeBytes: number;
  readonly faults?: Readonly<Record<number, Fault>>;
  /** Sends what it sends in pieces of so many bytes. */
  readonly pieceBytes?: number;
  readonly host?: string;
  readonly path?: string;
  readonly backlog?: number;
  /** Default: a free one. */
  readonly port?: number;
}

/** What it knows of one connection. */
interface Peer {
  /** Bytes of a message that is not complete. */
  rest: Uint8Array;
  /** Messages so far. */
  messages: number;
  /** One that waits for the next. */
  held: Uint8Array | null;
  silent: boolean;
}

/** An echo server that does wrong, on purpose, and to the same messages each time. */
export class FaultyServer implements Disposable {
  readonly reactor: Reactor = new Reactor({ engine: "epoll" });
  readonly listener: Listener;
  /** How many messages each connection sent. */
  readonly received: number[] = [];
  /** From where each connected. */
  readonly from: (string | undefined)[] = [];
  readonly #options: FaultyOptions;

  constructor(options: FaultyOptions) {
    this.#options = options;
    const { host = "127.0.0.1", port = 0, path, backlog } = options;
    const where = path === undefined ? { host, port } : { path };
    this.listener = this.reactor.listen<Peer>({
      ...where,
      ...(backlog === undefined ? {} : { backlog }),
      open: (connection) => {
        connection.data = { rest: new Uint8Array(0), messages: 0, held: null, silent: false };
        this.from.push(connection.remoteAddress?.address);
      },
      data: (connection, bytes) => this.#hear(connection, bytes),
      close: ({ data }) => this.received.push(data.messages),
      error: () => {},
    });
  }

  get target(): string {
    return `tcp://127.0.0.1:${this.listener.port}`;
  }

  [Symbol.dispose](): void {
    this.reactor.close();
  }

  #hear(connection: Connection<Peer>, bytes: Uint8Array): void {
    const { sizeBytes } = this.#options;
    const peer = connection.data;
    const all = Buffer.concat([peer.rest, bytes]);
    let from = 0;
    for (; all.length - from >= sizeBytes && connection.state === "open"; from += sizeBytes) {
      this.#answer(connection, peer, Buffer.from(all.subarray(from, from + sizeBytes)));
    }
    peer.rest = Buffer.from(all.subarray(from));
  }

  #answer(connection: Connection<Peer>, peer: Peer, message: Buffer): void {
    const { faults = {}, sizeBytes } = this.#options;
    const fault = faults[peer.messages++];
    if (fault === "stall") peer.silent = true;
    if (peer.silent) return;
    const send = (bytes: Uint8Array): void => this.#send(connection, bytes);
    const { held } = peer;
    peer.held = null;
    switch (fault) {
      case "drop":
        break;
      case "swap":
        peer.held = message;
        break;
      case "corrupt the stamp":
        message[9] = (message[9] as number) ^ 1;
        send(message);
        break;
      case "corrupt the last byte":
        message[sizeBytes - 1] = (message[sizeBytes - 1] as number) ^ 0x80;
        send(message);
        break;
      case "twice":
        send(message);
        send(message);
        break;
      case "truncate the beginning":
        send(message.subarray(10));
        break;
      case "truncate the end":
        send(message.subarray(0, sizeBytes - 10));
        break;
      case "stray bytes":
        send(Buffer.from("strange"));
        send(message);
        break;
      case "reset":
        connection.reset();
        break;
      case "answer and end":
        send(message);
        connection.close();
        break;
      case "end":
        connection.close();
        break;
      default:
        send(message);
    }
    if (held !== null) send(held);
  }

  #send(connection: Connection<Peer>, bytes: Uint8Array): void {
    const { pieceBytes } = this.#options;
    if (pieceBytes === undefined) {
      connection.write(bytes);
      return;
    }
    // Each piece in a turn of its own, so that it is received by itself.
    for (let from = 0; from < bytes.length; from += pieceBytes) {
      const piece = bytes.slice(from, from + pieceBytes);
      this.reactor.setTimer(0, () => {
        if (connection.state === "open") connection.write(piece);
      });
    }
  }
}
