/**
 * The classes that replace the runtime's are compared with them.
 *
 * The cases follow the Fetch and Web IDL standards, and the subjects of the web platform tests of fetch/api/response,
 * fetch/api/headers and fetch/api/body.
 */
import assert from "node:assert/strict";
import { inspect } from "node:util";
import type { Case } from "../../../../test/support/suite.ts";
import { serve } from "../../src/http/index.ts";
import { kernel } from "../../src/sys/open.ts";

const Native: typeof Response = Response;
const isBun = kernel.runtime === "bun";

type Make = (Class: typeof Response) => unknown;
type Table = Readonly<Record<string, Make>>;

/** A value that the types do not allow. */
const odd = (value: unknown): undefined => value as undefined;

/** The observable state of a response. */
async function seen(value: unknown): Promise<unknown> {
  if (!(value instanceof Native)) return value;
  const { status, statusText, ok, type, url, redirected, bodyUsed } = value;
  const headers = [...value.headers].filter(([name]) => !(isBun && name === "content-type"));
  const hasBody = value.body !== null;
  const text = bodyUsed ? "" : await value.text();
  return { status, statusText, ok, type, url, redirected, bodyUsed, headers, hasBody, text };
}

async function outcomeOf(run: () => unknown): Promise<unknown> {
  try {
    return { value: await seen(await run()) };
  } catch (error) {
    return { thrown: (error as Error).constructor.name };
  }
}

function agreeing(
  what: string,
  table: Table,
  reasons: Readonly<Record<string, string>> = {},
): Case[] {
  return Object.entries(table).map(([name, make]) => ({
    name: `${what} as the runtime's own does: ${name}`,
    ...(reasons[name] === undefined ? {} : { skip: reasons[name] }),
    async run() {
      const expected = await outcomeOf(() => make(Native));
      const server = serve({ host: "127.0.0.1", port: 0, fetch: () => new Response("served") });
      try {
        assert.notEqual(Response, Native);
        const actual = await outcomeOf(() => make(Response));
        assert.deepEqual(actual, expected, inspect({ actual, expected }));
      } finally {
        await server.stop(0);
      }
    },
  }));
}

const inits: readonly unknown[] = [
  404,
  5,
  0,
  "s",
  "",
  true,
  false,
  1n,
  Symbol("s"),
  null,
  undefined,
  () => {},
  [],
  new Date(0),
  { status: null },
  { status: "404" },
  { status: 404.9 },
  { status: Number.NaN },
  { status: {} },
  { status: Symbol("s") },
  { status: 199 },
  { status: 600 },
  { status: -1 },
  { status: Number.POSITIVE_INFINITY },
  { status: 204 },
  { status: 205 },
  { status: 304 },
  { statusText: null },
  { statusText: 5 },
  { statusText: Symbol("s") },
  { statusText: "\u0100" },
  { statusText: "\n" },
  { statusText: "\x7f" },
  { statusText: "\x80 \t" },
  { headers: null },
  { headers: 5 },
  { headers: "a" },
  { headers: true },
  { headers: Symbol("s") },
  { headers: [["a"]] },
  { headers: [["a", "b", "c"]] },
  { headers: ["ab"] },
  { headers: { "a b": "c" } },
  { headers: { a: "b\nc" } },
  { headers: { a: "\u0100" } },
  { headers: { a: Symbol("s") } },
  { headers: { [Symbol("s")]: "a" } },
  { headers: new Map([["a", "b"]]) },
  { headers: new Proxy({ a: "b" }, {}) },
];

/** The text of an init, for names of cases. */
const named = (init: unknown): string => inspect(init, { breakLength: Number.POSITIVE_INFINITY });

