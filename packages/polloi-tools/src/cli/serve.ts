import { readFileSync } from "node:fs";
import {
  type EngineChoice,
  type EngineName,
  probeEngines,
  Reactor,
  type Reporting,
  type SysError,
} from "polloi";
import {
  DEFAULT_GRACE_MS,
  exitText,
  type Kernel,
  kernel,
  recoveredText,
  unresponsiveText,
  workerCount,
} from "polloi/internal";
import type { ChildExit, ModelName, ModelServer } from "polloi/models";
import { resolve, type SocketAddress } from "polloi/socket";
import type { WorkerExit, WorkerPool } from "polloi/workers";
import {
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_OK,
  EXIT_USAGE,
  engineErrorLine,
  errorLine,
  hintLine,
  isMisuse,
  misuseLine,
} from "./errors.ts";
import { portsFor, type RequestedProtocol, type ServedName } from "./flags.ts";
import { complain } from "./output.ts";
import {
  jsonOutput,
  type ServeOutput,
  type ServerInfo,
  type Totals,
  textOutput,
  type WorkerTotals,
} from "./serve-output.ts";
import { type ListenAddress, reportAcceptError, type ServeFlags, type Service } from "./service.ts";
import { StopRequest } from "./signals.ts";
import { watchForEnter } from "./stdin.ts";
import type { Tracing } from "./trace.ts";

/** A server of `polloi serve`. */
interface Server {
  readonly info: ServerInfo;
  /** Rejects when it cannot continue. */
  readonly failed: Promise<never>;
  totals(): Totals;
  stop(graceMs: number): Promise<void>;
}

/** `polloi serve`: serves until it is asked to stop. @returns The exit code. */
export async function serve(
  requested: readonly RequestedProtocol[],
  flags: ServeFlags,
): Promise<number> {
  const { quiet = false, json = false } = flags;
  const output = json ? jsonOutput(quiet) : textOutput(quiet);
  const servers: Server[] = [];
  let isStarting = true;
  // Before anything is opened: a signal that arrives while children start must leave no socket file behind.
  const request = new StopRequest(() => {
    if (isStarting) process.exit(EXIT_INTERRUPTED);
    for (const server of servers) void server.stop(0);
  });
  // With an access log, SIGHUP reopens the log.
  if (flags.accessLog === undefined && !isHangupIgnored()) request.listenTo("SIGHUP");
  let reactor: Reactor | undefined;
  let tracing: Tracing | undefined;
  let what = "";
  try {
    // With workers, the reactor watches the keyboard, and finds wrong flags before workers are started.
    reactor = new Reactor({ engine: flags.engine, trigger: flags.trigger });
    if (flags.trace !== undefined) {
      const { engine } = reactor;
      reactor.close();
      const { startTrace } = await import("./trace.ts");
      tracing = startTrace(kernel, flags.trace, json);
      // With the engine that was chosen before, so that the trace does not contain the choice.
      reactor = new Reactor({ engine, trigger: flags.trigger, kernel: tracing.kernel });
    }
    for (const [i, port] of portsFor(requested, flags.port).entries()) {
      const { protocol } = requested[i] as RequestedProtocol;
      what = `cannot serve ${protocol} on ${flags.unix ?? `${flags.host} port ${port}`}`;
      const address = await resolveAddress(flags, port);
      const service = await loadService(protocol, flags, output, tracing?.kernel);
      servers.push(await openServer(reactor, service, address, flags));
      if (request.isMade) break;
    }
    isStarting = false;
    tracing?.ended.then(request.make);
    await serveUntilStopped(reactor, servers, flags, output, request);
    output.stopped(servers.map(({ info, totals }) => ({ protocol: info.protocol, ...totals() })));
    return EXIT_OK;
  } catch (error) {
    await Promise.allSettled(servers.map((server) => server.stop(0)));
    if (isMisuse(error)) {
      complain(misuseLine(error));
      return EXIT_USAGE;
    }
    if (reactor === undefined) {
      complain(engineErrorLine(flags.engine, error));
      return EXIT_FAILED;
    }
    complain(errorLine(whatFailed(error, flags) ?? what, error) + hintLine(error));
    return EXIT_FAILED;
  } finally {
    reactor?.close();
    tracing?.end();
  }
}

