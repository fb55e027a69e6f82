import { type Batch, SHORT_TEXT } from "./batch.ts";
import type { DateField } from "./date.ts";
import { checkField, connectionOptions } from "./field-check.ts";
import { statusLine } from "./status.ts";
import { latin1Bytes } from "./wire/latin1.ts";

/** Fields that only the server sets. */
const OWN: ReadonlySet<string> = new Set(["transfer-encoding", "keep-alive"]);
const TEXT_TYPE = "Content-Type: text/plain; charset=utf-8\r\n";

/** The most heads that follow one head. */
const MOST_NEXT = 4;
/** The longest name and value of a field to remember. */
const LONGEST = 256;
/** The most heads to remember. When there are more, all are forgotten. */
const MOST_REMEMBERED = 1024;
/** A head is encoded for reuse when it is sent for the second time. */
const ENCODED_AT = 2;

/** The kind of the lines by which a head differs from the one that it was made of. */
const FIELD = 0;
const LINES = 1;
const LINES_WITH_DATE = 2;

/** In place of a Content-Length: the body is chunked; nothing is said about it. */
export const CHUNKED = -1;
export const UNFRAMED = -2;

const NONE: readonly ReplyHead[] = [];
let remembered = 0;
const roots: ReplyHead[] = [];

/**
 * The status and the fields of a reply, without Content-Length and Transfer-Encoding. It never changes.
 *
 * @remarks
 * Adding a field gives another head. A head remembers those that were made of it last, so a handler that sets the same
 * fields for each request reaches the same head each time, whose fields were checked and whose bytes were encoded once:
 *
 * ```text
 *   200 --Content-Type: text/html--> head --ETag: "1"--> head
 *                                         --ETag: "2"--> head
 *   404 --...
 * ```
 */
export class ReplyHead {
  readonly status: number;
  /** The field lines, each with its CRLF. */
  readonly fields: string;
  /** Whether Date and Content-Type are among them. */
  readonly hasDate: boolean;
  readonly hasType: boolean;
  /** Whether the connection is closed after the reply. */
  readonly closes: boolean;
  /** Options of Connection that the program has set, without `close` and `keep-alive`. */
  readonly options: string;
  readonly #from: ReplyHead | null;
  readonly #kind: number;
  readonly #name: string;
  readonly #value: string;
  /** The heads that were made of this one last, and the place of the next. */
  #next: readonly ReplyHead[] = NONE;
  #nextAt = 0;
  #text: ReplyHead | null = null;
  #uses = 0;
  /** The head up to the value of Content-Length, with this date; null before it is encoded. */
  #bytes: Uint8Array | null = null;
  #date: DateField | null = null;

  private constructor(
    made: Pick<ReplyHead, "status" | "fields" | "hasDate" | "hasType" | "closes" | "options">,
    from: ReplyHead | null,
    kind: number,
    name: string,
    value: string,
  ) {
    this.status = made.status;
    this.fields = made.fields;
    this.hasDate = made.hasDate;
    this.hasType = made.hasType;
    this.closes = made.closes;
    this.options = made.options;
    this.#from = from;
    this.#kind = kind;
    this.#name = name;
    this.#value = value;
  }

  /** The head with this status and no fields. */
  static of(status: number): ReplyHead {
    const root = roots[status];
    if (root !== undefined) return root;
    const made = { status, fields: "", hasDate: false, hasType: false, closes: false, options: "" };
    roots[status] = new ReplyHead(made, null, FIELD, "", "");
    return roots[status];
  }

