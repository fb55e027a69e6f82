/** read, write and sendfile, on open files of every kind. */
import { ERRNO, type Libc, type Native, O_APPEND, SYS } from "polloi/internal/pure";
import { MAX_RW_COUNT } from "../process/abi.ts";
import type { OpenFile } from "../process/open-file.ts";
import type { Process } from "../process/process.ts";
import { DeviceFile, NodeFile, RegularFile } from "./opened.ts";

/** What sendfile(2) copies at once: the pages of the pipe that it uses. Source: fs/splice.c, splice_direct_to_actor. */
const PIECE_BYTES = 65_536;
const piece = new Uint8Array(PIECE_BYTES);

/** Calls that move bytes. Source: read(2), write(2), sendfile(2); fs/read_write.c. */
export function transferCalls(process: Process): Pick<Libc, "read" | "write" | "sendfile"> {
  const { descriptors, memory } = process;
  return {
    read(fd, address, length) {
      const file = descriptors.get(fd);
      if (file === undefined || !file.canRead) return -ERRNO.EBADF;
      const target = memory.bytes(address, Math.min(length, MAX_RW_COUNT));
      if (target === undefined) return -ERRNO.EFAULT;
      const count = file.read(target);
      if (count !== -ERRNO.EAGAIN || file.isNonBlocking) return count;
      return process.blocking(() => file.read(target), file.readTimeoutMs);
    },

    write(fd, address, length) {
      const file = descriptors.get(fd);
      if (file === undefined || !file.canWrite) return -ERRNO.EBADF;
      const source = memory.bytes(address, Math.min(length, MAX_RW_COUNT));
      if (source === undefined) return -ERRNO.EFAULT;
      const count = file.write(source);
      if (file.isNonBlocking || !isUnfinished(file, count, source.length)) return count;
      let written = Math.max(count, 0);
      const result = process.blocking(() => {
        const more = file.write(source.subarray(written));
        if (more < 0) return more;
        written += more;
        return written < source.length ? -ERRNO.EAGAIN : written;
      }, file.writeTimeoutMs);
      return written > 0 ? written : result;
    },

    sendfile(socket, source, offset, length) {
      const at = offset === 0 ? undefined : memory.view(offset, 8);
      if (offset !== 0 && at === undefined) return -ERRNO.EFAULT;
      const input = descriptors.get(source);
      if (input === undefined || !input.canRead) return -ERRNO.EBADF;
      if (at !== undefined && !(input instanceof NodeFile)) return -ERRNO.ESPIPE;
      const start = at === undefined ? undefined : wordAt(at);
      if (start !== undefined && start < 0) return -ERRNO.EINVAL;
      const output = descriptors.get(socket);
      if (output === undefined || !output.canWrite) return -ERRNO.EBADF;
      if (start !== undefined && start > MAX_FILE_BYTES) return -ERRNO.EOVERFLOW;
      if ((output.statusFlags & O_APPEND) !== 0 || !isSeekable(input)) return -ERRNO.EINVAL;
      if (length === 0) return 0;
      if (!isSource(input)) return -ERRNO.EINVAL;
      const sending = new Sending(input, output, start ?? input.position, length);
      let result = sending.proceed();
      if (result === -ERRNO.EAGAIN && !output.isNonBlocking) {
        result = process.blocking(() => sending.proceed(), output.writeTimeoutMs);
      }
      const { sent } = sending;
      if (sent === 0) return result;
      if (at === undefined) input.position += sent;
      else setWordAt(at, (start as number) + sent);
      return sent;
    },
  };
}

/** Calls that read at a position. Source: pread(2); fs/read_write.c, ksys_pread64. */
export function positionCalls({ descriptors, memory }: Process): Record<number, Native> {
  return {
    [SYS.pread64](fd = 0, address = 0, length = 0, offset = 0) {
      if (offset < 0) return -ERRNO.EINVAL;
      const file = descriptors.get(fd);
      if (file === undefined) return -ERRNO.EBADF;
      if (!(file instanceof NodeFile)) return -ERRNO.ESPIPE;
      if (!file.canRead) return -ERRNO.EBADF;
      const target = memory.bytes(address, Math.min(length, MAX_RW_COUNT));
      return target === undefined ? -ERRNO.EFAULT : file.readAt(target, offset);
    },
  };
}

/** Files of 8 EiB are not stored anywhere; this is the limit of ext4. */
const MAX_FILE_BYTES = 2 ** 44;

/** Whether a blocking write has to wait before it continues. */
function isUnfinished(file: OpenFile, count: number, length: number): boolean {
  if (count < 0) return count === -ERRNO.EAGAIN;
  return count < length && file.isPollable;
}

/** Source: lseek(2), ESPIPE. */
function isSeekable({ kind }: OpenFile): boolean {
  return kind !== "pipe" && kind !== "socket";
}

/** Whether sendfile can read the file. Source: fs/splice.c, splice_direct_to_actor. */
function isSource(input: OpenFile): input is RegularFile | DeviceFile {
  return (
    input instanceof RegularFile || (input instanceof DeviceFile && input.kind !== "/dev/null")
  );
}

/** A sendfile that may have to wait. */
class Sending {
  /** The number of bytes that the output has taken. */
  sent = 0;
  readonly #input: RegularFile | DeviceFile;
  readonly #output: OpenFile;
  readonly #start: number;
  readonly #length: number;

  constructor(input: RegularFile | DeviceFile, output: OpenFile, start: number, length: number) {
    this.#input = input;
    this.#output = output;
    this.#start = start;
    this.#length = Math.min(length, MAX_RW_COUNT);
  }

  /** @returns `-EAGAIN` when the output is full, another `-errno`, or 0 when it is over. */
  proceed(): number {
    while (this.sent < this.#length) {
      const wanted = Math.min(this.#length - this.sent, PIECE_BYTES);
      const read = this.#input.readAt(piece.subarray(0, wanted), this.#start + this.sent);
      if (read <= 0) return read;
      // No file without a type has splice_write.
      if (this.#output.kind.startsWith("anon_inode")) return -ERRNO.EINVAL;
      const written = this.#output.write(piece.subarray(0, read));
      if (written < 0) return written;
      this.sent += written;
      if (written < read) return -ERRNO.EAGAIN;
      // The file ends there, or a page could not be read.
      if (read < wanted) return 0;
    }
    return 0;
  }
}

function wordAt(view: DataView): number {
  return view.getInt32(4, true) * 0x1_0000_0000 + view.getUint32(0, true);
}

function setWordAt(view: DataView, value: number): void {
  view.setUint32(0, value, true);
  view.setUint32(4, Math.floor(value / 0x1_0000_0000), true);
}
