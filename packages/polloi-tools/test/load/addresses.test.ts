/** Loads with more connections than an address has ports, in a network namespace with 200 ports per address. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { needs, Program } from "../../../../test/support/processes.ts";
import type { AddressesResult } from "./addresses-program.ts";

const PORTS = "40000 40199";
const SET_UP = `ip link set lo up && echo "${PORTS}" > /proc/sys/net/ipv4/ip_local_port_range`;
/** In a user namespace as well, in which an unprivileged user is root. */
const UNSHARE = ["--net", "--user", "--map-root-user", "sh", "-c"] as const;

/** Why no network namespace can be created here, or false. */
function noNetwork(): string | false {
  const missing = needs("unshare") || needs("ip");
  if (missing !== false) return missing;
  const { status, stderr } = spawnSync("unshare", [...UNSHARE, SET_UP], { encoding: "utf8" });
  return status === 0 ? false : `no network namespace can be created: ${stderr.trim()}`;
}

test("the limit on ports applies per local address and destination", {
  skip: noNetwork(),
  timeout: 60_000,
}, async () => {
  const program = `exec ${process.execPath} ${Program.file("packages/polloi-tools/test/load/addresses-program.ts")}`;
  const { code, stdout, stderr } = await new Program("unshare", [
    ...UNSHARE,
    `${SET_UP} && ${program}`,
  ]).ended;
  assert.equal(code, 0, stderr);
  const { withoutFrom, fromThree, twoTargets, bound } = JSON.parse(stdout) as AddressesResult;
  assert.deepEqual(withoutFrom, {
    opened: 200,
    messages: 200,
    failed: 300,
    errors: { EADDRNOTAVAIL: 300 },
  });
  assert.deepEqual(fromThree, { opened: 500, messages: 500, failed: 0, errors: {} });
  // 300 connections from an address with 200 ports, since a port is used for one destination only.
  assert.deepEqual(
    twoTargets.map(({ opened, errors }) => ({ opened, errors })),
    [
      { opened: 150, errors: {} },
      { opened: 150, errors: {} },
    ],
  );
  // Without IP_BIND_ADDRESS_NO_PORT, a port is used for all destinations.
  assert.equal(bound.code, "EADDRINUSE");
  assert.ok(bound.count <= 200, `${bound.count} were bound`);
});
