/** docs/errors.md and the sources name the same errors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRNO } from "../packages/polloi/src/base/errno.ts";
import { FAILURES } from "../packages/polloi/src/http/wire/failures.ts";
import { anchorsOf, codeSpansOf, type Found, filesUnder, read } from "./docs/markdown.ts";

const PAGE = "docs/errors.md";
const sources: string[] = filesUnder("packages", ".ts").filter((file) =>
  /^packages\/[\w-]+\/src\/(?!.*\.test\.ts$)/.test(file),
);
const spans: Found[] = codeSpansOf(PAGE);
const named = new Set(spans.map(({ text }) => text));

/** Codes of the resolver. */
const RESOLVER: readonly string[] = ["ENOTFOUND", "EAI_AGAIN"];

/** The matches of `pattern` in the sources, each once, with a file and line. */
function inSources(pattern: RegExp): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of sources) {
    for (const match of read(file).matchAll(pattern)) {
      const line = read(file).slice(0, match.index).split("\n").length;
      found.set(match[1] as string, `${file}:${line}`);
    }
  }
  return found;
}

function assertNone(complaints: readonly string[]): void {
  assert.ok(complaints.length === 0, `\n${complaints.join("\n")}`);
}

test("every misuse code has a heading in docs/errors.md", () => {
  const codes = [...read("packages/polloi/src/base/misuse.ts").matchAll(/\|\s*"(ERR_[A-Z_]+)"/g)];
  assert.ok(codes.length >= 14, `only ${codes.length} codes were found`);
  const headings = anchorsOf(PAGE);
  const missing = codes.filter(([, code = ""]) => !headings.has(code.toLowerCase()));
  assertNone(
    missing.map(([, code]) => `packages/polloi/src/base/misuse.ts: ${code} is not in ${PAGE}`),
  );
});

test("every error code in the comments of the sources is in docs/errors.md", () => {
  const thrown = inSources(/`(E[A-Z0-9]{2,}|EAI_[A-Z]+)`/g);
  const missing = [...thrown].filter(([code]) => !named.has(code));
  assertNone(missing.map(([code, place]) => `${place} ${code} is not in ${PAGE}`));
});

test("every reason to reject a request is in docs/errors.md, with its status and its text", () => {
  const refused = Object.entries(FAILURES).map(
    ([code, { status, reason }]) => `| \`${code}\` | ${status} | ${reason} |`,
  );
  const others = [
    ...read("packages/polloi/src/http/request-error.ts").matchAll(/\| "([A-Z_]+)"/g),
  ].map(([, code]) => `| \`${code}\` |`);
  assert.ok(others.length >= 7, `only ${others.length} codes were found`);
  const page = read(PAGE);
  assertNone([...refused, ...others].filter((row) => !page.includes(row)));
});

test("every code in docs/errors.md exists", () => {
  const misuse = inSources(/"(ERR_[A-Z_]+)"/g);
  const unknown = spans.filter(({ text }) => {
    if (/^ERR_[A-Z_]+$/.test(text)) return !misuse.has(text);
    if (text in FAILURES || text in ERRNO || RESOLVER.includes(text)) return false;
    return /^E(?!POLL|VENT)[A-Z0-9_]{2,}$/.test(text);
  });
  assertNone(unknown.map(({ line, text }) => `${PAGE}:${line} ${text}`));
});

test("every message in docs/errors.md is in the sources", () => {
  const text = sources.map(read).join("\n");
  const messages = spans.filter((span) => span.text.startsWith("Cannot "));
  assert.ok(messages.length >= 14, `only ${messages.length} messages were found`);
  const unknown = messages.flatMap((span) => {
    // An ellipsis stands for the variable part; the parts between are text of the sources.
    const pieces = span.text.split("…").map((piece) => piece.trim());
    return pieces.filter((piece) => !text.includes(piece)).map((piece) => ({ span, piece }));
  });
  assertNone(
    unknown.map(({ span, piece }) => `${PAGE}:${span.line} no source contains "${piece}"`),
  );
});
