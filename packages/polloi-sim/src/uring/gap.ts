/**
 * Reports that a program needs something of io_uring that the simulation does not have.
 *
 * @throws Error - Always: it is a gap of the simulation, and not an error that a program should handle.
 */
export function gap(what: string): never {
  throw new Error(`The simulated kernel has no ${what} in io_uring`);
}
