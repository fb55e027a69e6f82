import { booleanOf, type NamesOf } from "../base/argument.ts";
import { Backoff } from "../base/backoff.ts";
import { ERRNO } from "../base/errno.ts";
import { type Fields, printAs } from "../base/inspect.ts";
import { fromCaller, numberError, show, typeError } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import { acceptNow, isOutOfResources } from "../engine/calls.ts";
import type { ProxyFailure } from "../proxy/header.ts";
import { formatAddress, type SocketAddress } from "../socket/address.ts";
import { IPPROTO_TCP, TCP_NODELAY } from "../socket/constants.ts";
import {
  checkAddressGiven,
  LISTEN_ADDRESS,
  type ListenOptions as ListenerAddress,
  openServer,
  refuseConnections,
  sharesPort,
  takeListener,
} from "../socket/listener.ts";
import { readLocalAddress, resetOnClose, setIntOption } from "../socket/raw.ts";
import { SocketFile } from "../socket/socket-file.ts";
import { inCurrentContext } from "../sys/async-context.ts";
import type { TlsServerOptions } from "../tls/options.ts";
import { acceptHint } from "./accept-error.ts";
import {
  CONNECTION_OPTIONS,
  type Connection,
  type ConnectionOptions,
  type Handlers,
} from "./connection.ts";
import { DescriptorOwner } from "./descriptor-owner.ts";
import { GracePeriod } from "./grace-period.ts";
import type { Loop } from "./loop.ts";
import { checkCallbacks, checkTimeout } from "./options.ts";
import {
  type ProxiedConnections,
  type ProxyProtocolOptions,
  proxiedConnections,
} from "./proxied.ts";
import { profileOf, Stream, type StreamListener, type StreamProfile } from "./stream.ts";
import type { Timer } from "./timers.ts";
import { serverEndpoint } from "./tls-endpoint.ts";
import { type TlsEndpoint, TlsStream } from "./tls-stream.ts";

/** The address of a listener, the handlers of its connections, and their options. */
export interface ListenOptions<Data = unknown>
  extends Handlers<Data>,
    ConnectionOptions,
    Omit<ListenerAddress, "nonBlocking" | "type"> {
  /**
   * Instead of an address: a listening socket that another thread opened or that was inherited from the parent
   * process. It is set non-blocking and close-on-exec, and closed with the listener. The file of a unix socket is not
   * removed. The options for opening a socket have no effect.
   */
  readonly fd?: number;
  /**
   * Whether a connection wakes only one of the processes or threads that accept from the same socket. Default false.
   *
   * @remarks
   * On epoll this is EPOLLEXCLUSIVE. poll and select always wake all of them, io_uring always wakes one.
   */
  readonly exclusive?: boolean;
  /** The most open connections, from 1 up. Further connections wait in the backlog. Default: no limit. */
  readonly maxConnections?: number;
  /**
   * Whether proxies in front of the listener begin each connection with a PROXY header, of version 1 or 2. `true` stands
   * for proxies on this machine. Default false.
   *
   * @remarks
   * The header comes before everything else. `open` is called after it, and `remoteAddress` and `localAddress` of the
   * connection are those of the client. A connection whose header is missing, malformed or late is closed without a call
   * of its handlers, and counted in {@link Listener.proxyFailures}.
   *
   * @source https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
   */
  readonly proxyProtocol?: boolean | ProxyProtocolOptions;
  /**
   * Serves TLS, with these settings. `open` is called when the handshake is done. A connection whose handshake fails is
   * closed without a call of its handlers.
   *
   * @example
   * ```ts
   * import { readFileSync } from "node:fs";
   *
   * listen({
   *   port: 7788,
   *   tls: { cert: readFileSync("cert.pem"), key: readFileSync("key.pem") },
   *   data: (connection, bytes) => connection.write(bytes),
   * });
   * ```
   */
  readonly tls?: TlsServerOptions;
  /**
   * Called when the listener cannot accept: no descriptor (`EMFILE`, `ENFILE`) or no memory is left, accepting is
   * forbidden (`EACCES`, `EPERM`), or 32 connections in a row failed while they were accepted.
   *
   * @remarks
   * The listener pauses, and tries again when a descriptor is closed, and after 50 ms to 1 s in any case. This is
   * called once until a connection is accepted again. Without it, the process emits a warning.
   *
   * @param error - Its `fd` is the listening descriptor, and its `hint` says what to do.
   */
  acceptError?(error: SysError): void;
  /** Stops the listener when it aborts, as {@link Listener.stop} does. If it has aborted already, its reason is thrown. */
  readonly signal?: AbortSignal;
}

