import { type Connection, type Listener, Reactor, type TlsServerOptions } from "polloi";

/** The fault of a server that does not echo a message. */
export type Fault =
  | "drop"
  /** Echoes it after the message that follows. */
  | "swap"
  | "corrupt the header"
  | "corrupt the last byte"
  | "twice"
  /** Omits some of its bytes. */
  | "truncate the beginning"
  | "truncate the end"
  /** Sends other bytes before it. */
  | "stray bytes"
  /** Echoes nothing from then on. */
  | "stall"
  | "reset"
  | "end"
  /** Echoes it, and closes the connection. */
  | "answer and end";

/** Options of a {@link FaultyServer}. */
export interface FaultyOptions {
  readonly sizeBytes: number;
  /** The faults, by the index of the message on its connection. */
  readonly faults?: Readonly<Record<number, Fault>>;
  /** Sends everything in pieces of this size. */
  readonly pieceBytes?: number;
  readonly host?: string;
  readonly path?: string;
  readonly backlog?: number;
  readonly tls?: TlsServerOptions;
  /** Default: a free port. */
  readonly port?: number;
}

/** The state of a connection. */
interface Peer {
  /** Bytes of an incomplete message. */
  rest: Uint8Array;
  /** Messages received. */
  messages: number;
  /** A message that is echoed after the next. */
  held: Uint8Array | null;
  stalled: boolean;
}

/** An echo server with faults on the same messages of each connection. */
export class FaultyServer implements Disposable {
  readonly reactor: Reactor = new Reactor({ engine: "epoll" });
  readonly listener: Listener;
  /** Number of messages of each closed connection. */
  readonly received: number[] = [];
  /** Peer address of each connection. */
  readonly from: (string | undefined)[] = [];
  readonly #options: FaultyOptions;

  constructor(options: FaultyOptions) {
    this.#options = options;
    const { host = "127.0.0.1", port = 0, path, backlog, tls } = options;
    const where = path === undefined ? { host, port } : { path };
    this.listener = this.reactor.listen<Peer>({
      ...where,
      ...(backlog === undefined ? {} : { backlog }),
      ...(tls === undefined ? {} : { tls }),
      open: (connection) => {
        connection.data = { rest: new Uint8Array(0), messages: 0, held: null, stalled: false };
        this.from.push(connection.remoteAddress?.address);
      },
      data: (connection, bytes) => this.#received(connection, bytes),
      close: ({ data }) => this.received.push(data.messages),
      error: () => {},
    });
  }

  get target(): string {
    const scheme = this.#options.tls === undefined ? "tcp" : "tls";
    return `${scheme}://127.0.0.1:${this.listener.port}`;
  }

  [Symbol.dispose](): void {
    this.reactor.close();
  }

  #received(connection: Connection<Peer>, bytes: Uint8Array): void {
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
    if (fault === "stall") peer.stalled = true;
    if (peer.stalled) return;
    const send = (bytes: Uint8Array): void => this.#send(connection, bytes);
    const { held } = peer;
    peer.held = null;
    switch (fault) {
      case "drop":
        break;
      case "swap":
        peer.held = message;
        break;
      case "corrupt the header":
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
    // Each piece in its own turn, so that they are received separately.
    for (let from = 0; from < bytes.length; from += pieceBytes) {
      const piece = bytes.slice(from, from + pieceBytes);
      this.reactor.setTimer(0, () => {
        if (connection.state === "open") connection.write(piece);
      });
    }
  }
}