const MISUSE: Table = {
  ...Object.fromEntries(
    inits.flatMap((init): [string, Make][] => [
      [`new Response("x", ${named(init)})`, (Class) => new Class("x", odd(init))],
      [`new Response(null, ${named(init)})`, (Class) => new Class(null, odd(init))],
      [`Response.json("x", ${named(init)})`, (Class) => Class.json("x", odd(init))],
    ]),
  ),
  ...Object.fromEntries(
    [5, {}, [], true, 1n, Symbol("s"), () => 1, new Date(0), new Map()].map(
      (body): [string, Make] => [`new Response(${named(body)})`, (Class) => new Class(odd(body))],
    ),
  ),
  ...Object.fromEntries(
    [() => {}, Symbol("s"), undefined, 1n, { toJSON: () => undefined }, "\ud800", Number.NaN].map(
      (data): [string, Make] => [`Response.json(${named(data)})`, (Class) => Class.json(data)],
    ),
  ),
  "Response.json of a circular object": (Class) => {
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    return Class.json(circle);
  },
  "Response.json of an object that throws": (Class) =>
    Class.json({
      toJSON() {
        throw new EvalError("mine");
      },
    }),
  ...Object.fromEntries(
    [null, undefined, 200, 301, "301", 301.9, 304, Number.NaN, 1000, {}, Symbol("s"), true].map(
      (status): [string, Make] => [
        `Response.redirect("http://a/", ${named(status)})`,
        (Class) => Class.redirect("http://a/", odd(status) as unknown as 302),
      ],
    ),
  ),
  ...Object.fromEntries(
    ["nowhere", "/a", "", "http://", Symbol("s"), null].map((url): [string, Make] => [
      `Response.redirect(${named(url)})`,
      (Class) => Class.redirect(odd(url) as unknown as string, 302),
    ]),
  ),
  "Response without new": (Class) => (Class as unknown as () => unknown)(),
  "text() of another object": (Class) => Class.prototype.text.call(odd({}) as unknown as Response),
  "headers of a redirection are changed": (Class) => {
    Class.redirect("http://a/", 302).headers.set("a", "b");
  },
  "headers of an error are changed": (Class) => {
    Class.error().headers.append("a", "b");
  },
  "headers of a copy of a redirection are changed": (Class) => {
    const redirection = Class.redirect("http://a/", 302);
    const copy = new Class(null, redirection);
    copy.headers.set("a", "b");
    return copy;
  },
};

/** Functions that make bodies. */
const BODIES: Readonly<Record<string, () => unknown>> = {
  text: () => "a=b",
  "an empty text": () => "",
  bytes: () => new Uint8Array([97, 61, 98]),
  "a buffer": () => new Uint8Array([97, 61, 98]).buffer,
  "a DataView": () => new DataView(new Uint8Array([0, 97, 61, 98]).buffer, 1),
  "a form": () => new URLSearchParams({ a: "b" }),
  "a Blob": () => new Blob(["a=b"], { type: "Text/A" }),
  "a stream": () => new Blob(["a=b"]).stream(),
  nothing: () => null,
};

/** Operations on a body before it is used for another response. */
const USES: Readonly<Record<string, (response: Response) => unknown>> = {
  "text()": (response) => response.text(),
  "text(), not awaited": (response) => void response.text(),
  "json()": (response) => response.json().catch(() => {}),
  "arrayBuffer()": (response) => response.arrayBuffer(),
  "blob()": (response) => response.blob(),
  "formData()": (response) => {
    response.headers.set("content-type", "application/x-www-form-urlencoded");
    return response.formData();
  },
  "a reader": (response) => void response.body?.getReader(),
  "a read": async (response) => {
    const reader = response.body?.getReader();
    await reader?.read();
    reader?.releaseLock();
  },
  "cancel()": (response) => response.body?.cancel(),
  "tee()": (response) => void response.body?.tee(),
  "clone()": (response) => void response.clone(),
  "body, and text()": (response) => response.body !== null && response.text(),
  "a copy that was read": (response) =>
    new (response.constructor as typeof Response)(response.body).text(),
};

