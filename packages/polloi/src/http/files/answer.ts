import type { Kernel } from "../../sys/kernel.ts";
import type { ReplyWriter } from "../reply.ts";
import type { HttpRequest } from "../request.ts";
import { reasonOf } from "../status.ts";
import type { FileStat } from "./file-stat.ts";
import type { ByteRange } from "./ranges.ts";

/** The parts of a request that an answer depends on. */
export type FileRequest = Pick<HttpRequest, "method" | "target" | "path" | "query" | "header">;

/** The answer to a request for a file, before it is sent as a reply or returned as a `Response`. */
export interface Answer {
  readonly status: number;
  /** The header fields, each with its CRLF, without Content-Length. */
  readonly lines: string;
  /** Whether the fields include a Date. */
  readonly hasDate: boolean;
  readonly body: string | FileBytes | null;
}

/** An open file, and the bytes of it to send. */
export interface FileBytes {
  /** The descriptor. The receiver of the answer closes it. */
  readonly fd: number;
  readonly stat: FileStat;
  /** The name by which the file can be opened again. */
  readonly name: string;
  /** Ranges of the file, and text in ASCII between them. */
  readonly pieces: readonly (ByteRange | string)[];
  /** The length of all pieces. */
  readonly length: number;
}

const TEXT_TYPE = "Content-Type: text/plain; charset=utf-8\r\n";

/** An answer that says no more than its status. */
export function refusal(status: number, lines = ""): Answer {
  const body = `${status} ${reasonOf(status)}\n`;
  return { status, lines: lines + TEXT_TYPE, hasDate: false, body };
}

/** An answer of text that has no other type. */
export function textAnswer(status: number, lines: string, body: string): Answer {
  return { status, lines: lines + TEXT_TYPE, hasDate: false, body };
}

/** Sends an answer. */
export function sendAnswer({ libc }: Kernel, answer: Answer, reply: ReplyWriter): void {
  const { status, lines, hasDate, body } = answer;
  if (body === null || typeof body === "string") {
    if (status !== 200) reply.status(status);
    reply.lines(lines, hasDate, -1);
    if (body === null) reply.send();
    else reply.send(body);
    return;
  }
  const { fd } = body;
  let isTaken = false;
  try {
    if (status !== 200) reply.status(status);
    reply.lines(lines, hasDate, body.length);
    sendPieces(reply, fd, body.pieces, () => {
      isTaken = true;
      libc.close(fd);
    });
    isTaken = true;
  } finally {
    if (!isTaken) libc.close(fd);
  }
}

/**
 * Sends the pieces of a file as a body, whose length was set.
 *
 * @param done - Called once when the descriptor is not needed any more. Not called if this throws.
 */
export function sendPieces(
  reply: ReplyWriter,
  fd: number,
  pieces: FileBytes["pieces"],
  done: () => void,
): void {
  const [first] = pieces;
  if (pieces.length === 1 && typeof first === "object") {
    const { offset, length } = first;
    reply.sendFile({ fd, offset, length, done });
    return;
  }
  const last = pieces.findLastIndex((piece) => typeof piece === "object");
  reply.begin();
  for (const [i, piece] of pieces.entries()) {
    if (typeof piece === "string") reply.write(piece);
    else reply.writeFile({ fd, ...piece, ...(i === last ? { done } : {}) });
  }
  reply.end();
}
