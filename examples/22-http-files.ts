/**
 * Static files from a fetch handler. A response with a file is an ordinary `Response` for the program, and is sent by
 * sendfile(2): no byte of the file is copied through this process.
 *
 *     node dist/examples/22-http-files.js [port]            # serves the directory examples
 *     curl http://127.0.0.1:8080/examples/README.md
 *     curl -r 0-99 http://127.0.0.1:8080/examples/README.md
 *     curl -I http://127.0.0.1:8080/
 *
 * Follows text 2, which sends one string for every request. Faults of the original:
 * - A response is one string, so a file has to be in memory, and is copied into it for each client.
 * - It ignores the request, and so ranges, conditions and HEAD.
 */
import { join } from "node:path";
import { cwd } from "node:process";
import { files, serve, serveFile } from "polloi/http";
import { orExit, portArgument } from "./command-line.ts";

const EXAMPLES: string = join(cwd(), "examples");
const site = files({ dir: EXAMPLES, prefix: "/examples/", listing: true, maxAgeMs: 60_000 });

/** Adds a header to a response. Its body is still sent by sendfile(2). */
function withPolicy(response: Response): Response {
  const changed = new Response(response.body, response);
  changed.headers.set("Content-Security-Policy", "default-src 'self'; style-src 'unsafe-inline'");
  return changed;
}

const server = orExit(() =>
  serve({
    host: "127.0.0.1",
    port: portArgument(8080),
    fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname.startsWith("/examples/")) return withPolicy(site(request));
      if (pathname === "/") return serveFile(request, join(EXAMPLES, "README.md"));
      return new Response("not found\n", { status: 404 });
    },
  }),
);

console.log(`listening on 127.0.0.1:${server.port}`);
process.once("SIGINT", () => server.stop());
process.once("SIGTERM", () => server.stop());
