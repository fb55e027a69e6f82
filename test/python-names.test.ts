/** Python's select, selectors and socket: every name has a counterpart, or a reason why it has none. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import * as select from "../packages/polloi/src/select/index.ts";
import * as socket from "../packages/polloi/src/socket/index.ts";
import { codeSpansOf, read } from "./docs/markdown.ts";

const LIST = `
import json, socket, select
print(json.dumps({m.__name__: {n: int(getattr(m, n)) for n in dir(m) if n.isupper() and isinstance(getattr(m, n), int)} for m in (socket, select)}))
`;

const python = spawnSync("python3", ["-c", LIST], { encoding: "utf8" });
const skip = python.status === 0 ? false : "python3 is not installed";
const MODULES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = { socket, select };

function theirs(): [module: string, name: string, value: number][] {
  const modules = JSON.parse(python.stdout) as Record<string, Record<string, number>>;
  return Object.entries(modules).flatMap(([module, names]) =>
    Object.entries(names).map(([name, value]): [string, string, number] => [module, name, value]),
  );
}

test("a constant that Python has as well has the same value", { skip }, () => {
  let compared = 0;
  for (const [module, name, value] of theirs()) {
    const own = MODULES[module]?.[name];
    if (own === undefined) continue;
    compared++;
    // As 32 bits: Python writes EPOLLET and INADDR_NONE unsigned, some of its versions do not.
    assert.equal(Number(own) >>> 0, value >>> 0, name);
  }
  assert.ok(compared >= 200, `only ${compared} were compared`);
});

test("a constant that Python alone has is named in coming-from-python.md as not provided", {
  skip,
}, () => {
  const page = read("docs/coming-from-python.md");
  const [, section = ""] = page.split("### Constants that are not provided\n");
  const [own = ""] = section.split("\n## ");
  const patterns = [...own.matchAll(/`([A-Z][A-Z0-9_]*)(_\*)?`/g)].map(
    ([, name, rest]) => new RegExp(rest === undefined ? `^${name}$` : `^${name}_`),
  );
  assert.ok(patterns.length >= 10, "the section was not found");
  const missing = theirs().filter(
    ([module, name]) =>
      MODULES[module]?.[name] === undefined && !patterns.some((pattern) => pattern.test(name)),
  );
  assert.deepEqual(
    missing.map(([module, name]) => `${module}.${name}`),
    [],
  );
});

const NAMES = `
import json, socket, select, selectors
def public(it): return [n for n in dir(it) if not n.startswith("_")]
names = {n for m in (socket, select, selectors) for n in public(m) if not n.isupper()}
for it in (socket.socket, select.epoll, select.poll(), selectors.DefaultSelector): names.update(public(it))
names.update(selectors.SelectorKey._fields)
print(json.dumps(sorted(names)))
`;
/** Names that the modules import, or use to make their constants. */
const NOT_PUBLIC = ["ABCMeta", "AddressInfo", "IntEnum", "IntFlag", "Mapping", "abstractmethod"];
NOT_PUBLIC.push(
  "array",
  "errno",
  "io",
  "math",
  "namedtuple",
  "os",
  "selectors",
  "sys",
  "AF_DECnet",
);

test("every name of Python's modules is in coming-from-python.md", { skip }, () => {
  const { stdout } = spawnSync("python3", ["-c", NAMES], { encoding: "utf8" });
  const names = (JSON.parse(stdout) as string[]).filter((name) => !NOT_PUBLIC.includes(name));
  assert.ok(names.length > 80, `only ${names.length} names were found`);
  const code = codeSpansOf("docs/coming-from-python.md").map(({ text }) => text);
  const all = code.join(" ");
  assert.deepEqual(
    names.filter((name) => !new RegExp(`\\b${name}\\b`).test(all)),
    [],
  );
});
