import { type Handlers, toDuplex } from "polloi";
import { type Client, EchoServer, Planned, type Session } from "./echo.ts";
import type { Sparse } from "./program.ts";

/** The ways in which connections are served, one after another. */
type Way = (connection: Client, session: Session) => Promise<void>;

/** The bytes that a reader offers its stream. */
const OFFERED_BYTES = 5000;

/**
 * An echo server that reads and writes through the streams of a connection: as an async iterable, as Web streams with
 * each kind of reader, through a pipe, and as a Duplex of node:stream.
 */
export class StreamServer extends EchoServer {
  readonly #ways: readonly Way[] = [
    (connection, session) => this.#iterate(connection, session),
    (connection, session) => this.#readAndWrite(connection, session, false),
    (connection, session) => this.#readAndWrite(connection, session, true),
    (connection, session) => this.#pipe(connection, session),
    (connection, session) => this.#duplex(connection, session),
  ];
  protected override readonly buffers = true;
  #served = 0;
  /** Connections whose streams have not ended yet. */
  readonly #running: Set<Session> = new Set();
  /** Those that wait for room, or for the end of the connection. */
  readonly #waiting: Map<Session, () => void> = new Map();

  get isOver(): boolean {
    // The timers of a reactor that was closed do not fire.
    return this.#running.size === 0 || this.stage.isShut;
  }

  protected override handlers(): Sparse<Handlers<Session>> {
    const { drain: _, data: __, end: ___, timeout: ____, ...others } = super.handlers(false);
    return {
      ...others,
      data: undefined,
      end: undefined,
      timeout: undefined,
      drain: ({ data }) => this.#goOn(data),
      close: (connection) => this.closed(connection),
    };
  }

  protected override closed(connection: Client): void {
    super.closed(connection);
    if (connection.data !== undefined) this.#goOn(connection.data);
  }

  protected override opened(connection: Client): void {
    super.opened(connection);
    void this.#serve(connection);
  }

  /** The modes of peers are those of a loop that reads and writes. */
  protected override begun(): void {}

  async #serve(connection: Client): Promise<void> {
    const session = connection.data;
    const way = this.#ways[this.#served++ % this.#ways.length] as Way;
    this.#running.add(session);
    try {
      await way(connection, session);
    } catch (error) {
      if (!(error instanceof Planned) && !session.isCut) this.failed(connection, error as Error);
      session.isCut = true;
      connection.destroy();
    } finally {
      this.#running.delete(session);
    }
  }

  async #iterate(connection: Client, session: Session): Promise<void> {
    for await (const bytes of connection) {
      const rest = await this.#received(connection, bytes, () => connection.destroy());
      if (rest.length > 0 && !connection.write(rest) && connection.state === "open") {
        session.written += rest.length;
        await new Promise<void>((resolve) => this.#waiting.set(session, resolve));
      } else if (connection.state === "open") {
        session.written += rest.length;
      }
      if (hasAll(session)) {
        connection.close();
        return;
      }
    }
    this.checkEnd(session);
    connection.end();
  }

  async #readAndWrite(connection: Client, session: Session, offers: boolean): Promise<void> {
    const { readable, writable } = connection;
    const writer = writable.getWriter();
    const read = offers ? offering(readable) : taking(readable);
    writer.closed.catch(ignore);
    for (let next = await read(); next !== undefined; next = await read()) {
      const cut = (): void => void writer.abort(new Planned()).catch(ignore);
      const rest = await this.#received(connection, next, cut);
      if (rest.length > 0) await this.#writes(session, rest, () => writer.write(rest));
      if (hasAll(session)) break;
    }
    if (!hasAll(session)) this.checkEnd(session);
    await writer.close();
    if (hasAll(session)) connection.close();
  }

  async #pipe(connection: Client, session: Session): Promise<void> {
    const abort = new AbortController();
    const transform = async (
      bytes: Uint8Array,
      controller: TransformStreamDefaultController<Uint8Array>,
    ): Promise<void> => {
      const rest = await this.#received(connection, bytes, () => abort.abort(new Planned()));
      session.written += rest.length;
      if (rest.length > 0) controller.enqueue(rest);
    };
    const flush = (): void => this.checkEnd(session);
    await connection.readable
      .pipeThrough(new TransformStream({ transform, flush }))
      .pipeTo(connection.writable, { signal: abort.signal });
  }

  #duplex(connection: Client, session: Session): Promise<void> {
    const duplex = toDuplex(connection, { allowHalfOpen: true });
    // It has taken the connection over.
    connection.data = session;
    return new Promise((resolve, reject) => {
      let failure: Error | undefined;
      const cut = (): void => void duplex.destroy(new Planned());
      const echo = async (bytes: Uint8Array): Promise<void> => {
        duplex.pause();
        const rest = await this.#received(connection, bytes, cut);
        if (duplex.destroyed) return;
        if (rest.length > 0) session.written += rest.length;
        if (rest.length === 0 || duplex.write(rest)) duplex.resume();
        else duplex.once("drain", () => duplex.resume());
      };
      let last = Promise.resolve();
      duplex.on("data", (bytes: Uint8Array) => {
        last = echo(bytes);
      });
      // As with net.Socket, this also comes while the stream is paused.
      duplex.on("end", async () => {
        this.checkEnd(session);
        await last;
        duplex.end();
      });
      duplex.on("error", (error) => {
        failure = error;
      });
      duplex.on("close", () => {
        // Its handlers were replaced.
        this.closed(connection);
        if (failure === undefined) resolve();
        else reject(failure);
      });
    });
  }

  /** Bytes were received. @returns Those to send back, when it is time. */
  async #received(connection: Client, bytes: Uint8Array, cut: () => void): Promise<Uint8Array> {
    const session = connection.data;
    const rest = this.take(connection, bytes);
    const { mode, delayMs, isCut } = session;
    if (mode === "kill" && !isCut && session.peer !== undefined) {
      session.isCut = true;
      this.stage.after(delayMs, cut);
    }
    if (mode === "late" && !this.stage.isShut) {
      await new Promise<void>((resolve) => this.stage.after(delayMs, resolve));
    }
    return rest;
  }

  /** Counts what is written as far as the connection may have sent it. */
  async #writes(session: Session, bytes: Uint8Array, write: () => Promise<void>): Promise<void> {
    session.written += bytes.length;
    await write();
  }

  #goOn(session: Session): void {
    const resolve = this.#waiting.get(session);
    this.#waiting.delete(session);
    resolve?.();
  }
}

/** Reads the chunks of a stream. */
function taking(stream: ReadableStream<Uint8Array>): () => Promise<Uint8Array | undefined> {
  const reader = stream.getReader();
  return async () => (await reader.read()).value;
}

/** Reads a stream into memory that is offered to it. */
function offering(stream: ReadableStream<Uint8Array>): () => Promise<Uint8Array | undefined> {
  const reader = stream.getReader({ mode: "byob" });
  return async () => {
    const { value, done } = await reader.read(new Uint8Array(OFFERED_BYTES));
    return done ? undefined : value;
  };
}

/** Whether a server that closes first has received what it waits for. */
function hasAll({ mode, peer, received, length }: Session): boolean {
  return mode === "close" && peer !== undefined && received >= length;
}

function ignore(): void {}
