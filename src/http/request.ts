import { typeError } from "../base/misuse.ts";
import type { SocketAddress } from "../socket/address.ts";
import type { Exchange } from "./exchange.ts";
import type { RequestHead } from "./parser/head.ts";

/** Who takes a body as it comes. */
export interface BodyReader {
  /** @param bytes - Lent: they change when this returns. */
  data(bytes: Uint8Array): void;
  /** All of it has come. */
  end?(): void;
  /** It will never be complete: the client is gone. */
  abort?(error: Error): void;
}

/**
 * A request, as the fast path sees it: what is asked for is read from the received bytes then, and not before.
 *
 * @remarks
 * Good until its reply is complete. Afterwards its head is gone, and asking for it throws.
 *
 * RFC 9110, RFC 9112.
 */
export class HttpRequest {
  readonly #exchange: Exchange;
  #head: RequestHead | null;
  #reader: BodyReader | null = null;

  constructor(exchange: Exchange, head: RequestHead) {
    this.#exchange = exchange;
    this.#head = head;
  }

  /** The method as it was sent: methods are case-sensitive. */
  get method(): string {
    return this.head.method;
  }

  /** The target as it was sent. */
  get target(): string {
    return this.head.target;
  }

  /** The path as it was sent: neither decoded nor freed of its dots. */
  get path(): string {
    return this.head.path;
  }

  /** What follows the first `?`, as it was sent; empty when there is none. */
  get query(): string {
    return this.head.query;
  }

  /** The host and port that are asked for; `undefined` when HTTP/1.0 names none. */
  get host(): string | undefined {
    return this.head.host;
  }

  /** The minor version of HTTP/1. */
  get version(): 0 | 1 {
    return this.head.version;
  }

  /** The length of the body in bytes; 0 without one, -1 when it comes in chunks. */
  get contentLength(): number {
    return this.head.contentLength;
  }

  /** The peer; `null` when it is gone. */
  get remoteAddress(): SocketAddress | null {
    return this.#exchange.connection.remoteAddress;
  }

  /** The connection's descriptor, to look at (TCP_INFO); -1 when it is gone. */
  fileno(): number {
    return this.#exchange.connection.fileno();
  }

  /** The value of a header, in whatever case, joined when repeated; `undefined` when there is none. */
  header(name: string): string | undefined {
    return this.head.header(name);
  }

  /** All headers in their order. */
  headers(): [name: string, value: string][] {
    return this.head.headers();
  }

  /**
   * Has the body go to `reader`, piece by piece. What nobody asks for waits, and is thrown away when the reply
   * is complete.
   *
   * @throws TypeError `ERR_CLOSED` when it has a reader, or is over.
   */
  read(reader: BodyReader): void {
    if (this.#reader !== null || this.#head === null) {
      throw typeError(
        "ERR_CLOSED",
        "Cannot read the body: it is being read, or the request is over",
      );
    }
    this.#reader = reader;
    this.#exchange.claimed();
  }

  /** All of the body. Rejects when the client leaves before it has sent all of it. */
  bytes(): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const pieces: Uint8Array[] = [];
      this.read({
        data: (bytes) => void pieces.push(bytes.slice()),
        end: () => resolve(Buffer.concat(pieces)),
        abort: reject,
      });
    });
  }

  /** All of the body, as UTF-8. */
  async text(): Promise<string> {
    return new TextDecoder().decode(await this.bytes());
  }

  // What the session does with it.

  /** The head. @throws TypeError `ERR_CLOSED` when the request is over. */
  get head(): RequestHead {
    if (this.#head !== null) return this.#head;
    throw typeError(
      "ERR_CLOSED",
      "Cannot look at a request that is over: take what you need before its reply is complete",
    );
  }

  get reader(): BodyReader | null {
    return this.#reader;
  }

  /** Nothing more is to be had of it. */
  over(): void {
    this.#head = null;
    this.#reader = null;
  }
}
