import type { Connection, Handlers } from "./connection.ts";
import type { Loop } from "./loop.ts";

/** Tells `error` of the handlers, if there is one; what that throws is everyone's business. */
export function tellError<Data>(
  loop: Loop,
  handlers: Handlers<Data>,
  connection: Connection<Data>,
  error: Error,
): void {
  try {
    handlers.error?.(connection, error);
  } catch (thrown) {
    loop.fail(thrown);
  }
}

/** A handler threw: that is the connection's business if it has an `error` handler, else everyone's. */
export function tellThrown<Data>(
  loop: Loop,
  handlers: Handlers<Data>,
  connection: Connection<Data>,
  thrown: unknown,
): void {
  if (handlers.error === undefined) {
    loop.fail(thrown);
    return;
  }
  const error =
    thrown instanceof Error
      ? thrown
      : new Error(`handler threw ${String(thrown)}`, { cause: thrown });
  tellError(loop, handlers, connection, error);
}
