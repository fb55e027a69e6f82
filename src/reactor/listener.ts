import { show, typeError } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import { acceptNow } from "../engine/calls.ts";
import type { SocketAddress } from "../socket/address.ts";
import { IPPROTO_TCP, TCP_NODELAY } from "../socket/constants.ts";
import {
  type ListenOptions as ListenerAddress,
  openListener,
  sharesPort,
  takeListener,
} from "../socket/listener.ts";
import { readLocalAddress, setIntOption } from "../socket/raw.ts";
import type { Connection, ConnectionOptions, Handlers } from "./connection.ts";
import { type Loop, Owner } from "./loop.ts";
import { refusal, tooLargeHint } from "./refusal.ts";
import { Stream } from "./stream.ts";
import { profileOf, type StreamProfile } from "./stream-profile.ts";
import type { Timer } from "./timers.ts";

/** Where to listen, what to do with the connections, and how they are treated. */
export interface ListenOptions<Data = unknown>
  extends Handlers<Data>,
    ConnectionOptions,
    Omit<ListenerAddress, "nonBlocking" | "type"> {
  /**
   * Instead of an address: a socket that listens already, opened by another thread, or handed down by
   * whoever started this process. It is made non-blocking here, and closed with the listener. Options
   * on how to open a socket say nothing then.
   */
  readonly fd?: number;
  /**
   * Other processes or threads accept from the same socket, and each connection is to wake one of them:
   * EPOLLEXCLUSIVE. Default false; poll and select wake all of them in any case, an io_uring one.
   */
  readonly exclusive?: boolean;
  /** Accepts no more than so many at once; the rest wait in the backlog. Default: no limit. */
  readonly maxConnections?: number;
  /**
   * The listener could not accept: no descriptor (`EMFILE`, `ENFILE`) or no memory is left. It pauses,
   * and goes on by itself when a descriptor is free. Told once each time it has to pause; without this
   * handler, as a warning of the process.
   */
  acceptError?(listener: Listener, error: SysError): void;
  /**
   * One of its connections is closed, whoever had it in the end: called before `close`, and also when that goes
   * to other handlers, because the connection was handed over.
   */
  gone?(connection: Connection): void;
}

/** A listening socket of a reactor. */
export interface Listener extends Disposable {
  /** Where it listens; `null` once it is closed. */
  readonly address: SocketAddress | null;
  /** The port it listens on; -1 for a unix socket or once it is closed. */
  readonly port: number;
  /** How many of its connections are open. */
  readonly connections: number;
  /** The descriptor, or -1 once it is closed. */
  fileno(): number;
  /**
   * Stops listening. Connections that it accepted go on; those that wait in the backlog of a
   * `reusePort` listener are accepted first, since the kernel would reset them. Safe to call twice.
   */
  close(): void;
}

/** How long a starved listener waits before it tries again by itself, doubled each time. */
const FIRST_BACKOFF_MS = 50;
const LAST_BACKOFF_MS = 1000;

/** A listener from the inside. */
export class AcceptingListener<Data> extends Owner implements Listener {
  connections = 0;
  #closing = false;
  readonly #loop: Loop;
  readonly #options: ListenOptions<Data>;
  readonly #profile: StreamProfile<Data>;
  readonly #slot: number;
  #fd: number;
  #address: SocketAddress | null;
  #retry: Timer | undefined;
  #backoffMs = FIRST_BACKOFF_MS;
  /** Since it last accepted: it was told that there is no descriptor. */
  #reported = false;

