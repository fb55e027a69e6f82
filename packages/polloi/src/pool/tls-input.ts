/** Options of TLS as a pre-forked process receives them: as JSON. */
import { show, typeError } from "../base/misuse.ts";
import type { Kernel } from "../sys/kernel.ts";
import { randomBytes } from "../sys/random.ts";
import { TICKET_KEYS_BYTES, type TlsServerOptions } from "../tls/options.ts";

/** {@link TlsServerOptions} as JSON. */
export interface TlsInput {
  readonly options: Omit<TlsServerOptions, "ticketKeys">;
  /** In hexadecimal. The processes of a server have the same, so that each resumes the sessions of the others. */
  readonly ticketKeys: string;
}

/** @throws TypeError `ERR_INVALID_OPTION` for a function, which another process cannot call. */
export function tlsInputOf(kernel: Kernel, options: TlsServerOptions): TlsInput {
  const { ticketKeys = randomBytes(kernel, TICKET_KEYS_BYTES), ...others } = options;
  for (const [name, value] of Object.entries(others)) {
    if (typeof value !== "function") continue;
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${show(value)} as tls.${name} with the model "prefork": its processes cannot call it`,
    );
  }
  return {
    // All bytes in them are PEM text.
    options: withText(others) as Omit<TlsServerOptions, "ticketKeys">,
    ticketKeys: Buffer.from(ticketKeys).toString("hex"),
  };
}

/** The options in a process. */
export function tlsOptionsOf({ options, ticketKeys }: TlsInput): TlsServerOptions {
  return { ...options, ticketKeys: Buffer.from(ticketKeys, "hex") };
}

function withText(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  if (Array.isArray(value)) return value.map(withText);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withText(each)]));
}
