/**
 * Descriptors whose owner was garbage-collected without having been closed.
 *
 * As Node does for a FileHandle: they are closed, and a warning says so. When that happens is the garbage
 * collector's to decide, and it may be never, so a program must not rely on it.
 */

/** What is known of an owner that is gone. It must not lead to the owner, which would then never go. */
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
 * Has `close` called when `owner` is garbage-collected before {@link unguard}.
 *
 * @param fd - For the warning.
 * @param close - Must not lead to `owner`.
 * @returns What {@link unguard} takes.
 */
export function guard(owner: object, fd: number | undefined, close: () => void): object {
  const abandoned: Abandoned = { name: owner.constructor.name, fd, close };
  registry.register(owner, abandoned, abandoned);
  return abandoned;
}

/** The owner was closed, or has given its descriptor away. */
export function unguard(guarded: object): void {
  registry.unregister(guarded);
}
