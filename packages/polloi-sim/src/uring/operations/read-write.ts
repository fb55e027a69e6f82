import {
  ERRNO,
  IOSQE_BUFFER_SELECT,
  POLLERR,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDNORM,
  POLLWRNORM,
} from "polloi/internal/pure";
import type { OpenFile } from "../../process/open-file.ts";
import { gap } from "../gap.ts";
import { type Entry, ISSUE, ISSUED, Request, type RequestRing, type Traits } from "../request.ts";

const READ: Traits = {
  needsFile: true,
  selectsBuffers: true,
  usesPriority: true,
  events: POLLIN | POLLRDNORM | POLLPRI | POLLERR,
};
const WRITE: Traits = {
  needsFile: true,
  usesPriority: true,
  events: POLLOUT | POLLWRNORM | POLLPRI | POLLERR,
};

const READY: number = POLLIN | POLLOUT;
/** Files whose reads and writes may wait although they should not. They are polled first. */
const WAITING: readonly string[] = ["anon_inode:[eventpoll]", "anon_inode:[io_uring]"];

/** Source: io_file_supports_nowait. */
function mayWait(file: OpenFile): boolean {
  return WAITING.includes(file.kind) && !file.isNonBlocking;
}

/** IORING_OP_READ and IORING_OP_WRITE. Source: io_uring/rw.c, io_prep_rw, __io_read and io_write. */
abstract class TransferRequest extends Request {
  #address = 0;
  #length = 0;
  /** The position in the file, or -1 for that of the file. */
  #offset = 0;
  /** The bytes of a regular file that were transferred already. */
  #done = 0;

  override prepare(entry: Entry): number {
    if ((this.flags & IOSQE_BUFFER_SELECT) !== 0) gap("read into a provided buffer");
    if (entry.operationFlags !== 0) gap("flags of a read or write");
    this.#address = entry.address;
    this.#length = entry.length;
    this.#offset = entry.offset;
    return this.ring.process.world.faults.happens("noMemory") ? -ERRNO.ENOMEM : 0;
  }

  issue(mode: number): number {
    const { file } = this;
    if (file === undefined || !this.mayTransfer(file)) return -ERRNO.EBADF;
    if ((mode & ISSUE.nonBlocking) !== 0 && mayWait(file)) {
      if ((file.poll() & (this.traits.events ?? 0) & READY) === 0) return ISSUED.retry;
    }
    const bytes = this.ring.process.memory.bytes(this.#address, this.#length);
    if (bytes === undefined) return -ERRNO.EFAULT;
    // Files that are waited for have no position.
    const offset = file.isPollable ? -1 : this.#offset;
    for (;;) {
      const at = offset < 0 ? -1 : offset + this.#done;
      const result = this.transfer(file, bytes.subarray(this.#done), at);
      if (result === -ERRNO.EAGAIN) return ISSUED.retry;
      const isShort = result > 0 && this.#done + result < this.#length;
      if (result > 0) this.#done += result;
      // A short transfer of a regular file is continued.
      if (isShort && !file.isPollable) continue;
      const total = this.#done > 0 ? this.#done : result;
      if (total !== this.#length) this.setFailed();
      this.setResult(total, 0);
      return ISSUED.complete;
    }
  }

  /** Source: io_fixup_rw_res. */
  override failed(): void {
    if (this.#done > 0) this.result = this.#done;
  }

  protected abstract mayTransfer(file: OpenFile): boolean;
  /** @param offset - The position, or -1 for that of the file. */
  protected abstract transfer(file: OpenFile, bytes: Uint8Array, offset: number): number;
}

export class ReadRequest extends TransferRequest {
  constructor(ring: RequestRing, entry: Entry) {
    super(ring, READ, entry);
  }

  protected mayTransfer(file: OpenFile): boolean {
    return file.canRead;
  }

  protected transfer(file: OpenFile, bytes: Uint8Array, offset: number): number {
    return offset < 0 ? file.read(bytes) : file.readAt(bytes, offset);
  }
}

export class WriteRequest extends TransferRequest {
  constructor(ring: RequestRing, entry: Entry) {
    super(ring, WRITE, entry);
  }

  protected mayTransfer(file: OpenFile): boolean {
    return file.canWrite;
  }

  protected transfer(file: OpenFile, bytes: Uint8Array, offset: number): number {
    return offset < 0 ? file.write(bytes) : file.writeAt(bytes, offset);
  }
}
