/**
 * The benchmark: `npm run bench -- echo`, and `npm run bench -- --help` for the others.
 *
 * bench/README.md describes what is measured and how.
 */
import { Command, CommanderError } from "commander";
import { exitOnSignals } from "./children.ts";
import { addClients } from "./clients.ts";
import { addCompare } from "./compare.ts";
import { addEcho } from "./echo.ts";
import { addHttp } from "./http.ts";
import { addIdle } from "./idle.ts";
import { addLatency } from "./latency.ts";
import { addProfile } from "./profile.ts";
import { report } from "./report.ts";
import { addSyscalls } from "./syscalls.ts";
import { addTls } from "./tls.ts";
import { addWorkers } from "./workers.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** The messages of commander, which have up to three lines, in one line. */
function oneLine(text: string): string {
  const message = text
    .trim()
    .replace(/^error: /, "")
    .replace(/\s*\n\s*/g, " ");
  return `bench: ${message}\n`;
}

function buildProgram(): Command {
  const program = new Command("bench")
    .description("Measures polloi side by side with other servers; see bench/README.md.")
    .configureOutput({ outputError: (text, write) => write(oneLine(text)) })
    .helpCommand(false)
    .allowExcessArguments(false)
    .exitOverride();
  addEcho(program);
  addSyscalls(program);
  addLatency(program);
  addWorkers(program);
  addClients(program);
  addIdle(program);
  addHttp(program);
  addTls(program);
  addCompare(program);
  addProfile(program);
  program
    .command("report")
    .description("published results as Markdown")
    .option("--write", "into README.md and docs/figures.md, between their markers", false)
    .action(async (options: { write: boolean }) => {
      const text = await report(options);
      console.log(options.write ? "README.md and docs/figures.md are up to date" : text);
    });
  return program;
}

exitOnSignals();
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
