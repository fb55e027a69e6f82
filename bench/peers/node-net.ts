/** A control: an echo server with node:net, as in its documentation. */
import { type AddressInfo, createServer } from "node:net";
import { announce, collectOnRequest } from "./collect.ts";

collectOnRequest();
const server = createServer({ noDelay: true }, (socket) => {
  socket.on("data", (bytes) => {
    socket.write(bytes);
  });
  // The load closes with a reset; an unhandled error event would end the server.
  socket.on("error", () => socket.destroy());
});
server.listen({ host: "127.0.0.1", port: 0, backlog: 65535 }, () => {
  announce((server.address() as AddressInfo).port);
});
