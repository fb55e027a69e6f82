import assert from "node:assert/strict";
import { test } from "node:test";
import { Descriptions } from "./described.ts";
import type { FileFacts } from "./file-facts.ts";

const LONG_AGO: FileFacts = {
  kind: "file",
  size: 10,
  seconds: 1_700_000_000,
  nanoseconds: 5_000_000,
  inode: 1,
  device: 1,
};
const IN_AN_HOUR: FileFacts = { ...LONG_AGO, seconds: Math.floor(Date.now() / 1000) + 3600 };

test("a file that stays as it is is described once", () => {
  const descriptions = new Descriptions(true, undefined);
  const first = descriptions.of("a.txt", "identity", LONG_AGO);
  assert.equal(descriptions.of("a.txt", "identity", { ...LONG_AGO }), first);
});

test("any change of a file's length or time is told at once, and back again", () => {
  const descriptions = new Descriptions(true, undefined);
  const tagOf = (facts: FileFacts) => descriptions.of("a.txt", "identity", facts).validators.etag;
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

test("a file whose time is still to come is described each time: its date is now", () => {
  const descriptions = new Descriptions(true, undefined);
  const first = descriptions.of("a.txt", "identity", IN_AN_HOUR);
  assert.notEqual(descriptions.of("a.txt", "identity", IN_AN_HOUR), first);
  assert.ok(first.validators.seconds <= Date.now() / 1000);
});

test("a description that may change by itself has its own Date, no earlier than Last-Modified", () => {
  const descriptions = new Descriptions(true, undefined);
  const { hasDate, lines, cacheLines } = descriptions.of("a.txt", "identity", IN_AN_HOUR);
  assert.ok(hasDate);
  for (const text of [lines, cacheLines]) {
    const [date, changed] = ["Date", "Last-Modified"].map((name) =>
      Date.parse(new RegExp(`^${name}: (.*)\r$`, "m").exec(text)?.[1] as string),
    ) as [number, number];
    assert.ok(changed <= date, text);
  }
  assert.equal(descriptions.of("b.txt", "identity", LONG_AGO).hasDate, false);
});

test("app.js in br and app.js.br itself are not taken for each other", () => {
  const descriptions = new Descriptions(true, undefined);
  for (let i = 0; i < 2; i++) {
    const coded = descriptions.of("app.js", "br", LONG_AGO);
    assert.match(coded.lines, /^Content-Encoding: br\r\nContent-Type: text\/javascript;/m);
    const itself = descriptions.of("app.js.br", "identity", LONG_AGO);
    assert.doesNotMatch(itself.lines, /Content-Encoding|javascript/);
    assert.notEqual(coded.validators.etag, itself.validators.etag);
  }
});

test("of very many files the last ones are remembered", () => {
  const descriptions = new Descriptions(false, "max-age=60");
  const all = Array.from({ length: 1001 }, (_, i) =>
    descriptions.of(`${i}.txt`, "identity", LONG_AGO),
  );
  assert.equal(descriptions.of("1000.txt", "identity", LONG_AGO), all[1000]);
  assert.notEqual(descriptions.of("0.txt", "identity", LONG_AGO), all[0]);
});
