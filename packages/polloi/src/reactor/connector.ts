import type { NamesOf } from "../base/argument.ts";
import { ERRNO } from "../base/errno.ts";
import { show, typeError } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import { sendNow } from "../engine/calls.ts";
import { SEND_MORE } from "../engine/engine.ts";
import { encodeProxyHeader, type OutgoingProxyHeader } from "../proxy/write-header.ts";
import {
  encodeAddress,
  familyOf,
  type InetAddress,
  portOf,
  type SocketAddress,
} from "../socket/address.ts";
import { ATTEMPT_DELAY_MS, connectError, interleaved } from "../socket/attempts.ts";
import {
  AF_UNIX,
  IP_BIND_ADDRESS_NO_PORT,
  IPPROTO_IP,
  IPPROTO_TCP,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  TCP_NODELAY,
} from "../socket/constants.ts";
import { ipVersion } from "../socket/ip.ts";
import { bindRaw, connectRaw, setIntOption } from "../socket/raw.ts";
import { resolve } from "../socket/resolve.ts";
import { AT_BYTES, borrow, giveBack } from "../socket/scratch.ts";
import { socketError } from "../socket/socket-error.ts";
import type { TlsClientOptions } from "../tls/options.ts";
import { CONNECTION_OPTIONS, type ConnectionOptions, type Handlers } from "./connection.ts";
import { type Loop, Owner } from "./loop.ts";
import { checkTimeout } from "./options.ts";
import type { Stream } from "./stream.ts";
import { checkSignal, destroyOnAbort } from "./streams/abort.ts";
import type { Timer } from "./timers.ts";

/** The address to connect to, the handlers of the connection, and its options. */
export interface ConnectOptions<Data = unknown> extends Handlers<Data>, ConnectionOptions {
  /**
   * An IP address, or a name for the runtime's resolver. Default "localhost".
   *
   * @remarks
   * All addresses of a name are tried, IPv6 and IPv4 in alternation: the next one when one has failed, or has not answered
   * for 250 ms. The first connection that is established is used. If all fail, the error is an `AggregateError` with the
   * `errors` of all addresses, and the `code` of the first.
   *
   * @source RFC 8305
   */
  readonly host?: string;
  /** The same as `host`, by the name that other libraries have for it. */
  readonly hostname?: string;
  /** The port, from 0 to 65,535. */
  readonly port?: number;
  /** Instead of `host` and `port`: the path of a unix socket, or an abstract name with a leading NUL. */
  readonly path?: string | Uint8Array;
  /**
   * The local address to bind the socket to. With port 0, only the address is bound, and the kernel chooses a port that
   * is free for this destination (IP_BIND_ADDRESS_NO_PORT). With several local addresses, one machine can have more
   * than 28,000 connections to one port.
   */
  readonly localAddress?: SocketAddress;
  /** Milliseconds for all addresses together, after which `connect` fails with `ETIMEDOUT`. Default: the kernel's timeout. */
  readonly connectTimeoutMs?: number;
  /**
   * Destroys the connection when it aborts, also after it is established. The reason of the abort is the error.
   */
  readonly signal?: AbortSignal;
  /**
   * Uses TLS: `true`, or settings. `open` is called when the handshake is done and the certificate of the server is accepted.
   * Default false.
   *
   * @remarks
   * The settings are read when an object is used first: to change them, give another object. Connections that are made
   * with the same object need less time.
   */
  readonly tls?: boolean | TlsClientOptions;
  /**
   * A PROXY header that is sent before everything else, for a program that forwards connections: the addresses of the
   * client's connection as `source` and `destination`. The `proxyHeader` of another connection can be passed on.
   *
   * @source https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
   */
  readonly proxyProtocol?: OutgoingProxyHeader;
}

export const CONNECT_OPTIONS: NamesOf<ConnectOptions> = {
  ...CONNECTION_OPTIONS,
  host: true,
  hostname: true,
  port: true,
  path: true,
  localAddress: true,
  connectTimeoutMs: true,
  signal: true,
  tls: true,
  proxyProtocol: true,
};

/** One address that is being tried. */
class Attempt extends Owner {
  readonly address: SocketAddress;
  fd = -1;
  slot = -1;
  readonly #loop: Loop;
  readonly #finished: (attempt: Attempt, errno: number) => void;

  /** @param finished - Called when the connect has succeeded (0) or failed. */
  constructor(
    loop: Loop,
    address: SocketAddress,
    finished: (attempt: Attempt, errno: number) => void,
  ) {
    super();
    this.#loop = loop;
    this.address = address;
    this.#finished = finished;
  }

  override connected(errno: number): void {
    this.#finished(this, errno);
  }

  override abandon(): void {
    if (this.slot >= 0) this.#loop.engine.close(this.slot);
    else if (this.fd >= 0) this.#loop.kernel.libc.close(this.fd);
    this.slot = -1;
    this.fd = -1;
  }

  /** Passes the socket on, which this does not close any more. */
  release(): { readonly fd: number; readonly slot: number } {
    const { fd, slot } = this;
    this.fd = -1;
    this.slot = -1;
    return { fd, slot };
  }

