import { ERRNO } from "../base/errno.ts";
import { acceptNow } from "../engine/calls.ts";
import { AcceptFailures, acceptError } from "../reactor/accept-failures.ts";
import type { Watch } from "../reactor/watch.ts";
import { EVENT_READ } from "../selectors/events.ts";
import { formatAddress, type SocketAddress } from "../socket/address.ts";
import { refuseConnections } from "../socket/listener.ts";
import { readPeerAddress } from "../socket/raw.ts";
import type { ChildEvents, ChildUnit } from "./child-unit.ts";
import { startDeadline, startedTooLate } from "./liveness.ts";
import type { ChildEngine } from "./messages.ts";
import { ModelListener } from "./model-listener.ts";
import { DEFAULT_MAX_CHILDREN } from "./model-options.ts";
import { Processes } from "./processes.ts";
import type { Tally } from "./served.ts";
import { Threads } from "./threads.ts";
import { type ModelChild, Tallies, type Way, type WayContext } from "./way.ts";

/** Where children come from. */
interface Source {
  /** @param fd - A connection: the source sees to it that it is closed. */
  start(fd: number, events: ChildEvents): ChildUnit;
  /** How many children there are that serve nothing. */
  readonly idle: number;
  /** Before children are stopped one by one. */
  stopping(graceMs: number): void;
  close(): void;
}

/** A process or a thread for each connection: the main thread accepts, and hands over. */
export class PerConnection implements Way {
  readonly engine: ChildEngine | undefined = undefined;
  readonly address: SocketAddress;
  readonly #context: WayContext;
  readonly #source: Source;
  readonly #listener: ModelListener;
  readonly #maxChildren: number;
  readonly #children = new Set<ChildUnit>();
  readonly #tallies = new Tallies();
  #watch: Watch | undefined;
  #retry: NodeJS.Timeout | undefined;
  #connections = 0;
  #nextKey = 0;
  #full = false;
  readonly #failures = new AcceptFailures();
  #stopping = false;
  #stopAt = 0;
  #lastAccept: NodeJS.Timeout | undefined;
  #over = false;

  /** @throws what listening throws; SysError `EMFILE` */
  constructor(context: WayContext) {
    const { kernel, options } = context;
    this.#context = context;
    this.#maxChildren = options.maxChildren ?? DEFAULT_MAX_CHILDREN;
    this.#listener = new ModelListener(kernel, options);
    this.address = this.#listener.address;
    try {
      this.#source =
        options.model === "process"
          ? processes(context)
          : threads(context, () => this.#endIfEmpty());
      this.#resume();
    } catch (error) {
      this.#listener.close();
      throw error;
    }
  }

  get children(): readonly ModelChild[] {
    return [...this.#children].map(({ kind, id, ready }) => {
      return { kind, id, connections: 1, ready, responsive: true };
    });
  }

