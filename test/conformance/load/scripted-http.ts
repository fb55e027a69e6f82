import type { Connection } from "../../../src/reactor/connection.ts";
import type { Listener } from "../../../src/reactor/listener.ts";
import { Reactor } from "../../../src/reactor/reactor.ts";

/** What a request is answered with: bytes, and whether the connection ends then. */
export interface Script {
  readonly bytes: string;
  readonly ending?: "end" | "reset";
}

/** An HTTP server that answers what it is told to, right or wrong. */
export class ScriptedHttp implements Disposable {
  readonly reactor: Reactor = new Reactor({ engine: "epoll" });
  readonly listener: Listener;
  /** Everything that was received. */
  text = "";
  /** How many connections there were. */
  connections = 0;

  /** @param answer - Given the number of the request on its connection, and in all. */
  constructor(answer: (request: number, of: number) => Script) {
    let all = 0;
    this.listener = this.reactor.listen<{ rest: string; requests: number }>({
      host: "127.0.0.1",
      port: 0,
      open: (connection) => {
        connection.data = { rest: "", requests: 0 };
        this.connections++;
      },
      data: (connection, bytes) => {
        const { data } = connection;
        this.text += Buffer.from(bytes).toString("latin1");
        data.rest += Buffer.from(bytes).toString("latin1");
        for (let end: number; ; data.rest = data.rest.slice(end + 4)) {
          end = data.rest.indexOf("\r\n\r\n");
          if (end < 0 || connection.state !== "open") break;
          this.#answer(connection, answer(data.requests++, all++));
        }
      },
      error: () => {},
    });
  }

  get target(): string {
    return `http://127.0.0.1:${this.listener.port}/path?query`;
  }

  [Symbol.dispose](): void {
    this.reactor.close();
  }

  #answer(connection: Connection<unknown>, { bytes, ending }: Script): void {
    connection.write(Buffer.from(bytes, "latin1"));
    if (ending === "end") connection.close();
    else if (ending === "reset") connection.reset();
  }
}