/** The operation that failed, for errors that do not concern the address. */
function whatFailed(error: unknown, flags: ServeFlags): string | undefined {
  const { dir, accessLog, trace, tlsCert, tlsKey } = flags;
  const { path } = error as NodeJS.ErrnoException;
  if (path !== undefined && path === tlsCert) return `cannot read the certificate ${path}`;
  if (path !== undefined && path === tlsKey) return `cannot read the key ${path}`;
  const { syscall, address } = error as SysError;
  if (accessLog !== undefined && syscall === "open" && address === accessLog) {
    return `cannot write the access log ${accessLog}`;
  }
  if (trace?.output !== undefined && path === trace.output) {
    return `cannot write the trace to ${path}`;
  }
  return dir !== undefined && syscall === "open" ? `cannot serve the files of ${dir}` : undefined;
}

/** Whether the process was started with SIGHUP ignored, as by nohup(1). A handler would undo that. */
function isHangupIgnored(): boolean {
  const [, mask] = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return mask !== undefined && (BigInt(`0x${mask}`) & 1n) === 1n;
}

async function serveUntilStopped(
  reactor: Reactor,
  servers: readonly Server[],
  flags: ServeFlags,
  output: ServeOutput,
  request: StopRequest,
): Promise<void> {
  using input = watchForEnter(reactor, kernel, () => request.make("Enter"));
  const { engine, trigger } = reactor;
  const why = `${triggerText(trigger)}: ${whyEngine(engine, flags.engine)}`;
  if (!request.isMade) {
    const infos = servers.map(({ info }) => info);
    output.listening(infos, { engine, why }, input !== undefined);
  }
  output.stopping(await Promise.race([request.made, ...servers.map(({ failed }) => failed)]));
  input?.[Symbol.dispose]();
  await Promise.all(servers.map((server) => server.stop(flags.grace ?? DEFAULT_GRACE_MS)));
}

function triggerText(trigger: Reporting): string {
  return trigger === "completion" ? "completion-based" : `${trigger}-triggered`;
}

function whyEngine(engine: EngineName, requested: EngineChoice): string {
  if (requested !== "auto") return `selected by --engine ${requested}`;
  const broken = probeEngines(kernel).filter(({ works }) => !works);
  if (broken.length === 0 || broken.every(({ name }) => name === engine)) {
    return "the best that works here";
  }
  const reasons = broken.map(({ name, reason }) => `${name}: ${reason}`);
  return `the best that works here (not ${reasons.join("; not ")})`;
}

async function resolveAddress(
  { host, unix, backlog }: ServeFlags,
  port: number,
): Promise<ListenAddress> {
  const options = backlog === undefined ? {} : { backlog };
  if (unix !== undefined) return { path: unix, ...options };
  const [{ address }] = await resolve(host);
  // "::" stands for every address, including those of IPv4.
  return { host: address, port, dualStack: address === "::", ...options };
}

/** Loads a service. Each is loaded only when it is served, so that the command starts quickly. */
async function loadService(
  protocol: ServedName,
  flags: ServeFlags,
  { observer, requestObserver }: ServeOutput,
  kernel: Kernel | undefined,
): Promise<Service> {
  if (protocol === "http") {
    const { httpService } = await import("./serve-http.ts");
    return httpService(flags, requestObserver, kernel);
  }
  const { echoService } = await import("./serve-echo.ts");
  return echoService(protocol, flags, observer);
}

