import { Backoff } from "../../base/backoff.ts";
import { ERRNO } from "../../base/errno.ts";
import { acceptNow } from "../../engine/calls.ts";
import { acceptError } from "../../reactor/accept-error.ts";
import type { Watch } from "../../reactor/watch.ts";
import { EVENT_READ } from "../../selectors/events.ts";
import { formatAddress, type SocketAddress } from "../../socket/address.ts";
import { readPeerAddress } from "../../socket/raw.ts";
import type { Child, ChildEvents } from "../child.ts";
import { ChildCounts, type ServedCounts } from "../counts.ts";
import { Listeners } from "../listeners.ts";
import type { LoopEngine } from "../messages.ts";
import { DEFAULT_MAX_CHILDREN } from "../model-options.ts";
import { limitStart } from "../supervisor.ts";
import type { Model, ModelChild, ModelContext } from "./model.ts";

/** Starts children that serve one connection each. */
export interface ChildSource {
  readonly kind: "process" | "thread";
  /** How many children run that serve nothing. */
  readonly idle: number;
  /** @param fd - A connection. The child or this closes it, also when this throws. */
  start(fd: number, events: ChildEvents): Child;
  /** Stops the children that serve nothing. */
  stop(graceMs: number): void;
  /** Called when no child is left. */
  close(): void;
}

/** A process or a thread for each connection: the main thread accepts it, and passes it on. */
export class PerConnection implements Model {
  readonly engine: LoopEngine | undefined = undefined;
  readonly address: SocketAddress;
  readonly over: Promise<void>;
  readonly #context: ModelContext;
  readonly #source: ChildSource;
  readonly #listeners: Listeners;
  readonly #maxChildren: number;
  readonly #children = new Set<Child>();
  readonly #counts = new ChildCounts();
  readonly #backoff = new Backoff();
  #resolveOver: () => void = () => {};
  #watch: Watch | undefined;
  #retry: NodeJS.Timeout | undefined;
  #connections = 0;
  #full = false;
  #stopping = false;
  #stopAt = 0;
  /** Closes the listener at the end of the grace period. */
  #stopTimer: NodeJS.Timeout | undefined;
  #isOver = false;

