import type { Connection } from "../connection.ts";
import type { StreamHandlers } from "../forwarding.ts";
import type { Loop } from "../loop.ts";

/** The members of a stream of the reactor that its adapters use. */
export interface StreamLike<Data> extends Connection<Data> {
  readonly loop: Loop;
  readonly handlers: StreamHandlers<Data>;
  /** Replaces the handlers, and nothing else. */
  setHandlers(handlers: StreamHandlers<Data>): void;
  /** From now on received bytes are passed as copies. */
  receiveCopies(): void;
  /** Receives nothing until {@link StreamLike.deliver} is called. */
  hold(): void;
  deliver(bytes: Uint8Array | null): void;
}
