/**
 * Closes descriptors whose owner was garbage-collected without `close()`, and warns, as Node does for a FileHandle.
 *
 * The garbage collector may do so late or never, so a program must not rely on it.
 */

/** The facts about an owner that are kept. A reference to the owner would keep it alive. */
interface Abandoned {
  readonly name: string;
  readonly fd: number | undefined;
  close(): void;
}

const registry = new FinalizationRegistry<Abandoned>(({ name, fd, close }) => {
  const what = fd === undefined ? name : `fd ${fd} of the ${name}`;
  process.emitWarning(
    `Closing ${what}, which was garbage-collected without close(); close it, or declare it with using`,
    "PolloiWarning",
  );
  close();
});

/**
 * Calls `close` if `owner` is garbage-collected before {@link unguard}.
 *
 * @param fd - The descriptor that the warning names.
 * @param close - Must not refer to `owner`.
 * @returns The argument for {@link unguard}.
 */
export function guard(owner: object, fd: number | undefined, close: () => void): object {
  const abandoned: Abandoned = { name: owner.constructor.name, fd, close };
  registry.register(owner, abandoned, abandoned);
  return abandoned;
}

/** Ends the guard: the owner was closed, or no longer owns its descriptor. */
export function unguard(guarded: object): void {
  registry.unregister(guarded);
}
