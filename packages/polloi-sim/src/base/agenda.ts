/** An action, and when it runs. */
export class Entry {
  readonly time: number;
  /** Orders entries of the same time. */
  readonly order: number;
  /** undefined once it is cancelled, or has run. */
  action: (() => void) | undefined;

  constructor(time: number, order: number, action: () => void) {
    this.time = time;
    this.order = order;
    this.action = action;
  }

  cancel(): void {
    this.action = undefined;
  }
}

/** Actions in the order of their times: a binary heap. */
export class Agenda {
  readonly #entries: Entry[] = [];

  /** The first entry that was not cancelled. */
  first(): Entry | undefined {
    for (;;) {
      const first = this.#entries[0];
      if (first === undefined || first.action !== undefined) return first;
      this.removeFirst();
    }
  }

  add(entry: Entry): void {
    const heap = this.#entries;
    let at = heap.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above] as Entry;
      if (!isBefore(entry, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = entry;
  }

  removeFirst(): void {
    const heap = this.#entries;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      const right = heap[below + 1];
      if (right !== undefined && isBefore(right, heap[below] as Entry)) below++;
      if (!isBefore(heap[below] as Entry, last)) break;
      heap[at] = heap[below] as Entry;
      at = below;
    }
    heap[at] = last;
  }
}

export function isBefore(a: Entry, b: Entry): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}
