import type { NamesOf } from "../base/argument.ts";
import type { FileObject } from "../base/descriptor.ts";
import { bitNames, printAs } from "../base/inspect.ts";
import { EVENT_PEER_CLOSED, EVENT_PRIORITY, EVENT_READ, EVENT_WRITE } from "./events.ts";

/**
 * One registration: the descriptor, the events it is watched for, and a value of the caller.
 *
 * @remarks
 * A key never changes. `modify` makes a new one, and keys that were returned before keep their values.
 */
export interface SelectorKey<Data = unknown> {
  /** The object or number that was registered. */
  readonly fileObject: FileObject;
  /** Its descriptor when it was registered. */
  readonly fd: number;
  /** The EVENT_* bits that it is watched for. */
  readonly events: number;
  /** The value that was registered with it. */
  readonly data: Data;
}

/** How to watch a descriptor. `Selector.capabilities` says which of these the poller supports. */
export interface WatchOptions {
  /**
   * `"level"`, the default: reported at every wait for as long as it is ready. `"edge"`: reported once per
   * change; read and write until would-block, or no further event comes.
   */
  readonly trigger?: "level" | "edge" | undefined;
  /** Reported once, then disabled until modified. */
  readonly oneShot?: boolean | undefined;
  /** Wakes at least one of the epoll sets that watch the descriptor, instead of all. It cannot be modified. */
  readonly exclusive?: boolean | undefined;
}

export const WATCH_OPTIONS: NamesOf<WatchOptions> = {
  trigger: true,
  oneShot: true,
  exclusive: true,
};

/** The last arguments of `register` and `modify`. `data` is optional if the selector's `Data` may be undefined. */
export type DataArguments<Data> = undefined extends Data
  ? [data?: Data, options?: WatchOptions]
  : [data: Data, options?: WatchOptions];

const EVENT_NAMES = { EVENT_READ, EVENT_WRITE, EVENT_PRIORITY, EVENT_PEER_CLOSED };

/** A {@link SelectorKey}, frozen. */
export class RegisteredKey<Data> implements SelectorKey<Data> {
  static {
    printAs<RegisteredKey<unknown>>(
      RegisteredKey,
      ({ fd, events, data }) => ({ fd, events: bitNames(events, EVENT_NAMES), data: shown(data) }),
      "SelectorKey",
    );
  }

  readonly fileObject: FileObject;
  readonly fd: number;
  readonly events: number;
  readonly data: Data;

  constructor(fileObject: FileObject, fd: number, events: number, data: Data) {
    this.fileObject = fileObject;
    this.fd = fd;
    this.events = events;
    this.data = data;
    Object.freeze(this);
  }
}

/** A short form of the value of a key, which may be of any size. */
function shown(data: unknown): unknown {
  if (typeof data === "function") return `[function ${data.name}]`;
  if (typeof data === "object" && data !== null) return `[${data.constructor?.name ?? "object"}]`;
  return typeof data === "bigint" || typeof data === "symbol" ? String(data) : data;
}
