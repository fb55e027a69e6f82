import { ERRNO, type Libc, type Native, SIGNATURES } from "polloi/internal/pure";

/** Some of the calls of a process. */
export interface CallGroup {
  readonly calls?: Partial<Libc>;
  /** System calls that are made by number. */
  readonly numbered?: Readonly<Record<number, Native>>;
}

/**
 * Makes the calls of a process of groups of them.
 *
 * @remarks
 * A call that no group has throws, because it is a gap of the simulation and not an error that a program should handle.
 *
 * @param before - Called before every call.
 */
export function libcOf(groups: readonly CallGroup[], before: () => void): Libc {
  const numbered: Record<number, Native> = Object.assign(
    {},
    ...groups.map((group) => group.numbered),
  );
  const calls: Partial<Libc> = {
    syscall: (number, ...args) => {
      const call = numbered[number];
      return call === undefined ? -ERRNO.ENOSYS : call(...args);
    },
  };
  Object.assign(calls, ...groups.map((group) => group.calls));
  const entries = (Object.keys(SIGNATURES) as (keyof Libc)[]).map((name) => {
    const call: Native | undefined = calls[name];
    const made: Native = (...args) => {
      if (call === undefined) throw new Error(`The simulated kernel has no call ${name}`);
      before();
      return call(...args);
    };
    return [name, made];
  });
  return Object.fromEntries(entries) as Libc;
}
