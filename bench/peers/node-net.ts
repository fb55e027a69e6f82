/** A control: an echo server with node:net, or with node:tls after `--tls FOLDER`, as in their documentation. */
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createServer as createSecureServer } from "node:tls";
import { certificateIn } from "./certificate.ts";
import { announce, collectOnRequest } from "./collect.ts";

function echo(socket: Socket): void {
  socket.on("data", (bytes) => {
    socket.write(bytes);
  });
  // The load closes with a reset; an unhandled error event would end the server.
  socket.on("error", () => socket.destroy());
}

collectOnRequest();
const certificate = certificateIn();
const server =
  certificate === undefined
    ? createServer({ noDelay: true }, echo)
    : createSecureServer({ noDelay: true, ...certificate }, echo);
server.listen({ host: "127.0.0.1", port: 0, backlog: 65535 }, () => {
  announce((server.address() as AddressInfo).port);
});
