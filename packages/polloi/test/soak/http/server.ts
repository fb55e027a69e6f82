/** The HTTP servers of the soak test: five on one reactor. One with a handler, one with fetch, three with limits. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import {
  type AccessEntry,
  AccessLog,
  type HttpOptions,
  type HttpServer,
  serve,
} from "../../../src/http/index.ts";
import { type EngineChoice, Reactor, type Trigger } from "../../../src/index.ts";
import { loopOf } from "../../../src/reactor/reactor.ts";
import { assertReactorBalance, leftIn } from "../../support/balance.ts";
import type { ServerState } from "../state.ts";
import { content, FILE_SIZES } from "./content.ts";
import { fetchRoutes } from "./fetch-routes.ts";
import { HASTY, NARROW, STRICT } from "./limits.ts";
import { isAwaited, Planned, Routes } from "./routes.ts";

const [engine, trigger] = process.argv.slice(2) as [EngineChoice, Trigger | "none"];
const reactor = new Reactor({ engine, trigger: trigger === "none" ? undefined : trigger });
/** The longest that a stop may take. Only idle connections are left, and some that it does not wait for. */
const STOPS_MS = 5000;
const failures: string[] = [];
const counted: Record<string, number> = {};
let bytes = 0;
let entries = 0;

function count(what: string): void {
  counted[what] = (counted[what] ?? 0) + 1;
}

function failed(what: string): void {
  if (failures.length < 20) failures.push(what);
}

for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (error) => failed(`${event}: ${(error as Error | undefined)?.stack ?? error}`));
}
process.on("warning", (warning) => failed(`${warning.name}: ${warning.message}`));

const dir = mkdtempSync(join(tmpdir(), "polloi-soak-"));
process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
for (const size of FILE_SIZES) writeFileSync(join(dir, `${size}.bin`), content(size, size));
const logPath = join(dir, ".log");
const file = new AccessLog({ to: logPath });

const log = {
  write(entry: AccessEntry): void {
    entries++;
    bytes += entry.bytes;
    file.write(entry);
    const { request, status } = entry;
    if (request === null || !isAwaited(request.header("soak"))) return;
    count("answered");
    if (status === 499) failed(`the client of ${request.target} is said to have left`);
  },
};

const routes = new Routes(dir, () => count("upgraded"));
const shared: HttpOptions = {
  host: "127.0.0.1",
  port: 0,
  backlog: 4096,
  reactor,
  log,
  error(error) {
    if (!(error instanceof Planned)) failed((error as Error | undefined)?.stack ?? String(error));
    else if (error.isAwaited) count("thrown");
  },
};
const servers: readonly HttpServer[] = [
  serve({ ...shared, handler: routes.answer, maxBodyBytes: 2 ** 21 }),
  serve({ ...shared, fetch: fetchRoutes(() => count("upgraded")), maxBodyBytes: 2 ** 21 }),
  serve({ ...shared, ...STRICT, handler: routes.answer }),
  serve({ ...shared, ...HASTY, handler: routes.answer }),
  serve({ ...shared, ...NARROW, handler: routes.answer }),
];

function state(): ServerState {
  (globalThis as { gc?: () => void }).gc?.();
  const refused: Record<string, number> = {};
  // The first two servers receive requests of all kinds, so they reject them for any reason.
  for (const { counts } of servers.slice(2)) {
    for (const [code, times] of Object.entries(counts.refused)) {
      refused[code] = (refused[code] ?? 0) + times;
    }
  }
  return {
    ports: servers.map(({ port }) => port),
    connections: servers.reduce((sum, { connections }) => sum + connections, 0),
    accepted: servers.reduce((sum, { counts }) => sum + counts.connections, 0),
    bytes,
    // Without the descriptor that reads the folder.
    descriptors: readdirSync("/proc/self/fd").length - 1,
    residentBytes: process.memoryUsage.rss(),
    failures,
    balance: Object.fromEntries(leftIn(loopOf(reactor).balance())),
    counted: { ...counted, ...refused },
  };
}

/** Stops the servers, and checks that the log has a line for each request. */
async function stop(): Promise<void> {
  const asked = performance.now();
  await Promise.all(servers.map((server) => server.stop(2 * STOPS_MS)));
  if (performance.now() - asked > STOPS_MS) failed("stop() waited for connections that were idle");
  routes.close();
  await file.close();
  const lines = readFileSync(logPath, "latin1").split("\n").length - 1;
  if (lines !== entries || file.lost > 0) {
    failed(`the log has ${lines} lines for ${entries} requests, and ${file.lost} were lost`);
  }
}

process.on("message", async (message) => {
  if (message === "stop") {
    await stop();
    try {
      assertReactorBalance(reactor);
    } catch (error) {
      failed((error as Error).message);
    }
  }
  process.send?.(state());
});
process.on("disconnect", () => process.exit());
