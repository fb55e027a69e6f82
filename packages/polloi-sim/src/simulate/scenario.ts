import type { Choices } from "../base/choices.ts";
import { FAULT_KINDS, type FaultKind, type FaultRates } from "../base/faults.ts";
import { type PoolPlan, poolFrom } from "./pool/plan.ts";
import { type RequestPlan, requestFrom } from "./programs/http-requests.ts";

/** The programs that are simulated. */
export const PROGRAMS = [
  "echo",
  "http",
  "client",
  "drain",
  "load",
  "pool",
  "streams",
  "datagrams",
] as const;
export type ProgramName = (typeof PROGRAMS)[number];

/** How the reactor runs: its own wait, turns with promises between them, or an event loop around it. */
export const DRIVES = ["run", "turns", "hosted"] as const;
export type Drive = (typeof DRIVES)[number];

/** What an echo server does with a connection. The first byte that a peer sends selects it, by its index. */
export const MODES = [
  /** Echoes, and stops receiving while too much is queued. */
  "echo",
  /** Echoes, whatever is queued. */
  "flood",
  /** Echoes from a timer. */
  "late",
  /** Sends a number of bytes at once, and closes. */
  "serve",
  /** Sends a number of bytes as fast as the peer reads them, and ends its half. */
  "pump",
  /** Resets when a number of bytes were received. */
  "reset",
  /** Echoes a number of bytes, and closes. */
  "close",
  /** Sends a number of bytes, and destroys the connection at once. */
  "destroy",
  /** Echoes, and destroys the connection from a timer. */
  "kill",
  /** Sends a number of bytes of a file, and closes. */
  "file",
  /** Stops receiving for a time. */
  "pause",
  /** Echoes with other handlers. */
  "handover",
  /** Echoes, and throws. */
  "throw",
] as const;
export type Mode = (typeof MODES)[number];

/** How bytes are sent: in pieces of at most `piece` bytes, with a pause of `gapMs` between two of them. */
export interface Pieces {
  readonly piece: number;
  readonly gapMs: number;
}

/** One step of a peer. */
export type Step =
  /** Sends the next bytes of its stream. */
  | ({ readonly do: "send"; readonly length: number } & Pieces)
  /** Sends a request of HTTP. */
  | ({ readonly do: "request"; readonly request: RequestPlan } & Pieces)
  /** Sends this text, each character as the byte with its number. */
  | ({ readonly do: "garbage"; readonly text: string } & Pieces)
  | { readonly do: "wait"; readonly ms: number }
  /** Waits until everything that was asked for has arrived. */
  | { readonly do: "await" }
  /** Ends its half of the connection. */
  | { readonly do: "end" }
  /** Leaves: with a reset, or without reading what is left. */
  | { readonly do: "reset" }
  | { readonly do: "close" };

/** How a peer reads. */
export interface Reading {
  /** The delay after the connect. */
  readonly startMs: number;
  /** The most bytes of one read. */
  readonly chunk: number;
  /** The pause between two reads; 0 reads as soon as there is something. */
  readonly everyMs: number;
}

/** What one peer does. After its last step it reads to the end, and closes. */
export interface PeerPlan {
  readonly startMs: number;
  /** How long it takes to react. */
  readonly latencyMs: number;
  /** What the server does for it. For the program `client`: what the server, which the peer is, does. */
  readonly mode: Mode;
  /** The number of bytes that the mode needs. */
  readonly length: number;
  /** The size of a write of the server. */
  readonly piece: number;
  /** The delay of the server. */
  readonly delayMs: number;
  readonly reading: Reading;
  /** SO_RCVBUF and SO_SNDBUF of its socket; 0 for the default. */
  readonly bufferBytes: number;
  readonly steps: readonly Step[];
  /** How often it connects again and does the same. */
  readonly again: number;
}

