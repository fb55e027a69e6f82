/** Paths: open, openat2, unlink and statx in a small tree of files, and duplicates of descriptors. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import {
  AT_EMPTY_PATH,
  AT_SYMLINK_NOFOLLOW,
  F_GETFD,
  F_GETFL,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_WRONLY,
  OPEN_HOW_SIZE,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  STATX,
  SYS,
} from "../../../../polloi/src/sys/abi.ts";
import { O_EXCL, O_RDWR, O_TRUNC, RESOLVE_NO_SYMLINKS } from "../../../src/process/abi.ts";
import { handleOf, type Numbers, type Operation } from "../program.ts";
import { AT_NAME, AT_STRUCT, type Side } from "../side.ts";

/** The files of the tree: a directory, the target of a link, or the content of a regular file. */
const TREE: Readonly<Record<string, "directory" | { target: string } | { content: string }>> = {
  folder: "directory",
  file: { content: "hello" },
  "folder/file": { content: "x" },
  link: { target: "file" },
  loop: { target: "loop" },
  nowhere: { target: "none" },
  "folder/up": { target: "../file" },
  "folder/out": { target: "../../.." },
  "folder/link": { target: "../folder" },
};

const NAMES: readonly string[] = [
  ...Object.keys(TREE),
  "",
  ".",
  "..",
  "none",
  "new",
  "none/file",
  "file/",
  "file/x",
  "link/",
  "folder/",
  "folder/new",
  "folder/..",
  "folder/link/file",
  "folder/link/../link",
  "folder/../../outside",
  "new/",
  "a".repeat(256),
];

const FLAGS: Numbers = [
  0,
  0,
  O_WRONLY,
  O_RDWR,
  O_CREAT,
  O_CREAT | O_WRONLY,
  O_CREAT | O_EXCL,
  O_CREAT | O_RDWR | O_TRUNC,
  O_WRONLY | O_APPEND,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_DIRECTORY | O_NOFOLLOW,
  O_PATH,
  O_PATH | O_NOFOLLOW,
];
const BENEATH_FLAGS: Numbers = [0, 0, O_PATH, O_PATH | O_NOFOLLOW, O_DIRECTORY, O_WRONLY];
const RESOLVE: Numbers = [
  RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
  RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  0,
];

const AT_HOW = AT_STRUCT + 1024;
const AT_STATX = AT_STRUCT + 2048;

/** The tree is in a directory of its own, because paths lead out of it. */
const TREE_PARENT = `${tmpdir()}/polloi-differential-${process.pid}`;

/** Returns the path of the tree of a program, which the first use makes. */
function treeOf(side: Side): string {
  if (side.tree !== "") return side.tree;
  side.tree = `${TREE_PARENT}/tree`;
  const { files } = side;
  for (const [name, node] of Object.entries(TREE)) {
    const path = `${side.tree}/${name}`;
    if (node === "directory") {
      if (files === undefined) mkdirSync(path, { recursive: true });
      else files.addDirectory(path);
    } else if ("target" in node) {
      if (files === undefined) symlinkSync(node.target, path);
      else files.addLink(path, node.target);
    } else if (files === undefined) writeFileSync(path, node.content);
    else files.addFile(path, node.content);
  }
  return side.tree;
}

/** Removes the tree of a program from the real machine. */
export function removeTree({ files, tree }: Side): void {
  if (tree !== "" && files === undefined) rmSync(TREE_PARENT, { recursive: true, force: true });
}

/** Writes a path into the memory, and returns its address. */
function pathAt({ memory }: Side, path: string): number {
  memory.u8.set(new TextEncoder().encode(`${path}\0`), AT_NAME);
  return memory.address + AT_NAME;
}

/** The tree as a directory, for calls that take a path relative to one. */
function rooted<T>(side: Side, use: (fd: number) => T): T {
  const flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  const fd = side.libc.open(pathAt(side, treeOf(side)), flags, 0);
  try {
    return use(fd);
  } finally {
    side.libc.close(fd);
  }
}

const nameOf = (index: number | undefined): string => NAMES[index ?? 0] ?? "";

