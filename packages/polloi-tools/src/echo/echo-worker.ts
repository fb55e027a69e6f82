/** The module of a worker that serves one of the protocols: what `polloi serve --workers` runs. */
import type { SysError } from "polloi";
import type { PoolWorker } from "polloi/workers";
import type { ProtocolName } from "./protocols.ts";
import { type Observer, type Peer, protocolHandlers, type Tally } from "./server.ts";

/** What each worker is given. */
export interface EchoInput {
  readonly protocol: ProtocolName;
  readonly noDelay: boolean;
  readonly idleTimeoutMs: number | undefined;
  /** Whether to tell of each connection and message. */
  readonly observed: boolean;
  /** Where workers count: see {@link SharedTally}. */
  readonly tallies: SharedArrayBuffer;
}

/** What a worker tells the main thread, which is the one that prints. */
export type EchoMessage =
  | { readonly event: "opened"; readonly peer: string }
  | { readonly event: "received"; readonly peer: string; readonly bytes: Uint8Array }
  | { readonly event: "closed"; readonly peer: string; readonly error: Error | undefined }
  | {
      readonly event: "acceptError";
      readonly message: string;
      readonly code: string;
      hint: string;
    };

/** Each worker counts on a cache line of its own: two on one would slow each other down. */
const STRIDE = 8;

/** What one worker has done, in memory that outlives it. */
export class SharedTally implements Tally {
  readonly #numbers: Float64Array;

  constructor(memory: SharedArrayBuffer, index: number) {
    this.#numbers = new Float64Array(memory, index * STRIDE * 8, STRIDE);
  }

  /** Memory for the tallies of `count` workers. */
  static memoryFor(count: number): SharedArrayBuffer {
    return new SharedArrayBuffer(count * STRIDE * 8);
  }

  get connections(): number {
    return this.#numbers[0] as number;
  }
  set connections(count: number) {
    this.#numbers[0] = count;
  }

  get messages(): number {
    return this.#numbers[1] as number;
  }
  set messages(count: number) {
    this.#numbers[1] = count;
  }

  get bytes(): number {
    return this.#numbers[2] as number;
  }
  set bytes(count: number) {
    this.#numbers[2] = count;
  }
}

export function start(worker: PoolWorker<EchoInput>): void {
  const { protocol, noDelay, idleTimeoutMs, observed, tallies } = worker.data;
  const tell = (message: EchoMessage): void => worker.post(message);
  const tally = new SharedTally(tallies, worker.index);
  worker.listen<Peer>({
    ...protocolHandlers(protocol, tally, observed ? observerOf(tell) : undefined),
    noDelay,
    ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    acceptError: ({ message, code, hint = "" }: SysError) =>
      tell({ event: "acceptError", message, code, hint }),
  });
}

function observerOf(tell: (message: EchoMessage) => void): Observer {
  return {
    opened: (peer) => tell({ event: "opened", peer }),
    // Copied: what is sent takes all of the memory that it is a view of along.
    received: (peer, bytes) => tell({ event: "received", peer, bytes: bytes.slice() }),
    closed: (peer, error) => tell({ event: "closed", peer, error }),
  };
}
