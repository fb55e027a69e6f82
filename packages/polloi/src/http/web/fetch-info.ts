import type { Connection, ConnectionOptions, Handlers } from "../../reactor/connection.ts";
import type { SocketAddress } from "../../socket/address.ts";
import type { TcpInfo } from "../../socket/tcp-info.ts";
import type { HttpRequest } from "../request.ts";

/**
 * What a `Request` does not tell of where it came from: the second argument of a fetch handler.
 *
 * @example
 * ```ts nocheck
 * serve({ port: 8080, fetch: (_, info) => new Response(info.remoteAddress?.address ?? "gone") });
 * ```
 */
export class FetchInfo {
  readonly #request: HttpRequest;

  constructor(request: HttpRequest) {
    this.#request = request;
  }

  /** The peer; `null` when it is gone. */
  get remoteAddress(): SocketAddress | null {
    return this.#request.remoteAddress;
  }

  /** The own address, which the request was sent to; `null` when the connection is gone. */
  get localAddress(): SocketAddress | null {
    return this.#request.localAddress;
  }

  /** The connection as the kernel's TCP sees it; `null` on a unix socket, or when it is gone. */
  get tcpInfo(): TcpInfo | null {
    return this.#request.tcpInfo;
  }

  /** The connection's descriptor, to look at; -1 when it is gone. */
  fileno(): number {
    return this.#request.fileno();
  }

  /**
   * Takes the connection out of HTTP's hands, as `upgrade` of `HttpRequest` does: write the head of the answer
   * yourself. The handler returns any `Response`, which goes nowhere.
   *
   * @throws TypeError `ERR_CLOSED` when the client has left, or a body is still coming.
   */
  upgrade<Data = undefined>(options: Handlers<Data> & ConnectionOptions): Connection<Data> {
    return this.#request.upgrade(options);
  }
}
