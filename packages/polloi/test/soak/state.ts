/** What the two processes of a soak tell the one that started them. */

/** What the clients have seen so far. */
export interface ClientState {
  /** Connections that went as they should, by their kind. */
  readonly done: Readonly<Record<string, number>>;
  readonly bytes: number;
  readonly violations: readonly string[];
  /** What the server has to have counted as well, and as often. */
  readonly counted: Readonly<Record<string, number>>;
}

/** What the server says of itself when it is asked. */
export interface ServerState {
  readonly ports: readonly number[];
  readonly connections: number;
  readonly accepted: number;
  readonly bytes: number;
  readonly descriptors: number;
  /** After a garbage collection. */
  readonly residentBytes: number;
  readonly failures: readonly string[];
  /** What its reactor has in use, without what is 0; nothing where that is not looked at. */
  readonly balance: Readonly<Record<string, number>>;
  readonly counted: Readonly<Record<string, number>>;
}
