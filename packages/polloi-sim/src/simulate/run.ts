import { type EngineName, Reactor, type Trigger, type Watch } from "polloi";
import { type Kernel, type Libc, O_NONBLOCK, O_RDONLY } from "polloi/internal/pure";
import { EVENT_READ } from "polloi/selectors";
import type { Choices } from "../base/choices.ts";
import { VirtualClock } from "../base/clock.ts";
import { Faults } from "../base/faults.ts";
import { DeadlockError, World } from "../base/world.ts";
import { EventFile } from "../files/event-file.ts";
import type { FileNode } from "../files/nodes.ts";
import { RegularFile } from "../files/opened.ts";
import { Machine, type Running } from "../machine/machine.ts";
import { SocketFile } from "../sockets/socket-file.ts";
import { CountedArenas } from "./checks/arenas.ts";
import { checkRest, checkUse } from "./checks/balance.ts";
import { ownDescriptors, watchDescriptors } from "./checks/descriptors.ts";
import { Report, type Violation } from "./checks/report.ts";
import { contentOf, FILE_BYTES, FILE_STREAM } from "./content.ts";
import { dial, listenFor, sizeBuffers } from "./peers/connect.ts";
import { isOfChild } from "./pool/child.ts";
import { Clients } from "./programs/client.ts";
import { DatagramServer } from "./programs/datagrams.ts";
import { StoppingServer } from "./programs/drain.ts";
import { EchoServer } from "./programs/echo.ts";
import { HttpProgram } from "./programs/http.ts";
import { LoadClient } from "./programs/load.ts";
import { PoolProgram } from "./programs/pool.ts";
import type { Program, Stage } from "./programs/program.ts";
import { StreamServer } from "./programs/streams.ts";
import type { ProgramName, Scenario } from "./scenario.ts";

/** An engine, and its trigger where it has one. */
export interface Variant {
  readonly engine: EngineName;
  readonly trigger: Trigger | undefined;
}

/** All engines. */
export const VARIANTS: readonly Variant[] = [
  { engine: "io_uring", trigger: undefined },
  { engine: "epoll", trigger: "edge" },
  { engine: "epoll", trigger: "level" },
  { engine: "poll", trigger: undefined },
  { engine: "select", trigger: undefined },
];

/** The name of a variant, as the command line takes it. */
export function nameOf({ engine, trigger }: Variant): string {
  return trigger === undefined ? engine : `${engine}-${trigger}`;
}

/** The result of one scenario on one engine. */
export interface Result {
  readonly violations: readonly Violation[];
  /** What was seen, which must be the same on all engines. */
  readonly summary: string;
  /** The decisions of the world. */
  readonly taken: readonly number[];
  readonly waits: number;
  /** The virtual time that it took. */
  readonly ms: number;
}

/** Options of a run. */
export interface RunOptions {
  /** Changes the kernel: a trace does. */
  readonly wrap?: ((kernel: Kernel) => Kernel) | undefined;
}

const PROGRAMS: Readonly<Record<ProgramName, new (stage: Stage) => Program>> = {
  echo: EchoServer,
  http: HttpProgram,
  client: Clients,
  drain: StoppingServer,
  load: LoadClient,
  pool: PoolProgram,
  streams: StreamServer,
  datagrams: DatagramServer,
};

/** Everything is over by then. It is longer than all timeouts of the library together. */
const HANGS_MS = 300_000;
/** A timer fires within this time, unless a handler is slow, or a thread is woken late. */
const LATE_MS = 2;
/** After this many waits without an event, a moment or an action, the program spins. */
const MAX_IDLE_WAITS = 1000;
/** A turn makes fewer calls. */
const MAX_CALLS = 20_000;
/** The counts of a reactor are checked once in this many waits. */
const CHECK_EVERY = 64;
/** More rounds of promise reactions than a callback of the library needs: with promises, and without. */
const PROMISE_ROUNDS = 12;
const ROUNDS = 3;

/** Ends a run that has failed. */
class Aborted extends Error {}

/** The run that is under way, and the one before it. */
let current: Simulation | undefined;
let previous: Simulation | undefined;

