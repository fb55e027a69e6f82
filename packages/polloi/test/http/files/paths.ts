/** The paths that are served, and those that are not. */
import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Case } from "../../../../../test/support/suite.ts";
import { ERRNO } from "../../../src/base/errno.ts";
import { files, serve } from "../../../src/http/index.ts";
import { SYS } from "../../../src/sys/abi.ts";
import type { Kernel } from "../../../src/sys/kernel.ts";
import { proxyKernel } from "../../../src/sys/kernel-proxy.ts";
import { kernel } from "../../../src/sys/open.ts";
import { ask, filesCase, HELLO, SECRET, type Served, TestSite } from "./site.ts";

/** Paths, and the body or the status of the answer. */
const PATHS: readonly (readonly [path: string, expected: string | number])[] = [
  ["/hello.txt", HELLO],
  ["/hello.txt?", HELLO],
  ["/hello.txt?v=1&x=../..", HELLO],
  ["http://elsewhere/hello.txt", HELLO],
  ["/%68ello%2Etxt", HELLO],
  ["/", "<h1>home</h1>"],
  ["/?q", "<h1>home</h1>"],
  ["/index.html", "<h1>home</h1>"],
  ["/dir/sub/", "sub"],
  ["/dir/inner.txt", "inner"],
  ["/empty", ""],
  // Names are bytes, and every byte can be encoded.
  ["/a%20b+c&d.txt", "spaces"],
  ["/a%20b%2Bc%26d.txt", "spaces"],
  ["/100%25.txt", "percent"],
  ["/%2541.txt", "not A"],
  ["/a:b.txt", "colon"],
  ["/back%5Cslash.txt", "backslash"],
  ["/gr%C3%BCn.txt", "umlaut"],
  ["/gr\u00c3\u00bcn.txt", 400],
  ["/.well-known/token", "token"],
  // Links inside.
  ["/link-in", HELLO],
  ["/dir/link-up", HELLO],
  ["/link-absolute-in", HELLO],
  ["/link-dir-in/inner.txt", "inner"],
  ["/link-dir-absolute-in/inner.txt", "inner"],
  ["/link-dir-in/link-up", HELLO],
  ["/link-round", HELLO],
  // Missing files, and names of another kind.
  ["/nothing", 404],
  ["/HELLO.TXT", 404],
  ["/hello.txt/", 404],
  ["/hello.txt/x", 404],
  ["/dir/", 404],
  ["/empty-dir/", 404],
  ["//hello.txt", 404],
  ["/dir//inner.txt", 404],
  ["/./hello.txt", 404],
  ["/dir/./inner.txt", 404],
  ["/dir/../hello.txt", 404],
  ["/gr%FCn.txt", 404],
  [`/${"x".repeat(300)}`, 404],
  [`/${"x/".repeat(2500)}`, 404],
  // Hidden.
  ["/.secret", 404],
  ["/%2esecret", 404],
  ["/.git/config", 404],
  ["/.git/", 404],
  ["/dir/.hidden.txt", 404],
  ["/.well-known-not/x", 404],
  // Escapes.
  ["/..", 404],
  ["/../", 404],
  ["/../outside/secret.txt", 404],
  ["/dir/../../outside/secret.txt", 404],
  ["/%2e%2e/outside/secret.txt", 404],
  ["/%2E%2E/outside/secret.txt", 404],
  ["/.%2e/outside/secret.txt", 404],
  ["/%2e./outside/secret.txt", 404],
  ["/..%2foutside%2fsecret.txt", 404],
  ["/%2e%2e%2foutside%2fsecret.txt", 404],
  ["/dir%2finner.txt", 404],
  ["/%2fetc%2fpasswd", 404],
  ["//etc/passwd", 404],
  ["///etc/passwd", 404],
  ["/%2e%2e%5coutside%5csecret.txt", 404],
  ["/..\\outside\\secret.txt", 404],
  ["/%252e%252e/outside/secret.txt", 404],
  ["/%252e%252e%252foutside%252fsecret.txt", 404],
  ["/%c0%ae%c0%ae/outside/secret.txt", 404],
  ["/%c0%ae%c0%ae%c0%afoutside", 404],
  ["/%e0%80%ae%e0%80%ae/outside/secret.txt", 404],
  ["/%uff0e%uff0e/outside/secret.txt", 400],
  ["/..;/outside/secret.txt", 404],
  ["/.../outside/secret.txt", 404],
  ["/dir/..", 404],
  ["/dir/%2e%2e", 404],
  ["/../root-too/secret.txt", 404],
  ["/../root/hello.txt", 404],
  ["http://elsewhere/../outside/secret.txt", 404],
  // Links that lead outside.
  ["/link-out", 404],
  ["/link-out-relative", 404],
  ["/link-dir-out/secret.txt", 404],
  ["/link-dir-out/", 404],
  ["/link-dir-out", 404],
  ["/link-dir-too/secret.txt", 404],
  ["/link-root/etc/passwd", 404],
  ["/link-null", 404],
  ["/link-proc", 404],
  ["/link-loop", 404],
  ["/link-nowhere", 404],
  ["/link-dir-in/../../outside/secret.txt", 404],
  // Invalid paths.
  ["/hello.txt%00", 400],
  ["/hello.txt%00.html", 400],
  ["/%00", 400],
  ["/%00/../../etc/passwd", 400],
  ["/%", 400],
  ["/%4", 400],
  ["/%zz", 400],
  ["/hello%2", 400],
  ["/%-1", 400],
];

