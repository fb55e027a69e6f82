/** A control: node:http, with Content-Length, so that it does not send chunks. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { announce, collectOnRequest } from "./collect.ts";

const FIELDS = { "Content-Type": "text/plain; charset=utf-8", "Content-Length": 13 };

collectOnRequest();
// While other servers have their turns, a connection is idle for longer than the default of 5 s.
const server = createServer({ keepAliveTimeout: 600_000 }, (_, response) => {
  response.writeHead(200, FIELDS);
  response.end("Hello, world!");
});
server.listen({ host: "127.0.0.1", port: 0, backlog: 65535 }, () => {
  announce((server.address() as AddressInfo).port);
});