/** Handles an error that was thrown in a promise or a microtask. @returns Whether a run has taken it. */
export function uncaught(error: unknown): boolean {
  current?.threw(error);
  // What is left of a run that has failed may fail later.
  return current !== undefined || previous?.report.failed === true;
}

/** Runs a scenario on one engine. Scenarios whose reactor is `run` need no promise. */
export function simulate(
  scenario: Scenario,
  variant: Variant,
  choices: Choices,
  options: RunOptions = {},
): Result | Promise<Result> {
  const simulation = new Simulation(scenario, variant, choices, options);
  current = simulation;
  return scenario.drive === "run" ? simulation.run() : simulation.runInTurns();
}

/** One run: a machine, a reactor, and the program on it. */
class Simulation implements Stage {
  readonly scenario: Scenario;
  readonly world: World;
  readonly report: Report = new Report();
  readonly engine: EngineName;
  readonly trigger: Trigger | undefined;
  readonly machine: Machine;
  readonly #variant: Variant;
  readonly #running: Running;
  readonly kernel: Kernel;
  readonly #arenas: CountedArenas;
  readonly #deferred: (() => void)[] = [];
  readonly #control = new EventFile(0, false, O_NONBLOCK);
  #file: FileNode | undefined;
  #reactor: Reactor | undefined;
  #program: Program | undefined;
  #watch: Watch | undefined;
  isShut = false;
  #isCalm = false;
  #isStopped = false;
  #handled = 0;
  #waits = 0;
  #idleWaits = 0;
  /** The calls since the last wait. */
  #calls = 0;
  #progress = -1;