async function checkPaths({ get }: Served): Promise<void> {
  for (const [path, expected] of PATHS) {
    const { status, body } = await get(path);
    assert.ok(!body.includes(SECRET), `${path} shows a file that is outside or hidden`);
    assert.ok(!body.includes("root:"), `${path} shows /etc/passwd`);
    if (typeof expected === "number") assert.equal(status, expected, path);
    else assert.deepEqual([status, body.toString()], [200, expected], path);
  }
}

/** A kernel whose openat2 fails with `errno`. */
function withoutOpenat2(errno: number): Kernel {
  return proxyKernel(kernel, {
    calls: ({ syscall }) => ({
      syscall: (number, ...rest) => (number === SYS.openat2 ? -errno : syscall(number, ...rest)),
    }),
  });
}

const special: readonly Case[] = [
  filesCase(
    "a FIFO, a socket and a device get 404, and do not block the server",
    async (served) => {
      const { site, get } = served;
      const closeSocket = await site.makeSocket("socket");
      try {
        const noFifo = site.makeFifo("fifo");
        for (const path of ["/socket", "/link-null", ...(noFifo === undefined ? ["/fifo"] : [])]) {
          assert.equal((await get(path)).status, 404, path);
        }
      } finally {
        closeSocket();
      }
    },
  ),
  filesCase("a directory without a slash is redirected to the path with one", async ({ get }) => {
    for (const [path, location] of [
      ["/dir", "/dir/"],
      ["/dir/sub", "/dir/sub/"],
      ["/dir?a=b", "/dir/?a=b"],
      ["/dir/sub?", "/dir/sub/?"],
      ["/%64ir", "/dir/"],
      ["http://elsewhere/dir", "/dir/"],
      ["/link-dir-in", "/link-dir-in/"],
    ] as const) {
      const { status, headers } = await get(path);
      assert.deepEqual([status, headers.get("location")], [301, location], path);
    }
  }),
  filesCase("no redirect leads to another host", async ({ site, server }) => {
    for (const name of ["evil.example", "\\evil.example", "http:", "x\ty"]) {
      mkdirSync(join(site.root, name));
    }
    for (const path of [
      "//evil.example",
      "//evil.example/..",
      "/%5Cevil.example",
      "/\\evil.example",
      "/%2F%2Fevil.example",
      "/http:",
      "/x%09y",
      "/evil.example",
    ]) {
      const { status, headers } = await ask(server.port, path);
      const location = headers.get("location");
      if (status !== 301) assert.equal(status, 404, path);
      else {
        const { host } = new URL(location as string, "http://here.example");
        assert.equal(host, "here.example", `${path} leads to ${location}`);
      }
    }
  }),
  filesCase("methods other than GET and HEAD are refused with Allow", async ({ server }) => {
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "TRACE", "get", "PROPFIND"]) {
      const { status, headers } = await ask(server.port, "/hello.txt", { method });
      assert.deepEqual([status, headers.get("allow")], [405, "GET, HEAD, OPTIONS"], method);
    }
    for (const path of ["*", "/hello.txt"]) {
      const { status, headers } = await ask(server.port, path, { method: "OPTIONS" });
      assert.deepEqual([status, headers.get("allow")], [204, "GET, HEAD, OPTIONS"], path);
    }
  }),
];

