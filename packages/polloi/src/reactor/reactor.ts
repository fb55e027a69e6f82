import { type NamesOf, objectOf, optionsOf } from "../base/argument.ts";
import { type FileObject, filenoOf } from "../base/descriptor.ts";
import { type Fields, printAs } from "../base/inspect.ts";
import { fromCaller, typeError } from "../base/misuse.ts";
import { delayOf, naturalTimeoutOf } from "../base/timeout.ts";
import {
  checkEngine,
  ENGINE_OPTIONS,
  type EngineChoice,
  type EngineOptions,
  makeEngine,
} from "../engine/choose.ts";
import type { EngineName, Reporting, Trigger } from "../engine/engine.ts";
import { IPPROTO_TCP, TCP_NODELAY } from "../socket/constants.ts";
import { closeOnExec, setIntOption } from "../socket/raw.ts";
import { F_GETFL, F_SETFL, O_NONBLOCK } from "../sys/abi.ts";
import { inCurrentContext } from "../sys/async-context.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernelOf } from "../sys/open.ts";
import type { Connection, ConnectionOptions, Handlers } from "./connection.ts";
import { CONNECT_OPTIONS, type ConnectOptions, Connector } from "./connector.ts";
import { CONNECT_COUNTERPARTS, LISTEN_COUNTERPARTS } from "./counterparts.ts";
import {
  DATAGRAM_OPTIONS,
  type DatagramOptions,
  type DatagramSocket,
  Datagrams,
} from "./datagrams.ts";
import { Hosted } from "./hosted.ts";
import {
  AcceptingListener,
  LISTEN_OPTIONS,
  type Listener,
  type ListenOptions,
} from "./listener.ts";
import { Loop } from "./loop.ts";
import { checkCallback, checkConnectionOptions } from "./options.ts";
import { profileOf, Stream } from "./stream.ts";
import { checkSignal, stopOnAbort } from "./streams/abort.ts";
import type { Timer } from "./timers.ts";
import { clientEndpoint } from "./tls-endpoint.ts";
import { TlsStream } from "./tls-stream.ts";
import { checkEvents, DescriptorWatch, type Watch, type WatchCallback } from "./watch.ts";

/** Options of a reactor. */
export interface ReactorOptions extends EngineOptions {
  /** @internal The kernel to call. Default: the one of this thread. Tests pass a kernel whose calls fail on command. */
  readonly kernel?: Kernel;
}

/** The options of the functions that also select the reactor. */
const LISTEN_ANYWHERE_OPTIONS: NamesOf<ListenOptions & ReactorChoice> = {
  ...LISTEN_OPTIONS,
  ...ENGINE_OPTIONS,
};
const CONNECT_ANYWHERE_OPTIONS: NamesOf<ConnectOptions & ReactorChoice> = {
  ...CONNECT_OPTIONS,
  ...ENGINE_OPTIONS,
};
const BIND_ANYWHERE_OPTIONS: NamesOf<DatagramOptions & ReactorChoice> = {
  ...DATAGRAM_OPTIONS,
  ...ENGINE_OPTIONS,
};
const REACTOR_OPTIONS: NamesOf<ReactorOptions> = { ...ENGINE_OPTIONS, kernel: true };

/**
 * An event loop on one thread: listeners, connections, watched descriptors and timers.
 *
 * @remarks
 * By default a reactor is *hosted*: it runs inside the runtime's own event loop, next to the runtime's timers,
 * promises and signal handlers, and keeps the process alive while anything is open in it. {@link Reactor.run}
 * makes it *blocking* instead: the reactor takes over the thread. That suits a worker, or a process that does
 * nothing else.
 *
 * @example
 * ```ts
 * const reactor = new Reactor({ engine: "epoll" });
 * reactor.listen({ port: 7788, data: (connection, bytes) => connection.write(bytes) });
 * reactor.run();
 * ```
 */
