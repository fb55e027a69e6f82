/** Serves a model until it is killed. Prints its port and children as a line of JSON. */
import { argv, stdout } from "node:process";
import { type ModelName, serveModel } from "../../src/pool/models.ts";

const server = await serveModel({
  model: argv[2] as ModelName,
  ...(argv[2] === "prefork" ? { children: 2 } : {}),
  data: { loud: true },
  module: new URL("./command-handlers.js", import.meta.url),
  listen: { host: "127.0.0.1", port: 0 },
});
stdout.write(
  `${JSON.stringify({ port: server.port, children: server.children.map(({ id }) => id) })}\n`,
);
