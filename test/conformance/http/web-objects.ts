/**
 * The classes that stand in for the runtime's are asked the same as the runtime's own, and have to agree.
 *
 * What is asked follows the Fetch and Web IDL standards and what the web platform tests of fetch/api/response,
 * fetch/api/headers and fetch/api/body look at.
 */
import assert from "node:assert/strict";
import { inspect } from "node:util";
import { serve } from "../../../src/http/index.ts";
import { kernel } from "../../../src/sys/open.ts";
import type { Case } from "../../suite.ts";

const Native: typeof Response = Response;
const isBun = kernel.runtime === "bun";

type Make = (Class: typeof Response) => unknown;
type Table = Readonly<Record<string, Make>>;

/** What the types do not allow. */
const odd = (value: unknown): undefined => value as undefined;

/** What can be seen of a response. */
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

/** Which init, for names of cases. */
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
  "Response.json of a circle": (Class) => {
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    return Class.json(circle);
  },
  "Response.json of what throws": (Class) =>
    Class.json({
      toJSON() {
        throw new EvalError("mine");
      },
    }),
  ...Object.fromEntries(
    [null, undefined, 200, 301, "301", 301.9, 304, Number.NaN, 1000, {}, Symbol("s")].map(
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
  "text() of what is none": (Class) => Class.prototype.text.call(odd({}) as unknown as Response),
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

/** Bodies, each made anew. */
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

/** What uses up a body, or is done with it before it is taken for another response. */
const USES: Readonly<Record<string, (response: Response) => unknown>> = {
  "text()": (response) => response.text(),
  "text(), not waited for": (response) => void response.text(),
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
  "a copy that is read": (response) =>
    new (response.constructor as typeof Response)(response.body).text(),
};

/** What is asked of a response after that. */
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
  "a Request of it": async (response) => {
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

const TYPES: readonly (string | null | undefined)[] = [
  undefined,
  null,
  "",
  "Text/HTML; Charset=UTF-8",
  'text/html;charset="utf-8"',
  "a/b, c/d",
  "text/html;a=b;a=c",
  "bad",
  "text/html; charset=gbk, text/plain",
];

/** The type of blob() when the Content-Type was said at the beginning, or changed since. */
const TYPED: Table = Object.fromEntries(
  Object.entries(BODIES).flatMap(([what, body]) =>
    TYPES.map((type): [string, Make] => [
      `the type of ${what} with ${named(type)}`,
      async (Class) => {
        const changed = new Class(body() as BodyInit);
        if (type === null) changed.headers.delete("content-type");
        else if (type !== undefined) changed.headers.set("content-type", type);
        const said = typeof type === "string" ? { "content-type": type } : {};
        const begun = new Class(body() as BodyInit, { headers: said });
        const copy = changed.clone() as Response;
        // Bun gives a text its type only when it sends it.
        const types = [changed, begun, copy].map(async (each) => (await each.blob()).type);
        return isBun ? (await Promise.all(types)).length : Promise.all(types);
      },
    ]),
  ),
);

/** The standard does not know of this, and the class of polloi refuses it as the others do. */
const BUN: Readonly<Record<string, string>> = Object.fromEntries(
  inits
    .filter((init) => init !== null && !["undefined", "object", "function"].includes(typeof init))
    .map((init) => [`Response.json("x", ${named(init)})`, "Bun takes what is no init"]),
);

const refusing: Case = {
  name: "what is no init is a TypeError, whatever the runtime makes of it",
  async run() {
    const server = serve({ host: "127.0.0.1", port: 0, fetch: () => new Response("served") });
    try {
      for (const init of [404, 5, "s", true, 1n]) {
        assert.throws(() => new Response("not found", odd(init)), TypeError, named(init));
        assert.throws(() => Response.json({}, odd(init)), TypeError, `json ${named(init)}`);
      }
    } finally {
      await server.stop(0);
    }
  },
};

export function objectsConformance(): Case[] {
  return [
    ...agreeing("an argument is taken or refused", MISUSE, isBun ? BUN : {}),
    ...agreeing("a body is used", USED),
    ...agreeing("a type is found", TYPED),
    refusing,
  ];
}
