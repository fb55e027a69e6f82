import type { EngineName, Trigger } from "polloi";
import {
  type ChildInput,
  loopOf,
  ProcessControl,
  ProcessServer,
  type Spawned,
  toPlainError,
} from "polloi/internal";
import {
  ERRNO,
  type Kernel,
  type Libc,
  type LoopTimer,
  type LoopWatch,
  type Native,
  SIGNATURES,
  SysError,
} from "polloi/internal/pure";
import type { ModelConnection, ModelHandlers, ModelLoop } from "polloi/models";
import type { World } from "../../base/world.ts";
import type { Machine, Running } from "../../machine/machine.ts";
import type { Process } from "../../process/process.ts";
import { portOf } from "../../sockets/address.ts";
import { SocketFile } from "../../sockets/socket-file.ts";
import { TcpSocket } from "../../sockets/tcp-socket.ts";
import { checkRest } from "../checks/balance.ts";
import { ownDescriptors, watchDescriptors } from "../checks/descriptors.ts";
import { HandlerOrder } from "../checks/order.ts";
import type { Report } from "../checks/report.ts";
import { HEADER_BYTES } from "../peers/echo-peer.ts";
import type { Scenario } from "../scenario.ts";
import type { Life } from "./plan.ts";

/** How long the runtime of the parent takes to notice that a process has ended. */
const NOTICE_MS = 1;
/** How long a signal takes to arrive. */
const SIGNAL_MS = 0.05;
/** After this time no code of a process runs any more. */
const FORGOTTEN_MS = 5;

/** A simulated process has ended: thrown through the code that ran in it. */
class ProcessEnded extends Error {
  override readonly name = "ProcessEnded";
}

/** What a child runs on. */
export interface ChildStage {
  readonly machine: Machine;
  readonly world: World;
  readonly report: Report;
  readonly scenario: Scenario;
  readonly engine: EngineName;
  readonly trigger: Trigger | undefined;
  /** Whether its module sets up a listener, instead of exporting handlers. */
  readonly listens: boolean;
  /** There are no faults any more: it does not fail, either. */
  readonly isCalm: boolean;
  /** A child ends, with all that it has open. */
  lost(process: Process): void;
  /** A child does nothing for some time. */
  stalls(child: PoolChild, ms: number): void;
}

/** The state of a connection in a child. */
interface Session {
  readonly order: HandlerOrder;
  /** The bytes of the header that have not arrived. */
  header: number;
}

type Client = ModelConnection<Session>;
/** Called when a process has exited. */
type Exited = (code: number | null, signal: string | null) => void;

/**
 * A process that serves a pool's listener, with the code of a pool's process except the runtime around it.
 *
 * @remarks
 * All processes of a simulation share one thread: the code of each runs in tasks of the world. A process that has ended
 * makes no call any more, because each of its calls throws.
 */
export class PoolChild implements Spawned {
  readonly pid: number;
  readonly life: Life;
  /** When it was ready to serve; undefined before. */
  readyAt: number | undefined;
  /** When its supervisor has killed it, and whether it did nothing then; undefined before. */
  killed: { readonly at: number; readonly wasStalled: boolean } | undefined;
  readonly #stage: ChildStage;
  readonly #running: Running;
  readonly #kernel: Kernel;
  readonly #name: string;
  #control: ProcessControl | undefined;
  #server: ProcessServer | undefined;
  #connections = 0;
  /** The ports of the peers of its connections. */
  readonly #acceptedPorts: Set<number> = new Set();
  #isAlive = true;
  #stalledUntil = 0;
  /** The same, without the time for which it is frozen. */
  #slowUntil = 0;
  /** What it will do when it is not frozen any more. */
  readonly #frozen: (() => void)[] = [];
  /** The system calls until a signal kills it. */
  #callsLeft = Number.POSITIVE_INFINITY;
  #exited: Exited = () => {};

