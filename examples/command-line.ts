/**
 * Arguments and failures of the examples: a wrong argument ends a program with one line and exit code 2, and a start that
 * fails, as with a port that is in use, with one line and exit code 1.
 */
import process from "node:process";

const MAX_PORT = 65_535;

/** A number on the command line. */
interface NumberArgument {
  /** The position of the argument: 1 is the first. */
  readonly at: number;
  /** The value if the argument is omitted. */
  readonly default: number;
  readonly least: number;
  readonly most?: number;
}

/** Returns an argument that is a number. */
export function numberArgument({ at, default: missing, least, most }: NumberArgument): number {
  const text = process.argv[at + 1];
  if (text === undefined) return missing;
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= (most ?? Number.MAX_SAFE_INTEGER)) return number;
  const range = most === undefined ? `from ${least} up` : `from ${least} to ${most}`;
  return exit(2, `Cannot use ${JSON.stringify(text)}: give an integer ${range}`);
}

/** Returns the port, which is the first argument. */
export function portArgument(missing: number, least: 0 | 1 = 0): number {
  return numberArgument({ at: 1, default: missing, least, most: MAX_PORT });
}

/** Returns an argument that is one of `words`; the first of them if it is omitted. */
export function wordArgument<Word extends string>(
  at: number,
  words: readonly [Word, ...Word[]],
): Word {
  const [first] = words;
  const text = process.argv[at + 1] ?? first;
  const found = words.find((word) => word === text);
  return found ?? exit(2, `Cannot use ${JSON.stringify(text)}: give ${words.join(", ")}`);
}

/** Returns the result of `start`, and ends the program with one line if it fails. */
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

/** Ends the program with one line on standard error. */
export function exit(code: 1 | 2, line: string): never {
  console.error(line);
  process.exit(code);
}