/** The options of the listener, or of the connections. */
export interface ProgramOptions {
  readonly zeroCopy: boolean;
  /** 0 stands for the default of the library in these numbers. */
  readonly highWaterBytes: number;
  readonly maxPendingBytes: number;
  readonly idleTimeoutMs: number;
  readonly maxConnections: number;
  /** SO_RCVBUF and SO_SNDBUF of the program's sockets. */
  readonly bufferBytes: number;
  /** Whether the handlers include `end`. */
  readonly handlesEnd: boolean;
}

/** Everything that is decided before a simulation begins. It is plain data, so that it can be made smaller. */
export interface Scenario {
  readonly program: ProgramName;
  readonly drive: Drive;
  readonly isUnix: boolean;
  readonly options: ProgramOptions;
  readonly faults: FaultRates;
  /** Whether calls fail while the reactor is made and begins to listen. */
  readonly failsEarly: boolean;
  /** The time from which on there are no faults. */
  readonly calmMs: number;
  /** A handler is slow once in `slowOneIn` times, for `slowMs`. 0 is never. */
  readonly slowOneIn: number;
  readonly slowMs: number;
  /** Another thread takes a number that was closed, once in this many times. 0 is never. */
  readonly takenOneIn: number;
  /** Another process has a duplicate of a descriptor that is closed, once in this many times. 0 is never. */
  readonly keptOneIn: number;
  /** The number of descriptors that the process may open. */
  readonly descriptors: number;
  /** When the listener stops, and its grace period. For the program `drain`. */
  readonly stopMs: number;
  readonly graceMs: number;
  /** When the listener is closed, and another one listens on its address; 0 for never. For the program `echo`. */
  readonly restartMs: number;
  /** When the reactor is closed with all that is open in it; 0 for never. */
  readonly shutMs: number;
  /** Whether an HTTP server answers with `fetch`, unless it runs without promises. */
  readonly usesFetch: boolean;
  readonly peers: readonly PeerPlan[];
  /** For the program `pool`. */
  readonly pool?: PoolPlan;
}

/** Choices of a scenario that are made by hand. */
export interface Fixed {
  readonly program?: ProgramName | undefined;
  readonly drive?: Drive | undefined;
  /** The only faults. */
  readonly faults?: readonly FaultKind[] | undefined;
}

/** How rarely a fault happens. */
const RATES = [3, 10, 40, 200, 1000] as const;
/** A call that is forbidden is forbidden every time, most often. */
const FORBIDDEN_RATES = [1, 1, 3, 40, 200] as const;
/** Programs whose reactor may be closed with all that is open in it. */
const SHUTS: readonly ProgramName[] = ["echo", "http", "client", "drain", "streams", "datagrams"];
/** The modes of programs that do not know all {@link MODES}. */
const MODES_OF: { readonly [Name in ProgramName]?: readonly [Mode, ...Mode[]] } = {
  streams: ["echo", "late", "close", "kill"],
  datagrams: ["echo", "pause"],
};
/** The most peers of most scenarios, and of the others. */
const FEW_PEERS = 5;
const MANY_PEERS = 40;

/** The scenario of a seed. */
export function scenarioOf(choices: Choices, fixed: Fixed = {}): Scenario {
  // A load makes many histograms, and a pool many processes: they run long.
  const rare = choices.below(12);
  const isPool = rare === 10 && choices.oneIn(4);
  const other = rare === 9 ? choices.pick([undefined, "streams", "datagrams"] as const) : undefined;
  const usual = rare === 11 ? "load" : (choices.pick(PROGRAMS.slice(0, 4)) ?? "echo");
  const special = isPool ? "pool" : other;
  const program = fixed.program ?? special ?? usual;
  const drive = choices.oneIn(4) ? choices.pick(["turns", "hosted", "hosted"] as const) : "run";
  return new Author(choices, program, fixed.drive ?? drive).scenario(fixed.faults);
}

/** An echo server has the peers of {@link pausedWith} as well, once in this many scenarios. */
const PAUSED_ONE_IN = 8;
/** More than one packet of a unix socket. */
const PACKETS_BYTES = 20_000;

/**
 * Peers that connect together, send everything at once, and end. The server pauses each until another one sends, so
 * often one turn has bytes of a paused connection, its resumption, and its end.
 */