/** Operations on a response after that. */
const THEN: Readonly<Record<string, (response: Response, Class: typeof Response) => unknown>> = {
  "a copy of it": (response, Class) => new Class(response.body, response),
  "a copy of it, read": (response, Class) => new Class(response.body, response).text(),
  "text()": (response) => response.text(),
  "arrayBuffer()": async (response) => (await response.arrayBuffer()).byteLength,
  "json()": (response) => response.json(),
  "blob()": async (response) => (await response.blob()).size,
  "clone()": (response) => response.clone(),
  "bodyUsed, and its stream": ({ bodyUsed, body }) => [bodyUsed, body?.locked],
  "a read of its stream": (response) => response.body?.getReader().read(),
  "a Request made from it": async (response) => {
    const init = { method: "POST", body: response.body, duplex: "half" };
    return new Request("http://a/", init as unknown as RequestInit).text();
  },
};
type RequestInit = ConstructorParameters<typeof Request>[1];

const USED: Table = Object.fromEntries(
  Object.entries(BODIES).flatMap(([what, body]) =>
    Object.entries(USES).map(([use, apply]): [string, Make] => [
      `${what} after ${use}`,
      async (Class) => {
        const outcomes: [string, unknown][] = [];
        for (const [then, ask] of Object.entries(THEN)) {
          const response = new Class(body() as BodyInit);
          await outcomeOf(() => apply(response));
          outcomes.push([then, await outcomeOf(() => ask(response, Class))]);
        }
        return Object.fromEntries(outcomes);
      },
    ]),
  ),
);
type BodyInit = ConstructorParameters<typeof Response>[0];

/** Content-Types and their normal forms; undefined for the type that the body implies. */
const TYPES: readonly (readonly [contentType: string | null | undefined, type?: string])[] = [
  [undefined],
  [null, ""],
  ["", ""],
  ["Text/HTML; Charset=UTF-8", "text/html;charset=utf-8"],
  ['text/html;charset="utf-8"', "text/html;charset=utf-8"],
  ["a/b, c/d", "c/d"],
  ["text/html;a=b;a=c", "text/html;a=b"],
  ["bad", ""],
  ["text/html; charset=gbk, x/y", "x/y"],
];
const OWN_TYPES: Readonly<Record<string, string>> = {
  text: "text/plain;charset=utf-8",
  "an empty text": "text/plain;charset=utf-8",
  "a form": "application/x-www-form-urlencoded;charset=utf-8",
  "a Blob": "text/a",
};

/** The type of blob() if the Content-Type was given at first, or changed later. */
const types: readonly Case[] = Object.entries(BODIES).map(([what, body]) => ({
  name: `blob() has the type of the current Content-Type: ${what}`,
  async run() {
    const server = serve({ host: "127.0.0.1", port: 0, fetch: () => new Response("served") });
    try {
      for (const [contentType, type = OWN_TYPES[what] ?? ""] of TYPES) {
        const changed = new Response(body() as BodyInit);
        if (contentType === null) changed.headers.delete("content-type");
        else if (contentType !== undefined) changed.headers.set("content-type", contentType);
        assert.equal((await changed.blob()).type, type, `${named(contentType)}, changed`);
        if (typeof contentType !== "string") continue;
        const headers = { "content-type": contentType };
        const begun = new Response(body() as BodyInit, { headers });
        assert.equal((await begun.blob()).type, type, `${named(contentType)}, from the beginning`);
      }
    } finally {
      await server.stop(0);
    }
  },
}));

/** Whether a body counts as used in the same turn. */
const AT_ONCE: Readonly<Record<string, (response: Response) => unknown>> = {
  nothing: () => undefined,
  body: (response) => response.body,
  "getReader()": (response) => response.body?.getReader(),
  "read()": (response) => response.body?.getReader().read(),
  "read() and releaseLock()": (response) => {
    const reader = response.body?.getReader();
    reader?.read().catch(() => {});
    reader?.releaseLock();
  },
  "cancel()": (response) => response.body?.cancel(),
  "cancel() of a reader": (response) => response.body?.getReader().cancel(),
  "text()": (response) => response.text(),
  "json()": (response) => response.json().catch(() => {}),
  "formData()": (response) => response.formData().catch(() => {}),
  "tee()": (response) => response.body?.tee(),
  "clone()": (response) => response.clone(),
  "pipeTo()": (response) => response.body?.pipeTo(new WritableStream()),
  "pipeThrough()": (response) => response.body?.pipeThrough(new TransformStream()),
  "a copy": (response) => new (response.constructor as typeof Response)(response.body),
  "a loop": async (response) => {
    for await (const _ of response.body ?? []) break;
  },
};