  constructor(scenario: Scenario, variant: Variant, choices: Choices, { wrap }: RunOptions) {
    this.scenario = scenario;
    this.#variant = variant;
    this.engine = variant.engine;
    this.trigger = variant.trigger;
    const faults = new Faults(choices);
    this.world = new World(choices, faults, new VirtualClock());
    this.machine = new Machine(this.world);
    this.#running = this.machine.start(scenario.descriptors);
    const { process, kernel } = this.#running;
    watchDescriptors(process.descriptors, this.world, this.report, scenario, () => this.#named());
    this.#arenas = new CountedArenas(kernel.arenas, this.report);
    this.#check(kernel.libc);
    const checked = { ...kernel, arenas: this.#arenas };
    this.kernel = wrap === undefined ? checked : wrap(checked);
    if (scenario.failsEarly) faults.set(scenario.faults);
  }

  get reactor(): Reactor {
    if (this.#reactor === undefined)
      throw new RangeError("Cannot use the reactor before it exists");
    return this.#reactor;
  }

  // For programs.

  busy(): void {
    this.#handled++;
    const { slowOneIn, slowMs } = this.scenario;
    if (slowOneIn === 0 || this.#isCalm) return;
    // The others continue meanwhile.
    if (this.world.choices.oneIn(slowOneIn)) {
      this.world.waitUntil(() => false, this.world.timeIn(slowMs));
    }
  }

  dial(bufferBytes: number): SocketFile | number {
    return dial(this.machine, this.scenario.isUnix, bufferBytes);
  }

  limitBuffers(fd: number): void {
    const { isUnix, options } = this.scenario;
    const file = this.#running.process.descriptors.peek(fd);
    if (!isUnix && file instanceof SocketFile) sizeBuffers(file, options.bufferBytes);
  }

  serve(port: number, closesMs: number, accepted: (socket: SocketFile) => void): void {
    listenFor(this.machine, port, closesMs, accepted);
  }

  openFile(): number {
    const { process } = this.#running;
    this.#file ??= this.machine.files.addFile("/content", contentOf(FILE_STREAM, 0, FILE_BYTES));
    const opening = { accessMode: O_RDONLY, statusFlags: 0 };
    return process.descriptors.add(new RegularFile(this.#file, opening, this.world), true);
  }

  closeFile(fd: number): void {
    this.kernel.libc.close(fd);
  }

  after(delayMs: number, callback: () => void): void {
    const due = this.world.timeIn(delayMs);
    this.reactor.setTimer(delayMs, () => {
      const lateMs = this.world.now() - due;
      if (lateMs < 0)
        this.report.fail("timer", `a timer of ${delayMs} ms fires ${-lateMs} ms early`);
      const { slowOneIn, faults } = this.scenario;
      // A ring that takes no submissions is asked again after pauses.
      const isHeldUp = faults.delay !== undefined || faults.again !== undefined;
      if (lateMs > LATE_MS && slowOneIn === 0 && !isHeldUp) {
        this.report.fail("timer", `a timer of ${delayMs} ms fires ${lateMs} ms late`);
      }
      callback();
    });
  }

  outside(delayMs: number, callback: () => void): void {
    if (this.scenario.drive !== "hosted") {
      this.after(delayMs, callback);
      return;
    }
    this.world.scheduleTask(delayMs, () => {
      if (!this.isShut) callback();
    });
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback);
    this.wake();
  }

  wake(): void {
    this.#control.add(1);
  }

  // Runs.

  /** Runs with the reactor's own loop. */
  run(): Result {
    if (this.#make()) {
      this.#guarded(() => {
        // Nothing is open yet, so this returns at once. From then on the reactor is not hosted.
        this.reactor.run();
        this.#start();
        this.reactor.run();
      });
      this.#end();
    }
    return this.#result();
  }

  /** Runs turn by turn, or hosted, with promise reactions in between. */
  async runInTurns(): Promise<Result> {
    if (this.#make()) {
      const { program, usesFetch, drive } = this.scenario;
      const usesPromises = program === "pool" || (program === "http" && usesFetch);
      const rounds = usesPromises ? PROMISE_ROUNDS : ROUNDS;
      const isHosted = drive === "hosted";
      this.#guarded(() => {
        if (!isHosted) this.reactor.run();
        this.#start();
      });
      while (!this.report.failed) {
        // The streams of Node continue in process.nextTick, which comes when no promise reaction is left.
        if (program === "streams") await new Promise((resolve) => setImmediate(resolve));
        else for (let round = 0; round < rounds; round++) await undefined;
        if (!this.reactor.alive && this.#program?.isOver !== false) break;
        this.#guarded(() => {
          if (!isHosted) this.reactor.turn();
          else if (!this.world.step()) throw new DeadlockError("Nothing is scheduled");
          else this.#moved();
        });
      }
      this.#end();
      // Only now the runtime reports promises whose rejection nobody has handled.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return this.#result();
  }

  /** An error that nobody has caught. */
  threw(error: unknown): void {
    if (error instanceof Aborted || isOfChild(error)) return;
    if (error instanceof DeadlockError) {
      this.report.fail("deadlock", this.#program?.describe() ?? "");
      return;
    }
    const [first = error] = error instanceof AggregateError ? (error.errors as unknown[]) : [];
    this.report.fail("thrown", (first as Error).stack ?? String(first));
  }

  /** Makes the reactor. @returns Whether it could: it need not while calls fail. */
  #make(): boolean {
    const { engine, trigger } = this.#variant;
    try {
      this.#reactor = new Reactor({ engine, trigger, kernel: this.kernel });
      return true;
    } catch (error) {
      this.#refused(error);
      this.#checkLeft();
      return false;
    }
  }

  #start(): void {
    const { scenario, world } = this;
    const fd = this.#running.process.descriptors.add(this.#control, true);
    try {
      this.#watch = this.reactor.watch(fd, EVENT_READ, () => this.#controlled());
      this.#program = new PROGRAMS[scenario.program](this);
      this.#program.start();
    } catch (error) {
      this.#refused(error);
      this.#watch?.close();
      return;
    }
    world.faults.set(scenario.faults);
    world.schedule(scenario.calmMs, () => {
      world.faults.stop();
      this.#isCalm = true;
      if (this.isShut) return;
      this.#program?.calm();
      this.wake();
    });
    if (scenario.shutMs > 0) world.schedule(scenario.shutMs, () => this.defer(() => this.#shut()));
    world.schedule(HANGS_MS, () => this.report.fail("hangs", this.#program?.describe() ?? ""));
  }

  /** A call has failed, as it may while there are faults. */
  #refused(error: unknown): void {
    const isOfCall = typeof (error as { errno?: unknown }).errno === "number";
    if (!isOfCall || (!this.scenario.failsEarly && this.scenario.descriptors >= 100)) {
      this.threw(error);
    }
  }

  /** Closes the reactor. The peers find out by themselves. */
  #shut(): void {
    this.isShut = true;
    this.reactor.close();
  }

  /** The control descriptor is readable. */
  #controlled(): void {
    this.#control.read(EIGHT);
    for (const callback of this.#deferred.splice(0)) callback();
    if (this.#isStopped || this.isShut || !this.#isCalm || this.#program?.isDone !== true) return;
    this.#isStopped = true;
    this.#program.stop();
    this.#watch?.close();
  }

  /** After everything that was open has closed. */
  #end(): void {
    if (this.report.failed) return;
    if (this.isShut) {
      this.#guarded(() => {
        while (this.#program?.isDone === false && this.world.step());
      });
    }
    this.#guarded(() => checkRest(this.reactor, this.report));
    this.#guarded(() => this.reactor.close());
    this.#program?.check();
    this.#checkLeft();
  }

  #checkLeft(): void {
    if (this.report.failed) return;
    const { descriptors } = this.#running.process;
    const left = ownDescriptors(descriptors).filter((fd) => descriptors.peek(fd) !== this.#control);
    if (left.length > 0) {
      const kinds = left.map((fd) => `${fd} (${descriptors.peek(fd)?.kind})`);
      this.report.fail("descriptor", `left open: ${kinds.join(", ")}`);
    }
    if (this.#arenas.used > 0) {
      this.report.fail("memory", `${this.#arenas.used} arenas are not released`);
    }
  }

  #result(): Result {
    previous = current;
    current = undefined;
    // What is left of a run that failed may still use its memory.
    if (!this.report.failed) this.machine.end();
    return {
      violations: this.report.violations,
      summary: this.#program?.summary() ?? "",
      taken: this.world.choices.taken,
      waits: this.#waits,
      ms: this.world.now(),
    };
  }

  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.threw(error);
    }
  }

  /** Has the state of the program checked before each call that waits. */
  #check(libc: Libc): void {
    const { epoll_wait, ppoll, pselect, syscall } = libc;
    libc.epoll_wait = (a, b, c, d) => {
      this.#waiting();
      return epoll_wait(a, b, c, d);
    };
    libc.ppoll = (a, b, c, d) => {
      this.#waiting();
      return ppoll(a, b, c, d);
    };
    libc.pselect = (a, b, c, d, e, f) => {
      this.#waiting();
      return pselect(a, b, c, d, e, f);
    };
    libc.syscall = (number, a, b, c, d, e, f) => {
      this.#waiting();
      return syscall(number, a, b, c, d, e, f);
    };
  }

  /** A call names a descriptor. */
  #named(): void {
    if (++this.#calls < MAX_CALLS) return;
    this.report.fail("spins", `${MAX_CALLS} calls without a wait: ${this.#program?.describe()}`);
    throw new Aborted();
  }

  /** A turn is over, and the next begins. */
  #waiting(): void {
    this.#waits++;
    this.#calls = 0;
    this.#moved();
    if (this.report.failed) throw new Aborted();
    if (this.#waits % CHECK_EVERY === 0 && this.#reactor !== undefined) {
      checkUse(this.#reactor, this.report);
    }
    this.#program?.checkTurn();
  }

  /** Notices a program that does nothing again and again. */
  #moved(): void {
    const progress = this.world.ran + this.#handled + this.world.now();
    this.#idleWaits = progress === this.#progress ? this.#idleWaits + 1 : 0;
    this.#progress = progress;
    if (this.#idleWaits < MAX_IDLE_WAITS || this.report.failed) return;
    this.report.fail(
      "spins",
      `${MAX_IDLE_WAITS} waits without an event: ${this.#program?.describe()}`,
    );
  }
}

const EIGHT: Uint8Array = new Uint8Array(8);
