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
  const numbered = new Map<number, Native>();
  for (const group of groups) {
    for (const [number, call] of Object.entries(group.numbered ?? {})) {
      numbered.set(Number(number), call);
    }
  }
  const calls: Partial<Libc> = {
    syscall: (number, a, b, c, d, e, f) =>
      numbered.get(number)?.(a, b, c, d, e, f) ?? -ERRNO.ENOSYS,
  };
  for (const group of groups) Object.assign(calls, group.calls);
  const libc: Partial<Libc> = {};
  for (const name of NAMES) libc[name] = checked(name, calls[name], before);
  return libc as Libc;
}

const NAMES = Object.keys(SIGNATURES) as (keyof Libc)[];

/** A call that first lets happen what is due. Arguments are passed by name, because a rest parameter is an array. */
function checked(name: keyof Libc, call: Native | undefined, before: () => void): Native {
  if (call === undefined) {
    return () => {
      throw new Error(`The simulated kernel has no call ${name}`);
    };
  }
  switch (SIGNATURES[name].args.length) {
    case 1:
      return (a = 0) => {
        before();
        return call(a);
      };
    case 2:
      return (a = 0, b = 0) => {
        before();
        return call(a, b);
      };
    case 3:
      return (a = 0, b = 0, c = 0) => {
        before();
        return call(a, b, c);
      };
    case 4:
      return (a = 0, b = 0, c = 0, d = 0) => {
        before();
        return call(a, b, c, d);
      };
    default:
      return (a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0) => {
        before();
        return call(a, b, c, d, e, f, g);
      };
  }
}
