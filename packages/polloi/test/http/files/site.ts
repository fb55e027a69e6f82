import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Case } from "../../../../../test/support/suite.ts";
import { type FilesOptions, files, type HttpServer, serve } from "../../../src/http/index.ts";
import type { Kernel } from "../../../src/sys/kernel.ts";
import { kernel as realKernel } from "../../../src/sys/open.ts";

export const HELLO = "hello, world\n";
export const SECRET = "this must not be served";
/** Adjacent bytes differ, and it is longer than one send. */
export const DATA: Buffer = Buffer.from(
  Array.from({ length: 300_000 }, (_, i) => (i * 31 + i / 256) % 256),
);
/** The modification time of all files: long ago, so that tags are strong, and not a whole second. */
export const CHANGED: Date = new Date("2020-02-03T04:05:06.789Z");

/** A directory to serve, and a secret file beside it. */
export class TestSite {
  readonly top: string = mkdtempSync(join(tmpdir(), "polloi-files-"));
  readonly root: string = join(this.top, "root");

  constructor() {
    const { root, top } = this;
    for (const dir of ["", "dir", "dir/sub", ".well-known", ".git", "empty-dir"]) {
      mkdirSync(join(root, dir));
    }
    mkdirSync(join(top, "outside"));
    writeFileSync(join(top, "outside/secret.txt"), SECRET);
    // Its name begins with that of the directory.
    mkdirSync(join(top, "root-too"));
    writeFileSync(join(top, "root-too/secret.txt"), SECRET);
    const contents: Record<string, string | Uint8Array> = {
      "index.html": "<h1>home</h1>",
      "hello.txt": HELLO,
      "data.bin": DATA,
      empty: "",
      "app.js": "// plain",
      "app.js.br": "brotli",
      "app.js.gz": "gzipped",
      "style.css": "/* plain */",
      "style.css.gz": "gzipped style",
      "page.HTML": "<p>",
      "no-ending": "?",
      "a b+c&d.txt": "spaces",
      "100%.txt": "percent",
      "%41.txt": "not A",
      "a:b.txt": "colon",
      "back\\slash.txt": "backslash",
      "grün.txt": "umlaut",
      "<img src=x onerror=alert(1)>.txt": "script",
      "\"quoted'.txt": "quotes",
      ".secret": SECRET,
      ".git/config": SECRET,
      ".well-known/token": "token",
      "dir/inner.txt": "inner",
      "dir/.hidden.txt": SECRET,
      "dir/sub/index.html": "sub",
    };
    for (const [name, content] of Object.entries(contents)) {
      writeFileSync(join(root, name), content);
      utimesSync(join(root, name), CHANGED, CHANGED);
    }
    const links: Record<string, string> = {
      "link-in": "hello.txt",
      "dir/link-up": "../hello.txt",
      "link-absolute-in": join(root, "hello.txt"),
      "link-dir-in": "dir",
      "link-dir-absolute-in": join(root, "dir"),
      "link-out": join(top, "outside/secret.txt"),
      "link-out-relative": "../outside/secret.txt",
      "link-round": "../root/hello.txt",
      "link-dir-out": "../outside",
      "link-dir-too": "../root-too",
      "link-root": "/",
      "link-null": "/dev/null",
      "link-proc": "/proc/self/root/etc/passwd",
      "link-loop": "link-loop",
      "link-nowhere": "nothing-there",
      "link.txt.gz": join(top, "outside/secret.txt"),
    };
    for (const [name, to] of Object.entries(links)) symlinkSync(to, join(root, name));
    writeFileSync(join(root, "link.txt"), "plain link");
  }

  /** @returns Why none can be made. */
  makeFifo(name: string): string | undefined {
    const { error } = spawnSync("mkfifo", [join(this.root, name)]);
    return error === undefined ? undefined : "mkfifo is not installed";
  }

  /** A unix socket that listens. @returns A function that closes it. */
  async makeSocket(name: string): Promise<() => void> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(this.root, name), resolve));
    return () => server.close();
  }

  [Symbol.dispose](): void {
    rmSync(this.top, { recursive: true, force: true });
  }
}

/** An answer as the client receives it. */
export interface Answer {
  readonly status: number;
  /** Values by name in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** A request, besides its path. */
export interface Question {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends one request with the path as given, and receives until the connection ends. */
export async function ask(
  port: number,
  path: string,
  { method = "GET", headers = {} }: Question = {},
): Promise<Answer> {
  const socket = connect({ port, host: "127.0.0.1" });
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `${method} ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${lines.join("")}\r\n`;
  socket.write(head, "latin1");
  const parts: Buffer[] = [];
  await new Promise<void>((resolve, reject) => {
    socket.on("data", (part: Buffer) => void parts.push(part));
    socket.on("error", reject);
    socket.on("close", () => resolve());
  });
  return parseAnswer(Buffer.concat(parts));
}

export function parseAnswer(bytes: Buffer): Answer {
  const end = bytes.indexOf("\r\n\r\n");
  const [line = "", ...fields] = bytes.subarray(0, end).toString("latin1").split("\r\n");
  const headers = fields.map((field): [string, string] => {
    const colon = field.indexOf(":");
    return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()];
  });
  return {
    status: Number(line.split(" ")[1]),
    headers: new Map(headers),
    body: bytes.subarray(end + 4),
  };
}

/** The arguments of a case. */
export interface Served {
  readonly site: TestSite;
  readonly server: HttpServer;
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  head(path: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
}

/** A case with its own site and server. */
export function filesCase(
  name: string,
  run: (served: Served) => Promise<void>,
  options: Partial<FilesOptions> = {},
  kernel: Kernel = realKernel,
): Case {
  return {
    name,
    async run() {
      using site = new TestSite();
      using handler = files({ dir: site.root, ...options }, kernel);
      const server = serve({ host: "127.0.0.1", port: 0, handler });
      try {
        await run({
          site,
          server,
          get: (path, headers = {}) => ask(server.port, path, { headers }),
          head: (path, headers = {}) => ask(server.port, path, { headers, method: "HEAD" }),
        });
      } finally {
        await server.stop(0);
      }
    },
  };
}
