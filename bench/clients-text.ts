import { spreadOf } from "../packages/polloi-tools/src/measure/spread.ts";
import { spreadText, textTable, whole } from "../packages/polloi-tools/src/measure/table.ts";
import type { ClientRun, ClientsResult, ClientsRound, ClientsRow } from "./clients.ts";
import { disturbanceOf, failuresOf } from "./echo-text.ts";
import type { Goal } from "./goals.ts";
import type { Table } from "./table.ts";

/** How much more than the client in C, or wrk, a message may cost; and how far p99 may be from wrk's. */
const MOST_CPU = 1.3;
const MOST_APART = 1.15;
/** So many connections are to be open in so long. */
const MANY = 10_000;
const MOST_OPEN_MS = 3000;

/** How the figures came about, for those who read only the table. */
export const CLIENTS_METHOD =
  "One server on a core of its own, and two clients that ask it one after the other in each round, from the other core: 64 B or a request, one out for each connection. CPU time is the client's. p99 of HTTP is corrected as wrk corrects its own: as if each connection had asked as often as it did on average.";

function done(rounds: readonly (ClientsRound | null)[]): ClientsRound[] {
  return rounds.filter((round) => round !== null);
}

function ratiosOf(rounds: readonly ClientsRound[], of: keyof ClientRun): number[] {
  return rounds.map(({ polloi, other }) => polloi[of] / other[of]);
}

/** What both clients cost and saw. */
export function clientsTable({ rows }: Pick<ClientsResult, "rows">): Table {
  return {
    header: [
      "polloi load : other",
      "connections",
      "CPU us/msg (min-max)",
      "other",
      "ratio (min-max)",
      "messages/s",
      "other",
      "p99 ms",
      "other",
      "ratio (min-max)",
      "all open, ms",
      "other",
    ],
    rows: rows.map(({ label, connections, rounds }) => {
      const all = done(rounds);
      const spread = (who: keyof ClientsRound, of: keyof ClientRun, unit = 1) =>
        spreadOf(all.map((round) => round[who][of] / unit));
      const median = (
        [who, of, unit]: Parameters<typeof spread>,
        text: (value: number) => string = whole,
      ): string => {
        const { median: value = 0 } = spread(who, of, unit) ?? {};
        return value === 0 ? "-" : text(value);
      };
      const fine = (value: number): string => value.toFixed(2);
      return [
        label,
        whole(connections),
        spreadText(spread("polloi", "cpuUs")),
        spreadText(spread("other", "cpuUs")),
        spreadText(spreadOf(ratiosOf(all, "cpuUs"))),
        median(["polloi", "messagesPerSecond"]),
        median(["other", "messagesPerSecond"]),
        median(["polloi", "p99Us", 1000], fine),
        median(["other", "p99Us", 1000], fine),
        spreadText(spreadOf(ratiosOf(all, "p99Us"))),
        median(["polloi", "openMs"]),
        median(["other", "openMs"]),
      ];
    }),
  };
}

/** As it is shown on the terminal. */
export function clientsText(result: Pick<ClientsResult, "rows">): string {
  const { header, rows } = clientsTable(result);
  return [
    "\nload: polloi load beside others",
    textTable(header, rows),
    CLIENTS_METHOD,
    ...failuresOf(result.rows),
  ].join("\n");
}

function doubtOf(rounds: readonly ClientsRound[]): string | undefined {
  const runs = rounds.flatMap(({ polloi, other }) => [polloi, other]);
  const median = (of: keyof ClientRun) => spreadOf(runs.map((run) => run[of]))?.median ?? 0;
  return disturbanceOf([{ busy: median("serverBusy"), idle: median("coreIdle") }]);
}

/** What the load client may cost, and how near its figures are to be. */
export function clientsGoals({ rows }: Pick<ClientsResult, "rows">): Goal[] {
  return rows.flatMap(({ kind, label, connections, rounds }: ClientsRow): Goal[] => {
    const all = done(rounds);
    const common = { where: `${whole(connections)} connections`, doubt: doubtOf(all) };
    const who = `polloi load, ${label}`;
    const cpu = { limit: { atMost: MOST_CPU }, values: ratiosOf(all, "cpuUs") };
    const goals: Goal[] = [{ what: `${who}, CPU per message`, ...cpu, ...common }];
    if (kind === "http") {
      // Either way: a client that sees less than there is is as wrong as one that adds to it.
      const values = ratiosOf(all, "p99Us").map((ratio) => Math.max(ratio, 1 / ratio));
      goals.push({ what: `${who}, p99 apart`, limit: { atMost: MOST_APART }, values, ...common });
    }
    if (connections >= MANY) {
      const values = all.map(({ polloi }) => polloi.openMs);
      const limit = { atMost: MOST_OPEN_MS };
      goals.push({ what: "polloi load, ms to open", limit, values, ...common });
    }
    return goals;
  });
}
