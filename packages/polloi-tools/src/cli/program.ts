import { Argument, Command, CommanderError, Option, type OutputConfiguration } from "commander";
import type { EngineChoice, Trigger } from "polloi";
import type { AccessFormat } from "polloi/http";
import {
  type Address,
  address,
  backlog,
  DURATIONS,
  duration,
  durationOrNone,
  type HostAddress,
  listenAt,
  notEmpty,
  oneOf,
  portToConnect,
  portToListen,
  protocols,
  SERVED,
  unixPath,
  workers,
} from "./arguments.ts";
import type { Destination } from "./connect.ts";
import { EXIT_FAILED, EXIT_OK, EXIT_PIPE, EXIT_USAGE } from "./exit-codes.ts";
import { failureLine } from "./failure.ts";
import { addLab } from "./lab-command.ts";
import { addLoad } from "./load-command.ts";
import { refuseUnfitModel, withModelFlags } from "./model-flags.ts";
import { complain, OutputError, print } from "./output.ts";
import { type Asked, portsFor, type ServeFlags } from "./serve-flags.ts";
import { didYouMean } from "./suggest.ts";
import { addTrace, type PrepareFlags } from "./trace-command.ts";

// Said here and not read from the library, which may fail to load: help and doctor must still work.
const ENGINES: readonly EngineChoice[] = ["auto", "io_uring", "epoll", "poll", "select"];
const TRIGGERS: readonly Trigger[] = ["level", "edge"];
const FORMATS: readonly AccessFormat[] = ["combined", "common", "json"];

const DEFAULT_HOST: HostAddress = { host: "127.0.0.1", port: undefined };
const DEFAULT_PROTOCOLS: readonly Asked[] = [{ protocol: "echo" }];

/** The text of `polloi --help` below the list of commands. */
const EXAMPLES = `
Examples:
  polloi serve                            echo on 127.0.0.1:7788
  polloi serve http --dir public          the files in public on http://127.0.0.1:8080
  polloi serve echo --host ::1 --engine poll --quiet
  polloi connect 127.0.0.1:7788           talk to it; Ctrl-D ends
  printf hi | polloi connect 127.0.0.1:7788
  polloi load tcp://127.0.0.1:7788        ask it over 100 connections, and compare
  polloi doctor                           what works on this machine
  polloi trace serve echo                 each turn of the loop and each call, as it happens
  polloi lab idle --quick                 what silent descriptors cost each engine
  polloi help serve                       the flags of one command

In a project that has polloi among its dependencies: npx polloi.
Messages go to standard error. The exit code is 0 when all went well, 1 when something failed, 2 for a wrong
command line, 130 for a measurement that Ctrl-C has ended, and 141 when nobody reads the output any more.`;

const SERVE_EXAMPLES = `
Examples:
  polloi serve
  polloi serve discard --host 0.0.0.0 --port 9 --idle-timeout 30s
  polloi serve upper --engine epoll --trigger level
  polloi serve http                           Hello, world! on http://127.0.0.1:8080
  polloi serve http --dir . --listing         files, and what is in each directory
  polloi serve http --access-log access.log   a line for each request; SIGHUP opens the file anew
  polloi serve echo:9000,http:9001            both on one reactor
  polloi serve echo --workers auto            use every processor
  polloi serve echo --model process --max-children 10
  polloi serve http --dir . --model prefork --children 4
  polloi serve echo --port 0 --json --quiet   print {"ready":true,...} with the port it got

echo is on port 7788, as upper and discard are, and http on 8080, unless --port or name:port says otherwise.
${DURATIONS}
It stops on Ctrl-C, SIGTERM, or Enter at the keyboard. Connections then get what is queued for them, for as long
as --grace says; a second Ctrl-C waits no longer.`;

const CONNECT_EXAMPLES = `
Examples:
  polloi connect localhost 7788
  printf 'hello' | polloi connect 127.0.0.1:7788
  polloi connect '[::1]:7788' < request.bin > answer.bin
  polloi connect tcp://localhost:7788
  polloi connect /run/app.sock

When the server has ended its half, input goes on being sent, until it ends or nothing comes for 5 seconds.`;

/** Where help and refusals go; what a command prints goes to the process in any case. */
export type Output = Pick<OutputConfiguration, "writeOut" | "writeErr">;

/** The flags of `serve` as commander has them. */
type GivenFlags = Omit<ServeFlags, "host"> & { readonly host: HostAddress };

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
    // Above all the library itself, where there is no FFI to call the kernel through.
    complain(failureLine("cannot run", error));
    return EXIT_FAILED;
  }
}