  /** Begins to connect. @returns Whether the socket is connected already; the error if it cannot. */
  start<Data>({ localAddress, noDelay }: ConnectOptions<Data>): boolean | SysError {
    const { address } = this;
    const { kernel, engine } = this.#loop;
    const { libc } = kernel;
    const family = familyOf(address);
    const fd = libc.socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return socketError("socket", fd, address);
    this.fd = fd;
    if (family !== AF_UNIX && noDelay !== false) {
      setIntOption(kernel, fd, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    if (localAddress !== undefined) {
      // A local address of the other family fits another address of the name.
      const fits = familyOf(localAddress) === family;
      // connect(2) then chooses a port that is free for this destination.
      if (localAddress.port === 0) {
        setIntOption(kernel, fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
      }
      const bound = fits ? bindRaw(kernel, fd, localAddress, family) : -ERRNO.EAFNOSUPPORT;
      if (bound < 0) return socketError("bind", bound, localAddress);
    }
    const connected = connectRaw(kernel, fd, address, family);
    if (connected === 0) return true;
    if (connected !== -ERRNO.EINPROGRESS) return socketError("connect", connected, address);
    this.slot = this.#loop.take(this);
    const watched = engine.connect(this.slot, fd);
    if (watched >= 0) return false;
    this.#loop.giveBack(this.slot);
    this.slot = -1;
    return this.#loop.descriptorError("connect", watched, fd);
  }
}

/** Resolves a name. */
type Resolve = (host: string) => Promise<readonly InetAddress[]>;

/**
 * A connect in progress: resolves the name, tries its addresses, and passes the first socket that is connected to its
 * stream.
 *
 * @remarks
 * If an address fails, the next one is tried at once; if it does not answer, the next one is tried as well, and the first
 * to answer wins. Source: RFC 8305.
 */
export class Connector<Data> extends Owner {
  readonly #loop: Loop;
  readonly #stream: Stream<Data>;
  readonly #options: ConnectOptions<Data>;
  readonly #resolve: Resolve;
  /** The PROXY header to send first. */
  readonly #header: Uint8Array | undefined;
  /** The addresses that were not tried yet. */
  #addresses: SocketAddress[] = [];
  readonly #attempts: Set<Attempt> = new Set();
  /** The errors of the addresses that have failed. */
  readonly #errors: SysError[] = [];
  #timeout: Timer | undefined;
  #start: Timer | undefined;
  /** Tries the next address. */
  #next: Timer | undefined;
  #ended = false;

  /**
   * @param names - Resolves names, for tests.
   * @throws misuse: `ERR_INVALID_PORT`, `ERR_INVALID_ADDRESS`, `ERR_INVALID_OPTION`.
   */
  constructor(
    loop: Loop,
    stream: Stream<Data>,
    options: ConnectOptions<Data>,
    names: Resolve = resolve,
  ) {
    super();
    checkDestination(loop, options);
    const { proxyProtocol } = options;
    if (proxyProtocol !== undefined) this.#header = encodeProxyHeader(proxyProtocol);
    this.#loop = loop;
    this.#stream = stream;
    this.#options = options;
    this.#resolve = names;
    stream.connecting(this);
    // A connect keeps the process alive from the start, before it has a descriptor.
    loop.hold(this);
    if (options.connectTimeoutMs !== undefined) {
      this.#timeout = loop.timers.limit(options.connectTimeoutMs, () => this.#timedOut());
    }
    if (options.signal !== undefined) destroyOnAbort(stream, options.signal);
    this.#begin();
  }

  override abandon(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const timer of [this.#timeout, this.#start, this.#next]) timer?.cancel();
    for (const attempt of this.#attempts) attempt.abandon();
    this.#attempts.clear();
    this.#loop.release(this);
  }

  override shut(error?: Error): void {
    this.#stream.destroy(error);
  }

  #begin(): void {
    const { port = 0, path } = this.#options;
    const host = hostOf(this.#options) ?? "localhost";
    if (path !== undefined) {
      this.#soon([{ path }]);
    } else if (isLiteral(host)) {
      this.#soon([{ address: host, port }]);
    } else {
      this.#resolve(host).then(
        (found) => this.#tryAll(found.map(({ address }) => ({ address, port }))),
        (error: Error) => this.#giveUp(error),
      );
    }
  }

  /** Starts in the next turn, so that every event follows the return of `connect`. */
  #soon(addresses: SocketAddress[]): void {
    this.#start = this.#loop.timers.add(0, () => this.#tryAll(addresses), false);
  }

  #tryAll(addresses: SocketAddress[]): void {
    if (this.#ended) return;
    this.#addresses = interleaved(addresses);
    this.#tryNext();
  }

  /** Tries addresses until one does not fail at once. */
  #tryNext(): void {
    this.#next?.cancel();
    for (;;) {
      const address = this.#addresses.shift();
      if (address === undefined) {
        if (this.#attempts.size === 0) this.#giveUp(this.#failure([]));
        return;
      }
      const attempt = new Attempt(this.#loop, address, (it, errno) => this.#finished(it, errno));
      this.#attempts.add(attempt);
      const started = attempt.start(this.#options);
      if (started === true) {
        if (this.#succeed(attempt)) return;
      } else if (started === false) {
        // Of one address there is no other to try.
        if (this.#addresses.length > 0) {
          this.#next = this.#loop.timers.limit(ATTEMPT_DELAY_MS, () => this.#tryNext());
        }
        return;
      } else {
        this.#failed(attempt, started);
      }
    }
  }

  #finished(attempt: Attempt, errno: number): void {
    if (errno !== 0) this.#failed(attempt, socketError("connect", errno, attempt.address));
    else if (this.#succeed(attempt)) return;
    this.#tryNext();
  }

  #failed(attempt: Attempt, error: SysError): void {
    attempt.abandon();
    this.#attempts.delete(attempt);
    this.#errors.push(error);
  }

  /** Passes the socket to the stream. @returns false if it could not be used after all. */
  #succeed(attempt: Attempt): boolean {
    const sent = this.#sendHeader(attempt.fd);
    if (sent < 0) {
      this.#failed(attempt, socketError("send", -sent, attempt.address));
      return false;
    }
    const { fd, slot } = attempt.release();
    this.abandon();
    const result = this.#stream.attach(fd, slot);
    if (result >= 0) return true;
    this.#loop.kernel.libc.close(fd);
    this.#stream.destroy(this.#loop.descriptorError("connect", result, fd));
    return true;
  }

  /** Sends the PROXY header at once: a new socket has room for it. @returns `-errno` if it could not. */
  #sendHeader(fd: number): number {
    const bytes = this.#header;
    if (bytes === undefined) return 0;
    const { kernel } = this.#loop;
    const arena = borrow(kernel, bytes.length);
    arena.u8.set(bytes, AT_BYTES);
    const flags = this.#stream.pendingBytes > 0 ? SEND_MORE : 0;
    const at = arena.address + AT_BYTES;
    const sent = sendNow(kernel.libc, fd, at, bytes.length, flags);
    giveBack(kernel, arena);
    return sent < 0 || sent === bytes.length ? sent : -ERRNO.ENOBUFS;
  }

  #timedOut(): void {
    const late = [...this.#attempts].map(({ address }) => address);
    this.#giveUp(this.#failure(late.length === 0 ? [undefined] : late));
  }

  /** The error of all addresses. @param late - Those that have not answered in time. */
  #failure(late: readonly (SocketAddress | undefined)[]): Error {
    const timeouts = late.map((address) => socketError("connect", ERRNO.ETIMEDOUT, address));
    const errors = [...this.#errors, ...timeouts];
    if (errors.length === 0) errors.push(new SysError("connect", ERRNO.EADDRNOTAVAIL));
    const what = `${hostOf(this.#options) ?? "localhost"} port ${this.#options.port}`;
    return connectError(errors, what, late.length > 0 ? "ETIMEDOUT" : undefined);
  }

  #giveUp(error: Error): void {
    if (this.#ended) return;
    this.abandon();
    const { reportsFailure } = this.#stream;
    this.#stream.destroy(error);
    if (!reportsFailure) this.#loop.fail(error);
  }
}

/** The host by either of its names. */
function hostOf({ host, hostname }: Pick<ConnectOptions, "host" | "hostname">): string | undefined {
  return host === undefined ? hostname : host;
}

/** Whether `host` is an IP address, which may have a zone if it is of IPv6. */
function isLiteral(host: string): boolean {
  const at = host.indexOf("%");
  return at < 0 ? ipVersion(host) !== 0 : ipVersion(host.slice(0, at)) === 6;
}

/** Encodes the addresses only to check them, so that `connect` itself throws for an invalid one. */
function checkDestination<Data>(loop: Loop, options: ConnectOptions<Data>): void {
  const { port, path, localAddress, connectTimeoutMs } = options;
  if (options.host !== undefined && options.hostname !== undefined) {
    throw typeError("ERR_INVALID_OPTION", "Cannot connect to a host and a hostname: give one");
  }
  const host = hostOf(options);
  if (path !== undefined && (host !== undefined || port !== undefined)) {
    throw typeError("ERR_INVALID_OPTION", "Cannot connect to a path and a port at once: give one");
  }
  if (host !== undefined && typeof host !== "string") {
    throw typeError(
      "ERR_INVALID_ADDRESS",
      `Cannot connect to the host ${show(host)}: give a string`,
    );
  }
  if (path === undefined && port === undefined) {
    throw typeError("ERR_INVALID_PORT", "Cannot connect without an address: give port or path");
  }
  const address: SocketAddress =
    path !== undefined
      ? { path }
      : { address: isLiteral(host ?? "") ? (host as string) : "127.0.0.1", port: portOf(port) };
  const { kernel } = loop;
  encodeAddress(kernel.scratch, 0, address, undefined, kernel);
  if (localAddress !== undefined) {
    encodeAddress(kernel.scratch, 0, localAddress, undefined, kernel);
  }
  checkTimeout("connectTimeoutMs", connectTimeoutMs);
  checkSignal(options.signal);
}
