import { fileURLToPath } from "node:url";

/** This file is `dist/bench/places.js` when it runs, so the repository is two floors up. */
const ROOT = new URL("../../", import.meta.url);

/** A path in the repository. */
export function inRepository(path: string): string {
  return fileURLToPath(new URL(path, ROOT));
}

/** The compiled form of a program of the bench: `peers/node-net`. */
export function compiled(program: string): string {
  return inRepository(`dist/bench/${program}.js`);
}

/** Where built binaries and fresh results go; not committed. */
export function inOut(name: string): string {
  return inRepository(`bench/out/${name}`);
}
