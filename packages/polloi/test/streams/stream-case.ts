/** Cases with a reactor that is hosted, and peers of node:net in the same process. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Case } from "../../../../test/support/suite.ts";
import type { EngineName, Trigger } from "../../src/engine/engine.ts";
import {
  type Connection,
  type ConnectOptions,
  type Listener,
  type ListenOptions,
  Reactor,
} from "../../src/index.ts";
import { assertReactorBalance } from "../support/balance.ts";

const LOCAL = "127.0.0.1";

/** A reactor, and what a case opens beside it. */
export class Setting implements AsyncDisposable {
  readonly reactor: Reactor;
  readonly #sockets: Socket[] = [];
  readonly #servers: Server[] = [];

  constructor(engine: EngineName, trigger: Trigger | undefined) {
    this.reactor = new Reactor({ engine, trigger });
  }

  listen<Data>(options: ListenOptions<Data>): Listener {
    return this.reactor.listen({ host: LOCAL, port: 0, ...options });
  }

  /** A connection of the reactor to a server of node:net, and the socket that the server accepts. */
  async connect<Data>(options: ConnectOptions<Data> = {}): Promise<{
    connection: Connection<Data>;
    accepted: Promise<Socket>;
  }> {
    const server = createServer({ allowHalfOpen: true });
    this.#servers.push(server);
    const accepted = once(server, "connection").then(([socket]) => this.own(socket as Socket));
    server.listen(0, LOCAL);
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    return { connection: this.reactor.connect({ host: LOCAL, port, ...options }), accepted };
  }

  /** A socket of node:net that is connected to `listener`. It does not end by itself. */
  async client(listener: Listener): Promise<Socket> {
    const socket = this.own(connect({ port: listener.port, host: LOCAL, allowHalfOpen: true }));
    await once(socket, "connect");
    return socket;
  }

  own(socket: Socket): Socket {
    this.#sockets.push(socket);
    // A reset is expected where a case causes it.
    socket.on("error", () => {});
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) server.close();
    this.reactor.close();
  }
}

/** Makes cases on an engine. Afterwards the reactor must have released everything. */
export function casesOn(
  engine: EngineName,
  trigger: Trigger | undefined,
): (name: string, body: (setting: Setting) => Promise<void>, skip?: string) => Case {
  return (name, body, skip) => ({
    name,
    skip,
    async run() {
      const setting = new Setting(engine, trigger);
      try {
        await body(setting);
        assertReactorBalance(setting.reactor);
      } finally {
        await setting[Symbol.asyncDispose]();
      }
    },
  });
}

/** Everything that a stream emits until its end. Iteration would destroy it at the end. */
export function allOf(stream: NodeJS.ReadableStream): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  return new Promise((resolve, reject) => {
    stream.on("data", (part: Uint8Array) => void parts.push(part));
    stream.once("end", () => resolve(Buffer.concat(parts)));
    stream.once("error", reject);
    stream.resume();
  });
}

/** The text that a stream emits until its end. */
export async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  return (await allOf(stream)).toString();
}
