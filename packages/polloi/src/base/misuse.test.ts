import assert from "node:assert/strict";
import { test } from "node:test";
import { show } from "./misuse.ts";

function throws(): never {
  throw new Error("thrown by the value");
}

function revoked(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

test("values are shown as they print, and strings are quoted", () => {
  const values = ["a\n", 5, -0, 10n, null, undefined, true, Symbol("s"), [1, 2], {}, () => 0];
  assert.deepEqual(values.map(show), [
    '"a\\n"',
    "5",
    "-0",
    "10n",
    "null",
    "undefined",
    "true",
    "Symbol(s)",
    "[1,2]",
    "[object Object]",
    "a function",
  ]);
});

test("an object that cannot be converted to a string is shown as an object", () => {
  const values: unknown[] = [
    Object.create(null),
    revoked({}),
    revoked([]),
    { toString: throws },
    { toString: () => ({}), valueOf: () => ({}) },
    { [Symbol.toPrimitive]: () => Symbol("s") },
    {
      get [Symbol.toStringTag]() {
        return throws();
      },
    },
    new Proxy({}, { get: throws, getPrototypeOf: throws }),
    [Object.create(null)],
    [Symbol("s")],
  ];
  for (const value of values) assert.equal(show(value), "an object");
  assert.equal(show(revoked(() => 0)), "a function");
});

test("a long value is cut", () => {
  for (const value of [
    "x".repeat(1000),
    new Uint8Array(1000),
    10n ** 1000n,
    Symbol("x".repeat(1000)),
  ]) {
    assert.equal(show(value).length, 203);
    assert.match(show(value), /\.\.\.$/);
  }
});
