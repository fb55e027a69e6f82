/**
 * A control: an application of Hono with the middleware `serveStatic` of @hono/node-server, on its server.
 *
 *   hono-static PACKAGE FOLDER
 *
 * PACKAGE is the folder of @hono/node-server; the files of FOLDER are served.
 */
import { relative } from "node:path";
import { pathToFileURL } from "node:url";
import { Hono, type MiddlewareHandler } from "hono";
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

const [, , folder = "", root = ""] = process.argv;
const load = (file: string): Promise<unknown> =>
  import(pathToFileURL(`${folder}/dist/${file}`).href);
const { serve } = (await load("index.mjs")) as NodeServer;
const { serveStatic } = (await load("serve-static.mjs")) as StaticFiles;

const app = new Hono();
app.use("/*", serveStatic({ root: relative(process.cwd(), root) }));

collectOnRequest();
const server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, ({ port }) =>
  announce(port),
);
// While other servers have their turns, a connection is idle for longer than the default.
server.keepAliveTimeout = 600_000;
