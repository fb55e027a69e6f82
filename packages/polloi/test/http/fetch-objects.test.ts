/** The light Request, Response and Headers are compared with those of the runtime. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { replaceGlobals } from "../../src/http/fetch/globals.ts";
import { LightHeaders } from "../../src/http/fetch/light-headers.ts";
import { LightResponse } from "../../src/http/fetch/light-response.ts";
import { originOf, resolve } from "../../src/http/fetch/url.ts";

const Native: typeof Response = Response;
const Light = LightResponse as unknown as typeof Response;
let release: () => void;

before(() => {
  release = replaceGlobals(true);
});
after(() => release());

/** The result of a function, or the class of its exception. */
function outcomeOf(run: () => unknown): unknown {
  try {
    return { value: run() };
  } catch (error) {
    return { thrown: (error as Error).constructor.name };
  }
}

async function laterOutcomeOf(run: () => unknown): Promise<unknown> {
  try {
    return { value: await run() };
  } catch (error) {
    return { thrown: (error as Error).constructor.name };
  }
}

describe("light headers", () => {
  const name = fc.constantFrom("a", "A", "b-c", "Set-Cookie", "cookie", "X", "", "b c", "\u00e9");
  const value = fc.constantFrom(
    "1",
    "",
    " 2\t",
    "a, b",
    "\u00ff",
    "\u0100",
    "a\nb",
    "a\0",
    "\r\nx",
    "a\x7f",
    "\x0bb",
  );
  const step = fc.oneof(
    fc.tuple(fc.constant("append" as const), name, value),
    fc.tuple(fc.constant("set" as const), name, value),
    fc.tuple(fc.constant("get" as const), name, value),
    fc.tuple(fc.constant("has" as const), name, value),
    fc.tuple(fc.constant("delete" as const), name, value),
  );

  test("headers are equal to the runtime's after any calls", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const light = new LightHeaders() as unknown as Headers;
        const native = new Headers();
        for (const [call, ...args] of steps) {
          const on = (headers: Headers): unknown =>
            outcomeOf(() => (headers[call] as (...a: string[]) => unknown)(...args));
          assert.deepEqual(
            on(bound(light)),
            on(bound(native)),
            `${call}(${args.map((arg) => JSON.stringify(arg))})`,
          );
        }
        assert.deepEqual([...light], [...native]);
        assert.deepEqual([...light.keys()], [...native.keys()]);
        assert.deepEqual([...light.values()], [...native.values()]);
        assert.deepEqual(light.getSetCookie(), native.getSetCookie());
        assert.deepEqual([...new Headers(light)], [...new Headers([...native])]);
      }),
      { numRuns: 500 },
    );
  });

  test("headers accept the same inits as the runtime's", () => {
    const pairs: [string, string][] = [
      ["b", "1"],
      ["a", "2"],
      ["B", "3"],
    ];
    const inits = [
      {},
      { a: "1", B: "2" },
      { a: 1 },
      pairs,
      new Map(pairs),
      new Headers(pairs),
      new LightHeaders(pairs),
      [["a"]],
      null,
      "text",
      { "a b": "1" },
      Object.assign(Object.create(null), { x: "y" }),
    ];
    for (const init of inits) {
      const make = (Class: typeof Headers): unknown =>
        outcomeOf(() => [...new Class(init as never)]);
      assert.deepEqual(
        make(LightHeaders as unknown as typeof Headers),
        make(Headers),
        inspect(init),
      );
    }
  });

  test("iteration over headers sees changes, as with the runtime's", () => {
    const walk = (headers: Headers): string[] => {
      const seen: string[] = [];
      headers.set("b", "1");
      headers.set("d", "2");
      for (const [name] of headers) {
        seen.push(name);
        if (name === "b") headers.set("c", "3");
      }
      return seen;
    };
    assert.deepEqual(walk(new LightHeaders() as unknown as Headers), walk(new Headers()));
  });
});

/** The methods of headers, by name. */
function bound(headers: Headers): Headers {
  return new Proxy(headers, {
    get: (target, key) => (target[key as "get"] as () => unknown).bind(target),
  });
}

