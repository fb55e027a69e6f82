import { randomBytes } from "node:crypto";
import type { ReplyWriter } from "../reply.ts";
import { contentRange } from "./content-range.ts";
import type { ByteRange } from "./ranges.ts";

/** Several ranges of a file that are to be sent. */
export interface MultipartOptions {
  readonly fd: number;
  readonly size: number;
  readonly type: string;
  readonly ranges: readonly ByteRange[];
  /** The descriptor is not needed any more. */
  readonly done: () => void;
}

/**
 * Answers with several ranges of a file, each with a head of its own between boundaries.
 *
 * @source RFC 9110 section 14.6, RFC 2046 section 5.1
 */
export function sendMultipart(
  reply: ReplyWriter,
  { fd, size, type, ranges, done }: MultipartOptions,
): void {
  // By chance: that a file has it in it is as likely as that somebody guesses a key.
  const boundary = randomBytes(16).toString("hex");
  const heads = ranges.map(
    ({ offset, length }) =>
      `\r\n--${boundary}\r\nContent-Type: ${type}\r\nContent-Range: ${contentRange(offset, length, size)}\r\n\r\n`,
  );
  const end = `\r\n--${boundary}--\r\n`;
  const total = ranges.reduce(
    (sum, { length }, i) => sum + (heads[i] as string).length + length,
    end.length,
  );
  reply
    .status(206)
    .header("Content-Type", `multipart/byteranges; boundary=${boundary}`)
    .header("Content-Length", total)
    .begin();
  for (const [i, range] of ranges.entries()) {
    reply.write(heads[i] as string);
    const isLast = i === ranges.length - 1;
    reply.writeFile({ fd, ...range, ...(isLast ? { done } : {}) });
  }
  reply.end(end);
}
