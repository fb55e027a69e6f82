import { ERRNO } from "polloi/internal/pure";
import type { World } from "../base/world.ts";
import type { Memory } from "../process/memory.ts";

const TIMESPEC_BYTES = 16;
const NS_PER_S = 1_000_000_000;
/** A process that is woken runs at most this much later, in milliseconds. */
const MAX_DELAY_MS = 4;

/**
 * The timespec at an address, in milliseconds.
 *
 * @returns `Infinity` without an address, or `-errno`. Source: fs/select.c, poll_select_set_timeout.
 */
export function timeoutAt(memory: Memory, address: number): number {
  if (address === 0) return Number.POSITIVE_INFINITY;
  const view = memory.view(address, TIMESPEC_BYTES);
  if (view === undefined) return -ERRNO.EFAULT;
  const seconds = view.getInt32(4, true) * 0x1_0000_0000 + view.getUint32(0, true);
  const nanoseconds = view.getUint32(8, true);
  const isValid = seconds >= 0 && nanoseconds < NS_PER_S && view.getUint32(12, true) === 0;
  return isValid ? seconds * 1000 + nanoseconds / 1e6 : -ERRNO.EINVAL;
}

/**
 * Sleeps until `isOver` returns true or the deadline has come.
 *
 * @returns 0, or `-EINTR` when a signal came first.
 */
export function sleep(world: World, isOver: () => boolean, deadline: number): number {
  const { choices, faults } = world;
  if (faults.happens("interrupt")) {
    const signal = world.timeIn(choices.below(MAX_DELAY_MS));
    if (signal < deadline && !world.waitUntil(isOver, signal)) return -ERRNO.EINTR;
  }
  world.waitUntil(isOver, deadline);
  // Another process runs first.
  if (faults.happens("delay")) {
    world.waitUntil(() => false, world.timeIn(choices.between(1, MAX_DELAY_MS)));
  }
  return 0;
}