export interface Reactor extends Disposable {
  /** The engine in use. */
  readonly engine: EngineName;
  /**
   * How the engine reports: `"level"` reports a descriptor in every turn in which it is ready, `"edge"` once each
   * time that it becomes ready, `"completion"` (io_uring) reports finished operations.
   */
  readonly trigger: Reporting;
  /** Whether anything is open that can call back: a listener, a connection, a watch or a timer. */
  readonly alive: boolean;
  /**
   * Returns a descriptor that is readable when {@link Reactor.turn} has work to do, so that another event loop can
   * watch the reactor. Returns -1 once the reactor is closed.
   */
  fileno(): number;
  /**
   * Listens on an address, and serves every connection with the handlers in `options`.
   *
   * @returns The listener, which accepts connections from the next turn on.
   * @throws SysError `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`, `EMFILE`; TypeError or RangeError for an invalid
   * option; TypeError `ERR_CLOSED`.
   */
  listen<Data = unknown>(options: ListenOptions<Data>): Listener;
  /**
   * Connects to an address, and serves the connection with the handlers in `options`: `open` when it is
   * established, or `error` and then `close` when it fails.
   *
   * @remarks
   * Data may be written at once; it is sent when the connection is established. If the connection fails and there
   * is neither an `error` nor a `close` handler, the process fails, so that the failure is not lost. Names are
   * resolved by the runtime, in the runtime's own event loop. {@link Reactor.run} blocks that loop; pass an IP
   * address there.
   *
   * @returns The connection, in the state `"connecting"`.
   * @throws TypeError or RangeError for an invalid option; TypeError `ERR_CLOSED`.
   */
  connect<Data = unknown>(options: ConnectOptions<Data>): Connection<Data>;
  /**
   * Opens a datagram socket, of UDP or unix, and calls the handlers in `options` for the datagrams that it receives.
   *
   * @remarks
   * Without a host it is bound to every address, IPv6 and IPv4; without a port, to a free one.
   *
   * @throws SysError `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`, `EMFILE`; `ECONNREFUSED` for the path of `remote`; TypeError
   * or RangeError for an invalid option; TypeError `ERR_CLOSED`.
   */
  bindDatagrams(options: DatagramOptions): DatagramSocket;
  /**
   * Makes a connection of a connected stream socket, such as one end of a socketpair or a socket that another
   * process has passed. `open` is called before this returns.
   *
   * @param fd - The socket. It is set non-blocking and close-on-exec, and is closed with the connection. If this
   * throws, it stays the caller's.
   * @throws SysError `EBADF`, `EPERM`; TypeError or RangeError for an invalid argument; TypeError `ERR_CLOSED`.
   */
  adopt<Data = unknown>(fd: number, options?: Handlers<Data> & ConnectionOptions): Connection<Data>;
  /**
   * Watches a descriptor of any kind: a pipe, a terminal, a timerfd, a socket that the program reads itself.
   *
   * @remarks
   * Watches are level-triggered on every engine: the callback is called in every turn in which the descriptor is
   * ready. A callback that neither reads what is available nor changes the events (`modify`) is called again and
   * again, and keeps the thread busy. The descriptor and its flags stay the caller's.
   *
   * @param events - EVENT_READ, EVENT_WRITE and the other bits of `polloi/selectors`.
   * @param callback - Called with EVENT_* bits. EVENT_ERROR and EVENT_HANGUP are reported even if not requested.
   * @throws SysError `EPERM` for a regular file on epoll, `EEXIST`, `EBADF`; TypeError or RangeError for an invalid
   * argument; TypeError `ERR_CLOSED`.
   */
  watch(fileObject: FileObject, events: number, callback: WatchCallback): Watch;
  /**
   * Calls back once, after `delayMs`. The runtime's own timers do not fire under {@link Reactor.run}; these do.
   *
   * @param delayMs - Milliseconds, from 0 up. Fractions count where the kernel supports them. A negative delay, a
   * time that has passed, counts as 0.
   * @throws TypeError or RangeError `ERR_INVALID_TIMEOUT`; TypeError `ERR_INVALID_OPTION`, `ERR_CLOSED`.
   */
  setTimer(delayMs: number, callback: () => void): Timer;
  /**
   * Runs the loop on this thread until {@link Reactor.stop} is called or nothing is open any more.
   *
   * @remarks
   * The runtime's own event loop does not run meanwhile: no promises, no timers, no signal handlers. To stop on
   * Ctrl-C, watch a `SignalFd` of `polloi/select` and call {@link Reactor.stop}.
   *
   * @throws the error of a handler, if there was no `error` handler for it; TypeError `ERR_BLOCKING` when called from
   * a handler; SysError when the engine's own calls fail for good, which closes the reactor and its connections with
   * that error.
   */
  run(): void;
  /** Ends {@link Reactor.run} after the current turn. Open connections and listeners stay open. */
  stop(): void;
  /**
   * Runs one turn of the loop, for programs that have an event loop of their own.
   *
   * @param timeoutMs - The longest wait in milliseconds. undefined waits without a limit, 0 does not wait.
   * @returns The number of events that were handled.
   * @throws as {@link Reactor.run} does.
   */
  turn(timeoutMs?: number): number;
  /**
   * Closes the reactor and everything in it at once. Connections are destroyed, and their `close` handlers called.
   * Calling it twice is safe.
   */
  close(): void;
}

