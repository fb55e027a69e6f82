/**
 * A control: uWebSockets.js.
 *
 *   uws FOLDER
 *
 * FOLDER contains the package, which is not on npm under its own name and therefore not a dependency.
 */
import { createRequire } from "node:module";
import { announce, collectOnRequest } from "./collect.ts";

/** The part of its types that this file needs. */
interface Answer {
  writeHeader(name: string, value: string): Answer;
  end(body: string): void;
}
interface Application {
  any(pattern: string, handler: (answer: Answer) => void): Application;
  listen(host: string, port: number, listening: (socket: object | false) => void): void;
}
interface UWebSockets {
  App(): Application;
  us_socket_local_port(socket: object): number;
}

const require: NodeJS.Require = createRequire(import.meta.url);
const folder: string = process.argv[2] ?? "";
const { App, us_socket_local_port } = require(folder) as UWebSockets;
// One build falls back to node:http where its binary does not load.
if (!Object.keys(require.cache).some((file) => file.endsWith(".node"))) {
  throw new Error(`${folder} has no binary for this version of Node`);
}

collectOnRequest();
App()
  .any("/*", (answer) => {
    answer.writeHeader("Content-Type", "text/plain; charset=utf-8").end("Hello, world!");
  })
  .listen("127.0.0.1", 0, (socket) => {
    if (socket === false) throw new Error("it cannot listen");
    announce(us_socket_local_port(socket));
  });
