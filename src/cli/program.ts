import { Argument, Command, CommanderError, Option } from "commander";
import type { ProtocolName } from "../echo/protocols.ts";
import type { EngineChoice } from "../engine/choose.ts";
import type { Trigger } from "../engine/engine.ts";
import { backlog, duration, host, portToConnect, portToListen, workers } from "./arguments.ts";
import { EXIT_FAILED, EXIT_OK, EXIT_USAGE } from "./exit-codes.ts";
import { failureLine } from "./failure.ts";
import { addLab } from "./lab-command.ts";
import type { ServeFlags } from "./serve-server.ts";

// Said here and not read from the library, which may fail to load: help and doctor must still work.
const PROTOCOLS: readonly ProtocolName[] = ["echo", "upper", "discard"];
const ENGINES: readonly EngineChoice[] = ["auto", "io_uring", "epoll", "poll", "select"];
const TRIGGERS: readonly Trigger[] = ["level", "edge"];

const DEFAULT_HOST = "127.0.0.1";
const DEFAULT_PORT = 7788;

/** The text of `polloi --help` below the list of commands. */
const EXAMPLES = `
Examples:
  polloi serve                            echo on 127.0.0.1:7788
  polloi serve upper --port 9000          answer in capitals
  polloi serve echo --host ::1 --engine poll --quiet
  polloi connect 127.0.0.1 7788           talk to it; Ctrl-D ends
  printf hi | polloi connect 127.0.0.1 7788
  polloi doctor                           what works on this machine
  polloi lab idle --quick                 what silent descriptors cost each engine`;

const SERVE_EXAMPLES = `
Examples:
  polloi serve
  polloi serve discard --host 0.0.0.0 --port 9 --idle-timeout 30s
  polloi serve upper --engine epoll --trigger level
  polloi serve echo --workers auto            use every processor
  polloi serve echo --port 0 --json --quiet   print {"ready":true,...} with the port it got

It stops on Ctrl-C, SIGTERM, or Enter at the keyboard. Connections then get what is queued for them.`;

const CONNECT_EXAMPLES = `
Examples:
  polloi connect localhost 7788
  printf 'hello' | polloi connect 127.0.0.1 7788
  polloi connect ::1 7788 < request.bin > answer.bin
  polloi connect /run/app.sock`;

/** Runs the command line. @returns The exit code. */
export async function run(args: readonly string[], version: string): Promise<number> {
  let exitCode = EXIT_OK;
  const program = buildProgram(version, (code) => {
    exitCode = code;
  });
  try {
    if (args.length === 0) program.outputHelp();
    else await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
    // Above all the library itself, where there is no FFI to call the kernel through.
    process.stderr.write(failureLine("cannot run", error));
    return EXIT_FAILED;
  }
}

function buildProgram(version: string, exitWith: (code: number) => void): Command {
  const program = new Command("polloi")
    .description("select, poll and epoll for TypeScript: servers and clients on one thread")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .addHelpText("after", EXAMPLES)
    .configureOutput({ outputError: (text, write) => write(oneLine(text)) })
    .allowExcessArguments()
    .hook("preAction", (_, command) => refuseMore(command))
    .exitOverride();
  // Commands inherit the settings above, so they come last.
  addServe(program, exitWith);
  addConnect(program, exitWith);
  program
    .command("doctor")
    .summary("tell what works on this machine, and what to do about the rest")
    .description("Tells what works on this machine, and what to do about the rest.")
    .option("--json", "print it as JSON")
    .action(async (flags: { json?: boolean }) => {
      const { doctor } = await import("./doctor.ts");
      exitWith(await doctor(version, flags.json === true));
    });
  addLab(program, version, exitWith);
  return program;
}

