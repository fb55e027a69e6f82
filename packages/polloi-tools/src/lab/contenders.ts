import { type Kernel, openPoller, POLLER_NAMES, whyNot } from "polloi/internal";
import { EPOLLET, POLLIN } from "polloi/select";
import type { PollerName } from "polloi/selectors";

/** An engine with the way in which it reports. */
export interface Contender {
  /** What it is called on the command line and in JSON: `epoll`, `epoll-edge`. */
  readonly name: string;
  /** What it is called in a table or chart: `epoll, edge`. */
  readonly label: string;
  readonly engine: PollerName;
  /** What a watch asks for: POLLIN, and EPOLLET where it is edge-triggered. */
  readonly interest: number;
}

/** An engine that is not measured, and why. */
export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

/**
 * Every engine that polloi has, the oldest first, which is how a reader meets them: level-triggered, and
 * edge-triggered besides where it can be.
 *
 * @remarks
 * Found by opening each, so that an engine which is added to the pollers is measured without a word here.
 */
export function findContenders(kernel: Kernel): { contenders: Contender[]; skipped: Skipped[] } {
  const contenders: Contender[] = [];
  const skipped: Skipped[] = [];
  for (const engine of POLLER_NAMES.toReversed()) {
    const reason = whyNot(engine, kernel);
    if (reason !== undefined) {
      skipped.push({ name: engine, reason });
      continue;
    }
    const poller = openPoller(engine, kernel);
    const { edge } = poller.capabilities;
    poller.close();
    contenders.push({
      name: engine,
      label: edge ? `${engine}, level` : engine,
      engine,
      interest: POLLIN,
    });
    if (edge) {
      contenders.push({
        name: `${engine}-edge`,
        label: `${engine}, edge`,
        engine,
        interest: POLLIN | EPOLLET,
      });
    }
  }
  return { contenders, skipped };
}
