import type { Case } from "../../../../test/support/suite.ts";
import type { FetchHandler, HttpServer } from "../../src/http/index.ts";
import { type Client, served } from "./client.ts";

/** The arguments of a case: the server, clients, its URL, and the reported errors. */
export interface Served {
  readonly server: HttpServer;
  readonly client: () => Client;
  readonly url: string;
  readonly errors: unknown[];
}

/** Makes cases for one way to serve. */
export interface WebCase {
  (
    name: string,
    fetch: FetchHandler,
    run: (at: Served) => Promise<void>,
    options?: { readonly maxBodyBytes?: number },
  ): Case;
  readonly overridesGlobals: boolean;
}

export function webCase(overrideGlobals: boolean): WebCase {
  const make: Omit<WebCase, "overridesGlobals"> & ((...args: Parameters<WebCase>) => Case) = (
    name,
    fetch,
    run,
    options = {},
  ) => {
    const errors: unknown[] = [];
    const error = (thrown: unknown): void => void errors.push(thrown);
    return served(name, { fetch, error, overrideGlobals, ...options }, async (server, client) => {
      errors.length = 0;
      await run({ server, client, url: `http://127.0.0.1:${server.port}`, errors });
    });
  };
  return Object.assign(make, { overridesGlobals: overrideGlobals });
}

/** Waits until a condition holds. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
}
