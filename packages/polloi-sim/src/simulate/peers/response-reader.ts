/** A head of a response, as far as the peers of a simulation need it. */
export interface ResponseHead {
  readonly status: number;
  /** The length of the body, -1 for chunks, -2 for everything until the end. */
  readonly length: number;
  readonly closes: boolean;
}

/** Receives the parts of responses, in order. */
export interface ResponseParts {
  /** Whether the next response is to HEAD. */
  isHead(): boolean;
  head(head: ResponseHead): void;
  body(bytes: Uint8Array): void;
  end(): void;
  /** The bytes are no response. */
  wrong(what: string): void;
}

const CHUNKED = -1;
const TO_THE_END = -2;
/** The longest head or chunk line of a well-formed response of the server. */
const LONGEST_LINE = 4096;

type State = "head" | "body" | "size" | "chunk" | "chunk end" | "trailer" | "wrong";

/** Reads responses of HTTP/1.1 from bytes in any pieces. */
export class ResponseReader {
  readonly #parts: ResponseParts;
  #state: State = "head";
  /** The line or the head that is not complete. */
  #text = "";
  #left = 0;

  constructor(parts: ResponseParts) {
    this.#parts = parts;
  }

  /** Whether it is between two responses. */
  get isBetween(): boolean {
    return this.#state === "head" && this.#text === "";
  }

  feed(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      switch (this.#state) {
        case "wrong":
          return;
        case "body":
        case "chunk":
          at += this.#take(bytes.subarray(at));
          break;
        default:
          at = this.#line(bytes, at);
      }
    }
  }

  #take(bytes: Uint8Array): number {
    const length = Math.min(bytes.length, this.#left);
    this.#left -= length;
    this.#parts.body(bytes.subarray(0, length));
    if (this.#left > 0) return length;
    if (this.#state === "chunk") this.#state = "chunk end";
    else this.#end();
    return length;
  }

  /** Collects a line, or the whole head. @returns The position behind the bytes that were used. */
  #line(bytes: Uint8Array, from: number): number {
    const end = this.#state === "head" ? "\r\n\r\n" : "\r\n";
    for (let at = from; at < bytes.length; at++) {
      this.#text += String.fromCharCode(bytes[at] as number);
      if (bytes[at] === 10 && this.#text.endsWith(end)) {
        const text = this.#text.slice(0, -end.length);
        this.#text = "";
        this.#complete(text);
        return at + 1;
      }
    }
    if (this.#text.length > LONGEST_LINE) this.#fail(`a line of ${this.#text.length} bytes`);
    return bytes.length;
  }

  #complete(text: string): void {
    switch (this.#state) {
      case "head":
        this.#head(text);
        return;
      case "size": {
        if (!/^[0-9a-f]+$/i.test(text)) {
          this.#fail(`a chunk of "${text}" bytes`);
          return;
        }
        this.#left = Number.parseInt(text, 16);
        this.#state = this.#left === 0 ? "trailer" : "chunk";
        return;
      }
      case "chunk end":
        if (text !== "") {
          this.#fail(`"${text}" behind a chunk`);
          return;
        }
        this.#state = "size";
        return;
      default:
        if (text === "") this.#end();
    }
  }

  #head(text: string): void {
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1] ?? Number.NaN);
    if (Number.isNaN(status)) {
      this.#fail(`a head that begins "${text.slice(0, 30)}"`);
      return;
    }
    const length = /\r\ncontent-length: (\d+)/i.exec(text)?.[1];
    const isChunked = /\r\ntransfer-encoding: chunked/i.test(text);
    const closes = /\r\nconnection: close/i.test(text);
    const bytes = length !== undefined ? Number(length) : isChunked ? CHUNKED : TO_THE_END;
    const hasBody = !this.#parts.isHead() && status !== 204 && status !== 304;
    this.#parts.head({ status, length: bytes, closes });
    if (!hasBody || bytes === 0) this.#end();
    else if (bytes === CHUNKED) this.#state = "size";
    else {
      this.#left = bytes === TO_THE_END ? Number.POSITIVE_INFINITY : bytes;
      this.#state = "body";
    }
  }

  #end(): void {
    this.#state = "head";
    this.#parts.end();
  }

  #fail(what: string): void {
    this.#state = "wrong";
    this.#parts.wrong(what);
  }
}
