/** A Hono app, written as for any runtime, and served without changes. */
import assert from "node:assert/strict";
import { Hono } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { cors } from "hono/cors";
import { etag } from "hono/etag";
import { HTTPException } from "hono/http-exception";
import { stream, streamSSE, streamText } from "hono/streaming";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import { type FetchInfo, serve } from "../../src/http/index.ts";
import { until } from "./fetch-case.ts";

let aborted = 0;

function makeApp(): Hono<{ Bindings: FetchInfo; Variables: { began: string } }> {
  const app = new Hono<{ Bindings: FetchInfo; Variables: { began: string } }>();
  app.use(async (context, next) => {
    context.set("began", "yes");
    await next();
    context.header("X-Powered-By", "polloi");
    context.res.headers.append("X-Status", String(context.res.status));
  });
  app.use("/api/*", cors());
  app.use("/tagged", etag());
  app.get("/", (context) => context.text("Hello, world!"));
  app.get("/html", (context) => context.html("<p>hi</p>"));
  app.get("/tagged", (context) => context.text("tagged"));
  app.get("/api/things/:id{[0-9]+}", (context) => {
    const { id } = context.req.param();
    return context.json({ id, query: context.req.query("q"), began: context.get("began") });
  });
  app.post("/api/things", async (context) => context.json(await context.req.json(), 201));
  app.post("/form", async (context) => {
    const { name, file } = await context.req.parseBody();
    return context.text(`${name} ${await (file as Blob).text()}`);
  });
  app.post("/echo", (context) => context.body(context.req.raw.body as ReadableStream));
  app.get("/cookies", (context) => {
    setCookie(context, "one", "1", { httpOnly: true });
    setCookie(context, "two", "2");
    return context.json(getCookie(context));
  });
  app.get("/text", (context) =>
    streamText(context, async (out) => {
      for (const word of ["a", "b", "c"]) {
        await out.write(word);
        await out.sleep(1);
      }
    }),
  );
  app.get("/events", (context) =>
    streamSSE(context, async (out) => {
      out.onAbort(() => {
        aborted++;
      });
      await out.writeSSE({ data: "one", event: "tick", id: "1" });
      if (context.req.query("once") !== undefined) return;
      while (!out.aborted) await out.sleep(5);
    }),
  );
  app.get("/bytes", (context) =>
    stream(context, async (out) => {
      for (let i = 0; i < 100; i++) await out.write(new Uint8Array(50_000).fill(i));
    }),
  );
  app.get("/where", (context) => context.json(context.env.remoteAddress));
  app.get("/away", (context) => context.redirect("/", 302));
  app.get("/teapot", () => {
    throw new HTTPException(418, { message: "short and stout" });
  });
  app.get("/broken", () => {
    throw new Error("broken");
  });
  app.onError((error, context) =>
    error instanceof HTTPException ? error.getResponse() : context.text(error.message, 500),
  );
  app.notFound((context) => context.json({ error: "not here" }, 404));
  const mounted = new Hono().get("/inner", (context) => context.text(context.req.path));
  app.route("/routed", mounted);
  app.mount("/mounted", (request: Request) => new Response(new URL(request.url).pathname));
  return app;
}

function honoCase(name: string, run: (url: string) => Promise<void>): (own: boolean) => Case {
  return (overrideGlobals) => ({
    name: overrideGlobals ? name : `${name}, with the runtime's classes`,
    async run() {
      const errors: unknown[] = [];
      const error = (thrown: unknown): void => void errors.push(thrown);
      const options = { host: "127.0.0.1", port: 0, overrideGlobals, error };
      const server = serve({ ...options, fetch: makeApp().fetch });
      try {
        await run(`http://127.0.0.1:${server.port}`);
        assert.deepEqual(errors, []);
      } finally {
        await server.stop(0);
      }
    },
  });
}

