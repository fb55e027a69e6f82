/** The HTTP server for independent clients and proxies, and the functions that run them. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { needs, noise } from "../../../../../test/support/processes.ts";
import {
  type HttpHandler,
  type HttpOptions,
  type HttpReply,
  type HttpServer,
  serve,
} from "../../../src/http/index.ts";
import { probeEngines, Reactor } from "../../../src/index.ts";

/** How long a peer may take. */
export const PATIENCE_MS = 20_000;

/** How long all tests of a peer may take together, on a busy machine. */
export const LIMIT_MS = 120_000;

/** The engines that are tested, each with the reason to skip it. */
export const ENGINES: readonly { readonly engine: "io_uring" | "epoll"; skip: string | false }[] = (
  ["io_uring", "epoll"] as const
).map((engine) => {
  const probe = probeEngines().find(({ name }) => name === engine);
  return { engine, skip: probe?.works === true ? false : `${engine}: ${probe?.reason}` };
});

/** The first reason to skip a test: a program that is not installed, or an engine that does not work. */
export function unless(engineSkip: string | false, ...commands: string[]): string | false {
  return commands.reduce<string | false>((skip, command) => skip || needs(command), engineSkip);
}

/** The server's description of a request. */
export interface RequestReport {
  readonly method: string;
  readonly target: string;
  readonly path: string;
  readonly query: string;
  readonly host: string | undefined;
  readonly version: 0 | 1;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly trailers: readonly (readonly [name: string, value: string])[];
  /** The length of the body, and its hash. */
  readonly length: number;
  readonly hash: string;
}

/** The hash with which long bodies are compared. */
export function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

const BYTES: Buffer = noise(8_000_000);
const PIECE_BYTES = 50_000;

/** The body of `/bytes/N` and `/stream/N`. */
export function bytesUpTo(length: number): Buffer {
  return BYTES.subarray(0, length);
}

async function stream(reply: HttpReply, bytes: Uint8Array): Promise<void> {
  reply.begin();
  for (let at = 0; at < bytes.length && !reply.done; at += PIECE_BYTES) {
    if (!reply.write(bytes.subarray(at, at + PIECE_BYTES))) {
      await new Promise<void>((resolve) => reply.whenDrained(resolve));
    }
  }
  if (!reply.done) reply.end();
}

/**
 * `/bytes/N` and `/stream/N` have a body of N bytes, with a length and without; `/echo` sends the body back
 * as it arrives; `/trailers` has trailers; `/refuse` answers before the body; `/upgrade` sends back every byte
 * behind the request; other paths answer with {@link RequestReport}.
 */
export const answer: HttpHandler = (request, reply) => {
  const [, what, count] = request.path.split("/");
  if (what === "bytes") return reply.send(bytesUpTo(Number(count)));
  if (what === "stream") return stream(reply, bytesUpTo(Number(count)));
  if (what === "trailers") {
    return reply.begin().trailer("X-Count", 2).end("hi");
  }
  if (what === "refuse") return reply.status(403).send("no\n");
  if (what === "upgrade") {
    const peer = request.upgrade({ data: (connection, bytes) => connection.write(bytes) });
    peer.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    return;
  }
  if (what === "echo") {
    return request.read({
      data: (bytes) => void (reply.begun ? reply : reply.begin()).write(bytes),
      end: () => (reply.begun ? reply : reply.begin()).end(),
    });
  }
  const { method, target, path, query, host, version } = request;
  const headers = request.headers();
  const hash = createHash("sha256");
  let length = 0;
  const tell = (): void => {
    const report: RequestReport = {
      ...{ method, target, path, query, host, version, headers, length },
      trailers: request.trailers,
      hash: hash.digest("hex"),
    };
    reply.header("Content-Type", "application/json").send(JSON.stringify(report));
  };
  return request.read({
    data: (bytes) => {
      length += bytes.length;
      hash.update(bytes);
    },
    end: tell,
  });
};

/** Serves on its own reactor, and always closes both. */
export async function serving(
  options: Partial<HttpOptions>,
  run: (server: HttpServer) => Promise<void>,
): Promise<void> {
  const { engine = "auto", ...others } = options;
  const reactor = new Reactor({ engine });
  try {
    const where = options.path === undefined ? { host: "127.0.0.1", port: 0 } : {};
    const server = serve({
      ...where,
      handler: answer,
      maxBodyBytes: 100_000_000,
      ...others,
      reactor,
    });
    try {
      await run(server);
    } finally {
      await server.stop(0);
    }
  } finally {
    reactor.close();
  }
}

/** The exit and the output of a program. */
export interface Said {
  readonly code: number | null;
  readonly output: Buffer;
  readonly text: string;
  readonly errors: string;
}

/** Runs a program with `input`, and waits for its exit. */
export async function run(
  command: string,
  args: readonly string[],
  input: string | Uint8Array = "",
): Promise<Said> {
  const child = spawn(command, args, { timeout: PATIENCE_MS });
  const parts: Buffer[] = [];
  let errors = "";
  child.stdout.on("data", (part: Buffer) => void parts.push(part));
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  // It may exit before it has read all of its input.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  const output = Buffer.concat(parts);
  return { code, output, text: output.toString(), errors };
}
