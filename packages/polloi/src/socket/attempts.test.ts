import assert from "node:assert/strict";
import { test } from "node:test";
import { SysError } from "../base/sys-error.ts";
import { connectError, interleaved } from "./attempts.ts";

const ORDERS: readonly (readonly [string, string])[] = [
  ["", ""],
  ["4a", "4a"],
  ["6a 6b 4a", "6a 4a 6b"],
  ["6a 6b 6c 4a 4b", "6a 4a 6b 4b 6c"],
  ["4a 4b 6a", "4a 6a 4b"],
  ["4a 6a 6b 6c", "4a 6a 6b 6c"],
  ["4a 4b", "4a 4b"],
];

test("addresses of both families alternate, and keep their order within a family", () => {
  for (const [given, wanted] of ORDERS) {
    const addresses = given
      .split(" ")
      .filter((name) => name !== "")
      .map((name) => ({
        address: name.startsWith("6") ? `::${name[1]}` : `10.0.0.${name.charCodeAt(1)}`,
        port: 1,
        name,
      }));
    const ordered = interleaved(addresses) as { name: string }[];
    assert.equal(ordered.map(({ name }) => name).join(" "), wanted);
  }
});

test("the error of one address is its own, that of several has all of them", () => {
  const refused = new SysError("connect", 111, { address: "127.0.0.1", port: 1 });
  const unreachable = new SysError("connect", 101, { address: "::1", port: 1 });
  assert.equal(connectError([refused], "a port 1"), refused);
  const all = connectError([refused, unreachable], "a port 1") as AggregateError & { code: string };
  assert.deepEqual(all.errors, [refused, unreachable]);
  assert.equal(all.code, "ECONNREFUSED");
  assert.equal(
    all.message,
    "Cannot connect to a port 1: connect ECONNREFUSED 127.0.0.1:1; connect ENETUNREACH [::1]:1",
  );
  assert.equal(
    (connectError([refused, unreachable], "a", "ETIMEDOUT") as typeof all).code,
    "ETIMEDOUT",
  );
});