/** @returns The exit code when commander has ended the command itself: it has printed help or a refusal. */
async function parse(program: Command, args: readonly string[]): Promise<number | undefined> {
  try {
    if (args.length === 0) program.outputHelp();
    else await program.parseAsync(args, { from: "user" });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  }
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
  addLoad(program, ENGINES, exitWith);
  addLab(program, version, exitWith);
  addTrace(program, (trace, prepare) => addServe(trace, exitWith, prepare, ""));
  program
    .command("help")
    .summary("print the help of a command")
    .description("Prints the help of a command, or of all.")
    .argument("[command...]", "the command, as in: polloi help lab idle")
    .action((names: readonly string[]) => printHelp(program, names));
  for (const name of SERVED) {
    program
      .command(name, { hidden: true })
      .argument("[more...]")
      .helpOption(false)
      .allowUnknownOption()
      .action(() =>
        program.error(`error: unknown command '${name}' (Did you mean serve ${name}?)`),
      );
  }
  return program;
}

/** Prints the help of the command that is named, or refuses a name that is none. */
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

/**
 * @param prepare - What is to be done to the flags, once they fit what is served.
 * @param examples - What its help says below the flags.
 */
function addServe(
  parent: Command,
  exitWith: (code: number) => void,
  prepare: PrepareFlags = (flags) => flags,
  examples = SERVE_EXAMPLES,
): Command {
  const serve = parent
    .command("serve")
    .summary("serve echo, upper, discard or http")
    .description(
      "Serves a protocol: echo answers what it is sent, upper answers in capitals, discard only listens, http says hello or serves files.",
    )
    .addArgument(
      new Argument("[protocol]", "what to serve: echo, upper, discard, http; several as echo,http")
        .argParser(protocols)
        .default(DEFAULT_PROTOCOLS, "echo"),
    )
    .addOption(
      new Option("-H, --host <host>", "address or name to listen on; HOST:PORT sets the port too")
        .argParser(listenAt)
        .default(DEFAULT_HOST, DEFAULT_HOST.host),
    )
    .option(
      "-p, --port <port>",
      "port to listen on, of the first where several protocols are served; 0 picks free ones",
      portToListen,
    )
    .addOption(
      new Option("--unix <path>", "listen on a unix socket instead; @name is an abstract one")
        .argParser(unixPath)
        .conflicts(["host", "port"]),
    )
    .option("-d, --dir <path>", "http: serve the files of this directory", notEmpty)
    .option("--listing", "http: show what is in a directory that has no index.html")
    .option("--dotfiles", "http: serve names that begin with a dot as well")
    .option(
      "--max-age <time>",
      "http: let clients use a file for this long without asking again",
      durationOrNone,
    )
    .option(
      "--access-log <file>",
      "http: write a line for each request; - is standard output",
      notEmpty,
    )
    .addOption(
      new Option("--log-format <format>", "http: how a line looks")
        .choices(FORMATS)
        .argParser(oneOf(FORMATS)),
    )
    .addOption(
      new Option("-e, --engine <engine>", "how to wait; auto is the best that works here")
        .choices(ENGINES)
        .argParser(oneOf(ENGINES))
        .default("auto"),
    )
    .addOption(
      new Option("-t, --trigger <trigger>", "when to be told; edge needs epoll, and is its default")
        .choices(TRIGGERS)
        .argParser(oneOf(TRIGGERS)),
    )
    .option(
      "-w, --workers <count>",
      "threads that share the port, each with its own reactor; auto is one for each processor",
      workers,
    );
  return (
    withModelFlags(serve)
      .option(
        "--backlog <count>",
        "connections that may wait to be accepted (default: 4096)",
        backlog,
      )
      // In this order: the first of a pair that is a no- would make the other the default.
      .option("--delay", "let the kernel fill packets first (Nagle)")
      .option("--no-delay", "send at once: TCP_NODELAY (this is the default)")
      .option(
        "--idle-timeout <time>",
        "close a connection on which nothing moves for this long: 30, 500ms, 10s, 2m, 1h",
        duration,
      )
      .option(
        "--grace <time>",
        "when it is stopped: how long connections may take to finish (default: 10s)",
        durationOrNone,
      )
      .option("-q, --quiet", "no line for each connection and message")
      .option("--json", "print lines of JSON, the first of them when it is ready")
      .addHelpText("after", examples)
      .action(async (asked: readonly Asked[], given: GivenFlags, command: Command) => {
        const serving = withPort(given, command);
        refuseUnfit(asked, serving, command);
        refuseUnfitModel(asked, serving, command);
        const flags = prepare(serving, command);
        const { serve } = await import("./serve.ts");
        exitWith(await serve(asked, flags));
      })
  );
}

