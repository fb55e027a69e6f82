import {
  ERRNO,
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUF_MORE,
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  IORING_CQE_F_SOCK_NONEMPTY,
  IORING_RECV_MULTISHOT,
  IORING_RECVSEND_POLL_FIRST,
  IOSQE_BUFFER_SELECT,
  MSG_DONTWAIT,
  MSG_TRUNC,
  MSG_WAITALL,
  POLLERR,
  POLLIN,
  POLLPRI,
  POLLRDNORM,
} from "polloi/internal/pure";
import { Message, type SocketFile } from "../../sockets/socket-file.ts";
import { IORING_RECVSEND_BUNDLE } from "../abi.ts";
import type { BufferGroup } from "../buffer-group.ts";
import { gap } from "../gap.ts";
import { type Entry, ISSUE, ISSUED, Request, type RequestRing, type Traits } from "../request.ts";
import { keepsOrder, socketOf } from "./socket-of.ts";

const TRAITS: Traits = {
  needsFile: true,
  selectsBuffers: true,
  usesPriority: true,
  events: POLLIN | POLLRDNORM | POLLPRI | POLLERR,
};
const OPTIONS: number = IORING_RECVSEND_POLL_FIRST | IORING_RECV_MULTISHOT | IORING_RECVSEND_BUNDLE;
/** A multishot receive that finds this many times more bytes lets others go first: MULTISHOT_MAX_RETRY. */
const MAX_RECEIVES = 32;

/** The groups of buffers that a program provides, by their numbers. */
export type BufferGroups = ReadonlyMap<number, BufferGroup>;

/** IORING_OP_RECV. Source: io_uring/net.c, io_recvmsg_prep, io_recv and io_recv_finish. */
export class ReceiveRequest extends Request {
  readonly #groups: BufferGroups;
  #options = 0;
  #messageFlags = 0;
  #address = 0;
  #length = 0;
  #groupNumber = 0;
  /** The group that the selected buffer is from, while one is selected. */
  #group: BufferGroup | undefined;
  /** The bytes that were received already, with MSG_WAITALL. */
  #done = 0;
  /** The most bytes of one receive of a multishot one, and of all of them; 0 for no limit. */
  #mostEach = 0;
  #mostLeft = 0;
  #isLimited = false;
  #receives = 0;

  constructor(ring: RequestRing, groups: BufferGroups, entry: Entry) {
    super(ring, TRAITS, entry);
    this.#groups = groups;
  }

