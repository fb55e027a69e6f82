import { allowedCores, type Kernel, pinToCores } from "polloi/internal";
import { textOf } from "./process-stats.ts";

/** The cores of the server and of the client of a measurement. */
export interface Cores {
  readonly server: readonly number[];
  readonly client: readonly number[];
  /** Why server and client are not pinned to cores of their own; null when they are. */
  readonly unpinned: string | null;
}

/**
 * Pins this process, the client, to one core and chooses cores for the server: those that share no execution units
 * with it. On a machine with one core both run on it, and the result says so.
 *
 * @param client - The client's core. Default: the first that this process may use.
 * @returns The cores; `undo` lets this process run on all of its cores again.
 */
export function divideCores(kernel: Kernel, client?: number): Cores & { undo(): void } {
  const all = allowedCores(kernel);
  const own = client ?? all[0];
  const others = all.filter((core) => core !== own);
  const together = { server: all, client: all, undo: () => {} };
  if (own === undefined || others.length === 0) {
    return { ...together, unpinned: "there is one core for both" };
  }
  if (!pinToCores(kernel, { pid: "self", cores: [own] })) {
    return { ...together, unpinned: "the kernel does not allow it" };
  }
  const siblings = siblingsOf(own);
  const separate = others.filter((core) => !siblings.includes(core));
  return {
    server: separate.length === 0 ? others : separate,
    client: [own],
    unpinned: separate.length === 0 ? "their cores are hyper-threads of one core" : null,
    undo: () => void pinToCores(kernel, { pid: "self", cores: all }),
  };
}

/** The hyper-threads of the core that this one belongs to, itself included: `0,4` or `0-1`. */
function siblingsOf(core: number): number[] {
  const list = textOf(`/sys/devices/system/cpu/cpu${core}/topology/thread_siblings_list`).trim();
  if (list === "") return [core];
  return list.split(",").flatMap((part) => {
    const [first = 0, last = first] = part.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}
