/** A rule that was violated. */
export interface Violation {
  /** The rule, in one word: it stays the same while a failing scenario is made smaller. */
  readonly rule: string;
  readonly text: string;
}

/** After this many, further violations are consequences. */
const MOST = 8;

/** The violations of one run. */
export class Report {
  readonly violations: Violation[] = [];

  get failed(): boolean {
    return this.violations.length > 0;
  }

  fail(rule: string, text: string): void {
    if (this.violations.length < MOST) this.violations.push({ rule, text });
  }
}
