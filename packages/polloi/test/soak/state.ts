/** The reports of the two child processes of a soak test. */

/** The results of the clients so far. */
export interface ClientState {
  /** Completed connections, by kind. */
  readonly done: Readonly<Record<string, number>>;
  readonly bytes: number;
  readonly violations: readonly string[];
  /** Counts that the server must have as well. */
  readonly counted: Readonly<Record<string, number>>;
}

/** The state of the server, sent on request. */
export interface ServerState {
  readonly ports: readonly number[];
  readonly connections: number;
  readonly accepted: number;
  readonly bytes: number;
  readonly descriptors: number;
  /** After a garbage collection. */
  readonly residentBytes: number;
  readonly failures: readonly string[];
  /** The resources that its reactor uses, without those that are 0; undefined if they are not checked. */
  readonly balance: Readonly<Record<string, number>>;
  readonly counted: Readonly<Record<string, number>>;
}