/** Makes a {@link Reactor}. */
export interface ReactorConstructor {
  /**
   * @throws TypeError `ERR_INVALID_OPTION`; SysError `EMFILE`, or another error of the calls that set up the engine.
   */
  new (options?: ReactorOptions): Reactor;
}

/** The loop of a reactor, for the modules of this package that need more than a program does. */
export let loopOf: (reactor: Reactor) => Loop;

/** `listen` and `connect` of a reactor, with options that also select the reactor. */
export let listenOn: <Data>(reactor: Reactor, options: ListenOptions<Data>) => Listener;
export let connectOn: <Data>(reactor: Reactor, options: ConnectOptions<Data>) => Connection<Data>;

export let bindDatagramsOn: (reactor: Reactor, options: DatagramOptions) => DatagramSocket;

/**
 * Calls back before written data is sent, once for all that is sent together. A second callback replaces the first.
 *
 * @remarks
 * For measurements: a handler writes some time before its data is sent, as long as the other handlers of the turn
 * take.
 */
export function beforeSends(reactor: Reactor, callback: () => void): void {
  loopOf(reactor).beforeSends = callback;
}

/** A reactor: a {@link Loop}, and what lets it turn. */
class LoopReactor implements Reactor {
  static {
    printAs(LoopReactor, (it) => it.#fields(), "Reactor");
  }

  static {
    loopOf = (reactor) => (reactor as LoopReactor).#loop;
    listenOn = (reactor, options) => {
      return (reactor as LoopReactor).#listen(options, LISTEN_ANYWHERE_OPTIONS);
    };
    connectOn = (reactor, options) => {
      return (reactor as LoopReactor).#connect(options, CONNECT_ANYWHERE_OPTIONS);
    };
    bindDatagramsOn = (reactor, options) => {
      return (reactor as LoopReactor).#bindDatagrams(options, BIND_ANYWHERE_OPTIONS);
    };
  }

  readonly #loop: Loop;
  #hosted: Hosted | undefined;
  #stopped = false;
  #closed = false;

  constructor(options: ReactorOptions = {}) {
    this.#loop = fromCaller(LoopReactor, () => {
      const kernel = kernelOf(options, "new Reactor()", REACTOR_OPTIONS);
      return new Loop(kernel, (completions) => makeEngine(kernel, options, completions));
    });
    this.#hosted = new Hosted(this.#loop);
    this.#loop.host = this.#hosted;
    this.#loop.onEngineFailed = (error) => this.#close(error);
  }

  get engine(): EngineName {
    return this.#loop.engine.name;
  }

  get trigger(): Reporting {
    return this.#loop.engine.trigger;
  }

  get alive(): boolean {
    return this.#loop.alive;
  }

  fileno(): number {
    return this.#closed ? -1 : this.#loop.engine.fileno();
  }

  listen<Data = unknown>(options: ListenOptions<Data>): Listener {
    return fromCaller(LoopReactor.prototype.listen, () => this.#listen(options, LISTEN_OPTIONS));
  }

  /** @param names - The names of all options that are allowed. */
  #listen<Data>(options: ListenOptions<Data>, names: Readonly<Record<string, true>>): Listener {
    this.#checkOpen("listen");
    checkConnectionOptions(options, "listen()", names, LISTEN_COUNTERPARTS);
    const { signal } = options;
    checkSignal(signal);
    signal?.throwIfAborted();
    const listener = new AcceptingListener(this.#loop, options);
    if (signal !== undefined) listener.onEnded = stopOnAbort(signal, () => listener.stop());
    return listener;
  }

  connect<Data = unknown>(options: ConnectOptions<Data>): Connection<Data> {
    return fromCaller(LoopReactor.prototype.connect, () => this.#connect(options, CONNECT_OPTIONS));
  }

  #connect<Data>(
    options: ConnectOptions<Data>,
    names: Readonly<Record<string, true>>,
  ): Connection<Data> {
    this.#checkOpen("connect");
    checkConnectionOptions(options, "connect()", names, CONNECT_COUNTERPARTS);
    const endpoint = clientEndpoint(
      this.#loop.kernel,
      options.tls,
      options.host ?? options.hostname,
    );
    const stream =
      endpoint === undefined
        ? new Stream<Data>(this.#loop, profileOf(options), true)
        : new TlsStream<Data>(this.#loop, profileOf(options), true, endpoint);
    try {
      new Connector(this.#loop, stream, options);
    } catch (error) {
      stream.abandon();
      throw error;
    }
    return stream;
  }

  bindDatagrams(options: DatagramOptions): DatagramSocket {
    return fromCaller(LoopReactor.prototype.bindDatagrams, () =>
      this.#bindDatagrams(options, DATAGRAM_OPTIONS),
    );
  }

  #bindDatagrams(options: DatagramOptions, names: Readonly<Record<string, true>>): DatagramSocket {
    this.#checkOpen("bind");
    return new Datagrams(this.#loop, options, names);
  }

  adopt<Data = unknown>(
    fd: number,
    options: Handlers<Data> & ConnectionOptions = {},
  ): Connection<Data> {
    this.#checkOpen("adopt");
    checkConnectionOptions(options, "adopt()");
    const stream = new Stream<Data>(this.#loop, profileOf(options), false);
    const { libc } = this.#loop.kernel;
    const flags = libc.fcntl(filenoOf(fd), F_GETFL, 0);
    // Of a unix socket, which has no such option, it is refused.
    if (options.noDelay !== false) setIntOption(this.#loop.kernel, fd, IPPROTO_TCP, TCP_NODELAY, 1);
    const result = flags < 0 ? flags : libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    if (result >= 0) closeOnExec(this.#loop.kernel, fd);
    const opened = result < 0 ? result : stream.attach(fd);
    if (opened < 0) throw this.#loop.descriptorError("adopt", opened, fd);
    this.#loop.flush();
    return stream;
  }

  watch(fileObject: FileObject, events: number, callback: WatchCallback): Watch {
    this.#checkOpen("watch");
    checkEvents(events, 1);
    checkCallback(callback);
    const inContext = inCurrentContext(callback);
    return new DescriptorWatch(this.#loop, filenoOf(fileObject), events, inContext);
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    this.#checkOpen("set a timer");
    checkCallback(callback);
    return this.#loop.timers.add(delayOf(delayMs), inCurrentContext(callback), true);
  }

  run(): void {
    this.#checkOpen("run");
    this.#checkIdle("run");
    this.#hosted?.end();
    this.#hosted = undefined;
    this.#loop.host = undefined;
    this.#stopped = false;
    while (!this.#stopped && this.#loop.alive) this.#loop.turn(-1);
    this.#loop.submit();
  }

  stop(): void {
    this.#stopped = true;
  }

  turn(timeoutMs?: number): number {
    this.#checkOpen("turn");
    this.#checkIdle("turn");
    this.#hosted?.exclude();
    const happened = this.#loop.turn(naturalTimeoutOf(timeoutMs));
    this.#loop.submit();
    return happened;
  }

  close(): void {
    this.#close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #close(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopped = true;
    this.#hosted?.end();
    this.#loop.host = undefined;
    this.#loop.dispose(error);
  }

  /** The fields that are printed. */
  #fields(): Fields {
    const { engine, trigger } = this;
    const open = this.#hosted === undefined ? "blocking" : "hosted";
    return { engine, trigger, state: this.#closed ? "closed" : open };
  }

  /** A turn within a turn would wait for what only the outer one can do. */
  #checkIdle(what: string): void {
    if (!this.#loop.turning) return;
    throw typeError("ERR_BLOCKING", `Cannot ${what}: the reactor is in the middle of a turn`);
  }

  #checkOpen(what: string): void {
    if (this.#closed) throw typeError("ERR_CLOSED", `Cannot ${what}: the reactor is closed`);
  }
}

export const Reactor: ReactorConstructor = LoopReactor;

/** Selects one of the default reactors of a thread: there is one for each engine and trigger. */
export interface ReactorChoice {
  readonly engine?: EngineChoice | undefined;
  readonly trigger?: Trigger | undefined;
}

const reactors = new Map<string, Reactor>();

/**
 * Returns this thread's reactor for an engine and a trigger, which `listen`, `connect` and `serve` use. It is made
 * by the first call.
 *
 * @throws TypeError `ERR_INVALID_OPTION`; SysError as `new Reactor` does.
 */
export function defaultReactor(choice: ReactorChoice = {}): Reactor {
  return reactorFor(optionsOf(choice, "defaultReactor()", ENGINE_OPTIONS));
}

/** Returns the same for options that also select other things. */
export function reactorFor(choice: ReactorChoice): Reactor {
  const { engine = "auto", trigger } = objectOf(choice, "options");
  checkEngine({ engine, trigger });
  const key = `${engine} ${trigger ?? "by default"}`;
  let reactor = reactors.get(key);
  if (reactor === undefined) {
    reactor = new Reactor({ engine, trigger });
    reactors.set(key, reactor);
  }
  return reactor;
}
