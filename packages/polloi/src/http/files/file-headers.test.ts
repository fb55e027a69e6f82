import assert from "node:assert/strict";
import { test } from "node:test";
import { FileHeadersCache } from "./file-headers.ts";
import type { FileStat } from "./file-stat.ts";

const LONG_AGO: FileStat = {
  kind: "file",
  size: 10,
  seconds: 1_700_000_000,
  nanoseconds: 5_000_000,
  inode: 1,
  device: 1,
};
const CLOCK = { realtime: () => Date.now() };
const IN_AN_HOUR: FileStat = { ...LONG_AGO, seconds: Math.floor(Date.now() / 1000) + 3600 };

test("the fields of a file that does not change are cached", () => {
  const cache = new FileHeadersCache(CLOCK, true, undefined);
  const first = cache.get("a.txt", "identity", LONG_AGO);
  assert.equal(cache.get("a.txt", "identity", { ...LONG_AGO }), first);
});

test("a change of a file's length or time gives new validators, and changing back gives the old ones", () => {
  const cache = new FileHeadersCache(CLOCK, true, undefined);
  const tagOf = (stat: FileStat) => cache.get("a.txt", "identity", stat).validators.etag;
  const states = [
    LONG_AGO,
    { ...LONG_AGO, size: 11 },
    { ...LONG_AGO, seconds: LONG_AGO.seconds + 1 },
    { ...LONG_AGO, nanoseconds: LONG_AGO.nanoseconds + 1 },
  ];
  const tags = states.map(tagOf);
  assert.equal(new Set(tags).size, states.length);
  assert.deepEqual(states.map(tagOf), tags);
});

test("a file whose last change is in the future is not cached, and Last-Modified is not later than now", () => {
  const cache = new FileHeadersCache(CLOCK, true, undefined);
  const first = cache.get("a.txt", "identity", IN_AN_HOUR);
  assert.notEqual(cache.get("a.txt", "identity", IN_AN_HOUR), first);
  assert.ok(first.validators.seconds <= Date.now() / 1000);
});

test("fields that are not cached have a Date, no earlier than Last-Modified", () => {
  const cache = new FileHeadersCache(CLOCK, true, undefined);
  const { hasDate, lines, cacheLines } = cache.get("a.txt", "identity", IN_AN_HOUR);
  assert.ok(hasDate);
  for (const text of [lines, cacheLines]) {
    const [date, changed] = ["Date", "Last-Modified"].map((name) =>
      Date.parse(new RegExp(`^${name}: (.*)\r$`, "m").exec(text)?.[1] as string),
    ) as [number, number];
    assert.ok(changed <= date, text);
  }
  assert.equal(cache.get("b.txt", "identity", LONG_AGO).hasDate, false);
});

test("app.js in br and app.js.br itself have different fields", () => {
  const cache = new FileHeadersCache(CLOCK, true, undefined);
  for (let i = 0; i < 2; i++) {
    const coded = cache.get("app.js", "br", LONG_AGO);
    assert.match(coded.lines, /^Content-Encoding: br\r\nContent-Type: text\/javascript;/m);
    const itself = cache.get("app.js.br", "identity", LONG_AGO);
    assert.doesNotMatch(itself.lines, /Content-Encoding|javascript/);
    assert.notEqual(coded.validators.etag, itself.validators.etag);
  }
});

test("the cache keeps the newest entries", () => {
  const cache = new FileHeadersCache(CLOCK, false, "max-age=60");
  const all = Array.from({ length: 1001 }, (_, i) => cache.get(`${i}.txt`, "identity", LONG_AGO));
  assert.equal(cache.get("1000.txt", "identity", LONG_AGO), all[1000]);
  assert.notEqual(cache.get("0.txt", "identity", LONG_AGO), all[0]);
});
