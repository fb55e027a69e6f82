import { SysError } from "../base/sys-error.ts";
import { isOutOfResources } from "../engine/calls.ts";
import type { Watch } from "../reactor/watch.ts";
import { EVENT_READ } from "../selectors/events.ts";
import { formatAddress, type SocketAddress } from "../socket/address.ts";
import { SOCK_CLOEXEC } from "../socket/constants.ts";
import { readPeerAddress } from "../socket/raw.ts";
import { startDeadline, startedTooLate } from "../workers/liveness.ts";
import type { ChildEvents, ChildUnit } from "./child-unit.ts";
import type { ChildEngine } from "./messages.ts";
import { ModelListener } from "./model-listener.ts";
import { DEFAULT_MAX_CHILDREN } from "./options.ts";
import { Processes } from "./processes.ts";
import type { Tally } from "./served.ts";
import { Threads } from "./threads.ts";
import { type ModelChild, Tallies, type Way, type WayContext } from "./way.ts";

/** How long to wait until a descriptor may be free again. */
const STARVED_MS = 50;

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
  #starved = false;
  #stopping = false;

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
    if (!this.#stopping) {
      this.#stopping = true;
      this.#pause();
      this.#listener.close();
    }
    this.#source.stopping(graceMs);
    for (const child of this.#children) child.stop(graceMs);
    this.#endIfEmpty();
  }

  #resume(): void {
    if (this.#stopping || this.#watch !== undefined) return;
    const { reactor } = this.#context;
    this.#watch = reactor.watch(this.#listener.fd, EVENT_READ, () => this.#accept());
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
    const fd = libc.accept4(this.#listener.fd, 0, 0, SOCK_CLOEXEC);
    if (fd < 0) {
      if (isOutOfResources(-fd)) this.#starve(fd);
      return;
    }
    this.#starved = false;
    if (full) {
      libc.close(fd);
      report.refusals++;
      return;
    }
    this.#connections++;
    this.#serve(fd);
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

  #starve(result: number): void {
    const { report } = this.#context;
    if (!this.#starved) {
      const hint = "accepting is paused until a descriptor is free; raise the limit (ulimit -n)";
      report.cannotAccept(new SysError("accept4", result, { fd: this.#listener.fd, hint }));
    }
    this.#starved = true;
    this.#pause();
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#resume();
    }, STARVED_MS);
  }

  #endIfEmpty(): void {
    if (!this.#stopping || this.#children.size + this.#source.idle > 0) return;
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
