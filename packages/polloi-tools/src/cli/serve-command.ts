import { Argument, type Command, Option } from "commander";
import type { Trigger } from "polloi";
import type { AccessFormat } from "polloi/http";
import type { ModelName, Sharing } from "polloi/models";
import {
  backlog,
  children,
  DURATIONS,
  duration,
  durationOrNone,
  ENGINES,
  type HostAddress,
  listenAt,
  maxChildren,
  notEmpty,
  oneOf,
  portsFor,
  portToListen,
  protocols,
  type RequestedProtocol,
  ranges,
  unixPath,
  workers,
} from "./flags.ts";
import type { ServeFlags } from "./service.ts";

const TRIGGERS: readonly Trigger[] = ["level", "edge"];
const FORMATS: readonly AccessFormat[] = ["combined", "common", "json"];
const MODELS: readonly ModelName[] = ["blocking", "process", "thread", "prefork", "event"];
const SHARINGS: readonly Sharing[] = ["exclusive", "reuseport"];
const AT_LIMIT = ["wait", "close"] as const;

const DEFAULT_HOST: HostAddress = { host: "127.0.0.1", port: undefined };
const DEFAULT_PROTOCOLS: readonly RequestedProtocol[] = [{ protocol: "echo" }];
const EXAMPLES = `
Examples:
  polloi serve
  polloi serve discard --host 0.0.0.0 --port 9 --idle-timeout 30s
  polloi serve upper --engine epoll --trigger level
  polloi serve http                           Hello, world! on http://127.0.0.1:8080
  polloi serve http --dir . --listing         files, and a listing of each directory
  polloi serve http --access-log access.log   a line per request; SIGHUP reopens the file
  polloi serve echo:9000,http:9001            both on one reactor
  polloi serve echo --workers auto            use every processor
  polloi serve echo --model process --max-children 10
  polloi serve http --dir . --model prefork --children 4
  polloi serve http --tls-cert cert.pem --tls-key key.pem
  polloi serve echo --port 0 --json --quiet   print {"ready":true,...} with the port it got

The port of echo, upper and discard is 7788, and that of http 8080, unless --port or name:port sets another.
${DURATIONS}
Ctrl-C, SIGTERM, or Enter at the keyboard stops it. Connections then have --grace to finish; a second Ctrl-C
closes them at once.`;

/** Changes the flags of `serve` before it serves, or rejects them. */
export type PrepareFlags = (flags: ServeFlags, command: Command) => ServeFlags;

/** The flags as commander parses them. */
type ParsedFlags = Omit<ServeFlags, "host"> & { readonly host: HostAddress };

/**
 * Adds `serve`.
 *
 * @param prepare - Called with flags that are valid for `serve`.
 * @param examples - The help below the flags.
 */
