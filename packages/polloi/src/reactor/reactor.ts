import { type FileObject, filenoOf } from "../base/descriptor.ts";
import { type Fields, printAs } from "../base/inspect.ts";
import { typeError } from "../base/misuse.ts";
import { delayOf, naturalTimeoutOf } from "../base/timeout.ts";
import { type EngineOptions, makeEngine } from "../engine/choose.ts";
import type { EngineName, Reporting } from "../engine/engine.ts";
import { IPPROTO_TCP, TCP_NODELAY } from "../socket/constants.ts";
import { closeOnExec, setIntOption } from "../socket/raw.ts";
import { F_GETFL, F_SETFL, O_NONBLOCK } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernelOf } from "../sys/kernel-option.ts";
import type { Connection, ConnectionOptions, Handlers } from "./connection.ts";
import { type ConnectOptions, Connector } from "./connector.ts";
import { Hosted } from "./hosted.ts";
import { AcceptingListener, type Listener, type ListenOptions } from "./listener.ts";
import { Loop } from "./loop.ts";
import { checkCallback, checkConnectionOptions } from "./options.ts";
import { refusal } from "./refusal.ts";
import { Stream } from "./stream.ts";
import { profileOf } from "./stream-profile.ts";
import type { Timer } from "./timers.ts";
import { checkEvents, DescriptorWatch, type Watch, type WatchCallback } from "./watch.ts";

/** The inside of a reactor, for tests that look at its {@link Loop.balance}. Not part of the public API. */
export let loopOf: (reactor: Reactor) => Loop;

/** How a reactor does its work. */
export interface ReactorOptions extends EngineOptions {
  /** The kernel to use; a test may hand over one that fails. */
  readonly kernel?: Kernel;
}

/**
 * An event loop: listeners, connections, watched descriptors and timers on one engine and one thread.
 *
 * @remarks
 * Left alone it is a guest in the runtime's own loop (*hosted*): the runtime's timers, promises and
 * signal handlers go on beside it, and the process lives as long as anything is open here. `run()`
 * takes the thread instead (*blocking*): for a worker, or a process that does nothing else.
 *
 * @example
 * ```ts
 * const reactor = new Reactor({ engine: "epoll" });
 * reactor.listen({ port: 7788, data: (connection, bytes) => connection.write(bytes) });
 * reactor.run();
 * ```
 */