const SYNC: Table = Object.fromEntries(
  Object.entries(BODIES).flatMap(([what, body]) =>
    Object.entries(AT_ONCE).map(([use, apply]): [string, Make] => [
      `${what}, in the same turn as ${use}`,
      async (Class) => {
        const response = new Class(body() as BodyInit);
        const { bodyUsed: before } = response;
        const done = apply(response);
        const { bodyUsed: after } = response;
        await done;
        // A piped stream is read a little later.
        await new Promise((resolve) => setImmediate(resolve));
        const { bodyUsed: then } = response;
        const again = await outcomeOf(() => response.text());
        const cloned = await outcomeOf(() => new Class(body() as BodyInit).clone().text());
        return [before, after, then, response.body?.locked, again, cloned];
      },
    ]),
  ),
);

/** Bytes that are decoded as text and as JSON. */
const ENCODED: Table = Object.fromEntries(
  (
    [
      [[], "nothing"],
      [[0xef, 0xbb, 0xbf], "a mark"],
      [[0xef, 0xbb, 0xbf, 0x7b, 0x7d], "a byte order mark and {}"],
      [[0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf, 0x31], "two byte order marks and 1"],
      [[0xfe, 0xff, 0x00, 0x31], "UTF-16"],
      [[0x22, 0xff, 0x22], "a byte that is not UTF-8"],
      [[0xe2, 0x82], "half a character"],
      [[0x7b], "half of {}"],
    ] as const
  ).map(([bytes, what]): [string, Make] => [
    `${what} as bytes`,
    async (Class) => {
      const make = (): Response => new Class(new Uint8Array(bytes));
      return [await make().text(), await outcomeOf(() => make().json())];
    },
  ]),
);

/** Iteration over headers that change. */
const WALKS: Table = Object.fromEntries(
  (
    [
      ["delete a later one", (headers) => headers.delete("foo")],
      ["delete an earlier one", (headers, at) => at === "baz" && headers.delete("bar")],
      ["append behind", (headers, at) => at === "baz" && headers.append("X-yZ", "4")],
      ["append in front", (headers, at) => at === "baz" && headers.append("abc", "-1")],
      ["add a cookie", (headers, at) => at === "baz" && headers.append("Set-Cookie", "c=d")],
      ["set", (headers, at) => at === "baz" && headers.set("quux", "5")],
    ] as readonly (readonly [string, (headers: Headers, at: string) => unknown])[]
  ).map(([what, change]): [string, Make] => [
    `iteration over headers that change: ${what}`,
    (Class) => {
      const { headers } = new Class(null, {
        headers: [
          ["foo", "2"],
          ["baz", "1"],
          ["BAR", "0"],
          ["set-cookie", "z"],
          ["set-cookie", "a"],
          ["quux", "3"],
        ],
      });
      const seen: string[] = [];
      for (const [name, value] of headers) {
        seen.push(`${name}: ${value}`);
        change(headers, name);
        if (seen.length > 20) break;
      }
      const keys = headers.keys();
      const next = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(keys), "next");
      const { configurable, enumerable, writable } = next ?? {};
      return [
        seen,
        [...headers.keys()],
        [...headers.values()],
        headers.getSetCookie(),
        String(keys),
        { configurable, enumerable, writable },
      ];
    },
  ]),
);

