/** Request bodies in fetch handlers. */
import assert from "node:assert/strict";
import type { Case } from "../../../../test/support/suite.ts";
import { kernel } from "../../src/sys/open.ts";
import { bodyOf, GET } from "./client.ts";
import { until, type WebCase } from "./fetch-case.ts";

const decoder = new TextDecoder();

/** Ways to read a body of `{"a":"é"}`. Each answers with the result. */
const READERS: readonly [name: string, read: (request: Request) => Promise<string>][] = [
  ["text()", (request) => request.text()],
  ["json()", async (request) => JSON.stringify(await request.json())],
  ["arrayBuffer()", async (request) => decoder.decode(await request.arrayBuffer())],
  ["blob()", async (request) => (await request.blob()).text()],
  ["body", async (request) => new Response(request.body).text()],
  ["a clone", async (request) => (await (request.clone() as Request).text()) && request.text()],
  ["a Request made from it", (request) => new Request(request).text()],
  [
    "a Request made from it and an init",
    async (request) => {
      const other = new Request("http://b/", request);
      return `${await other.text()}`;
    },
  ],
];

const POST = "POST / HTTP/1.1\r\nHost: a\r\n";
const JSON_BODY = '{"a":"\u00e9"}';

/** `length` bytes in which a lost byte is detected. */
function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i % 251);
}

function reading(web: WebCase): Case[] {
  return [
    ...READERS.map(([name, read]) =>
      web(
        `a body is read by ${name}, and counts as used`,
        async (request) => {
          assert.equal(request.bodyUsed, false);
          const text = await read(request);
          // Bun allows the original to be read again after another Request was made from it.
          if (kernel.runtime === "bun" && name.startsWith("a Request")) return new Response(text);
          assert.equal(request.bodyUsed, true);
          await assert.rejects(request.text(), TypeError);
          return new Response(text);
        },
        async ({ url, errors }) => {
          for (const chunked of [false, true]) {
            const body = chunked ? new Blob([JSON_BODY]).stream() : JSON_BODY;
            const init = { method: "POST", body, duplex: "half" } as RequestInit;
            assert.equal(await (await fetch(url, init)).text(), JSON_BODY);
          }
          assert.deepEqual(errors, []);
        },
      ),
    ),
    web(
      "formData() returns fields and files",
      async (request) => {
        const form = await request.formData();
        const file = form.get("file") as Blob;
        return new Response(`${form.get("name")} ${await file.text()}`);
      },
      async ({ url }) => {
        const body = new FormData();
        body.append("name", "\u00e9");
        body.append("file", new Blob(["content"]), "x.txt");
        assert.equal(await (await fetch(url, { method: "POST", body })).text(), "\u00e9 content");
      },
    ),
    web(
      "a GET has no body, even if bytes are sent",
      async (request) => Response.json([request.body, await request.text(), request.bodyUsed]),
      async ({ client }) => {
        const text = await client()
          .send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
          .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
          .end();
        assert.equal(text.split('[null,"",false]').length, 3);
      },
    ),
    web(
      "invalid JSON is an error of the handler",
      async (request) => Response.json(await request.json()),
      async ({ url, errors }) => {
        assert.equal((await fetch(url, { method: "POST", body: "{" })).status, 500);
        assert.ok(errors[0] instanceof SyntaxError);
      },
    ),
    web(
      "100 Continue is sent when the body is read, and only then",
      async (request) => new Response(request.url.endsWith("/no") ? "no" : await request.text()),
      async ({ client }) => {
        const expects = "Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
        const one = client().send(`${POST}${expects}`);
        await one.until(({ text }) => text === "HTTP/1.1 100 Continue\r\n\r\n");
        assert.match(await one.send("ok").end(), /200 OK[\s\S]*ok$/);
        const text = await client()
          .send(`${POST.replace("/ ", "/no ")}${expects}`)
          .end();
        assert.match(text, /^HTTP\/1.1 200 OK[\s\S]*no$/);
      },
    ),
    web(
      "a short unread body is skipped",
      () => new Response("ok"),
      async ({ client }) => {
        const one = client().send(`${POST}Content-Length: 5\r\n\r\n12345`);
        const text = await one.send(`${POST}Connection: close\r\n\r\n`).end();
        assert.equal(text.split("200 OK").length, 3);
      },
    ),
    web(
      "a body that is too large is refused, and its reader gets an error",
      async (request) => {
        await assert.rejects(request.text());
        events.push("events");
        return new Response("late");
      },
      async ({ client, errors }) => {
        events.length = 0;
        const chunks = `${"8000\r\n"}${"x".repeat(0x8000)}\r\n`;
        const one = client().send(`${POST}Transfer-Encoding: chunked\r\n\r\n${chunks}${chunks}`);
        assert.match(await one.end(), /^HTTP\/1.1 413 /);
        await until(() => events.length > 0);
        assert.deepEqual(errors, []);
      },
      { maxBodyBytes: 40_000 },
    ),
    web(
      "a read of an incomplete body rejects after the answer",
      (request) => {
        request.text().then(
          () => events.push("read"),
          () => events.push("rejected"),
        );
        return new Response("early");
      },
      async ({ client }) => {
        events.length = 0;
        const one = client().send(`${POST}Content-Length: 5\r\n\r\n12`);
        await one.until(({ text }) => text.endsWith("early"));
        await until(() => events.length > 0);
        assert.deepEqual(events, ["rejected"]);
        const text = await one
          .send("345")
          .send(GET)
          .until(({ text }) => text.split("early").length > 2);
        assert.match(text, /early[\s\S]*early$/);
      },
    ),
  ];
}
const events: string[] = [];