export class Reactor implements Disposable {
  static {
    printAs(Reactor, (it) => it.#fields());
  }

  static {
    loopOf = (reactor) => reactor.#loop;
  }

  readonly #loop: Loop;
  #hosted: Hosted | undefined;
  #stopped = false;
  #closed = false;

  /**
   * @throws TypeError `ERR_INVALID_OPTION`; SysError `EMFILE` or what else keeps the engine from working.
   */
  constructor(options: ReactorOptions = {}) {
    const kernel = kernelOf(options);
    this.#loop = new Loop(kernel, (completions) => makeEngine(kernel, options, completions));
    this.#hosted = new Hosted(this.#loop);
    this.#loop.host = this.#hosted;
    this.#loop.onEngineFailed = (error) => this.#close(error);
  }

  /** The engine in use. */
  get engine(): EngineName {
    return this.#loop.engine.name;
  }

  /**
   * Whether it reports as long as something is ready, once each time that something happens, or, as
   * io_uring does, what the kernel has done.
   */
  get trigger(): Reporting {
    return this.#loop.engine.trigger;
  }

  /** Whether anything is open here that could ever call back. */
  get alive(): boolean {
    return this.#loop.alive;
  }

  /** A descriptor that is readable when a {@link Reactor.turn} would find something to do. */
  fileno(): number {
    return this.#closed ? -1 : this.#loop.engine.fileno();
  }

  /**
   * Listens, and serves every connection with the handlers in `options`.
   *
   * @throws SysError `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`, `EMFILE`; misuse of an option.
   */
  listen<Data = unknown>(options: ListenOptions<Data>): Listener {
    this.#checkOpen("listen");
    checkConnectionOptions(options);
    return new AcceptingListener(this.#loop, options);
  }

  /**
   * Connects, and serves the connection with the handlers in `options`: `open` when it is there, else
   * `error` and `close`. What is written before then is sent when it is.
   *
   * @remarks
   * A failure is not lost when there is neither `error` nor `close`: it then fails the process. Names
   * are resolved by the runtime, which takes its turns; under `run()` give an IP address.
   */
  connect<Data = unknown>(options: ConnectOptions<Data>): Connection<Data> {
    this.#checkOpen("connect");
    checkConnectionOptions(options);
    const stream = new Stream<Data>(this.#loop, profileOf(options), true);
    new Connector(this.#loop, stream, options);
    return stream;
  }

  /**
   * Takes over a connected stream socket: one end of a socketpair, one that was received from another
   * process. `open` is called before this returns.
   *
   * @param fd - Made non-blocking and close-on-exec here, and closed with the connection.
   */
  adopt<Data = unknown>(
    fd: number,
    options: Handlers<Data> & ConnectionOptions = {},
  ): Connection<Data> {
    this.#checkOpen("adopt");
    checkConnectionOptions(options);
    const stream = new Stream<Data>(this.#loop, profileOf(options), false);
    const { libc } = this.#loop.kernel;
    const flags = libc.fcntl(filenoOf(fd), F_GETFL, 0);
    // Of a unix socket, which has no such option, it is refused.
    if (options.noDelay !== false) setIntOption(this.#loop.kernel, fd, IPPROTO_TCP, TCP_NODELAY, 1);
    const result = flags < 0 ? flags : libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    if (result >= 0) closeOnExec(this.#loop.kernel, fd);
    const opened = result < 0 ? result : stream.opened(fd);
    if (opened < 0) throw refusal(this.#loop, "adopt", opened, fd);
    this.#loop.flush();
    return stream;
  }

  /**
   * Calls back whenever a descriptor is ready: a pipe, a terminal, a timerfd, a socket of your own.
   *
   * @remarks
   * Watches are level-triggered on every engine: as long as the descriptor is ready, the callback is called in
   * every turn. A callback that neither reads what is there nor changes what is watched for (`modify`) is called
   * again and again, and keeps the thread busy. The descriptor stays the caller's, with its flags as they are.
   *
   * @param events - EVENT_READ, EVENT_WRITE and their kin, from `polloi/selectors`.
   * @param callback - Gets EVENT_* bits, with EVENT_ERROR and EVENT_HANGUP whether asked for or not.
   * @throws SysError `EPERM` for a regular file on epoll, `EEXIST`, `EBADF`; misuse of an argument.
   */
  watch(fileObject: FileObject, events: number, callback: WatchCallback): Watch {
    this.#checkOpen("watch");
    checkEvents(events, 1);
    checkCallback(callback);
    return new DescriptorWatch(this.#loop, filenoOf(fileObject), events, callback);
  }

  /**
   * Calls back once, after `delayMs`. Under `run()`, where the runtime's own timers stand still, this
   * is the timer to use.
   *
   * @param delayMs - Milliseconds from 0 up; fractions count where the kernel can. A time that is past
   * already, being negative, is 0.
   */
  setTimer(delayMs: number, callback: () => void): Timer {
    this.#checkOpen("set a timer");
    checkCallback(callback);
    return this.#loop.timers.add(delayOf(delayMs), callback, true);
  }

  /**
   * Calls back each time before what was written is handed to the kernel: once for all that leaves together.
   *
   * @remarks
   * For who measures: a handler writes some time before its bytes leave, as long as the others of its turn
   * take. A second callback takes the place of the first.
   */
  beforeSends(callback: () => void): void {
    checkCallback(callback);
    this.#loop.beforeSends = callback;
  }

  /**
   * Turns, and blocks the thread, until {@link Reactor.stop} or until nothing is open any more.
   *
   * @remarks
   * The runtime's own loop stands still meanwhile: no promises, no timers, no signal handlers. To stop on
   * Ctrl-C, watch a `SignalFd` of `polloi/select` and call {@link Reactor.stop}.
   *
   * @throws what a handler threw that had no `error` to go to; TypeError `ERR_BLOCKING` within a callback; SysError
   * of the engine's own calls when they fail for good, which closes the reactor and its connections with that error.
   */
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

  /** Ends {@link Reactor.run} when the current turn is over. What is open stays so. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * One turn, for a loop of your own.
   *
   * @param timeoutMs - The longest to wait; undefined for ever, 0 not at all.
   * @returns How many things happened.
   * @throws as {@link Reactor.run} does.
   */
  turn(timeoutMs?: number): number {
    this.#checkOpen("turn");
    this.#checkIdle("turn");
    const happened = this.#loop.turn(naturalTimeoutOf(timeoutMs));
    this.#loop.submit();
    return happened;
  }

  /** Closes everything at once; connections hear of it by `close`. Safe to call twice. */
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

  /** What is shown of it. */
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
