import { inRepository } from "./places.ts";
import { NODE, type PeerPlan, PLANS, YARDSTICK } from "./plans.ts";

/** The command line itself, as it is and traced: what it costs that it can be looked at, and to look. */
function commandLine(name: string, label: string, flags: readonly string[]): PeerPlan {
  const main = inRepository("packages/polloi-tools/dist/main.js");
  const always = ["--port", "0", "--json", "--quiet"];
  return {
    ...{ name, label, collects: false },
    command: () => [...NODE, main, ...flags, ...always],
  };
}

function traced(engine: "io_uring" | "epoll"): PeerPlan[] {
  const name = engine === "epoll" ? engine : "uring";
  const serve = ["serve", "echo", "--engine", engine];
  const nowhere = ["-o", "/dev/null"];
  return [
    commandLine(`serve-${name}`, `polloi serve, ${engine}`, serve),
    commandLine(`serve-${name}-again`, `the same, ${engine}: a control`, serve),
    commandLine(`trace-${name}-none`, `polloi trace serve, ${engine}, nothing to show`, [
      ...["trace", ...serve, ...nowhere, "--connection", "1000000"],
    ]),
    commandLine(`trace-${name}`, `polloi trace serve, ${engine}, to /dev/null`, [
      ...["trace", ...serve, ...nowhere],
    ]),
  ];
}

/** The servers of the trace benchmark, with the yardstick of all. */
export const TRACE_PLANS: readonly PeerPlan[] = [
  ...PLANS.filter(({ name }) => name === YARDSTICK),
  ...traced("epoll"),
  ...traced("io_uring"),
];

/** The names that `--servers` takes there. */
export const TRACE_NAMES: readonly string[] = TRACE_PLANS.map(({ name }) => name);
