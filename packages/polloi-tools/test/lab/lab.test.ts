import assert from "node:assert/strict";
import { cpSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { kernel, openPoller, POLLER_NAMES, type Poller, whyNot } from "polloi/internal";
import { POLLIN } from "polloi/select";
import {
  assertRefused,
  folder,
  MAIN,
  Program,
  polloi,
} from "../../../../test/support/processes.ts";
import { SUITE_TIMEOUT_MS } from "../../../../test/support/suite.ts";
import { assertWellFormed } from "../../../polloi/test/support/well-formed.ts";
import type { IdleResult } from "../../src/lab/idle.ts";
import { activeIndex, IdleSockets } from "../../src/lab/idle-sockets.ts";

const limits = { timeout: SUITE_TIMEOUT_MS };
/** As short as possible: these tests check the report, not the figures. */
const SHORT = "--sizes 5,20 --rounds 2 --sample 1ms --writes 10";

describe("idle sockets", limits, () => {
  for (const active of [1, 3, 40]) {
    test(`${active} active sockets are evenly distributed among 97 idle ones`, () => {
      const places = Array.from({ length: active }, (_, j) => activeIndex(j, { idle: 97, active }));
      assert.equal(new Set(places).size, active);
      const gaps = places.slice(1).map((place, j) => place - (places[j] as number));
      if (gaps.length > 0) assert.ok(Math.max(...gaps) - Math.min(...gaps) <= 1);
      assert.ok((places[0] as number) >= 0 && (places.at(-1) as number) < 97 + active);
    });
  }

  for (const name of POLLER_NAMES) {
    const skip = whyNot(name, kernel) ?? false;
    for (const pairs of [false, true]) {
      test(`${name} reports each byte of a chain once${pairs ? ", with pairs" : ""}`, {
        skip,
      }, () => {
        using sockets = new IdleSockets(kernel, { idle: 20, active: 4, pairs });
        const poller = openPoller(name, kernel);
        const counts = { events: 0, waits: 0 };
        try {
          sockets.watchBy(poller, POLLIN);
          sockets.chain(poller, 17, counts);
        } finally {
          poller.close();
        }
        assert.equal(counts.events, 4 + 17);
        assert.ok(counts.waits >= Math.ceil((4 + 17) / 4));
      });
    }
  }

  const wrong: [what: string, hint: RegExp, wait: Poller["wait"]][] = [
    ["loses a ready socket", /did not report a ready socket/, () => 0],
    [
      "reports an idle socket",
      /reported an idle socket/,
      (ready) => {
        ready.tags[0] = 0xffff_ffff;
        return 1;
      },
    ],
  ];
  for (const [what, hint, wait] of wrong) {
    test(`an engine that ${what} fails`, () => {
      using sockets = new IdleSockets(kernel, { idle: 3, active: 1, pairs: false });
      const poller = { name: "poll", add: () => 0, wait } as unknown as Poller;
      const run = (): void => sockets.chain(poller, 5, { events: 0, waits: 0 });
      assert.throws(run, (error: { hint?: string }) => hint.test(error.hint ?? ""));
    });
  }

  test("disposing closes every descriptor", () => {
    const open = (): number => {
      using probe = new IdleSockets(kernel, { idle: 1, active: 1, pairs: false });
      return probe.highest;
    };
    const before = open();
    new IdleSockets(kernel, { idle: 50, active: 5, pairs: true })[Symbol.dispose]();
    assert.equal(open(), before);
  });
});

describe("polloi lab idle", limits, () => {
  test("--quick --json has every engine at every size, or the reason why not", async () => {
    const { code, stdout } = await polloi("lab idle --quick --json").ended;
    assert.equal(code, 0);
    const result = JSON.parse(stdout) as IdleResult;
    for (const name of POLLER_NAMES) {
      const skipped = result.skipped.find((each) => each.name === name);
      const measured = result.engines.some((each) => each.name === name);
      assert.ok(measured !== (skipped !== undefined), `${name} is neither measured nor skipped`);
      if (skipped !== undefined) assert.notEqual(skipped.reason, "");
    }
    assert.ok(result.engines.some(({ name }) => name === "epoll-edge"));
    for (const { engine, idle, samples, absent } of result.cells) {
      if (absent === undefined) assert.equal(samples.length, 3, `${engine} at ${idle}`);
      else assert.notEqual(absent.reason, "");
      for (const { events, waits, cpuUs, wallUs } of samples) {
        assert.ok(events > 0 && waits > 0 && cpuUs >= 0 && wallUs > 0, `${engine} at ${idle}`);
      }
    }
    assert.equal(result.cells.length, result.engines.length * result.settings.sizes.length);
    assert.match(result.host.runtime, /^Node \d/);
  });

  test("the picture has every engine, and the same picture is drawn from the JSON", async () => {
    using at = folder();
    const [json, svg, html] = ["a.json", "a.svg", "a.html"].map((name) => join(at.path, name));
    const first = await polloi(`lab idle ${SHORT} --json --svg ${svg} --html ${html}`).ended;
    assert.equal(first.code, 0, first.stderr);
    writeFileSync(json as string, first.stdout);
    const picture = readFileSync(svg as string, "utf8");
    assertWellFormed(picture);
    const { engines } = JSON.parse(first.stdout) as IdleResult;
    for (const { label } of engines) assert.ok(picture.includes(`>${label}</text>`), label);

    const page = readFileSync(html as string, "utf8");
    // Each of the two charts for a desktop and for a phone.
    assert.equal(page.match(/<svg\b/g)?.length, 4);
    for (const { label } of engines) {
      assert.ok(page.includes(`<th scope="col">${label}</th>`), label);
    }
    const addresses = page.match(/(?:src|href)="[^"]*"/g) ?? [];
    assert.deepEqual(addresses, ['href="data:,"'], "the page loads another file");

    const again = await polloi(`lab idle --from ${json} --svg ${svg}`).ended;
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stdout, /^CPU time per wake-up/m);
    assert.equal(readFileSync(svg as string, "utf8"), picture);
  });

  test("prints the host, both tables, and what limits the figures", async () => {
    const { code, stdout, stderr } = await polloi(`lab idle ${SHORT}`).ended;
    for (const pattern of [
      /^machine +\S.*\d cores?/m,
      /^software +Linux \d.*Node \d.*polloi \d/m,
      /^command +polloi lab idle --sizes 5,20 --rounds 2 --sample 1ms --writes 10/m,
      /^CPU time per wake-up in µs/m,
      /^Elapsed time per wake-up in µs/m,
      /^(?:un)?disturbed: /m,
    ]) {
      assert.match(stdout, pattern);
    }
    assert.equal(stderr, "");
    assert.equal(code, 0);
  });

  test("--engines and --max measure what they name", async () => {
    const { stdout } = await polloi(
      "lab idle --engines poll,epoll-edge --max 12 --rounds 1 --sample 1ms --json",
    ).ended;
    const { engines, settings } = JSON.parse(stdout) as IdleResult;
    assert.deepEqual(
      engines.map(({ name }) => name),
      ["poll", "epoll-edge"],
    );
    assert.deepEqual(settings.sizes, [10, 12]);
  });

  test("select is left out by name above its 1,024 descriptors", async () => {
    const { stdout } = await polloi(
      "lab idle --engines select --sizes 5,1100 --rounds 1 --sample 1ms",
    ).ended;
    assert.match(stdout, /^left out: select at 1,100: select holds descriptors up to 1023/m);
  });

  const withLimit = (limit: number, args: string): Program =>
    new Program("sh", [
      "-c",
      `ulimit -n ${limit}; exec "$0" "$@"`,
      process.execPath,
      ...[Program.file(MAIN), ...`lab idle ${args}`.split(" ")],
    ]);

  test("too low a limit of descriptors reduces the sizes, with a note", async () => {
    const { code, stdout } = await withLimit(200, "--sizes 10,5000 --rounds 1 --sample 1ms").ended;
    assert.match(stdout, /^reduced: 5000 idle .* limit of \d+, .* hard limit is 200 .*instead$/m);
    assert.equal(code, 0);
  });

  test("a limit below the smallest size is an error in one line", async () => {
    const { code, stdout, stderr } = await withLimit(60, "--sizes 100,5000").ended;
    assert.match(stderr, /^polloi: cannot measure: 100 idle .* hard limit is 60 [^\n]*\n$/);
    assert.equal(stdout, "");
    assert.equal(code, 1);
  });

  const wrong: [args: string, named: RegExp, code: number][] = [
    ["lab foo", /unknown command 'foo'/, 2],
    ["lab idle now", /'now'/, 2],
    ["lab idle --active 0", /'0'.*1 to 10000/, 2],
    ["lab idle --writes many", /'many'.*whole number from 1/, 2],
    ["lab idle --sizes 10,,20", /'10,,20'.*separated by commas, such as 10,1000/, 2],
    ["lab idle --rounds 1.5", /'1.5'.*whole number from 1/, 2],
    ["lab idle --sample soon", /'soon'.*500ms/, 2],
    ["lab idle --sizes 10 --max 20", /--sizes.*--max/, 2],
    ["lab idle --engines kqueue", /'kqueue'.*select, poll, epoll/, 2],
    ["lab idle --engines poll,", /'poll,'.*commas/, 2],
    ["lab idle --from package.json", /package.json.*lab idle --json/, 1],
    ["lab idle --from nothing.json", /nothing.json.*ENOENT/, 1],
    ["lab idle --svg no/such/folder.svg", /no\/such\/folder.svg.*ENOENT/, 1],
  ];
  for (const [args, named, expected] of wrong) {
    test(`refuses "${args}" in one line`, () => assertRefused(polloi(args).ended, named, expected));
  }

  test("without the charting library it measures, and reports before measuring what a picture needs", async () => {
    using at = folder();
    // The package as installed by a user: with its dependencies only.
    const installed = join(at.path, "node_modules/polloi-tools");
    for (const part of ["dist", "package.json"]) {
      cpSync(Program.file(`packages/polloi-tools/${part}`), join(installed, part), {
        recursive: true,
      });
    }
    for (const name of ["commander", "hdr-histogram-js", "polloi"]) {
      const here = realpathSync(Program.file(`node_modules/${name}`));
      symlinkSync(here, join(at.path, "node_modules", name));
    }
    const run = (args: string): Program["ended"] =>
      new Program(process.execPath, [join(installed, "dist/main.js"), ...args.split(" ")]).ended;
    const drawn = await run(`lab idle ${SHORT} --html ${join(at.path, "a.html")}`);
    assert.match(drawn.stderr, /^polloi: [^\n]*npm install echarts@6[^\n]*\n$/);
    assert.equal(drawn.stdout, "");
    assert.equal(drawn.code, 1);
    const plain = await run(`lab idle ${SHORT}`);
    assert.match(plain.stdout, /^CPU time per wake-up/m);
    assert.equal(plain.code, 0);
  });
});
