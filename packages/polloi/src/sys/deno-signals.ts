// The part of Deno that is used. Its own types would have to be installed under Node and Bun too.
interface DenoSignals {
  addSignalListener(signal: "SIGWINCH", listener: () => void): void;
  removeSignalListener(signal: "SIGWINCH", listener: () => void): void;
}

/**
 * Has Deno set up its signal handlers now.
 *
 * It does so when the main module has been evaluated, or when the first listener is added: it opens a pair of
 * sockets, which panics if there is no descriptor left, and takes SIGINT, SIGTERM and SIGHUP.
 */
export function openDenoSignals(): void {
  const deno = (globalThis as unknown as { Deno: DenoSignals }).Deno;
  const listener = () => {};
  deno.addSignalListener("SIGWINCH", listener);
  deno.removeSignalListener("SIGWINCH", listener);
}
