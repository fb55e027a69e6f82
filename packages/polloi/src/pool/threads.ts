import { Worker } from "node:worker_threads";
import { check } from "../base/sys-error.ts";
import { SHUT_RDWR } from "../socket/constants.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { Board } from "./board.ts";
import { CHILD_PHASES, type ChildEvents, type ChildUnit, killedAfterMs } from "./child-unit.ts";
import { Hand } from "./hand.ts";
import { Lingering } from "./lingering.ts";
import { type ChildInput, type ChildMessage, errorOf } from "./messages.ts";
import type { ThreadInput, ThreadOrder } from "./model-thread.ts";

/** How long the runtime may take to end a thread, before the server goes on without it. */
const KILLING_MS = 1000;
/** How long a thread without a connection waits for the next one before it ends. */
const IDLE_MS = 10_000;

/** Who hears of {@link Threads} beside their connections. */
export interface ThreadsEvents {
  /** One was started. */
  started(): void;
  /** One that had nothing to do has died. */
  died(id: number, why: Error): void;
  /** One that had nothing to do has ended. */
  idleEnded(): void;
}

/**
 * Starts threads that block, and can be told to stop all the same.
 *
 * @remarks
 * A thread whose connection is over takes the next one, if one comes within ten seconds. Not only because
 * starting one takes longer than most conversations: what the FFI of a runtime maps for a thread it may keep
 * when the thread has ended, and one for each connection ever accepted would add up.
 */
export class Threads {
  readonly #kernel: Kernel;
  readonly #input: ChildInput;
  readonly #events: ThreadsEvents;
  readonly #board = new Board();
  readonly #lingering: Lingering;
  readonly #bell: number;
  readonly #idle = new Set<StartedThread>();
  /** Those that had nothing to do for too long, and have been told to end. */
  readonly #leaving = new Set<StartedThread>();
  #stopping = false;
  #nextId = 1;

  /** @throws SysError `EMFILE` */
  constructor(kernel: Kernel, input: ChildInput, events: ThreadsEvents) {
    this.#kernel = kernel;
    this.#input = input;
    this.#events = events;
    this.#lingering = new Lingering(kernel);
    this.#bell = check(kernel.libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
  }

  /** How many there are that have nothing to do, but perhaps to end. */
  get idle(): number {
    return this.#idle.size + this.#leaving.size;
  }

  /**
   * Has a thread serve, a new one if all are busy.
   *
   * @param fd - What it is to serve. It stays the caller's, who must not close it before the child has ended,
   * and then by {@link Threads.release}.
   * @throws what cannot be cloned.
   */
  start(serves: "connection" | "listener", fd: number, events: ChildEvents): ChildUnit {
    const [idle] = this.#idle;
    if (idle !== undefined) {
      this.#idle.delete(idle);
      idle.serve(fd, events);
      return idle;
    }
    const hand = new Hand();
    const workerData: ThreadInput = {
      ...this.#input,
      serves,
      fd,
      bell: this.#bell,
      board: this.#board.memory,
      hand: hand.memory,
    };
    const worker = new Worker(new URL("./model-thread.js", import.meta.url), { workerData });
    const thread = new StartedThread(this.#nextId++, worker, hand, events, {
      over: () => {
        if (this.#stopping) return false;
        this.#idle.add(thread);
        return true;
      },
      leaving: () => {
        this.#idle.delete(thread);
        this.#leaving.add(thread);
      },
      exited: (why, wasIdle, { killed, exited }) => {
        hand.lingers = killed && this.#lingering.add(hand.thread, exited);
        // Asked twice: a thread that lingers may close it yet.
        this.#release(() => hand.connection);
        this.#idle.delete(thread);
        this.#leaving.delete(thread);
        if (!wasIdle) return;
        if (why !== undefined) this.#events.died(thread.id, why);
        this.#events.idleEnded();
      },
    });
    this.#events.started();
    return thread;
  }

  /** Tells all threads to stop within `graceMs`: those that have nothing to do end. */
  ring(graceMs: number): void {
    const { libc, scratch } = this.#kernel;
    this.#stopping = true;
    this.#board.stopWithinMs = graceMs;
    scratch.setWord(0, 1);
    libc.write(this.#bell, scratch.address, 8);
    for (const thread of this.#idle) {
      thread.end();
      thread.stop(graceMs);
    }
  }

  /** Closes what a thread was given, when it has ended. */
  release(fd: number): void {
    this.#release(() => fd);
  }

  /** Closes the bell, and what the threads had in common. All of them must have ended. */
  close(common: () => void = () => {}): void {
    this.#lingering.whenGone(() => {
      this.#kernel.libc.close(this.#bell);
      common();
    });
  }

  /** Closes a connection, if there is one: its peer is cut off at once, also when a thread lingers on it. */
  #release(connection: () => number): void {
    const { libc } = this.#kernel;
    if (this.#lingering.any) libc.shutdown(connection(), SHUT_RDWR);
    this.#lingering.whenGone(() => {
      const fd = connection();
      if (fd >= 0) libc.close(fd);
    });
  }
}

