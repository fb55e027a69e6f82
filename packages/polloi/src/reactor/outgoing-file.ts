import { optionsOf } from "../base/argument.ts";
import { filenoOf } from "../base/descriptor.ts";
import { ERRNO } from "../base/errno.ts";
import { rangeError, show } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import type { OutgoingFile } from "./connection.ts";
import { checkCallback } from "./options.ts";

/** @throws `ERR_INVALID_FD`, `ERR_INVALID_LENGTH`, `ERR_INVALID_OPTION`. */
export function checkOutgoingFile(file: OutgoingFile): void {
  const { fd, offset, length, done } = optionsOf(file, "a file");
  filenoOf(fd);
  checkBytes("an offset", offset);
  checkBytes("a length", length);
  checkBytes("an offset after the length", offset + length);
  if (done !== undefined) checkCallback(done);
}

function checkBytes(what: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw rangeError(
    "ERR_INVALID_LENGTH",
    `Cannot use ${show(value)} as ${what} in bytes: give an integer from 0 to ${Number.MAX_SAFE_INTEGER}`,
  );
}

/** Why a file did not go when its connection closed without an error. */
export function fileCancelled({ fd }: OutgoingFile): SysError {
  const hint = "the connection was closed before all of the file was sent";
  return new SysError("sendfile", ERRNO.ECANCELED, { fd, hint });
}

/** What a person can do when sendfile(2) fails for the file's sake; undefined when it is the peer's. */
export function fileHint(errno: number, { fd }: OutgoingFile): string | undefined {
  switch (errno) {
    case ERRNO.ENODATA:
      return `the file of fd ${fd} ended before the length that was to be sent: it was truncated`;
    case ERRNO.EINVAL:
    case ERRNO.EISDIR:
    case ERRNO.ESPIPE:
      return `fd ${fd} is not a regular file, or its file system cannot send: read it and write the bytes`;
    case ERRNO.EBADF:
      return `fd ${fd} is not open for reading: it has to stay open until done is called`;
    case ERRNO.EIO:
      return `the file of fd ${fd} could not be read`;
    default:
      return undefined;
  }
}
