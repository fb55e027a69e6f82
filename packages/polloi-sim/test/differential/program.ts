import type { Choices } from "../../src/base/choices.ts";
import type { Result, Side } from "./side.ts";

/** What a handle refers to, as far as the program that is made knows. */
export type Kind =
  | "tcp"
  | "listener"
  | "unix-stream"
  | "unix-seqpacket"
  | "unix-dgram"
  | "udp"
  | "pipe-read"
  | "pipe-write"
  | "eventfd"
  | "timerfd"
  | "epoll"
  | "ring"
  | "file"
  | "unknown";

/** Numbers to choose from. */
export type Numbers = readonly [number, ...number[]];

/** One call of a program. */
export interface Call {
  /** Its number in the program as it was made. A program that is shrunk keeps the numbers. */
  readonly id: number;
  readonly operation: string;
  /** The handles that it uses. */
  readonly on: readonly number[];
  readonly numbers: readonly number[];
}

/** A list of calls, which both kernels run. */
export interface Program {
  readonly seed: number;
  readonly calls: readonly Call[];
}

/** The arguments of a call, and what it opens. */
export interface Chosen {
  readonly on?: readonly number[];
  readonly numbers?: readonly number[];
  readonly makes?: readonly Kind[];
  /** The first two handles that it makes are connected to each other. */
  readonly isPair?: boolean;
}

/** A kind of call. */
export interface Operation {
  readonly name: string;
  /** How often it is made, in relation to the others. */
  readonly weight: number;
  /** Chooses arguments. undefined when the program has nothing to call it on. */
  choose(sketch: Sketch): Chosen | undefined;
  /** Makes the call on one side. */
  run(side: Side, call: Call): Result;
}

/** The most handles of one call. */
export const HANDLES_PER_CALL = 8;

/** The handle of what a call opens. */
export function handleOf(call: { readonly id: number }, index: number): number {
  return call.id * HANDLES_PER_CALL + index;
}

export interface Sketched {
  readonly handle: number;
  kind: Kind;
  readonly peer: number | undefined;
  isClosed: boolean;
}

export const SOCKETS: readonly Kind[] = [
  "tcp",
  "listener",
  "unix-stream",
  "unix-seqpacket",
  "unix-dgram",
  "udp",
];
export const STREAMS: readonly Kind[] = ["tcp", "unix-stream"];
export const CONNECTED: readonly Kind[] = ["tcp", "unix-stream", "unix-seqpacket", "unix-dgram"];
export const DATAGRAMS: readonly Kind[] = ["udp", "unix-dgram"];

/** Once in this many times, a call gets a handle of another kind than it is for. */
const MISUSE = 40;
/** Once in this many times, a call gets a handle that is closed. */
const CLOSED = 60;

/** What a program that is being made has opened so far. It does not know which calls will fail. */
export class Sketch {
  readonly choices: Choices;
  readonly #handles: Sketched[] = [];
  #id = 0;

  constructor(choices: Choices) {
    this.choices = choices;
  }

  /** The number of the next call. */
  get id(): number {
    return this.#id;
  }

  /** A handle of one of these kinds. */
  pick(kinds: readonly Kind[]): number | undefined {
    const { choices } = this;
    const wrong = choices.oneIn(MISUSE);
    const closed = choices.oneIn(CLOSED);
    const all = this.#handles.filter(
      ({ kind, isClosed }) => (wrong || kinds.includes(kind)) && isClosed === closed,
    );
    return choices.pick(all)?.handle;
  }

  /** An open handle of one of these kinds, and never of another. */
  pickExact(kinds: readonly Kind[]): number | undefined {
    const { choices } = this;
    return choices.pick(
      this.#handles.filter(({ kind, isClosed }) => kinds.includes(kind) && !isClosed),
    )?.handle;
  }

  /** A handle of any kind that is open. */
  any(): number | undefined {
    return this.choices.pick(this.#handles.filter(({ isClosed }) => !isClosed))?.handle;
  }

  /** An open handle that can be duplicated. */
  anyButRing(): Sketched | undefined {
    return this.choices.pick(
      this.#handles.filter(({ kind, isClosed }) => !isClosed && kind !== "ring"),
    );
  }

  /** Up to `most` open handles. */
  some(most: number): number[] {
    const count = this.choices.between(1, most);
    const open = this.#handles.filter(({ isClosed }) => !isClosed);
    return Array.from({ length: count }, () => this.choices.pick(open)?.handle ?? -1).filter(
      (handle, i, all) => handle >= 0 && all.indexOf(handle) === i,
    );
  }

  /** All open handles. */
  all(kinds?: readonly Kind[]): number[] {
    return this.#handles
      .filter(({ kind, isClosed }) => !isClosed && (kinds === undefined || kinds.includes(kind)))
      .map(({ handle }) => handle);
  }

  peerOf(handle: number): number | undefined {
    return this.#handles.find((each) => each.handle === handle)?.peer;
  }

  kindOf(handle: number): Kind {
    return this.#handles.find((each) => each.handle === handle)?.kind ?? "unknown";
  }

  close(handle: number): void {
    const found = this.#handles.find((each) => each.handle === handle);
    if (found !== undefined) found.isClosed = true;
  }

  /** Notes what a call opens. */
  add(operation: string, { on = [], numbers = [], makes = [], isPair = false }: Chosen): Call {
    const call = { id: this.#id++, operation, on, numbers };
    for (const [index, kind] of makes.entries()) {
      const peer = isPair && index < 2 ? handleOf(call, 1 - index) : undefined;
      this.#handles.push({ handle: handleOf(call, index), kind, peer, isClosed: false });
    }
    return call;
  }
}