export const LISTEN_OPTIONS: NamesOf<ListenOptions> = {
  ...CONNECTION_OPTIONS,
  ...LISTEN_ADDRESS,
  fd: true,
  exclusive: true,
  maxConnections: true,
  proxyProtocol: true,
  tls: true,
  acceptError: true,
  signal: true,
};

/** A listening socket of a reactor. */
export interface Listener extends Disposable {
  /** The address that it listens on; `null` once it is closed. */
  readonly address: SocketAddress | null;
  /** The port that it listens on; -1 for a unix socket, or once it is closed. */
  readonly port: number;
  /** The number of open connections that it accepted. */
  readonly connections: number;
  /**
   * The number of connections that were closed because of their PROXY header, by the reason: see `proxyProtocol` of
   * {@link ListenOptions}.
   */
  readonly proxyFailures: Readonly<Partial<Record<ProxyFailure, number>>>;
  /** The descriptor, or -1 once it is closed. */
  fileno(): number;
  /**
   * Replaces the settings of TLS for connections that are accepted from now on, such as a certificate that is about to
   * expire. Other connections continue.
   *
   * @throws TypeError or RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_TIMEOUT`: the settings stay as they were.
   * TypeError `ERR_UNSUPPORTED` if it was opened without TLS; `ERR_CLOSED`.
   */
  setTls(options: TlsServerOptions): void;
  /**
   * Stops the server gracefully.
   *
   * @remarks
   * 1. New connections are refused. Connections in the backlog are accepted and served; those that `maxConnections`
   *    or a missing descriptor holds up are accepted as others close. A TCP client whose first packet arrives at this
   *    moment retries after a second.
   * 2. The listening descriptor is closed, usually before this returns.
   * 3. Each connection finishes: bytes that have arrived are delivered, and then its protocol ends it (see
   *    {@link Handlers.stopping}).
   * 4. Connections that are left after `graceMs` are destroyed.
   *
   * A second call may shorten the grace period, and never extends it. A listener that was given by `fd` does not
   * refuse connections on behalf of the other processes that have the socket: it accepts the backlog and closes its own
   * descriptor.
   *
   * @param graceMs - Milliseconds, from 0 up. 0 destroys every connection at once, and accepts none. Default 10,000.
   * @returns Resolves when the descriptor and all connections that this listener accepted are closed. Never
   * rejects.
   * @throws TypeError or RangeError `ERR_INVALID_TIMEOUT`
   */
  stop(graceMs?: number): Promise<void>;
  /**
   * Stops listening at once. Connections that were accepted continue without a limit.
   *
   * @remarks
   * The kernel resets connections in the backlog: their clients see `ECONNRESET`, and cannot mistake this for an empty
   * reply. {@link Listener.stop} serves them. A listener with `reusePort` serves them too, because others continue to
   * serve its port. Calling it twice is safe.
   */
  close(): void;
  /** Keeps the process alive again after {@link Listener.unref}. Calling it twice has no effect. */
  ref(): void;
  /**
   * Allows the process to end although the listener is open. By default an open listener keeps it alive. Connections
   * keep the process alive in any case.
   *
   * @remarks
   * `run()` of the reactor returns when only such listeners are left. Calling it twice has no effect.
   */
  unref(): void;
}

/** The default grace period of a server that stops, in milliseconds. */
export const DEFAULT_GRACE_MS = 10_000;

/** The inside of a listener, for a pool of workers. */
export function acceptingOf(listener: Listener): AcceptingListener<unknown> {
  // A reactor makes no other listeners.
  return listener as AcceptingListener<unknown>;
}

