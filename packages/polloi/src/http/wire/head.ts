import { Fields } from "./fields.ts";
import { latin1, Remembered } from "./latin1.ts";
import { QUESTION } from "./characters.ts";

/** The four forms of a request target. RFC 9112 section 3.2. */
export type TargetForm = "origin" | "absolute" | "authority" | "asterisk";

/** Bits of `flags`, which `readHead` sets from the framing and connection fields. */
export const CLOSE = 1;
export const KEEP_ALIVE = 2;
export const UPGRADE_OPTION = 4;
export const EXPECTS_CONTINUE = 8;
export const CHUNKED = 16;

/**
 * The head of a request: its request line and headers.
 *
 * @remarks
 * A view of lent bytes, whose parts become strings when they are accessed. It is valid until the parser begins the next
 * request, as long as the chunk in which the head ended is not overwritten. To keep it longer, call `parser.keepHead()`,
 * which copies it from the chunk, or take a {@link copy}.
 *
 * The methods may be called by anyone; the plain fields belong to the parser.
 */
export class RequestHead {
  /** The headers. */
  readonly fields: Fields;
  /** The minor version: 0 for HTTP/1.0, 1 for HTTP/1.1 and for any later 1.x. RFC 9112 section 2.3. */
  version: 0 | 1 = 1;
  /** The form of the target. */
  form: TargetForm = "origin";
  /** The length of the body in bytes: 0 without a body, -1 for a chunked body. RFC 9112 section 6.3. */
  contentLength = 0;
  /** The offsets of the ends of the method and the target, from the first byte of the head. */
  methodEnd = 0;
  targetEnd = 0;
  /** The offsets of the path and, in the absolute form, of the authority. */
  pathStart = 0;
  authorityStart = 0;
  flags = 0;
  /** The indexes of these headers; -1 if missing. */
  hostField = -1;
  upgradeField = -1;
  /** The length of the head in bytes, from the request line to the empty line. */
  length = 0;
  #known: string | undefined;
  #target: string | undefined;
  #path: string | undefined;
  readonly #paths: Remembered = new Remembered(1);
  readonly #targets: Remembered = new Remembered(1);

  constructor(fields: Fields = new Fields()) {
    this.fields = fields;
  }

  /** For the parser: resets everything except the method. */
  begin(): void {
    this.#known = undefined;
    this.#target = undefined;
    this.#path = undefined;
  }

  /** For the parser: sets the method, if it is a common one. */
  know(method: string): void {
    this.#known = method;
  }

  /** The method as it was sent. Methods are case-sensitive. */
  get method(): string {
    const { bytes, base } = this.fields;
    this.#known ??= latin1(bytes, base, base + this.methodEnd);
    return this.#known;
  }

  /** The target as it was sent. */
  get target(): string {
    if (this.#target === undefined) {
      const { bytes, base } = this.fields;
      const from = base + this.methodEnd + 1;
      this.#target = this.#targets.of(bytes, from, base + this.targetEnd);
    }
    return this.#target;
  }

  /**
   * The path as it was sent: percent-encoding and dot segments are left as they are.
   *
   * @remarks
   * `/` for an absolute target without a path, and `*` for one with OPTIONS, which means the server as a whole, as `*`
   * itself does (RFC 9112 section 3.2.4). Empty in the authority form.
   */
  get path(): string {
    this.#path ??= this.#readPath();
    return this.#path;
  }

  /** The part of the target after the first `?`, as it was sent; empty if there is none. */
  get query(): string {
    const { bytes, base } = this.fields;
    return latin1(bytes, base + this.#pathEnd() + 1, base + this.targetEnd);
  }

  /**
   * The requested host and port: those of an absolute target or of the target of CONNECT, else those of Host (RFC 9112
   * section 3.2.2). Empty if Host is empty; `undefined` if a request of HTTP/1.0 has no Host.
   */
  get host(): string | undefined {
    const { bytes, base } = this.fields;
    if (this.form === "authority") return this.target;
    if (this.form === "absolute") {
      return latin1(bytes, base + this.authorityStart, base + this.pathStart);
    }
    return this.hostField < 0 ? undefined : this.fields.value(this.hostField);
  }

  /** Whether the body is chunked. RFC 9112 section 7.1. */
  get chunked(): boolean {
    return (this.flags & CHUNKED) !== 0;
  }

  /** Whether a body follows, which may be an empty chunked one. */
  get hasBody(): boolean {
    return this.contentLength !== 0;
  }

  /** Whether the connection may be used for another request. RFC 9112 section 9.3. */
  get keepAlive(): boolean {
    if ((this.flags & CLOSE) !== 0) return false;
    return this.version === 1 || (this.flags & KEEP_ALIVE) !== 0;
  }

  /** Whether the client waits for `100 Continue` before it sends the body. RFC 9110 section 10.1.1. */
  get expectsContinue(): boolean {
    return (this.flags & EXPECTS_CONTINUE) !== 0;
  }

  /**
   * The value of Upgrade. `undefined` without one, if Connection does not name it, and in HTTP/1.0. RFC 9110 section 7.8.
   */
  get upgrade(): string | undefined {
    if (this.upgradeField < 0 || this.version === 0) return undefined;
    return (this.flags & UPGRADE_OPTION) === 0 ? undefined : this.fields.get("upgrade");
  }

  /** The value of a header: see `Fields.get`. */
  header(name: string): string | undefined {
    return this.fields.get(name);
  }

  /** All headers in order, each as its name (as it was sent) and its value. */
  headers(): [name: string, value: string][] {
    return this.fields.entries();
  }

  /** A copy of the head in memory of its own, which stays valid. */
  copy(): RequestHead {
    const head = new RequestHead();
    head.fields.copyFrom(this.fields, this.length);
    head.version = this.version;
    head.form = this.form;
    head.contentLength = this.contentLength;
    head.methodEnd = this.methodEnd;
    head.targetEnd = this.targetEnd;
    head.pathStart = this.pathStart;
    head.authorityStart = this.authorityStart;
    head.flags = this.flags;
    head.hostField = this.hostField;
    head.upgradeField = this.upgradeField;
    head.length = this.length;
    if (this.#known !== undefined) head.know(this.#known);
    return head;
  }

  #readPath(): string {
    const { bytes, base } = this.fields;
    const end = this.#pathEnd();
    if (end === this.pathStart && this.form === "absolute") {
      return this.method === "OPTIONS" && end === this.targetEnd ? "*" : "/";
    }
    return this.#paths.of(bytes, base + this.pathStart, base + end);
  }

  /** The offset of the end of the path: the question mark, or the end of the target. */
  #pathEnd(): number {
    const { bytes, base } = this.fields;
    let i = this.pathStart;
    while (i < this.targetEnd && bytes[base + i] !== QUESTION) i++;
    return i;
  }
}