function pausedWith({ length, ...peer }: PeerPlan): PeerPlan[] {
  const send = { do: "send", length: PACKETS_BYTES + length, piece: 1_000_000, gapMs: 0 } as const;
  const paused: PeerPlan = {
    ...peer,
    startMs: 0,
    latencyMs: 0,
    mode: "pause",
    length,
    delayMs: 0,
    steps: [send, { do: "end" }],
  };
  return [paused, paused];
}

class Author {
  readonly #choices: Choices;
  readonly #program: ProgramName;
  readonly #drive: Drive;
  /** Whether sizes are small, so that a simulation is short. */
  readonly #isSmall: boolean;

  constructor(choices: Choices, program: ProgramName, drive: Drive) {
    this.#choices = choices;
    this.#program = program;
    // Several processes take turns in one thread, so none of them may wait in the kernel. Streams need promises.
    const needsLoop = program === "pool" || (program === "streams" && drive === "run");
    this.#drive = needsLoop ? "hosted" : drive;
    this.#isSmall = !choices.oneIn(8);
  }

  scenario(kinds: readonly FaultKind[] | undefined): Scenario {
    const choices = this.#choices;
    const faults = this.#faults(kinds);
    const isSlow = choices.oneIn(5);
    const isMany = choices.oneIn(24);
    const count = 1 + choices.below(isMany ? MANY_PEERS : FEW_PEERS);
    const scenario: Scenario = {
      program: this.#program,
      drive: this.#drive,
      isUnix: choices.oneIn(5),
      options: this.#options(),
      faults,
      failsEarly: choices.oneIn(16),
      calmMs: choices.pick([50, 500, 3000]),
      slowOneIn: isSlow ? choices.pick([10, 3, 1]) : 0,
      slowMs: choices.pick([1, 3, 400]),
      takenOneIn: choices.pick([0, 0, 3, 1]),
      keptOneIn: choices.pick([0, 0, 0, 0, 2]),
      descriptors: choices.oneIn(10) ? choices.pick([14, 10, 8]) : 1024,
      stopMs: choices.pick([0, 1, 5, 20, 100]),
      graceMs: choices.pick([10_000, 1000, 100, 0]),
      usesFetch: choices.oneIn(2),
      shutMs: choices.oneIn(12) && SHUTS.includes(this.#program) ? choices.pick([1, 5, 30]) : 0,
      restartMs: choices.oneIn(6) ? choices.pick([1, 5, 30]) : 0,
      peers: Array.from({ length: count }, () => this.#peer()),
      ...(this.#program === "pool" ? { pool: poolFrom(choices) } : {}),
    };
    // The last decision, so that scenarios without it stay the same.
    if (this.#program !== "echo" || !choices.oneIn(PAUSED_ONE_IN)) return scenario;
    const peers = scenario.peers.slice(0, FEW_PEERS).flatMap((peer) => [peer, ...pausedWith(peer)]);
    return { ...scenario, peers };
  }

  #faults(kinds: readonly FaultKind[] | undefined): FaultRates {
    const choices = this.#choices;
    const rates: FaultRates = {};
    const isCalm = choices.oneIn(4);
    const all = Object.keys(FAULT_KINDS) as FaultKind[];
    for (const kind of all) {
      const isOn = choices.oneIn(4);
      const rate = choices.pick(kind === "forbidden" ? FORBIDDEN_RATES : RATES);
      if (kinds === undefined ? isOn && !isCalm : kinds.includes(kind)) rates[kind] = rate;
    }
    return rates;
  }

  #options(): ProgramOptions {
    const choices = this.#choices;
    return {
      zeroCopy: choices.oneIn(2),
      highWaterBytes: choices.pick([0, 0, 1, 1000, 20_000]),
      maxPendingBytes: choices.oneIn(12) ? choices.pick([200_000, 1000, 0.5]) : 0,
      idleTimeoutMs: choices.oneIn(3) ? choices.pick([5000, 300, 50]) : 0,
      maxConnections: choices.oneIn(10) ? choices.pick([3, 2, 1]) : 0,
      bufferBytes: this.#serverBuffers(),
      handlesEnd: choices.oneIn(2),
    };
  }

  /** Large buffers for large sizes, so that more arrives at once than is received in a turn. */
  #serverBuffers(): number {
    const choices = this.#choices;
    if (!choices.oneIn(2)) return 0;
    return choices.pick(this.#isSmall ? [20_000, 4608, 1] : [1_000_000, 1_000_000, 20_000, 1]);
  }

  #peer(): PeerPlan {
    const choices = this.#choices;
    const mode = choices.oneIn(2) ? "echo" : choices.pick(MODES_OF[this.#program] ?? MODES);
    return {
      startMs: choices.pick([0, 0, 0, 1, 10]),
      latencyMs: choices.oneIn(4) ? choices.pick([0.1, 1, 15]) : 0,
      mode,
      length: this.#size(),
      piece: choices.pick([70_000, 10_000, 1000]),
      delayMs: choices.pick([0, 1, 20]),
      reading: this.#reading(),
      bufferBytes: choices.oneIn(4) ? choices.pick([20_000, 4608, 1]) : 0,
      steps: this.#program === "http" ? this.#httpSteps() : this.#steps(),
      again: choices.oneIn(10) ? choices.between(1, 4) : 0,
    };
  }

  #reading(): Reading {
    const choices = this.#choices;
    if (!choices.oneIn(3)) return { startMs: 0, chunk: 65_536, everyMs: 0 };
    return {
      startMs: choices.pick([0, 1, 10, 200]),
      chunk: choices.pick([65_536, 10_000, 2000]),
      everyMs: choices.pick([0, 1, 7]),
    };
  }

  #steps(): Step[] {
    const choices = this.#choices;
    const steps: Step[] = [];
    for (let left = choices.below(4); left > 0; left--) {
      steps.push(this.#send());
      if (choices.oneIn(3)) steps.push({ do: "await" });
      if (choices.oneIn(4)) steps.push(this.#wait());
    }
    return this.#finished(steps);
  }

  #httpSteps(): Step[] {
    const choices = this.#choices;
    const steps: Step[] = [];
    const pipelines = choices.oneIn(3);
    for (let left = choices.between(1, 4); left > 0; left--) {
      const request = requestFrom(choices, (isSmall) => this.#size(isSmall));
      steps.push({ do: "request", request, ...this.#pieces() });
      // Nothing behind it is answered either.
      if (request.route === "never") return this.#finished(steps);
      if (!pipelines) steps.push({ do: "await" });
      if (choices.oneIn(8)) steps.push(this.#wait());
    }
    if (choices.oneIn(8)) {
      steps.push({ do: "garbage", text: garbageFrom(choices), ...this.#pieces() });
    }
    return this.#finished(steps);
  }

  /** Adds how the peer leaves. */
  #finished(steps: Step[]): Step[] {
    const choices = this.#choices;
    switch (choices.below(8)) {
      case 5:
        steps.push({ do: "end" });
        break;
      case 6:
        steps.push({ do: "close" });
        break;
      case 7:
        steps.push({ do: "reset" });
        break;
      default:
        break;
    }
    // A step of those may come too early, above all the last.
    if (steps.length > 1 && choices.oneIn(6)) steps.splice(choices.below(steps.length - 1), 1);
    return steps;
  }

  #send(): Step {
    return { do: "send", length: this.#size(), ...this.#pieces() };
  }

  #pieces(): Pieces {
    const choices = this.#choices;
    if (!choices.oneIn(3)) return { piece: 1_000_000, gapMs: 0 };
    return { piece: choices.pick([30_000, 1000, 40, 7]), gapMs: choices.pick([0, 0, 1, 3]) };
  }

  #wait(): Step {
    const choices = this.#choices;
    const long = this.#program === "http" ? 2500 : 700;
    return { do: "wait", ms: choices.oneIn(5) ? long : choices.pick([0, 1, 5, 30, 110]) };
  }

  /** A size just below or above that of some buffer, most often a small one. */
  #size(isSmall = this.#isSmall): number {
    const choices = this.#choices;
    const edge = SIZES[
      Math.min(choices.below(SIZES.length), choices.below(SIZES.length))
    ] as number;
    const size = edge + choices.below(5) - 2;
    return Math.max(1, isSmall ? size % 20_000 : size);
  }
}

const SIZES = [64, 1, 16, 300, 1024, 4096, 16_384, 65_536, 131_072, 262_144, 600_000] as const;

/** Text that is not HTTP, or is HTTP that must be refused. */
function garbageFrom(choices: Choices): string {
  const text = choices.pick(GARBAGE);
  if (!choices.oneIn(3) || text.length === 0) return text;
  const at = choices.below(text.length);
  return text.slice(0, at) + String.fromCharCode(choices.below(256)) + text.slice(at + 1);
}

const GARBAGE: readonly [string, ...string[]] = [
  "hello\r\n\r\n",
  "GET / HTTP/2.0\r\nHost: sim\r\n\r\n",
  "GET /bytes/5 HTTP/1.1\r\n\r\n",
  "GET /bytes/5 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
  "POST /echo HTTP/1.1\r\nHost: sim\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "POST /echo HTTP/1.1\r\nHost: sim\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
  "POST /echo HTTP/1.1\r\nHost: sim\r\nContent-Length: -1\r\n\r\n",
  "POST /echo HTTP/1.1\r\nHost: sim\r\nContent-Length: 50\r\n\r\nshort",
  "GET /bytes/5 HTTP/1.1\r\nHost: sim\r\n folded: x\r\n\r\n",
  "GET /bytes/5 HTTP/1.1\r\nHost",
  `GET /${"a".repeat(9000)} HTTP/1.1\r\nHost: sim\r\n\r\n`,
  `GET /bytes/5 HTTP/1.1\r\nHost: sim\r\n${"X: y\r\n".repeat(200)}\r\n`,
  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
  "\0\0\0\0\0\0\0\0",
  "",
];

/** Faults after which a connection may be cut off, although both ends behave well. */
const HARMFUL: readonly FaultKind[] = [
  "noMemory",
  "noPages",
  "noBuffers",
  "forbidden",
  "reset",
  "abortedAccept",
  "noDescriptors",
  "disk",
];

/** Whether every connection has to be served to its end. */
export function isSafe({ faults, descriptors, options }: Scenario): boolean {
  const hasHarm = HARMFUL.some((kind) => faults[kind] !== undefined);
  return !hasHarm && descriptors >= 100 && options.maxPendingBytes === 0;
}

/** Modes in which it depends on the pieces in which bytes arrive how much a peer receives. */
const BY_PIECES: readonly Mode[] = ["close", "reset", "destroy", "kill"];

/** Programs in which it depends on the time of events what peers see. */
const TIMED: readonly ProgramName[] = ["drain", "pool"];

/** Whether everything that peers and handlers see is determined, so that it is the same on all engines. */
export function isUniform({ faults, options, peers, descriptors, ...rest }: Scenario): boolean {
  const { idleTimeoutMs, maxPendingBytes } = options;
  if (Object.keys(faults).length > 0 || rest.slowOneIn > 0 || TIMED.includes(rest.program))
    return false;
  if (idleTimeoutMs > 0 || maxPendingBytes > 0 || descriptors < 100) return false;
  if (rest.restartMs > 0 || rest.shutMs > 0) return false;
  // The HTTP server refuses further connections, and which are further depends on the order of events.
  if (rest.program === "http" && options.maxConnections > 0) return false;
  return peers.every(({ steps, mode }) => {
    const isHonest = steps.every((step) => step.do !== "reset" && step.do !== "close");
    const isHttp = steps.every((step) => step.do !== "garbage");
    // Without the handler `end`, a connection ends at once when the peer has.
    const isWhole = options.handlesEnd || (mode !== "late" && mode !== "pump");
    return isHonest && isHttp && isWhole && !BY_PIECES.includes(mode);
  });
}
