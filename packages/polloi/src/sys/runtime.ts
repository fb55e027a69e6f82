import { versions } from "node:process";

/** What can be said of the runtime without calling anything through its foreign-function interface. */
export interface RuntimeFacts {
  /** Its name and version as people write them: `"Node 20.20.2"`. */
  readonly title: string;
  /** The foreign-function interface through which libc is called there. */
  readonly ffi: string;
}

/** The runtime that this is. */
export function runtimeFacts(): RuntimeFacts {
  const { bun, deno, node } = versions;
  if (bun !== undefined) return { title: `Bun ${bun}`, ffi: "bun:ffi" };
  if (deno !== undefined) return { title: `Deno ${deno}`, ffi: "Deno.dlopen" };
  return { title: `Node ${node}`, ffi: "koffi" };
}
