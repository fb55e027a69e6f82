import type { EngineName, Reactor, Trigger } from "polloi";
import type { Kernel } from "polloi/internal/pure";
import type { World } from "../../base/world.ts";
import type { Machine } from "../../machine/machine.ts";
import type { SocketFile } from "../../sockets/socket-file.ts";
import type { Report } from "../checks/report.ts";
import type { PeerPlan, Scenario } from "../scenario.ts";

/** What a program under simulation runs on. */
export interface Stage {
  readonly scenario: Scenario;
  readonly world: World;
  readonly reactor: Reactor;
  readonly report: Report;
  /** The engine, for rules that differ. */
  readonly engine: EngineName;
  readonly trigger: Trigger | undefined;
  /** For programs that start processes. */
  readonly machine: Machine;
  readonly kernel: Kernel;
  /** Whether the reactor was closed: nobody is served any more. */
  readonly isShut: boolean;
  /** Called by each handler: some are slow. */
  busy(): void;
  /** Connects a peer to the address of the program. @returns A socket, or `-errno`. */
  dial(bufferBytes: number): SocketFile | number;
  /** Sets the sizes of the buffers of a listener, which the sockets of its connections inherit. */
  limitBuffers(fd: number): void;
  /**
   * Opens a listening socket of a peer.
   *
   * @param closesMs - Accepts nothing, and closes the socket after this time; 0 accepts everything.
   * @param accepted - Called with each connection.
   */
  serve(port: number, closesMs: number, accepted: (socket: SocketFile) => void): void;
  /** Opens the file that servers send from. @returns The descriptor, or `-errno`. */
  openFile(): number;
  closeFile(fd: number): void;
  /** Sets a timer of the reactor, and checks its time. */
  after(delayMs: number, callback: () => void): void;
  /** Calls back from the runtime's loop, outside of a turn, if the reactor is hosted. */
  outside(delayMs: number, callback: () => void): void;
  /** Calls back within a turn of the reactor. */
  defer(callback: () => void): void;
  /** Wakes the reactor, so that a program that waits sees that the simulation is over. */
  wake(): void;
}

/** A program that uses the library, its peers, and the rules for what they may see. */
export interface Program {
  /** Begins. @throws SysError when a call fails, which it may only because of a fault. */
  start(): void;
  /** There are no more faults: from now on everybody is served. */
  calm(): void;
  /** Whether all peers are done. */
  readonly isDone: boolean;
  /** Closes what keeps the reactor alive. */
  stop(): void;
  /** Whether everything that does not keep the reactor alive has ended as well; of a program that has such things. */
  readonly isOver?: boolean;
  /** After each turn. */
  checkTurn(): void;
  /** After everything is closed. */
  check(): void;
  /** What is not done yet, for a person. */
  describe(): string;
  /** What the peers and the handlers have seen, which must be the same on all engines. */
  summary(): string;
}

/**
 * Options in which undefined stands for a default. All options of a program have one shape then, because V8 needs a
 * microsecond for each property of an object whose shape it does not know.
 */
export type Sparse<Options> = { [Name in keyof Options]: Options[Name] | undefined };

/** A plan in a summary: peers that connect again do so in an order that depends on the engine. */
export function planText({ mode, length, startMs, again }: PeerPlan): string {
  return `${mode} ${length} ${startMs} ${again}`;
}

/** What peers have seen, in whatever order they came. */
export function summaryOf(seen: readonly string[]): string {
  return [...seen].sort().join(", ");
}

/** The address of the program. */
export const PORT = 7000;
export const PATH = "/sim.sock";