/** A listener: it accepts connections, counts them, and stops. */
export class AcceptingListener<Data> extends DescriptorOwner implements Listener, StreamListener {
  static {
    printAs<AcceptingListener<unknown>>(AcceptingListener, (it) => it.#fields(), "Listener");
  }

  connections = 0;
  stopping = false;
  /**
   * For a pool: called when a connection that this listener accepted has closed, before `close` of its handlers, and
   * also when it was handed over to other handlers.
   */
  onConnectionClosed: ((connection: Connection) => void) | undefined;
  /** Called when it is closed, and so are its connections: nothing is left to stop. May be called again. */
  onEnded: (() => void) | undefined;
  #closing = false;
  /** Whether connections are served that io_uring reports after the descriptor was closed. */
  #servesLate = false;
  /** Set when the listener stops. */
  #grace: GracePeriod | undefined;
  /** Descriptors that io_uring accepted beyond `maxConnections` while the listener stops. */
  readonly #waiting: number[] = [];
  readonly #maxConnections: number;
  readonly #options: ListenOptions<Data>;
  readonly #profile: StreamProfile<Data>;
  readonly #acceptError: ((error: SysError) => void) | undefined;
  readonly #proxied: ProxiedConnections | undefined;
  #tls: TlsEndpoint | undefined;
  readonly #slot: number;
  #fd: number;
  #address: SocketAddress | null;
  readonly #file: SocketFile | undefined;
  #retry: Timer | undefined;
  readonly #backoff = new Backoff();
  /** Accepting has failed, and is retried after a delay. */
  #paused = false;

  constructor(loop: Loop, options: ListenOptions<Data>) {
    super(loop);
    checkMaxConnections(options.maxConnections);
    checkCallbacks(options, ["acceptError"]);
    const exclusive = booleanOf(options.exclusive, "exclusive", false);
    const { kernel, engine } = loop;
    this.#options = options;
    this.#maxConnections = options.maxConnections ?? Number.POSITIVE_INFINITY;
    const proxied = proxiedConnections(loop, options.proxyProtocol);
    this.#proxied = proxied;
    const prefaceOf = proxied && ((stream: Stream<Data>) => proxied.prefaceOf(stream));
    this.#acceptError = options.acceptError && inCurrentContext(options.acceptError.bind(options));
    this.#profile = profileOf(options, this, prefaceOf);
    if (options.fd === undefined) checkAddressGiven(options, "port, path, address or fd");
    if (options.tls !== undefined) this.#tls = serverEndpoint(kernel, options.tls);
    try {
      this.#fd =
        options.fd === undefined
          ? openServer(kernel, { ...options, nonBlocking: true })
          : takeListener(kernel, options.fd, options);
    } catch (error) {
      this.#tls?.context.dispose();
      throw error;
    }
    this.#address = readLocalAddress(kernel, this.#fd);
    // A socket that was given is shared with others, who remove its file.
    if (options.fd === undefined) this.#file = SocketFile.of(kernel, this.#address);
    // Accepted sockets inherit the option, which saves a call for each.
    if (this.#address?.path === undefined && options.noDelay !== false) {
      setIntOption(kernel, this.#fd, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    this.#slot = loop.take(this);
    const result = engine.listen(this.#slot, this.#fd, exclusive);
    if (result < 0) {
      this.#file?.remove();
      if (options.fd === undefined) kernel.libc.close(this.#fd);
      loop.giveBack(this.#slot);
      this.#tls?.context.dispose();
      throw loop.descriptorError("listen", result, this.#fd);
    }
  }

  get address(): SocketAddress | null {
    return this.#address;
  }

  get proxyFailures(): Readonly<Partial<Record<ProxyFailure, number>>> {
    return this.#proxied?.failures ?? {};
  }

  /** The fields that `console.log` prints. */
  #fields(): Fields {
    const { address, connections } = this;
    return {
      fd: this.#fd,
      address: address === null ? null : formatAddress(address),
      connections,
      state: this.#fd < 0 ? "closed" : "listening",
    };
  }

  get port(): number {
    return this.#address?.port ?? -1;
  }

  fileno(): number {
    return this.#fd;
  }

  stop(graceMs: number = DEFAULT_GRACE_MS): Promise<void> {
    checkTimeout("graceMs", graceMs);
    const isFirst = !this.stopping;
    this.stopping = true;
    this.#grace ??= new GracePeriod(this.loop, {
      finish: () => this.#eachConnection((stream) => stream.stop()),
      cutOff: () => this.#cutOff(),
    });
    this.#grace.limit(graceMs);
    if (isFirst && this.#fd >= 0) {
      const { kernel, engine } = this.loop;
      engine.setAccepting(this.#slot, false);
      if (this.#options.fd === undefined) refuseConnections(kernel, this.#fd);
      this.#acceptRest();
    }
    this.#checkEnded();
    return this.#grace.ended;
  }

  close(): void {
    // acceptBacklog() calls handlers, which may call this again.
    if (this.#fd < 0 || this.#closing || this.stopping) return;
    this.#closing = true;
    const shares = sharesPort(this.loop.kernel, this.#fd);
    // Others continue to serve the same port or socket, so connections that were accepted here must be served.
    this.#servesLate = shares || this.#options.fd !== undefined;
    if (shares) this.#acceptBacklog(Number.POSITIVE_INFINITY);
    this.abandon();
  }

  setTls(options: TlsServerOptions): void {
    fromCaller(AcceptingListener.prototype.setTls, () => {
      if (this.#fd < 0) {
        throw typeError("ERR_CLOSED", "Cannot set TLS: the listener is closed");
      }
      if (this.#tls === undefined) {
        throw typeError("ERR_UNSUPPORTED", "Cannot set TLS: the listener was opened without it");
      }
      const before = this.#tls;
      this.#tls = serverEndpoint(this.loop.kernel, options);
      before.context.dispose();
    });
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Accepts the backlog, although the kernel has not reported it to this listener.
   *
   * @remarks
   * For a listener that is shared with a thread or process that does not respond: the kernel wakes only one of them
   * for each connection.
   */
  acceptWaiting(): void {
    if (!this.stopping && !this.#paused) this.#acceptBacklog(this.#maxConnections);
  }

  override abandon(): void {
    if (this.#fd < 0) return;
    // The loop counts the slot until the engine has released it.
    this.ref();
    this.#retry?.cancel();
    this.loop.starved.delete(this);
    this.#fd = -1;
    this.#address = null;
    this.#file?.remove();
    // A listener that stops may accept others later.
    if (!this.stopping) this.#tls?.context.dispose();
    this.loop.engine.close(this.#slot);
    this.#checkEnded();
  }

  override shut(): void {
    for (const fd of this.#waiting.splice(0)) this.#refuse(fd);
    this.loop.release(this);
    this.abandon();
  }

  override accepted(fd: number): void {
    if (this.loop.isShutting || (this.#fd < 0 && !this.#servesLate)) {
      // io_uring had accepted it already. On any other engine it would be in the backlog, and be reset.
      this.#refuse(fd);
      return;
    }
    if (this.stopping && this.connections >= this.#maxConnections) {
      // Closed with the reactor, although the listener may have no slot any more.
      if (this.#waiting.length === 0) this.loop.hold(this);
      this.#waiting.push(fd);
      return;
    }
    this.connections++;
    const stream =
      this.#tls === undefined
        ? new Stream(this.loop, this.#profile, false)
        : new TlsStream(this.loop, this.#profile, false, this.#tls);
    const result = stream.attach(fd);
    if (result < 0) {
      this.connections--;
      this.loop.kernel.libc.close(fd);
      this.acceptFailed(-result);
      return;
    }
    this.#backoff.reset();
    if (this.stopping) stream.stop();
    else if (this.connections >= this.#maxConnections && this.#fd >= 0) {
      this.loop.engine.setAccepting(this.#slot, false);
    }
  }

  override acceptFailed(errno: number): void {
    if (this.#fd < 0) return;
    const { engine, starved, timers } = this.loop;
    engine.setAccepting(this.#slot, false);
    this.#paused = true;
    if (isOutOfResources(errno) || this.loop.descriptorHint(errno) !== undefined) starved.add(this);
    this.#retry?.cancel();
    const { delayMs, isFirst } = this.#backoff.next();
    this.#retry = timers.add(delayMs, () => this.#tryAgain(), false);
    if (isFirst) this.#report(errno);
  }

  override descriptorFreed(): void {
    if (this.loop.starved.has(this)) this.#tryAgain();
  }

  #tryAgain(): void {
    this.#paused = false;
    this.loop.starved.delete(this);
    this.#retry?.cancel();
    this.#accept();
  }

  closed(connection: Connection): void {
    this.connections--;
    try {
      this.onConnectionClosed?.(connection);
    } catch (thrown) {
      this.loop.fail(thrown);
    }
    if (this.#options.maxConnections !== undefined && !this.#paused) this.#accept();
    this.#checkEnded();
  }

  #accept(): void {
    if (this.loop.isShutting) return;
    if (this.stopping) {
      this.#acceptRest();
    } else if (this.#fd >= 0 && this.connections < this.#maxConnections) {
      const result = this.loop.engine.setAccepting(this.#slot, true);
      if (result < 0) this.acceptFailed(-result);
    }
  }

  /** Accepts the backlog while the listener stops, and closes the descriptor when it is empty. */
  #acceptRest(): void {
    if (!this.#acceptBacklog(this.#maxConnections)) return;
    this.#servesLate = true;
    this.abandon();
    while (this.#waiting.length > 0 && this.connections < this.#maxConnections) {
      this.accepted(this.#waiting.shift() as number);
    }
    if (this.#waiting.length === 0) this.loop.release(this);
  }

  /** @returns Whether the backlog is empty. */
  #acceptBacklog(maxConnections: number): boolean {
    const { libc } = this.loop.kernel;
    while (this.#fd >= 0) {
      if (this.connections >= maxConnections) return false;
      const fd = acceptNow(libc, this.#fd);
      // EINVAL and EBADF: it does not listen any more, and has no backlog.
      if (fd === -ERRNO.EAGAIN || fd === -ERRNO.EINVAL || fd === -ERRNO.EBADF) return true;
      if (fd < 0) this.acceptFailed(-fd);
      else this.accepted(fd);
      if (this.#paused) return false;
    }
    return true;
  }

  #cutOff(): void {
    this.#servesLate = false;
    this.abandon();
    for (const fd of this.#waiting.splice(0)) this.#refuse(fd);
    this.loop.release(this);
    this.#eachConnection((stream) => stream.destroy());
  }

  #refuse(fd: number): void {
    resetOnClose(this.loop.kernel, fd);
    this.loop.kernel.libc.close(fd);
  }

  #eachConnection(visit: (stream: Stream<unknown>) => void): void {
    this.loop.forEach((owner) => {
      if (owner instanceof Stream && owner.listener === this) visit(owner);
    });
  }

  #checkEnded(): void {
    if (this.#fd >= 0 || this.connections + this.#waiting.length > 0) return;
    this.onEnded?.();
    if (!this.stopping) return;
    this.#tls?.context.dispose();
    this.#grace?.end();
  }

  #report(errno: number): void {
    const acceptError = this.#acceptError;
    const hint = this.loop.descriptorHint(errno) ?? acceptHint(errno);
    const error = new SysError("accept4", errno, { fd: this.#fd, hint });
    if (acceptError === undefined) {
      process.emitWarning(`${error.message}: ${hint}`, "PolloiWarning");
      return;
    }
    try {
      acceptError(error);
    } catch (thrown) {
      this.loop.fail(thrown);
    }
  }
}

function checkMaxConnections(max: number | undefined): void {
  if (max === undefined || (typeof max === "number" && max >= 1)) return;
  throw numberError(
    "ERR_INVALID_OPTION",
    max,
    `Cannot use ${show(max)} as maxConnections: give a number from 1 up`,
  );
}