  /** The head with the same fields and another status. */
  withStatus(status: number): ReplyHead {
    if (status === this.status) return this;
    if (this.#from === null) return ReplyHead.of(status);
    return this.#from.withStatus(status).#with(this.#kind, this.#name, this.#value);
  }

  /**
   * The head with one more field.
   *
   * @throws TypeError `ERR_INVALID_DATA` for a name or a value that would break it, and for fields of the server.
   */
  with(name: string, value: string): ReplyHead {
    return this.#with(FIELD, name, value);
  }

  /** The head with lines that were checked before. The caller has decided about Content-Type. */
  withLines(lines: string, hasDate: boolean): ReplyHead {
    return this.#with(hasDate ? LINES_WITH_DATE : LINES, "", lines);
  }

  /** The head for a body of text: with a Content-Type, unless it has one. */
  forText(): ReplyHead {
    if (this.hasType) return this;
    if (this.#text === null) {
      const made = { ...this.#parts(), fields: this.fields + TEXT_TYPE, hasType: true };
      this.#text = new ReplyHead(made, this, LINES, "", TEXT_TYPE);
    }
    return this.#text;
  }

  /**
   * Writes the whole head.
   *
   * @param connection - What the server says in Connection: `close`, `keep-alive`, or nothing.
   * @param length - The Content-Length; or {@link CHUNKED}, or {@link UNFRAMED}.
   */
  write(out: Batch, date: DateField, connection: string, length: number): void {
    out.reserve(256 + 3 * SHORT_TEXT + this.fields.length + this.options.length);
    if (length < 0 || connection !== "" || this.options !== "" || !this.#isEncoded(date)) {
      out.addLatin1(this.#textOf(date, connection, length));
    } else {
      out.add(this.#bytes as Uint8Array);
    }
    if (length >= 0) out.addNumber(length);
    out.endHead();
  }

  /** Whether there are bytes with this date: the head was sent before. */
  #isEncoded(date: DateField): boolean {
    if (this.#bytes === null) {
      if (++this.#uses < ENCODED_AT) return false;
      this.#bytes = latin1Bytes(this.#textOf(date, "", 0));
    } else if (this.#date !== date && !this.hasDate) {
      this.#bytes.set(date.bytes, statusLine(this.status).length);
    }
    this.#date = date;
    return true;
  }

  /** The text of the head, up to the value of Content-Length or the end of the last line. */
  #textOf(date: DateField, connection: string, length: number): string {
    const { options } = this;
    const separator = connection !== "" && options !== "" ? ", " : "";
    const all = connection + separator + options;
    const line = all === "" ? "" : `Connection: ${all}\r\n`;
    const start = statusLine(this.status) + (this.hasDate ? "" : date.text) + line + this.fields;
    if (length >= 0) return `${start}Content-Length: `;
    return length === CHUNKED ? `${start}Transfer-Encoding: chunked` : start.slice(0, -2);
  }

  #with(kind: number, name: string, value: string): ReplyHead {
    const next = this.#next;
    for (let i = 0; i < next.length; i++) {
      const head = next[i] as ReplyHead;
      if (head.#value === value && head.#name === name && head.#kind === kind) return head;
    }
    const head = kind === FIELD ? this.#addField(name, value) : this.#addLines(kind, value);
    if (name.length + value.length <= LONGEST) this.#remember(head);
    return head;
  }

  #addField(name: string, value: string): ReplyHead {
    const lower = name.toLowerCase();
    checkField(name, value, OWN.has(lower));
    const parts = this.#parts();
    if (lower === "connection") {
      for (const option of connectionOptions(value)) {
        if (option === "close") parts.closes = true;
        else if (option !== "keep-alive") parts.options = withOption(parts.options, option);
      }
    } else {
      if (lower === "upgrade") parts.options = withOption(parts.options, "upgrade");
      else if (lower === "date") parts.hasDate = true;
      else if (lower === "content-type") parts.hasType = true;
      parts.fields += `${name}: ${value}\r\n`;
    }
    return new ReplyHead(parts, this, FIELD, name, value);
  }

  #addLines(kind: number, lines: string): ReplyHead {
    const parts = this.#parts();
    parts.fields += lines;
    parts.hasType = true;
    parts.hasDate ||= kind === LINES_WITH_DATE;
    return new ReplyHead(parts, this, kind, "", lines);
  }

  #parts(): {
    status: number;
    fields: string;
    hasDate: boolean;
    hasType: boolean;
    closes: boolean;
    options: string;
  } {
    const { status, fields, hasDate, hasType, closes, options } = this;
    return { status, fields, hasDate, hasType, closes, options };
  }

  #remember(head: ReplyHead): void {
    if (++remembered > MOST_REMEMBERED) {
      remembered = 0;
      roots.length = 0;
      return;
    }
    if (this.#next.length < MOST_NEXT) {
      this.#next = [...this.#next, head];
      return;
    }
    (this.#next as ReplyHead[])[this.#nextAt] = head;
    this.#nextAt = (this.#nextAt + 1) % MOST_NEXT;
  }
}

function withOption(options: string, option: string): string {
  const all = options === "" ? [] : options.split(", ");
  return all.includes(option) ? options : [...all, option].join(", ");
}
