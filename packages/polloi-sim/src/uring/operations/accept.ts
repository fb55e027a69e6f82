import {
  ERRNO,
  IORING_ACCEPT_MULTISHOT,
  IORING_CQE_F_MORE,
  IORING_CQE_F_SOCK_NONEMPTY,
  O_NONBLOCK,
  POLLERR,
  POLLIN,
  POLLPRI,
  POLLRDNORM,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
} from "polloi/internal/pure";
import { IORING_ACCEPT_DONTWAIT, IORING_ACCEPT_POLL_FIRST } from "../abi.ts";
import { gap } from "../gap.ts";
import { type Entry, ISSUED, Request, type RequestRing, type Traits } from "../request.ts";
import { socketOf } from "./socket-of.ts";

const TRAITS: Traits = {
  needsFile: true,
  usesPriority: true,
  events: POLLIN | POLLRDNORM | POLLPRI | POLLERR,
  isExclusive: true,
};
const OPTIONS: number = IORING_ACCEPT_MULTISHOT | IORING_ACCEPT_DONTWAIT | IORING_ACCEPT_POLL_FIRST;

/** IORING_OP_ACCEPT. Source: io_uring/net.c, io_accept_prep and io_accept. */
export class AcceptRequest extends Request {
  #options = 0;
  #socketFlags = 0;

  constructor(ring: RequestRing, entry: Entry) {
    super(ring, TRAITS, entry);
  }

  override prepare(entry: Entry): number {
    if (entry.length !== 0 || entry.group !== 0) return -ERRNO.EINVAL;
    if ((entry.priority & ~OPTIONS) !== 0) return -ERRNO.EINVAL;
    if (entry.limit !== 0) gap("accept into a registered file");
    if (entry.address !== 0) gap("accept that returns the address");
    this.#socketFlags = entry.operationFlags;
    if ((this.#socketFlags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) return -ERRNO.EINVAL;
    this.#options = entry.priority;
    this.isMultishot = (this.#options & IORING_ACCEPT_MULTISHOT) !== 0;
    this.neverWaits = (this.#options & IORING_ACCEPT_DONTWAIT) !== 0;
    return 0;
  }

  issue(): number {
    if (!this.wasPolled && (this.#options & IORING_ACCEPT_POLL_FIRST) !== 0) return ISSUED.retry;
    const { process } = this.ring;
    const { descriptors, world } = process;
    for (;;) {
      // The descriptor is reserved first, so that no connection is lost for want of one.
      if (descriptors.isFull || world.faults.happens("noDescriptors")) return -ERRNO.EMFILE;
      const socket = socketOf(this.file);
      // By a security module. Source: security_socket_accept
      if (world.faults.happens("forbidden")) return this.completeWith(-ERRNO.EACCES);
      const accepted = socket === undefined ? -ERRNO.ENOTSOCK : socket.accept();
      if (typeof accepted === "number") {
        if (accepted === -ERRNO.EAGAIN && !this.neverWaits) return ISSUED.retry;
        return this.completeWith(accepted);
      }
      accepted.statusFlags |= (this.#socketFlags & SOCK_NONBLOCK) === 0 ? 0 : O_NONBLOCK;
      const fd = descriptors.add(accepted, (this.#socketFlags & SOCK_CLOEXEC) !== 0);
      const hasMore = socket?.hasBacklog;
      const flags = hasMore === true ? IORING_CQE_F_SOCK_NONEMPTY : 0;
      if (!this.isMultishot || !this.ring.post(this, fd, flags | IORING_CQE_F_MORE)) {
        this.setResult(fd, flags);
        return ISSUED.complete;
      }
      if (hasMore === false) return ISSUED.retry;
    }
  }
}