  override prepare(entry: Entry): number {
    if (entry.offset !== 0) return -ERRNO.EINVAL;
    if ((entry.priority & ~OPTIONS) !== 0) return -ERRNO.EINVAL;
    this.#options = entry.priority;
    this.#address = entry.address;
    this.#length = entry.length;
    this.#messageFlags = entry.operationFlags;
    this.#groupNumber = entry.group;
    this.neverWaits = (this.#messageFlags & MSG_DONTWAIT) !== 0;
    if ((this.#options & IORING_RECV_MULTISHOT) !== 0) {
      if (!this.#selectsBuffer() || (this.#messageFlags & MSG_WAITALL) !== 0) return -ERRNO.EINVAL;
      this.#mostEach = entry.length;
      this.#mostLeft = entry.limit;
      this.#isLimited = entry.limit !== 0;
      this.isMultishot = true;
    } else if (entry.limit !== 0) {
      return -ERRNO.EINVAL;
    }
    if ((this.#options & IORING_RECVSEND_BUNDLE) !== 0) gap("bundle of buffers");
    return this.ring.process.world.faults.happens("noMemory") ? -ERRNO.ENOMEM : 0;
  }

  issue(mode: number): number {
    if (!this.wasPolled && (this.#options & IORING_RECVSEND_POLL_FIRST) !== 0) return ISSUED.retry;
    const socket = socketOf(this.file);
    if (socket === undefined) return -ERRNO.ENOTSOCK;
    for (;;) {
      if (this.#selectsBuffer() && this.#group === undefined && !this.#select()) {
        this.setFailed();
        return this.#finish(-ERRNO.ENOBUFS, { inQueue: -1, isOver: true, mode });
      }
      const result = this.#receive(socket, mode);
      if (result === ISSUED.retry) return result;
      const isOver = result <= 0;
      if (isOver && this.#done === 0) this.#group = undefined;
      const total = result > 0 ? result + this.#done : this.#done > 0 ? this.#done : result;
      const finished = this.#finish(total, {
        inQueue: this.#inQueue(socket, result),
        isOver,
        mode,
      });
      if (finished !== AGAIN) return finished;
    }
  }

  override failed(): void {
    if (this.#done > 0) this.result = this.#done;
    if (this.#group !== undefined) this.completionFlags = this.#putBuffer(Math.max(this.result, 0));
  }

  #selectsBuffer(): boolean {
    return (this.flags & IOSQE_BUFFER_SELECT) !== 0;
  }

  #select(): boolean {
    const group = this.#groups.get(this.#groupNumber);
    if (group === undefined || this.ring.process.world.faults.happens("noBuffers")) return false;
    if (!group.select(this.#length)) return false;
    this.#group = group;
    this.#address = group.address;
    this.#length = group.length;
    return true;
  }

  /** Receives once. @returns The number of bytes, `-errno`, or that it must wait for more. */
  #receive(socket: SocketFile, mode: number): number {
    const { memory } = this.ring.process;
    const target = memory.room(this.#address, this.#length);
    const waitsForAll = (this.#messageFlags & MSG_WAITALL) !== 0;
    const message = waitsForAll ? new Message() : undefined;
    const result =
      target === undefined ? -ERRNO.EFAULT : socket.receive(target, this.#messageFlags, message);
    memory.filled(this.#address, Math.min(result, this.#length));
    const isPart = message !== undefined && isIncomplete(message);
    if (result >= (waitsForAll ? this.#length : 0)) {
      if (isPart) this.setFailed();
      return result;
    }
    if (result === -ERRNO.EAGAIN) {
      // A worker waits too.
      if ((mode & ISSUE.nonBlocking) !== 0 || !this.neverWaits) {
        if (this.#done === 0) this.#group = undefined;
        return ISSUED.retry;
      }
    } else if (result > 0 && keepsOrder(socket)) {
      this.#address += result;
      this.#length -= result;
      this.#done += result;
      return ISSUED.retry;
    }
    this.setFailed();
    return result;
  }

  #inQueue(socket: SocketFile, result: number): number {
    return result < 0 ? -1 : socket.inQueue;
  }

  /** Completes, or posts a completion and continues. Source: io_recv_finish. */
  #finish(
    result: number,
    how: { readonly inQueue: number; readonly isOver: boolean; readonly mode: number },
  ): number {
    const { inQueue, mode } = how;
    let { isOver } = how;
    let flags = inQueue > 0 ? IORING_CQE_F_SOCK_NONEMPTY : 0;
    if (result > 0 && this.#isLimited) {
      this.#mostLeft -= Math.min(result, this.#mostLeft);
      if (this.#mostLeft === 0) isOver = true;
    }
    if (this.#group !== undefined) flags |= this.#putBuffer(result);
    if (this.isMultishot && !isOver && this.ring.post(this, result, flags | IORING_CQE_F_MORE)) {
      this.#done = 0;
      this.#length = this.#mostEach;
      if ((flags & IORING_CQE_F_SOCK_NONEMPTY) === 0 && inQueue >= 0) return ISSUED.retry;
      if (this.#receives++ < MAX_RECEIVES) return AGAIN;
      this.#receives = 0;
      return (mode & ISSUE.multishot) !== 0 ? ISSUED.requeue : ISSUED.retry;
    }
    this.setResult(result, flags);
    return ISSUED.complete;
  }

  /** Consumes bytes of the selected buffer. @returns IORING_CQE_F_* bits. Source: __io_put_kbufs. */
  #putBuffer(length: number): number {
    const group = this.#group as BufferGroup;
    this.#group = undefined;
    const flags = IORING_CQE_F_BUFFER | (group.number << IORING_CQE_BUFFER_SHIFT);
    return group.commit(length) ? flags : flags | IORING_CQE_F_BUF_MORE;
  }
}

/** Whether a message did not fit, or had descriptors, for which a receive has no place. */
function isIncomplete({ flags, files = [] }: Message): boolean {
  for (const file of files) file.drop();
  return (flags & MSG_TRUNC) !== 0 || files.length > 0;
}

/** The socket may have more. */
const AGAIN = -4098;
