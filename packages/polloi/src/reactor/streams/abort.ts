import { show, typeError } from "../../base/misuse.ts";
import { ForwardingHandlers, type StreamHandlers } from "../forwarding.ts";
import type { StreamLike } from "./stream-like.ts";

/** @throws TypeError `ERR_INVALID_OPTION` unless it is an AbortSignal or undefined. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal === undefined) return;
  const isSignal =
    typeof signal === "object" &&
    typeof signal?.aborted === "boolean" &&
    typeof signal.addEventListener === "function";
  if (isSignal) return;
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot use ${show(signal)} as signal: give an AbortSignal`,
  );
}

/**
 * Stops a listener or a server when `signal` aborts.
 *
 * @returns Forgets the signal, which may live for much longer. Calling it twice is safe.
 */
export function stopOnAbort(signal: AbortSignal, stop: () => Promise<void>): () => void {
  const abort = (): void => void stop();
  signal.addEventListener("abort", abort, { once: true });
  return () => signal.removeEventListener("abort", abort);
}

/** Destroys a stream when `signal` aborts. */
export function destroyOnAbort<Data>(stream: StreamLike<Data>, signal: AbortSignal): void {
  if (signal.aborted) {
    // In the next turn, as every event of a connect.
    stream.loop.timers.add(0, () => stream.destroy(errorOf(signal.reason)), true);
    return;
  }
  const abort = (): void => stream.destroy(errorOf(signal.reason));
  signal.addEventListener("abort", abort);
  const watched = (to: StreamHandlers<Data>): StreamHandlers<Data> => {
    const own: StreamHandlers<Data> = {
      close(connection, error) {
        signal.removeEventListener("abort", abort);
        to.close?.(connection, error);
      },
    };
    return new ForwardingHandlers(to, own, watched);
  };
  stream.setHandlers(watched(stream.handlers));
}

/** The reason of an abort as an error. A program may give any value. */
export function errorOf(reason: unknown): Error {
  const { message } = (reason ?? {}) as { message?: unknown };
  if (typeof reason === "object" && typeof message === "string") return reason as Error;
  return Object.assign(new Error("The operation was aborted", { cause: reason }), {
    name: "AbortError",
    code: "ABORT_ERR",
  });
}
