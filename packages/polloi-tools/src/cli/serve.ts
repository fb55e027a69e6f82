import { readFileSync } from "node:fs";
import {
  type EngineChoice,
  type EngineName,
  probeEngines,
  Reactor,
  type Reporting,
  type SysError,
} from "polloi";
import { DEFAULT_GRACE_MS, kernel } from "polloi/internal";
import { EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE } from "./exit-codes.ts";
import { engineFailureLine, failureLine, hintLine, isMisuse } from "./failure.ts";
import { Keyboard } from "./keyboard.ts";
import { complain } from "./output.ts";
import type { RunningServer } from "./running-server.ts";
import { type Asked, portsFor, type ServeFlags } from "./serve-flags.ts";
import { humanReport, jsonReport, type ServeReport } from "./serve-report.ts";
import { openServer } from "./serve-server.ts";
import type { Tracing } from "./trace.ts";

/** A signal so soon after another is the same: npm passes on what the terminal has sent to both. */
const SAME_SIGNAL_MS = 250;

/** `polloi serve`: serves until it is told to stop. @returns The exit code. */
export async function serve(asked: readonly Asked[], flags: ServeFlags): Promise<number> {
  const { quiet = false, json = false } = flags;
  const report = json ? jsonReport(quiet) : humanReport(quiet);
  const servers: RunningServer[] = [];
  // Before anything is opened: a signal that comes while children start must leave no socket file behind.
  const request = new StopRequest(servers);
  // With an access log, SIGHUP opens the log anew.
  if (flags.accessLog === undefined && !ignoresHangups()) request.stopsOn("SIGHUP");
  let reactor: Reactor | undefined;
  let tracing: Tracing | undefined;
  let what = "";
  try {
    // With workers it is there for the keyboard, and to say at once what is wrong with the flags.
    reactor = new Reactor({ engine: flags.engine, trigger: flags.trigger });
    if (flags.trace !== undefined) {
      const { engine } = reactor;
      reactor.close();
      const { startTrace } = await import("./trace.ts");
      tracing = startTrace(kernel, flags.trace, json);
      // Which engine is the best was found out before: trying the others is not what is to be shown.
      reactor = new Reactor({ engine, trigger: flags.trigger, kernel: tracing.kernel });
    }
    for (const [i, port] of portsFor(asked, flags.port).entries()) {
      const { protocol } = asked[i] as Asked;
      what = `cannot serve ${protocol} on ${flags.unix ?? `${flags.host} port ${port}`}`;
      servers.push(await openServer(reactor, { protocol, port }, flags, report, tracing?.kernel));
      if (request.isMade) break;
    }
    request.isOpening = false;
    tracing?.ended.then(request.make);
    await serveUntilStopped(reactor, servers, flags, report, request);
    report.stopped(
      servers.map((server) => ({ protocol: server.place.protocol, ...server.served() })),
    );
    return EXIT_OK;
  } catch (error) {
    // Of several, some may be running.
    await Promise.allSettled(servers.map((server) => server.stop(0)));
    if (isMisuse(error)) {
      complain(`polloi: ${error.message}\n`);
      return EXIT_USAGE;
    }
    if (reactor === undefined) {
      complain(engineFailureLine(flags.engine, error));
      return EXIT_FAILED;
    }
    // All else that fails is about the address.
    const { dir, accessLog, trace } = flags;
    const { path } = error as NodeJS.ErrnoException;
    const { syscall, address } = error as SysError;
    if (accessLog !== undefined && syscall === "open" && address === accessLog) {
      what = `cannot write the access log ${accessLog}`;
    } else if (trace?.output !== undefined && path === trace.output) {
      what = `cannot write the trace to ${path}`;
    } else if (dir !== undefined && syscall === "open") {
      what = `cannot serve the files of ${dir}`;
    }
    complain(failureLine(what, error) + hintLine(error));
    return EXIT_FAILED;
  } finally {
    reactor?.close();
    tracing?.end();
  }
}

/** The request to stop: a signal, Enter, or the end of a trace. */
class StopRequest {
  /** Resolves with the reason. */
  readonly made: Promise<string>;
  /** Whether servers are still being opened. */
  isOpening = true;
  readonly #servers: readonly RunningServer[];
  #madeAt = Number.POSITIVE_INFINITY;
  #resolve: (reason: string) => void = () => {};

  /** @param servers - Those that a second signal cuts off. */
  constructor(servers: readonly RunningServer[]) {
    this.#servers = servers;
    this.made = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.stopsOn("SIGINT");
    this.stopsOn("SIGTERM");
  }

  /** The handler stays: until the process has ended, one more signal must not kill it half-way. */
  stopsOn(signal: NodeJS.Signals): void {
    process.on(signal, this.#onSignal);
  }

  get isMade(): boolean {
    return this.#madeAt !== Number.POSITIVE_INFINITY;
  }

  /** Makes the request; a later reason is ignored. */
  readonly make = (reason: string): void => {
    this.#madeAt = Math.min(this.#madeAt, performance.now());
    this.#resolve(reason);
  };

  readonly #onSignal = (signal: string): void => {
    const isSecond = performance.now() - this.#madeAt > SAME_SIGNAL_MS;
    this.make(signal);
    if (!isSecond) return;
    if (this.isOpening) process.exit(EXIT_INTERRUPTED);
    for (const server of this.#servers) server.abort();
  };
}

/** Whether the process was started with SIGHUP ignored, as by nohup(1): a handler would undo that. */
function ignoresHangups(): boolean {
  const [, mask] = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return mask !== undefined && (BigInt(`0x${mask}`) & 1n) === 1n;
}

async function serveUntilStopped(
  reactor: Reactor,
  servers: readonly RunningServer[],
  flags: ServeFlags,
  report: ServeReport,
  request: StopRequest,
): Promise<void> {
  using keyboard = new Keyboard(reactor, kernel, () => request.make("Enter"));
  const { engine, trigger } = reactor;
  const why = `${howText(trigger)}: ${whyEngine(engine, flags.engine)}`;
  if (!request.isMade) {
    report.listening(
      servers.map(({ place }) => ({ ...place, engine, why })),
      keyboard.listening,
    );
  }
  report.stopping(await Promise.race([request.made, ...servers.map(({ failed }) => failed)]));
  keyboard[Symbol.dispose]();
  await Promise.all(servers.map((server) => server.stop(flags.grace ?? DEFAULT_GRACE_MS)));
}

function howText(trigger: Reporting): string {
  return trigger === "completion" ? "by completions" : `${trigger}-triggered`;
}

function whyEngine(engine: EngineName, asked: EngineChoice): string {
  if (asked !== "auto") return `asked for by --engine ${asked}`;
  const broken = probeEngines(kernel).filter(({ works }) => !works);
  if (broken.length === 0 || broken.every(({ name }) => name === engine)) {
    return "the best of those that work here";
  }
  const reasons = broken.map(({ name, reason }) => `${name}: ${reason}`);
  return `the best of those that work here (not ${reasons.join("; not ")})`;
}
