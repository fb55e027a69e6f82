/** What a trace is to tell, and where to. */
export interface TraceChoice {
  /** A path, or `-` for standard output; standard error when there is none. */
  readonly output?: string | undefined;
  readonly connection?: readonly string[] | undefined;
  readonly calls?: RegExp | undefined;
  readonly turns?: number | undefined;
}
