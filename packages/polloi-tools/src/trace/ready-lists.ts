/** What a wait found ready, read where the kernel left it. */
import { EPOLL_EVENT, type MemoryMap } from "polloi/internal";
import { fdsIn } from "./calls.ts";
import { bitNames, EPOLL_BITS, POLL_BITS } from "./names.ts";

/** A descriptor, or -1 when nothing is known of what was ready, and how it is. */
export interface Ready {
  readonly fd: number;
  readonly events: readonly string[];
}

/** Which descriptor has which tag in each epoll set: an event brings back the tag only. epoll_ctl(2) */
export class EpollTags {
  readonly #sets: Map<number, Map<number, number>> = new Map();

  /** epoll_ctl added or modified `fd`, with the event at `address`. */
  put(epoll: number, fd: number, memory: MemoryMap, address: number): void {
    const place = memory.find(address);
    if (place === undefined) return;
    const { arena, offset } = place;
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

  /** The first `count` events at `address`. */
  ready(epoll: number, memory: MemoryMap, address: number, count: number): Ready[] {
    const place = memory.find(address);
    const tags = this.#sets.get(epoll);
    if (place === undefined) return [];
    const { u32 } = place.arena;
    return Array.from({ length: count }, (_, i) => {
      const at = (place.offset >> 2) + i * EPOLL_EVENT.stride;
      return {
        fd: tags?.get(u32[at + EPOLL_EVENT.data] as number) ?? -1,
        events: bitNames(EPOLL_BITS, u32[at] as number),
      };
    });
  }
}

/** What poll found, in a list of `count` at `address`. */
export function readyInPoll(memory: MemoryMap, address: number, count: number): Ready[] {
  const place = memory.find(address);
  if (place === undefined) return [];
  const { i32, u32 } = place.arena;
  const found: Ready[] = [];
  for (let i = 0; i < count; i++) {
    const at = (place.offset >> 2) + i * 2;
    const given = (u32[at + 1] as number) >>> 16;
    if (given !== 0) found.push({ fd: i32[at] as number, events: bitNames(POLL_BITS, given) });
  }
  return found;
}

const SELECT_NAMES = ["IN", "OUT", "PRI"] as const;

/** What select found: `sets` are the addresses of the readers, the writers and the exceptional. */
export function readyInSelect(memory: MemoryMap, sets: readonly number[], nfds: number): Ready[] {
  const events: Map<number, string[]> = new Map();
  for (const [i, address] of sets.entries()) {
    for (const fd of fdsIn(memory, address, nfds)) {
      events.set(fd, [...(events.get(fd) ?? []), SELECT_NAMES[i] as string]);
    }
  }
  return [...events].sort(([a], [b]) => a - b).map(([fd, names]) => ({ fd, events: names }));
}