/** The type of a file and, for a regular one, its size. */
function statx(side: Side, fd: number, path: string, flags: number): number[] {
  const { libc, memory } = side;
  const address = memory.address + AT_STATX;
  const result = libc.syscall(SYS.statx, fd, pathAt(side, path), flags, 0x7ff, address, 0);
  if (result < 0) return [result];
  const type = memory.view.getUint16(AT_STATX + STATX.mode, true) & S_IFMT;
  const isSized = type !== S_IFDIR && type !== S_IFLNK;
  return [result, type, isSized ? memory.getWord(AT_STATX + STATX.length) : 0];
}

export const PATH_OPERATIONS: readonly Operation[] = [
  {
    name: "open path",
    weight: 3,
    choose({ choices }) {
      return { numbers: [choices.below(NAMES.length), choices.pick(FLAGS)], makes: ["file"] };
    },
    run(side, call) {
      const [name, flags = 0] = call.numbers;
      const path = pathAt(side, `${treeOf(side)}/${nameOf(name)}`);
      const fd = side.libc.open(path, flags | O_NONBLOCK | O_CLOEXEC, 0o600);
      return [side.keep(handleOf(call, 0), fd), fd < 0 ? 0 : side.libc.fcntl(fd, F_GETFL, 0)];
    },
  },
  {
    name: "openat2",
    weight: 2,
    choose({ choices }) {
      const numbers = [choices.below(NAMES.length), choices.pick(BENEATH_FLAGS)];
      return { numbers: [...numbers, choices.pick(RESOLVE)], makes: ["file"] };
    },
    run(side, call) {
      const [name, flags = 0, resolve = 0] = call.numbers;
      const { libc, memory } = side;
      const fd = rooted(side, (root) => {
        const words = [flags | O_CLOEXEC | ((flags & O_PATH) === 0 ? O_NONBLOCK : 0), 0, resolve];
        for (const [i, word] of words.entries()) memory.setWord(AT_HOW + 8 * i, word);
        const [path, how] = [pathAt(side, nameOf(name)), memory.address + AT_HOW];
        return libc.syscall(SYS.openat2, root, path, how, OPEN_HOW_SIZE, 0, 0);
      });
      return [side.keep(handleOf(call, 0), fd)];
    },
  },
  {
    name: "unlink",
    weight: 1,
    choose: ({ choices }) => ({ numbers: [choices.below(NAMES.length)] }),
    run(side, { numbers }) {
      const name = nameOf(numbers[0]);
      return [side.libc.unlink(pathAt(side, `${treeOf(side)}/${name}`))];
    },
  },
  {
    name: "statx path",
    weight: 1,
    choose({ choices }) {
      const flags = choices.pick([0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH]);
      return { numbers: [choices.below(NAMES.length), flags] };
    },
    run: (side, { numbers: [name, flags = 0] }) =>
      rooted(side, (root) => statx(side, root, nameOf(name), flags)),
  },
  {
    name: "statx",
    weight: 1,
    choose(sketch) {
      const handle = sketch.any();
      return handle === undefined ? undefined : { on: [handle] };
    },
    run: (side, { on }) => statx(side, side.fd(on[0] ?? 0), "", AT_EMPTY_PATH),
  },
  {
    name: "dup3",
    weight: 1,
    choose(sketch) {
      // The memory of a ring outlasts its descriptor.
      const [from, to] = [sketch.anyButRing(), sketch.anyButRing()];
      if (from === undefined || to === undefined) return undefined;
      to.kind = from.kind;
      return {
        on: [from.handle, to.handle],
        numbers: [sketch.choices.pick([0, O_CLOEXEC, O_NONBLOCK])],
      };
    },
    run(side, { on, numbers }) {
      const [from, to] = [side.fd(on[0] ?? 0), side.fd(on[1] ?? 0)];
      const result = side.libc.dup3(from, to, numbers[0] ?? 0);
      if (result < 0) return [result];
      return [0, side.libc.fcntl(to, F_GETFD, 0), side.libc.fcntl(to, F_GETFL, 0)];
    },
  },
];
