/** One connection of the soak's clients: sends bytes, and reads answers as strictly as the server reads requests. */
import { connect, type Socket } from "node:net";
import { wasReset } from "../reset.ts";

/** A violation of the protocol that a client has detected. */
export class Violation extends Error {}

export interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly trailers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  /** Whether the server announces that the connection ends with it. */
  readonly closes: boolean;
}

const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\x20-\x7e\x80-\xff]*)$/;
const DATE = /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/;

export class Peer {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  received = 0;
  error: string | undefined;
  /** Reads slowly. */
  pace: (() => Promise<void>) | undefined;
  #left: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake = (): void => {};

  constructor(port: number) {
    this.socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
    this.socket.on("error", (error: Error & { code?: string }) => {
      this.error = error.code;
    });
    this.socket.on("end", () => {
      this.#ended = true;
      if (wasReset(this.socket)) this.error = "ECONNRESET";
    });
    for (const event of ["readable", "end", "close"]) this.socket.on(event, () => this.#wake());
    this.closed = new Promise((resolve) => this.socket.once("close", () => resolve()));
  }

  /** The server has ended its half. */
  get isOver(): boolean {
    return this.#ended || this.socket.destroyed;
  }

  write(part: string | Uint8Array): Promise<void> {
    if (this.socket.destroyed || this.socket.writableEnded) return Promise.resolve();
    const bytes = typeof part === "string" ? Buffer.from(part, "latin1") : part;
    const written = new Promise<void>((resolve) => this.socket.write(bytes, () => resolve()));
    return Promise.race([written, this.closed]);
  }

  /** Waits for more bytes. @returns false at the end. */
  async more(): Promise<boolean> {
    await this.pace?.();
    for (;;) {
      const part = this.socket.read() as Buffer | null;
      if (part !== null) {
        this.received += part.length;
        this.#left = this.#left.length === 0 ? part : Buffer.concat([this.#left, part]);
        return true;
      }
      if (this.isOver) {
        // The error is reported only then.
        if (this.socket.destroyed) await this.closed;
        return false;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Waits for the end of the stream, and fails if more bytes or an error come first. */
  async end(): Promise<void> {
    if (this.#left.length > 0 || (await this.more())) {
      throw new Violation(`the last answer is followed by ${shown(this.#left)}`);
    }
    if (this.error !== undefined) throw new Violation(`failed with ${this.error}, not the end`);
  }

  /** @returns The unread bytes. Waits for some if there are none. */
  async some(): Promise<Buffer> {
    if (this.#left.length === 0) await this.more();
    const part = this.#left;
    this.#left = Buffer.alloc(0);
    return part;
  }

  async take(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let missing = length; missing > 0; ) {
      if (this.#left.length === 0 && !(await this.more())) {
        throw this.#cut(`${missing} of ${length} bytes`);
      }
      const part = this.#left.subarray(0, missing);
      this.#left = this.#left.subarray(part.length);
      parts.push(part);
      missing -= part.length;
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  async line(): Promise<string> {
    for (;;) {
      const at = this.#left.indexOf("\r\n");
      if (at >= 0) {
        const text = this.#left.toString("latin1", 0, at);
        this.#left = this.#left.subarray(at + 2);
        return text;
      }
      if (this.#left.length > 65_536) throw new Violation(`no line: ${shown(this.#left)}`);
      if (!(await this.more())) throw this.#cut("the end of a line");
    }
  }

  /** Whether an answer has begun; waits for it or for the end. */
  async hasMore(): Promise<boolean> {
    return this.#left.length > 0 || (await this.more());
  }

  /** Reads one answer, which may be an interim one. */
  async answer(method: string): Promise<Answer> {
    const line = await this.line();
    const [, code] = line.match(/^HTTP\/1\.1 ([1-5]\d\d) [\x20-\x7e]*$/) ?? [];
    if (code === undefined) throw new Violation(`no status line: ${shown(line)}`);
    const status = Number(code);
    const headers = await this.#fields();
    if (status < 200) {
      if (status === 100 && headers.size > 0) throw new Violation("100 has headers");
      return { status, headers, trailers: new Map(), body: Buffer.alloc(0), closes: false };
    }
    if (!DATE.test(headers.get("date") ?? "")) throw new Violation(`${line}: no date`);
    const said = headers.get("connection");
    const closes = said === "close";
    const bodiless = method === "HEAD" || status === 204 || status === 304;
    const trailers = new Map<string, string>();
    const length = headers.get("content-length");
    const coding = headers.get("transfer-encoding");
    if (length !== undefined && coding !== undefined) throw new Violation("both lengths");
    let body: Buffer = Buffer.alloc(0);
    if (bodiless) {
      // It ends with its head.
    } else if (coding !== undefined) {
      if (coding !== "chunked") throw new Violation(`coding ${coding}`);
      body = await this.#chunks(trailers);
    } else if (length !== undefined) {
      if (!/^\d+$/.test(length)) throw new Violation(`length ${length}`);
      body = await this.take(Number(length));
    } else {
      if (!closes) throw new Violation(`${line}: no length, and no end`);
      body = await this.#untilEnd();
    }
    return { status, headers, trailers, body, closes };
  }

  async #chunks(trailers: Map<string, string>): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (;;) {
      const line = await this.line();
      if (!/^[0-9a-f]{1,8}$/.test(line)) throw new Violation(`chunk size ${shown(line)}`);
      const size = Number.parseInt(line, 16);
      if (size === 0) break;
      parts.push(await this.take(size));
      if ((await this.line()) !== "") throw new Violation("a chunk is longer than its size");
    }
    for (const [name, value] of await this.#fields()) trailers.set(name, value);
    return Buffer.concat(parts);
  }

  async #untilEnd(): Promise<Buffer> {
    const parts: Buffer[] = [];
    while (await this.hasMore()) parts.push(await this.some());
    if (this.error !== undefined) throw new Violation(`failed with ${this.error} in a body`);
    return Buffer.concat(parts);
  }

  async #fields(): Promise<Map<string, string>> {
    const fields = new Map<string, string>();
    for (;;) {
      const line = await this.line();
      if (line === "") return fields;
      const [, name, value] = line.match(FIELD) ?? [];
      if (name === undefined) throw new Violation(`no field: ${shown(line)}`);
      const lower = name.toLowerCase();
      if (fields.has(lower)) throw new Violation(`${name} is repeated`);
      fields.set(lower, value as string);
    }
  }

  #cut(what: string): Violation {
    return new Violation(`${this.error ?? "the end"} was received instead of ${what}`);
  }
}

export function shown(bytes: Buffer | string): string {
  return JSON.stringify(bytes.toString("latin1").slice(0, 100));
}
