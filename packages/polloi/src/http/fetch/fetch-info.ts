import { type Fields, printAs } from "../../base/inspect.ts";
import type { ProxyHeader } from "../../proxy/header.ts";
import type { Connection, ConnectionOptions, Handlers } from "../../reactor/connection.ts";
import { formatAddress, type SocketAddress } from "../../socket/address.ts";
import type { TcpInfo } from "../../socket/tcp-info.ts";
import type { TlsInfo } from "../../tls/session.ts";
import type { HttpRequest } from "../request.ts";

/**
 * The connection of a request: the second argument of a fetch handler.
 *
 * @example
 * ```ts nocheck
 * serve({ port: 8080, fetch: (_, info) => new Response(info.remoteAddress?.address ?? "closed") });
 * ```
 */
export interface FetchInfo {
  /** The client's address; `null` when the connection is closed. */
  readonly remoteAddress: SocketAddress | null;
  /** The server's address of this connection; `null` when the connection is closed. */
  readonly localAddress: SocketAddress | null;
  /** The PROXY header of the connection; `null` without one: see `proxyProtocol` of `serve`. */
  readonly proxyHeader: ProxyHeader | null;
  /** Facts about the TLS session, such as the certificate of the client; `null` without TLS. */
  readonly tls: TlsInfo | null;
  /** The kernel's TCP state of the connection; `null` on a unix socket, or when the connection is closed. */
  readonly tcpInfo: TcpInfo | null;
  /** The connection's descriptor, to inspect; -1 when the connection is closed. */
  fileno(): number;
  /**
   * Takes over the connection for another protocol, as `upgrade` of `HttpRequest` does. The program writes the
   * head of the reply itself. The handler must still return a `Response`, which is not sent.
   *
   * @throws TypeError `ERR_CLOSED` if the client has left, or a body is still arriving.
   */
  upgrade<Data = undefined>(options: Handlers<Data> & ConnectionOptions): Connection<Data>;
}

/** The connection of a request, as the request knows it. */
export class RequestInfo implements FetchInfo {
  static {
    printAs(RequestInfo, (it) => it.#fields(), "FetchInfo");
  }

  readonly #request: HttpRequest;

  constructor(request: HttpRequest) {
    this.#request = request;
  }

  get remoteAddress(): SocketAddress | null {
    return this.#request.remoteAddress;
  }

  get localAddress(): SocketAddress | null {
    return this.#request.localAddress;
  }

  get proxyHeader(): ProxyHeader | null {
    return this.#request.proxyHeader;
  }

  get tls(): TlsInfo | null {
    return this.#request.tls;
  }

  get tcpInfo(): TcpInfo | null {
    return this.#request.tcpInfo;
  }

  fileno(): number {
    return this.#request.fileno();
  }

  upgrade<Data = undefined>(options: Handlers<Data> & ConnectionOptions): Connection<Data> {
    return this.#request.upgrade(options);
  }

  #fields(): Fields {
    const { localAddress, remoteAddress } = this;
    return {
      fd: this.fileno(),
      localAddress: localAddress && formatAddress(localAddress),
      remoteAddress: remoteAddress && formatAddress(remoteAddress),
    };
  }
}
