import { type FilesHandler, files, type HttpHandler } from "polloi/http";
import type { Kernel } from "polloi/internal";
import { formatAddress } from "polloi/socket";

/** What `polloi serve http` serves: it can be handed to a worker. */
export interface SiteFlags {
  /** A directory; without one, everybody is told hello. */
  readonly dir: string | undefined;
  readonly listing: boolean;
  readonly dotfiles: boolean;
  readonly maxAgeMs: number | undefined;
}

/** Who is told of each request. @param target - As it was sent, each byte a character. */
export type RequestObserver = (peer: string, method: string, target: string) => void;

/** What answers, and how to be rid of it. */
export interface HttpSite {
  readonly handler: HttpHandler;
  close(): void;
}

/** @throws as `files` does. */
export function openSite({ dir, ...flags }: SiteFlags, kernel?: Kernel): HttpSite {
  if (dir === undefined) return { handler: hello, close() {} };
  const handler: FilesHandler = files({ dir, ...flags }, kernel);
  return { handler, close: () => handler.close() };
}

/** The same, after it was told of. */
export function told(handler: HttpHandler, tell: RequestObserver): HttpHandler {
  return (request, reply) => {
    const { remoteAddress, method, target } = request;
    // Whoever connects to a unix socket has no name.
    const peer = remoteAddress === null ? "" : formatAddress(remoteAddress);
    tell(peer || "a peer", method, target);
    return handler(request, reply);
  };
}

/** What the reference text's server answers, whatever it is asked. */
const hello: HttpHandler = (_, reply) => {
  reply.header("Content-Type", "text/plain").send("Hello, world!");
};