/** The flags of `serve`, with the port that `--host` may have brought. */
function withPort({ host: at, ...flags }: GivenFlags, command: Command): ServeFlags {
  const { host, port } = at;
  if (port === undefined) return { ...flags, host };
  if (flags.port !== undefined && flags.port !== port) {
    command.error(`error: --host says port ${port}, and --port says ${flags.port}: give one`);
  }
  return { ...flags, host, port };
}

/** Refuses two protocols on one port: the second would find it taken, by the first. */
function refuseSharedPort(asked: readonly Asked[], flags: ServeFlags, command: Command): void {
  if (flags.unix !== undefined) return;
  const ports = portsFor(asked, flags.port);
  for (const [i, port] of ports.entries()) {
    const first = ports.indexOf(port);
    if (port === 0 || first === i) continue;
    const [one, other] = [asked[first]?.protocol, asked[i]?.protocol];
    command.error(
      `error: ${one} and ${other} would both listen on port ${port}: give each its own, as in ${one}:${port},${other}:${port + 1}`,
    );
  }
}

/** Refuses flags that nothing which is served has a use for. */
function refuseUnfit(asked: readonly Asked[], flags: ServeFlags, command: Command): void {
  const names = asked.map(({ protocol }) => protocol);
  const only = (name: string, flag: unknown, fits: boolean, what: string): void => {
    if (flag !== undefined && !fits) command.error(`error: ${name} is ${what}`);
  };
  const http = names.includes("http");
  const forHttp = `for http, and this serves ${names.join(" and ")}: polloi serve http`;
  only("--dir", flags.dir, http, forHttp);
  only("--listing", flags.listing, flags.dir !== undefined && http, "for http with --dir");
  only("--dotfiles", flags.dotfiles, flags.dir !== undefined && http, "for http with --dir");
  only("--max-age", flags.maxAge, flags.dir !== undefined && http, "for http with --dir");
  only("--access-log", flags.accessLog, http, forHttp);
  only("--log-format", flags.logFormat, flags.accessLog !== undefined, "for --access-log");
  const plain = names.some((name) => name !== "http");
  only("--delay", flags.delay || undefined, plain, "not for http, which fills packets by itself");
  const alone = asked.length === 1 && asked[0]?.port === undefined;
  only("--unix", flags.unix, alone, "for one protocol, without a port");
  refuseSharedPort(asked, flags, command);
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
      "HOST, HOST:PORT or tcp://HOST:PORT; or the path of a unix socket (/run/x, unix:x, @abstract)",
      address,
    )
    .argument("[port]", "port, where the host has none; a unix socket has none", portToConnect)
    .addHelpText("after", CONNECT_EXAMPLES)
    .action(async (at: Address, port: number | undefined, _flags: object, command: Command) => {
      const destination = destinationOf(at, port, command);
      const { connectTo } = await import("./connect.ts");
      exitWith(await connectTo(destination));
    });
}

/** Puts together what two arguments say about one destination. */
function destinationOf(at: Address, port: number | undefined, command: Command): Destination {
  const where = command.args[0];
  if (at.path !== undefined) {
    if (port !== undefined) {
      command.error(`error: '${where}' is a unix socket, and has no port: leave out ${port}`);
    }
    return { path: at.path };
  }
  if (at.port !== undefined && port !== undefined) {
    command.error(`error: '${where}' has a port already: leave out ${port}`);
  }
  const wanted = at.port ?? port;
  if (wanted === undefined) {
    command.error(`error: missing port: give one from 1 to 65535 after '${where}'`);
  }
  if (wanted === 0) {
    command.error(`error: '${where}' has port 0: a port to connect to is from 1 to 65535`);
  }
  return { host: at.host, port: wanted };
}

/** Refuses an argument too many by its name, which commander does not tell. */
function refuseMore(command: Command): void {
  const { args, registeredArguments } = command;
  const more = args[registeredArguments.length];
  if (more === undefined || registeredArguments.at(-1)?.variadic === true) return;
  const takes = registeredArguments.map((argument) => argument.name()).join(" and ");
  const several = command.name() === "serve" ? `; several are one argument: ${args.join(",")}` : "";
  command.error(
    `error: unexpected argument '${more}': ${command.name()} takes ${takes === "" ? "none" : `only ${takes}`}${several}`,
  );
}

/** What commander says in up to three lines, in one. */
function oneLine(text: string): string {
  const said = text
    .trim()
    .replace(/^error: /, "")
    .replace(/\s*\n\s*/g, " ");
  return `polloi: ${said}\n`;
}