export function addServe(
  parent: Command,
  exitWith: (code: number) => void,
  prepare: PrepareFlags = (flags) => flags,
  examples: string = EXAMPLES,
): Command {
  return (
    parent
      .command("serve")
      .summary("serve echo, upper, discard or http")
      .description(
        "Serves a protocol: echo sends back what it receives, upper in capitals, discard sends nothing, http serves a greeting or files.",
      )
      .addArgument(
        new Argument("[protocol]", "echo, upper, discard or http; several as echo,http")
          .argParser(protocols)
          .default(DEFAULT_PROTOCOLS, "echo"),
      )
      .addOption(
        new Option("-H, --host <host>", "address or name to listen on, or HOST:PORT")
          .argParser(listenAt)
          .default(DEFAULT_HOST, DEFAULT_HOST.host),
      )
      .option("-p, --port <port>", "port of the first protocol; 0 picks free ones", portToListen)
      .addOption(
        new Option("--unix <path>", "listen on a unix socket instead; @name is an abstract one")
          .argParser(unixPath)
          .conflicts(["host", "port"]),
      )
      .option("-d, --dir <path>", "http: serve the files of this directory", notEmpty)
      .option("--listing", "http: list directories that have no index.html")
      .option("--dotfiles", "http: serve names that begin with a dot as well")
      .option(
        "--max-age <time>",
        "http: how long clients may use a file without revalidation",
        durationOrNone,
      )
      .option(
        "--access-log <file>",
        "http: write a line per request; - is standard output",
        notEmpty,
      )
      .addOption(
        new Option("--log-format <format>", "http: format of the access log")
          .choices(FORMATS)
          .argParser(oneOf(FORMATS)),
      )
      .addOption(
        new Option("-e, --engine <engine>", "I/O engine; auto is the best that works here")
          .choices(ENGINES)
          .argParser(oneOf(ENGINES))
          .default("auto"),
      )
      .addOption(
        new Option("-t, --trigger <trigger>", "event trigger; edge needs epoll, and is its default")
          .choices(TRIGGERS)
          .argParser(oneOf(TRIGGERS)),
      )
      .option(
        "-w, --workers <count>",
        "threads that share the port, each with its own reactor; auto is one per processor",
        workers,
      )
      .addOption(
        new Option(
          "-m, --model <model>",
          "serving model: blocking serves one client at a time; process and thread start one per connection; prefork is several processes with an event loop each; event is one event loop",
        )
          .choices(MODELS)
          .argParser(oneOf(MODELS))
          .conflicts("workers"),
      )
      .option(
        "--children <count>",
        "prefork: number of processes; auto, one per processor, is the default",
        children,
      )
      .addOption(
        new Option(
          "--share <how>",
          "prefork: exclusive (the default) is one listener, and a connection wakes one process; reuseport is one listener per process",
        )
          .choices(SHARINGS)
          .argParser(oneOf(SHARINGS)),
      )
      .option(
        "--max-children <count>",
        "process, thread: maximum number at once (default: 256)",
        maxChildren,
      )
      .addOption(
        new Option(
          "--at-limit <what>",
          "process, thread: whether further connections wait (the default) or are closed",
        )
          .choices(AT_LIMIT)
          .argParser(oneOf(AT_LIMIT)),
      )
      .option("--backlog <count>", "maximum length of the accept queue (default: 4096)", backlog)
      // In this order: if the no- flag of a pair comes first, it sets the default of the other.
      .option("--delay", "let the kernel delay small packets (Nagle)")
      .option("--no-delay", "send at once: TCP_NODELAY (the default)")
      .option(
        "--idle-timeout <time>",
        "close connections that are idle for this long: 30, 500ms, 10s, 2m, 1h",
        duration,
      )
      .option(
        "--proxy-protocol [ranges]",
        "connections of these proxies begin with a PROXY header: addresses or ranges, separated by commas (default: this machine)",
        ranges,
      )
      .option("--tls-cert <file>", "serve TLS with this certificate and its chain (PEM)", notEmpty)
      .option("--tls-key <file>", "the private key of --tls-cert (PEM)", notEmpty)
      .option(
        "--grace <time>",
        "how long connections may take to finish when the server stops (default: 10s)",
        durationOrNone,
      )
      .option("-q, --quiet", "no line for each connection and message")
      .option("--json", "print lines of JSON; the first when the server is ready")
      .addHelpText("after", examples)
      .action(
        async (requested: readonly RequestedProtocol[], parsed: ParsedFlags, command: Command) => {
          const given = withPort(parsed, command);
          checkFlags(requested, given, command);
          checkModelFlags(requested, given, command);
          const flags = prepare(given, command);
          const { serve } = await import("./serve.ts");
          exitWith(await serve(requested, flags));
        },
      )
  );
}

/** The flags, with the port of `--host` if it has one. */
function withPort({ host: at, ...flags }: ParsedFlags, command: Command): ServeFlags {
  const { host, port } = at;
  if (port === undefined) return { ...flags, host };
  if (flags.port !== undefined && flags.port !== port) {
    command.error(`error: --host has port ${port}, and --port has ${flags.port}: give one`);
  }
  return { ...flags, host, port };
}

