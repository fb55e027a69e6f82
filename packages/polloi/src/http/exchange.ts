import type {
  Connection,
  ConnectionOptions,
  Handlers,
  OutgoingFile,
} from "../reactor/connection.ts";

/** What a request and its reply ask of the connection that they are on. */
export interface Exchange {
  readonly connection: Pick<Connection, "remoteAddress" | "localAddress" | "tcpInfo" | "fileno">;
  /** The Date field with its CRLF. */
  readonly date: string;
  /** More than enough waits to be sent. */
  readonly isFull: boolean;
  /**
   * Whether the request is sound as far as its bytes have come, those of a body that nobody reads included. If it
   * is not, it is refused here, and there is nobody to answer any more.
   */
  isAnswerable(): boolean;
  /** The body has a reader now. */
  claimed(): void;
  /** The body is wanted again. */
  goOn(): void;
  /** Hands the connection over. */
  upgrade<Data>(options: Handlers<Data> & ConnectionOptions): Connection<Data>;
  /** @returns Whether to go on, as `Connection.write` has it. */
  write(bytes: string | Uint8Array): boolean;
  /** Sends a piece of a file after what was written. @returns false, as `Connection.sendFile` has it. */
  sendFile(file: OutgoingFile): boolean;
  /** Calls back when less than too much waits to be sent, or nobody is there. */
  whenDrained(callback: () => void): void;
  /** Calls a function of the handler's, which may fail as the handler itself may. */
  call(callback: () => void): void;
  /** Calls it when what is under way has returned, also where there are no microtasks because `run()` blocks. */
  soon(callback: () => void): void;
  /** The Connection field of the reply with its CRLF; empty where the version implies it. */
  connectionField(): string;
  /** The end of the connection is to be the end of the body. */
  endAfterReply(): void;
  /** All of the reply is written. */
  replied(): void;
  /** What was sent makes no sense without what will not come. */
  cutOff(): void;
}
