/** Exit codes, and the messages about errors. */

/** The command succeeded; a server that was asked to stop has stopped. */
export const EXIT_OK = 0;
/** Something failed: a port in use, a refused connection, a full disk. */
export const EXIT_FAILED = 1;
/** The command line is wrong. */
export const EXIT_USAGE = 2;
/** Ctrl-C ended a measurement, which has printed its partial results, or a server that was starting. */
export const EXIT_INTERRUPTED = 130;
/** The reader of standard output has left: 128 plus the number of SIGPIPE, as a shell reports it. */
export const EXIT_PIPE = 141;

/** The command line asks for something that does not exist. */
export class UsageError extends Error {}

/** Descriptions of error codes. The code follows in parentheses. */
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EADDRINUSE: "the address is in use",
  EADDRNOTAVAIL: "not an address of this machine",
  EAI_AGAIN: "the name could not be looked up",
  EAFNOSUPPORT: "the address family is not supported",
  ECONNABORTED: "the connection was aborted",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the peer reset the connection",
  EDQUOT: "the disk quota is exceeded",
  EFBIG: "the file would be too large",
  EHOSTUNREACH: "the host cannot be reached",
  EIO: "input or output error",
  EISDIR: "it is a directory",
  EMFILE: "too many open descriptors",
  ENETUNREACH: "the network cannot be reached",
  ENFILE: "too many open files on this machine",
  ENAMETOOLONG: "the name is too long",
  ENOENT: "no such file",
  ENOSPC: "no space is left on the device",
  ENOTDIR: "not a directory",
  ENOTFOUND: "no such host",
  HTTP_HEAD_TOO_LARGE: "a response head of more than 256 KiB",
  HTTP_INVALID: "not an HTTP response",
  NO_ANSWER: "no answer in time",
  PEER_CLOSED: "the server closed the connection",
  EPERM: "not permitted",
  EPIPE: "the peer has closed the connection",
  EROFS: "the file system is read-only",
  ETIMEDOUT: "timed out",
};

/** Descriptions of the checks that a certificate may not pass. */
const CERTIFICATE_DESCRIPTIONS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet",
  CERT_REVOKED: "its certificate was revoked",
  CERT_SIGNATURE_FAILURE: "the signature of its certificate is wrong",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is signed by itself",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
  SELF_SIGNED_CERT_IN_CHAIN: "the root of its certificate is not trusted",
  UNABLE_TO_GET_ISSUER_CERT: "the issuer of its certificate is unknown",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the issuer of its certificate is unknown",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the issuer of its certificate is unknown",
};

/** Descriptions of other failures of TLS, where there is no error object with a message. */
const TLS_DESCRIPTIONS: Readonly<Record<string, string>> = {
  ERR_SSL_WRONG_VERSION_NUMBER: "it does not use TLS on this port",
  ERR_TLS_HANDSHAKE_TIMEOUT: "no TLS handshake in time",
  ERR_TLS_TRUNCATED: "the connection ended without the end of TLS",
};

/** Whether a connection failed because the certificate of the server was not accepted. */
export function isCertificateCode(code: string): boolean {
  return Object.hasOwn(CERTIFICATE_DESCRIPTIONS, code);
}

/** The description of a code, if there is one. */
export function describeCode(code: string): string | undefined {
  return DESCRIPTIONS[code] ?? CERTIFICATE_DESCRIPTIONS[code] ?? TLS_DESCRIPTIONS[code];
}

/** The relevant properties of errors of the system, the resolver and the library. */
interface Failure {
  readonly message: string;
  readonly code?: unknown;
  readonly hint?: unknown;
  readonly port?: unknown;
}

/** One line that says what failed and why. */
export function errorLine(what: string, error: unknown): string {
  const { message, code } = error as Failure;
  const description = typeof code === "string" ? DESCRIPTIONS[code] : undefined;
  const why =
    description === undefined
      ? (message ?? String(error)).split("\n")[0]
      : `${description} (${code})`;
  return `polloi: ${what}: ${why}\n`;
}

/** One line that says why an engine does not work here. The hint contains the cause and the remedy. */
export function engineErrorLine(engine: string, error: unknown): string {
  const { hint } = error as Failure;
  const what = `cannot use the engine ${engine}`;
  return typeof hint === "string" ? `polloi: ${what}: ${hint}\n` : errorLine(what, error);
}

/** Replacements for hints of the library that name its options instead of flags. */
const HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE:
    "another process listens there: stop it (ss -ltnp shows it), or use another port (--port 0 picks a free one)",
};

/** One line with the remedy; empty when the error has none. */
export function hintLine(error: unknown): string {
  const { hint, code, port } = error as Failure;
  // Without a port the address is a unix socket, whose hint names no option.
  const ours = port === undefined ? undefined : HINTS[String(code)];
  const text = ours ?? hint;
  return typeof text === "string" ? `hint: ${text}\n` : "";
}

/** Whether an error is about the arguments of a call, and so about the command line. */
export function isMisuse(error: unknown): error is Error {
  return /^ERR_INVALID_/.test(String((error as Failure).code));
}

/** Parts of messages of the library, and what the command line says instead: it has flags and no options. */
const WORDINGS: readonly (readonly [RegExp, string])[] = [
  [/^Cannot /, "cannot "],
  [/\bsizeBytes\b/g, "--size"],
  [/\bdurationMs\b/g, "--duration"],
  [/\bthinkMs\b/g, "--think"],
  [/leave trigger at "level"$/, "give --trigger level"],
  [/it has no trigger; leave it out$/, "it has no trigger; leave out --trigger"],
];

/** One line for an error about the arguments of a call. */
export function misuseLine({ message }: Error): string {
  const text = WORDINGS.reduce((said, [part, instead]) => said.replace(part, instead), message);
  return `polloi: ${text}\n`;
}
