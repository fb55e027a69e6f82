/** A pool of workers that serves HTTP. */
import assert from "node:assert/strict";
import type { Suite } from "../../../../test/support/suite.ts";
import { startWorkers } from "../../src/pool/workers.ts";
import { until } from "../support/waiting.ts";
import { bodyOf, Client, GET, LAST } from "./client.ts";

const UPGRADE = GET.replace("\r\n\r\n", "\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");

export function httpWorkersSuite(): Suite {
  return {
    title: "HTTP workers",
    cases: [
      {
        name: "every worker serves, requests under way are answered when the pool stops, and upgrades are counted",
        async run() {
          const heard: unknown[] = [];
          const pool = await startWorkers({
            module: new URL("./worker-module.js", import.meta.url),
            workers: 2,
            listen: { host: "127.0.0.1", port: 0 },
            data: "worker",
            message: (message) => heard.push(message),
          });
          const clients: Client[] = [];
          const client = () => {
            const one = new Client(pool.port);
            clients.push(one);
            return one;
          };
          try {
            const who = new Set<string>();
            for (let i = 0; who.size < 2; i++) {
              assert.ok(i < 200, `200 connections, and all of them had ${[...who]}`);
              who.add(bodyOf(await client().send(LAST).end()));
            }
            assert.deepEqual([...who].sort(), ["worker 0", "worker 1"]);
            const upgraded = client().send(UPGRADE);
            await upgraded.until(({ text }) => text.includes("101"));
            await upgraded.send("over").until(({ text }) => text.endsWith("over"));
            const open = () => pool.workers.reduce((sum, { connections }) => sum + connections, 0);
            await until("one connection is left", () => open() === 1);
            upgraded.socket.destroy();
            await until("no connection is left", () => open() === 0);
            const slow = client().send(GET.replace("/ ", "/slow "));
            await until("under way", () => heard.length === 1);
            await pool.stop(5000);
            assert.match(await slow.end(), /Connection: close.*worker \d$/s);
          } finally {
            for (const { socket } of clients) socket.destroy();
            await pool.stop(0);
          }
        },
      },
    ],
  };
}
