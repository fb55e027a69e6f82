/** What all ways to connect have in common if a name has several addresses. Source: RFC 8305, "Happy Eyeballs". */
import { familyOf, type SocketAddress } from "./address.ts";

/**
 * The time after which the next address is tried, while the ones before it neither accept nor refuse. The recommendation
 * of RFC 8305 section 5.
 */
export const ATTEMPT_DELAY_MS = 250;

/** Addresses in the order in which to try them: the families alternate, beginning with that of the first address. */
export function interleaved<Address extends SocketAddress>(
  addresses: readonly Address[],
): Address[] {
  const [first] = addresses;
  if (first === undefined) return [];
  const family = familyOf(first);
  const same = addresses.filter((address) => familyOf(address) === family);
  const others = addresses.filter((address) => familyOf(address) !== family);
  const ordered: Address[] = [];
  for (let i = 0; i < Math.max(same.length, others.length); i++) {
    ordered.push(...same.slice(i, i + 1), ...others.slice(i, i + 1));
  }
  return ordered;
}

/**
 * The error of a connect of which every attempt has failed.
 *
 * @param errors - Those of the attempts: at least one.
 * @param what - The name that has the addresses.
 * @param code - The code of an error of several. Default: that of the first.
 */
export function connectError(errors: readonly Error[], what: string, code?: string): Error {
  const [first] = errors as [Error & { code?: string }];
  if (errors.length === 1) return first;
  const reasons = errors.map(({ message }) => message).join("; ");
  const error = new AggregateError(errors, `Cannot connect to ${what}: ${reasons}`);
  return Object.assign(error, { code: code ?? first.code });
}
