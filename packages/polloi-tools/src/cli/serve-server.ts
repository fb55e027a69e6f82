import type { Reactor } from "polloi";
import type { Kernel } from "polloi/internal";
import { resolve } from "polloi/socket";
import type { RunningServer, Where } from "./running-server.ts";
import type { Asked, ServeFlags } from "./serve-flags.ts";
import type { ServeReport } from "./serve-report.ts";

/**
 * Starts one of what the flags ask for.
 *
 * @param kernel - What its files are read through; by default the one of this thread.
 */
export async function openServer(
  reactor: Reactor,
  { protocol, port }: Required<Asked>,
  flags: ServeFlags,
  report: ServeReport,
  kernel?: Kernel,
): Promise<RunningServer> {
  const where = await whereFor(flags, port);
  // Each is loaded when it is served: a command line is to be there at once.
  if (protocol === "http") {
    const { openHttp } = await import("./serve-http.ts");
    return openHttp(reactor, where, flags, report.request, kernel);
  }
  const { model } = flags;
  if (model !== undefined) {
    const { openModel } = await import("./serve-model.ts");
    return openModel(reactor, protocol, where, { ...flags, model }, report.observer);
  }
  const { openEcho } = await import("./serve-echo.ts");
  return openEcho(reactor, protocol, where, flags, report.observer);
}

async function whereFor({ host, unix, backlog }: ServeFlags, port: number): Promise<Where> {
  const how = backlog === undefined ? {} : { backlog };
  if (unix !== undefined) return { path: unix, ...how };
  const [{ address }] = await resolve(host);
  // "::" is every address there is, so IPv4's as well.
  return { host: address, port, dualStack: address === "::", ...how };
}
