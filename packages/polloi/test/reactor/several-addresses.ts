/** Connects to a name with several addresses, by RFC 8305. All addresses are of the loopback network. */
import assert from "node:assert/strict";
import type { Case } from "../../../../test/support/suite.ts";
import type { ConnectOptions } from "../../src/index.ts";
import { Connector } from "../../src/reactor/connector.ts";
import { loopOf } from "../../src/reactor/reactor.ts";
import { profileOf, Stream } from "../../src/reactor/stream.ts";
import type { InetAddress } from "../../src/socket/address.ts";
import { AF_INET, SOCK_NONBLOCK, SOCK_STREAM } from "../../src/socket/constants.ts";
import { createServer } from "../../src/socket/create.ts";
import { Socket } from "../../src/socket/socket.ts";
import { casesOf, type Rig, type Variant } from "./rig.ts";

/** A port on which `127.0.0.2` does not answer, because its backlog is full. Other addresses refuse. */
class DeafAddress implements Disposable {
  readonly port: number;
  readonly #sockets: Socket[] = [];

  constructor() {
    const server = createServer({ host: "127.0.0.2", port: 0, backlog: 0 });
    const address = server.localAddress() as InetAddress;
    this.port = address.port;
    this.#sockets.push(server);
    for (let i = 0; i < 3; i++) {
      const client = new Socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
      client.connectEx(address);
      this.#sockets.push(client);
    }
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.close();
  }
}

type Failure = Error & { readonly code?: string; readonly errors?: readonly Failure[] };

/** Connects to a name that has these addresses. @returns The address that was connected, or the error. */
async function connected(
  rig: Rig,
  addresses: readonly string[],
  options: Partial<ConnectOptions>,
): Promise<string | Failure> {
  let result: string | Failure | undefined;
  const all: ConnectOptions = {
    host: "name.example",
    ...options,
    open: ({ remoteAddress }) => {
      result = remoteAddress?.address ?? "unknown";
    },
    close: (_, error) => {
      result ??= error as Failure;
    },
  };
  const loop = loopOf(rig.reactor);
  const stream = new Stream(loop, profileOf(all), true);
  const found = addresses.map((address) => ({ address, port: 0 }));
  let resolved = false;
  // Resolved in the loop itself, since promises do not run in a reactor that blocks.
  const names = () => ({
    // biome-ignore lint/suspicious/noThenProperty: it takes the place of a promise.
    then(resolve: (found: readonly InetAddress[]) => void) {
      rig.reactor.setTimer(0, () => {
        resolved = true;
        resolve(found);
      });
    },
  });
  new Connector(loop, stream, all, names as unknown as () => Promise<readonly InetAddress[]>);
  await rig.until("connected or failed", () => result !== undefined);
  assert.equal(resolved, true);
  stream.destroy();
  return result as string | Failure;
}

export function severalAddressesCases(variant: Variant): Case[] {
  const test = casesOf(variant);
  return [
    test("the next address is tried at once when one refuses", async (rig) => {
      const { port } = rig.listen({ host: "127.0.0.3", port: 0 });
      const addresses = ["127.0.0.6", "127.0.0.2", "127.0.0.3", "127.0.0.4"];
      assert.equal(await connected(rig, addresses, { port }), "127.0.0.3");
    }),

    test("the next address is tried while one does not answer, and the first to answer is used", async (rig) => {
      using deaf = new DeafAddress();
      const { port } = deaf;
      const listener = rig.listen({ host: "127.0.0.3", port });
      const addresses = ["127.0.0.2", "127.0.0.6", "127.0.0.3"];
      assert.equal(await connected(rig, addresses, { port }), "127.0.0.3");
      await rig.until("closed", () => listener.connections === 0);
    }),

    test("an error has those of all addresses", async (rig) => {
      const { port } = rig.listen({ host: "127.0.0.4", port: 0 });
      const addresses = ["127.0.0.6", "127.0.0.2"];
      const error = await connected(rig, addresses, { port });
      assert.ok(error instanceof AggregateError);
      assert.equal((error as Failure).code, "ECONNREFUSED");
      assert.equal(
        error.message,
        `Cannot connect to name.example port ${port}: connect ECONNREFUSED 127.0.0.6:${port}; connect ECONNREFUSED 127.0.0.2:${port}`,
      );
      const alone = await connected(rig, ["127.0.0.6"], { port });
      assert.equal((alone as Failure).message, `connect ECONNREFUSED 127.0.0.6:${port}`);
      const none = await connected(rig, [], { port });
      assert.equal((none as Failure).code, "EADDRNOTAVAIL");
    }),

    test("one timeout is for all addresses together", async (rig) => {
      using deaf = new DeafAddress();
      const { port } = deaf;
      const options = { port, connectTimeoutMs: 30 };
      const error = (await connected(rig, ["127.0.0.6", "127.0.0.2"], options)) as Failure;
      assert.equal(error.code, "ETIMEDOUT");
      const codes = error.errors?.map(({ code }) => code);
      assert.deepEqual(codes, ["ECONNREFUSED", "ETIMEDOUT"]);
      const single = (await connected(rig, ["127.0.0.2"], options)) as Failure;
      assert.equal(single.message, `connect ETIMEDOUT 127.0.0.2:${port}`);
    }),

    test("a local address of another family rules out addresses, and not the connect", async (rig) => {
      const { port } = rig.listen({ host: "127.0.0.3", port: 0 });
      const localAddress = { address: "127.0.0.9", port: 0 };
      assert.equal(await connected(rig, ["::1", "127.0.0.3"], { port, localAddress }), "127.0.0.3");
    }),

    test("a connection that is destroyed while several addresses are tried leaves nothing open", async (rig) => {
      using deaf = new DeafAddress();
      const loop = loopOf(rig.reactor);
      for (const how of ["destroy", "close"] as const) {
        let closes = 0;
        const options: ConnectOptions = { port: deaf.port, close: () => void closes++ };
        const stream = new Stream(loop, profileOf(options), true);
        const found = ["127.0.0.2", "127.0.0.2"].map((address) => ({ address, port: 0 }));
        new Connector(loop, stream, options, async () => found);
        await rig.during(5);
        stream[how]();
        assert.equal(closes, 1);
      }
      await rig.until("over", () => !rig.reactor.alive);
    }),

    test("the host may be given as hostname, but not twice", async (rig) => {
      const { port } = rig.listen({});
      let opened = false;
      const connection = rig.reactor.connect({
        hostname: "127.0.0.1",
        port,
        open: () => {
          opened = true;
        },
      });
      await rig.until("open", () => opened);
      connection.destroy();
      const twice = { host: "127.0.0.1", hostname: "127.0.0.1", port };
      assert.throws(() => rig.reactor.connect(twice), { message: /a host and a hostname/ });
    }),
  ];
}