/** How a thread has ended. */
interface Ending {
  /** From outside. */
  readonly killed: boolean;
  /** As its runtime says; false of one that does not end. */
  readonly exited: boolean;
}

/** What becomes of a thread, for {@link Threads}. */
interface ThreadFate {
  /** Its connection is over. @returns Whether it is to wait for another. */
  over(): boolean;
  /** It has waited long enough, and is told to end. */
  leaving(): void;
  /** It has ended. Whose connection it had is told next. */
  exited(why: Error | undefined, wasIdle: boolean, how: Ending): void;
}

/** One thread. */
class StartedThread implements ChildUnit {
  readonly kind = "thread";
  readonly id: number;
  ready = false;
  readonly #worker: Worker;
  readonly #hand: Hand;
  readonly #exited: (code: number, exited: boolean) => void;
  #turnsWhenAsked = 0;
  /** Who hears of the connection that it serves; undefined while it serves none. */
  #events: ChildEvents | undefined;
  #failed: Error | undefined;
  #timer: NodeJS.Timeout | undefined;
  #killed = false;

  constructor(id: number, worker: Worker, hand: Hand, events: ChildEvents, fate: ThreadFate) {
    this.id = id;
    this.#worker = worker;
    this.#hand = hand;
    this.#events = events;
    worker.on("message", (message: ChildMessage) => {
      if (message.type === "failed") this.#failed ??= errorOf(message.error);
      else if (message.type === "ready") this.ready = true;
      if (message.type === "over") this.#over(fate);
      else this.#events?.message(message);
    });
    worker.on("error", (error: unknown) => {
      this.#failed ??= error instanceof Error ? error : new Error(String(error));
    });
    let gone = false;
    this.#exited = (code, exited) => {
      if (gone) return;
      gone = true;
      clearTimeout(this.#timer);
      const byItself = new Error(`it ended by itself, with exit code ${code}`);
      const why = code === 0 && this.#failed === undefined ? undefined : (this.#failed ?? byItself);
      fate.exited(why, this.#events === undefined, { killed: this.#killed, exited });
      this.#events?.ended(why);
    };
    worker.once("exit", (code) => this.#exited(code, true));
  }

  get doing(): string {
    return CHILD_PHASES[this.#hand.phase] as string;
  }

  ask(): void {
    this.#turnsWhenAsked = this.#hand.turns;
  }

  /** One that waits in the kernel does so because nothing is to be done. */
  get hasAnswered(): boolean {
    return this.#hand.waits || this.#hand.turns !== this.#turnsWhenAsked;
  }

  acceptWaiting(): void {
    // Its listener is its own.
  }

  kill(why: Error): void {
    this.#failed ??= why;
    this.#terminate();
  }

  /** Serves another connection. */
  serve(fd: number, events: ChildEvents): void {
    clearTimeout(this.#timer);
    this.#events = events;
    this.#worker.postMessage({ type: "serve", fd } satisfies ThreadOrder);
  }

  /** Ends, when it has nothing to do. */
  end(): void {
    this.#worker.postMessage({ type: "end" } satisfies ThreadOrder);
  }

  /** It has been told by the bell. */
  stop(graceMs: number): void {
    clearTimeout(this.#timer);
    // One that is in a loop of its own. What sleeps in the kernel has been woken.
    this.#timer = setTimeout(() => this.#terminate(), killedAfterMs(graceMs));
  }

  #terminate(): void {
    this.#killed = true;
    void this.#worker.terminate();
    clearTimeout(this.#timer);
    // A thread that sleeps in a call which nothing wakes ends when that returns.
    this.#timer = setTimeout(() => this.#exited(1, false), KILLING_MS);
  }

  #over(fate: ThreadFate): void {
    if (!fate.over()) {
      // Whoever waits for the connection waits for the thread.
      this.end();
      return;
    }
    const events = this.#events;
    this.#events = undefined;
    this.#timer = setTimeout(() => {
      fate.leaving();
      this.end();
    }, IDLE_MS);
    this.#timer.unref();
    events?.ended(undefined);
  }
}
