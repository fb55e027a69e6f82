import { fileURLToPath } from "node:url";

/** The root of the repository: this file is `dist/bench/places.js` when it runs. */
const ROOT = new URL("../../", import.meta.url);

/** A path in the repository. */
export function inRepository(path: string): string {
  return fileURLToPath(new URL(path, ROOT));
}

/** The compiled form of a program of the benchmark: `peers/node-net`. */
export function compiled(program: string): string {
  return inRepository(`dist/bench/${program}.js`);
}

/** A path in the folder for built programs and new results; not committed. */
export function inOut(name: string): string {
  return inRepository(`bench/out/${name}`);
}