/** Starts a server in the way that the flags select. */
async function openServer(
  reactor: Reactor,
  service: Service,
  address: ListenAddress,
  flags: ServeFlags,
): Promise<Server> {
  const { protocol, dir } = service;
  const info = (bound: SocketAddress | null): ServerInfo => ({
    ...addressInfo(protocol, bound),
    ...(dir === undefined ? {} : { dir }),
    ...(flags.tlsCert === undefined ? {} : { tls: true }),
  });
  if (flags.workers !== undefined) {
    const { startWorkers } = await import("polloi/workers");
    const workers = workerCount(flags.workers);
    const { counts, ...child } = await service.onWorkers(workers);
    const pool = await startWorkers({
      ...child,
      workers,
      listen: address,
      engine: flags.engine,
      trigger: flags.trigger,
      exited: reportExit,
      unresponsive: (worker) => reportUnresponsive(unresponsiveText(worker), true),
      recovered: (worker) => complain(`polloi: ${recoveredText(worker)}\n`),
    });
    return {
      info: { ...info(pool.address), workers },
      failed: rejectionOf(pool.finished),
      totals: () => ({ counts: counts(pool), workers: workerTotals(pool) }),
      stop: (graceMs) => pool.stop(graceMs),
    };
  }
  if (flags.model !== undefined) {
    const { serveModel } = await import("polloi/models");
    const { model } = flags;
    const hasLoop = model === "prefork" || model === "event";
    const { counts, started, ...child } = await service.byModel();
    const server = await serveModel({
      ...child,
      model,
      listen: address,
      ...(hasLoop ? { engine: flags.engine, trigger: flags.trigger } : {}),
      ...(model === "event" ? { reactor } : {}),
      children: flags.children,
      sharing: flags.share,
      maxChildren: flags.maxChildren,
      atLimit: flags.atLimit,
      noDelay: flags.delay !== true,
      exited: reportExit,
      unresponsive: (child) => reportUnresponsive(unresponsiveText(child), model === "prefork"),
      recovered: (child) => complain(`polloi: ${recoveredText(child)}\n`),
      limitReached: (limit) => reportLimit(model, limit, flags.atLimit),
      acceptError: reportAcceptError,
    });
    started?.(server);
    return {
      info: { ...info(server.address), model: { name: model, text: modelText(server, flags) } },
      failed: rejectionOf(server.finished),
      totals: () => ({ counts: counts(server) }),
      stop: (graceMs) => server.stop(graceMs),
    };
  }
  const server = await service.onReactor(reactor, address);
  return {
    info: info(server.address),
    failed: new Promise(() => {}),
    totals: () => ({ counts: server.counts() }),
    stop: (graceMs) => server.stop(graceMs),
  };
}

/** A promise that only ever rejects. */
function rejectionOf(finished: Promise<unknown>): Promise<never> {
  return finished.then(() => new Promise(() => {}));
}

function addressInfo(protocol: ServedName, address: SocketAddress | null): ServerInfo {
  const { address: host = "", port = -1, path } = address ?? {};
  if (path === undefined) return { protocol, host, port };
  return { protocol, path: path.toString().replace(/^\0/, "@") };
}

function workerTotals({ workers, balance }: WorkerPool): WorkerTotals {
  return {
    connections: workers.map(({ accepted }) => accepted),
    balance: Number.isFinite(balance) ? balance : null,
  };
}

/** A description of a serving model with its settings. */
function modelText(
  { model, children }: ModelServer,
  { share = "exclusive", maxChildren = 256, atLimit = "wait" }: ServeFlags,
): string {
  const limit = `at most ${maxChildren} at once; further connections ${atLimit === "wait" ? "wait" : "are closed"}`;
  const listeners = share === "exclusive" ? "on one listener" : "each with its own listener";
  const texts: Readonly<Record<ModelName, string>> = {
    blocking: "one client at a time, with blocking calls; further connections wait",
    process: `a process per connection, ${limit}`,
    thread: `a thread per connection, ${limit}`,
    prefork: `${children.length} processes, ${listeners}, each with an event loop`,
    event: "one event loop for all connections",
  };
  return texts[model];
}

function reportExit(exit: WorkerExit | ChildExit): void {
  complain(errorLine(exitText(exit, exit), exit.error));
}

function reportUnresponsive(text: string, isExcluded: boolean): void {
  const rest = isExcluded ? ", and gets no new connections until it does" : "";
  complain(`polloi: ${text}${rest}\n`);
}

function reportLimit(model: ModelName, limit: number, atLimit: string | undefined): void {
  const [one, many] = model === "process" ? ["process", "processes"] : ["thread", "threads"];
  const all = limit === 1 ? `the one ${one} is` : `all ${limit} ${many} are`;
  const rest = atLimit === "close" ? "are closed at once" : "wait until one ends";
  complain(
    `polloi: ${all} busy: further connections ${rest}\nhint: --max-children raises the limit\n`,
  );
}
