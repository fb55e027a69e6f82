import type { ForwardedClient } from "./forwarded.ts";
import type { BodyReader, RequestBody } from "./request-body.ts";
import type { RequestError } from "./request-error.ts";
import type { RequestHead } from "./wire/request-head.ts";

/** The state of a reply: nothing is sent; the head is sent and the body follows; complete; not needed any more. */
export const FRESH = 0;
export const STREAMING = 1;
export const DONE = 2;
export const ABANDONED = 3;

/**
 * One request and its reply: the state that its connection, and the objects that the handler has, share.
 *
 * @remarks
 * It is over when both are complete, or when the connection has ended. The objects of the handler may outlive it.
 */
export class Exchange {
  /** The head of the request; null when the exchange is over, unless the client has left before that. */
  head: RequestHead | null;
  /** The method of the request. */
  readonly method: string;
  /** The body of the request; null if it has none. */
  readonly body: RequestBody | null;
  /** The reader of the body, if the handler has set one. */
  reader: BodyReader | null = null;
  /** Whether the handler has paused the body. */
  isPaused = false;
  /** The state of the reply, the status that was sent (0 before), and the number of bytes of its body. */
  reply: number = FRESH;
  status = 0;
  bodyBytes = 0;
  /** The reason why the client has probably left; and why it has certainly left, or was refused. */
  left: RequestError | null = null;
  lost: RequestError | null = null;
  whenLeft: ((error: RequestError) => void)[] | null = null;
  /** The time at which the handler was called, as of the kernel's clock; 0 without a log. */
  began = 0;
  /** The client, if a trusted proxy has named it. */
  client: ForwardedClient | null = null;

  constructor(head: RequestHead, body: RequestBody | null) {
    this.head = head;
    this.method = head.method;
    this.body = body;
  }

  /** Whether all of the request is received. */
  get isReceived(): boolean {
    return this.body === null || this.body.isComplete;
  }

  /** Whether the head of the reply was sent, or the reply is not needed any more. */
  get hasBegun(): boolean {
    return this.reply !== FRESH;
  }

  /** Whether the reply is complete or not needed any more. */
  get isReplied(): boolean {
    return this.reply >= DONE;
  }
}
