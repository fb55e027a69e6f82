import { SysError } from "../base/sys-error.ts";
import { SYS } from "../sys/abi.ts";
import { kernel } from "../sys/open.ts";

/** A stretch of a file that is to be sent. */
export interface FilePiece {
  /** An open regular file, which is yours to close, and not before `done`. */
  readonly fd: number;
  /** In bytes, from the beginning of the file. */
  readonly offset: number;
  /** In bytes. */
  readonly length: number;
  /**
   * Called once, when the descriptor is not needed any more.
   *
   * @param error - Why not all of it was sent: the file has become shorter, or the client has left.
   */
  readonly done?: ((error?: Error) => void) | undefined;
}

/** Where the bytes of a file go. */
export interface FileSink {
  write(bytes: Uint8Array): boolean;
  whenDrained(callback: () => void): void;
  /** Whether nobody wants the rest. */
  isOver(): boolean;
  cutOff(): void;
}

/** So much is read at once. */
const PIECE_BYTES = 65_536;

/** Sends a piece of a file by reading it, as fast as the peer takes it. */
export function pumpFile(sink: FileSink, { fd, offset, length, done }: FilePiece): void {
  const { libc, scratch } = kernel;
  const end = offset + length;
  let at = offset;
  const pump = (): void => {
    for (let goOn = true; at < end; ) {
      if (sink.isOver()) {
        done?.(new Error("the client left before it had all of the file"));
        return;
      }
      if (!goOn) {
        sink.whenDrained(pump);
        return;
      }
      const wanted = Math.min(end - at, PIECE_BYTES);
      const got = libc.syscall(SYS.pread64, fd, scratch.address, wanted, at, 0, 0);
      if (got <= 0) {
        sink.cutOff();
        done?.(
          got === 0
            ? new Error("the file has become shorter")
            : new SysError("pread64", got, { fd }),
        );
        return;
      }
      at += got;
      goOn = sink.write(scratch.u8.subarray(0, got));
    }
    done?.();
  };
  pump();
}
