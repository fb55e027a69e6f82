/** The runtime's own servers and clients, beside which a reactor is hosted. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import {
  type AddressInfo,
  createServer as createNetServer,
  type Server as NetServer,
  connect as netConnect,
  type Socket,
} from "node:net";

/** A server of node:http for `fetch`, and an echo server of node:net with one connection to it. */
export class OwnServers implements AsyncDisposable {
  readonly #http: Server;
  readonly #net: NetServer;
  readonly #socket: Socket;

  private constructor(http: Server, net: NetServer, socket: Socket) {
    this.#http = http;
    this.#net = net;
    this.#socket = socket;
  }

  static async open(): Promise<OwnServers> {
    const http = createServer((_request, response) => response.end("fetched"));
    const net = createNetServer((socket) => void socket.pipe(socket));
    for (const server of [http, net]) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
    }
    const socket = netConnect(portOf(net), "127.0.0.1");
    await once(socket, "connect");
    return new OwnServers(http, net, socket);
  }

  /** The URL of the node:http server. */
  get url(): string {
    return `http://127.0.0.1:${portOf(this.#http)}/`;
  }

  async fetch(): Promise<void> {
    const response = await fetch(this.url);
    assert.equal(await response.text(), "fetched");
  }

  /** Sends a message over node:net and receives it back. */
  async exchange(): Promise<void> {
    const [bytes] = await Promise.all([once(this.#socket, "data"), this.#socket.write("sent")]);
    assert.equal(String(bytes), "sent");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    this.#http.closeAllConnections();
    this.#http.close();
    this.#net.close();
    await Promise.all([once(this.#http, "close"), once(this.#net, "close")]);
  }
}

function portOf(server: Server | NetServer): number {
  return (server.address() as AddressInfo).port;
}