const LARGE = 32 * 1024 * 1024;

function streaming(web: WebCase): Case[] {
  return [
    web(
      "a body is echoed as it arrives",
      (request) => new Response(request.body),
      async ({ client }) => {
        const one = client().send(`${POST}Transfer-Encoding: chunked\r\n\r\n`);
        for (const piece of ["one", "two", "three"]) {
          one.send(`${piece.length}\r\n${piece}\r\n`);
          await one.until(({ text }) => text.includes(`${piece.length}\r\n${piece}\r\n`));
        }
        await one.send("0\r\n\r\n").until(({ text }) => text.endsWith("\r\n0\r\n\r\n"));
      },
    ),
    web(
      "a large body is echoed unchanged",
      (request) => new Response(request.body),
      async ({ url }) => {
        const bytes = pattern(5_000_000);
        const response = await fetch(url, { method: "POST", body: bytes });
        assert.ok(Buffer.from(await response.arrayBuffer()).equals(Buffer.from(bytes)));
      },
      { maxBodyBytes: LARGE },
    ),
    web(
      "a body that is not read slows the client down, and arrives completely later",
      async (request) => {
        const reader = (request.body as ReadableStream<Uint8Array>).getReader();
        let length = (await reader.read()).value?.length ?? 0;
        await going;
        for (;;) {
          const { done, value } = await reader.read();
          if (done) return new Response(String(length));
          // The stream holds a little more than its high-water mark.
          assert.ok(value.length <= 1_000_000, `a piece of ${value.length} bytes`);
          length += value.length;
        }
      },
      async ({ client, errors }) => {
        let goOn = (): void => {};
        going = new Promise((resolve) => {
          goOn = resolve;
        });
        const { socket } = client().send(`${POST}Content-Length: ${LARGE}\r\n\r\n`);
        const one = socket;
        let text = "";
        one.on("data", (part) => {
          text += part;
        });
        let hasGone = false;
        one.write(Buffer.alloc(LARGE), () => {
          hasGone = true;
        });
        // Until nothing more is sent: the rest is in the kernel's buffers.
        for (let before = -1; before !== one.bytesWritten - one.writableLength; ) {
          before = one.bytesWritten - one.writableLength;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        assert.equal(hasGone, false, "the whole body was received although it was not read");
        goOn();
        await until(() => text.endsWith(`\r\n\r\n${LARGE}`));
        assert.deepEqual(errors, []);
      },
      { maxBodyBytes: LARGE },
    ),
    web(
      "a stream is pulled only as fast as the client reads",
      () => {
        pulled = 0;
        const piece = new Uint8Array(100_000);
        return new Response(
          new ReadableStream({
            pull(controller) {
              pulled += piece.length;
              controller.enqueue(piece.slice());
              if (pulled === 100_000_000) controller.close();
            },
          }),
        );
      },
      async ({ client, errors }) => {
        const one = client();
        const { socket } = one;
        // Deno ignores a pause before the socket is connected.
        await new Promise((resolve) => socket.once("connect", resolve));
        socket.pause();
        one.send("GET / HTTP/1.0\r\n\r\n");
        for (let before = -1; before !== pulled || pulled === 0; ) {
          before = pulled;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        assert.ok(pulled < 50_000_000, `${pulled} bytes were pulled`);
        socket.removeAllListeners("data");
        let length = 0;
        socket.on("data", (part) => {
          length += part.length;
        });
        socket.resume();
        await until(() => length > 100_000_000);
        assert.deepEqual(errors, []);
      },
    ),
    web(
      "a cancelled body delivers nothing more",
      async (request) => {
        await request.body?.cancel();
        return new Response("cancelled");
      },
      async ({ client, errors }) => {
        const one = client().send(`${POST}Content-Length: 5\r\n\r\n12345`).send(GET);
        const text = await one.until(({ text }) => text.split("HTTP/1.1 200 OK").length === 3);
        assert.equal(bodyOf(text).slice(0, 9), "cancelled");
        assert.deepEqual(errors, []);
      },
    ),
  ];
}
let pulled = 0;
let going: Promise<void>;

/** Bodies that are decoded while others arrive, and others after them, have their own bytes. */
function concurrent(web: WebCase): Case[] {
  return (["text()", "json()"] as const).map((name) =>
    web(
      `bodies that are read by ${name} at the same time do not mix`,
      async (request) =>
        new Response(
          name === "text()" ? await request.text() : JSON.stringify(await request.json()),
        ),
      async ({ url, errors }) => {
        for (let round = 0; round < 2; round++) {
          const texts = Array.from({ length: 12 }, (_, i) =>
            JSON.stringify(String.fromCharCode(97 + i).repeat(20_000 * (i + 1 + round))),
          );
          const answers = await Promise.all(
            texts.map(async (body) => (await fetch(url, { method: "POST", body })).text()),
          );
          for (const [i, text] of texts.entries()) assert.ok(answers[i] === text, `body ${i}`);
        }
        assert.deepEqual(errors, []);
      },
    ),
  );
}

export function readingCases(web: WebCase): Case[] {
  return [...reading(web), ...streaming(web), ...concurrent(web)];
}
