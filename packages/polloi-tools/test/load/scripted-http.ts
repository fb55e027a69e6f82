import { type Connection, type Listener, Reactor } from "polloi";

/** Delay before a connection with the ending "late" is closed. */
const LATE_MS = 100;

/** The answer to a request. */
export interface Script {
  readonly bytes: string;
  /** Writes the bytes in pieces of this size, each in its own turn. */
  readonly pieceBytes?: number;
  /** Delay of the answer. */
  readonly afterMs?: number;
  /** How the connection ends after the answer. */
  readonly ending?: "end" | "reset" | "late";
}

/** An HTTP server with scripted answers, valid or invalid. */
export class ScriptedHttp implements Disposable {
  readonly reactor: Reactor = new Reactor({ engine: "epoll" });
  readonly listener: Listener;
  /** Everything that was received. */
  text = "";
  /** Number of connections accepted. */
  connections = 0;

  /** @param answer - Receives the index of the request on its connection, and among all requests. */
  constructor(answer: (request: number, of: number) => Script) {
    let all = 0;
    this.listener = this.reactor.listen<{ rest: string; requests: number; isLast: boolean }>({
      host: "127.0.0.1",
      port: 0,
      open: (connection) => {
        connection.data = { rest: "", requests: 0, isLast: false };
        this.connections++;
      },
      data: (connection, bytes) => {
        const { data } = connection;
        this.text += Buffer.from(bytes).toString("latin1");
        data.rest += Buffer.from(bytes).toString("latin1");
        for (let end: number; ; data.rest = data.rest.slice(end + 4)) {
          end = data.rest.indexOf("\r\n\r\n");
          if (end < 0 || connection.state !== "open" || data.isLast) break;
          const script = answer(data.requests++, all++);
          data.isLast = script.ending === "late";
          this.#answer(connection, script);
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

  #answer(connection: Connection<unknown>, script: Script): void {
    const { bytes, ending, afterMs } = script;
    if (afterMs !== undefined) {
      const atOnce = { bytes, ...(ending === undefined ? {} : { ending }) };
      this.reactor.setTimer(afterMs, () => this.#answer(connection, atOnce));
      return;
    }
    const { pieceBytes = bytes.length } = script;
    if (pieceBytes < bytes.length) {
      connection.write(Buffer.from(bytes.slice(0, pieceBytes), "latin1"));
      const rest = { ...script, bytes: bytes.slice(pieceBytes) };
      this.reactor.setTimer(0, () => this.#answer(connection, rest));
      return;
    }
    connection.write(Buffer.from(bytes, "latin1"));
    if (ending === "end") connection.close();
    else if (ending === "reset") connection.reset();
    else if (ending === "late") this.reactor.setTimer(LATE_MS, () => connection.close());
  }
}
