import { errnoCode } from "./errno.ts";

/** What is known of a failed call beside its error number. */
export interface SysErrorDetails {
  /** The address that was bound, listened on or connected to: an IP address or a socket's path. */
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  readonly fd?: number | undefined;
  /** What a person can do about it, in one sentence. */
  readonly hint?: string | undefined;
}

/**
 * A call to the kernel that failed.
 *
 * @remarks
 * The shape and the message are those of Node's system errors, so that whoever handles Node's can
 * handle these: `connect ECONNREFUSED 127.0.0.1:80`. As in Node, `errno` is negative.
 */
export class SysError extends Error {
  override readonly name = "SysError";
  /** The error's name: `"ECONNREFUSED"`. */
  readonly code: string;
  /** The error's number, negative as in Node: `-111`. */
  readonly errno: number;
  /** The call that failed: `"connect"`. */
  readonly syscall: string;
  declare readonly address?: string;
  declare readonly port?: number;
  declare readonly fd?: number;
  declare readonly hint?: string;

  /** @param errno - The error number, of either sign. */
  constructor(syscall: string, errno: number, details: SysErrorDetails = {}) {
    const code = errnoCode(Math.abs(errno));
    super(describe(syscall, code, details));
    this.code = code;
    this.errno = -Math.abs(errno);
    this.syscall = syscall;
    // Only what is known becomes a property, so that an error prints without a row of undefined.
    for (const [key, value] of Object.entries(details)) {
      if (value !== undefined) Object.defineProperty(this, key, { value, enumerable: true });
    }
  }
}

function describe(syscall: string, code: string, { address, port, fd }: SysErrorDetails): string {
  const message = `${syscall} ${code}`;
  if (address !== undefined) {
    if (port === undefined) return `${message} ${address}`;
    return `${message} ${address.includes(":") ? `[${address}]` : address}:${port}`;
  }
  return fd === undefined ? message : `${message} fd ${fd}`;
}

/**
 * `result` when a call succeeded, and a thrown {@link SysError} when it did not.
 *
 * @param result - What a {@link Libc} call returned: `>= 0`, or `-errno`.
 * @throws SysError when `result` is negative.
 */
export function check(result: number, syscall: string, details?: SysErrorDetails): number {
  if (result < 0) throw new SysError(syscall, result, details);
  return result;
}
