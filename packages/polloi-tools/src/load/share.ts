import type { LoadPlan } from "./options.ts";

/** What one thread does of a load. */
export interface Share {
  /** The number of its first connection among all of them. */
  readonly first: number;
  readonly connections: number;
  /** Messages a second. */
  readonly rate: number | null;
}

/** The share of thread `index` of `count`. */
export function shareOf(plan: LoadPlan, index: number, count: number): Share {
  const { connections, rate } = plan;
  const first = Math.floor((connections * index) / count);
  const share = Math.floor((connections * (index + 1)) / count) - first;
  return { first, connections: share, rate: rate === null ? null : (rate * share) / connections };
}

/** How many messages connection `index` sends, where their number is given. */
export function quotaOf({ messages, connections }: LoadPlan, index: number): number {
  if (messages === null) return Number.POSITIVE_INFINITY;
  return Math.floor(messages / connections) + (index < messages % connections ? 1 : 0);
}
