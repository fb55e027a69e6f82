import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import process from "node:process";
import type { FileTree } from "../../src/files/file-tree.ts";
import { FileNode } from "../../src/files/nodes.ts";
import { RegularFile } from "../../src/files/opened.ts";
import type { Running } from "../../src/machine/machine.ts";

/** The cases use the program of the runtime as a large file. */
const PROGRAM_BYTES = 96 * 1024 * 1024;

const O_RDWR = 2;
const O_CREAT = 0o100;
/** open(2) of the modes of `fs.openSync`. */
const FLAGS: Readonly<Record<string, number>> = { r: 0, "w+": O_RDWR | O_CREAT };

/**
 * Makes the functions of node:fs use the files of a simulated machine, for the paths that the cases prepare files at, and
 * for the descriptors of the process.
 *
 * @remarks
 * The cases prepare files with node:fs and use them through the kernel. All other paths are those of the real machine.
 */
export function simulateFiles({ process: simulated, kernel }: Running, tree: FileTree): void {
  const own = { ...fs };
  const temporary = `${tmpdir()}/polloi-`;
  const isSimulated = (path: unknown): path is string =>
    typeof path === "string" &&
    (path === tmpdir() ||
      path.startsWith(temporary) ||
      /^\/proc\/self\/(fd|stat|status)\b/.test(path));
  const { pid } = simulated;
  tree.addFile(process.execPath, pattern(PROGRAM_BYTES));
  tree.addFile(
    "/proc/self/stat",
    `${pid} (simulated) S 0 ${pid} ${pid} 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1`,
  );
  tree.addFile("/proc/self/status", "Name:\tsimulated\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n");
  tree.addDirectory(tmpdir());

  let folders = 0;
  /** The descriptors that node:fs has opened. */
  const opened = new Set<number>();
  const nodeAt = (path: string): FileNode => {
    const node = tree.find(path);
    if (!(node instanceof FileNode)) throw missing(path);
    return node;
  };
  const fileOf = (fd: number): RegularFile => {
    const file = simulated.descriptors.get(fd);
    if (!(file instanceof RegularFile)) throw new Error(`Descriptor ${fd} is no regular file`);
    return file;
  };
  const contentOf = (path: string): Buffer => {
    const node = nodeAt(path);
    const bytes = Buffer.alloc(node.size);
    node.read(bytes, 0);
    return bytes;
  };

  const replaced: Record<string, (...args: never[]) => unknown> = {
    mkdtempSync(prefix: string): string {
      const path = `${prefix}${++folders}`;
      tree.addDirectory(path);
      return path;
    },
    writeFileSync(path: string, content: string | Uint8Array, ...rest: never[]): void {
      if (isSimulated(path)) tree.addFile(path, content);
      else own.writeFileSync(path, content, ...rest);
    },
    readFileSync(path: string, options: unknown): unknown {
      if (!isSimulated(path)) return own.readFileSync(path, options as "utf8");
      const content = contentOf(path);
      return options === undefined ? content : content.toString("utf8");
    },
    existsSync: (path: string): boolean =>
      isSimulated(path) ? tree.find(path) !== undefined : own.existsSync(path),
    rmSync(path: string, options: fs.RmOptions): void {
      if (isSimulated(path)) tree.remove(path);
      else own.rmSync(path, options);
    },
    rmdirSync(path: string): void {
      if (isSimulated(path)) tree.remove(path);
      else own.rmdirSync(path);
    },
    openSync(path: string, mode: string, ...rest: never[]): number {
      if (!isSimulated(path)) return own.openSync(path, mode, ...rest);
      const fd = openAt(path, mode);
      opened.add(fd);
      return fd;
    },
    closeSync(fd: number): void {
      if (opened.delete(fd)) simulated.descriptors.close(fd);
      else own.closeSync(fd);
    },
    readSync(fd: number, target: Uint8Array, ...rest: never[]): number {
      return opened.has(fd) ? fileOf(fd).read(target) : own.readSync(fd, target, ...rest);
    },
    writeSync(fd: number, bytes: Uint8Array, offset = 0, ...rest: never[]): number {
      if (!opened.has(fd)) return own.writeSync(fd, bytes, offset, ...rest);
      return fileOf(fd).write(bytes.subarray(offset));
    },
    ftruncateSync(fd: number, length: number): void {
      if (opened.has(fd)) fileOf(fd).node.truncate(length);
      else own.ftruncateSync(fd, length);
    },
    readdirSync(path: string, ...rest: never[]): unknown {
      if (path !== "/proc/self/fd") return own.readdirSync(path, ...rest);
      return simulated.descriptors.list().map(String);
    },
    readlinkSync(path: string, ...rest: never[]): unknown {
      if (!isSimulated(path)) return own.readlinkSync(path, ...rest);
      const file = simulated.descriptors.get(Number(path.split("/").at(-1)));
      if (file === undefined) throw missing(path);
      return file.kind === "socket" || file.kind === "pipe" ? `${file.kind}:[1]` : file.kind;
    },
  };
  Object.assign(fs, replaced);
  syncBuiltinESMExports();

  function openAt(path: string, mode: string): number {
    const flags = FLAGS[mode];
    if (flags === undefined) throw new Error(`A simulated file cannot be opened as ${mode}`);
    const { libc, scratch } = kernel;
    scratch.u8.set(new TextEncoder().encode(`${path}\0`));
    const fd = libc.open(scratch.address, flags, 0o600);
    if (fd < 0) throw missing(path);
    return fd;
  }
}

function missing(path: string): Error {
  return Object.assign(new Error(`ENOENT: no such file: ${path}`), { code: "ENOENT" });
}

/** Bytes that differ from place to place. */
function pattern(length: number): Uint8Array {
  const words = new Uint32Array(length / 4);
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 0x9e37_79b1);
  return new Uint8Array(words.buffer);
}
