/** Responses of fetch handlers: framing, HEAD, chunks of every kind, other classes, and invalid responses. */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { runInNewContext } from "node:vm";
import type { Case } from "../../../../test/support/suite.ts";
import { type HttpHandler, serve } from "../../src/http/index.ts";
import { kernel } from "../../src/sys/open.ts";
import { bodyOf, Client, GET, LAST, served } from "./client.ts";
import { until, type WebCase } from "./fetch-case.ts";

const HEAD = LAST.replace("GET", "HEAD");

/** The head of an answer without its Date, and with a fixed boundary. */
function headOf(answer: string): string {
  const [head = ""] = answer.split("\r\n\r\n");
  return head
    .split("\r\n")
    .filter((line) => !line.startsWith("Date:"))
    .join("\r\n")
    .replaceAll(/boundary=\S+/g, "boundary=");
}

function lengthIn(answer: string): number | undefined {
  const found = /^content-length: (\d+)\r$/im.exec(answer)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** A stream of these chunks. @param isLate - Whether each chunk is produced in a later turn. */
export function streamOf(chunks: readonly unknown[], isLate = false): ReadableStream {
  const left = [...chunks];
  return new ReadableStream(
    {
      async pull(controller) {
        if (isLate) await new Promise((resolve) => setImmediate(resolve));
        if (left.length > 0) controller.enqueue(left.shift());
        if (left.length === 0) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

const bytesOf = (length: number): Uint8Array<ArrayBuffer> => new Uint8Array(length).fill(97);

/** Bodies and their lengths; undefined if the length is unknown before the body is read. */
const SIZED: readonly (readonly [string, () => unknown, number | undefined])[] = [
  ["text", () => "t\u00e9xt", 5],
  ["an empty text", () => "", 0],
  ["bytes", () => bytesOf(3), 3],
  ["no bytes", () => bytesOf(0), 0],
  ["65,535 bytes", () => bytesOf(65_535), 65_535],
  ["65,536 bytes", () => bytesOf(65_536), 65_536],
  ["300,000 bytes", () => bytesOf(300_000), 300_000],
  ["a buffer of 100,000", () => bytesOf(100_000).buffer, 100_000],
  ["a DataView", () => new DataView(bytesOf(5).buffer, 2), 3],
  ["a Uint16Array", () => new Uint16Array(bytesOf(6).buffer), 6],
  ["a Blob", () => new Blob(["abc"], { type: "a/b" }), 3],
  ["an empty Blob", () => new Blob([]), 0],
  ["a Blob of 300,000", () => new Blob([bytesOf(300_000)]), 300_000],
  ["a form", () => new URLSearchParams({ a: "b c" }), 5],
  ["a form of 100,000", () => new URLSearchParams({ a: "b".repeat(99_998) }), 100_000],
  ["a form with files", () => formData(), undefined],
  ["a stream of one piece", () => streamOf([bytesOf(3)]), 3],
  [
    "a stream of several pieces",
    () => streamOf([bytesOf(3), bytesOf(3), bytesOf(3)], true),
    undefined,
  ],
  ["an empty stream", () => streamOf([]), 0],
];

/** Bytes that the runtimes' classes may refuse, and that are an empty body in the standard. */
const DETACHED: typeof SIZED = [
  ["detached bytes", () => detached(bytesOf(5)), 0],
  ["a detached DataView", () => detached(new DataView(new ArrayBuffer(5))), 0],
];

function detached<View extends ArrayBufferView>(view: View): View {
  structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
  return view;
}

/** Ways to pass on a response that keep its headers. */
const PASSED: Readonly<Record<string, (response: Response) => Response>> = {
  "a clone": (response) => response.clone() as Response,
  "a response that was cloned": (response) => {
    response.clone();
    return response;
  },
  "a clone of a clone": (response) => (response.clone() as Response).clone() as Response,
  "a response whose stream was read from body": (response) => {
    assert.notEqual(response.body, undefined);
    return response;
  },
  "a clone of that": (response) => {
    assert.notEqual(response.body, undefined);
    return response.clone() as Response;
  },
  "a response made from its stream": (response) => new Response(response.body, response),
  "a response made from the stream of a clone": (response) => {
    const clone = response.clone() as Response;
    return new Response(clone.body, clone);
  },
};
function passedOn(web: WebCase): Case[] {
  if (!web.overridesGlobals) return [];
  const known = SIZED.filter(([, make, length]) => length !== undefined && !isStream(make));
  return Object.entries(PASSED).flatMap(([way, pass]) =>
    known.map(([name, make, length]) =>
      web(
        `a response that is passed on has the headers of the original: ${way}, of ${name}`,
        (request) => {
          const response = new Response(make() as BodyInit, { headers: { "x-a": "b" } });
          return request.url.endsWith("/as-it-is") ? response : pass(response);
        },
        async ({ client, errors }) => {
          const original = await client().send(LAST.replace("/ ", "/as-it-is ")).end();
          const full = await client().send(LAST).end();
          assert.deepEqual(errors, []);
          assert.equal(headOf(full), headOf(original));
          assert.equal(lengthIn(full), length);
          assert.ok(bodyOf(full) === bodyOf(original), "the body is the same");
          assert.equal(headOf(await client().send(HEAD).end()), headOf(original));
        },
      ),
    ),
  );
}

function isStream(make: () => unknown): boolean {
  return make() instanceof ReadableStream;
}

/** Other operations on a body that two responses share. */
const SHARED: Readonly<Record<string, (one: Response, other: Response) => unknown>> = {
  "the other one was sent": (one) => sendable(one),
  "the other one is read": async (one, other) => (await other.text()) && one,
  "its stream is read": async (one, other) => (await other.body?.getReader().read()) && one,
  "its stream has a reader": (one, other) => other.body?.getReader() && one,
};
let sendable: (response: Response) => Response;

function sharedCases(web: WebCase): Case[] {
  if (!web.overridesGlobals) return [];
  // The two streams are of different classes on Deno, and neither shows reads of the other.
  const skip = kernel.runtime === "deno" ? "Deno lets a shared body be read twice" : undefined;
  return Object.entries(SHARED).flatMap(([what, use]) =>
    [false, true].map((isFirst) => ({
      ...web(
        `a body that two responses share is sent once: ${what}, the ${isFirst ? "second response" : "original"} is sent`,
        async (request) => {
          const first = new Response(bytesOf(100_000));
          const second = new Response(first.body, first);
          const [one, other] = isFirst ? [second, first] : [first, second];
          if (request.url.endsWith("/again")) return left as Response;
          sendable = () => {
            left = other;
            return one;
          };
          return (await use(one, other)) as Response;
        },
        async ({ client, errors }) => {
          const text = await client().send(LAST).end();
          if (what !== "the other one was sent") {
            assert.match(headOf(text), /^HTTP\/1.1 500 /);
          } else {
            assert.match(headOf(text), /^HTTP\/1.1 200 [\s\S]*content-length: 100000$/i);
            const again = await client().send(LAST.replace("/ ", "/again ")).end();
            assert.match(headOf(again), /^HTTP\/1.1 500 /);
          }
          assert.equal(errors.length, 1);
          assert.ok(errors[0] instanceof TypeError, String(errors[0]));
        },
      ),
      skip,
    })),
  );
}
let left: Response | undefined;

function formData(): FormData {
  const form = new FormData();
  form.append("a", new Blob(["abc"]), "name.txt");
  return form;
}

function framing(web: WebCase): Case[] {
  const bare = [204, 205, 304].map((status) => bodiless(web, status));
  return [...sized(web), ...passedOn(web), ...sharedCases(web), ...bare];
}

function bodiless(web: WebCase, status: number): Case {
  return web(
    `a response of status ${status} has the same headers for HEAD as for GET`,
    () => new Response(null, { status }),
    async ({ client, errors }) => {
      const full = await client().send(LAST).end();
      const bare = await client().send(HEAD).end();
      assert.equal(headOf(bare), headOf(full));
      assert.doesNotMatch(full, /Content-Length: (-|[1-9])/);
      assert.deepEqual(errors, []);
    },
  );
}

function sized(web: WebCase): Case[] {
  const bodies = web.overridesGlobals ? [...SIZED, ...DETACHED] : SIZED;
  return bodies.map(([name, make, length]) =>
    web(
      `HEAD has the headers of GET, and its length if that is known: ${name}`,
      () => new Response(make() as BodyInit, { headers: { "x-a": "b" } }),
      async ({ client, errors }) => {
        const full = await client().send(LAST).end();
        const bare = await client().send(HEAD).end();
        assert.equal(headOf(bare), headOf(full));
        assert.match(bare, /\r\n\r\n$/);
        // The runtime's classes do not have the length of a body that must be read.
        if (web.overridesGlobals && length !== undefined) {
          assert.equal(lengthIn(full), length, headOf(full));
          assert.equal(bodyOf(full).length, length);
        }
        assert.deepEqual(errors, []);
      },
    ),
  );
}
type BodyInit = ConstructorParameters<typeof Response>[0];

const view = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** Chunks of a stream, and the text that is sent. */
const CHUNKS: readonly (readonly [string, unknown, string])[] = [
  ["a string", "t\u00e9xt\u{1f600}", "t\u00e9xt\u{1f600}"],
  ["an empty string", "", ""],
  ["a lone surrogate", "\ud800", "\ufffd"],
  ["a Uint8Array", view("ab"), "ab"],
  ["a part of one", view("abcd").subarray(1, 3), "bc"],
  ["a Buffer", Buffer.from("ab"), "ab"],
  ["an ArrayBuffer", view("abc").buffer, "abc"],
  ["a DataView", new DataView(view("abcd").buffer, 1, 2), "bc"],
  ["a Uint16Array", new Uint16Array(view("abcd").buffer), "abcd"],
  ["an empty view", new Uint8Array(0), ""],
  ["a Uint8Array of another realm", elsewhere("new Uint8Array([97, 98])"), "ab"],
  ["an ArrayBuffer of another realm", elsewhere("new Uint8Array([97, 98]).buffer"), "ab"],
  ["a detached Uint8Array", detached(bytesOf(3)), ""],
  ["a detached Uint16Array", detached(new Uint16Array(3)), ""],
  ["a detached DataView", detached(new DataView(new ArrayBuffer(3))), ""],
  ["a detached ArrayBuffer", detached(bytesOf(3)).buffer, ""],
];

function elsewhere(code: string): unknown {
  return runInNewContext(code);
}

function chunks(web: WebCase): Case[] {
  return CHUNKS.flatMap(([name, chunk, text]) =>
    [false, true].map((isLate) =>
      web(
        `a stream may produce ${name}${isLate ? ", in several turns" : " at once"}`,
        () => new Response(streamOf(isLate ? ["<", chunk, chunk, ">"] : [chunk], isLate)),
        async ({ url, errors }) => {
          assert.equal(await (await fetch(url)).text(), isLate ? `<${text}${text}>` : text);
          assert.deepEqual(errors, []);
        },
      ),
    ),
  );
}

/** Streams that produce all chunks in the same memory: their number, and the length of each. */
const REUSING: readonly (readonly [number, number])[] = [
  [2, 10],
  [40, 10],
  [40, 5000],
  [12, 16_384],
  [3, 100_000],
  [3, 300_000],
];

/** A stream that changes a chunk when the next one is requested. */
function reusing(count: number, length: number): ReadableStream {
  const memory = new Uint8Array(length);
  let made = 0;
  return new ReadableStream(
    {
      pull(controller) {
        memory.fill(65 + made);
        controller.enqueue(memory);
        if (++made === count) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

function reusingCases(web: WebCase): Case[] {
  return REUSING.map(([count, length]) =>
    web(
      `a stream may produce all chunks in the same memory: ${count} of ${length} bytes`,
      () => new Response(reusing(count, length)),
      async ({ url, errors }) => {
        const body = Buffer.from(await (await fetch(url)).arrayBuffer());
        assert.equal(body.length, count * length);
        const isRight = body.every((byte, i) => byte === 65 + Math.floor(i / length));
        assert.ok(isRight, "a chunk was sent with the bytes of another one");
        assert.deepEqual(errors, []);
      },
    ),
  );
}

/** Responses of other classes than the runtime's, and the body that is sent. */
const FOREIGN: readonly (readonly [string, () => unknown, body: string, length?: number])[] = [
  ["with a stream", () => foreign(streamOf([view("abc")])), "abc", 3],
  ["with a stream of strings", () => foreign(streamOf(["ab", "c"], true)), "abc"],
  ["with a Node stream", () => foreign(Readable.from([Buffer.from("abc")])), "abc"],
  ["with text", () => foreign("abc"), "abc", 3],
  ["with bytes", () => foreign(view("abc")), "abc", 3],
  ["with a buffer", () => foreign(view("abc").buffer), "abc", 3],
  ["with a form", () => foreign(new URLSearchParams("a=b")), "a=b", 3],
  ["without a body", () => foreign(null), "", 0],
  ["of another realm", () => elsewhere(REALM), "abc", 3],
  [
    "without streams",
    () => ({
      status: 203,
      headers: new Headers(HEADERS),
      arrayBuffer: async () => view("abc").buffer,
    }),
    "abc",
    3,
  ],
  [
    "with headers as an object",
    () => ({ status: 203, headers: { "x-a": "1, 2" }, body: "abc" }),
    "abc",
    3,
  ],
  [
    "with headers that have only forEach",
    () => ({
      status: 203,
      headers: {
        forEach(callback: (value: string, name: string) => void) {
          for (const [name, value] of HEADERS) callback(value, name);
        },
      },
      body: "abc",
    }),
    "abc",
    3,
  ],
];
const REALM = `({
  status: 203,
  headers: new Map([["x-a", "1, 2"]]),
  body: new Uint8Array([97, 98, 99]),
})`;
const HEADERS: [string, string][] = [
  ["X-A", "1"],
  ["x-a", "2"],
];

class Ponyfill {
  readonly status = 203;
  readonly headers = new Map(new Headers(HEADERS));
  readonly url = "";
  readonly bodyUsed: boolean;
  readonly body: unknown;

  constructor(body: unknown, bodyUsed: boolean) {
    this.body = body;
    this.bodyUsed = bodyUsed;
  }
}

function foreign(body: unknown, bodyUsed = false): Ponyfill {
  return new Ponyfill(body, bodyUsed);
}

function foreignCases(web: WebCase): Case[] {
  return [
    ...FOREIGN.map(([name, make, body, length]) =>
      web(
        `a response of another class is sent: ${name}`,
        (request) =>
          (request.url.endsWith("/later") ? Promise.resolve(make()) : make()) as Response,
        async ({ url, client, errors }) => {
          for (const path of ["/", "/later"]) {
            const response = await fetch(url + path);
            assert.deepEqual([response.status, response.headers.get("x-a")], [203, "1, 2"]);
            assert.equal(await response.text(), body);
          }
          const full = await client().send(LAST).end();
          if (length !== undefined) assert.equal(lengthIn(full), length);
          const bare = await client().send(HEAD).end();
          // If there is no body here, the length of an answer to GET is unknown.
          if (length !== 0) assert.equal(headOf(bare), headOf(full));
          assert.deepEqual(errors, []);
        },
      ),
    ),
    web(
      "each cookie of a response of another class has its own line",
      () => {
        const cookies = ["a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT", "b=2"];
        const headers = {
          *[Symbol.iterator]() {
            yield ["set-cookie", cookies.join(", ")];
            yield ["x-a", "1"];
          },
          raw: () => ({ "set-cookie": cookies }),
        };
        return { status: 200, headers, body: "abc" } as unknown as Response;
      },
      async ({ client }) => {
        const text = await client().send(LAST).end();
        assert.match(text, /^set-cookie: a=1; Expires=[^\r]*GMT\r\nset-cookie: b=2\r$/im);
      },
    ),
    ...(
      [
        ["used", () => foreign(view("x"), true), /body has been used/],
        ["locked", () => foreign(locked()), /body has been used/],
        ["of no status", () => ({ ...foreign("x"), status: 42 }), /and status 42$/],
        ["with an invalid header name", () => ({ ...foreign("x"), headers: { "a b": "c" } }), /./],
        [
          "that is not a response",
          () => ({ status: 200 }),
          /^Cannot answer with an object of Object/,
        ],
        ["with an object for a body", () => foreign(streamOf([{}])), /^Cannot send an object/],
      ] as const
    ).map(([name, make, message]) =>
      web(
        `a response of another class cannot be sent: one ${name}`,
        () => make() as unknown as Response,
        async ({ client, errors }) => {
          assert.match(await client().send(LAST).end(), /^HTTP\/1.1 500 /);
          assert.equal(errors.length, 1);
          assert.match((errors[0] as Error).message, message);
        },
      ),
    ),
  ];
}

function locked(): ReadableStream {
  const stream = streamOf([view("x")]);
  stream.getReader();
  return stream;
}

/** Characters that HTTP forbids in a value, although `Headers` accepts most of them. RFC 9110 section 5.5. */
const FORBIDDEN: readonly number[] = [
  ...Array.from({ length: 32 }, (_, code) => code).filter((code) => code !== 9),
  0x7f,
];

/** Ways to set a header of a response. */
const WAYS: readonly (readonly [string, (name: string, value: string) => Response])[] = [
  ["a record", (name, value) => new Response("x", { headers: { [name]: value } })],
  ["pairs", (name, value) => new Response("x", { headers: [[name, value]] })],
  ["Headers", (name, value) => new Response("x", { headers: new Headers([[name, value]]) })],
  [
    "set",
    (name, value) => {
      const response = new Response("x");
      response.headers.set(name, value);
      return response;
    },
  ],
  [
    "append to those of a stream",
    (name, value) => {
      const response = new Response(streamOf([view("x")]));
      response.headers.append(name, value);
      return response;
    },
  ],
  [
    "a subclass of the program",
    (name, value) => {
      const wild = new Headers();
      Object.defineProperty(wild, Symbol.iterator, { value: () => [[name, value]].values() });
      return { status: 200, headers: wild, body: "x" } as unknown as Response;
    },
  ],
  ["json", (name, value) => Response.json("x", { headers: { [name]: value } })],
];

function headerCases(web: WebCase): Case[] {
  return WAYS.map(([way, make]) =>
    web(
      `a header that is invalid in HTTP is refused, set by ${way}`,
      (request) => {
        const [name, code] = new URL(request.url).pathname.slice(1).split("/");
        const wild = String.fromCharCode(Number(code));
        return name === "value" ? make("x-a", `b${wild}X-Evil: c`) : make(`x${wild}a`, "b");
      },
      async ({ client, errors }) => {
        const one = client();
        const ask = async (path: string): Promise<string> => {
          one.text = "";
          one.send(GET.replace("/ ", `/${path} `));
          return one.until(({ text }) => /\r\n\r\n[\s\S]/.test(text));
        };
        for (const code of FORBIDDEN) {
          errors.length = 0;
          const text = await ask(`value/${code}`);
          assert.match(text, /^HTTP\/1.1 500 /, `value with ${code}`);
          assert.doesNotMatch(text, /Evil/);
          assert.equal(errors.length, 1);
          assert.ok(errors[0] instanceof TypeError, String(errors[0]));
        }
        for (const code of [0, 10, 13, 32, 34, 40, 44, 47, 58, 64, 91, 123, 127, 128, 255]) {
          assert.match(await ask(`name/${code}`), /^HTTP\/1.1 500 /, `name with ${code}`);
        }
        for (const code of [9, 32, 33, 126, 128, 255]) {
          assert.match(await ask(`value/${code}`), /^HTTP\/1.1 200 /, `value with ${code}`);
        }
      },
    ),
  );
}

/** Connection fields of a handler, and whether the connection ends. */
const CONNECTION: readonly (readonly [string, ends: boolean])[] = [
  ["close", true],
  ["Close", true],
  ["Close, x", true],
  ["x, CLOSE", true],
  ["x ,\tclose\t, y", true],
  ["closed", false],
  ["keep-alive", false],
  ["x-close", false],
];

function connectionCases(web: WebCase): Case[] {
  const bodies: readonly (readonly [string, () => BodyInit])[] = [
    ["text", () => "abc"],
    ["nothing", () => null],
    ["a stream", () => streamOf([view("a"), view("b"), view("c")], true)],
  ];
  return bodies.map(([name, make]) =>
    web(
      `Connection: close of a handler ends the connection, and is sent: ${name}`,
      (request) => {
        const index = Number(new URL(request.url).pathname.slice(1));
        const [connection = ""] = CONNECTION[index] ?? [];
        return new Response(make(), { headers: { connection } });
      },
      async ({ client, errors }) => {
        for (const [index, [value, ends]] of CONNECTION.entries()) {
          const one = client().send(GET.replace("/ ", `/${index} `));
          one.send(GET.replace("/ ", `/${index} `));
          const isSecond = ({ text }: Client): boolean => text.split("HTTP/1.1 200").length === 3;
          const text = ends ? await one.end() : await one.until(isSecond);
          assert.equal(text.split("HTTP/1.1 200").length, ends ? 2 : 3, value);
          assert.equal(/^connection: close\r$/im.test(text), ends, value);
          assert.doesNotMatch(text, /connection: (?!close\r)/i, value);
        }
        assert.deepEqual(errors, []);
      },
    ),
  );
}

/** Uses of a response that was sent. Each is a TypeError. */
const AFTER: Readonly<Record<string, (response: Response) => unknown>> = {
  "the same again": (response) => response,
  "a copy": (response) => new Response(response.body, response),
  "a clone": (response) => response.clone(),
  "its text": async (response) => new Response(await response.text()),
  "its bytes": async (response) => new Response(await response.arrayBuffer()),
  "its JSON": async (response) => Response.json(await response.json()),
  "its Blob": async (response) => new Response(await response.blob()),
  "its form": async (response) => new Response(await response.formData()),
};

function sentCases(web: WebCase): Case[] {
  const bodies: readonly (readonly [string, () => BodyInit])[] = [
    ["text", () => "1"],
    ["bytes", () => view("1")],
    ["a form", () => new URLSearchParams("1")],
    ["a Blob", () => new Blob(["1"])],
    ["a stream", () => streamOf([view("1")])],
  ];
  return bodies.map(([name, make]) =>
    web(
      `a response that was sent has been used: ${name}`,
      (request) => {
        const after = AFTER[decodeURIComponent(new URL(request.url).pathname.slice(1))];
        if (after !== undefined) return after(sent) as Response;
        sent = new Response(make());
        return sent;
      },
      async ({ url, errors }) => {
        for (const after of Object.keys(AFTER)) {
          errors.length = 0;
          assert.equal(await (await fetch(`${url}/`)).text(), name === "a form" ? "1=" : "1");
          assert.equal(sent.bodyUsed, true, after);
          assert.equal((await fetch(`${url}/${after}`)).status, 500, after);
          // Bun checks the type first.
          assert.ok(errors[0] instanceof TypeError || after === "its form", String(errors[0]));
        }
      },
    ),
  );
}
let sent: Response;

/** Streams with a wrong Content-Length. */
const MISCOUNTED: readonly (readonly [string, readonly unknown[], isLate: boolean])[] = [
  ["shorter, at once", ["abc"], false],
  ["longer, at once", ["abcdefgh"], false],
  ["nothing at once", [], false],
  ["shorter, in several turns", ["a", "b", "c"], true],
  ["longer, in several turns", ["ab", "cd", "efgh"], true],
  ["nothing, later", [], true],
];

function lengthCases(web: WebCase): Case[] {
  // The runtime's classes do not show whether the program set the Content-Length.
  const cases = web.overridesGlobals ? MISCOUNTED : MISCOUNTED.filter(([, , isLate]) => isLate);
  return cases.map(([name, pieces, isLate]) =>
    web(
      `a stream whose length is not its Content-Length is reported, and not sent: ${name}`,
      () => new Response(streamOf(pieces, isLate), { headers: { "content-length": "5" } }),
      async ({ client, errors }) => {
        const text = await client().send(LAST).end();
        // After the head was sent, the reply can only be cut off.
        assert.match(
          text,
          isLate ? /^(?:HTTP\/1.1 200 [\s\S]*\r\n\r\n\w{0,4})?$/ : /^HTTP\/1.1 500 /,
        );
        assert.doesNotMatch(text, isLate ? /efgh/ : /abc/);
        assert.equal(errors.length, 1);
        assert.equal((errors[0] as { code?: string }).code, "ERR_INVALID_LENGTH");
      },
    ),
  );
}

export function repliesCases(web: WebCase): Case[] {
  return [
    ...framing(web),
    ...chunks(web),
    ...reusingCases(web),
    ...foreignCases(web),
    ...headerCases(web),
    ...connectionCases(web),
    web(
      "an Upgrade header is named in Connection",
      () => new Response("hello", { status: 426, headers: { Upgrade: "echo" } }),
      async ({ client }) => {
        const one = client();
        await one.send(GET).until(({ text }) => text.endsWith("hello"));
        assert.match(one.text, /^upgrade: echo\r$/im);
        assert.match(one.text, /^connection: upgrade\r$/im);
      },
    ),
    ...sentCases(web),
    ...lengthCases(web),
    ...(web.overridesGlobals ? recovering : []),
  ];
}

/** The result of `error`, and the answer that the client gets. */
const RECOVERIES: readonly (readonly [string, () => unknown, answer: RegExp, errors: number])[] = [
  ["nothing", () => undefined, /^HTTP\/1.1 500 [\s\S]*500 Internal|^HTTP\/1.1 500 /, 1],
  ["a number", () => 7, /^HTTP\/1.1 500 /, 1],
  ["a promise of undefined", async () => undefined, /^HTTP\/1.1 500 /, 1],
  ["a Response", () => sorry(), /^HTTP\/1.1 503 [\s\S]*retry-after: 9\r\n[\s\S]*sorry$/, 1],
  [
    "a promise of a Response",
    async () => sorry(),
    /^HTTP\/1.1 503 [\s\S]*retry-after: 9\r\n[\s\S]*sorry$/,
    1,
  ],
  [
    "a Response that resolves later",
    () => new Promise((resolve) => setTimeout(resolve, 1, sorry())),
    /^HTTP\/1.1 503 [\s\S]*sorry$/,
    1,
  ],
  [
    "a Response with a stream",
    () => new Response(streamOf(["so", "r", "ry"], true), { status: 418 }),
    /^HTTP\/1.1 418 [\s\S]*chunked[\s\S]*\r\nso\r\n[\s\S]*\r\n0\r\n\r\n$/,
    1,
  ],
  ["a response of another class", () => foreign("sorry"), /^HTTP\/1.1 203 [\s\S]*sorry$/, 1],
  ["a Response that has been used", () => usedOnce, /^HTTP\/1.1 500 /, 2],
  ["Response.error()", () => Response.error(), /^HTTP\/1.1 500 /, 2],
  ["a stream that fails", () => new Response(failing()), /^HTTP\/1.1 500 /, 2],
];
const usedOnce: Response = new Response("used");
void usedOnce.text();

function sorry(): Response {
  return new Response("sorry", { status: 503, headers: { "retry-after": "9" } });
}

function failing(): ReadableStream {
  return new ReadableStream({ pull: () => Promise.reject(new Error("no stream")) });
}

const fails: HttpHandler = (_, reply) => {
  reply.status(201).header("X-Old", "1").header("Content-Length", 77).trailer("x-t", "1");
  throw new Error("failed");
};

/** Handlers that fail, for each way to serve. */
const FAILING: readonly (readonly [
  string,
  { handler: HttpHandler } | { fetch: () => Response },
])[] = [
  ["a handler", { handler: fails }],
  ["a handler later", { handler: async (request, reply) => fails(request, await reply) }],
  ["fetch", { fetch: () => assert.fail("failed") }],
];

const recovering: readonly Case[] = [
  ...FAILING.flatMap(([who, serving]) =>
    RECOVERIES.map(([name, make, answer, count]): Case => {
      const errors: unknown[] = [];
      const error = (thrown: unknown): unknown => {
        errors.push(thrown);
        return make();
      };
      return served(
        `error answers for ${who} that fails: it returns ${name}`,
        { ...serving, error },
        async (_, client) => {
          errors.length = 0;
          const text = await client().send(LAST).end();
          assert.match(text, answer);
          assert.doesNotMatch(text, /X-Old|Content-Length: 77|x-t/);
          assert.equal(errors.length, count, errors.map(String).join("\n"));
          assert.match(String(errors[0]), /failed/);
        },
      );
    }),
  ),
  served(
    "the result of error is ignored after the reply has begun",
    {
      handler(_, reply) {
        reply.begin().write("half");
        throw new Error("failed");
      },
      error: () => sorry(),
    },
    async (_, client) => {
      const text = await client().send(LAST).end();
      assert.doesNotMatch(text, /sorry|\r\n0\r\n/);
    },
  ),
  served(
    "an answer of error to a HEAD has no body, and the connection is kept",
    { handler: fails, error: () => sorry() },
    async (_, client) => {
      const text = await client().send(GET.replace("GET", "HEAD")).send(LAST).end();
      assert.equal(text.split("HTTP/1.1 503").length, 3);
      assert.equal(text.split("sorry").length, 2);
    },
  ),
  {
    name: "a client that disconnects while error is awaited leaks nothing",
    async run() {
      let answer = (_: Response): void => {};
      const errors: unknown[] = [];
      const error = (thrown: unknown): Promise<Response> => {
        errors.push(thrown);
        return new Promise((resolve) => {
          answer = resolve;
        });
      };
      const server = serve({ host: "127.0.0.1", port: 0, handler: fails, error });
      const client = new Client(server.port);
      client.send(GET);
      await until(() => errors.length === 1);
      client.socket.destroy();
      answer(sorry());
      await server.stop(1000);
      assert.equal(errors.length, 1);
    },
  },
];
