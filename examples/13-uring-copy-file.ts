/**
 * Copies a file through an io_uring: eight pieces at a time, each a read with a write linked to it, all of
 * them in one call. The call returns when the first are complete; their buffers are used for the next.
 *
 *     node dist/examples/13-uring-copy-file.js FROM TO
 *
 * Follows no text: those end at epoll, which cannot wait for a file. Points to get right:
 * - A short read breaks its link, so the last piece is requested with the remaining length.
 * - A short write means that the disk is full, and a short read that the file has been truncated:
 *   neither counts as a piece.
 * - The kernel uses the memory until the completion arrives, so each piece has its own.
 * - Opening a file for writing truncates it, so copying a file to itself would destroy it.
 * - Completions arrive in any order: the tag identifies the piece.
 */
import { fstatSync, statSync } from "node:fs";
import { Ring } from "polloi/uring";
import { exit, orExit } from "./command-line.ts";

const PIECES = 8;
const PIECE_BYTES = 65_536;
const O_WRONLY = 1;
const O_CREAT = 0o100;
const O_TRUNC = 0o1000;

const [from, to, ...more] = process.argv.slice(2);
if (from === undefined || to === undefined || more.length > 0) {
  exit(2, "usage: 13-uring-copy-file FROM TO");
}

using ring = orExit(() => new Ring({ entries: PIECES * 2 }));
const source = openFile(from, 0);
const { size, ino, dev } = fstatSync(source);
if (!fstatSync(source).isFile()) exit(1, `Cannot copy ${from}: it is not a regular file`);
const existing = statSync(to, { throwIfNoEntry: false });
if (existing?.ino === ino && existing.dev === dev) exit(1, `Cannot copy ${from} to itself`);
const target = openFile(to, O_WRONLY | O_CREAT | O_TRUNC);
const memory = ring.map(PIECES * PIECE_BYTES);

/** The length of each piece. */
const lengths: number[] = [];
let requested = 0;
let written = 0;
for (let piece = 0; piece < PIECES; piece++) copyNext(piece);
while (written < size) {
  // Reads report only failures; writes report every completion.
  for (const completion of ring.wait()) {
    const { tag } = completion;
    const copied = completion.check("copy");
    if (copied !== lengths[tag]) throw new Error(`a piece is short: ${copied} bytes`);
    written += copied;
    copyNext(tag);
  }
}
ring.fsync(target);
ring.wait()[0]?.check("fsync");
console.log(`copied ${written} bytes`);

function copyNext(piece: number): void {
  const length = Math.min(PIECE_BYTES, size - requested);
  if (length === 0) return;
  const part = memory.part(piece * PIECE_BYTES, length);
  ring.read(source, part, { position: requested, tag: piece, link: true, quiet: true });
  ring.write(target, part, { position: requested, tag: piece });
  lengths[piece] = length;
  requested += length;
}

function openFile(path: string, flags: number): number {
  ring.open(path, flags);
  const [opened] = ring.wait();
  if (opened === undefined) throw new Error(`the open of ${path} was not completed`);
  return orExit(() => opened.check("open"), `Cannot open ${path}`);
}
