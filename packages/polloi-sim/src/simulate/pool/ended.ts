/** A simulated process has ended: thrown through the code that ran in it. */
export class ProcessEnded extends Error {
  override readonly name = "ProcessEnded";
}
