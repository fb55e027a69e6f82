import {
  ERRNO,
  IORING_ASYNC_CANCEL_FD,
  IORING_REGISTER_EVENTFD,
  IORING_REGISTER_PBUF_RING,
  IORING_REGISTER_SYNC_CANCEL,
  IORING_UNREGISTER_PBUF_RING,
  IOU_PBUF_RING_INC,
  PAGE_SIZE,
} from "polloi/internal/pure";
import { EventFile } from "../files/event-file.ts";
import {
  BUFFER_REGISTRATION_BYTES,
  IORING_REGISTER_LAST,
  IORING_UNREGISTER_EVENTFD,
  IOU_PBUF_RING_MMAP,
  SYNC_CANCEL_BYTES,
} from "./abi.ts";
import { BufferGroup } from "./buffer-group.ts";
import { type Criteria, checkCancelFlags } from "./cancel.ts";
import { gap } from "./gap.ts";
import type { RingFile } from "./ring-file.ts";
import { readTimespec } from "./timeouts.ts";

/** More entries than a ring of buffers can have. */
const TOO_MANY_BUFFERS = 65_536;

/** io_uring_register(2). Source: io_uring/register.c, __io_uring_register. */
export function register(
  ring: RingFile,
  operation: number,
  argument: number,
  count: number,
): number {
  switch (operation) {
    case IORING_REGISTER_EVENTFD:
      return count === 1 ? registerEventfd(ring, argument) : -ERRNO.EINVAL;
    case IORING_UNREGISTER_EVENTFD:
      if (argument !== 0 || count !== 0) return -ERRNO.EINVAL;
      if (!ring.eventfd.isRegistered) return -ERRNO.ENXIO;
      ring.eventfd.unregister();
      return 0;
    case IORING_REGISTER_PBUF_RING:
      return argument !== 0 && count === 1 ? registerBuffers(ring, argument) : -ERRNO.EINVAL;
    case IORING_UNREGISTER_PBUF_RING:
      return argument !== 0 && count === 1 ? unregisterBuffers(ring, argument) : -ERRNO.EINVAL;
    case IORING_REGISTER_SYNC_CANCEL:
      return argument !== 0 && count === 1 ? cancelNow(ring, argument) : -ERRNO.EINVAL;
    default:
      return operation < IORING_REGISTER_LAST ? gap(`registration ${operation}`) : -ERRNO.EINVAL;
  }
}

/** Source: io_uring/eventfd.c, io_eventfd_register. */
function registerEventfd({ eventfd, process }: RingFile, argument: number): number {
  if (eventfd.isRegistered) return -ERRNO.EBUSY;
  const view = process.memory.view(argument, 4);
  if (view === undefined) return -ERRNO.EFAULT;
  if (process.world.faults.happens("noMemory")) return -ERRNO.ENOMEM;
  const file = process.descriptors.get(view.getInt32(0, true));
  if (file === undefined) return -ERRNO.EBADF;
  if (!(file instanceof EventFile)) return -ERRNO.EINVAL;
  eventfd.register(file);
  return 0;
}

/** `struct io_uring_buf_reg`, or `-errno`. */
function registrationAt({ process }: RingFile, argument: number) {
  const view = process.memory.view(argument, BUFFER_REGISTRATION_BYTES);
  if (view === undefined) return -ERRNO.EFAULT;
  for (let at = 16; at < BUFFER_REGISTRATION_BYTES; at += 4) {
    if (view.getUint32(at, true) !== 0) return -ERRNO.EINVAL;
  }
  return {
    address: view.getUint32(4, true) * 0x1_0000_0000 + view.getUint32(0, true),
    entries: view.getUint32(8, true),
    group: view.getUint16(12, true),
    flags: view.getUint16(14, true),
  };
}

/** Source: io_uring/kbuf.c, io_register_pbuf_ring; io_uring/memmap.c, io_create_region. */
function registerBuffers(ring: RingFile, argument: number): number {
  const registration = registrationAt(ring, argument);
  if (typeof registration === "number") return registration;
  const { address, entries, group, flags } = registration;
  if ((flags & IOU_PBUF_RING_MMAP) !== 0) gap("buffers that the kernel maps");
  if ((flags & ~IOU_PBUF_RING_INC) !== 0) return -ERRNO.EINVAL;
  if (entries === 0 || (entries & (entries - 1)) !== 0) return -ERRNO.EINVAL;
  if (entries >= TOO_MANY_BUFFERS) return -ERRNO.EINVAL;
  if (ring.groups.has(group)) return -ERRNO.EEXIST;
  if (address === 0) return -ERRNO.EFAULT;
  if (address % PAGE_SIZE !== 0) return -ERRNO.EINVAL;
  const { memory, world } = ring.process;
  if (world.faults.happens("noMemory")) return -ERRNO.ENOMEM;
  const buffers = BufferGroup.at(memory, address, { entries, flags });
  if (buffers === undefined) return -ERRNO.EFAULT;
  ring.groups.set(group, buffers);
  return 0;
}

function unregisterBuffers(ring: RingFile, argument: number): number {
  const registration = registrationAt(ring, argument);
  if (typeof registration === "number") return registration;
  if (registration.flags !== 0) return -ERRNO.EINVAL;
  return ring.groups.delete(registration.group) ? 0 : -ERRNO.ENOENT;
}

/** Source: io_uring/cancel.c, io_sync_cancel. */
function cancelNow(ring: RingFile, argument: number): number {
  const { cancellation, process } = ring;
  const view = process.memory.view(argument, SYNC_CANCEL_BYTES);
  if (view === undefined) return -ERRNO.EFAULT;
  // struct io_uring_sync_cancel_reg: 64 bits of tag, fd, flags, a timespec, the operation, padding.
  const flags = view.getUint32(12, true);
  const operation = view.getUint8(32);
  const checked = checkCancelFlags(flags, operation);
  if (checked < 0) return checked;
  for (let at = 33; at < SYNC_CANCEL_BYTES; at++) if (view.getUint8(at) !== 0) return -ERRNO.EINVAL;
  const byFile = (flags & IORING_ASYNC_CANCEL_FD) !== 0;
  const file = byFile ? process.descriptors.get(view.getInt32(8, true)) : undefined;
  if (byFile && file === undefined) return -ERRNO.EBADF;
  const criteria: Criteria = {
    flags,
    tagLow: view.getUint32(0, true),
    tagHigh: view.getUint32(4, true),
    file,
    operation,
    sequence: cancellation.nextSequence(),
  };
  const result = cancellation.cancel(criteria);
  if (result !== -ERRNO.EALREADY) return result;
  // A worker has begun, and is interrupted.
  const timeoutMs = readTimespec(process.memory, argument + 16) ?? -1;
  const limit = timeoutMs < 0 ? Number.POSITIVE_INFINITY : timeoutMs;
  const isOver = (): boolean => cancellation.cancel(criteria) !== -ERRNO.EALREADY;
  const { world } = process;
  return world.waitUntil(isOver, world.timeIn(limit)) ? 0 : -ERRNO.ETIME;
}
