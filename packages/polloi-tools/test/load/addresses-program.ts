/**
 * Loads its own echo servers in a network with 200 ports per address, and prints the results as JSON.
 *
 * Each step uses other addresses, because the ports of the step before it are still in TIME_WAIT.
 */
import { listen } from "polloi";
import { AF_INET, SOCK_STREAM } from "polloi/internal";
import { Socket } from "polloi/socket";
import { type LoadReport, load } from "../../src/load/index.ts";

/** Outside the range of local ports. */
const PORTS = [7788, 7789] as const;
const HOST = "127.0.0.1";

/** The output of this program. */
export interface AddressesResult {
  readonly withoutFrom: Result;
  readonly fromThree: Result;
  /** Two targets at once, from one address. */
  readonly twoTargets: readonly Result[];
  /** Number of sockets bound without IP_BIND_ADDRESS_NO_PORT until that failed, and the error. */
  readonly bound: { readonly count: number; readonly code: string };
}

interface Result {
  readonly opened: number;
  readonly messages: number;
  readonly failed: number;
  readonly errors: Readonly<Record<string, number>>;
}

function resultOf({ opened, messages, failed, errors }: LoadReport): Result {
  return { opened, messages, failed, errors };
}

async function loadOne(connections: number, from: readonly string[]): Promise<Result> {
  const target = `tcp://${HOST}:${PORTS[0]}`;
  const own = from.length === 0 ? {} : { from };
  return resultOf(await load({ target, connections, messages: connections, ...own }).finished);
}

/** Loads both servers until all connections are open. */
async function loadBoth(connections: number, from: readonly string[]): Promise<Result[]> {
  const runs = PORTS.map((port) => {
    return load({ target: `tcp://${HOST}:${port}`, connections, from, durationMs: 20_000 });
  });
  const timer = setInterval(() => {
    const all = runs.map((run) => run.snapshot().counts);
    if (all.every(({ opened, failed }) => opened + failed === connections)) {
      for (const run of runs) run.stop();
    }
  }, 10);
  const reports = await Promise.all(runs.map((run) => run.finished));
  clearInterval(timer);
  return reports.map(resultOf);
}

function bindAll(address: string): AddressesResult["bound"] {
  const sockets: Socket[] = [];
  try {
    for (;;) {
      const socket = new Socket(AF_INET, SOCK_STREAM);
      sockets.push(socket);
      socket.bind({ address, port: 0 });
    }
  } catch (error) {
    return { count: sockets.length - 1, code: (error as { code: string }).code };
  } finally {
    for (const socket of sockets) socket.close();
  }
}

const servers = PORTS.map((port) => {
  return listen({
    host: HOST,
    port,
    data: (connection, bytes) => connection.write(bytes),
    error: () => {},
  });
});
const result: AddressesResult = {
  withoutFrom: await loadOne(500, []),
  fromThree: await loadOne(500, ["127.0.0.2", "127.0.0.3", "127.0.0.4"]),
  twoTargets: await loadBoth(150, ["127.0.0.5"]),
  bound: bindAll("127.0.0.6"),
};
for (const server of servers) server.close();
console.log(JSON.stringify(result));
