import {
  ERRNO,
  IORING_FSYNC_DATASYNC,
  IORING_NOP_INJECT_RESULT,
  type Native,
  O_CREAT,
} from "polloi/internal/pure";
import { AT_FDCWD, O_TRUNC } from "../../process/abi.ts";
import type { Memory } from "../../process/memory.ts";
import { gap } from "../gap.ts";
import { type Entry, ISSUED, Request, type RequestRing, type Traits } from "../request.ts";
import { socketOf } from "./socket-of.ts";

const WITH_FILE: Traits = { needsFile: true };
const WITHOUT_FILE: Traits = {};
/** The most bytes of a path, with its NUL. */
const PATH_MAX = 4096;

/** open(2), of a path that ends with a NUL. */
export type OpenPath = (path: Uint8Array, flags: number, mode: number) => number;

/** IORING_OP_NOP. Source: io_uring/nop.c. */
export class NopRequest extends Request {
  #result = 0;

  constructor(ring: RequestRing, entry: Entry) {
    super(ring, WITHOUT_FILE, entry);
  }

  override prepare(entry: Entry): number {
    if ((entry.operationFlags & ~IORING_NOP_INJECT_RESULT) !== 0) gap("flags of a NOP");
    if (entry.operationFlags !== 0) this.#result = entry.length | 0;
    return 0;
  }

  issue(): number {
    return this.completeWith(this.#result);
  }
}

/** IORING_OP_CLOSE. Source: io_uring/openclose.c, io_close. */
export class CloseRequest extends Request {
  readonly #isRing: (fd: number) => boolean;

  /** @param isRing - Whether a descriptor is one of a ring, which this operation refuses. */
  constructor(ring: RequestRing, isRing: (fd: number) => boolean, entry: Entry) {
    super(ring, WITHOUT_FILE, entry);
    this.#isRing = isRing;
  }

  override prepare(entry: Entry): number {
    const { offset, address, length, operationFlags, group } = entry;
    const isEmpty = offset === 0 && address === 0 && length === 0 && operationFlags === 0;
    if (!isEmpty || group !== 0) return -ERRNO.EINVAL;
    if (entry.limit !== 0) gap("registered files");
    return 0;
  }

  issue(): number {
    if (this.#isRing(this.fd)) return this.completeWith(-ERRNO.EBADF);
    return this.completeWith(this.ring.process.descriptors.close(this.fd));
  }
}

/** IORING_OP_FSYNC: everything is in memory, and so is what it has written. Source: io_uring/sync.c, io_fsync. */
export class FsyncRequest extends Request {
  constructor(ring: RequestRing, entry: Entry) {
    super(ring, WITH_FILE, entry);
  }

  override prepare(entry: Entry): number {
    if (entry.address !== 0 || entry.group !== 0 || entry.limit !== 0) return -ERRNO.EINVAL;
    if ((entry.operationFlags & ~IORING_FSYNC_DATASYNC) !== 0) return -ERRNO.EINVAL;
    this.isAsync = true;
    return 0;
  }

  issue(): number {
    // Files that are waited for have nothing to write back.
    return this.completeWith(this.file?.isPollable === true ? -ERRNO.EINVAL : 0);
  }
}

/** IORING_OP_SHUTDOWN. Source: io_uring/net.c, io_shutdown. */
export class ShutdownRequest extends Request {
  #how = 0;

  constructor(ring: RequestRing, entry: Entry) {
    super(ring, WITH_FILE, entry);
  }

  override prepare(entry: Entry): number {
    const { offset, address, operationFlags, group, limit } = entry;
    const isEmpty = offset === 0 && address === 0 && operationFlags === 0;
    if (!isEmpty || group !== 0 || limit !== 0) return -ERRNO.EINVAL;
    this.#how = entry.length;
    this.isAsync = true;
    return 0;
  }

  issue(): number {
    const socket = socketOf(this.file);
    return socket === undefined ? -ERRNO.ENOTSOCK : this.completeWith(socket.shutdown(this.#how));
  }
}

/** IORING_OP_OPENAT. Source: io_uring/openclose.c, io_openat_prep and io_openat2. */
export class OpenRequest extends Request {
  readonly #open: OpenPath;
  #path: Uint8Array = new Uint8Array(0);
  #flags = 0;
  #mode = 0;

  constructor(ring: RequestRing, open: OpenPath, entry: Entry) {
    super(ring, WITHOUT_FILE, entry);
    this.#open = open;
  }

  override prepare(entry: Entry): number {
    if (entry.group !== 0) return -ERRNO.EINVAL;
    if (entry.limit !== 0) gap("registered files");
    if (this.fd !== AT_FDCWD) gap("open relative to a directory");
    const path = pathAt(this.ring.process.memory, entry.address);
    if (typeof path === "number") return path;
    this.#path = path;
    this.#flags = entry.operationFlags;
    this.#mode = entry.length;
    // Others are first tried with the names that are cached.
    if ((this.#flags & (O_CREAT | O_TRUNC)) !== 0) this.isAsync = true;
    return 0;
  }

  issue(): number {
    const fd = this.#open(this.#path, this.#flags, this.#mode);
    return fd === -ERRNO.EAGAIN ? ISSUED.retry : this.completeWith(fd);
  }
}

/** A copy of the path at an address with its NUL, or `-errno`. Source: fs/namei.c, getname_flags. */
function pathAt(memory: Memory, address: number): Uint8Array | number {
  const arena = memory.find(address);
  if (arena === undefined) return -ERRNO.EFAULT;
  const start = address - arena.address;
  const end = arena.u8.indexOf(0, start);
  if (end < 0) return -ERRNO.EFAULT;
  return end - start >= PATH_MAX ? -ERRNO.ENAMETOOLONG : arena.u8.slice(start, end + 1);
}

/** IORING_OP_SOCKET. Source: io_uring/net.c, io_socket. */
export class SocketRequest extends Request {
  readonly #socket: Native | undefined;
  #type = 0;
  #protocol = 0;

  /** @param socket - socket(2). */
  constructor(ring: RequestRing, socket: Native | undefined, entry: Entry) {
    super(ring, WITHOUT_FILE, entry);
    this.#socket = socket;
  }

  override prepare(entry: Entry): number {
    if (entry.address !== 0 || entry.operationFlags !== 0 || entry.group !== 0) {
      return -ERRNO.EINVAL;
    }
    if (entry.limit !== 0) gap("registered files");
    this.#type = entry.word(2);
    this.#protocol = entry.length;
    return 0;
  }

  issue(): number {
    if (this.#socket === undefined) gap("socket");
    return this.completeWith(this.#socket(this.fd, this.#type, this.#protocol));
  }
}

/** A submission that the kernel does not know. Source: io_uring/io_uring.c, io_init_req. */
export class UnknownRequest extends Request {
  constructor(ring: RequestRing, entry: Entry) {
    super(ring, WITHOUT_FILE, entry);
  }

  override prepare(): number {
    return -ERRNO.EINVAL;
  }

  issue(): number {
    return -ERRNO.EINVAL;
  }
}
