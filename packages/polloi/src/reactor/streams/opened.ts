import { ERRNO } from "../../base/errno.ts";
import { typeError } from "../../base/misuse.ts";
import { SysError } from "../../base/sys-error.ts";
import type { Connection } from "../connection.ts";
import { ForwardingHandlers, type StreamHandlers } from "../forwarding.ts";
import type { StreamLike } from "./stream-like.ts";

/** The promises of connections that were asked for them while they were connecting. */
const promises = new WeakMap<object, Promise<unknown>>();

/** The promise of {@link Connection.opened}. */
export function openedOf<Data>(
  stream: StreamLike<Data>,
  isConnecting: boolean,
): Promise<Connection<Data>> {
  const known = promises.get(stream) as Promise<Connection<Data>> | undefined;
  if (known !== undefined) return known;
  if (!isConnecting) {
    if (stream.state !== "closed") return Promise.resolve(stream);
    const message = "Cannot wait until a connection is open that is closed";
    return Promise.reject(typeError("ERR_CLOSED", message));
  }
  const promise = new Promise<Connection<Data>>((resolve, reject) => {
    stream.setHandlers(opening(stream, stream.handlers, resolve, reject));
  });
  promises.set(stream, promise);
  return promise;
}

function opening<Data>(
  stream: StreamLike<Data>,
  to: StreamHandlers<Data>,
  resolve: (connection: Connection<Data>) => void,
  reject: (error: Error) => void,
): StreamHandlers<Data> {
  let isOpen = false;
  const own: StreamHandlers<Data> = {
    open(connection) {
      isOpen = true;
      resolve(connection);
      // A program that awaits has no `data` handler: it reads when its promise callbacks run.
      if (stream.handlers.data === undefined) holdForPromises(stream);
      to.open?.(connection);
    },
    close(connection, error) {
      const hint = "the connection was closed before it was established";
      reject(error ?? new SysError("connect", ERRNO.ECANCELED, { hint }));
      to.close?.(connection, error);
    },
  };
  return new ForwardingHandlers(to, own, (next) => {
    return isOpen ? next : opening(stream, next, resolve, reject);
  });
}

/** Receives nothing until the promise callbacks of this turn have run. */
function holdForPromises<Data>(stream: StreamLike<Data>): void {
  const { timers } = stream.loop;
  stream.hold();
  // The first timer fires in this turn, the second in the next one.
  timers.add(0, () => timers.add(0, () => stream.deliver(null), true), true);
}