  constructor(loop: Loop, options: ListenOptions<Data>) {
    super();
    checkMaxConnections(options.maxConnections);
    const { kernel, engine } = loop;
    this.#loop = loop;
    this.#options = options;
    this.#profile = profileOf(options, (connection) => this.#connectionClosed(connection));
    this.#fd =
      options.fd === undefined
        ? openListener(kernel, { ...options, nonBlocking: true })
        : takeListener(kernel, options.fd, options);
    this.#address = readLocalAddress(kernel, this.#fd);
    // Accepted sockets inherit it, which saves a call for each.
    if (this.#address?.path === undefined && options.noDelay !== false) {
      setIntOption(kernel, this.#fd, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    this.#slot = loop.take(this);
    const result = engine.listen(this.#slot, this.#fd, options.exclusive === true);
    if (result < 0) {
      if (options.fd === undefined) kernel.libc.close(this.#fd);
      loop.giveBack(this.#slot);
      throw refusal(loop, "listen", result, this.#fd);
    }
  }

  get address(): SocketAddress | null {
    return this.#address;
  }

  get port(): number {
    return this.#address?.port ?? -1;
  }

  fileno(): number {
    return this.#fd;
  }

  close(): void {
    // Within a handler of a connection that is accepted just now, the first call goes on after it.
    if (this.#fd < 0 || this.#closing) return;
    this.#closing = true;
    if (sharesPort(this.#loop.kernel, this.#fd)) this.#acceptBacklog();
    this.abandon();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  override abandon(): void {
    if (this.#fd < 0) return;
    this.#retry?.cancel();
    this.#loop.starved.delete(this);
    this.#fd = -1;
    this.#address = null;
    this.#loop.engine.close(this.#slot);
  }

  override accepted(fd: number): void {
    const { maxConnections = Number.POSITIVE_INFINITY, reusePort } = this.#options;
    // The kernel had accepted it before it heard of the end: without reusePort it would have waited in
    // the backlog, which goes with the listener.
    if (this.#fd < 0 && !(this.#closing && reusePort === true)) {
      this.#loop.kernel.libc.close(fd);
      return;
    }
    this.connections++;
    const result = new Stream(this.#loop, this.#profile, false).opened(fd);
    if (result < 0) {
      this.connections--;
      this.#loop.kernel.libc.close(fd);
      this.acceptFailed(-result);
      return;
    }
    this.#backoffMs = FIRST_BACKOFF_MS;
    this.#reported = false;
    if (this.connections >= maxConnections && this.#fd >= 0) {
      this.#loop.engine.setAccepting(this.#slot, false);
    }
  }

  override acceptFailed(errno: number): void {
    const { engine, starved, timers } = this.#loop;
    engine.setAccepting(this.#slot, false);
    starved.add(this);
    this.#retry?.cancel();
    this.#retry = timers.add(this.#backoffMs, () => this.descriptorFreed(), false);
    this.#backoffMs = Math.min(this.#backoffMs * 2, LAST_BACKOFF_MS);
    if (this.#reported) return;
    this.#reported = true;
    this.#report(errno);
  }

  override descriptorFreed(): void {
    const { starved } = this.#loop;
    if (!starved.delete(this)) return;
    this.#retry?.cancel();
    this.#accept();
  }

  #accept(): void {
    const { maxConnections = Number.POSITIVE_INFINITY } = this.#options;
    if (this.#fd < 0 || this.connections >= maxConnections) return;
    this.#loop.engine.setAccepting(this.#slot, true);
  }

  #connectionClosed(connection: Connection): void {
    this.connections--;
    try {
      this.#options.gone?.(connection);
    } catch (thrown) {
      this.#loop.fail(thrown);
    }
    if (this.#options.maxConnections !== undefined && !this.#loop.starved.has(this)) this.#accept();
  }

  #acceptBacklog(): void {
    for (;;) {
      const fd = acceptNow(this.#loop.kernel.libc, this.#fd);
      if (fd < 0) return;
      this.accepted(fd);
    }
  }

  #report(errno: number): void {
    const { acceptError } = this.#options;
    const hint =
      tooLargeHint(this.#loop, errno) ??
      "accepting is paused until a descriptor is free; raise the limit (ulimit -n) or set maxConnections";
    const error = new SysError("accept4", errno, { fd: this.#fd, hint });
    if (acceptError === undefined) {
      process.emitWarning(`${error.message}: ${hint}`, "PolloiWarning");
      return;
    }
    try {
      acceptError.call(this.#options, this, error);
    } catch (thrown) {
      this.#loop.fail(thrown);
    }
  }
}

function checkMaxConnections(max: number | undefined): void {
  if (max === undefined || (typeof max === "number" && max >= 1)) return;
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot use ${show(max)} as maxConnections: give 1 or more`,
  );
}
