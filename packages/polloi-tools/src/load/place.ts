import { createConnection, resolve } from "polloi/socket";
import type { LoadPlan } from "./options.ts";

/** Where to connect: the target with its name resolved. */
export type Place = { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * Where a target is. Of a name that has several addresses, the first that answers.
 *
 * @throws ResolveError with the code `ENOTFOUND` or `EAI_AGAIN`
 */
export async function placeOf({ target, timeoutMs }: LoadPlan): Promise<Place> {
  if (target.kind === "unix") return { path: target.path };
  const { host, port } = target;
  const [{ address: first }, ...others] = await resolve(host);
  if (others.length === 0) return { host: first, port };
  for (const address of [first, ...others.map(({ address }) => address)]) {
    try {
      using _ = await createConnection({ host: address, port, timeoutMs });
      return { host: address, port };
    } catch {
      // The next one, then. If none answers, that is for the report.
    }
  }
  return { host: first, port };
}
