import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { probeEngines } from "polloi";
import {
  assertRefused,
  folder,
  MAIN,
  Program,
  polloi,
  runInProcess,
} from "../../../../test/support/processes.ts";
import { SUITE_TIMEOUT_MS } from "../../../../test/support/suite.ts";

const limits = { timeout: SUITE_TIMEOUT_MS };

describe("polloi", limits, () => {
  test("prints its version", async () => {
    const { code, stdout } = await polloi("--version").ended;
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
    assert.equal(code, 0);
  });

  test("prints the help with examples when there are no arguments", async () => {
    const alone = await runInProcess("");
    assert.deepEqual(alone, await runInProcess("--help"));
    assert.match(alone.stdout, /Examples:\n {2}polloi serve /);
    assert.deepEqual([alone.code, alone.stderr], [0, ""]);
  });

  test("a command of commands without one prints its help, as the program does", async () => {
    for (const name of ["lab", "trace"]) {
      const alone = await runInProcess(name);
      assert.deepEqual(alone, await runInProcess(`${name} --help`));
      assert.deepEqual([alone.code, alone.stderr], [0, ""]);
    }
  });

  test("a process has the same output and exit code as a call", async () => {
    const { signal: _, ...help } = await Program.node(MAIN).ended;
    assert.deepEqual(help, await runInProcess(""));
    const { signal: __, ...refusal } = await polloi("serv").ended;
    assert.deepEqual(refusal, await runInProcess("serv"));
    assert.equal(refusal.code, 2);
  });

  const helps = { serve: /--idle-timeout/, connect: /unix socket/, doctor: /--json/ };
  for (const [command, pattern] of Object.entries(helps)) {
    test(`${command} --help prints its flags`, async () => {
      const { code, stdout } = await runInProcess(`${command} --help`);
      assert.match(stdout, pattern);
      assert.equal(code, 0);
    });
  }

  test("help prints the help of a command, at any depth", async () => {
    for (const [args, same] of [
      ["help", "--help"],
      ["help serve", "serve --help"],
      ["help trace serve", "trace serve --help"],
      ["help lab idle", "lab idle --help"],
      ["help doctor now", "doctor --help"],
      ["help --help", "help help"],
    ] as const) {
      assert.deepEqual(await runInProcess(args), await runInProcess(same), args);
    }
  });

  test("the help lists every command except hidden ones", async () => {
    const { stdout } = await runInProcess("");
    for (const name of ["serve", "connect", "doctor", "load", "lab", "trace", "help"]) {
      assert.match(stdout, new RegExp(`^ {2}${name} `, "m"));
    }
    assert.doesNotMatch(stdout, /^ {2}(echo|upper|discard|http) /m);
    assert.match(stdout, /npx polloi/);
    assert.match(stdout, /exit code is 0 .* 1 .* 2 .*\n.* 130 .* 141 /);
  });

  const wrong: [args: string, named: RegExp][] = [
    ["serv", /unknown command 'serv' \(Did you mean serve\?\)/],
    ["frobnicate", /unknown command 'frobnicate'/],
    ["--frobnicate", /unknown option '--frobnicate'/],
    ["serve --prot 1", /'--prot' \(Did you mean --port\?\)/],
    ["help serv", /unknown command 'serv' \(Did you mean serve\?\)/],
    ["help lab idel", /unknown command 'idel' \(Did you mean idle\?\)/],
    ["help frobnicate", /unknown command 'frobnicate'$/m],
    ["echo", /unknown command 'echo' \(Did you mean serve echo\?\)/],
    ["http --dir x --port", /unknown command 'http' \(Did you mean serve http\?\)/],
    [
      "serve ecko",
      /^polloi: cannot use 'ecko' as protocol: give echo, upper, discard or http \(Did you mean echo\?\)\n$/,
    ],
    ["serve HTTP", /'HTTP'.*\(Did you mean http\?\)/],
    ["serve gopher", /'gopher'.*echo, upper, discard or http$/m],
    ["serve 8080", /'8080'.*a port is given as --port 8080/],
    ["serve echo upper", /'upper'.*only protocol; several are one argument: echo,upper/],
    ["serve echo http discard", /'http'.*one argument: echo,http,discard/],
    ["serve echo,echo", /echo and echo would both listen on port 7788.*echo:7788,echo:7789/],
    ["serve echo,http,upper", /echo and upper would both listen on port 7788/],
    ["serve echo:9,http:9", /echo and http would both listen on port 9: .*echo:9,http:10/],
    ["serve echo,http -p 8080", /echo and http would both listen on port 8080/],
    ["serve echo,http --host [::1]:8080", /echo and http would both listen on port 8080/],
    ["serve --engine epol", /'epol'.*\(Did you mean epoll\?\)/],
    ["serve --model threads", /'threads'.*\(Did you mean thread\?\)/],
    ["serve --host 127.0.0.1:1 -p 2", /--host has port 1, and --port has 2/],
    ["serve --host /run/x", /a unix socket is --unix/],
    ["serve --host [::1", /an IPv6 address with a port is \[::1\]:80/],
    ["serve --host http://x", /http:\/\/ is not supported/],
    ["serve --unix=", /path of the unix socket is missing/],
    ["serve http --dir=", /^polloi: cannot use '' as --dir: it is empty\n$/],
    ["serve --port", /--port <port>' argument missing/],
    ["serve --port=", /''.*0 .*65535/],
    ["serve --port 65536", /'65536'.*0 .*65535/],
    ["serve --port -1", /'-1'.*0 .*65535/],
    ["serve --port 0x10", /'0x10'.*0 .*65535/],
    ["serve --port 80.5", /'80.5'.*0 .*65535/],
    ["serve --host=", /''.*name or an IP address/],
    ["serve --engine kqueue", /'kqueue'.*auto, io_uring, epoll, poll or select/],
    ["serve --trigger sideways", /'sideways'.*level or edge/],
    ["serve --workers many", /'many'.*auto .*1 to 1024/],
    ["serve --workers 0", /'0'.*auto .*1 to 1024/],
    ["serve --workers 1025", /'1025'.*auto .*1 to 1024/],
    ["serve --workers", /--workers <count>' argument missing/],
    ["serve --at-limit drop", /^polloi: cannot use 'drop' as --at-limit: give wait or close\n$/],
    ["serve --backlog many", /'many'.*whole number from 0/],
    ["serve --backlog -1", /'-1'.*whole number from 0/],
    ["serve --idle-timeout soon", /'soon'.*500ms, 10s/],
    ["serve --idle-timeout 0", /'0'.*500ms, 10s/],
    ["serve --idle-timeout 10d", /'10d'.*500ms, 10s/],
    [
      "serve --proxy-protocol 10.0.0.1/8",
      /'10.0.0.1\/8' as --proxy-protocol.*the range is "10.0.0.0\/8"/,
    ],
    ["serve --proxy-protocol localhost", /give an address, a range such as/],
    ["serve --proxy-protocol ,", /a list separated by commas/],
    ["serve --proxy-protocol http", /without ranges, it stands behind the protocol/],
    ["serve --proxy-protocol --model event", /--proxy-protocol is not for --model/],
    ["serve --quiet=yes", /--quiet/],
    ["connect", /missing required argument 'host'/],
    ["connect localhost", /missing port.*'localhost'/],
    ["connect localhost 0", /'0'.*1 to 65535/],
    ["connect localhost:0", /'localhost:0' has port 0.*1 to 65535/],
    ["connect localhost:99999", /'localhost:99999'.*up to 65535/],
    ["connect localhost:80 80", /'localhost:80' has a port already: leave out 80/],
    ["connect app.sock", /missing port.*'app\.sock' \(Did you mean unix:app\.sock\?\)/],
    ["connect my.socket", /\(Did you mean unix:my\.socket\?\)/],
    ["load app.sock", /'app\.sock'.*port is missing.*\(Did you mean unix:app\.sock\?\)/],
    ["serve echo --host app.sock", /'app\.sock'.*\(Did you mean --unix app\.sock\?\)/],
    ["connect [::1]", /missing port.*'\[::1\]'/],
    ["connect a:b:c", /an IPv6 address with a port is \[::1\]:80/],
    ["connect http://localhost/", /http:\/\/ is not supported; give tcp:\/\/HOST:PORT/],
    ["connect tcp://localhost:80/x", /leave out '\/x'/],
    ["connect unix:x 80", /'unix:x' is a unix socket.*80/],
    ["connect localhost echo", /'echo'.*1 to 65535/],
    ["connect /run/x 7788", /'\/run\/x' is a unix socket.*7788/],
    ["connect localhost 7788 9", /'9'.*only host and port/],
    ["doctor --verbose", /unknown option '--verbose'/],
    ["doctor now", /'now'/],
  ];
  for (const [args, named] of wrong) {
    test(`rejects "${args}" with one line`, () => assertRefused(runInProcess(args), named));
  }

  // The library rejects these, so the command has to run.
  for (const flags of ["--engine poll", "--engine select", "--workers 2 --engine poll"]) {
    test(`rejects "serve ${flags} --trigger edge" with one line`, async () => {
      const { code, stdout, stderr } = await polloi(`serve ${flags} --trigger edge`).ended;
      assert.match(
        stderr,
        /^polloi: cannot use (poll|select) edge-triggered: only epoll can be; give --trigger level\n$/,
      );
      assert.deepEqual([code, stdout], [2, ""]);
    });
  }
});

describe("polloi doctor", limits, () => {
  test("prints one aligned line per fact", async () => {
    const { code, stdout, stderr } = await polloi("doctor").ended;
    for (const pattern of [
      new RegExp(`^runtime +Node ${process.versions.node}$`, "m"),
      /^kernel +Linux \d+\./m,
      new RegExp(`^architecture +${process.arch}$`, "m"),
      /^libc +(glibc \d+\.\d+|musl)$/m,
      /^FFI \(koffi\) +works$/m,
      /^io_uring +(works|does not work: .+)$/m,
      /^epoll +works$/m,
      /^poll +works$/m,
      /^select +works$/m,
      /^open descriptors +(\d+|unlimited) \(soft\), (\d+|unlimited) \(hard\)/m,
      /^somaxconn +\d+$/m,
      /^tcp_max_syn_backlog +\d+$/m,
      /^local ports +\d+ to \d+/m,
    ]) {
      assert.match(stdout, pattern);
    }
    const columns = new Set(
      stdout
        .trim()
        .split("\n")
        .map((line) => line.search(/(?<= {2})\S/)),
    );
    assert.equal(columns.size, 1);
    assert.ok(!stdout.includes("\u001b"), "the output has colors without a terminal");
    assert.equal(stderr, "");
    assert.equal(code, 0);
  });

  test("--json prints the same facts as JSON", async () => {
    const { code, stdout } = await polloi("doctor --json").ended;
    const { engines, ffi } = JSON.parse(stdout);
    assert.deepEqual(engines, probeEngines());
    assert.deepEqual(
      engines.map(({ name }: { name: string }) => name),
      ["io_uring", "epoll", "poll", "select"],
    );
    assert.deepEqual(ffi, { name: "koffi", works: true });
    assert.equal(code, 0);
  });

  test("reports why the library does not load", async () => {
    // The hook makes loading koffi fail.
    using at = folder();
    const hook = join(at.path, "no-koffi.cjs");
    writeFileSync(
      hook,
      `const Module = require("node:module"); const load = Module._load;
       Module._load = (name, ...rest) => {
         if (name === "koffi") throw new Error("no koffi here");
         return load(name, ...rest);
       };`,
    );
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["--require", hook, Program.file(MAIN), "doctor"],
      { encoding: "utf8" },
    );
    assert.match(stdout, /^FFI \(koffi\) +does not work: .*no koffi here.*npm install koffi/m);
    assert.match(stdout, /^somaxconn +\d+$/m);
    assert.equal(stderr, "");
    assert.equal(status, 1);
    const served = spawnSync(process.execPath, ["--require", hook, Program.file(MAIN), "serve"], {
      encoding: "utf8",
    });
    assert.match(served.stderr, /^polloi: cannot run: .*no koffi here[^\n]*\n$/);
    assert.equal(served.status, 1);
  });
});