function addServe(program: Command, exitWith: (code: number) => void): void {
  program
    .command("serve")
    .summary("serve echo, upper or discard")
    .description(
      "Serves a protocol: echo answers what it is sent, upper answers in capitals, discard only listens.",
    )
    .addArgument(
      new Argument("[protocol]", "what to serve").choices(PROTOCOLS).default("echo" as const),
    )
    .option("-H, --host <host>", "address or name to listen on", host, DEFAULT_HOST)
    .option(
      "-p, --port <port>",
      "port to listen on; 0 picks a free one",
      portToListen,
      DEFAULT_PORT,
    )
    .addOption(
      new Option("-e, --engine <engine>", "how to wait; auto is the best that works here")
        .choices(ENGINES)
        .default("auto"),
    )
    .addOption(
      new Option(
        "-t, --trigger <trigger>",
        "when to be told; edge needs epoll, and is its default",
      ).choices(TRIGGERS),
    )
    .option(
      "-w, --workers <count>",
      "threads that share the port, each with its own reactor; auto is one for each processor",
      workers,
    )
    .option(
      "--backlog <count>",
      "connections that may wait to be accepted (default: 4096)",
      backlog,
    )
    .option("--no-delay", "send at once: TCP_NODELAY (this is the default)")
    .option("--delay", "let the kernel fill packets first (Nagle)")
    .option(
      "--idle-timeout <time>",
      "close a connection on which nothing moves for so long: 500 or 500ms, 10s, 2m, 1h",
      duration,
    )
    .option("-q, --quiet", "no line for each connection and message")
    .option("--json", "print lines of JSON, the first of them when it is ready")
    .addHelpText("after", SERVE_EXAMPLES)
    .action(async (protocol: ProtocolName, flags: ServeFlags) => {
      const { serve } = await import("./serve.ts");
      exitWith(await serve(protocol, flags));
    });
}

function addConnect(program: Command, exitWith: (code: number) => void): void {
  program
    .command("connect")
    .summary("talk to a server: standard input to it, its answer to standard output")
    .description(
      "Connects, sends standard input, and prints what comes back. At the end of input it sends no more, and prints the rest of the answer.",
    )
    .argument(
      "<host>",
      "address or name; or the path of a unix socket (/run/x, unix:x, @abstract)",
      host,
    )
    .argument("[port]", "port; none for a unix socket", portToConnect)
    .addHelpText("after", CONNECT_EXAMPLES)
    .action(async (where: string, port: number | undefined, _flags: object, command: Command) => {
      const path = unixPath(where);
      if (path === undefined && port === undefined) {
        command.error(`error: missing port: give one from 1 to 65535 after '${where}'`);
      }
      if (path !== undefined && port !== undefined) {
        command.error(`error: '${where}' is a unix socket, and has no port: leave out ${port}`);
      }
      const { connectTo } = await import("./connect.ts");
      exitWith(await connectTo(path === undefined ? { host: where, port: port ?? 0 } : { path }));
    });
}

/** Refuses an argument too many by its name, which commander does not tell. */
function refuseMore(command: Command): void {
  const { args, registeredArguments } = command;
  const more = args[registeredArguments.length];
  if (more === undefined) return;
  const takes = registeredArguments.map((argument) => argument.name()).join(" and ");
  command.error(
    `error: unexpected argument '${more}': ${command.name()} takes ${takes === "" ? "none" : `only ${takes}`}`,
  );
}

/** The path that `where` means, when it means a unix socket; an abstract name is written as ss(8) does. */
function unixPath(where: string): string | undefined {
  if (where.startsWith("unix:")) return abstractName(where.slice("unix:".length));
  return where.includes("/") || where.startsWith("@") ? abstractName(where) : undefined;
}

function abstractName(path: string): string {
  return path.startsWith("@") ? `\0${path.slice(1)}` : path;
}

/** What commander says in up to three lines, in one. */
function oneLine(text: string): string {
  const said = text
    .trim()
    .replace(/^error: /, "")
    .replace(/\s*\n\s*/g, " ");
  return `polloi: ${said}\n`;
}