  /**
   * @param source - Given what to call when a child that serves nothing has exited.
   * @throws what listening throws; SysError `EMFILE`
   */
  constructor(context: ModelContext, source: (idleExited: () => void) => ChildSource) {
    const { kernel, options, input } = context;
    this.#context = context;
    this.#maxChildren = options.maxChildren ?? DEFAULT_MAX_CHILDREN;
    this.over = new Promise((resolve) => {
      this.#resolveOver = resolve;
    });
    this.#listeners = new Listeners(kernel, {
      where: options.listen,
      sharing: "exclusive",
      count: 1,
      noDelay: input.noDelay !== false,
    });
    this.address = this.#listeners.address;
    try {
      this.#source = source(() => this.#checkOver());
      this.#resume();
    } catch (error) {
      this.#listeners.close();
      throw error;
    }
  }

  get finished(): Promise<void> {
    return this.over;
  }

  get children(): readonly ModelChild[] {
    return [...this.#children].map(({ kind, id, ready }) => {
      return { kind, id, connections: 1, ready, responsive: true };
    });
  }

  get counts(): ServedCounts {
    const { messages, bytes } = this.#counts.sum();
    return { connections: this.#connections, open: this.#children.size, messages, bytes };
  }

  stop(graceMs: number): void {
    this.#stopAt = performance.now() + graceMs;
    clearTimeout(this.#stopTimer);
    if (graceMs === 0) this.#stopListening();
    else if (this.#listeners.fd >= 0) {
      if (!this.#stopping) this.#listeners.refuse();
      this.#stopTimer = setTimeout(() => this.#stopListening(), graceMs);
    }
    this.#stopping = true;
    // Connections that wait are accepted now if the limit allows it, or else when a child exits.
    if (this.#watch !== undefined) this.#accept();
    this.#source.stop(graceMs);
    for (const child of this.#children) child.stop(graceMs);
    this.#checkOver();
  }

  #stopListening(): void {
    clearTimeout(this.#stopTimer);
    this.#pause();
    this.#listeners.close();
    this.#checkOver();
  }

  #resume(): void {
    const { fd } = this.#listeners;
    if (fd < 0 || this.#watch !== undefined) return;
    this.#watch = this.#context.reactor.watch(fd, EVENT_READ, () => this.#accept());
    // Accepts what still waits, and closes the listener when nothing does.
    if (this.#stopping) this.#accept();
  }

  #pause(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#watch?.close();
    this.#watch = undefined;
  }

  /** Accepts one connection. Starting a child takes so long that the loop handles other events before the next. */
  #accept(): void {
    const { kernel, options, reporter } = this.#context;
    const full = this.#children.size >= this.#maxChildren;
    if (full && !this.#full) reporter.limitReached(this.#maxChildren);
    this.#full = full;
    if (full && options.atLimit !== "close") {
      this.#pause();
      return;
    }
    const fd = acceptNow(kernel.libc, this.#listeners.fd);
    if (fd < 0) {
      // A unix socket that does not listen any more fails with EINVAL when its backlog is empty.
      if (fd !== -ERRNO.EAGAIN && !(this.#stopping && fd === -ERRNO.EINVAL)) this.#acceptFailed(fd);
      else if (this.#stopping) this.#stopListening();
      return;
    }
    this.#backoff.reset();
    if (full) {
      kernel.libc.close(fd);
      reporter.refusals++;
    } else this.#serve(fd, this.#connections++);
    if (!this.#stopping) return;
    setImmediate(() => {
      if (this.#watch !== undefined) this.#accept();
    });
  }

  #serve(fd: number, key: number): void {
    const { reporter, supervision, input, kernel } = this.#context;
    const { kind } = this.#source;
    // Read now: when a process has exited, its connection is closed.
    const address = readPeerAddress(kernel, fd);
    const report = (id: number, { error, thrown }: { error: Error; thrown: boolean }): void => {
      // A child that exits while it is to stop has only stopped sooner, unless it threw.
      if (this.#stopping && !thrown) return;
      const peer = (address && formatAddress(address)) || undefined;
      reporter.exited({ kind, id, peer, error, restartInMs: undefined });
    };
    let cancelStartLimit = (): void => {};
    try {
      const child = this.#source.start(fd, {
        message: (message) => {
          if (message.type === "counts") this.#counts.update(key, message.counts);
          else if (message.type === "ready") cancelStartLimit();
          else reporter.receive(message);
        },
        exited: ({ error, thrown = false }) => {
          cancelStartLimit();
          this.#children.delete(child);
          this.#counts.exited(key);
          if (error !== undefined) report(child.id, { error, thrown });
          if (this.#retry === undefined) this.#resume();
          this.#checkOver();
        },
      });
      this.#children.add(child);
      if (this.#stopping) child.stop(Math.max(1, this.#stopAt - performance.now()));
      // A thread that has served another connection is ready.
      if (!child.ready) {
        cancelStartLimit = limitStart(kernel, child, supervision.startTimeoutMs, input.module);
      }
    } catch (error) {
      // The system has no resources for a child.
      report(-1, { error: error as Error, thrown: false });
    }
  }

  #acceptFailed(result: number): void {
    const { delayMs, isFirst } = this.#backoff.next();
    if (isFirst) this.#context.reporter.acceptFailed(acceptError(result, this.#listeners.fd));
    this.#pause();
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#resume();
    }, delayMs);
  }

  #checkOver(): void {
    if (!this.#stopping || this.#isOver || this.#listeners.fd >= 0) return;
    if (this.#children.size + this.#source.idle > 0) return;
    this.#isOver = true;
    this.#source.close();
    this.#resolveOver();
  }
}
