import {
  ERRNO,
  IORING_RECVSEND_POLL_FIRST,
  IOSQE_BUFFER_SELECT,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_WAITALL,
  POLLERR,
  POLLOUT,
  POLLPRI,
  POLLWRNORM,
} from "polloi/internal/pure";
import { IORING_RECVSEND_BUNDLE } from "../abi.ts";
import { gap } from "../gap.ts";
import { type Entry, ISSUED, Request, type RequestRing, type Traits } from "../request.ts";
import { keepsOrder, socketOf } from "./socket-of.ts";

const TRAITS: Traits = {
  needsFile: true,
  selectsBuffers: true,
  usesPriority: true,
  events: POLLOUT | POLLWRNORM | POLLPRI | POLLERR,
};
const OPTIONS: number = IORING_RECVSEND_POLL_FIRST | IORING_RECVSEND_BUNDLE;

/**
 * IORING_OP_SEND.
 *
 * @remarks
 * With MSG_WAITALL, a short send continues, and fails if it cannot. Without, it succeeds, and does not break its chain.
 *
 * Source: io_uring/net.c, io_sendmsg_prep and io_send.
 */
export class SendRequest extends Request {
  #options = 0;
  #messageFlags = 0;
  #address = 0;
  #length = 0;
  /** The bytes that were sent already. */
  #done = 0;

  constructor(ring: RequestRing, entry: Entry) {
    super(ring, TRAITS, entry);
  }

  override prepare(entry: Entry): number {
    if ((entry.priority & ~OPTIONS) !== 0) return -ERRNO.EINVAL;
    if ((this.flags & IOSQE_BUFFER_SELECT) !== 0) gap("send of provided buffers");
    if (entry.offset !== 0 || entry.limit !== 0) gap("send to an address");
    this.#options = entry.priority;
    this.#address = entry.address;
    this.#length = entry.length;
    this.#messageFlags = entry.operationFlags | MSG_NOSIGNAL;
    this.neverWaits = (this.#messageFlags & MSG_DONTWAIT) !== 0;
    return this.ring.process.world.faults.happens("noMemory") ? -ERRNO.ENOMEM : 0;
  }

  issue(): number {
    const socket = socketOf(this.file);
    if (socket === undefined) return -ERRNO.ENOTSOCK;
    if (!this.wasPolled && (this.#options & IORING_RECVSEND_POLL_FIRST) !== 0) return ISSUED.retry;
    const source = this.ring.process.memory.bytes(this.#address, this.#length);
    const result = source === undefined ? -ERRNO.EFAULT : socket.send(source, this.#messageFlags);
    const waitsForAll = (this.#messageFlags & MSG_WAITALL) !== 0;
    if (result < (waitsForAll ? this.#length : 0)) {
      if (result === -ERRNO.EAGAIN) return ISSUED.retry;
      if (result > 0 && keepsOrder(socket)) {
        this.#address += result;
        this.#length -= result;
        this.#done += result;
        return ISSUED.retry;
      }
      this.setFailed();
    }
    const total = result >= 0 ? result + this.#done : this.#done > 0 ? this.#done : result;
    this.setResult(total, 0);
    return ISSUED.complete;
  }

  /** Source: io_sendrecv_fail. */
  override failed(): void {
    if (this.#done > 0) this.result = this.#done;
  }
}