/** Rejects flags that have no effect on what is served. */
function checkFlags(
  requested: readonly RequestedProtocol[],
  flags: ServeFlags,
  command: Command,
): void {
  const names = requested.map(({ protocol }) => protocol);
  const only = (name: string, flag: unknown, fits: boolean, what: string): void => {
    if (flag !== undefined && !fits) command.error(`error: ${name} is ${what}`);
  };
  const http = names.includes("http");
  const serveHttp =
    command.parent?.name() === "trace" ? "polloi trace serve http" : "polloi serve http";
  const onlyHttp = (name: string, value: string | undefined): void =>
    only(
      name,
      value,
      http,
      `for http, and this serves ${names.join(" and ")}: ${serveHttp} ${name} ${quoted(value)}`,
    );
  onlyHttp("--dir", flags.dir);
  only("--listing", flags.listing, flags.dir !== undefined && http, "for http with --dir");
  only("--dotfiles", flags.dotfiles, flags.dir !== undefined && http, "for http with --dir");
  only("--max-age", flags.maxAge, flags.dir !== undefined && http, "for http with --dir");
  onlyHttp("--access-log", flags.accessLog);
  only("--log-format", flags.logFormat, flags.accessLog !== undefined, "for --access-log");
  const hasOther = names.some((name) => name !== "http");
  only("--delay", flags.delay || undefined, hasOther, "not for http, which fills packets itself");
  const isAlone = requested.length === 1 && requested[0]?.port === undefined;
  only("--unix", flags.unix, isAlone, "for one protocol, without a port");
  only("--proxy-protocol", flags.proxyProtocol, flags.model === undefined, "not for --model");
  only("--tls-cert", flags.tlsCert, flags.tlsKey !== undefined, "useless without --tls-key");
  only("--tls-key", flags.tlsKey, flags.tlsCert !== undefined, "useless without --tls-cert");
  const isLoop = flags.model === undefined || flags.model === "prefork" || flags.model === "event";
  only("--tls-cert", flags.tlsCert, isLoop, "for --model prefork and event");
  checkPorts(requested, flags, command);
}

/** A word of a shell's command line. */
function quoted(word = ""): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Rejects two protocols on one port, before the second finds it in use. */
function checkPorts(
  requested: readonly RequestedProtocol[],
  flags: ServeFlags,
  command: Command,
): void {
  if (flags.unix !== undefined) return;
  const ports = portsFor(requested, flags.port);
  for (const [i, port] of ports.entries()) {
    const first = ports.indexOf(port);
    if (port === 0 || first === i) continue;
    const [one, other] = [requested[first]?.protocol, requested[i]?.protocol];
    command.error(
      `error: ${one} and ${other} would both listen on port ${port}: give each its own, as in ${one}:${port},${other}:${port + 1}`,
    );
  }
}

/** Rejects flags that have no effect on the model, and protocols that it cannot serve. */
function checkModelFlags(
  requested: readonly RequestedProtocol[],
  flags: ServeFlags,
  command: Command,
): void {
  const { model } = flags;
  const only = (name: string, flag: unknown, models: readonly ModelName[]): void => {
    if (flag === undefined || (model !== undefined && models.includes(model))) return;
    command.error(`error: ${name} is for --model ${models.join(" and ")}`);
  };
  only("--children", flags.children, ["prefork"]);
  only("--share", flags.share, ["prefork"]);
  only("--max-children", flags.maxChildren, ["process", "thread"]);
  only("--at-limit", flags.atLimit, ["process", "thread"]);
  if (model === undefined) return;
  const engine = command.getOptionValueSource("engine") === "cli" ? flags.engine : undefined;
  only("--engine", engine, ["prefork", "event"]);
  only("--trigger", flags.trigger, ["prefork", "event"]);
  const hasLoop = model === "prefork" || model === "event";
  if (!hasLoop && requested.some(({ protocol }) => protocol === "http")) {
    command.error(
      `error: http needs an event loop, which --model ${model} does not have: use prefork or event`,
    );
  }
}
