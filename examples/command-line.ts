/**
 * What the examples share: a wrong argument ends a program with one line and exit code 2, and a start that fails, as
 * with a port that is taken, with one line and exit code 1.
 */
import process from "node:process";

const MAX_PORT = 65_535;

/** A number on the command line. */
interface NumberArgument {
  /** Which argument: 1 is the first. */
  readonly at: number;
  /** What it is when it is left out. */
  readonly usual: number;
  readonly least: number;
  readonly most?: number;
}

/** The number that an argument is. */
export function numberArgument({ at, usual, least, most }: NumberArgument): number {
  const text = process.argv[at + 1];
  if (text === undefined) return usual;
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= (most ?? Number.MAX_SAFE_INTEGER)) return number;
  const range = most === undefined ? `from ${least} up` : `from ${least} to ${most}`;
  return exit(2, `Cannot use ${JSON.stringify(text)}: give an integer ${range}`);
}

/** The port that the first argument is. */
export function portArgument(usual: number, least: 0 | 1 = 0): number {
  return numberArgument({ at: 1, usual, least, most: MAX_PORT });
}

/** The word that an argument is: one of a few, the first when it is left out. */
export function wordArgument<Word extends string>(
  at: number,
  words: readonly [Word, ...Word[]],
): Word {
  const [first] = words;
  const text = process.argv[at + 1] ?? first;
  const found = words.find((word) => word === text);
  return found ?? exit(2, `Cannot use ${JSON.stringify(text)}: give ${words.join(", ")}`);
}

/** Does something that may fail for reasons that only the user can change, and returns its result. */
export function orExit<T>(start: () => T, what = "Cannot start"): T {
  const fail = (error: unknown): never => {
    const { message, hint } = error as Error & { hint?: string };
    return exit(1, `${what}: ${hint === undefined ? message : `${message}: ${hint}`}`);
  };
  try {
    const result = start();
    return result instanceof Promise ? (result.catch(fail) as T) : result;
  } catch (error) {
    return fail(error);
  }
}

/** Ends the program with one line to standard error. */
export function exit(code: 1 | 2, line: string): never {
  console.error(line);
  process.exit(code);
}
