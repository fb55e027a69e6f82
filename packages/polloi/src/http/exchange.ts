import type {
  Connection,
  ConnectionOptions,
  Handlers,
  OutgoingFile,
} from "../reactor/connection.ts";
import type { LoopTimer } from "../sys/kernel.ts";

/** The part of a session that its request and reply use. */
export interface Exchange {
  readonly connection: Pick<Connection, "remoteAddress" | "localAddress" | "tcpInfo" | "fileno">;
  /** The Date field with its CRLF. */
  readonly date: string;
  /** Whether the high-water mark is exceeded. */
  readonly isFull: boolean;
  /**
   * Whether the request is valid as far as its bytes have arrived, including those of a body without a reader. If it is
   * not, it is refused here, and cannot be answered by the handler any more.
   */
  isAnswerable(): boolean;
  /** The body has a reader now. */
  claimed(): void;
  /** The body is received again, after a pause. */
  goOn(): void;
  /** Gives the connection to other handlers. */
  upgrade<Data>(options: Handlers<Data> & ConnectionOptions): Connection<Data>;
  /** @returns Whether to continue, as `Connection.write` has it. */
  write(bytes: string | Uint8Array): boolean;
  /** Sends a piece of a file after what was written. @returns false, as `Connection.sendFile` has it. */
  sendFile(file: OutgoingFile): boolean;
  /** Calls back when the queue has fallen below the high-water mark, or the client has left. */
  whenDrained(callback: () => void): void;
  /** Calls a callback of the program. If it throws, the handler has failed. */
  call(callback: () => void): void;
  /** Calls back when the current callback has returned, also under `run()`, where microtasks do not run. */
  soon(callback: () => void): void;
  /** Calls back after `delayMs`, as a task of its own. */
  after(delayMs: number, callback: () => void): LoopTimer;
  /** The Connection field of the reply with its CRLF; empty if the version implies it. */
  connectionField(): string;
  /** Closes the connection after the reply. */
  endAfterReply(): void;
  /** All of the reply is written. */
  replied(): void;
  /** Resets the connection, because the reply cannot be completed. */
  cutOff(): void;
}
