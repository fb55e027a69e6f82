import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import type { Case } from "../../../../test/support/suite.ts";
import { type HttpOptions, type HttpServer, serve } from "../../src/http/index.ts";

/** A client that sends bytes and keeps all bytes that it receives. */
export class Client {
  text = "";
  ended = false;
  readonly socket: Socket;
  #changed = (): void => {};

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    this.socket.setEncoding("latin1");
    this.socket.on("data", (text: string) => {
      this.text += text;
      this.#changed();
    });
    for (const event of ["end", "close", "error"]) {
      this.socket.on(event, () => {
        this.ended = true;
        this.#changed();
      });
    }
  }

  send(text: string): this {
    this.socket.write(text, "latin1");
    return this;
  }

  /** Waits until the received bytes satisfy `enough`. */
  async until(enough: (client: Client) => boolean): Promise<string> {
    while (!enough(this)) {
      if (this.ended) assert.fail(`the connection ended after ${JSON.stringify(this.text)}`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
    return this.text;
  }

  /** Waits for the end of the connection. */
  async end(): Promise<string> {
    while (!this.ended) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
    return this.text;
  }
}

/** A case that starts a server, runs, and always stops the server. */
export function served(
  name: string,
  options: HttpOptions,
  run: (server: HttpServer, client: () => Client) => Promise<void>,
): Case {
  return {
    name,
    async run() {
      const clients: Client[] = [];
      const server = serve({ host: "127.0.0.1", port: 0, ...options });
      try {
        await run(server, () => {
          const client = new Client(server.port);
          clients.push(client);
          return client;
        });
      } finally {
        for (const { socket } of clients) socket.destroy();
        await server.stop(0);
      }
    },
  };
}

export const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
export const LAST = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

export function bodyOf(response: string): string {
  return response.slice(response.indexOf("\r\n\r\n") + 4);
}
