/** The HTTP server with wrk and ab: every request gets its own answer, on kept connections. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { folder } from "../../../../../test/support/processes.ts";
import type { HttpHandler } from "../../../src/http/index.ts";
import { ENGINES, LIMIT_MS, run, serving, unless } from "./rig.ts";

/**
 * Answers with the number of the request and a body of that many bytes, so that lost, duplicated and swapped answers
 * are detected. Every third answer is late.
 */
const numbered: HttpHandler = async (request, reply) => {
  const number = Number(request.path.slice(1));
  if (number % 3 === 0) await Promise.resolve();
  reply.send(`${number}:${"x".repeat(number % 100)}`);
};

/** For wrk: `DEPTH` requests at a time on each connection, all different. Each answer is checked once. */
const PIPELINE = `
threads = {}
function setup(thread) table.insert(threads, thread) end
local depth = DEPTH
local pending = {}
number, right, wrong = 0, 0, 0
function request()
  local all = {}
  for i = 1, depth do
    number = number + 1
    pending[tostring(number)] = true
    all[i] = wrk.format(nil, "/" .. number)
  end
  return table.concat(all)
end
function response(status, headers, body)
  local id, rest = string.match(body, "^(%d+):(x*)$")
  if status == 200 and id and pending[id] and #rest == tonumber(id) % 100 then
    pending[id] = nil
    right = right + 1
  else
    wrong = wrong + 1
  end
end
function done(summary)
  local right, wrong, asked = 0, 0, 0
  for _, thread in ipairs(threads) do
    right = right + thread:get("right")
    wrong = wrong + thread:get("wrong")
    asked = asked + thread:get("number")
  end
  local e = summary.errors
  print(string.format("right=%d wrong=%d asked=%d errors=%d", right, wrong, asked,
    e.connect + e.read + e.write + e.status + e.timeout))
end
`;

/** The numbers that ab or a script prints, by name. */
function figures(text: string): Record<string, number> {
  const pairs = [...text.matchAll(/^([A-Z][\w -]*): +(\d+)/gm), ...text.matchAll(/(\w+)=(\d+)/g)];
  return Object.fromEntries(pairs.map(([, name, value]) => [name as string, Number(value)]));
}

for (const { engine, skip } of ENGINES) {
  const limits = { skip: unless(skip, "wrk"), timeout: LIMIT_MS };
  describe(`wrk, ${engine}`, limits, () => {
    for (const [depth, connections] of [
      [1, 64],
      [16, 64],
      [200, 8],
    ] as const) {
      test(`${connections} connections with ${depth} requests at a time get all answers`, () =>
        serving({ engine, handler: numbered }, async (server) => {
          using at = folder();
          const script = join(at.path, "pipeline.lua");
          writeFileSync(script, PIPELINE.replace("DEPTH", String(depth)));
          const url = `http://127.0.0.1:${server.port}`;
          const args = ["-t", "1", "-c", String(connections), "-d", "1s", "-s", script, url];
          const { code, text, errors } = await run("wrk", args);
          assert.equal(code, 0, errors);
          assert.doesNotMatch(text, /Socket errors|Non-2xx/);
          const { right = 0, wrong, asked = 0, errors: failed } = figures(text);
          assert.deepEqual({ wrong, failed }, { wrong: 0, failed: 0 }, text);
          // It stops in the middle: requests under way then are not answered.
          assert.ok(right >= asked - 2 * depth * connections, `${right} answers of ${asked}`);
          assert.ok(right > 20 * connections, `only ${right} answers`);
          // It opens one more connection at first, to test the server.
          assert.ok(server.counts.connections <= connections + 1);
          assert.deepEqual(server.counts.refused, {});
        }));
    }
  });

  const abLimits = { skip: unless(skip, "ab"), timeout: LIMIT_MS };
  describe(`ab, ${engine}`, abLimits, () => {
    const ab = async (url: string, ...args: string[]): Promise<Record<string, number>> => {
      const { code, text, errors } = await run("ab", ["-q", ...args, url]);
      assert.equal(code, 0, errors + text);
      assert.doesNotMatch(text, /Non-2xx/);
      return figures(text);
    };

    test("-k: HTTP/1.0 connections are kept to the end", () =>
      serving({ engine }, async (server) => {
        const url = `http://127.0.0.1:${server.port}/bytes/321`;
        const seen = await ab(url, "-k", "-n", "10000", "-c", "50");
        assert.equal(seen["Complete requests"], 10_000);
        assert.equal(seen["Failed requests"], 0);
        assert.equal(seen["Keep-Alive requests"], 10_000);
        assert.equal(seen["Document Length"], 321);
        assert.equal(seen["HTML transferred"], 3_210_000);
        assert.equal(server.counts.requests, 10_000);
        assert.equal(server.counts.connections, 50);
      }));

    test("without -k there is one connection per request", () =>
      serving({ engine }, async (server) => {
        const seen = await ab(`http://127.0.0.1:${server.port}/what`, "-n", "2000", "-c", "50");
        assert.equal(seen["Complete requests"], 2000);
        assert.equal(seen["Failed requests"], 0);
        assert.equal(server.counts.requests, 2000);
        // It opens some connections before it knows that there are no more requests.
        const { connections } = server.counts;
        assert.ok(connections >= 2000 && connections <= 2050, `${connections} connections`);
      }));

    test("-k -p: requests with bodies are answered", () =>
      serving({ engine }, async (server) => {
        using at = folder();
        const path = join(at.path, "body");
        writeFileSync(path, "0123456789".repeat(1000));
        const args = ["-k", "-p", path, "-T", "text/plain", "-n", "2000", "-c", "20"];
        const seen = await ab(`http://127.0.0.1:${server.port}/what`, ...args);
        assert.equal(seen["Complete requests"], 2000);
        assert.equal(seen["Failed requests"], 0);
        assert.equal(seen["Keep-Alive requests"], 2000);
        assert.equal(server.counts.connections, 20);
      }));
  });
}