/** Values of headers: trimmed and refused characters. */
const VALUES: Table = Object.fromEntries(
  [
    ...Array.from({ length: 0x21 }, (_, code) => code),
    ...[0x7f, 0x80, 0x85, 0xa0, 0xff, 0x100, 0x2028, 0xfeff],
  ].flatMap((code): [string, Make][] => {
    const character = String.fromCharCode(code);
    return (
      [
        ["inside", `a${character}b`],
        ["in front", `${character}b`],
        ["at the end", `a${character}`],
      ] as const
    ).map(([where, value]): [string, Make] => [
      `a header with U+${code.toString(16).padStart(4, "0")} ${where}`,
      async (Class) => {
        const { headers } = new Class(null);
        return [
          await outcomeOf(() => headers.set("a", value)),
          await outcomeOf(() => headers.append(value, "b")),
          await outcomeOf(() => headers.has(value)),
          await outcomeOf(() => [...new Class(null, { headers: { b: value } }).headers]),
          [...headers],
        ];
      },
    ]);
  }),
);

/** Calls with fewer arguments than a method needs, and with `undefined`. */
const ABSENT: Table = Object.fromEntries(
  (["append", "delete", "forEach", "get", "has", "set"] as const).flatMap((method) =>
    [[], ["a"], [undefined], ["a", undefined]].map((given): [string, Make] => [
      `${method} with ${inspect(given)}`,
      async (Class) => {
        const { headers } = new Class(null, { headers: { a: "1" } });
        const call = headers[method] as (...given: unknown[]) => unknown;
        return [await outcomeOf(() => call.apply(headers, given)), [...headers]];
      },
    ]),
  ),
);

/** The shape of a class. */
const LOOKS: Table = {
  "the names of the members of a response": (Class) => {
    const names: string[] = [];
    for (const name in new Class("x")) names.push(name);
    return names.sort();
  },
  "the members of a response's headers": ({ prototype }) => {
    const names: string[] = [];
    for (const name in new (prototype.constructor as typeof Response)("x").headers)
      names.push(name);
    return names.sort();
  },
  "every method, called on a fresh response": async (Class) => {
    const found: [string, unknown][] = [];
    for (const name of Object.keys(Native.prototype).sort()) {
      const response = new Class("a=b") as unknown as Record<string, unknown>;
      const member = response[name];
      const called =
        typeof member === "function" ? await outcomeOf(() => member.call(response)) : undefined;
      const { thrown } = (called ?? {}) as { thrown?: string };
      found.push([name, [typeof member, thrown, response.bodyUsed]]);
    }
    return found;
  },
  "own properties": (Class) => [Object.keys(new Class("x")), String(new Class("x"))],
  "numbers of arguments": (Class) => [Class.name, Class.length],
};

/** Cases in which polloi follows the standard, or refuses more, and the runtime's class does not. */
const OTHERWISE: Readonly<Record<string, string>> = {
  'Response.json("x", null)': "only Node 20 refuses null as an init, as polloi does everywhere",
  ...(isBun
    ? Object.fromEntries([
        ...inits
          .filter((init) => init !== null)
          .filter((init) => !["undefined", "object", "function"].includes(typeof init))
          .map((init) => [`Response.json("x", ${named(init)})`, "Bun accepts invalid inits"]),
        ...[null, "301", true, Symbol("s")].map((status) => [
          `Response.redirect("http://a/", ${named(status)})`,
          "Bun ignores a status that is not a number",
        ]),
      ])
    : {}),
};

const NODE: Readonly<Record<string, string>> = {
  "two byte order marks and 1 as bytes":
    "Node removes each mark; the standard and polloi remove the first",
};

/** A case that runs while the classes of polloi replace the runtime's. */
function standingIn(name: string, check: () => void | Promise<void>): Case {
  return {
    name,
    async run() {
      const server = serve({ host: "127.0.0.1", port: 0, fetch: () => new Response("served") });
      try {
        await check();
      } finally {
        await server.stop(0);
      }
    },
  };
}

