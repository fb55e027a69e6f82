/**
 * The benchmark: `npm run bench -- echo`, and `npm run bench -- --help` for the others.
 *
 * What is measured, how, and why so is in bench/README.md.
 */
import { Command, CommanderError, Option } from "commander";
import {
  countFrom,
  countsFrom,
  type Defaults,
  namesFrom,
  numberFrom,
  withCommonFlags,
  withServers,
} from "./flags.ts";
import { CELL_NAMES, HTTP_NAMES } from "./http-plans.ts";
import { PEER_NAMES } from "./plans.ts";
import { endChildrenWithThisProcess } from "./processes.ts";
import { report } from "./report.ts";
import {
  churn,
  DEFAULTS,
  echo,
  http,
  idle,
  latency,
  load,
  SERVERS,
  syscalls,
  trace,
  workers,
} from "./runs.ts";
import { TRACE_NAMES } from "./trace-plans.ts";
import { LOAD_NAMES } from "./wrk.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** What commander says in up to three lines, in one. */
function oneLine(text: string): string {
  const said = text
    .trim()
    .replace(/^error: /, "")
    .replace(/\s*\n\s*/g, " ");
  return `bench: ${said}\n`;
}

function add(program: Command, name: keyof typeof DEFAULTS, description: string): Command {
  const defaults: Defaults = DEFAULTS[name];
  const command = withCommonFlags(program.command(name).description(description), defaults);
  if (name === "workers" || name === "load") return command;
  const all: Readonly<Record<string, readonly string[]>> = { http: HTTP_NAMES, trace: TRACE_NAMES };
  return withServers(command, SERVERS[name], all[name] ?? PEER_NAMES);
}

function buildProgram(): Command {
  const program = new Command("bench")
    .description("Measures polloi beside other servers; bench/README.md says how.")
    .configureOutput({ outputError: (text, write) => write(oneLine(text)) })
    .helpCommand(false)
    .allowExcessArguments(false)
    .exitOverride();
  add(program, "echo", "messages/s and CPU of echo servers")
    .option("--connections <counts>", "connections (default: 50,500,5000)", countsFrom)
    .option("--sizes <bytes>", "message sizes", countsFrom, [64, 16384])
    .option("--depth <count>", "messages in flight per connection", countFrom, 1)
    .action(echo);
  add(program, "churn", "connections/s and CPU per connection, when connections come and go")
    .option("--connections <counts>", "at a time", countsFrom, [100])
    .option("--size <bytes>", "message size", countFrom, 64)
    .option("--life <count>", "messages of one connection", countFrom, 10)
    .action(churn);
  add(program, "syscalls", "system calls per message, counted by strace")
    .option("--connections <count>", "active connections", countFrom, 64)
    .option("--size <bytes>", "message size", countFrom, 64)
    .option("--messages <count>", "messages of each connection", countFrom, 500)
    .action(syscalls);
  add(program, "latency", "latency at a share of every server's own peak, in an open loop")
    .option("--connections <count>", "connections", countFrom, 500)
    .option("--size <bytes>", "message size", countFrom, 64)
    .option("--share <share>", "of its own peak", numberFrom, 0.8)
    .action(latency);
  add(program, "workers", "CPU per message of several workers, by that of one; their balance")
    .option("--engines <names>", "of the workers", (text) => text.split(","), ["io_uring", "epoll"])
    .option("--workers <count>", "how many are compared with one", countFrom, 2)
    .option("--connections <count>", "connections", countFrom, 200)
    .option("--size <bytes>", "message size", countFrom, 64)
    .option("--balance <count>", "connections held to look at the balance", countFrom, 1000)
    .action(workers);
  add(program, "load", "polloi load beside a client in C and wrk: CPU, latency, time to open")
    .option("--connections <counts>", "connections", countsFrom, [64, 512])
    .option("--opened <count>", "the most connections, all opened at once", countFrom, 10_000)
    .action(load);
  add(program, "idle", "memory and CPU cost of idle connections")
    .option("--connections <count>", "idle connections", countFrom, 15_000)
    .option("--steps <counts>", "idle connections beside 50 active ones", countsFrom)
    .action(idle);
  add(program, "http", "requests/s and CPU of HTTP servers")
    .option("--cells <names>", `what to measure (default: ${CELL_NAMES.join(",")})`, (text) =>
      namesFrom(text, CELL_NAMES),
    )
    .option(
      "--connections <counts>",
      "connections; the first cells have these",
      countsFrom,
      [64, 512],
    )
    .option("--depth <count>", "requests in flight per connection, pipelined", countFrom, 16)
    .option("--rate <count>", "requests/s, paced", numberFrom, 10_000)
    .option("--held <count>", "connections, paced", countFrom, 5000)
    .addOption(new Option("--load <name>", "who asks").choices(LOAD_NAMES))
    .action(http);
  add(program, "trace", "what polloi trace costs, and that without it nothing is paid")
    .option("--connections <counts>", "connections", countsFrom, [50])
    .option("--size <bytes>", "message size", countFrom, 64)
    .action(trace);
  program
    .command("report")
    .description("committed results as Markdown")
    .option("--write", "into README.md and docs/figures.md, between their markers", false)
    .action(async (options: { write: boolean }) => {
      const text = await report(options);
      console.log(options.write ? "README.md and docs/figures.md are up to date" : text);
    });
  return program;
}

endChildrenWithThisProcess();
const program: Command = buildProgram();
try {
  if (process.argv.length <= 2) program.error("error: missing command: see --help");
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  } else {
    console.error(`bench: ${(error as Error).message}`);
    process.exitCode = EXIT_FAILED;
  }
}
