import { spreadOf } from "../src/lab/spread.ts";
import { spreadText, textTable, whole } from "../src/lab/table.ts";
import type { ClientRun, ClientsPlan, ClientsResult, ClientsRound } from "./clients.ts";
import { failuresOf } from "./echo-text.ts";
import type { Goal } from "./goals.ts";

/** How much more than the client in C, or wrk, a message may cost; and how far p99 may be from wrk's. */
const MOST_CPU = 1.3;
const MOST_APART = 1.15;
const MOST_OPEN_MS = 3000;

function done(rounds: readonly (ClientsRound | null)[]): ClientsRound[] {
  return rounds.filter((round) => round !== null);
}

function ratiosOf(rounds: readonly ClientsRound[], of: keyof ClientRun): number[] {
  return rounds.map(({ polloi, other }) => polloi[of] / other[of]);
}

/** As it is shown on the terminal. */
export function clientsText({ rows }: Pick<ClientsResult, "rows">): string {
  const header = [
    "polloi load : other",
    "CPU us/msg (min-max)",
    "other",
    "ratio",
    "messages/s",
    "other",
    "p99 us",
    "other",
    "all open, ms",
    "other",
  ];
  const table = rows.map(({ label, rounds }) => {
    const all = done(rounds);
    const spread = (who: keyof ClientsRound, of: keyof ClientRun) =>
      spreadOf(all.map((round) => round[who][of]));
    const median = (who: keyof ClientsRound, of: keyof ClientRun): string => {
      const found = spread(who, of);
      return found === undefined ? "-" : whole(found.median);
    };
    return [
      label,
      spreadText(spread("polloi", "cpuUs")),
      spreadText(spread("other", "cpuUs")),
      spreadText(spreadOf(ratiosOf(all, "cpuUs"))),
      median("polloi", "messagesPerSecond"),
      median("other", "messagesPerSecond"),
      median("polloi", "p99Us"),
      median("other", "p99Us"),
      median("polloi", "openMs"),
      median("other", "openMs"),
    ];
  });
  return [
    `\nload: 64 B or a request, one out for each connection`,
    textTable(header, table),
    ...failuresOf(rows),
  ].join("\n");
}

/** What the load client may cost, and how near its figures are to be. */
export function clientsGoals(
  { rows }: Pick<ClientsResult, "rows">,
  plans: readonly ClientsPlan[],
): Goal[] {
  return plans.flatMap(({ name, kind, connections }): Goal[] => {
    const all = done(rows.find((row) => row.name === name)?.rounds ?? []);
    const where = `${whole(connections)} connections`;
    if (kind === "open") {
      const values = all.map(({ polloi }) => polloi.openMs);
      return [{ what: "polloi load, ms to open", where, limit: { atMost: MOST_OPEN_MS }, values }];
    }
    const cpu = { where, limit: { atMost: MOST_CPU }, values: ratiosOf(all, "cpuUs") };
    if (kind === "echo") return [{ what: "polloi load : epoll in C, CPU per message", ...cpu }];
    // Either way: a client that sees less than there is is as wrong as one that adds to it.
    const apart = ratiosOf(all, "p99Us").map((ratio) => Math.max(ratio, 1 / ratio));
    return [
      { what: "polloi load : wrk, CPU per request", ...cpu },
      { what: "polloi load : wrk, p99 apart", where, limit: { atMost: MOST_APART }, values: apart },
    ];
  });
}
