import {
  ERRNO,
  IORING_SETUP_CLAMP,
  IORING_SETUP_COOP_TASKRUN,
  IORING_SETUP_CQSIZE,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SUBMIT_ALL,
  IORING_SETUP_TASKRUN_FLAG,
  PARAMS,
  PARAMS_BYTES,
} from "polloi/internal/pure";
import type { Process } from "../process/process.ts";
import {
  FEATURES,
  IORING_SETUP_SQPOLL,
  MAX_COMPLETION_ENTRIES,
  MAX_ENTRIES,
  SETUP_FLAGS,
} from "./abi.ts";
import { gap } from "./gap.ts";
import { RingFile } from "./ring-file.ts";
import { SharedRings } from "./shared-rings.ts";

const MODELLED: number =
  IORING_SETUP_CQSIZE |
  IORING_SETUP_CLAMP |
  IORING_SETUP_SUBMIT_ALL |
  IORING_SETUP_COOP_TASKRUN |
  IORING_SETUP_TASKRUN_FLAG |
  IORING_SETUP_SINGLE_ISSUER |
  IORING_SETUP_DEFER_TASKRUN;
const DEFERRED: number = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_DEFER_TASKRUN;
/** The offset of the reserved words of `struct io_uring_params`. */
const RESERVED = 7;

/** io_uring_setup(2). @returns The ring, or `-errno`. Source: io_uring/io_uring.c, io_uring_create. */
export function setUp(process: Process, entries: number, address: number): RingFile | number {
  const { memory, world } = process;
  if (world.faults.happens("forbidden")) return -ERRNO.EPERM;
  const params = memory.view(address, PARAMS_BYTES);
  if (params === undefined) return -ERRNO.EFAULT;
  const word = (index: number): number => params.getUint32(index * 4, true);
  if (word(RESERVED) !== 0 || word(RESERVED + 1) !== 0 || word(RESERVED + 2) !== 0) {
    return -ERRNO.EINVAL;
  }
  const flags = word(PARAMS.flags);
  const checked = checkFlags(flags);
  if (checked < 0) return checked;
  const sizes = sizesOf(flags, { entries, completions: word(PARAMS.cqEntries) });
  if (typeof sizes === "number") return sizes;
  if ((flags & IORING_SETUP_DEFER_TASKRUN) === 0) gap("ring without IORING_SETUP_DEFER_TASKRUN");
  if ((flags & ~MODELLED) !== 0) gap(`setup with flags ${flags.toString(16)}`);
  if (world.faults.happens("noMemory")) return -ERRNO.ENOMEM;
  const rings = new SharedRings(sizes.entries, sizes.completions);
  rings.describe(params);
  params.setUint32(PARAMS.features * 4, FEATURES, true);
  return new RingFile(process, rings, (flags & IORING_SETUP_SUBMIT_ALL) !== 0);
}

/** Source: io_uring_sanitise_params. */
function checkFlags(flags: number): number {
  if ((flags & ~SETUP_FLAGS) !== 0) return -ERRNO.EINVAL;
  const polls = (flags & IORING_SETUP_SQPOLL) !== 0;
  if (polls && (flags & (DEFERRED | IORING_SETUP_TASKRUN_FLAG)) !== 0) return -ERRNO.EINVAL;
  if ((flags & IORING_SETUP_TASKRUN_FLAG) !== 0 && (flags & DEFERRED) === 0) return -ERRNO.EINVAL;
  const defers = (flags & IORING_SETUP_DEFER_TASKRUN) !== 0;
  return defers && (flags & IORING_SETUP_SINGLE_ISSUER) === 0 ? -ERRNO.EINVAL : 0;
}

interface Sizes {
  readonly entries: number;
  readonly completions: number;
}

/** Source: io_uring_fill_params. */
function sizesOf(flags: number, wanted: Sizes): Sizes | number {
  const clamps = (flags & IORING_SETUP_CLAMP) !== 0;
  if (wanted.entries === 0) return -ERRNO.EINVAL;
  if (wanted.entries > MAX_ENTRIES && !clamps) return -ERRNO.EINVAL;
  const entries = powerOfTwo(Math.min(wanted.entries, MAX_ENTRIES));
  if ((flags & IORING_SETUP_CQSIZE) === 0) return { entries, completions: 2 * entries };
  if (wanted.completions === 0) return -ERRNO.EINVAL;
  if (wanted.completions > MAX_COMPLETION_ENTRIES && !clamps) return -ERRNO.EINVAL;
  const completions = powerOfTwo(Math.min(wanted.completions, MAX_COMPLETION_ENTRIES));
  return completions < entries ? -ERRNO.EINVAL : { entries, completions };
}

/** The next power of two. */
function powerOfTwo(value: number): number {
  return 2 ** Math.ceil(Math.log2(value));
}
