/** The calls that wait: their arguments, and the descriptors that they reported as ready. */
import { EPOLL_EVENT, type Libc, type MemoryMap, SYS } from "polloi/internal";
import { IORING_ENTER_EXT_ARG, IORING_ENTER_GETEVENTS } from "polloi/uring";
import { fdsIn, timeAt } from "./calls.ts";
import type { Shown } from "./event.ts";
import { bitNames, EPOLL_BITS, POLL_BITS } from "./names.ts";

/** A call that waits, or that submits to a ring. */
export interface Wait {
  readonly call: string;
  readonly args: Shown;
  /** The descriptor of the epoll set or of the ring, or -1. */
  readonly fd: number;
  /** The ring that it enters, or -1. */
  readonly ring: number;
  /** Whether it waits. An io_uring_enter may only submit. */
  readonly waits: boolean;
  readonly timeoutMs: number | null;
  /** Returns the ready descriptors, after the call has returned `count`. */
  ready(memory: MemoryMap, tags: EpollTags, count: number): readonly Ready[];
}

/** The offset of the address of the timespec in `struct io_uring_getevents_arg`, in bytes. */
const AT_TIMEOUT = 16;

/** Returns the wait that a call is, or undefined. To be called before the call, since some overwrite their arguments. */
export function waitOf(
  call: keyof Libc,
  args: readonly number[],
  memory: MemoryMap,
): Wait | undefined {
  switch (call) {
    case "epoll_wait": {
      const [epoll = -1, events = 0, max = 0, timeout = 0] = args;
      return epollWait("epoll_wait", { epoll, events, max }, timeout < 0 ? null : timeout);
    }
    case "ppoll": {
      const [fds = 0, size = 0, timeout = 0] = args;
      const timeoutMs = timeAt(memory, timeout);
      return {
        ...{ call, fd: -1, ring: -1, waits: true, timeoutMs },
        args: [`${size} ${size === 1 ? "fd" : "fds"}`, timeText(timeoutMs)],
        ready: (found) => readyInPoll(found, fds, size),
      };
    }
    case "pselect": {
      const [nfds = 0, readers = 0, writers = 0, exceptional = 0, timeout = 0] = args;
      const timeoutMs = timeAt(memory, timeout);
      const sets = [readers, writers, exceptional];
      const requested = sets.map((set) => fdsIn(memory, set, nfds));
      return {
        ...{ call, fd: -1, ring: -1, waits: true, timeoutMs },
        args: [nfds, ...requested.map(setText), timeText(timeoutMs)],
        ready: (found) => readyInSelect(found, sets, nfds),
      };
    }
    case "syscall":
      return numberedWaitOf(args, memory);
    default:
      return undefined;
  }
}

function numberedWaitOf(args: readonly number[], memory: MemoryMap): Wait | undefined {
  const [number, fd = -1, second = 0, third = 0, fourth = 0, fifth = 0] = args;
  if (number === SYS.epoll_pwait2) {
    const timeoutMs = timeAt(memory, fourth);
    return epollWait("epoll_pwait2", { epoll: fd, events: second, max: third }, timeoutMs);
  }
  if (number !== SYS.io_uring_enter) return undefined;
  const timeoutMs = third === 0 ? 0 : enterTimeout(memory, fourth, fifth);
  const time = third === 0 ? [] : [timeText(timeoutMs)];
  return {
    ...{ call: "io_uring_enter", fd, ring: fd, timeoutMs },
    waits: (fourth & IORING_ENTER_GETEVENTS) !== 0,
    args: [fd, `submit ${second}`, `wait for ${third}`, ...time],
    ready: () => [],
  };
}

function epollWait(
  call: string,
  { epoll, events, max }: { readonly epoll: number; readonly events: number; readonly max: number },
  timeoutMs: number | null,
): Wait {
  return {
    ...{ call, fd: epoll, ring: -1, waits: true, timeoutMs },
    args: [epoll, max, timeText(timeoutMs)],
    ready: (memory, tags, count) => tags.ready(epoll, memory, events, count),
  };
}

function enterTimeout(memory: MemoryMap, flags: number, argument: number): number | null {
  const location = (flags & IORING_ENTER_EXT_ARG) === 0 ? undefined : memory.find(argument);
  if (location === undefined) return null;
  return timeAt(memory, location.arena.getWord(location.offset + AT_TIMEOUT));
}

function timeText(timeoutMs: number | null): string {
  return timeoutMs === null ? "for ever" : `${Math.round(timeoutMs * 1000) / 1000} ms`;
}

/** Formats a set of select. */
function setText(fds: readonly number[]): string {
  return `{${fds.join(" ")}}`;
}

/** A ready descriptor, -1 if it is unknown, and its events. */
interface Ready {
  readonly fd: number;
  readonly events: readonly string[];
}

/** The descriptors by their tags in each epoll set. An event contains only the tag. epoll_ctl(2) */
export class EpollTags {
  readonly #sets: Map<number, Map<number, number>> = new Map();

  /** epoll_ctl added or modified `fd`, with the event at `address`. */
  put(epoll: number, fd: number, memory: MemoryMap, address: number): void {
    const location = memory.find(address);
    if (location === undefined) return;
    const { arena, offset } = location;
    const tag = arena.u32[(offset >> 2) + EPOLL_EVENT.data] as number;
    let tags = this.#sets.get(epoll);
    if (tags === undefined) {
      tags = new Map();
      this.#sets.set(epoll, tags);
    }
    tags.set(tag, fd);
  }

  closed(epoll: number): void {
    this.#sets.delete(epoll);
  }

  /** Returns the first `count` events at `address`. */
  ready(epoll: number, memory: MemoryMap, address: number, count: number): Ready[] {
    const location = memory.find(address);
    const tags = this.#sets.get(epoll);
    if (location === undefined) return [];
    const { u32 } = location.arena;
    return Array.from({ length: count }, (_, i) => {
      const at = (location.offset >> 2) + i * EPOLL_EVENT.stride;
      return {
        fd: tags?.get(u32[at + EPOLL_EVENT.data] as number) ?? -1,
        events: bitNames(EPOLL_BITS, u32[at] as number),
      };
    });
  }
}

/** Returns the ready descriptors of a list of poll with `count` entries. */
function readyInPoll(memory: MemoryMap, address: number, count: number): Ready[] {
  const location = memory.find(address);
  if (location === undefined) return [];
  const { i32, u32 } = location.arena;
  const found: Ready[] = [];
  for (let i = 0; i < count; i++) {
    const at = (location.offset >> 2) + i * 2;
    const given = (u32[at + 1] as number) >>> 16;
    if (given !== 0) found.push({ fd: i32[at] as number, events: bitNames(POLL_BITS, given) });
  }
  return found;
}

const SELECT_NAMES = ["IN", "OUT", "PRI"] as const;

/** Returns the descriptors in the sets of select, given their addresses. */
function readyInSelect(memory: MemoryMap, sets: readonly number[], nfds: number): Ready[] {
  const events: Map<number, string[]> = new Map();
  for (const [i, address] of sets.entries()) {
    for (const fd of fdsIn(memory, address, nfds)) {
      events.set(fd, [...(events.get(fd) ?? []), SELECT_NAMES[i] as string]);
    }
  }
  return [...events].sort(([a], [b]) => a - b).map(([fd, names]) => ({ fd, events: names }));
}
