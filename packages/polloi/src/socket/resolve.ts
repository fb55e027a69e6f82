import { type NamesOf, optionsOf, stringOf } from "../base/argument.ts";
import { checkIpFamily, type InetAddress, portOf } from "./address.ts";
import { AF_INET, AF_INET6 } from "./constants.ts";
import { ipVersion } from "./ip.ts";

/** Options of {@link resolve}. */
export interface ResolveOptions {
  /** AF_INET or AF_INET6. Default: both. */
  readonly family?: typeof AF_INET | typeof AF_INET6 | undefined;
  /** The port of the addresses. Default 0. */
  readonly port?: number | undefined;
}

const RESOLVE_OPTIONS: NamesOf<ResolveOptions> = { family: true, port: true };

/** The error of a name that cannot be resolved. It has Node's format: `getaddrinfo ENOTFOUND no-such.example`. */
export class ResolveError extends Error {
  override readonly name = "ResolveError";
  /** `ENOTFOUND`: the name does not exist, or has no address. `EAI_AGAIN`: no answer; try again. */
  readonly code: string;
  readonly syscall = "getaddrinfo";
  readonly hostname: string;
  readonly hint: string;

  constructor(hostname: string, code: string, cause?: unknown) {
    super(`getaddrinfo ${code} ${hostname}`, { cause });
    this.code = code;
    this.hostname = hostname;
    this.hint =
      code === "EAI_AGAIN"
        ? "no name server answered: check the network and /etc/resolv.conf"
        : "check the spelling, or add the name to /etc/hosts";
  }
}

/**
 * Resolves a name.
 *
 * @remarks
 * Uses the resolver of the runtime, which is that of the system (`getaddrinfo`), without blocking the thread. An IP
 * address is returned without a lookup.
 *
 * @param host - A name or an IP address. `""` is the wildcard address.
 * @returns The addresses in the order in which to try them: at least one, each once.
 * @throws ResolveError with the code `ENOTFOUND` or `EAI_AGAIN`; TypeError or RangeError `ERR_INVALID_ADDRESS`,
 * `ERR_INVALID_PORT`, `ERR_INVALID_OPTION`. All as a rejection.
 * @example
 * ```ts
 * const [address] = await resolve("localhost", { port: 7788 });
 * ```
 * @source getaddrinfo(3)
 */
export async function resolve(
  host: string,
  options: ResolveOptions = {},
): Promise<[InetAddress, ...InetAddress[]]> {
  const { family, port = 0 } = optionsOf(options, "resolve()", RESOLVE_OPTIONS);
  portOf(port);
  checkIpFamily(family);
  stringOf(host, "a host", "ERR_INVALID_ADDRESS");
  const literal = ipVersion(host.split("%", 1)[0] as string);
  if (literal !== 0) {
    const found = literal === 6 ? AF_INET6 : AF_INET;
    if (family !== undefined && family !== found) throw new ResolveError(host, "ENOTFOUND");
    return [{ address: host, port, family: found }];
  }
  if (host === "") return [{ address: "", port, family: family ?? AF_INET }];
  const asked = family === undefined ? 0 : family === AF_INET6 ? 6 : 4;
  const [first, ...rest] = await look(host, asked);
  if (first === undefined) throw new ResolveError(host, "ENOTFOUND");
  const toAddress = ({ address }: { address: string }): InetAddress => ({
    address,
    port,
    family: address.includes(":") ? AF_INET6 : AF_INET,
  });
  return [toAddress(first), ...rest.map(toAddress)];
}

async function look(host: string, family: number): Promise<readonly { address: string }[]> {
  try {
    // Few programs need it, and importing it takes a part of the start of a process.
    const { lookup } = await import("node:dns/promises");
    const found = await lookup(host, { all: true, family });
    // On some systems getaddrinfo returns an address once for each socket type.
    return found.filter(({ address }, i) => i === found.findIndex((f) => f.address === address));
  } catch (cause) {
    // Bun sometimes has the code DNS_ENOTFOUND.
    const code = String((cause as { code?: unknown }).code ?? "ENOTFOUND").replace(/^DNS_/, "");
    throw new ResolveError(host, code, cause);
  }
}