const changing: readonly Case[] = [
  filesCase(
    "a change, replacement or removal of a file takes effect at once",
    async ({ site, get }) => {
      const path = join(site.root, "hello.txt");
      assert.equal((await get("/hello.txt")).body.toString(), HELLO);
      writeFileSync(path, "changed");
      assert.equal((await get("/hello.txt")).body.toString(), "changed");
      writeFileSync(`${path}.new`, "replaced");
      renameSync(`${path}.new`, path);
      assert.equal((await get("/hello.txt")).body.toString(), "replaced");
      rmSync(path);
      assert.equal((await get("/hello.txt")).status, 404);
    },
  ),
  filesCase("a link that is changed to lead outside is refused at once", async ({ site, get }) => {
    const path = join(site.root, "link-in");
    for (let i = 0; i < 20; i++) {
      for (const [to, status] of [
        ["../outside/secret.txt", 404],
        ["hello.txt", 200],
      ] as const) {
        rmSync(path);
        symlinkSync(to, path);
        assert.equal((await get("/link-in")).status, status);
      }
    }
  }),
  {
    name: "a directory that replaces the served one is served within seconds",
    async run() {
      using first = new TestSite();
      using second = new TestSite();
      writeFileSync(join(second.root, "hello.txt"), "second");
      const current = join(first.top, "current");
      symlinkSync(first.root, current);
      using handler = files({ dir: current });
      const server = serve({ host: "127.0.0.1", port: 0, handler });
      try {
        assert.equal((await ask(server.port, "/hello.txt")).body.toString(), HELLO);
        symlinkSync(second.root, `${current}.new`);
        renameSync(`${current}.new`, current);
        for (;;) {
          const { body } = await ask(server.port, "/hello.txt");
          if (body.toString() === "second") break;
          assert.equal(body.toString(), HELLO);
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      } finally {
        await server.stop(0);
      }
    },
  },
];

export const pathCases: readonly Case[] = [
  filesCase("a path gives the file of that name inside, and nothing else", checkPaths),
  filesCase(
    "a path gives the same without openat2 (ENOSYS)",
    checkPaths,
    {},
    withoutOpenat2(ERRNO.ENOSYS),
  ),
  filesCase(
    "a path gives the same if seccomp forbids openat2 (EPERM)",
    checkPaths,
    {},
    withoutOpenat2(ERRNO.EPERM),
  ),
  filesCase(
    "names that begin with a dot are served with dotfiles",
    async ({ get }) => {
      for (const path of ["/.secret", "/.git/config", "/dir/.hidden.txt"]) {
        assert.equal((await get(path)).body.toString(), SECRET, path);
      }
      for (const path of ["/..", "/../outside/secret.txt", "/."]) {
        assert.equal((await get(path)).status, 404, path);
      }
    },
    { dotfiles: true },
  ),
  ...special,
  ...changing,
];