  tally(): Tally {
    const { messages, bytes } = this.#tallies.sum();
    return { connections: this.#connections, open: this.#children.size, messages, bytes };
  }

  stop(graceMs: number): void {
    this.#stopAt = performance.now() + graceMs;
    clearTimeout(this.#lastAccept);
    if (graceMs === 0) this.#closeListener();
    else {
      if (!this.#stopping) refuseConnections(this.#context.kernel, this.#listener.fd);
      this.#lastAccept = setTimeout(() => this.#closeListener(), graceMs);
    }
    this.#stopping = true;
    // Those that wait, if there is room for them; else when there is.
    if (this.#watch !== undefined) this.#accept();
    this.#source.stopping(graceMs);
    for (const child of this.#children) child.stop(graceMs);
    this.#endIfEmpty();
  }

  #closeListener(): void {
    clearTimeout(this.#lastAccept);
    this.#pause();
    this.#listener.close();
    this.#endIfEmpty();
  }

  #resume(): void {
    if (this.#listener.fd < 0 || this.#watch !== undefined) return;
    const { reactor } = this.#context;
    this.#watch = reactor.watch(this.#listener.fd, EVENT_READ, () => this.#accept());
    // What waits is accepted still, and when nothing does the listener is closed.
    if (this.#stopping) this.#accept();
  }

  #pause(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#watch?.close();
    this.#watch = undefined;
  }

  /** Accepts what is there. Starting a child takes so long that the loop looks after others in between. */
  #accept(): void {
    const { kernel, options, report } = this.#context;
    const { libc } = kernel;
    const full = this.#children.size >= this.#maxChildren;
    if (full && !this.#full) report.limitReached(this.#maxChildren);
    this.#full = full;
    if (full && options.atLimit !== "close") {
      this.#pause();
      return;
    }
    const fd = acceptNow(libc, this.#listener.fd);
    if (fd < 0) {
      // A unix socket that takes no more connections says EINVAL when its backlog is empty.
      if (fd !== -ERRNO.EAGAIN && !(this.#stopping && fd === -ERRNO.EINVAL)) this.#failed(fd);
      else if (this.#stopping) this.#closeListener();
      return;
    }
    this.#failures.end();
    if (full) {
      libc.close(fd);
      report.refusals++;
    } else {
      this.#connections++;
      this.#serve(fd);
    }
    if (this.#stopping) this.#acceptSoon();
  }

  /** Accepts the next that waits, while the server stops. */
  #acceptSoon(): void {
    setImmediate(() => {
      if (this.#watch !== undefined) this.#accept();
    });
  }

  #serve(fd: number): void {
    const { report, options, liveness } = this.#context;
    const { startTimeoutMs } = liveness;
    const kind = options.model === "process" ? "process" : "thread";
    const key = this.#nextKey++;
    // Asked now: when a process has died, its connection is not here any more.
    const address = readPeerAddress(this.#context.kernel, fd);
    const died = (id: number, error: Error): void => {
      const peer = (address && formatAddress(address)) || undefined;
      report.died({ kind, id, peer, error, restartInMs: undefined });
    };
    let cancelDeadline = (): void => {};
    try {
      const child = this.#source.start(fd, {
        message: (message) => {
          if (message.type === "tally") this.#tallies.told(key, message.tally);
          else if (message.type === "ready") cancelDeadline();
          else report.heard(message);
        },
        ended: (error) => {
          cancelDeadline();
          this.#children.delete(child);
          this.#tallies.gone(key);
          if (error !== undefined) died(child.id, error);
          if (this.#retry === undefined) this.#resume();
          this.#endIfEmpty();
        },
      });
      this.#children.add(child);
      if (this.#stopping) child.stop(Math.max(1, this.#stopAt - performance.now()));
      // A thread that has served another connection is ready.
      if (!child.ready) {
        cancelDeadline = startDeadline(startTimeoutMs, () =>
          child.kill(startedTooLate(startTimeoutMs, child.doing)),
        );
      }
    } catch (error) {
      // The system has no room for one more.
      died(-1, error as Error);
    }
  }

  #failed(result: number): void {
    const { delayMs, isFirst } = this.#failures.add();
    if (isFirst) this.#context.report.cannotAccept(acceptError(result, this.#listener.fd));
    this.#pause();
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#resume();
    }, delayMs);
  }

  #endIfEmpty(): void {
    if (!this.#stopping || this.#over || this.#listener.fd >= 0) return;
    if (this.#children.size + this.#source.idle > 0) return;
    this.#over = true;
    this.#source.close();
    this.#context.over();
  }
}

function processes({ kernel, reactor, options, input, report }: WayContext): Source {
  const source = new Processes(kernel, reactor, options.execArgv);
  const whole = {
    ...input,
    serves: "connection",
    engine: undefined,
    trigger: undefined,
    exclusive: false,
  } as const;
  return {
    idle: 0,
    start(fd, events) {
      const child = source.start(whole, fd, events);
      report.started++;
      return child;
    },
    stopping: () => {},
    close: () => source.close(),
  };
}

function threads({ kernel, input, report }: WayContext, idleEnded: () => void): Source {
  const { libc } = kernel;
  const source = new Threads(kernel, input, {
    started: () => void report.started++,
    died: (id, error) => report.died({ kind: "thread", id, error, restartInMs: undefined }),
    idleEnded,
  });
  return {
    get idle() {
      return source.idle;
    },
    start(fd, events) {
      // The thread uses it, and all of the process has it: it is closed when the thread is done with it.
      const ended = (why: Error | undefined): void => {
        source.release(fd);
        events.ended(why);
      };
      try {
        return source.start("connection", fd, { ...events, ended });
      } catch (error) {
        libc.close(fd);
        throw error;
      }
    },
    stopping: (graceMs) => source.ring(graceMs),
    close: () => source.close(),
  };
}
