import {
  ERRNO,
  type Libc,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  POLLPRI,
  POLLRDBAND,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from "polloi/internal/pure";
import type { Process } from "../process/process.ts";
import { waitForFiles } from "./poll-table.ts";
import { timeoutAt } from "./timeouts.ts";

/** What counts as readable, writable and exceptional. Source: fs/select.c, POLLIN_SET, POLLOUT_SET, POLLEX_SET. */
const READABLE: number = POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR | POLLNVAL;
const WRITABLE: number = POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR | POLLNVAL;
const EXCEPTIONAL: number = POLLPRI | POLLNVAL;

const BITS = 32;

/**
 * The three sets of one call.
 *
 * ```text
 *   asked, found     | readers | writers | exceptional |     one bit for each descriptor
 * ```
 */
class Sets {
  /** The words of 32 bits of one set. */
  readonly words: number;
  readonly asked: Uint32Array;
  readonly found: Uint32Array;

  constructor(words: number) {
    this.words = words;
    this.asked = new Uint32Array(3 * words);
    this.found = new Uint32Array(3 * words);
  }

  /** The descriptors of one word that are in any set. */
  word(index: number): number {
    const { asked, words } = this;
    return (
      (asked[index] as number) |
      (asked[index + words] as number) |
      (asked[index + 2 * words] as number)
    );
  }

  /** The POLL* bits that are asked for with a descriptor. */
  keyOf(fd: number): number {
    const { asked, words } = this;
    const [index, bit] = [fd >>> 5, 1 << (fd & 31)];
    let key = EXCEPTIONAL;
    if (((asked[index] as number) & bit) !== 0) key |= READABLE;
    if (((asked[index + words] as number) & bit) !== 0) key |= WRITABLE;
    return key;
  }

  /** Adds what is ready of a descriptor. @returns The number of sets that it is ready in. */
  add(fd: number, mask: number): number {
    return (
      this.#addTo(fd >>> 5, fd, mask & READABLE) +
      this.#addTo((fd >>> 5) + this.words, fd, mask & WRITABLE) +
      this.#addTo((fd >>> 5) + 2 * this.words, fd, mask & EXCEPTIONAL)
    );
  }

  #addTo(index: number, fd: number, mask: number): number {
    const bit = (this.asked[index] as number) & (1 << (fd & 31));
    if (mask === 0 || bit === 0) return 0;
    this.found[index] = (this.found[index] as number) | bit;
    return 1;
  }
}

/** Source: select(2); fs/select.c, core_sys_select and do_select. */
export function selectCalls(process: Process): Pick<Libc, "pselect"> {
  const { descriptors, memory } = process;

  return {
    pselect(nfds, readers, writers, exceptional, timeout) {
      const timeoutMs = timeoutAt(memory, timeout);
      if (timeoutMs < 0) return timeoutMs;
      if (nfds < 0) return -ERRNO.EINVAL;
      // Descriptors beyond the table cannot be open, and are ignored.
      const limit = Math.min(nfds, descriptors.tableSize);
      const sets = new Sets(2 * Math.ceil(limit / 64));
      const addresses = [readers, writers, exceptional];
      const views = addresses.map((address) => setAt(process, address, sets.words));
      for (const [i, view] of views.entries()) {
        if (view === undefined) return -ERRNO.EFAULT;
        copyIn(view, sets, i, limit);
      }
      const wanted: number[] = [];
      for (let index = 0; index < sets.words; index++) {
        for (let bits = sets.word(index); bits !== 0; bits &= bits - 1) {
          const fd = index * BITS + 31 - Math.clz32(bits & -bits);
          if (descriptors.getAny(fd) === undefined) return -ERRNO.EBADF;
          wanted.push(fd);
        }
      }
      const result = waitForFiles(
        process,
        () => {
          let count = 0;
          for (const fd of wanted) count += sets.add(fd, descriptors.get(fd)?.poll() ?? POLLNVAL);
          return count;
        },
        (table) => {
          for (const fd of wanted) {
            const file = descriptors.get(fd);
            if (file !== undefined) table.add(file, sets.keyOf(fd));
          }
        },
        timeoutMs,
      );
      if (result < 0) return result;
      for (const [i, view] of views.entries()) {
        const from = i * sets.words;
        for (let at = 0; at < (view as DataView).byteLength; at += 4) {
          view?.setUint32(at, sets.found[from + at / 4] as number, true);
        }
      }
      return result;
    },
  };
}

const NO_SET = new DataView(new ArrayBuffer(0));

/** The memory of a set; undefined when it is not mapped. */
function setAt({ memory }: Process, address: number, words: number): DataView | undefined {
  return address === 0 || words === 0 ? NO_SET : memory.view(address, 4 * words);
}

/** Copies the bits below `limit` of one set. */
function copyIn(view: DataView, sets: Sets, set: number, limit: number): void {
  const from = set * sets.words;
  for (let at = 0; at < view.byteLength; at += 4) {
    const left = limit - 8 * at;
    const bits = left <= 0 ? 0 : view.getUint32(at, true);
    sets.asked[from + at / 4] = left < BITS && left > 0 ? bits & ((1 << left) - 1) : bits;
  }
}
