import assert from "node:assert/strict";
import { test } from "node:test";
import { extractMimeType } from "./mime-type.ts";

test("the type of a Content-Type is the one that the runtime gives blob()", async () => {
  for (const value of [
    "text/html",
    "Text/HTML; Charset=UTF-8",
    'text/html;charset="utf-8"',
    "text/html;a=b;a=c",
    "a/b, c/d",
    "bad",
    "",
    "text/html; charset=gbk, text/plain",
    "text/html; charset=gbk, text/html",
    "text/html;charset=gbk, x/y, text/html",
    "*/*",
    "text/plain, */*",
    "text/html, bad",
    'text/html;a="b,c/d"',
    "a/b c/d",
    "text/html;=b",
    'text/html;a="b\\"c"',
    'text/html;a="b',
  ]) {
    const headers = { "content-type": value };
    const { type } = await new Response("", { headers }).blob();
    // The type of a Blob is in lower case.
    assert.equal(new Blob([], { type: extractMimeType(value) }).type, type, value);
  }
  assert.equal(extractMimeType(null), "");
});
