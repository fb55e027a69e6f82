import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodePath, sitePath } from "./site-path.ts";

/** Pieces of the paths that are tried. */
const PIECES: readonly string[] = [
  ...["/", "\\", ".", "..", "%2e", "%2E", "%2f", "%5c", "%00", "%", "%25", "%c0%ae", "a", "é"],
  ...["well-known", ".well-known", " ", "\n", "//", "/../", "/./", "%252e"],
];

test("no path of a request results in one with `.` or `..` segments, a NUL, or a leading slash", () => {
  const paths = fc.array(fc.constantFrom(...PIECES), { maxLength: 12 });
  fc.assert(
    fc.property(paths, fc.boolean(), (pieces, dotfiles) => {
      const path = sitePath(`/${pieces.join("")}`, dotfiles);
      if (typeof path === "number") return path === 400 || path === 404;
      const names = path.split("/");
      const last = names.pop();
      assert.ok(!path.includes("\0"));
      assert.ok([...names, last].every((name) => name !== "." && name !== ".."));
      assert.ok(names.every((name) => name !== ""));
      if (!dotfiles) assert.ok(!names.slice(1).some((name) => name.startsWith(".")));
      return true;
    }),
    { numRuns: 2000 },
  );
});

test("encoding and decoding a path gives the same path", () => {
  const byte = fc.integer({ min: 1, max: 255 }).filter((code) => code !== 0x2f && code !== 0x2e);
  const names = fc.array(byte, { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.array(names, { minLength: 1, maxLength: 4 }), (segments) => {
      const path = segments.map((codes) => String.fromCharCode(...codes)).join("/");
      const encoded = encodePath(path);
      assert.match(encoded, /^[\w~/%.-]+$/);
      assert.equal(sitePath(`/${encoded}`, true), path);
    }),
  );
});
