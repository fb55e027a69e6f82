import { readFileSync } from "node:fs";
import { allowedCores, type Kernel, keepToCores } from "polloi/internal";

/** Which cores were whose. */
export interface Cores {
  readonly server: readonly number[];
  readonly client: readonly number[];
  /** Whether each was kept to its own; null when it was, else why not. */
  readonly unpinned: string | null;
}

/**
 * Keeps this process to one core, and says which are left for what it measures: those that share nothing with
 * it. Where there is one only, both run on it, and that is said.
 *
 * @returns Which core is whose; `undo` gives this process its cores back.
 */
export function divideCores(kernel: Kernel): Cores & { undo(): void } {
  const all = allowedCores(kernel);
  const [own, ...others] = all;
  const together = { server: all, client: all, undo: () => {} };
  if (own === undefined || others.length === 0) {
    return { ...together, unpinned: "there is one core for both" };
  }
  const siblings = siblingsOf(own);
  const apart = others.filter((core) => !siblings.includes(core));
  if (!keepToCores(kernel, { pid: "self", cores: [own] })) {
    return { ...together, unpinned: "the kernel does not let it choose its cores" };
  }
  return {
    server: apart.length === 0 ? others : apart,
    client: [own],
    unpinned: apart.length === 0 ? "their cores are two halves of one" : null,
    undo: () => void keepToCores(kernel, { pid: "self", cores: all }),
  };
}

/** Cores that share their execution units with this one, and itself: `0,4` or `0-1`. */
function siblingsOf(core: number): number[] {
  try {
    const path = `/sys/devices/system/cpu/cpu${core}/topology/thread_siblings_list`;
    const parts = readFileSync(path, "utf8").trim().split(",");
    return parts.flatMap((part) => {
      const [first = 0, last = first] = part.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
  } catch {
    return [core];
  }
}