const CASES = [
  honoCase("routes, parameters, queries and JSON work", async (url) => {
    assert.equal(await (await fetch(url)).text(), "Hello, world!");
    const response = await fetch(`${url}/api/things/42?q=a%20b`);
    assert.match(response.headers.get("content-type") ?? "", /^application\/json/);
    assert.deepEqual(await response.json(), { id: "42", query: "a b", began: "yes" });
    const created = await fetch(`${url}/api/things`, { method: "POST", body: '{"a":[1]}' });
    assert.equal(created.status, 201);
    assert.deepEqual(await created.json(), { a: [1] });
    assert.equal(await (await fetch(`${url}/routed/inner`)).text(), "/routed/inner");
    assert.equal(await (await fetch(`${url}/mounted/x/y`)).text(), "/x/y");
    assert.match((await fetch(`${url}/html`)).headers.get("content-type") ?? "", /^text\/html/);
  }),
  honoCase("middleware before and after a handler works", async (url) => {
    const response = await fetch(`${url}/api/things/1`);
    assert.equal(response.headers.get("x-powered-by"), "polloi");
    assert.equal(response.headers.get("x-status"), "200");
    assert.equal(response.headers.get("access-control-allow-origin"), "*");
    const preflight = await fetch(`${url}/api/things`, { method: "OPTIONS" });
    assert.equal(preflight.status, 204);
    const first = await fetch(`${url}/tagged`);
    const tag = first.headers.get("etag") ?? "";
    assert.match(tag, /^"\w+"$/);
    const second = await fetch(`${url}/tagged`, { headers: { "if-none-match": tag } });
    assert.equal(second.status, 304);
  }),
  honoCase("cookies", async (url) => {
    const response = await fetch(`${url}/cookies`, { headers: { cookie: "a=1; b=2" } });
    assert.deepEqual(await response.json(), { a: "1", b: "2" });
    assert.deepEqual(response.headers.getSetCookie(), ["one=1; Path=/; HttpOnly", "two=2; Path=/"]);
  }),
  honoCase("forms and bodies are read and echoed", async (url) => {
    const body = new FormData();
    body.append("name", "n");
    body.append("file", new Blob(["content"]), "x.txt");
    assert.equal(await (await fetch(`${url}/form`, { method: "POST", body })).text(), "n content");
    const bytes = new Uint8Array(300_000).fill(7);
    const echoed = await fetch(`${url}/echo`, { method: "POST", body: bytes });
    assert.ok(Buffer.from(await echoed.arrayBuffer()).equals(Buffer.from(bytes)));
  }),
  honoCase("streams of text, bytes and events are sent", async (url) => {
    assert.equal(await (await fetch(`${url}/text`)).text(), "abc");
    assert.equal((await (await fetch(`${url}/bytes`)).arrayBuffer()).byteLength, 5_000_000);
    const events = await fetch(`${url}/events?once`);
    assert.match(events.headers.get("content-type") ?? "", /^text\/event-stream/);
    assert.equal(await events.text(), "event: tick\ndata: one\nid: 1\n\n");
  }),
  honoCase("a client that disconnects ends a stream of events", async (url) => {
    aborted = 0;
    const controller = new AbortController();
    const response = await fetch(`${url}/events`, { signal: controller.signal });
    await response.body?.getReader().read();
    controller.abort();
    await until(() => aborted > 0);
  }),
  honoCase("errors, redirects and missing routes are answered", async (url) => {
    const away = await fetch(`${url}/away`, { redirect: "manual" });
    assert.equal(away.status, 302);
    assert.equal(away.headers.get("location"), "/");
    const teapot = await fetch(`${url}/teapot`);
    assert.equal(teapot.status, 418);
    assert.equal(await teapot.text(), "short and stout");
    const broken = await fetch(`${url}/broken`);
    assert.equal(broken.status, 500);
    assert.equal(await broken.text(), "broken");
    const missing = await fetch(`${url}/nothing`);
    assert.equal(missing.status, 404);
    assert.deepEqual(await missing.json(), { error: "not here" });
    const head = await fetch(`${url}/`, { method: "HEAD" });
    assert.equal(head.status, 200);
    // Hono answers it without a body.
    assert.equal(head.headers.get("content-length"), null);
  }),
  honoCase("the address of the client is available", async (url) => {
    const where = (await (await fetch(`${url}/where`)).json()) as { address: string };
    assert.equal(where.address, "127.0.0.1");
  }),
];

export function honoSuite(): Suite {
  return { title: "Hono", cases: [true, false].flatMap((own) => CASES.map((make) => make(own))) };
}
