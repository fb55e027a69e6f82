/**
 * Copies a file through an io_uring: eight pieces at a time, each a read with a write linked to it, all of
 * them in one call. The call returns when the first are done; their places are used for the next.
 *
 *     node dist/examples/13-uring-copy-file.js FROM TO
 *
 * Follows no text: those end at epoll, which cannot wait for a file. Points to get right:
 * - A link ends when its read comes short, so the last piece is asked for with the length that is left.
 * - A write that comes short means that the disk is full, and a read that the file has become shorter:
 *   neither is to be counted as a piece.
 * - Memory is the kernel's until the completion is there: each piece has its own.
 * - A file that is opened to be written is empty from then on: to copy one to itself would be its end.
 * - Completions come in any order: the tag says whose one is.
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
const there = statSync(to, { throwIfNoEntry: false });
if (there?.ino === ino && there.dev === dev) exit(1, `Cannot copy ${from} to itself`);
const target = openFile(to, O_WRONLY | O_CREAT | O_TRUNC);
const memory = ring.map(PIECES * PIECE_BYTES);

/** How long each piece is. */
const lengths: number[] = [];
let asked = 0;
let written = 0;
for (let piece = 0; piece < PIECES; piece++) copyNext(piece);
while (written < size) {
  // Of a read only what fails is heard; the writes are.
  for (const completion of ring.wait()) {
    const { tag } = completion;
    const copied = completion.check("copy");
    if (copied !== lengths[tag]) throw new Error(`a piece came short, at ${copied} bytes`);
    written += copied;
    copyNext(tag);
  }
}
ring.fsync(target);
ring.wait()[0]?.check("fsync");
console.log(`copied ${written} bytes`);

function copyNext(piece: number): void {
  const length = Math.min(PIECE_BYTES, size - asked);
  if (length === 0) return;
  const part = memory.part(piece * PIECE_BYTES, length);
  ring.read(source, part, { position: asked, tag: piece, link: true, quiet: true });
  ring.write(target, part, { position: asked, tag: piece });
  lengths[piece] = length;
  asked += length;
}

function openFile(path: string, flags: number): number {
  ring.open(path, flags);
  const [opened] = ring.wait();
  if (opened === undefined) throw new Error(`nothing was heard of ${path}`);
  return orExit(() => opened.check("open"), `Cannot open ${path}`);
}
