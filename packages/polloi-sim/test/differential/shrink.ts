import type { Program } from "./program.ts";

/** Removes calls as long as the program still fails. @param fails - Whether a program does. */
export function shrunk(program: Program, fails: (smaller: Program) => boolean): Program {
  let smallest = program;
  for (let size = Math.ceil(program.calls.length / 2); size >= 1; ) {
    let hasShrunk = false;
    for (let at = smallest.calls.length - size; at >= 0; at -= size) {
      const calls = smallest.calls.toSpliced(at, size);
      const smaller = { ...smallest, calls };
      if (calls.length === 0 || !fails(smaller)) continue;
      smallest = smaller;
      hasShrunk = true;
    }
    if (size === 1 && !hasShrunk) break;
    size = size === 1 ? 1 : Math.ceil(size / 2);
  }
  return smallest;
}
