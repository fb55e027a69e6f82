import type { NamesOf } from "../base/argument.ts";
import type { FileObject } from "../base/descriptor.ts";
import { bitNames, printAs } from "../base/inspect.ts";
import { EVENT_PEER_CLOSED, EVENT_PRIORITY, EVENT_READ, EVENT_WRITE } from "./events.ts";

/**
 * One registration: what is watched, for what, and what the caller keeps with it.
 *
 * @remarks
 * It never changes. A modify makes a new one, so that one that was handed out goes on saying what was
 * true then.
 */
export interface SelectorKey<Data = unknown> {
  /** What was registered: the very object, or the number. */
  readonly fileObject: FileObject;
  /** Its descriptor when it was registered. */
  readonly fd: number;
  /** The EVENT_* bits that are asked for. */
  readonly events: number;
  /** What was handed in with it. */
  readonly data: Data;
}

/** How to watch, where the engine can: see `Selector.capabilities`. */
export interface WatchOptions {
  /**
   * `"level"`, the default: reported at every wait for as long as it is ready. `"edge"`: reported when
   * something new happened; read and write until would-block, or it is lost.
   */
  readonly trigger?: "level" | "edge" | undefined;
  /** Reported once, then silent until modified. */
  readonly oneShot?: boolean | undefined;
  /** Of all epoll sets that watch this, wake at least one rather than all. It cannot be modified. */
  readonly exclusive?: boolean | undefined;
}

export const WATCH_OPTIONS: NamesOf<WatchOptions> = {
  trigger: true,
  oneShot: true,
  exclusive: true,
};

/**
 * The last arguments of `register` and `modify`: `data` can be left out where a selector's `Data` may
 * be undefined.
 */
export type DataArguments<Data> = undefined extends Data
  ? [data?: Data, options?: WatchOptions]
  : [data: Data, options?: WatchOptions];

const EVENT_NAMES = { EVENT_READ, EVENT_WRITE, EVENT_PRIORITY, EVENT_PEER_CLOSED };

/** A {@link SelectorKey}, which nobody can change. */
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

/** What is kept with a key, in a word: it may be of any size. */
function shown(data: unknown): unknown {
  if (typeof data === "function") return `[function ${data.name}]`;
  if (typeof data === "object" && data !== null) return `[${data.constructor?.name ?? "object"}]`;
  return typeof data === "bigint" || typeof data === "symbol" ? String(data) : data;
}
