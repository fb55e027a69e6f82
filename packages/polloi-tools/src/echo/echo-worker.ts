/** The module of `polloi serve --workers`: serves a protocol on a worker. */
import type { PoolWorker } from "polloi/workers";
import {
  type AcceptErrorMessage,
  acceptErrorMessage,
  type Counters,
  type Observer,
  type Peer,
  type ProtocolName,
  type ProxyRefusalMessage,
  protocolHandlers,
  proxyProtocolOf,
} from "./protocols.ts";

/** The data of each worker. */
export interface EchoInput {
  readonly protocol: ProtocolName;
  readonly noDelay: boolean;
  readonly idleTimeoutMs: number | undefined;
  readonly proxies: true | readonly string[] | undefined;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Whether to post a message for each connection and each message. */
  readonly isObserved: boolean;
  /** The memory of {@link SharedCounters}. */
  readonly counters: SharedArrayBuffer;
}

/** A message of a worker. */
export type EchoMessage =
  | { readonly event: "opened"; readonly peer: string }
  | { readonly event: "received"; readonly peer: string; readonly bytes: Uint8Array }
  | { readonly event: "closed"; readonly peer: string; readonly error: Error | undefined }
  | ProxyRefusalMessage
  | AcceptErrorMessage;

/** Numbers per worker. Each worker has a cache line of its own, since sharing one would slow both down. */
const STRIDE = 8;

/** The counters of one worker, in shared memory that outlives it. */
export class SharedCounters implements Counters {
  readonly #numbers: Float64Array;

  constructor(memory: SharedArrayBuffer, index: number) {
    this.#numbers = new Float64Array(memory, index * STRIDE * 8, STRIDE);
  }

  /** Allocates memory for `count` workers. */
  static allocate(count: number): SharedArrayBuffer {
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
  const { protocol, noDelay, idleTimeoutMs, proxies, isObserved, counters, tls } = worker.data;
  const post = (message: EchoMessage): void => worker.post(message);
  const own = new SharedCounters(counters, worker.index);
  worker.listen<Peer>({
    ...protocolHandlers(protocol, own, isObserved ? postingObserver(post) : undefined),
    noDelay,
    ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    ...proxyProtocolOf(proxies, (peer, reason) => post({ event: "proxyRefused", peer, reason })),
    ...(tls === undefined ? {} : { tls }),
    acceptError: (error) => post(acceptErrorMessage(error)),
  });
}

function postingObserver(post: (message: EchoMessage) => void): Observer {
  return {
    opened: (peer) => post({ event: "opened", peer }),
    // Copied, because posting a view would clone all of the memory behind it.
    received: (peer, bytes) => post({ event: "received", peer, bytes: bytes.slice() }),
    closed: (peer, error) => post({ event: "closed", peer, error }),
  };
}