  constructor(stage: ChildStage, args: readonly string[], life: Life) {
    this.#stage = stage;
    this.life = life;
    this.#name = args.at(-1) as string;
    this.#running = stage.machine.start(stage.scenario.descriptors);
    const { process } = this.#running;
    this.pid = process.pid;
    const others = { takenOneIn: 0, keptOneIn: stage.scenario.keptOneIn };
    watchDescriptors(process.descriptors, stage.world, stage.report, others, () => {});
    this.#kernel = this.#guarded(this.#running.kernel);
    this.#kernel.soon(() => this.#later(life.startMs, () => this.#begin()));
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Whether it serves. */
  get isReady(): boolean {
    return this.#isAlive && this.readyAt !== undefined && !this.isStalled;
  }

  /** Whether it has a connection from a port, or had one. */
  hasAccepted(port: number): boolean {
    this.#notePorts();
    return this.#acceptedPorts.has(port);
  }

  /** Whether it does nothing at the moment. */
  get isStalled(): boolean {
    return this.#stalledUntil > this.#stage.world.now();
  }

  /** When its last stall ends, or has ended. */
  get stalledUntil(): number {
    return this.#stalledUntil;
  }

  // For its parent.

  once(event: "error", listener: (error: Error) => void): unknown;
  once(event: "exit", listener: Exited): unknown;
  once(event: string, listener: (...args: never[]) => void): unknown {
    if (event === "exit") this.#exited = listener as Exited;
    return this;
  }

  kill(): void {
    this.killed ??= { at: this.#stage.world.now(), wasStalled: this.isStalled };
    this.#stage.world.scheduleTask(SIGNAL_MS, () => this.#end(null, "SIGKILL"));
  }

  // Its life.

  #begin(): void {
    const { failure, after } = this.life;
    if (failure === "call" && !this.#stage.isCalm) this.#callsLeft = after;
    const kernel = this.#kernel;
    const control = new ProcessControl(kernel, `\0${this.#name}`, (code) => this.#exit(code));
    this.#control = control;
    const channel = kernel.watch(control.fd, () => {
      channel.stop();
      const { input, fd } = control.receiveInput();
      const file = this.#running.process.descriptors.peek(fd);
      if (fd === control.fd || !(file instanceof SocketFile)) {
        this.#stage.report.fail(
          "passed",
          `a process serves descriptor ${fd}, which it has not received`,
        );
      }
      control.setPhase(STARTING);
      this.#start(control, input, fd);
      return true;
    });
  }

  #start(control: ProcessControl, input: ChildInput, fd: number): void {
    const { engine, trigger, listens, isCalm } = this.#stage;
    const failure = isCalm ? "none" : this.life.failure;
    if (failure === "start") throw new Error("the module throws");
    if (failure === "hang") {
      this.#stall(Number.POSITIVE_INFINITY);
      this.#later(0, () => this.#start(control, input, fd));
      return;
    }
    const options = {
      control,
      input: { ...input, engine, trigger },
      fd,
      stopped: () => this.#kernel.soon(() => this.#leave()),
    };
    const server = new ProcessServer(options, this.#kernel);
    this.#server = server;
    const ready = (): void => {
      this.readyAt = this.#stage.world.now();
      this.#failLater(failure);
    };
    if (!listens) {
      server.serveHandlers(this.#handlers() as ModelHandlers);
      ready();
      return;
    }
    server
      .start((loop: ModelLoop) => this.#listen(loop))
      .then(ready)
      .catch((error: unknown) => this.#failed(error));
  }

  #listen(loop: ModelLoop): void {
    const handlers = this.#handlers();
    const { zeroCopy } = this.#stage.scenario.options;
    loop.listen<Session>({
      zeroCopy,
      ...(handlers as object),
      data: (connection, bytes) => {
        if (!this.#received(connection, bytes)) connection.pause();
      },
      drain: (connection) => connection.resume(),
      end(connection) {
        handlers.end?.(connection);
        connection.end();
      },
    });
  }

  #handlers(): ModelHandlers<Session> {
    const { report } = this.#stage;
    return {
      open: (connection) => {
        const order = new HandlerOrder(this.#connections++, report);
        this.#notePorts();
        order.called("open");
        connection.data = { order, header: HEADER_BYTES };
      },
      data: (connection, bytes) => void this.#received(connection, bytes),
      end: (connection) => connection.data.order.called("end"),
      close: (connection) => connection.data?.order.called("close"),
    };
  }

  /** Notes the ports of the peers of all connections, which may be closed soon. */
  #notePorts(): void {
    const { descriptors } = this.#running.process;
    for (const fd of descriptors.list()) {
      const file = descriptors.peek(fd);
      const name = file instanceof TcpSocket ? file.peerName() : -1;
      if (typeof name !== "number") this.#acceptedPorts.add(portOf(name));
    }
  }

  /** @returns Whether the peer keeps up. */
  #received(connection: Client, bytes: Uint8Array): boolean {
    const session = connection.data;
    session.order.called("data");
    const { slowOneIn, slowMs } = this.#stage.scenario;
    if (slowOneIn > 0 && !this.#stage.isCalm && this.#stage.world.choices.oneIn(slowOneIn)) {
      this.#stall(slowMs);
    }
    const skipped = Math.min(session.header, bytes.length);
    session.header -= skipped;
    if (skipped === bytes.length) return true;
    return connection.write(skipped === 0 ? bytes : bytes.subarray(skipped));
  }

  #failLater(failure: Life["failure"]): void {
    const { after, stallMs } = this.life;
    const fail = (act: () => void): void => {
      this.#stage.world.scheduleTask(after, () => {
        if (!this.#stage.isCalm) this.#run(act);
      });
    };
    switch (failure) {
      case "signal":
        fail(() => this.#end(null, "SIGSEGV"));
        return;
      case "throw":
        fail(() => {
          throw new Error("a handler throws");
        });
        return;
      case "stall":
        fail(() => this.#stall(stallMs));
        return;
      case "freeze":
        fail(() => this.#stall(Number.POSITIVE_INFINITY));
        return;
      default:
    }
  }

  /** There are no faults any more. */
  calm(): void {
    this.#callsLeft = Number.POSITIVE_INFINITY;
    if (this.#stalledUntil !== Number.POSITIVE_INFINITY) return;
    const { world } = this.#stage;
    this.#stalledUntil = Math.max(world.now(), this.#slowUntil);
    for (const attempt of this.#frozen.splice(0)) world.scheduleTask(0, attempt);
  }

  /** It does nothing for some time. Calls that it is in are over before. */
  #stall(ms: number): void {
    const until = this.#stage.world.timeIn(ms);
    this.#stalledUntil = Math.max(this.#stalledUntil, until);
    if (until !== Number.POSITIVE_INFINITY) this.#slowUntil = Math.max(this.#slowUntil, until);
    this.#stage.stalls(this, ms);
  }

  /** Everything is closed. */
  #leave(): void {
    const { report } = this.#stage;
    const process = this.#server as ProcessServer;
    const { reactor } = process;
    const { listener } = process.server;
    checkRest(reactor, report);
    reactor.close();
    const { descriptors } = this.#running.process;
    const left = ownDescriptors(descriptors).filter((fd) => fd !== this.#control?.fd);
    if (left.length > 0) {
      const kinds = left.map((fd) => `${fd} (${descriptors.peek(fd)?.kind})`);
      report.fail("descriptor", `left open in a child: ${kinds.join(", ")}`);
    }
    if (listener !== undefined && listener.connections !== 0) {
      report.fail("count", `a child that has stopped counts ${listener.connections}`);
    }
    process.sendCounts();
    this.#exit(0);
  }

  /** Something that it runs has thrown, and nothing in it has caught that. */
  #failed(error: unknown): void {
    if (error instanceof ProcessEnded || !this.#isAlive) return;
    try {
      this.#control?.send({ type: "failed", error: toPlainError(error) });
    } catch {
      // Its parent has closed the channel.
    }
    this.#end(1, null);
  }

  #exit(code: number): never {
    this.#end(code, null);
    throw new ProcessEnded("It has exited");
  }

  /** The process is no more: the kernel closes what it has open. */
  #end(code: number | null, signal: string | null): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    const { process } = this.#running;
    const { world } = this.#stage;
    this.#stage.lost(process);
    process.memory.releaseFiles();
    process.descriptors.closeAll();
    world.schedule(FORGOTTEN_MS, () => process.memory.unmap());
    world.scheduleTask(NOTICE_MS, () => this.#exited(code, signal));
  }

  // Its kernel.

  /** Runs code of the process. */
  #run<T>(code: () => T): T | undefined {
    if (!this.#isAlive) return undefined;
    try {
      return code();
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  /** Runs code of the process after a delay, and not while it does nothing. */
  #later(delayMs: number, code: () => void): LoopTimer {
    const { world } = this.#stage;
    let isCancelled = false;
    const attempt = (): void => {
      if (isCancelled || !this.#isAlive) return;
      if (!this.isStalled) this.#run(code);
      else if (this.#stalledUntil === Number.POSITIVE_INFINITY) this.#frozen.push(attempt);
      else world.scheduleTask(this.#stalledUntil - world.now(), attempt);
    };
    world.scheduleTask(delayMs, attempt);
    return {
      ref() {},
      unref() {},
      cancel() {
        isCancelled = true;
      },
    };
  }

  #watch(fd: number, onReadable: () => boolean): LoopWatch {
    const { watch } = this.#running.kernel;
    let inner: LoopWatch | undefined;
    let isStopped = false;
    const begin = (): void => {
      // A promise of a process that has ended may be settled.
      if (isStopped || !this.#isAlive) return;
      inner = this.#marked(() =>
        watch(fd, () => {
          if (!this.#isAlive || this.isStalled) {
            inner?.stop();
            if (this.#isAlive) this.#later(0, begin);
            return false;
          }
          return this.#run(onReadable) ?? false;
        }),
      );
    };
    begin();
    return {
      ref() {},
      unref() {},
      stop() {
        isStopped = true;
        inner?.stop();
      },
    };
  }

  #guarded(kernel: Kernel): Kernel {
    const libc: Partial<Libc> = {};
    for (const name of Object.keys(SIGNATURES) as (keyof Libc)[]) {
      const call: Native = kernel.libc[name];
      const guarded: Native = (a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0) => {
        this.#calls();
        return call(a, b, c, d, e, f, g);
      };
      libc[name] = guarded;
    }
    const { arenas } = kernel;
    return {
      ...kernel,
      libc: libc as Libc,
      arenas: {
        map: (byteLength) => this.#marked(() => arenas.map(byteLength)),
        mapPermanent: (byteLength) => this.#marked(() => arenas.mapPermanent(byteLength)),
        mapFile: (fd, at, byteLength) => this.#marked(() => arenas.mapFile(fd, at, byteLength)),
        release: (arena) => arenas.release(arena),
        unmap: () => arenas.unmap(),
      },
      watch: (fd, onReadable) => this.#watch(fd, onReadable),
      soon: (callback) => void this.#later(0, callback),
      after: (delayMs, callback) => this.#later(delayMs, callback),
    };
  }

  /** Marks an error as one of this process: it may be thrown by a microtask. */
  #marked<T>(code: () => T): T {
    try {
      return code();
    } catch (error) {
      owners.set(error as object, (thrown) => this.#failed(thrown));
      throw error;
    }
  }

  /** It makes a system call. */
  #calls(): void {
    if (this.#isAlive && --this.#callsLeft === 0) this.#end(null, "SIGKILL");
    if (!this.#isAlive) throw new ProcessEnded("A process that has ended makes a call");
  }

  /** For the end of a run: whether its reactor keeps anything. */
  describe(): string {
    const { pid, life } = this;
    const state = this.#isAlive ? (this.isStalled ? "stalled" : "runs") : "has ended";
    const open = this.#server === undefined ? 0 : loopOf(this.#server.reactor).balance();
    return `process ${pid} (${life.failure}) ${state}, ${JSON.stringify(open)}`;
  }
}

/** A process that could not be started, as a runtime reports it. */
export class FailedStart implements Spawned {
  readonly pid = undefined;
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  once(event: "error", listener: (error: Error) => void): unknown;
  once(event: "exit", listener: Exited): unknown;
  once(event: string, listener: (...args: never[]) => void): unknown {
    const failed = listener as (error: Error) => void;
    if (event === "error") this.#world.scheduleTask(0, () => failed(noProcess()));
    return this;
  }

  kill(): void {}
}

/** The system has no process left. */
export function noProcess(): SysError {
  return new SysError("spawn", ERRNO.EAGAIN);
}

/** The processes whose errors these are. */
const owners = new WeakMap<object, (error: unknown) => void>();

/** Handles an error that nothing has caught, if it is one of a simulated process. @returns Whether it is. */
export function isOfChild(error: unknown): boolean {
  if (error instanceof ProcessEnded) return true;
  const failed = error instanceof Error ? owners.get(error) : undefined;
  failed?.(error);
  return failed !== undefined;
}

/** The index of the phase in which the module starts. */
const STARTING = 2;