/** Bytes that are detached or out of bounds when they are used. */
const GONE: Readonly<Record<string, () => unknown>> = {
  "a detached Uint8Array": () => detached(new Uint8Array(3)),
  "a detached Uint16Array": () => detached(new Uint16Array(3)),
  "a detached DataView": () => detached(new DataView(new ArrayBuffer(3))),
  "a detached part": () => detached(new Uint8Array(8).subarray(2, 4)),
  "a detached buffer": () => detached(new Uint8Array(3)).buffer,
  ...("resize" in ArrayBuffer.prototype
    ? {
        "a Uint8Array out of bounds": () => shrunk((buffer) => new Uint8Array(buffer, 4, 4)),
        "a DataView out of bounds": () => shrunk((buffer) => new DataView(buffer, 4, 4)),
      }
    : {}),
};

function detached<View extends ArrayBufferView>(view: View): View {
  structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
  return view;
}

function shrunk(make: (buffer: ArrayBuffer) => ArrayBufferView): ArrayBufferView {
  // TypeScript's library for Node 20 does not have it.
  const Resizable = ArrayBuffer as unknown as new (
    length: number,
    options: object,
  ) => ArrayBuffer & { resize(length: number): void };
  const buffer = new Resizable(8, { maxByteLength: 8 });
  const view = make(buffer);
  buffer.resize(4);
  return view;
}

const own: readonly Case[] = [
  standingIn("an invalid init is a TypeError on every runtime", () => {
    for (const init of [404, 5, "s", true, 1n, Symbol("s")]) {
      assert.throws(() => new Response("not found", odd(init)), TypeError, named(init));
      assert.throws(() => Response.json({}, odd(init)), TypeError, `json ${named(init)}`);
    }
  }),
  standingIn("null as an init is refused by Response.json, and allowed by new Response", () => {
    assert.throws(() => Response.json({ a: 1 }, odd(null)), TypeError);
    assert.throws(() => (Response.json as (...all: unknown[]) => unknown)({}, null, 2), TypeError);
    assert.equal(new Response("x", odd(null)).status, 200);
    assert.equal(new Response(null, odd(null)).status, 200);
    assert.equal(Response.json({ a: 1 }, undefined).status, 200);
    for (const [init, Thrown] of [
      [{ headers: null }, TypeError],
      [{ status: null }, RangeError],
    ] as const) {
      assert.throws(() => new Response("x", odd(init)), Thrown, named(init));
      assert.throws(() => Response.json("x", odd(init)), Thrown, named(init));
    }
  }),
  standingIn("the status of a redirection is converted according to the standard", () => {
    const redirect = (status: unknown): number => {
      return Response.redirect("http://a/", status as 302).status;
    };
    for (const [status, code] of [
      [undefined, 302],
      ["301", 301],
      [307.9, 307],
      [0x10000 + 308, 308],
    ]) {
      assert.equal(redirect(status), code, named(status));
    }
    for (const status of [null, 0, "x", true, {}, Number.NaN, 304, 200, "1000"]) {
      // Bun interprets an object here as options.
      if (isBun && typeof status === "object" && status !== null) continue;
      assert.throws(() => redirect(status), RangeError, named(status));
    }
    assert.throws(() => redirect(Symbol("s")), TypeError);
  }),
  ...Object.entries(GONE).map(([what, make]) =>
    standingIn(`detached and out-of-bounds bytes are an empty body: ${what}`, async () => {
      const response = new Response(make() as BodyInit);
      assert.notEqual(response.body, null);
      assert.equal(await response.text(), "");
      assert.equal((await new Response(make() as BodyInit).arrayBuffer()).byteLength, 0);
      assert.equal(await new Response(make() as BodyInit).clone().text(), "");
      assert.equal((await new Response(make() as BodyInit).blob()).size, 0);
    }),
  ),
];

export function objectsCases(): Case[] {
  return [
    ...agreeing("an argument is accepted or refused", MISUSE, OTHERWISE),
    ...agreeing("a body is used", USED),
    ...types,
    ...agreeing("a body counts as used", SYNC),
    ...agreeing("bytes are read", ENCODED, kernel.runtime === "node" ? NODE : {}),
    ...agreeing("headers act", WALKS),
    ...agreeing("headers act", VALUES),
    ...agreeing("headers act", ABSENT),
    ...agreeing("a class looks", LOOKS),
    ...own,
  ];
}
