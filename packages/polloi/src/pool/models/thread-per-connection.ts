import type { ChildEvents } from "../child.ts";
import { type ThreadChild, ThreadStarter } from "../thread-child.ts";
import type { Model, ModelContext } from "./model.ts";
import { type ChildSource, PerConnection } from "./per-connection.ts";

/** How long a thread without a connection waits for the next one before it exits. */
const IDLE_MS = 10_000;

/**
 * `thread`: a thread for each connection, which waits in blocking calls.
 *
 * @throws what listening throws
 */
export function startThreadPerConnection(context: ModelContext): Model {
  return new PerConnection(context, (idleExited) => new ThreadSource(context, idleExited));
}

/** A thread, and the events of the connection that it serves; undefined while it is idle. */
interface ServingThread {
  child: ThreadChild;
  events: ChildEvents | undefined;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Starts threads, and reuses those whose connection is closed.
 *
 * @remarks
 * Starting a thread takes longer than most connections last. Also, a runtime's FFI may keep what it maps for a thread
 * when the thread has ended, which would add up with a new thread for each connection.
 */
class ThreadSource implements ChildSource {
  readonly kind = "thread";
  readonly #context: ModelContext;
  readonly #idleExited: () => void;
  readonly #starter: ThreadStarter;
  /** Threads that wait for a connection. */
  readonly #waiting = new Set<ServingThread>();
  /** Threads that were asked to exit, and serve no other connection. */
  readonly #exiting = new Set<ServingThread>();
  #stopping = false;

  constructor(context: ModelContext, idleExited: () => void) {
    this.#context = context;
    this.#idleExited = idleExited;
    this.#starter = new ThreadStarter(context.kernel);
  }

  get idle(): number {
    return this.#waiting.size + this.#exiting.size;
  }

  start(fd: number, events: ChildEvents): ThreadChild {
    const [waiting] = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting.delete(waiting);
      clearTimeout(waiting.timer);
      waiting.events = events;
      waiting.child.serve(fd);
      return waiting.child;
    }
    const { input, reporter } = this.#context;
    const child = this.#starter.start({ ...input, task: "connection" }, fd, {
      message: (message) => {
        if (message.type === "idle") this.#finished(thread);
        else thread.events?.message(message);
      },
      exited: (exit) => {
        clearTimeout(thread.timer);
        const wasIdle = this.#waiting.delete(thread) || this.#exiting.delete(thread);
        thread.events?.exited(exit);
        if (!wasIdle) return;
        const { error } = exit;
        if (error !== undefined && !this.#stopping) {
          reporter.exited({ kind: "thread", id: child.id, error, restartInMs: undefined });
        }
        this.#idleExited();
      },
    });
    const thread: ServingThread = { child, events, timer: undefined };
    reporter.started++;
    return child;
  }

  stop(graceMs: number): void {
    this.#stopping = true;
    for (const thread of this.#waiting) this.#exit(thread);
    for (const { child } of this.#exiting) child.stop(graceMs);
  }

  close(): void {}

  /** The connection of a thread is closed. */
  #finished(thread: ServingThread): void {
    if (this.#stopping) {
      // The connection counts as open until the thread has exited.
      thread.child.exit();
      return;
    }
    const { events } = thread;
    thread.events = undefined;
    this.#waiting.add(thread);
    thread.timer = setTimeout(() => this.#exit(thread), IDLE_MS);
    thread.timer.unref();
    events?.exited({ error: undefined });
  }

  /** Has a thread that waits exit. Connections that are accepted from here on are served by others. */
  #exit(thread: ServingThread): void {
    clearTimeout(thread.timer);
    this.#waiting.delete(thread);
    this.#exiting.add(thread);
    thread.child.exit();
  }
}
