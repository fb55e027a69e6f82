/**
 * A control: an application of Hono on the server of @hono/node-server.
 *
 *   hono-node PACKAGE [--files FOLDER]
 *
 * PACKAGE is the folder of @hono/node-server. With FOLDER its files are served by the middleware `serveStatic` of that
 * package; without, the application has one route.
 */
import { relative } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { Hono, type MiddlewareHandler } from "hono";
import { oneRoute } from "./answers.ts";
import { announce, collectOnRequest } from "./collect.ts";

/** The parts of @hono/node-server that this file needs. */
interface NodeServer {
  serve(
    options: { fetch: Hono["fetch"]; hostname: string; port: number },
    listening: (info: { port: number }) => void,
  ): { keepAliveTimeout: number };
}
interface StaticFiles {
  serveStatic(options: { root: string }): MiddlewareHandler;
}

const { values, positionals } = parseArgs({
  options: { answer: { type: "string" }, files: { type: "string" } },
  allowPositionals: true,
});
const [folder = ""] = positionals;
const load = (file: string): Promise<unknown> =>
  import(pathToFileURL(`${folder}/dist/${file}`).href);
const { serve } = (await load("index.mjs")) as NodeServer;
const app: Hono = values.files === undefined ? oneRoute() : await filesOf(values.files);

async function filesOf(root: string): Promise<Hono> {
  const { serveStatic } = (await load("serve-static.mjs")) as StaticFiles;
  return new Hono().use("/*", serveStatic({ root: relative(process.cwd(), root) }));
}

collectOnRequest();
const server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, ({ port }) =>
  announce(port),
);
// While other servers have their turns, a connection is idle for longer than the default.
server.keepAliveTimeout = 600_000;