describe("light responses", () => {
  const bodies: readonly [string, () => unknown][] = [
    ["nothing", () => undefined],
    ["null", () => null],
    ["text", () => "t\u00e9xt"],
    ["a byte order mark and text", () => "\ufefftext"],
    ["a lone surrogate", () => "\ud800"],
    ["an empty text", () => ""],
    ["bytes", () => new Uint8Array([1, 2, 255])],
    ["a Buffer", () => Buffer.from("abc")],
    ["a buffer", () => new Uint8Array([97]).buffer],
    ["a view", () => new DataView(new ArrayBuffer(3), 1)],
    ["a Blob", () => new Blob(["x"], { type: "a/b" })],
    ["a form", () => new URLSearchParams("a=b")],
    ["a number", () => 12],
    ["an object", () => ({})],
    ["a stream", () => new Blob(["streamed"]).stream()],
  ];
  const inits: readonly unknown[] = [
    undefined,
    {},
    { status: 201, statusText: "Made" },
    { status: 204 },
    { status: "404" },
    { status: 99 },
    { status: 600 },
    { status: 101 },
    { statusText: "a\nb" },
    { headers: { a: "b" } },
    { headers: { "Content-Type": "text/html" } },
    { headers: { "a b": "c" } },
    { headers: [["a", "b\n"]] },
    new Native(null, { status: 203, headers: { a: "b" } }),
  ];

  async function seen(make: () => Response): Promise<unknown> {
    return laterOutcomeOf(async () => {
      const response = make();
      const { status, statusText, ok, type, url, redirected, bodyUsed } = response;
      const copy = response.clone();
      return {
        said: { status, statusText, ok, type, url, redirected, bodyUsed },
        headers: [...response.headers],
        hasBody: response.body !== null,
        text: await response.text(),
        bytes: Buffer.from(await copy.arrayBuffer()).toString("hex"),
        blob: await laterOutcomeOf(async () => (await make().blob()).type),
        used: response.bodyUsed,
        again: await laterOutcomeOf(() => response.text()),
        cloned: outcomeOf(() => response.clone() instanceof Native),
      };
    });
  }

  for (const [name, body] of bodies) {
    test(`a response made from ${name} is equal to the runtime's`, async () => {
      for (const init of inits) {
        const make = (Class: typeof Response) => () => new Class(body() as never, init as never);
        assert.deepEqual(await seen(make(Light)), await seen(make(Native)), inspect(init));
      }
    });
  }

  test("Response.json and Response.redirect are equal to the runtime's", async () => {
    const makers: readonly ((Class: typeof Response) => Response)[] = [
      (Class) => Class.json({ a: [1] }),
      (Class) => Class.json(null, { status: 201 }),
      (Class) => Class.json("x", { headers: { "content-type": "a/b" } }),
      (Class) => Class.json(undefined),
      (Class) => Class.json(1, { status: 204 }),
      (Class) => Class.redirect("http://a/b c", 301),
      (Class) => Class.redirect("http://a/", 200 as 301),
      (Class) => Class.redirect("nowhere", 302),
      (Class) => Class.error(),
    ];
    for (const make of makers) {
      assert.deepEqual(await seen(() => make(Light)), await seen(() => make(Native)), String(make));
    }
  });

  test("a body is read as a stream, in part, and only once", async () => {
    for (const Class of [Light, Native]) {
      const response = new Class("abc");
      const reader = (response.body as ReadableStream).getReader({ mode: "byob" });
      const first = await reader.read(new Uint8Array(2));
      assert.deepEqual([...(first.value as Uint8Array)], [97, 98]);
      assert.equal(response.bodyUsed, true);
      assert.equal([...((await reader.read(new Uint8Array(2))).value as Uint8Array)][0], 99);
      assert.equal((await reader.read(new Uint8Array(2))).done, true);
      await assert.rejects(response.text(), TypeError);
    }
  });

  test("the bytes of a body are a copy of the init's", async () => {
    const bytes = new Uint8Array([97]);
    const response = new Light(bytes);
    bytes[0] = 98;
    assert.equal(await response.text(), "a");
  });

  test("a subclass of the program is an instance of both classes", async () => {
    class Mine extends (Response as typeof Response) {
      readonly mine = true;
    }
    const mine = new Mine("text", { status: 201 });
    assert.ok(mine instanceof Mine && mine instanceof Response && mine instanceof Native);
    assert.equal(mine.status, 201);
    assert.equal(await mine.text(), "text");
  });

  test("they print like the runtime's classes", () => {
    assert.match(inspect(new Light("x", { headers: { a: "b" } })), /^Response \{\s+status: 200,/);
    assert.match(inspect(new LightHeaders({ a: "b" })), /^Headers \{ a: 'b' \}$/);
  });
});

describe("URLs", () => {
  const piece = fc.constantFrom(
    ..."/.?%&=+:;,@!~'\"<>{}|\\^`[]#$*()-_aZ09\u00e9",
    "%2e",
    "%2E",
    "..",
  );

  test("any target gives the same URL as the runtime's URL class", () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const target = `/${pieces.join("")}`;
        assert.equal(resolve("http://h", target), new URL(`http://h${target}`).href);
      }),
      { numRuns: 2000 },
    );
  });

  test("any host gives the same origin as the runtime's URL class, also from the cache", () => {
    const part = fc.constantFrom(..."a.Z0-_~%[]:1", "127", "80", "xn--", ".1", "::1");
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
        const host = parts.join("");
        const url = URL.canParse(`http://${host}`) ? new URL(`http://${host}`).origin : undefined;
        for (const _ of [1, 2]) assert.equal(originOf("http", host), url, host);
      }),
      { numRuns: 2000 },
    );
  });
});
