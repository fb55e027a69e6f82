/** What happened, in the words of a person; the code follows in brackets. */
const WORDS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EADDRINUSE: "the address is in use",
  EADDRNOTAVAIL: "no such address here",
  EAI_AGAIN: "the name could not be looked up",
  EAFNOSUPPORT: "no such kind of address here",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the peer reset the connection",
  EHOSTUNREACH: "the host cannot be reached",
  EMFILE: "too many open descriptors",
  ENETUNREACH: "the network cannot be reached",
  ENFILE: "too many open files on this machine",
  ENOENT: "no such file",
  ENOTDIR: "not a directory",
  ENOTFOUND: "no such host",
  HTTP_INVALID: "what came is no HTTP response",
  NO_ANSWER: "nothing came in time",
  PEER_CLOSED: "the server ended the connection",
  EPIPE: "the peer has closed the connection",
  ETIMEDOUT: "timed out",
};

/** A code in words, where there are any. */
export function wordsFor(code: string): string | undefined {
  return WORDS[code];
}

/** An error of the system, of the resolver or of the library: what of it matters to a person. */
interface Failure {
  readonly message: string;
  readonly code?: unknown;
  readonly hint?: unknown;
}

/** One line that says what could not be done and why. */
export function failureLine(what: string, error: unknown): string {
  const { message, code } = error as Failure;
  const words = typeof code === "string" ? WORDS[code] : undefined;
  const why =
    words === undefined ? (message ?? String(error)).split("\n")[0] : `${words} (${code})`;
  return `polloi: ${what}: ${why}\n`;
}

/** One line that says why an engine does not work here: its hint has the cause and the cure in it. */
export function engineFailureLine(engine: string, error: unknown): string {
  const { hint } = error as Failure;
  const what = `cannot use the engine ${engine}`;
  return typeof hint === "string" ? `polloi: ${what}: ${hint}\n` : failureLine(what, error);
}

/** The line that says what to do about it, or nothing. */
export function hintLine(error: unknown): string {
  const { hint } = error as Failure;
  return typeof hint === "string" ? `hint: ${hint}\n` : "";
}

/** Whether it was the command line that asked for what there is not, rather than the system that refused. */
export function isMisuse(error: unknown): error is Error {
  return /^ERR_INVALID_/.test(String((error as Failure).code));
}
