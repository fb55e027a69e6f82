import type { UnderlyingByteSource, UnderlyingSink } from "node:stream/web";
import { ERRNO } from "../../base/errno.ts";
import { typeError } from "../../base/misuse.ts";
import { SysError } from "../../base/sys-error.ts";
import { FINISHED, ForwardingHandlers, type StreamHandlers } from "../forwarding.ts";
import { errorOf } from "./abort.ts";
import type { StreamLike } from "./stream-like.ts";

/** A connection is paused while this many bytes wait for a reader. */
const QUEUED_BYTES = 65_536;

interface Settle<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

const adapters = new WeakMap<object, StreamAdapter<unknown>>();

/** The adapter of a connection, made by the first call. */
export function adapterOf<Data>(stream: StreamLike<Data>): StreamAdapter<Data> {
  let adapter = adapters.get(stream) as StreamAdapter<Data> | undefined;
  if (adapter === undefined) {
    adapter = new StreamAdapter(stream);
    adapters.set(stream, adapter as StreamAdapter<unknown>);
  }
  return adapter;
}

/**
 * What a connection receives as an iterator and a `ReadableStream`, and what it sends as a `WritableStream`.
 *
 * @remarks
 * `data` and `end` of the program are replaced when something reads, `drain` when something writes.
 */
class StreamAdapter<Data> {
  readonly #stream: StreamLike<Data>;
  readonly #own: StreamHandlers<Data> = {};
  #readable: ReadableStream<Uint8Array> | undefined;
  #writable: WritableStream<Uint8Array | string> | undefined;

  // Reading.
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #isFull = false;
  #waiting: Settle<IteratorResult<Uint8Array, undefined>>[] = [];
  #isDone = false;
  #error: Error | undefined;

  // Writing.
  #controller: WritableStreamDefaultController | undefined;
  #draining: Settle<void> | undefined;
  #finishing: Settle<void> | undefined;

  constructor(stream: StreamLike<Data>) {
    this.#stream = stream;
    const to = stream.handlers;
    this.#own.close = (connection, error) => {
      this.#closed(error);
      to.close?.(connection, error);
    };
    stream.setHandlers(
      new ForwardingHandlers(to, this.#own, (next) => {
        this.#closed(typeError("ERR_CLOSED", "Cannot continue: the connection was handed over"));
        adapters.delete(stream);
        return next;
      }),
    );
    if (stream.state === "closed") this.#isDone = true;
  }

  /** Reads from the connection from now on. */
  read(): this {
    this.#stream.receiveCopies();
    this.#own.data ??= (_, bytes) => this.#received(bytes);
    this.#own.end ??= () => this.#ended();
    return this;
  }

  iterator(): AsyncIterableIterator<Uint8Array> {
    return {
      next: () => this.#next(),
      return: () => Promise.resolve({ done: true, value: undefined }),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  get readable(): ReadableStream<Uint8Array> {
    this.read();
    const source: UnderlyingByteSource = {
      type: "bytes",
      pull: async (controller) => {
        const { done, value } = await this.#next();
        if (done !== true) {
          // A stream of bytes transfers the buffer, which may belong to other messages as well.
          const isOwn = value.byteLength === value.buffer.byteLength;
          controller.enqueue(isOwn ? value : value.slice());
          return;
        }
        controller.close();
        controller.byobRequest?.respond(0);
      },
      cancel: () => this.#discard(),
    };
    this.#readable ??= new ReadableStream(source as never, { highWaterMark: 0 });
    return this.#readable;
  }

  get writable(): WritableStream<Uint8Array | string> {
    if (this.#writable !== undefined) return this.#writable;
    this.#own.drain = () => {
      this.#draining?.resolve();
      this.#draining = undefined;
    };
    this.#own[FINISHED] = () => this.#finishing?.resolve();
    const sink: UnderlyingSink<Uint8Array | string> = {
      start: (controller) => {
        this.#controller = controller;
        if (this.#isDone) controller.error(notSent(this.#error));
      },
      write: (chunk) => this.#write(chunk),
      close: () => this.#end(),
      abort: (reason) => this.#stream.destroy(errorOf(reason)),
    };
    this.#writable = new WritableStream(sink as never);
    return this.#writable;
  }

  #received(bytes: Uint8Array): void {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting.resolve({ done: false, value: bytes });
      return;
    }
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes < QUEUED_BYTES) return;
    this.#isFull = true;
    this.#stream.pause();
  }

  #next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const bytes = this.#queue.shift();
    if (bytes !== undefined) {
      this.#queuedBytes -= bytes.length;
      if (this.#isFull && this.#queuedBytes < QUEUED_BYTES / 2) {
        this.#isFull = false;
        this.#stream.resume();
      }
      return Promise.resolve({ done: false, value: bytes });
    }
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#isDone) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => void this.#waiting.push({ resolve, reject }));
  }

  #ended(): void {
    this.#isDone = true;
    for (const { resolve } of this.#waiting.splice(0)) resolve({ done: true, value: undefined });
  }

  /** Nothing reads any more. The connection receives on, so that the end of the peer is noticed. */
  #discard(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#own.data = () => {};
    if (this.#isFull) this.#stream.resume();
  }

  async #write(chunk: Uint8Array | string): Promise<void> {
    if (this.#stream.write(chunk)) return;
    const { state } = this.#stream;
    if (state !== "open" && state !== "connecting") throw notSent(this.#error);
    await new Promise<void>((resolve, reject) => {
      this.#draining = { resolve, reject };
    });
  }

  #end(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#finishing = { resolve, reject };
      this.#stream.end();
    });
  }

  #closed(error: Error | undefined): void {
    // An error after the end of the peer is no error for a reader.
    if (!this.#isDone) this.#error = error;
    this.#isDone = true;
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (this.#error === undefined) resolve({ done: true, value: undefined });
      else reject(this.#error);
    }
    if (this.#controller === undefined) return;
    this.#draining?.reject(notSent(error));
    if (error === undefined) this.#finishing?.resolve();
    else this.#finishing?.reject(error);
    // Has no effect on a stream that was closed.
    if (this.#finishing === undefined) this.#controller.error(notSent(error));
  }
}

/** The error of data that is not sent because the connection has closed. */
function notSent(error: Error | undefined): Error {
  return error ?? new SysError("write", ERRNO.EPIPE);
}
