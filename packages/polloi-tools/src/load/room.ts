import { ERRNO, SysError } from "polloi";
import { type Kernel, openDescriptors, raiseDescriptorLimit } from "polloi/internal";

/** For what a runtime, an engine or the output may open meanwhile; and for each worker. */
const SPARE = 64;
const PER_WORKER = 32;

/**
 * Makes room for the descriptors of a load: raises the soft limit as far as it takes.
 *
 * @throws SysError `EMFILE` when the hard limit has no room for them.
 */
export function makeRoom(kernel: Kernel, connections: number, workers: number): void {
  const wanted = openDescriptors() + connections + SPARE + PER_WORKER * workers;
  const limit = raiseDescriptorLimit(kernel, wanted);
  if (limit >= wanted) return;
  const hint =
    `${connections} connections need ${wanted} descriptors, and the hard limit is ${limit}: ` +
    `raise it (ulimit -Hn ${wanted}), or ask for ${Math.max(0, limit - wanted + connections)}`;
  throw new SysError("setrlimit", ERRNO.EMFILE, { hint });
}
