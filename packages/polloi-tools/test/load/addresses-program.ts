/**
 * Loads echo servers of its own in a network that has 200 ports for each address, and prints what came of it as JSON.
 *
 * Each step has addresses of its own: the ports of the one before it are still in TIME_WAIT.
 */
import { listen } from "polloi";
import { AF_INET, SOCK_STREAM } from "polloi/internal";
import { Socket } from "polloi/socket";
import { type LoadReport, load } from "../../src/load/index.ts";

/** Not among those that connections get. */
const PORTS = [7788, 7789] as const;
const HOST = "127.0.0.1";

/** What this prints. */
export interface AddressesTold {
  readonly withoutFrom: Told;
  readonly fromThree: Told;
  /** Two targets at a time, from one address. */
  readonly twoTargets: readonly Told[];
  /** Sockets that were bound without IP_BIND_ADDRESS_NO_PORT until it failed, and how it did. */
  readonly bound: { readonly count: number; readonly code: string };
}

interface Told {
  readonly opened: number;
  readonly messages: number;
  readonly failed: number;
  readonly errors: Readonly<Record<string, number>>;
}

function told({ opened, messages, failed, errors }: LoadReport): Told {
  return { opened, messages, failed, errors };
}

async function asked(connections: number, from: readonly string[]): Promise<Told> {
  const target = `tcp://${HOST}:${PORTS[0]}`;
  const own = from.length === 0 ? {} : { from };
  return told(await load({ target, connections, messages: connections, ...own }).finished);
}

/** Loads both servers, until all connections to both are open. */
async function bothAtATime(connections: number, from: readonly string[]): Promise<Told[]> {
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
  return reports.map(told);
}

function boundOnes(address: string): AddressesTold["bound"] {
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
const result: AddressesTold = {
  withoutFrom: await asked(500, []),
  fromThree: await asked(500, ["127.0.0.2", "127.0.0.3", "127.0.0.4"]),
  twoTargets: await bothAtATime(150, ["127.0.0.5"]),
  bound: boundOnes("127.0.0.6"),
};
for (const server of servers) server.close();
console.log(JSON.stringify(result));
