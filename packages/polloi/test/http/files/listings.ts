/** Directory listings, and options that `files` refuses. */
import assert from "node:assert/strict";
import { linkSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Case } from "../../../../../test/support/suite.ts";
import { files } from "../../../src/http/index.ts";
import { filesCase, HELLO, TestSite } from "./site.ts";

/** The names and URLs of a page's links. */
function linksOf(html: string): [href: string, text: string][] {
  const links = html.matchAll(/<a href="([^"]*)">(.*?)<\/a>/g);
  return [...links].map(([, href = "", text = ""]) => [href, text.replace(/<\/?bdi>/g, "")]);
}

export const listingCases: readonly Case[] = [
  filesCase("a directory is not listed by default", async ({ get }) => {
    assert.equal((await get("/dir/")).status, 404);
  }),
  filesCase(
    "a listing has directories first, then files by name, and links that can be served",
    async ({ get, site }) => {
      for (const name of ["file10", "file9"]) writeFileSync(join(site.root, "dir", name), "");
      const { status, headers, body } = await get("/dir/");
      assert.equal(status, 200);
      assert.equal(headers.get("content-type"), "text/html; charset=utf-8");
      assert.deepEqual(linksOf(body.toString()), [
        ["../", "../"],
        ["sub/", "sub/"],
        ["file9", "file9"],
        ["file10", "file10"],
        ["inner.txt", "inner.txt"],
        ["link-up", "link-up"],
      ]);
      // A directory with an index is served as the index.
      assert.equal((await get("/dir/sub/")).body.toString(), "sub");
      assert.deepEqual((await get("/dir")).headers.get("location"), "/dir/");
      assert.equal(linksOf((await get("/empty-dir/")).body.toString()).length, 1);
    },
    { listing: true },
  ),
  filesCase(
    "a file is not listed as a directory, also behind an absolute link",
    async ({ get }) => {
      assert.equal((await get("/link-absolute-in")).body.toString(), HELLO);
      for (const path of ["/hello.txt/", "/link-in/", "/link-absolute-in/"]) {
        assert.equal((await get(path)).status, 404, path);
      }
    },
    { listing: true },
  ),
  filesCase(
    "a listing of a huge directory is limited, and says that there are more entries",
    async ({ get, site }) => {
      for (let i = 0; i < 5001; i++)
        linkSync(join(site.root, "empty"), join(site.root, `dir/${i}`));
      const html = (await get("/dir/")).body.toString();
      assert.equal(linksOf(html).length, 5001);
      assert.match(html, /<p>There are more: 5000 are shown\.\n$/);
    },
    { listing: true },
  ),
  filesCase(
    "names are escaped in a listing, and every link leads to its file",
    async ({ get, site }) => {
      unlinkSync(join(site.root, "index.html"));
      const html = (await get("/")).body.toString();
      assert.doesNotMatch(html, /<img|onerror=[^&]*"|<script/);
      const links = linksOf(html);
      const texts = links.map(([, text]) => text);
      assert.ok(texts.includes("&#60;img src=x onerror=alert(1)&#62;.txt"), texts.join("\n"));
      assert.ok(texts.includes("&#34;quoted&#39;.txt"));
      assert.ok(texts.includes("grün.txt"));
      for (const [href, text] of links) {
        const { status } = await get(new URL(href, "http://a/").pathname);
        assert.ok(href.endsWith("/") ? status < 400 : status === 200, `${text}: ${href} ${status}`);
      }
      // Entries that cannot be served are not shown.
      for (const [, text] of links)
        assert.doesNotMatch(text, /out|null|loop|nowhere|root|proc|^\./);
      assert.ok(texts.includes("link-in") && texts.includes("link-dir-in/"));
    },
    { listing: true },
  ),
  {
    name: "files refuses a path that is not a directory, and invalid options",
    run() {
      using site = new TestSite();
      const dir = site.root;
      assert.throws(() => files({ dir: join(dir, "nothing") }), {
        code: "ENOENT",
        syscall: "open",
      });
      assert.throws(() => files({ dir: join(dir, "hello.txt") }), { code: "ENOTDIR" });
      for (const wrong of ["", "a\0b", new URL("http://a/b")]) {
        assert.throws(() => files({ dir: wrong }), { code: "ERR_INVALID_OPTION" });
      }
      for (const maxAgeMs of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
        assert.throws(() => files({ dir, maxAgeMs }), { code: "ERR_INVALID_OPTION" });
      }
      const handler = files({ dir: new URL(`file://${dir}/`) });
      assert.ok(handler.fileno() >= 0);
      handler.close();
      handler.close();
      assert.equal(handler.fileno(), -1);
    },
  },
];
