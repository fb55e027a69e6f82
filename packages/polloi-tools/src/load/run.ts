import type { LoadReport } from "./report.ts";
import type { LoadSnapshot } from "./snapshot.ts";

/** A load that goes on. */
export interface LoadRun {
  /**
   * Resolves when it is over, with what came of it, whatever that is: a target that is not there, resets
   * or does not answer is in the report. Rejects when there was nothing to begin with: a name that has no
   * address (`ENOTFOUND`, `EAI_AGAIN`), a worker that crashed.
   */
  readonly finished: Promise<LoadReport>;
  /** What has happened so far. */
  snapshot(): LoadSnapshot;
  /** Ends early: nothing more is sent, and what is out is waited for. Safe to call twice. */
  stop(): void;
  /** Ends at once: what is out is counted as unanswered. Safe to call twice. */
  abort(): void;
}

/** What may be asked of a run, by rising urgency. */
export type Asked = "nothing" | "stop" | "abort";
