import { ERRNO, POLLERR, POLLOUT, POLLPRI, POLLWRNORM } from "polloi/internal/pure";
import { type Entry, ISSUED, Request, type RequestRing, type Traits } from "../request.ts";
import { socketOf } from "./socket-of.ts";

const TRAITS: Traits = {
  needsFile: true,
  events: POLLOUT | POLLWRNORM | POLLPRI | POLLERR,
};
/** sizeof(struct sockaddr_storage) */
const MAX_ADDRESS = 128;

/** IORING_OP_CONNECT. Source: io_uring/net.c, io_connect_prep and io_connect. */
export class ConnectRequest extends Request {
  #address: Uint8Array = new Uint8Array(0);
  #isInProgress = false;
  #wasAborted = false;

  constructor(ring: RequestRing, entry: Entry) {
    super(ring, TRAITS, entry);
  }

  override prepare(entry: Entry): number {
    if (entry.length !== 0 || entry.group !== 0) return -ERRNO.EINVAL;
    if (entry.operationFlags !== 0 || entry.limit !== 0) return -ERRNO.EINVAL;
    const { memory, world } = this.ring.process;
    if (world.faults.happens("noMemory")) return -ERRNO.ENOMEM;
    const length = entry.offset;
    if (length < 0 || length > MAX_ADDRESS) return -ERRNO.EINVAL;
    const address = memory.bytes(entry.address, length);
    if (address === undefined) return -ERRNO.EFAULT;
    this.#address = address.slice();
    return 0;
  }

  issue(): number {
    const socket = socketOf(this.file);
    if (socket === undefined) return this.completeWith(-ERRNO.ENOTSOCK);
    if (this.#isInProgress && ((this.file?.poll() ?? 0) & POLLERR) !== 0) {
      return this.completeWith(socket.takeError());
    }
    const result = socket.connect(this.#address);
    switch (result) {
      case -ERRNO.EINPROGRESS:
        this.#isInProgress = true;
        return ISSUED.retry;
      case -ERRNO.EAGAIN:
        return ISSUED.retry;
      case -ERRNO.ECONNABORTED:
        if (this.#wasAborted) break;
        this.#wasAborted = true;
        return ISSUED.retry;
      case -ERRNO.EISCONN:
      case -ERRNO.EBADFD:
        if (this.#isInProgress) return this.completeWith(socket.takeError());
        break;
    }
    return this.completeWith(result);
  }
}
