import { ERRNO } from "polloi/internal/pure";
import type { Waiter } from "../base/wait-queue.ts";
import type { OpenFile } from "../process/open-file.ts";
import type { Process } from "../process/process.ts";
import { sleep } from "./timeouts.ts";

/** A wait of select or poll for one file. Source: fs/select.c, pollwake. */
class PollEntry implements Waiter {
  readonly isExclusive = false;
  readonly file: OpenFile;
  readonly #key: number;
  readonly #table: PollTable;

  constructor(table: PollTable, file: OpenFile, key: number) {
    this.#table = table;
    this.file = file;
    this.#key = key;
  }

  wake(mask: number): boolean {
    if (mask !== 0 && (mask & this.#key) === 0) return false;
    this.#table.isTriggered = true;
    return true;
  }
}

/** The files that one call of select or poll waits for. Source: fs/select.c, struct poll_wqueues. */
export class PollTable {
  /** Whether a file has been woken. */
  isTriggered = false;
  readonly #entries: PollEntry[] = [];

  /** @param key - The POLL* bits that are waited for. */
  add(file: OpenFile, key: number): void {
    if (!file.isPollable) return;
    const entry = new PollEntry(this, file, key);
    file.waiters.add(entry);
    this.#entries.push(entry);
  }

  clear(): void {
    for (const entry of this.#entries) entry.file.waiters.remove(entry);
  }
}

/**
 * Waits until a scan of files finds one that is ready. Source: fs/select.c, do_select and do_poll.
 *
 * @param scan - Returns the number of results.
 * @param addAll - Adds all files to the table.
 * @returns The number of results, or `-EINTR`.
 */
export function waitForFiles(
  { world }: Process,
  scan: () => number,
  addAll: (table: PollTable) => void,
  timeoutMs: number,
): number {
  const found = scan();
  if (found !== 0 || timeoutMs === 0) return found;
  const table = new PollTable();
  addAll(table);
  const deadline = world.timeIn(timeoutMs);
  try {
    for (;;) {
      const slept = sleep(world, () => table.isTriggered, deadline);
      table.isTriggered = false;
      const count = scan();
      if (count !== 0) return count;
      if (slept === -ERRNO.EINTR) return slept;
      if (world.now() >= deadline) return 0;
    }
  } finally {
    table.clear();
  }
}
