/** The stack of a misuse error starts in the program that made the call. */
import assert from "node:assert/strict";
import type { Suite } from "../../../../test/support/suite.ts";
import { serve } from "../../src/http/index.ts";
import { connect, listen, Reactor } from "../../src/index.ts";
import { serveModel } from "../../src/pool/models.ts";
import { startWorkers } from "../../src/pool/workers.ts";
import { createServer } from "../../src/socket/index.ts";

const wrong = { port: "80", hots: 1 } as never;

const CALLS: Readonly<Record<string, () => unknown>> = {
  listen: () => listen(wrong),
  "listen with a wrong port": () => listen({ port: -1 }),
  connect: () => connect(wrong),
  serve: () => serve(wrong),
  "serve with a wrong timeout": () => serve({ port: 0, headTimeoutMs: 0, handler() {} }),
  startWorkers: () => startWorkers(wrong),
  serveModel: () => serveModel(wrong),
  createServer: () => createServer(wrong),
  "new Reactor": () => new Reactor(wrong),
  "Reactor.listen": () => onReactor((reactor) => reactor.listen(wrong)),
  "Reactor.connect": () => onReactor((reactor) => reactor.connect(wrong)),
};

function onReactor(run: (reactor: Reactor) => unknown): unknown {
  const reactor = new Reactor();
  try {
    return run(reactor);
  } finally {
    reactor.close();
  }
}

async function thrownBy(run: () => unknown): Promise<Error> {
  try {
    await run();
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}

export function stacksSuite(): Suite {
  return {
    title: "stacks of misuse",
    cases: Object.entries(CALLS).map(([name, run]) => ({
      name: `the stack of a misuse of ${name} starts at the call`,
      run: async () => {
        const { stack = "", message } = await thrownBy(run);
        const frames = stack.split("\n").filter((line) => /:\d+:\d+\)?$/.test(line));
        assert.match(message, /^(Cannot|Unknown option) /);
        assert.ok(frames.length > 0, stack);
        // Bun drops the frame of a function that ends in a call of another, such as `listen`.
        if ("Bun" in globalThis) return;
        assert.match(frames[0] ?? "", /\/test\/api\/stacks\.[jt]s:/, stack);
      },
    })),
  };
}
