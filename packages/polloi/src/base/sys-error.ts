import { errnoCode } from "./errno.ts";

/** Details of a failed call. */
export interface SysErrorDetails {
  /** The address of the socket or of its peer: an IP address or a path. */
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  readonly fd?: number | undefined;
  /** One sentence that says how to solve the problem. */
  readonly hint?: string | undefined;
}

/**
 * A system call failed.
 *
 * @remarks
 * Properties and message are those of Node's system errors, such as `connect ECONNREFUSED 127.0.0.1:80`, so that the
 * same code can handle both. As in Node, `errno` is negative.
 */
export class SysError extends Error {
  override readonly name = "SysError";
  /** The name of the error, such as `"ECONNREFUSED"`. */
  readonly code: string;
  /** The error number, negative as in Node: `-111`. */
  readonly errno: number;
  /** The call that failed, such as `"connect"`. */
  readonly syscall: string;
  declare readonly address?: string;
  declare readonly port?: number;
  declare readonly fd?: number;
  declare readonly hint?: string;

  /** @param errno - The error number, positive or negative. */
  constructor(syscall: string, errno: number, details: SysErrorDetails = {}) {
    const code = errnoCode(Math.abs(errno));
    super(describe(syscall, code, details));
    this.code = code;
    this.errno = -Math.abs(errno);
    this.syscall = syscall;
    // Undefined details become no properties, so that they do not print.
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
 * Returns the result of a call that succeeded.
 *
 * @param result - The result of a {@link Libc} call: `>= 0`, or `-errno`.
 * @throws SysError when `result` is negative.
 */
export function check(result: number, syscall: string, details?: SysErrorDetails): number {
  if (result < 0) throw new SysError(syscall, result, details);
  return result;
}
