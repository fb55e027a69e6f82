import { Command, CommanderError, type OutputConfiguration } from "commander";
import { addConnect } from "./connect-command.ts";
import { EXIT_FAILED, EXIT_OK, EXIT_PIPE, EXIT_USAGE, errorLine } from "./errors.ts";
import { didYouMean, SERVED } from "./flags.ts";
import { addLab } from "./lab-command.ts";
import { addLoad } from "./load-command.ts";
import { complain, OutputError, print } from "./output.ts";
import { addServe } from "./serve-command.ts";
import { addTrace } from "./trace-command.ts";

// This module and its static imports must not load the library, which may fail to load: help and doctor must still
// work. A command imports its implementation when it runs.

const EXAMPLES = `
Examples:
  polloi serve                            echo on 127.0.0.1:7788
  polloi serve http --dir public          the files in public on http://127.0.0.1:8080
  polloi serve echo --host ::1 --engine poll --quiet
  polloi connect 127.0.0.1:7788           talk to it; Ctrl-D ends
  printf hi | polloi connect 127.0.0.1:7788
  polloi load tcp://127.0.0.1:7788        load it over 100 connections, and check the answers
  polloi doctor                           what works on this machine
  polloi trace serve echo                 each turn of the event loop and each call, live
  polloi lab idle --quick                 the cost of idle descriptors on select, poll and epoll
  polloi help serve                       the flags of one command

In a project that depends on polloi-tools: npx polloi.
Messages go to standard error. The exit code is 0 on success, 1 when something failed, 2 for a wrong
command line, 130 for a measurement that Ctrl-C has ended, and 141 when the reader of the output has left.`;

/** Receives help and messages about the command line. The output of commands goes to the process. */
export type Output = Pick<OutputConfiguration, "writeOut" | "writeErr">;

/** Runs the command line. @returns The exit code. */
export async function run(
  args: readonly string[],
  version: string,
  output: Output = {},
): Promise<number> {
  let exitCode = EXIT_OK;
  const exitWith = (code: number): void => {
    exitCode = code;
  };
  let help = "";
  const program = buildProgram(version, exitWith, {
    writeOut: (text) => {
      help += text;
    },
    writeErr: output.writeErr ?? complain,
  });
  try {
    exitCode = (await parse(program, args)) ?? exitCode;
    if (output.writeOut !== undefined) output.writeOut(help);
    else if (help !== "") await print(help);
    return exitCode;
  } catch (error) {
    if (error instanceof OutputError) {
      if (error.readerIsGone) return EXIT_PIPE;
      complain(error.report);
      return EXIT_FAILED;
    }
    // Mostly the library itself, where its FFI does not load.
    complain(errorLine("cannot run", error));
    return EXIT_FAILED;
  }
}

/** @returns The exit code when commander has ended the command: it has printed help or rejected the arguments. */
async function parse(program: Command, args: readonly string[]): Promise<number | undefined> {
  try {
    // Commander prints the help of a command of commands to standard error, as a failure.
    const group = groupNamed(program, args);
    if (group === undefined) await program.parseAsync(args, { from: "user" });
    else group.outputHelp();
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  }
}

/** The program, or a command of commands, if the arguments are its name and nothing else. */
function groupNamed(program: Command, names: readonly string[]): Command | undefined {
  let command: Command | undefined = program;
  for (const name of names) {
    command = command?.commands.find((each) => each.name() === name);
  }
  return command === undefined || command.commands.length === 0 ? undefined : command;
}

function buildProgram(version: string, exitWith: (code: number) => void, output: Output): Command {
  const program = new Command("polloi")
    .description(
      "select, poll, epoll and io_uring for TypeScript: servers and clients on one thread",
    )
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .addHelpText("after", EXAMPLES)
    .configureOutput({ ...output, outputError: (text, write) => write(oneLine(text)) })
    .allowExcessArguments()
    .hook("preAction", (_, command) => rejectExcessArgument(command))
    .exitOverride();
  // Commands inherit the settings above, so they are added last.
  addServe(program, exitWith);
  addConnect(program, exitWith);
  program
    .command("doctor")
    .summary("report what works on this machine, and how to fix the rest")
    .description("Reports what works on this machine, and how to fix the rest.")
    .option("--json", "print it as JSON")
    .action(async (flags: { json?: boolean }) => {
      const { doctor } = await import("./doctor.ts");
      exitWith(await doctor(version, flags.json === true));
    });
  addLoad(program, exitWith);
  addLab(program, version, exitWith);
  addTrace(program, (trace, prepare) => {
    suggestServe(trace, "trace serve");
    return addServe(trace, exitWith, prepare, "");
  });
  program
    .command("help")
    .summary("print the help of a command")
    .description("Prints the help of a command, or of the program.")
    .argument("[command...]", "the command, as in: polloi help lab idle")
    .action((names: readonly string[]) => printHelp(program, names));
  suggestServe(program, "serve");
  return program;
}

/** Rejects the name of a protocol as a command, with a suggestion. */
function suggestServe(parent: Command, serve: string): void {
  for (const name of SERVED) {
    parent
      .command(name, { hidden: true })
      .argument("[more...]")
      .helpOption(false)
      .allowUnknownOption()
      .action(() =>
        parent.error(`error: unknown command '${name}' (Did you mean ${serve} ${name}?)`),
      );
  }
}

/** Prints the help of a command, or rejects a name that does not exist. */
function printHelp(program: Command, names: readonly string[]): void {
  let command = program;
  for (const name of names) {
    if (command.commands.length === 0) break;
    const next = command.commands.find((each) => each.name() === name);
    if (next === undefined) {
      const known = command.commands.map((each) => each.name());
      program.error(`error: unknown command '${name}'${didYouMean(name, known)}`);
    }
    command = next;
  }
  command.outputHelp();
}

/** Rejects an excess argument with a message that contains it, unlike that of commander. */
function rejectExcessArgument(command: Command): void {
  const { args, registeredArguments } = command;
  const excess = args[registeredArguments.length];
  if (excess === undefined || registeredArguments.at(-1)?.variadic === true) return;
  const names = registeredArguments.map((argument) => argument.name()).join(" and ");
  const several = command.name() === "serve" ? `; several are one argument: ${args.join(",")}` : "";
  command.error(
    `error: unexpected argument '${excess}': ${command.name()} takes ${names === "" ? "none" : `only ${names}`}${several}`,
  );
}

/** A message of commander, which has up to three lines, as one line in the wording of the other messages. */
function oneLine(text: string): string {
  const message = text
    .trim()
    .replace(/^error: /, "")
    .replace(/\s*\n\s*/g, " ")
    .replace(
      /^option '(?:-\w, )?(--[\w-]+)[^']*' argument ('.*') is invalid\./,
      "cannot use $2 as $1:",
    )
    .replace(
      /^command-argument value ('.*') is invalid for argument '(.*?)'\./,
      "cannot use $1 as $2:",
    );
  return `polloi: ${message}\n`;
}
