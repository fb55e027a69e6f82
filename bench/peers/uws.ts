/**
 * A control: uWebSockets.js.
 *
 *   uws FOLDER [--answer hello|post] [--tls FOLDER]
 *
 * FOLDER contains the package, which is not on npm under its own name and therefore not a dependency.
 */
import { createRequire } from "node:module";
import { answerIn } from "./answers.ts";
import { announce, collectOnRequest } from "./collect.ts";

/** The part of its types that this file needs. */
interface Answer {
  writeHeader(name: string, value: string): Answer;
  end(body: string): void;
  onData(handler: (chunk: ArrayBuffer, isLast: boolean) => void): Answer;
  onAborted(handler: () => void): Answer;
}
interface Application {
  any(pattern: string, handler: (answer: Answer) => void): Application;
  listen(host: string, port: number, listening: (socket: object | false) => void): void;
}
interface UWebSockets {
  App(): Application;
  SSLApp(options: { cert_file_name: string; key_file_name: string }): Application;
  us_socket_local_port(socket: object): number;
}

const require: NodeJS.Require = createRequire(import.meta.url);
const folder: string = process.argv[2] ?? "";
const { App, SSLApp, us_socket_local_port } = require(folder) as UWebSockets;
// One build falls back to node:http where its binary does not load.
if (!Object.keys(require.cache).some((file) => file.endsWith(".node"))) {
  throw new Error(`${folder} has no binary for this version of Node`);
}

const FIELD = ["Content-Type", "text/plain; charset=utf-8"] as const;

function hello(answer: Answer): void {
  answer.writeHeader(...FIELD).end("Hello, world!");
}

/** Answers with the length of the body. */
function count(answer: Answer): void {
  let length = 0;
  answer.onData((chunk, isLast) => {
    length += chunk.byteLength;
    if (isLast) answer.writeHeader(...FIELD).end(`${length}`);
  });
  // A handler that answers later must have this.
  answer.onAborted(() => {});
}

function application(): Application {
  const at = process.argv.indexOf("--tls");
  if (at < 0) return App();
  const where = process.argv[at + 1];
  return SSLApp({ cert_file_name: `${where}/cert.pem`, key_file_name: `${where}/key.pem` });
}

collectOnRequest();
application()
  .any("/*", answerIn() === "post" ? count : hello)
  .listen("127.0.0.1", 0, (socket) => {
    if (socket === false) throw new Error("it cannot listen");
    announce(us_socket_local_port(socket));
  });
